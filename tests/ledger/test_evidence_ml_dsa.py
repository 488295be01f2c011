"""Evidence of ML-DSA-44 networks convinces, and names, by the genesis alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.protocols.jolteon import Jolteon
from ledger.errors import DecodeFault, ProofFault
from ledger.evidence import Equivocation, Fork, Judge, Piece, encode_evidence, make_equivocation
from ledger.genesis import Genesis, to_json
from ledger.limits import ML_DSA_44_SIGNATURE_BYTES, VALIDATORS_MAX
from sim.fork import fork_scenario, run_fork
from tests.host.program import call
from tests.ledger.accused import COMMON, Log, X, Y, say
from tests.ledger.builders import make_genesis

GENESIS = make_genesis(scheme="ml-dsa-44")
STRIDE = 41
"""Prime, so that the flipped bytes lie everywhere: in every field, and anywhere in base64."""


def equivocation(said_by: int = 2) -> Equivocation:
    """Two values under the name of validator 2."""
    said = (say(said_by, value, genesis=GENESIS, epoch=GENESIS.epoch.id) for value in (X, Y))
    return make_equivocation(GENESIS.epoch.id, 2, "prevote", (7, 1), *said)


def fork(genesis: Genesis) -> Fork:
    """The first quorum certifies one past, and the last quorum another."""
    size, quorum = genesis.epoch.validators.size, genesis.epoch.validators.quorum
    one = Log(*COMMON, b"this", b"one", genesis=genesis)
    two = Log(*COMMON, b"that", b"two", b"more", genesis=genesis)
    first, second = one.note(11, range(quorum)), two.note(12, range(size - quorum, size))
    return Fork(genesis.epoch.id, first, second, two.root(11), two.path(11, 12))


def write(folder: Path, genesis: Genesis, raw: bytes) -> tuple[object, ...]:
    """What a stranger is handed, and the command that judges it."""
    (folder / "genesis.json").write_text(to_json(genesis), encoding="utf-8")
    (folder / "a.evidence").write_bytes(raw)
    return ("verify", folder / "a.evidence", "--genesis", folder / "genesis.json", "--json")


def test_verify_names_the_culprits_of_both_kinds(tmp_path: Path) -> None:
    pieces = [equivocation().encode(), fork(GENESIS).encode()]
    command = write(tmp_path, GENESIS, encode_evidence(GENESIS.network, pieces))

    told = call(*command).check().document

    assert told["culprits"] == ["node1", "node2"]
    assert {piece["kind"] for piece in told["evidence"]} == {"equivocation", "fork"}


def test_verify_names_who_forked_a_network_of_whole_replicas(tmp_path: Path) -> None:
    report = run_fork(fork_scenario(2, "jolteon", 4), Jolteon, scheme="ml-dsa-44")
    command = write(tmp_path, report.genesis, report.evidence)

    told = call(*command).check().document

    members = report.genesis.epoch.validators.members
    assert not report.violations
    assert report.genesis.scheme == "ml-dsa-44"
    assert told["culprits"] == [members[index].name for index in report.culprits]


@pytest.mark.parametrize("piece", [equivocation(), fork(GENESIS)], ids=["equivocation", "fork"])
def test_a_flipped_byte_is_refused(piece: Piece) -> None:
    raw = encode_evidence(GENESIS.network, [piece.encode()])
    judge = Judge(GENESIS)
    assert judge.check(raw)

    unnoticed = []
    for place in [*range(0, len(raw), STRIDE), len(raw) - 1]:
        flipped = raw[:place] + bytes([raw[place] ^ 1 << place % 8]) + raw[place + 1 :]
        try:
            judge.check(flipped)
        except (DecodeFault, ProofFault):
            continue
        unnoticed.append(place)

    assert len(raw) > 2 * ML_DSA_44_SIGNATURE_BYTES
    assert not unnoticed


def test_the_votes_of_one_validator_accuse_no_other() -> None:
    with pytest.raises(ProofFault, match=r"evidence\.signature"):
        Judge(GENESIS).check_piece(equivocation(said_by=3))


def test_a_fork_of_the_largest_network_fits_into_a_file() -> None:
    """Two quorums of 171 signatures, each of which takes 3.3 kB in a note."""
    largest = make_genesis(scheme="ml-dsa-44", validators=VALIDATORS_MAX)
    raw = encode_evidence(largest.network, [fork(largest).encode()])

    (conviction,) = Judge(largest).check(raw)

    assert conviction.culprits == tuple(range(85, 171))
    assert len(conviction.culprits) > largest.epoch.validators.faults
