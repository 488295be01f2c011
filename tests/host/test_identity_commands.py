"""Members at a terminal: the commands of docs/identity.md, and what fails."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.host.program import ROOT, Done, call, running_cluster

DOCUMENT = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
STEPS = [words[2:] for line in BLOCK.splitlines() if (words := shlex.split(line, comments=True))]
PATHS = ("mynet", "bob.key", "bob2.key", "bob.state-proof")


def test_the_commands_of_the_document_work(tmp_path: Path) -> None:
    init, cluster, new_key, add, approve, show, rotate, resolve, verify = STEPS
    known = {"4": "1"}
    """One validator does what four do, in less time."""

    def step(words: list[str]) -> Done:
        known_words = [known.get(word, word) for word in words]
        return call(*(tmp_path / w if w.split("/")[0] in PATHS else w for w in known_words))

    step(init).check()
    assert cluster == ["cluster", "mynet"]
    network = tmp_path / "mynet"
    at = ("--network", network)
    known["KEY"] = step(new_key).check().out.strip()
    with running_cluster(network):
        # The members of the genesis are there before the first block.
        before = call("identity", "show", *at, "--json").check().document
        assert [row["member"] for row in before["members"]] == ["member", "member1", "member2"]

        known["PROPOSAL"], told = step(add).check().out.split("  ")
        assert told.startswith("proposed: 1 of 2 approvals, after block ")
        (waiting,) = call("identity", "show", *at, "--json").check().document["proposals"]
        assert (waiting["id"], waiting["change"]["name"]) == (known["PROPOSAL"], "bob")
        approved = step(approve).check()
        assert f"approving add bob with key {known['KEY']} as submitter" in approved.err
        assert "  done, after block " in approved.out
        assert "bob " in step(show).check().out
        (tmp_path / "data").write_text("data")
        record = ("submit", "--record", tmp_path / "data", *at, "--key")
        call(*record, tmp_path / "bob.key").check()

        step(rotate).check()
        gone = call(*record, tmp_path / "bob.key")
        assert (gone.code, "transaction.unknown-sender" in gone.err) == (1, True)
        call(*record, tmp_path / "bob2.key").check()
        old = call("identity", "show", known["KEY"], *at, "--json").check().document
        assert (old["member"], old["use"]) == ("bob", "rotated")

        result = step(resolve).check().document
        did = result["didDocument"]["id"]
        assert did.endswith(":bob")
        again = call("identity", "resolve", did, *at).check().document
        assert again["didDocument"] == result["didDocument"]
        nobody = call("identity", "resolve", "nobody", *at)
        assert (nobody.code, nobody.document["didResolutionMetadata"]["error"]) == (1, "notFound")
        proved = call("prove", "identity", "mbob", *at, "--json").check().document
        assert proved["document"] == result["didDocument"]
        _what_administrators_get_wrong(at, known["PROPOSAL"])

    told = step(verify).check().out
    assert told.startswith("valid\n")
    assert f"  did          {did}\n" in told
    proof = tmp_path / "bob.state-proof"
    raw = bytearray(proof.read_bytes())
    raw[raw.index(b"mbob") + 1] ^= 1
    proof.write_bytes(raw)
    assert step(verify).code == 1
    assert call("audit", network / "node0").check().out.startswith("valid\n")


def _what_administrators_get_wrong(at: tuple[object, ...], done_before: str) -> None:
    stale = call("identity", "approve", done_before, *at)
    assert (stale.code, "identity.no-proposal" in stale.err) == (1, True)
    unknown = call("identity", "remove", "nobody", *at, "--json")
    assert (unknown.code, unknown.document["reason"]) == (1, "identity.unknown")
    other = call("identity", "resolve", f"did:ledger:{'00' * 32}:bob", *at)
    assert other.code == 2


def test_what_a_person_gets_wrong_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "own.key"
    call("keys", "new", "-o", key).check()
    at = ["--api", "http://127.0.0.1:1", "--key", key]
    net = tmp_path / "net"
    cases: list[tuple[list[object], str]] = [
        (["identity", "add", "bob", "key", *at], "no public key"),
        (["identity", "add", "b ob", "00" * 32, *at], "identity.name"),
        (["identity", "roles", "bob", "--role", "king", *at], "king"),
        (["identity", "roles", "bob", "--role", "administrator", *at], "submitter too"),
        (["identity", "approve", "bob", *at], "no proposal"),
        (["prove", "identity", "xyz", "--hex", *at[:2]], "not hexadecimal"),
        (["init", net, "--approvals", "1"], "--application identity"),
        (["init", net, "--approvals", "2", "--application", "identity"], "raise --members"),
    ]
    for words, part in cases:
        done = call(*words)
        assert done.code == 2, words
        assert part in done.err
        assert "Traceback" not in done.err
