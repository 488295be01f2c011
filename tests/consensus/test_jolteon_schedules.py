"""Schedules that break Jolteon with one rule missing, and do nothing to Jolteon itself.

Each is played twice: the mutant must break the property that the rule protects, and the protocol as
it is must keep every property and decide in the end.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.pacemaker_messages import PROPOSAL, TIMEOUT, VOTE, Proposal, Vote
from consensus.protocols.jolteon import Jolteon
from ledger.value import Value
from sim.plugins import EPOCH
from tests.consensus import mutants_jolteon as mutants
from tests.consensus.jolteon_stage import NOBODY, PAYLOADS, Stage, is_of

Play = Callable[[type[Jolteon]], Stage]


def genesis_child(view: int, proposer: int) -> Value:
    """A value on the first root, whatever was certified since."""
    return Value(EPOCH, b"", (view,), proposer, 0, PAYLOADS[-1:])


def two_halves(protocol: type[Jolteon]) -> Stage:
    """Z1: A with one twin, B and C with the other; the twins lead every view."""
    stage = Stage(protocol, dict.fromkeys(range(1, 40), 3), twins=(3,))
    for phase in (PROPOSAL, VOTE, TIMEOUT):
        stage.plan(phase, range(40), (0, 3), (1, 2, 4))
    stage.until(lambda: stage.seats[1].durable)
    stage.run_ms(500)
    return stage


def one_vote_thrice(protocol: type[Jolteon]) -> Stage:
    """Z2: the liar proposes X to A alone and votes for it again and again; the others decide Y."""
    leaders = {1: 3, 2: 0, 3: 0, 4: 1, 5: 2, 6: 1, 7: 2}
    stage = Stage(protocol, leaders, twins=(3,))
    for phase in (PROPOSAL, VOTE, TIMEOUT):
        stage.plan(phase, range(40), (0, 3), (1, 2, 4))
    stage.run_ms(20)
    x1 = stage.proposed(3, 1)
    for _ in range(3):
        stage.inject(3, Vote(1, x1.digest), 0)
    stage.run_ms(20)
    if stage.jolteon(0).said(PROPOSAL, (2,)):
        for _ in range(3):
            stage.inject(3, Vote(2, stage.proposed(0, 2).digest), 0)
    stage.until(lambda: stage.seats[1].durable)
    return stage


def decided_by_one(protocol: type[Jolteon]) -> Stage:
    """b1 <- b2 get their votes, but only A collects those of b2, decides b1 and is cut off."""
    stage = Stage(protocol, {1: 1, 2: 2, 3: 0, 4: 3, 5: 1, 6: 2, 7: 1, 8: 2}, twins=(3,))
    stage.crash(4)
    stage.plan(PROPOSAL, (3,), *NOBODY)
    stage.until(lambda: stage.seats[0].durable)
    stage.isolate(0)
    return stage


def stale_proposal(protocol: type[Jolteon]) -> Stage:
    """Z8: after A decided b1, the liar proposes on the first root, with nothing to justify it."""
    stage = decided_by_one(protocol)
    stage.plan(PROPOSAL, (4,), *NOBODY)
    stage.until_view(4, 1, 2, 3)
    fork = genesis_child(4, 3)
    stage.inject(3, Proposal(fork, None, None), 1, 2)
    stage.inject(3, Vote(4, fork.digest), 1)
    stage.until(lambda: stage.seats[1].durable and stage.seats[2].durable)
    return stage


def stale_proposal_with_tc(protocol: type[Jolteon]) -> Stage:
    """Z8: the same with a right tc, whose entries name the qc of b1."""
    stage = decided_by_one(protocol)
    stage.plan(PROPOSAL, (4,), *NOBODY)
    stage.until_view(4, 1, 2, 3)
    fork = genesis_child(4, 3)
    stage.inject(3, Proposal(fork, None, stage.jolteon(3).safety.high_tc), 1, 2)
    stage.inject(3, Vote(4, fork.digest), 1)
    stage.until(lambda: stage.seats[1].durable and stage.seats[2].durable)
    return stage


def two_proposals(protocol: type[Jolteon]) -> Stage:
    """Z9: a liar's two values of one view reach everybody."""
    stage = Stage(protocol, {1: 3, 2: 0, 3: 1, 4: 2}, twins=(3,))
    stage.run_ms(300)
    stage.heal()
    stage.until(lambda: stage.broken or stage.seats[0].durable)
    return stage


def over_a_gap(protocol: type[Jolteon]) -> Stage:
    """Z10: X hides the qc of b1, Y that of b3 beside it; b5 on b1 is certified at W alone.

    root <- b1 <- b5            views 1 and 5: a parent, a child, and both certified
        \\- b3 <- b7 <- b8       what everybody else goes on with
    """
    x, y, w, v = 0, 1, 2, 3
    leaders = {1: v, 2: x, 3: v, 4: y, 5: v, 6: w, 7: x, 8: y, 9: v, 10: x, 11: y}
    stage = Stage(protocol, leaders)
    stage.plan(PROPOSAL, (2, 4, 6), *NOBODY)
    stage.plan(TIMEOUT, (1,), (y, w, v))
    stage.plan(TIMEOUT, (2,), (y, w, v))
    stage.plan(TIMEOUT, (3, 4), (x, w, v))
    stage.until_view(2, x, y, w, v)
    stage.until_view(3, y, w, v)
    stage.release(lambda s, receiver, p: receiver == x and is_of(TIMEOUT, 2)(s, receiver, p))
    stage.until_view(4, y)
    stage.until_view(5, x, w, v)
    stage.until_view(6, w)
    stage.isolate(w)
    stage.until(lambda: stage.seats[x].durable and stage.seats[y].durable)
    stage.run_ms(300)
    return stage


def voted_after_leaving(protocol: type[Jolteon], *, crashes: bool = False) -> Stage:
    """Z12, Z13: B and C leave view 2 before b2 reaches them, and only D learns that they did.

    root <- b1 <- b2            certified at D from late votes, with b1's qc out of X's hiding
        \\- b3 <- b4             D's proposal with the tc of view 2, which names no qc
    """
    x, b, c, d = 0, 1, 2, 3
    stage = Stage(protocol, {1: b, 2: x, 3: d, 4: x, 5: b, 6: c, 7: x, 8: b})
    stage.plan(PROPOSAL, (2, 3), *NOBODY)
    stage.plan(TIMEOUT, (1,), (b, c, d))
    stage.plan(TIMEOUT, (2,), (b, d), (c, d))
    stage.until_view(3, d)
    stage.until(lambda: stage.jolteon(d).said(PROPOSAL, (3,)))
    if crashes:
        for seat in (b, c):
            stage.crash(seat)
            stage.restart(seat)
    stage.release(is_of(PROPOSAL, 2))
    stage.run_ms(50)
    stage.isolate(d)
    stage.release(is_of(PROPOSAL, 3))
    stage.until(lambda: stage.seats[b].durable and stage.seats[c].durable)
    return stage


def left_before_a_crash(protocol: type[Jolteon]) -> Stage:
    """Z13: the same, and B and C crash between leaving the view and seeing its proposal."""
    return voted_after_leaving(protocol, crashes=True)


def locked_by_a_vote(protocol: type[Jolteon], *voters: int) -> Stage:
    """A alone forms both qcs and decides b1; others see the qc of b1 when they vote for b2."""
    a = 0
    stage = Stage(protocol, {1: 1, 2: a, 3: a, 4: 3, 5: 1, 6: 2, 7: 1, 8: 2})
    stage.plan(PROPOSAL, (2, 3), *NOBODY)
    stage.plan(TIMEOUT, (1,), (1, 2, 3))
    stage.until_view(2, 1, 2, 3)
    stage.release(lambda s, to, packet: to in voters and is_of(PROPOSAL, 2)(s, to, packet))
    stage.until(lambda: stage.seats[a].durable)
    stage.isolate(a)
    return stage


def locked(protocol: type[Jolteon]) -> Stage:
    """B and C, who voted for b2, leave views 2 and 3 together with D, who leads the next."""
    stage = locked_by_a_vote(protocol, 1, 2)
    stage.until(lambda: stage.seats[1].durable and stage.seats[2].durable)
    return stage


def locked_before_a_crash(protocol: type[Jolteon]) -> Stage:
    """B, C and D crash after their votes for b2, and come back."""
    stage = locked_by_a_vote(protocol, 1, 2, 3)
    for seat in (1, 2, 3):
        stage.crash(seat)
        stage.restart(seat)
    stage.until(lambda: stage.seats[1].durable and stage.seats[2].durable)
    return stage


SAFETY: list[tuple[type[Jolteon], Play, str]] = [
    (mutants.SmallQuorum, two_halves, "agreement"),
    (mutants.CountsMessages, one_vote_thrice, "agreement"),
    (mutants.VotesForStale, stale_proposal, "agreement"),
    (mutants.IgnoresTcEntries, stale_proposal_with_tc, "agreement"),
    (mutants.VotesTwice, two_proposals, "breakdown"),
    (mutants.CommitsOverGaps, over_a_gap, "agreement"),
    (mutants.VotesAfterTimeout, voted_after_leaving, "agreement"),
    (mutants.ForgetsVotes, left_before_a_crash, "agreement"),
    (mutants.ForgetsLock, locked_before_a_crash, "agreement"),
    (mutants.HidesLock, locked, "agreement"),
]


@pytest.mark.parametrize(
    ("mutant", "play", "broken"), SAFETY, ids=[mutant.__name__ for mutant, _, _ in SAFETY]
)
def test_a_schedule_kills_its_mutant(mutant: type[Jolteon], play: Play, broken: str) -> None:
    assert broken in play(mutant).broken


@pytest.mark.parametrize("play", [play for _, play, _ in SAFETY], ids=lambda play: play.__name__)
def test_the_protocol_survives_the_schedule(play: Play) -> None:
    stage = play(Jolteon)
    assert not stage.broken

    stage.heal()
    for number in (100, 101):
        stage.submit(bytes([number]) * 32)
    stage.until(lambda: all(seat.durable >= 2 for seat in stage.seats[:3]), limit_ms=20_000)

    assert not stage.broken
