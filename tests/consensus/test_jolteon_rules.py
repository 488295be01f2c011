"""Each condition of Jolteon's safety alone, at its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.interface import DecisionProof, Signed
from consensus.pacemaker_messages import TIMEOUT, Proposal, Timeout
from consensus.protocols.jolteon_safety import Safety
from ledger.certificate import Certificate
from ledger.value import Value
from tests.consensus.jolteon_bench import EPOCH, Bench, chain_of, proof_of, qc_of, tc_of, value_at

B1, B2, B3 = chain_of(1, 2, 3)
QC1, QC2 = qc_of(B1), qc_of(B2)


def in_view(view: int, **state: object) -> Safety:
    """The promises of one who is in this view."""
    safety = Safety()
    safety.view = view
    for name, value in state.items():
        setattr(safety, name, value)
    return safety


# --- votes ----------------------------------------------------------------------------------------


def test_a_vote_is_for_a_safe_value_of_the_current_view_not_voted_in() -> None:
    proposal = Proposal(B3, QC2, None)

    assert in_view(3, last_voted=2).may_vote(proposal, (2,))
    assert not in_view(4, last_voted=2).may_vote(proposal, (2,))
    assert not in_view(2, last_voted=2).may_vote(proposal, (2,))
    assert not in_view(3, last_voted=3).may_vote(proposal, (2,))
    assert not in_view(3, last_voted=2).may_vote(proposal, (1,))
    assert not in_view(3, last_voted=2).may_vote(proposal, None)
    assert not in_view(5).may_vote(Proposal(value_at(5, B2), QC2, None), (2,))


@pytest.mark.parametrize(("view", "is_unvoted"), [(1, False), (2, False), (3, True), (4, True)])
def test_no_view_is_voted_in_twice_nor_any_before_it(view: int, is_unvoted: bool) -> None:
    assert in_view(3, last_voted=2).is_unvoted(view) is is_unvoted


@pytest.mark.parametrize(
    ("view", "qc", "known", "follows"),
    [
        (1, None, None, True),
        (2, None, None, False),
        (3, QC2, None, True),
        (2, QC2, None, False),
        (4, QC2, None, False),
        (5, QC2, (4, QC2), True),
        (5, QC2, (4, QC1), True),
        (5, QC1, (4, QC2), False),
        (5, None, (4, None), True),
        (5, None, (4, QC1), False),
        (6, QC2, (4, QC2), False),
        (4, QC2, (4, QC2), False),
    ],
)
def test_a_value_follows_the_qc_before_it_or_the_highest_that_a_quorum_knew(
    view: int, qc: Certificate | None, known: tuple[int, Certificate | None] | None, follows: bool
) -> None:
    tc = tc_of(known[0], None, known[1], None) if known else None

    assert Safety().follows(view, qc, tc) is follows


# --- commits --------------------------------------------------------------------------------------


def test_two_adjacent_values_of_consecutive_views_decide_the_first() -> None:
    over_a_gap = value_at(3, B1)

    assert Safety().may_commit(B1, B2)
    assert not Safety().may_commit(B1, over_a_gap)
    assert not Safety().may_commit(B1, value_at(2))
    assert not Safety().may_commit(B2, value_at(2, B2))
    assert not Safety().may_commit(B2, value_at(1, B2))


def test_a_decision_of_a_peer_is_a_chain_and_what_certifies_its_end() -> None:
    right = proof_of(B3)
    assert Safety().proves((B1, B2), right, EPOCH)
    assert Safety().proves((B2,), right, EPOCH)
    qc = right.certificates[0]
    elsewhere = replace(B2, epoch=b"f" * 32)
    last = value_at(3, elsewhere)
    wide = replace(B2, slot=(2, 0))
    beside = value_at(4, B1)

    wrong: list[tuple[tuple[Value, ...], DecisionProof]] = [
        ((), right),
        ((B2,), DecisionProof((), (B3,))),
        ((B2,), DecisionProof((qc, qc), (B3,))),
        ((B2,), DecisionProof((qc,), ())),
        ((B1,), DecisionProof((qc,), (B2, B3))),
        ((elsewhere,), proof_of(last)),
        ((B1, wide), DecisionProof((qc_of(value_at(3, wide)),), (value_at(3, wide),))),
        ((B1, B3), proof_of(value_at(4, B3))),
        ((value_at(2), B2), right),
        ((replace(B1, slot=(2,)), replace(B2, parent=replace(B1, slot=(2,)).digest)), right),
        ((B2,), DecisionProof((replace(qc, phase=TIMEOUT),), (B3,))),
        ((B2,), DecisionProof((replace(qc, slot=(4,)),), (B3,))),
        ((B2,), DecisionProof((replace(qc, value=B2.digest),), (B3,))),
        ((B1,), proof_of(beside)),
    ]
    for values, proof in wrong:
        assert not Safety().proves(values, proof, EPOCH)


def test_no_value_of_a_decision_is_of_an_earlier_view_than_its_parent() -> None:
    late = value_at(2)
    middle = value_at(2, late)
    last = value_at(3, middle)

    assert not Safety().proves((late, middle), proof_of(last), EPOCH)


# --- views ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_voted", "qc", "left", "may"),
    [
        (0, QC2, None, True),
        (3, QC2, None, True),
        (4, QC2, None, False),
        (0, QC1, None, False),
        (0, QC1, 2, True),
        (0, QC1, 1, False),
        (0, QC1, 3, False),
        (3, None, 2, True),
    ],
)
def test_a_view_is_left_by_who_came_there_by_a_certificate(
    last_voted: int, qc: Certificate | None, left: int | None, may: bool
) -> None:
    tc = tc_of(left, None, None, None) if left is not None else None

    assert in_view(3, last_voted=last_voted, high_qc=qc, high_tc=tc).may_timeout() is may


@pytest.mark.parametrize(
    ("qc", "left", "shown"),
    [(QC1, 2, True), (QC2, 2, False), (QC1, 1, False), (QC1, 3, False), (None, 2, True)],
)
def test_the_tc_that_led_here_is_shown_unless_the_qc_did(
    qc: Certificate | None, left: int, shown: bool
) -> None:
    tc = tc_of(left, None, None, None)

    assert in_view(3, high_qc=qc, high_tc=tc).entry_tc() == (tc if shown else None)
    assert in_view(3, high_qc=qc).entry_tc() is None


def test_the_highest_qc_is_kept() -> None:
    safety = Safety()
    assert [safety.keep(each) for each in (QC1, QC1, QC2, QC1)] == [True, False, True, False]

    assert safety.high_qc == QC2


@pytest.mark.parametrize(("qc", "covers"), [(None, False), (QC1, True), (QC2, True)])
def test_a_qc_covers_what_is_no_higher(qc: Certificate | None, covers: bool) -> None:
    assert Safety().covers(qc, tc_of(4, None, QC1, None)) is covers


def test_two_timeouts_of_the_own_view_are_joined_once() -> None:
    def joins(view: int, senders: tuple[int, ...], *, me: int | None = 0) -> list[bool]:
        bench = Bench(me)
        assert bench.plugin.view == 1
        before = []
        for sender in senders:
            bench.hear(sender, Timeout(view, None, None if view == 1 else tc_of(view - 1, None)))
            before.append(bench.plugin.said(TIMEOUT, (1,)) is not None)
        return before

    assert joins(1, (1, 2)) == [False, True]
    assert joins(1, (1, 2), me=None) == [False, False]
    plugin = Bench(0).plugin
    assert not plugin.may_join(1)
    for sender in (1, 2):
        plugin.tally.add(Signed(sender, Timeout(3, None, tc_of(2, None)), b""))
    assert not plugin.may_join(3)
