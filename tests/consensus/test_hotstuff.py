"""HotStuff's rules, each with a schedule that a validator without it breaks.

Each schedule is played twice: the mutant must break the property that the rule protects, and the
protocol as it is must keep every property and decide in the end.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.interface import DecisionProof
from consensus.pacemaker_messages import PROPOSAL, TIMEOUT, VOTE, Proposal, Vote
from consensus.protocols.hotstuff import HotStuff
from ledger.value import Value
from sim.plugins import EPOCH
from tests.consensus import mutants_hotstuff as mutants
from tests.consensus.jolteon_bench import Bench, chain_of, feed, qc_of, tc_of, value_at, votes_in
from tests.consensus.jolteon_stage import NOBODY, PAYLOADS, Stage, is_of
from tests.consensus.mutants_hotstuff import Plain

Play = Callable[[type[HotStuff]], Stage]
A, B, C, Z = range(4)


def bench(me: int = 0, protocol: type[HotStuff] = Plain) -> Bench:
    return Bench(me, protocol=protocol)


def root_child(view: int, proposer: int) -> Value:
    """A value on the first root, whatever was certified since."""
    return Value(EPOCH, b"", (view,), proposer, 0, PAYLOADS[-1:])


# --- the rules, by hand ---------------------------------------------------------------------------


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
    one = Bench(3, protocol=Plain)
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


# --- schedules ------------------------------------------------------------------------------------


def two_halves(protocol: type[HotStuff]) -> Stage:
    """A with one twin, B and C with the other; the twins lead every view."""
    stage = Stage(protocol, dict.fromkeys(range(1, 40), Z), twins=(Z,))
    for phase in (PROPOSAL, VOTE, TIMEOUT):
        stage.plan(phase, range(40), (A, Z), (B, C, 4))
    stage.until(lambda: stage.seats[B].durable)
    stage.run_ms(500)
    return stage


def two_proposals(protocol: type[HotStuff]) -> Stage:
    """A liar's two values of one view reach everybody."""
    stage = Stage(protocol, {1: Z, 2: A, 3: B, 4: C}, twins=(Z,))
    stage.run_ms(300)
    stage.heal()
    stage.until(lambda: stage.broken or stage.seats[A].durable)
    return stage


def voted_before_a_crash(protocol: type[HotStuff]) -> Stage:
    """B votes for one of a liar's values, crashes, and then hears of the other."""
    stage = Stage(protocol, {1: Z, 2: A, 3: B, 4: C}, twins=(Z,))
    stage.plan(PROPOSAL, (1,), (A, B, C, Z))
    stage.plan(VOTE, (1,), *NOBODY)
    stage.until(lambda: stage.plugin(B).said(VOTE, (1,)))
    stage.run_ms(5)
    stage.crash(B)
    stage.restart(B)
    stage.release(is_of(PROPOSAL, 1))
    stage.run_ms(50)
    stage.heal()
    stage.until(lambda: stage.broken or stage.seats[A].durable)
    return stage


def decided_by_one(protocol: type[HotStuff], chain: int = 3) -> Stage:
    """A alone collects the votes for the last of a chain, and is cut off.

    With three, A decides b1; B and C, who voted for b3 with the qc of b2, are locked on b1.
    """
    after = chain + 1
    leaders = {1: B, 2: C, 3: B, after: A, after + 1: Z, after + 2: B, after + 3: C, after + 4: B}
    stage = Stage(protocol, {**leaders, after + 5: C, after + 6: B}, twins=(Z,))
    stage.crash(4)
    stage.plan(PROPOSAL, (after, after + 1), *NOBODY)
    stage.until(lambda: stage.plugin(A).view == after)
    stage.run_ms(20)
    stage.isolate(A)
    return stage


def stale_proposal(protocol: type[HotStuff]) -> Stage:
    """After A decided b1, the liar proposes on the first root."""
    stage = decided_by_one(protocol)
    stage.until_view(5, B, C, Z)
    fork = root_child(5, Z)
    stage.inject(Z, Proposal(fork, None, None), B, C)
    stage.inject(Z, Vote(5, fork.digest), B)
    stage.until(lambda: stage.seats[B].durable and stage.seats[C].durable)
    return stage


def two_chain(protocol: type[HotStuff]) -> Stage:
    """A alone knows that b2 is certified: of a chain of two nobody else is locked on b1."""
    stage = decided_by_one(protocol, chain=2)
    stage.until_view(4, B, C, Z)
    fork = root_child(4, Z)
    stage.inject(Z, Proposal(fork, None, None), B, C)
    stage.inject(Z, Vote(4, fork.digest), B)
    stage.until(lambda: stage.seats[B].durable and stage.seats[C].durable)
    return stage


def over_a_gap(protocol: type[HotStuff]) -> Stage:
    """The liar hides the qc of b2 from view 3, A hides that of b3; b5 is certified at B alone.

    root <- b1 <- b2 <- b5      parents and children, all certified, and a gap of views
        \\- b3 <- b7 <- b8       what everybody else goes on with, over their locks on b1
    """
    leaders = {1: B, 2: C, 3: Z, 4: A, 5: Z, 6: B, 7: A, 8: C, 9: A, 10: C, 11: A, 12: C}
    stage = Stage(protocol, leaders, twins=(Z,))
    stage.crash(4)
    stage.plan(PROPOSAL, (3, 4, 6), *NOBODY)
    stage.plan(TIMEOUT, (2,), (A, B, C))
    stage.plan(TIMEOUT, (3, 4), (B, C, Z))
    stage.until_view(3, A, B, C, Z)
    stage.inject(Z, Proposal(root_child(3, Z), None, None), A, B, C)
    stage.until_view(4, A)
    stage.until_view(5, B, C, Z)
    stage.until_view(6, B)
    stage.run_ms(20)
    stage.isolate(B)
    stage.until(lambda: stage.seats[A].durable and stage.seats[C].durable)
    return stage


SAFETY: list[tuple[type[HotStuff], Play, str]] = [
    (mutants.SmallQuorum, two_halves, "agreement"),
    (mutants.IgnoresLock, stale_proposal, "agreement"),
    (mutants.NeverLocks, stale_proposal, "agreement"),
    (mutants.CommitsTwoChains, two_chain, "agreement"),
    (mutants.CommitsOverGaps, over_a_gap, "agreement"),
    (mutants.VotesTwice, two_proposals, "breakdown"),
    (mutants.ForgetsVotes, voted_before_a_crash, "breakdown"),
]


@pytest.mark.parametrize(
    ("mutant", "play", "broken"), SAFETY, ids=[mutant.__name__ for mutant, _, _ in SAFETY]
)
def test_a_schedule_kills_its_mutant(mutant: type[HotStuff], play: Play, broken: str) -> None:
    assert broken in play(mutant).broken


PLAYS = list(dict.fromkeys(play for _, play, _ in SAFETY))


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
def test_the_protocol_survives_the_schedule(play: Play) -> None:
    stage = play(Plain)
    assert not stage.broken

    stage.heal()
    for number in (100, 101):
        stage.submit(bytes([number]) * 32)
    stage.until(lambda: all(seat.durable >= 2 for seat in stage.seats[:3]), limit_ms=20_000)

    assert not stage.broken
