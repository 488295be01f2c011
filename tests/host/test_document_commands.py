"""Documents at a terminal: the commands of docs/documents.md, and what fails."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.host.program import ROOT, Done, call, running_cluster

DOCUMENT = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
STEPS = [words[2:] for line in BLOCK.splitlines() if (words := shlex.split(line, comments=True))]


def test_the_commands_of_the_document_work(tmp_path: Path) -> None:
    init, _, first, second, show, check, get, tombstone, verify = STEPS
    at = ("--network", tmp_path / "mynet")
    known: dict[str, str] = {"4": "1"}

    def step(words: list[str]) -> Done:
        """One validator does what four do; files are in a folder of the test's own."""
        made = []
        for number, word in enumerate(words):
            named = known.get(word, word).replace("COMMITMENT", known.get("COMMITMENT", ""))
            is_name = words[number - 1] == "--name" or words[:2] in (
                ["document", "show"],
                ["document", "tombstone"],
            )
            is_file = named.split("/")[0] in ("mynet", "plan2.txt", "plan.state-proof") or (
                named == "plan.txt" and not is_name and words[0] != "get"
            )
            made.append(str(tmp_path / named) if is_file else named)
        return call(*made)

    (tmp_path / "plan.txt").write_text("a bridge")
    (tmp_path / "plan2.txt").write_text("a bridge, and a road to it")
    step(init).check()
    store = tmp_path / "mynet" / "documents"
    with running_cluster(tmp_path / "mynet"):
        step(first).check()
        step(second).check()
        step(show).check()
        chain = call("document", "show", "plan.txt", *at, "--json").check().document["chain"]
        assert [row["number"] for row in chain] == [1, 2]
        assert chain[1]["supersedes"] == chain[0]["commitment"]
        assert sorted(path.name for path in store.iterdir()) == sorted(
            row["commitment"] for row in chain
        )
        known["COMMITMENT"] = chain[1]["commitment"]
        assert step(check).check().out.startswith("valid\n")
        opening = tmp_path / "opening.json"
        opening.write_bytes((store / known["COMMITMENT"] / "opening.json").read_bytes())
        for number in (1, 2):
            assert f"version {number} " in step(get).check().out
        nobody = call("document", "show", "nothing", *at)
        assert (nobody.code, "absent" in nobody.out) == (1, True)
        _what_the_ledger_refuses(tmp_path)
        assert len(list(store.iterdir())) == 3

        assert "2 versions deleted" in step(tombstone).check().out
        assert not (store / known["COMMITMENT"]).exists()
        again = call("document", "tombstone", "plan.txt", *at, "--json").check().document
        assert again["erased"] == 0
        gone = call("document", "show", "plan.txt", *at, "--json").check().document
        assert (gone["status"], gone["reason"]) == ("tombstone", "contract ended")
        assert len(gone["chain"]) == 2

    # The proof from before outlives network and content, and its opening too, where one was given.
    assert step(verify).check().out.startswith("valid\n")
    proof = ("--proof", tmp_path / "plan.state-proof", "--opening", opening)
    genesis = ("--genesis", tmp_path / "mynet" / "genesis.json")
    assert call("document", "check", tmp_path / "plan2.txt", *proof, *genesis).code == 0
    other = call("document", "check", tmp_path / "plan.txt", *proof, *genesis, "--json")
    assert (other.code, other.document["reason"]) == (1, "document.data")
    assert call("audit", tmp_path / "mynet" / "node0").check().out.startswith("valid\n")


def _what_the_ledger_refuses(folder: Path) -> None:
    """A document that must be kept, and one that nobody has put."""
    at = ("--network", folder / "mynet")
    held = ("document", "put", folder / "plan.txt", "--name", "held", *at)
    call(*held, "--keep-until", "2999-01-01").check()
    early = call("document", "tombstone", "held", *at, "--json")
    assert (early.code, early.document["reason"]) == (1, "document.retained")
    shorter = call(*held, "--keep-until", "2998-01-01", "--json")
    assert (shorter.code, shorter.document["reason"]) == (1, "document.retention")
    unknown = call("document", "give", "nothing", "00" * 32, *at, "--json")
    assert (unknown.code, unknown.document["reason"]) == (1, "document.unknown")


def test_what_a_person_gets_wrong_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "own.key"
    call("keys", "new", "-o", key).check()
    (tmp_path / "plan").write_text("a bridge")
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    at = ["--api", "http://127.0.0.1:1", "--key", key]
    proof = ["--proof", bad, "--genesis", bad]
    cases: list[tuple[list[object], str]] = [
        (["document", "put", tmp_path / "plan", *at], "--store DIR"),
        (["document", "put", tmp_path / "gone", *at, "--store", tmp_path], "cannot read"),
        (["document", "give", "plan", "bob", *at], "as `keys show` prints it"),
        (["document", "tombstone", "", *at, "--store", tmp_path], "encoding.length"),
        (["document", "check", tmp_path / "plan", "--opening", bad, *proof], "genesis"),
    ]
    for words, part in cases:
        done = call(*words)
        assert done.code == 2, (words, done.err)
        assert part in done.err
        assert "Traceback" not in done.err
