"""Every protocol has its page, and what the proofs on these pages rest on is there."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.host.program import call
from tests.zoo.registry import MUTANTS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "protocols"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PROTOCOLS = sorted(PROJECT["entry-points"]["ledger.consensus"])
UNPROVEN = ("solo",)
"""Its agreement is the honesty of one validator."""
HEADINGS = ("A good run", "A leader crashes", "A leader equivocates", "Costs", "Deviations",
            "How it is judged")  # fmt: skip
PROVEN = [name for name in PROTOCOLS if name not in UNPROVEN]
MUTANT_IDS = {mutant.id for mutant in MUTANTS}


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level, up to the next one."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


@cache
def names_in(path: str) -> frozenset[str]:
    """The functions, classes and fields that a module defines."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return frozenset(names)


def missing_names(proof: str) -> list[str]:
    """What a proof names and none of the modules defines that it names."""
    quoted = re.findall(r"`([^`]+)`", proof)
    modules = [each for each in quoted if each.endswith(".py")]
    known = frozenset[str]().union(*map(names_in, modules))
    return [each for each in quoted if each not in modules and each not in known]


def rows_in(proof: str) -> list[str]:
    """The rows of the zoo that a proof names."""
    return [row for rows in re.findall(r"\(zoo ([^)]*)\)", proof) for row in rows.split(", ")]


def missing_rows(proof: str, protocol: str) -> list[str]:
    """Those of them that are none."""
    return [row for row in rows_in(proof) if not {row, f"{row}-{protocol}"} & MUTANT_IDS]


def test_every_protocol_has_a_page_that_the_table_links() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8")

    for name in PROTOCOLS:
        assert f"| [`{name}`]({name}.md) |" in table


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_page_has_what_every_page_has(name: str) -> None:
    text = page(name)

    assert f"--protocol {name}" in text
    assert re.search(r"^The idea\b.*:\n\n1\. ", text, re.MULTILINE)
    for heading in HEADINGS if name in PROVEN else HEADINGS[:-1]:
        section(text, heading)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_commands_at_the_top_of_a_page_run(name: str, tmp_path: Path) -> None:
    lines = re.findall(r"^    python node\.py ((?:init|sim) .*)$", page(name), re.MULTILINE)

    assert lines
    for words in map(shlex.split, lines):
        call(*words, cwd=tmp_path).check()


@pytest.mark.parametrize("name", PROVEN)
def test_a_proof_rests_on_what_is_there(name: str) -> None:
    proof = section(page(name), "Why it is safe")

    assert f"consensus/protocols/{name}" in proof
    assert "(README.md#what-the-proofs-rest-on)" in proof
    assert re.search(r"^1\. \*", proof, re.MULTILINE)
    assert "What this does not cover" in proof
    assert missing_names(proof) == []
    assert missing_rows(proof, name) == []


@pytest.mark.parametrize("name", PROVEN)
def test_a_proof_uses_every_rule_without_which_the_zoo_breaks_agreement(name: str) -> None:
    needed = {
        mutant.id.removesuffix(f"-{name}")
        for mutant in MUTANTS
        if mutant.id.endswith(f"-{name}") and "P1" in mutant.expected and not mutant.equivalent
    }

    assert needed - set(rows_in(section(page(name), "Why it is safe"))) == set()


def test_what_all_proofs_assume_is_there() -> None:
    text = section((FOLDER / "README.md").read_text(encoding="utf-8"), "What the proofs rest on")
    assumed = text.replace("`Z3` for `Z3-tendermint`", "").replace("`solo`", "")

    assert missing_names(assumed) == []
    assert missing_rows(assumed, "tendermint") == []
    assert re.findall(r"^- \*\*(A\d),", assumed, re.MULTILINE) == ["A1", "A2", "A3", "A4", "A5"]


def test_a_name_or_row_that_is_nowhere_is_noticed() -> None:
    module = "consensus/protocols/jolteon_safety.py"
    proof = f"1. By `may_vote` and `no_such_rule` of `{module}` (zoo Z8, Z99)"

    assert missing_names(proof) == ["no_such_rule"]
    assert missing_rows(proof, "jolteon") == ["Z99"]
