"""Evidence of ML-DSA networks convinces, and names, by the genesis alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from consensus.protocols.jolteon import Jolteon
from ledger.errors import DecodeFault, ProofFault
from ledger.evidence import Equivocation, Fork, Judge, Piece, encode_evidence, make_equivocation
from ledger.genesis import Genesis, to_json
from ledger.limits import ML_DSA_44_SIGNATURE_BYTES, VALIDATORS_MAX
from ledger.statement import Statement
from sim.fork import fork_scenario, run_fork
from tests.host.program import call
from tests.ledger.accused import COMMON, Log, X, Y, say
from tests.ledger.builders import consensus_signer_of, make_genesis

SCHEMES = ("ml-dsa-44", "ml-dsa-65")
"""In the second one votes are signed by ML-DSA-65, checkpoints by ML-DSA-44 as in the first."""
GENESES = {scheme: make_genesis(scheme=scheme) for scheme in SCHEMES}
each_scheme = pytest.mark.parametrize("scheme", SCHEMES)
STRIDE = 41
"""Prime, so that the flipped bytes lie everywhere: in every field, and anywhere in base64."""


def equivocation(genesis: Genesis, said_by: int = 2) -> Equivocation:
    """Two values under the name of validator 2."""
    said = (say(said_by, value, genesis=genesis, epoch=genesis.epoch.id) for value in (X, Y))
    return make_equivocation(genesis.epoch.id, 2, "prevote", (7, 1), *said)


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


@each_scheme
def test_verify_names_the_culprits_of_both_kinds(tmp_path: Path, scheme: str) -> None:
    genesis = GENESES[scheme]
    pieces = [equivocation(genesis).encode(), fork(genesis).encode()]
    command = write(tmp_path, genesis, encode_evidence(genesis.network, pieces))

    told = call(*command).check().document

    assert told["culprits"] == ["node1", "node2"]
    assert {piece["kind"] for piece in told["evidence"]} == {"equivocation", "fork"}


@each_scheme
def test_verify_names_who_forked_a_network_of_whole_replicas(tmp_path: Path, scheme: str) -> None:
    report = run_fork(fork_scenario(2, "jolteon", 4), Jolteon, scheme=scheme)
    command = write(tmp_path, report.genesis, report.evidence)

    told = call(*command).check().document

    members = report.genesis.epoch.validators.members
    assert not report.violations
    assert report.genesis.scheme == scheme
    assert told["culprits"] == [members[index].name for index in report.culprits]


@each_scheme
@pytest.mark.parametrize("make", [equivocation, fork])
def test_a_flipped_byte_is_refused(make: Callable[[Genesis], Piece], scheme: str) -> None:
    genesis = GENESES[scheme]
    raw = encode_evidence(genesis.network, [make(genesis).encode()])
    judge = Judge(genesis)
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


@each_scheme
def test_the_votes_of_one_validator_accuse_no_other(scheme: str) -> None:
    with pytest.raises(ProofFault, match=r"evidence\.signature"):
        Judge(GENESES[scheme]).check_piece(equivocation(GENESES[scheme], said_by=3))


def test_what_the_key_of_checkpoints_signed_is_no_vote() -> None:
    genesis = GENESES["ml-dsa-65"]
    key = consensus_signer_of("node2", genesis.scheme).checkpoints
    said = []
    for value in (X, Y):
        vote = Statement(genesis.network, genesis.epoch.id, "prevote", (7, 1), value)
        said.append((value, key.sign(vote.signed_bytes())))
    piece = make_equivocation(genesis.epoch.id, 2, "prevote", (7, 1), *said)

    with pytest.raises(ProofFault, match=r"evidence\.signature"):
        Judge(genesis).check_piece(piece)


@each_scheme
def test_a_fork_of_the_largest_network_fits_into_a_file(scheme: str) -> None:
    """Two quorums of 171 signatures, each of which takes 3.3 kB in a note."""
    largest = make_genesis(scheme=scheme, validators=VALIDATORS_MAX)
    raw = encode_evidence(largest.network, [fork(largest).encode()])

    (conviction,) = Judge(largest).check(raw)

    assert conviction.culprits == tuple(range(85, 171))
    assert len(conviction.culprits) > largest.epoch.validators.faults
