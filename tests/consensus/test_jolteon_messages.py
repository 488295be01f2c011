"""What crosses the wire: canonical rows, contradictions refused, statements that bind it all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.interface import Message
from consensus.leaders import Agreed, Decided
from consensus.pacemaker_messages import Proposal, Timeout, Vote
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.jolteon_safety import Safety
from ledger import encoding
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from tests.consensus.jolteon_bench import chain_of, qc_of, tc_of, value_at

B1, B2 = chain_of(1, 2)
B5 = value_at(5, B2)
TC = tc_of(4, qc_of(B2), qc_of(B1), None)
MESSAGES: list[Message] = [
    Proposal(B1, None, None),
    Proposal(B2, qc_of(B1), None),
    Proposal(B5, qc_of(B2), TC),
    Vote(7, B1.digest),
    Timeout(1, None, None),
    Timeout(3, qc_of(B2), None),
    Timeout(5, qc_of(B2), TC),
]


def decoded(kind: type[Message], raw: bytes) -> Message:
    return kind.from_row(encoding.decode(raw, kind.SHAPE, size_max=1 << 20))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message)[:20])
def test_messages_survive_their_encoding(message: Message) -> None:
    again = decoded(type(message), encoding.encode(message.row()))

    assert again == message
    assert again.statement() == message.statement()
    assert len(message.statement()[2]) <= 96


def test_no_two_messages_make_the_same_statement() -> None:
    assert len({message.statement() for message in MESSAGES}) == len(MESSAGES)


def test_a_proposals_statement_binds_its_qc_and_tc() -> None:
    other = tc_of(4, qc_of(B2), None, None)
    proposals = [Proposal(B5, qc_of(B2), TC), Proposal(B5, qc_of(B2), other)]
    proposals += [Proposal(B5, qc_of(B2), None), Proposal(B5, None, TC)]

    assert len({proposal.statement() for proposal in proposals}) == 4


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (Proposal, Proposal(B5, qc_of(B1), TC).row()),
        (Proposal, Proposal(B5, qc_of(B2), tc_of(3, None, None, None)).row()),
        (Proposal, Proposal(value_at(2, B2), qc_of(B2), None).row()),
        (Timeout, Timeout(2, qc_of(B2), None).row()),
        (Timeout, Timeout(7, qc_of(B2), TC).row()),
        (Timeout, (3, ("timeout", (2,), B2.digest, qc_of(B2).signatures), None)),
        (Timeout, (5, None, tc_of(4, qc_of(B5)).row())),
    ],
    ids=[
        "qc of another value than the parent",
        "tc of another view than the one before",
        "not above its qc",
        "qc of the view itself",
        "tc of an earlier view",
        "qc of another phase",
        "tc that names a qc of a later view",
    ],
)
def test_contradictions_are_refused(kind: type[Message], row: tuple[Any, ...]) -> None:
    with pytest.raises(DecodeFault):
        decoded(kind, encoding.encode(row))


@given(data=st.data())
def test_flipped_bytes_never_pass_as_the_same_message(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(MESSAGES))
    raw = bytearray(encoding.encode(message.row()))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    try:
        again = decoded(type(message), bytes(raw))
    except DecodeFault:
        return
    assert again != message


def test_kinds_are_unique() -> None:
    kinds = [message.KIND for message in Jolteon.MESSAGES]

    assert len(set(kinds)) == len(kinds)
    assert all(1 <= kind <= 63 for kind in kinds)


def test_the_record_brings_back_every_promise() -> None:
    safety = Safety()
    safety.view, safety.high_tc = 5, TC
    safety.keep(qc_of(B2))
    safety.stop_voting(4)

    agreed = Agreed(Decided(2, 1), 3)
    restored = Safety()
    values, decided = restored.restore(safety.record((B1, B2), agreed))

    assert values == (B1, B2)
    assert (restored.view, restored.last_voted) == (5, 4)
    assert (restored.high_qc, restored.high_tc) == (qc_of(B2), TC)
    assert restored.record(values, agreed) == safety.record((B1, B2), agreed)
    assert decided == (Decided(2, 1, b""),)


def test_a_lock_only_rises() -> None:
    safety = Safety()

    safety.keep(qc_of(B2))
    safety.keep(qc_of(B1))

    assert safety.high_qc == qc_of(B2)
    assert isinstance(safety.high_qc, Certificate)
