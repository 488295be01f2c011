"""HotStuff's rules, by hand: what one validator votes for, locks on and decides."""

from __future__ import annotations

import pytest

from consensus.interface import DecisionProof
from consensus.leaders import RoundRobin
from consensus.protocols.hotstuff import HotStuff
from ledger.value import Value
from tests.consensus import mutants_hotstuff as mutants
from tests.consensus.jolteon_bench import Bench, chain_of, feed, qc_of, tc_of, value_at, votes_in
from tests.consensus.mutants_hotstuff import Plain


def bench(me: int = 0, protocol: type[HotStuff] = Plain) -> Bench:
    """A validator among others; view v is led by validator v % 4."""
    led = type(protocol.__name__, (protocol,), {"LEADERS": RoundRobin})
    return Bench(me, protocol=led)


def test_three_consecutive_views_and_a_certificate_decide_the_first_and_no_sooner() -> None:
    one, values = bench(), chain_of(1, 2, 3)
    feed(one, values)
    assert one.decided == []

    one.certify(qc_of(values[2]))

    assert one.decided == [values[0]]


@pytest.mark.parametrize("views", [(1, 2, 4), (1, 3, 4)])
def test_a_gap_of_views_decides_nothing(views: tuple[int, ...]) -> None:
    one, values = bench(), chain_of(*views)
    feed(one, values)

    one.certify(qc_of(values[2]))

    assert one.decided == []


def test_ancestors_before_a_gap_are_decided_with_the_first_of_three() -> None:
    one, values = bench(), chain_of(1, 3, 4, 5)
    feed(one, values)

    one.certify(qc_of(values[3]))

    assert one.decided == values[:2]


def locked_on_two(protocol: type[HotStuff] = Plain) -> tuple[Bench, list[Value]]:
    """A validator that saw the qc of b3, and so is locked on b2; it has left view 4."""
    one, values = bench(protocol=protocol), chain_of(1, 2, 3)
    feed(one, values)
    one.certify(qc_of(values[2]))
    one.certify(tc_of(4, None, None, None))
    return one, values


def test_a_lock_bars_what_does_not_extend_it_and_has_no_higher_qc() -> None:
    one, values = locked_on_two()

    stale = value_at(5, values[0])

    assert votes_in(one.propose(stale, qc_of(values[0]))) == []


def test_the_lock_is_on_the_parent_of_what_is_certified() -> None:
    one, values = locked_on_two()

    # b3 is certified and nobody needs to stick to it: a child of b2 is safe.
    assert votes_in(one.propose(value_at(5, values[1]), qc_of(values[1])))


def test_a_higher_qc_opens_a_lock_on_a_fork() -> None:
    one = bench()
    b1, b2 = chain_of(1, 2)
    feed(one, [b1, b2])
    one.certify(qc_of(b2))
    fork = value_at(4, None)
    one.certify(tc_of(3, None, None, None))
    one.propose(fork, None, tc_of(3, None, None, None))
    assert one.plugin.safety.lock == (1, b1.digest)

    said = one.propose(value_at(5, fork), qc_of(fork))

    assert votes_in(said)


def test_a_voter_asks_for_no_tc() -> None:
    one = bench()
    b1 = value_at(1)
    one.propose(b1)
    one.certify(tc_of(2, None, None, None))

    assert votes_in(one.propose(value_at(3, None)))


def test_a_leader_proposes_only_with_as_high_a_qc_as_a_quorum_names() -> None:
    b1 = value_at(1)
    one = bench(3)
    one.wake()
    one.certify(tc_of(2, qc_of(b1), None, None))
    assert one.plugin.view == 1

    one.certify(qc_of(b1))

    assert one.plugin.view == 3


def test_votes_go_to_the_next_leader_alone_also_when_time_is_up() -> None:
    one = bench()
    one.wake()
    first = one.propose(value_at(1))

    again = one.ring(1)

    assert [to for to, _ in votes_in(first) + votes_in(again)] == [2, 2]


def test_a_two_chain_proves_no_decision() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    two, three = DecisionProof((qc_of(b2),), (b2,)), DecisionProof((qc_of(b3),), (b2, b3))
    gap = value_at(4, b2)

    for proof in (two, DecisionProof((qc_of(gap),), (b2, gap)), DecisionProof((), (b2, b3))):
        one = bench()
        one.hear_decision([b1], proof)
        assert one.decided == []
    one.hear_decision([b1], three)
    assert one.decided == [b1]


@pytest.mark.parametrize("protocol", [Plain, mutants.ForgetsLock])
def test_a_restart_brings_back_the_lock(protocol: type[HotStuff]) -> None:
    one, values = locked_on_two(protocol)
    one.propose(value_at(5, values[2]), qc_of(values[2]))
    lock = one.plugin.safety.lock
    assert lock == (2, values[1].digest)

    is_kept = one.restart().plugin.safety.lock == lock

    assert is_kept == (protocol is Plain)


@pytest.mark.parametrize(
    ("protocol", "votes"), [(Plain, False), (mutants.UnlocksByOldQc, True)], ids=["right", "mutant"]
)
def test_a_qc_of_the_locked_view_opens_no_lock(protocol: type[HotStuff], votes: bool) -> None:
    one, values = locked_on_two(protocol)

    said = one.propose(value_at(5, values[0]), qc_of(values[0]))

    assert bool(votes_in(said)) == votes


def test_believing_decisions_is_noticed() -> None:
    one, values = bench(protocol=mutants.BelievesDecisions), chain_of(1, 2)

    one.hear_decision([values[0]], DecisionProof((qc_of(values[1]),), (values[1],)))

    assert one.decided == [values[0]]


def test_a_lock_that_never_opens_bars_what_a_quorum_certified() -> None:
    one = bench(protocol=mutants.NeverUnlocks)
    b1, b2 = chain_of(1, 2)
    feed(one, [b1, b2])
    one.certify(qc_of(b2))
    one.certify(tc_of(4, None, None, None))
    fork = value_at(4, None)

    assert votes_in(one.propose(value_at(5, fork), qc_of(fork))) == []
