"""What a tally counts, at its bounds: distinct signers, two values of each at most."""

from __future__ import annotations

import pytest

from consensus.interface import Signed
from consensus.protocols.tendermint_messages import PREVOTE, Prevote
from consensus.tally import Tally

SLOT = (1, 0)


def said(sender: int, value: int, *, round_: int = 0) -> Signed:
    return Signed(sender, Prevote(1, round_, bytes([value]) * 32), bytes([sender, value]) * 32)


def test_a_second_value_is_named_and_counted_and_a_third_is_neither() -> None:
    tally = Tally()
    words = [said(1, 1), said(1, 1), said(1, 2), said(1, 3), said(1, 2), said(1, 1)]

    named = [tally.add(word) for word in words]

    assert named == [None, None, words[0], None, None, None]
    assert tally.values(PREVOTE, SLOT) == [bytes([1]) * 32, bytes([2]) * 32]
    assert [tally.count(PREVOTE, SLOT, bytes([value]) * 32) for value in (1, 2, 3)] == [1, 1, 0]
    assert tally.voters(PREVOTE, SLOT) == [1]


def test_what_others_say_is_no_contradiction() -> None:
    tally = Tally()

    assert [tally.add(said(sender, sender)) for sender in range(4)] == [None] * 4
    assert tally.add(said(1, 2, round_=1)) is None
    assert tally.add(said(1, 3)) == said(1, 1)
    assert tally.voter_count(PREVOTE, SLOT) == 4


@pytest.mark.parametrize("quorum", [1, 2, 3, 4])
def test_a_certificate_is_of_exactly_a_quorum(quorum: int) -> None:
    tally = Tally()
    for sender in (2, 0, 1):
        tally.add(said(sender, 7))

    certificate = tally.certificate(PREVOTE, SLOT, bytes([7]) * 32, quorum)

    if quorum > 3:
        assert certificate is None
    else:
        assert certificate is not None
        assert certificate.signatures == tuple(
            (index, bytes([index, 7]) * 32) for index in range(quorum)
        )


@pytest.mark.parametrize("quorum", [1, 2, 3, 4])
def test_a_timeout_certificate_is_of_what_a_quorum_said_first(quorum: int) -> None:
    tally = Tally()
    assert tally.timeout_certificate(PREVOTE, SLOT, quorum) is None
    for sender, value in ((2, 5), (0, 6), (1, 7), (1, 8)):
        tally.add(said(sender, value))

    ended = tally.timeout_certificate(PREVOTE, SLOT, quorum)

    if quorum > 3:
        assert ended is None
    else:
        assert ended is not None
        first = ((0, 6), (1, 7), (2, 5))[:quorum]
        assert ended.entries == tuple(
            (index, bytes([value]) * 32, bytes([index, value]) * 32) for index, value in first
        )
