"""Evidence as a third party meets it: a file, a genesis, a command, no node."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from host.home import read_genesis, read_private
from host.network import api_urls
from ledger import layout
from ledger.evidence import DOMAIN, EVIDENCE_BYTES_MAX, encode_evidence, make_equivocation
from ledger.genesis import to_json
from ledger.keys import scheme_named
from ledger.statement import Statement
from storage.home import open_store
from tests.host.program import ROOT, call, run, running_cluster
from tests.ledger.accused import GENESIS, OTHER, bad_pieces, equivocation, fork
from tests.ledger.builders import make_genesis


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A genesis and a file of evidence, as handed to a stranger."""
    (tmp_path / "genesis.json").write_text(to_json(GENESIS), encoding="utf-8")
    pieces = [equivocation().encode(), fork().encode()]
    (tmp_path / "a.evidence").write_bytes(encode_evidence(GENESIS.network, pieces))
    return tmp_path


def test_verify_names_the_culprits_in_a_process_that_has_only_the_genesis(folder: Path) -> None:
    done = run("verify", "a.evidence", "--genesis", "genesis.json", cwd=folder).check()

    lines = done.out.splitlines()
    assert lines[0] == "valid evidence"
    assert "  culprits     node1, node2" in lines
    assert "  named        2 of 4 validators, where 1 may be faulty" in lines
    assert any(line.startswith("  equivocation node2 signed ") for line in lines)
    assert any(line.startswith("  fork         node1, node2 signed two pasts") for line in lines)


def test_verify_tells_evidence_as_json(folder: Path) -> None:
    done = call("verify", folder / "a.evidence", "--genesis", folder / "genesis.json", "--json")

    told = done.check().document
    assert told["valid"]
    assert told["culprits"] == ["node1", "node2"]
    assert {piece["kind"] for piece in told["evidence"]} == {"equivocation", "fork"}


def test_verify_refuses_what_is_no_evidence(folder: Path) -> None:
    """B12: whatever is wrong with it, one line, exit code 1, and nobody is named."""
    for name, (piece, reason) in bad_pieces().items():
        try:
            raw = encode_evidence(GENESIS.network, [piece.encode()])
        except OverflowError:
            continue
        (folder / "bad").write_bytes(raw)
        done = call("verify", folder / "bad", "--genesis", folder / "genesis.json", "--json")
        assert done.code == 1, name
        told = json.loads(done.out)
        assert not told["valid"]
        assert told["reason"] == ("encoding.range" if "negative" in name else reason)
        assert done.err.startswith("refused: ")
        assert "node" not in done.out


def test_verify_says_in_one_line_what_is_wrong_with_evidence(folder: Path) -> None:
    (folder / "other.json").write_text(to_json(OTHER), encoding="utf-8")
    (folder / "hashed.json").write_text(
        to_json(make_genesis(scheme="keyed-hash")), encoding="utf-8"
    )
    (folder / "huge").write_bytes(DOMAIN + bytes(EVIDENCE_BYTES_MAX + 1))
    cases = [
        (["a.evidence", "--genesis", "other.json"], 1, "evidence.network"),
        (["a.evidence", "--genesis", "hashed.json"], 2, "prove nothing"),
        (["huge", "--genesis", "genesis.json"], 2, "too large"),
        (["a.evidence", "--genesis", "genesis.json", "--data", "huge"], 2, "leave out --data"),
    ]
    for (file, option, genesis, *rest), code, words in cases:
        more = [folder / word if "-" not in word else word for word in rest]
        done = call("verify", folder / file, option, folder / genesis, *more)
        assert done.code == code
        assert words in done.error_line()


# --- the show: a fork on purpose ------------------------------------------------------------------


def test_a_fork_on_purpose_is_proved_to_a_process_that_has_only_the_genesis(
    tmp_path: Path,
) -> None:
    done = call("fork", "--protocol", "jolteon", "--nodes", 4, "-o", "forked", cwd=tmp_path).check()

    assert done.out.startswith("the ledger forked at height ")
    command = done.out.splitlines()[-1].removeprefix("check it: python node.py ")
    told = run(*command.split(), "--json", cwd=tmp_path).check().document
    assert len(told["culprits"]) == 2
    assert f"  named     {', '.join(told['culprits'])}" in done.out.splitlines()
    assert any(piece["kind"] == "fork" for piece in told["evidence"])


def test_a_fork_is_told_as_json_and_is_the_same_each_time(tmp_path: Path) -> None:
    one, two = (
        call("fork", "--protocol", "tendermint", "--seed", 3, "-o", tmp_path / "f", "--json")
        for _ in range(2)
    )

    assert one.check().out == two.check().out
    assert one.document["named"] == one.document["culprits"]
    assert len(one.document["stopped"]) == 2


# --- what nodes hold ------------------------------------------------------------------------------


def test_evidence_is_collected_from_the_homes_of_a_network(tmp_path: Path) -> None:
    network = tmp_path / "net"
    call("init", network, "--protocol", "tendermint").check()
    output = tmp_path / "found.evidence"

    nothing = call("evidence", "--network", network, "-o", output).check()
    assert nothing.out.startswith("nothing is held against any validator")
    assert not output.exists()

    genesis = read_genesis(network / "genesis.json")
    key = scheme_named("ed25519").signer(read_private(network / "node2" / "consensus.key"))
    said = []
    for value in (b"x" * 32, b"y" * 32):
        statement = Statement(genesis.network, genesis.epoch.id, "prevote", (1, 0), value)
        said.append((value, key.sign(statement.signed_bytes())))
    piece = make_equivocation(genesis.epoch.id, 2, "prevote", (1, 0), *said)
    with open_store(network / "node0", network=genesis.network) as store:
        key_of_piece = layout.equivocation_key(2, "prevote", (1, 0))
        store.write([(key_of_piece, piece.encode())], sync=True)

    done = call("evidence", "--network", network, "-o", output, "--json").check()
    assert done.document == {"pieces": 1, "culprits": ["validator2"], "file": str(output)}
    verified = call("verify", output, "--genesis", network / "genesis.json").check()
    assert "  culprits     validator2" in verified.out.splitlines()


def test_evidence_is_asked_of_running_nodes(tmp_path: Path) -> None:
    call("init", tmp_path / "net", "--protocol", "tendermint").check()
    with running_cluster(tmp_path / "net"):
        urls = [word for url in api_urls(tmp_path / "net") for word in ("--api", url)]
        asked = call("evidence", "--network", tmp_path / "net", *urls, "-o", tmp_path / "e")
        in_use = call("evidence", "--network", tmp_path / "net", "-o", tmp_path / "e")
    gone = call("evidence", "--network", tmp_path / "net", *urls, "-o", tmp_path / "e")

    assert asked.check().out.startswith("nothing is held against any validator")
    assert in_use.code == 2
    assert "in use" in in_use.error_line()
    assert gone.code == 3
    assert "does not answer" in gone.error_line()


# --- the document ---------------------------------------------------------------------------------

DOCUMENT = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")


def test_the_commands_of_the_document_do_what_it_shows(tmp_path: Path) -> None:
    """In its order, with its words; names, sizes and hashes may be others."""
    commands = re.findall(r"^    python node\.py (.*)$", DOCUMENT, re.MULTILINE)
    shown = re.findall(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)

    told = [call(*command.split(), cwd=tmp_path).check().out for command in commands]

    assert len(told) == len(shown) == 2
    assert [_words(text) for text in told] == [_words(text) for text in shown]


def _words(text: str) -> list[str]:
    """The first words of each line, and of several alike one."""
    return list(dict.fromkeys(line[:15].rstrip(" 0123456789") for line in text.splitlines()))
