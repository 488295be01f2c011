"""Evidence as a third party meets it: a file, a genesis, a command, no node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ledger.evidence import DOMAIN, EVIDENCE_BYTES_MAX, encode_evidence
from ledger.genesis import to_json
from tests.host.program import call, run
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
