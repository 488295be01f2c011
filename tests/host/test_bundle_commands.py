"""`--bundle` and `verify` of what it writes: with and without the files, whole and damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from api import lineage
from api.client import LedgerClient
from host.commands import main, options
from host.importers.files import content_statement, read_content
from ledger import genesis as genesis_format
from ledger import lineage_walk
from ledger.applications.provenance import Statement, make_statement
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of
from tests.host.program import ROOT, call, running_cluster
from tests.ledger.builders import make_genesis, make_signed, signer_of

GENESIS = make_genesis()
ALICE = f"member:{signer_of('alice').public_key.hex()}"
SPACES = {"x": "urn:x:", "sha256": "urn:x-sha256:", "member": "urn:x-member:"}
GUIDE = (ROOT / "docs" / "bundle.md").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Bench:
    """A ledger in memory, the files that it names, and what commands say."""

    folder: Path
    node: MemoryNode
    capsys: pytest.CaptureFixture[str]
    raw: str
    """Name of the entity that is the file raw.csv."""
    clean: str

    def command(self, *words: object) -> tuple[int, str, str]:
        code = main.run([str(word) for word in words])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def ask(self, *words: object) -> tuple[int, str, str]:
        where = ("--api", "http://node0", "--genesis", self.folder / "genesis.json")
        return self.command(*words, *where)

    def verify(self, *words: object) -> tuple[int, str, str]:
        genesis = ("--genesis", self.folder / "genesis.json")
        return self.command("verify", self.folder / "a.bundle", *genesis, *words)

    def facts(self, *words: object) -> dict[str, Any]:
        return dict(json.loads(self.verify("--json", *words)[1]))


def say(kind: str, identifier: str = "", **arguments: str) -> Statement:
    return make_statement(kind, identifier, namespaces=SPACES, arguments=arguments)


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    data = tmp_path / "data"
    data.mkdir()
    (data / "raw.csv").write_bytes(b"3\n1\n2\n")
    (data / "clean.csv").write_bytes(b"1\n2\n3\n")
    raw = read_content(data / "raw.csv", shown="raw.csv")
    clean = read_content(data / "clean.csv", shown="clean.csv")
    by_alice = [
        content_statement(clean),
        say("wasGeneratedBy", entity=clean.name, activity="x:sort"),
        say("used", activity="x:sort", entity=raw.name),
        say("wasAssociatedWith", activity="x:sort", agent=ALICE),
        say("wasAssociatedWith", activity="x:sort", agent="x:carol"),
    ]
    ledger = MemoryLedger(GENESIS)
    for nonce, (sender, said) in enumerate(
        [("bob", [content_statement(raw)]), ("alice", by_alice)], 1
    ):
        operations = [each.operation() for each in said]
        ledger.confirm(make_signed(GENESIS, sender, nonce, expiry=99, operations=operations))
    node = MemoryNode(ledger)
    (tmp_path / "genesis.json").write_text(genesis_format.to_json(GENESIS))
    monkeypatch.setattr(options, "LedgerClient", partial(LedgerClient, transport=net_of(node)))
    return Bench(tmp_path, node, capsys, raw.name, clean.name)


def bundled(bench: Bench) -> Bench:
    code, _, said = bench.ask("trace", bench.clean, "--bundle", bench.folder / "a.bundle")
    assert code == 0
    assert said.rstrip().endswith("bytes prove 6 of 6 statements")
    return bench


def test_a_bundle_is_verified_without_any_node(bench: Bench) -> None:
    code, told, _ = bundled(bench).verify("--data", bench.folder / "data")

    assert code == 0
    lines = told.splitlines()
    assert lines[0] == "valid bundle"
    assert f"  question          trace {bench.clean} --upstream" in lines
    assert "  links             4 of 4 hold" in lines
    assert any(line.startswith("  statements        6 of 6 signed for") for line in lines)
    assert "  signer            alice: 5" in lines
    assert "  signer            bob: 1" in lines
    assert f"  agent             {ALICE}: signed statements here itself" in lines
    assert "  agent             x:carol: named; which key is its own is not known" in lines
    assert any("2 files as recorded, 0 changed" in line for line in lines)
    assert "nothing is missing" in lines[-1]


def test_programs_get_every_link_with_who_signed_for_it(bench: Bench) -> None:
    facts = bundled(bench).facts()

    assert facts["valid"] is True
    assert facts["links"][0] == {
        "from": bench.clean, "kind": "wasGeneratedBy", "to": "x:sort", "holds": True,
        "signed_by": ["alice"], "blocks": [2],
    }  # fmt: skip
    assert facts["blocks"] == [1, 2]
    assert "data" not in facts


def test_a_changed_file_is_named_and_so_is_a_lost_and_a_strange_one(bench: Bench) -> None:
    bundled(bench)
    data = bench.folder / "data"
    (data / "strange.txt").write_text("nobody speaks of it")
    assert bench.facts("--data", data)["data"]["unnamed"] == ["strange.txt"]
    (data / "clean.csv").unlink()
    facts = bench.facts("--data", data)
    assert facts["valid"] is True
    assert [each["paths"] for each in facts["data"]["absent"]] == [["clean.csv"]]

    for place in range(6):
        content = bytearray(b"3\n1\n2\n")
        content[place] ^= 1
        (data / "raw.csv").write_bytes(content)
        facts = bench.facts("--data", data)
        assert facts["valid"] is False
        assert facts["reasons"] == ["bundle.data-changed", "bundle.data-unknown"]
        assert [each["file"] for each in facts["data"]["changed"]] == ["raw.csv"]
    assert bench.verify("--data", data / "raw.csv")[0] == 1
    (data / "raw.csv").write_bytes(b"3\n1\n2\n")
    assert bench.verify("--data", data / "raw.csv")[0] == 0


def test_a_file_of_a_content_store_is_known_by_its_name(bench: Bench) -> None:
    bundled(bench)
    store = bench.folder / "store"
    digest = bench.raw.partition(":")[2]
    (store / digest[:2]).mkdir(parents=True)
    (store / digest[:2] / digest).write_bytes(b"3\n1\n2\n")
    assert bench.verify("--data", store)[0] == 0

    (store / digest[:2] / digest).write_bytes(b"damaged")

    assert [each["sha256"] for each in bench.facts("--data", store)["data"]["changed"]] == [digest]


def test_changed_bytes_of_the_bundle_are_refused_in_one_line(bench: Bench) -> None:
    raw = (bundled(bench).folder / "a.bundle").read_bytes()
    draw = Random("bundle file")
    for _ in range(20):
        changed = bytearray(raw)
        changed[draw.randrange(len(raw))] ^= draw.randrange(1, 256)
        (bench.folder / "a.bundle").write_bytes(changed)
        code, told, error = bench.verify()
        assert (code, told) == (1, "")
        assert error.startswith("refused: ")
        assert error.count("\n") == 1
    assert bench.facts()["valid"] is False


def lying(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change what nodes say of lineage."""
    honest = lineage.page

    def page(*arguments: Any, **more: Any) -> dict[str, Any]:
        found = honest(*arguments, **more)
        change(found["statements"])
        return found

    monkeypatch.setattr(lineage, "page", page)


def test_without_an_index_every_statement_is_read_and_the_bundle_is_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed = (bundled(bench).folder / "a.bundle").read_bytes()
    monkeypatch.setattr(lineage_walk, "SCANNED_MAX", 1)

    assert (bundled(bench).folder / "a.bundle").read_bytes() == indexed


def test_what_a_node_says_and_cannot_prove_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invent(rows: list[dict[str, Any]]) -> None:
        rows.append(
            {**rows[-1], "id": "00" * 32, "kind": "used", "identifier": "", "operation": 9,
             "arguments": {"activity": "x:sort", "entity": "x:magic"}, "attributes": [],
             "namespaces": {"x": "urn:x:"}}
        )  # fmt: skip

    lying(monkeypatch, invent)
    code, _, said = bench.ask("trace", bench.clean, "--bundle", bench.folder / "a.bundle")
    assert code == 1
    assert "cannot prove" in said

    code, told, _ = bench.verify()

    assert code == 1
    assert "  nobody signed for used(x:sort, x:magic, -)" in told.splitlines()
    assert "  does not hold     x:sort used x:magic" in told.splitlines()
    assert bench.facts()["reasons"] == ["bundle.unsigned"]


def test_a_node_that_says_another_statement_than_it_proves_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["arguments"].get("agent") == "x:carol":
                row["arguments"]["agent"] = "x:dave"

    lying(monkeypatch, change)

    code, _, said = bench.ask("trace", bench.clean, "--bundle", bench.folder / "a.bundle")

    assert code == 1
    assert "bundle.other" in said
    assert not (bench.folder / "a.bundle").exists()


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (lambda b: ("trace", b.raw, "--downstream"), "trace {raw} --downstream"),
        (lambda b: ("trace", b.clean, "--depth", "1"), "trace {clean} --upstream --depth 1"),
        (lambda b: ("between", b.raw, b.clean), "between {raw} {clean}"),
        (lambda b: ("who", b.clean), "who {clean}"),
        (lambda b: ("history", b.clean), "history {clean}"),
    ],
)
def test_every_question_writes_its_bundle(
    bench: Bench, words: Callable[[Bench], Sequence[str]], question: str
) -> None:
    code, told, _ = bench.ask(*words(bench), "--bundle", bench.folder / "a.bundle", "--json")

    assert code == 0
    json.loads(told)
    assert bench.facts()["question"] == question.format(raw=bench.raw, clean=bench.clean)


def test_a_user_s_mistakes_are_one_line(bench: Bench) -> None:
    code, _, error = bench.ask("trace", bench.clean, "--bundle", bench.folder / "no" / "a.bundle")
    assert code == 2
    assert error.splitlines()[-1].startswith("error: cannot write")
    code, _, error = bench.ask("trace", "x:nothing", "--bundle", bench.folder / "a.bundle")
    assert code == 1
    assert "no statement names x:nothing" in error
    code, _, error = bundled(bench).verify("--data", bench.folder / "nowhere")
    assert (code, error.count("\n")) == (2, 1)


# --- the guide ------------------------------------------------------------------------------------


def test_the_commands_of_the_guide_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    commands = [line.partition(" #")[0].split() for block in blocks for line in block.splitlines()]
    (tmp_path / "raw.csv").write_bytes(b"3\n1\n2\n")
    call("init", tmp_path / "mynet", "--validators", 1, "--protocol", "solo").check()
    name = ""
    with running_cluster(tmp_path / "mynet"):
        for words in commands:
            assert words[:2] == ["python", "node.py"]
            if words[2] == "verify":
                continue
            call(*[name if word == "ENTITY" else word for word in words[2:]]).check()
            if words[2:4] == ["provenance", "run"]:
                name = read_content(tmp_path / "clean.csv").name
    for words in commands:
        if words[2] == "verify":
            assert call(*words[2:]).check().out.startswith("valid bundle\n")
