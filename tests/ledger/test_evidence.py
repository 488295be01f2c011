"""Evidence holds exactly where a validator broke a rule, whoever checks it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.evidence import (
    DOMAIN,
    PIECE_BYTES_MAX,
    Judge,
    Piece,
    encode_evidence,
    make_equivocation,
    parse_evidence,
    parse_piece,
)
from ledger.keys import scheme_named
from ledger.statement import DOMAIN as STATEMENT_DOMAIN
from ledger.statement import Statement
from tests.ledger.accused import (
    COMMON,
    EPOCH,
    GENESIS,
    ONE,
    OTHER,
    TWO,
    X,
    Y,
    bad_pieces,
    equivocation,
    fork,
    level_fork,
    say,
)
from tests.ledger.builders import damaged, loose_encodings, make_genesis
from tests.ledger.builders import refused as decode_refused
from tests.ledger.mutants_evidence import (
    MUTANTS,
    ForgetsTheNetwork,
    UnboundStatement,
)
from tests.ledger.test_handover import handed_over

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
JUDGE = Judge(GENESIS)
BAD = bad_pieces()
GOOD: dict[str, Piece] = {
    "equivocation": equivocation(),
    "against nil": make_equivocation(EPOCH.id, 0, "prevote", (7, 1), say(0, b""), say(0, X)),
    "two batches": make_equivocation(
        EPOCH.id,
        1,
        "batch",
        (5,),
        say(1, X, phase="batch", slot=(5,)),
        say(1, Y, phase="batch", slot=(5,)),
    ),
    "fork": fork(),
    "level fork": level_fork(),
    "fork from a full tree": fork(short=10, long=16),
}
FILE = encode_evidence(GENESIS.network, [piece.encode() for piece in GOOD.values()])


def refused(judge: Judge, piece: Piece) -> str:
    """The reason for which a judge refuses; empty where it does not."""
    try:
        judge.check_piece(piece)
    except (ProofFault, DecodeFault) as fault:
        return fault.reason
    return ""


# --- what holds -----------------------------------------------------------------------------------


def test_two_values_name_their_signer() -> None:
    conviction = JUDGE.check_piece(GOOD["equivocation"])

    assert conviction.culprits == (2,)
    assert conviction.names == ("node2",)


@pytest.mark.parametrize("name", ["fork", "level fork", "fork from a full tree"])
def test_a_fork_names_everyone_who_signed_both_pasts(name: str) -> None:
    conviction = JUDGE.check_piece(GOOD[name])

    assert conviction.culprits == (1, 2)
    assert len(conviction.culprits) > GENESIS.epoch.validators.faults
    assert conviction.heads[0].root != conviction.heads[1].root


def test_every_pair_of_sizes_beyond_the_parting_is_a_fork() -> None:
    for short in range(10, 18):
        for long in range(short + 1, 19):
            assert JUDGE.check_piece(fork(short, long)).culprits == (1, 2)


def test_no_proof_makes_a_fork_of_sizes_before_the_parting() -> None:
    for short in range(1, 10):
        assert ONE.root(short) == TWO.root(short)
        assert refused(JUDGE, fork(short, 15)) == "evidence.consistent"
        assert refused(JUDGE, fork(short, 15, root=X)) in ("merkle.root", "merkle.path")


def test_a_file_holds_if_every_piece_holds() -> None:
    convictions = JUDGE.check(FILE)

    assert {name for each in convictions for name in each.names} == {"node0", "node1", "node2"}


def test_evidence_of_a_later_epoch_is_led_there_by_handovers() -> None:
    _, handovers = handed_over(1)
    record = handovers[0].record
    said = [say(4, value, epoch=record.id) for value in (X, Y)]
    piece = make_equivocation(record.id, 0, "prevote", (7, 1), *said)
    led = replace(piece, handovers=tuple(handovers))

    assert JUDGE.check_piece(parse_piece(led.encode())).names == ("node4",)
    assert refused(JUDGE, piece) == "evidence.epoch"
    assert refused(JUDGE, replace(equivocation(), handovers=led.handovers)) == "evidence.epoch"


# --- what does not --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_fault_accuses_nobody(name: str) -> None:
    piece, reason = BAD[name]

    assert refused(JUDGE, piece) == reason


def test_evidence_is_of_one_network() -> None:
    """I36: the network is in the file, in every statement and in every certificate."""
    with pytest.raises(ProofFault, match=r"evidence\.network"):
        Judge(OTHER).check(FILE)
    forged = FILE.replace(GENESIS.network, OTHER.network)
    with pytest.raises(ProofFault):
        Judge(OTHER).check(forged)


def test_one_bad_piece_spoils_a_file() -> None:
    bad, reason = BAD["another's votes"]
    raw = encode_evidence(GENESIS.network, [fork().encode(), bad.encode()])

    with pytest.raises(ProofFault) as caught:
        JUDGE.check(raw)
    assert caught.value.reason == reason


def test_signatures_of_the_simulator_convince_its_own_genesis_alone() -> None:
    assert refused(Judge(make_genesis(scheme="keyed-hash")), equivocation()) != ""


# --- one encoding ---------------------------------------------------------------------------------


def test_a_piece_is_read_back_as_it_was_written() -> None:
    for piece in GOOD.values():
        assert parse_piece(piece.encode()) == piece
    assert set(parse_evidence(FILE)[1]) == set(GOOD.values())


def test_the_same_fault_is_the_same_piece_whoever_saw_it_in_whatever_order() -> None:
    """I30: two nodes that saw it at different times, in different order, write the same bytes."""
    said = say(2, X), say(2, Y)

    pieces = {
        make_equivocation(EPOCH.id, 2, "prevote", (7, 1), *order).encode()
        for order in (said, said[::-1])
    }

    assert pieces == {equivocation().encode()}
    one, two = equivocation().encode(), fork().encode()
    assert encode_evidence(bytes(32), [one, two]) == encode_evidence(bytes(32), [two, one, two])


@pytest.mark.parametrize("change", [lambda pieces: pieces * 2, lambda pieces: pieces[::-1]])
def test_pieces_stand_once_and_in_order(change: object) -> None:
    pieces = tuple(sorted(piece.encode() for piece in GOOD.values()))
    raw = DOMAIN + encode((1, GENESIS.network, change(pieces)))  # type: ignore[operator]

    with pytest.raises(DecodeFault, match=r"evidence\.order"):
        JUDGE.check(raw)


def test_no_changed_byte_of_a_file_goes_unnoticed() -> None:
    raw = encode_evidence(GENESIS.network, [equivocation().encode(), fork().encode()])
    unnoticed = []
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1 << place % 8]) + raw[place + 1 :]
        try:
            JUDGE.check(changed)
        except (DecodeFault, ProofFault):
            continue
        unnoticed.append(place)

    assert not unnoticed


@pytest.mark.parametrize("name", GOOD)
def test_a_piece_has_one_encoding(name: str) -> None:
    raw = GOOD[name].encode()
    value = msgpack.unpackb(raw, use_list=False)

    assert all(decode_refused(parse_piece, loose) for loose in loose_encodings(value))
    assert all(decode_refused(parse_piece, raw[:stop]) for stop in range(len(raw)))
    assert decode_refused(parse_piece, raw + b"\x00")


@given(st.data())
def test_damaged_evidence_is_refused_in_one_of_two_ways(data: st.DataObject) -> None:
    raw = data.draw(damaged(FILE))
    if raw == FILE:
        return

    with pytest.raises(Fault):
        JUDGE.check(raw)


def test_size_and_kind_are_bounded_before_anything_is_made() -> None:
    for raw in (b"", DOMAIN, DOMAIN + b"\xdd\xff\xff\xff\xff", b"\x9b\x01\x03", bytes(99)):
        assert decode_refused(parse_evidence, raw)
    assert decode_refused(parse_piece, b"\x9b\x01\x01" + bytes(PIECE_BYTES_MAX))
    assert decode_refused(parse_piece, b"\x98\x01\x03")
    assert decode_refused(parse_evidence, DOMAIN + encode((1, GENESIS.network, ())))


def test_nothing_of_the_moment_or_the_place_is_in_a_piece() -> None:
    """E3: no clock and no observer: the fields are the epoch's, the validator's and the log's."""
    fields = set(equivocation().__slots__) | set(fork().__slots__)

    assert fields == {
        "epoch", "handovers", "validator", "phase", "slot", "first", "second", "root", "path",
    }  # fmt: skip
    assert len(COMMON) == 9


def test_the_example_of_the_format_is_right() -> None:
    text = "".join(FORMAT.read_text(encoding="utf-8").partition("## 11. Evidence")[2].split())
    signer = scheme_named("ed25519").signer(bytes(32))
    network, epoch = b"\x07" * 32, b"\x08" * 32
    said = []
    for value in (b"\x01" * 32, b"\x02" * 32):
        message = Statement(network, epoch, "prevote", (7, 1), value).signed_bytes()
        said.append((value, signer.sign(message)))
    piece = make_equivocation(epoch, 0, "prevote", (7, 1), *said).encode()
    file = encode_evidence(network, [piece])

    statement = Statement(network, epoch, "prevote", (7, 1), said[0][0]).signed_bytes()
    assert f"statement1{statement.removeprefix(STATEMENT_DOMAIN).hex()}signature1" in text
    assert f"signature1{said[0][1].hex()}signature2{said[1][1].hex()}piece" in text
    assert f"piece{len(piece)}bytes,SHA-256{sha256(piece).hexdigest()}" in text
    assert f"file{len(file)}bytes,SHA-256{sha256(file).hexdigest()}" in text


# --- judges that lack a rule ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
def test_a_judge_that_lacks_a_rule_accuses_the_honest(kind: type[Judge]) -> None:
    taken = {name for name, (piece, _) in BAD.items() if not refused(kind(GENESIS), piece)}

    assert taken == MUTANTS[kind]
    assert all(not refused(kind(GENESIS), piece) for piece in GOOD.values())


def test_statements_without_the_network_accuse_a_validator_of_two_networks() -> None:
    """N1m: honest on two networks with the same epoch record, it says different things on each."""
    assert OTHER.epoch.id == EPOCH.id
    piece = make_equivocation(
        EPOCH.id,
        2,
        "prevote",
        (7, 1),
        say(2, X, kind=UnboundStatement),
        say(2, Y, genesis=OTHER, kind=UnboundStatement),
    )

    assert not refused(ForgetsTheNetwork(GENESIS), piece)
    assert refused(JUDGE, BAD["a vote on another network"][0]) == "evidence.signature"
