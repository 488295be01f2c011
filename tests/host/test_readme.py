"""What the README and the documents say is so: commands run, links lead somewhere, names exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from host.commands import main
from tests.host.program import ROOT, call, run, running_cluster

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"))
)
SET_UP, TEST, OWN, LABORATORY = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
"""Four blocks: the demo, the tests, a network of one's own, the laboratory."""
SUMMARY = re.search(r"```text\n(.*?)```", README, re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """The words of each command of a block, without comments."""
    lines = [part for line in block.splitlines() for part in line.split("&&")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_each_set_up_is_one_command_that_makes_its_own_environment() -> None:
    """What they do is what continuous integration does; that they work is shown there."""
    environment, install, demo = commands(SET_UP)
    environment_again, install_for_tests, test = commands(TEST)

    assert environment == environment_again == ["python3", "-m", "venv", ".venv"]
    assert install == [".venv/bin/pip", "install", "--quiet", "-e", "."]
    assert install_for_tests == [*install[:-1], ".[test]"]
    assert demo == [".venv/bin/python", "node.py", "demo"]
    assert test == [".venv/bin/python", "-m", "pytest", "-q", "-n", "auto"]
    assert SET_UP.count("\n") == TEST.count("\n") == 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "test" in project["optional-dependencies"]
    ci = (ROOT / ".ci" / "run").read_text()
    assert 'pip" install' in ci
    assert "-m pytest -q -n auto" in ci


def test_the_commands_for_a_network_of_ones_own_work(tmp_path: Path) -> None:
    """In the order of the README, with its words."""
    activate, *steps = commands(OWN)
    assert activate[0] == "."
    steps = [words[2:] for words in steps if words[:2] == ["python", "node.py"]]
    init, cluster, submit, receipt, verify, audit, sim = steps
    (tmp_path / "README.md").write_text(README, encoding="utf-8")

    run(*init, cwd=tmp_path).check()
    assert cluster == ["cluster", init[1]]
    with running_cluster(tmp_path / cluster[1]):
        identity = run(*submit, cwd=tmp_path).check().out.strip()
        assert re.fullmatch(r"[0-9a-f]{64}", identity)
        named = [identity if word == "ID" else word for word in receipt]
        assert named != receipt
        run(*named, cwd=tmp_path).check()

    assert run(*verify, cwd=tmp_path).check().out.startswith("valid\n")
    assert run(*audit, cwd=tmp_path).check().out.startswith("valid\n")
    assert call(*sim).check().out.endswith("no violation\n")


def test_the_commands_of_the_laboratory_work(tmp_path: Path) -> None:
    """As they stand, but for the time that the hunts take."""
    picture, search, fork, verify, suite, zoo = commands(LABORATORY)

    assert "no violation" in run(*picture[2:], cwd=tmp_path).check().out
    assert (tmp_path / picture[-1]).stat().st_size > 50_000
    assert search[-2] == "--budget"
    run(*search[2:-2], "--scenarios", "4", cwd=tmp_path).check()
    run(*fork[2:], cwd=tmp_path).check()
    assert run(*verify[2:], cwd=tmp_path).check().out.startswith("valid evidence\n")
    # Both have tests of their own: tests/sim/test_conformance.py and tests/zoo.
    assert suite[:5] == ["python", "-m", "pytest", "--pyargs", "sim.conformance"]
    assert zoo[:3] == ["python", "-m", "tests.zoo"]


def test_the_measurement_of_the_readme_is_a_ready_suite() -> None:
    """tests/benchmarks runs a shorter one."""
    module = next(words[2:] for words in commands(OWN) if words[:2] == ["python", "-m"])

    from benchmarks.__main__ import benchmarks

    program, command, suite = module
    assert program == "benchmarks"
    assert command in benchmarks.commands
    assert (ROOT / "benchmarks" / "suites" / f"{suite}.toml").is_file()


def test_the_summary_of_the_readme_is_the_one_that_the_demo_gives() -> None:
    assert SUMMARY is not None
    source = (ROOT / "host" / "demo" / "story.py").read_text(encoding="utf-8")
    source += (ROOT / "host" / "demo" / "lead.py").read_text(encoding="utf-8")
    shown = re.findall(r"^  ok      (\w+(?: \w+)?)  ", SUMMARY[1], re.MULTILINE)

    told = re.findall(r'screen\.fact\(\s*"([^"]+)"', source)

    assert sorted(shown) == sorted(set(told) - {"in time", "stopped"})
    assert re.search(rf"^{len(shown)} of {len(shown)} facts hold", SUMMARY[1], re.MULTILINE)
    assert all(len(line) <= 80 for line in SUMMARY[1].splitlines())


def test_the_exit_codes_of_the_readme_are_those_of_the_commands() -> None:
    documented = main.__doc__ or ""
    for words in ("0 done", "1 the check failed", "2 wrong usage", "130 interrupted"):
        assert words in " ".join(README.split())
        assert words in " ".join(documented.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_file_of_a_document_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    files = re.findall(r"`([a-z0-9_]+/[a-z0-9_/]*(?:\.[a-z]+)?)`", text)

    gone = [name for name in links if "://" not in name and not (document.parent / name).exists()]
    gone += [name for name in files if not (ROOT / name).exists()]

    assert not gone


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_function_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")

    wrong = [
        f"{path}:{name}"
        for path, name in re.findall(r"`([a-z0-9_/]+\.py):([\w.]+)`", text)
        if name not in names_in(ROOT / path)
    ]

    assert not wrong


def test_the_walk_names_what_it_passes() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert len(re.findall(r"`[a-z0-9_/]+\.py:[\w.]+`", text)) > 25


def names_in(path: Path) -> set[str]:
    """Functions, classes and methods of a file, as "name" or "Class.name"."""
    names = set()
    for item in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(item.name)
        if isinstance(item, ast.ClassDef):
            names |= {
                f"{item.name}.{part.name}"
                for part in item.body
                if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_is_one(document: Path) -> None:
    text = document.read_text(encoding="utf-8")

    named = set(re.findall(r"node\.py ([a-z]+)", text))

    assert named <= set(main.COMMANDS)


def test_decisions_are_numbered_and_say_what_they_cost() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        for part in ("**Context.**", "**Alternatives.**", "**Decision.**", "**Consequences.**"):
            assert part in text, f"{path.name} lacks {part}"


def test_the_plugins_of_the_project_are_those_that_are_found() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = set(project["entry-points"]["ledger.consensus"])

    from consensus.registry import protocol_names

    assert declared <= set(protocol_names())
    told = call("sim", "--protocol", sorted(declared)[0], "--faults", "none", "--json")
    assert json.loads(told.check().out)["violations"] == []
