"""Schedules that break HotStuff with one rule missing, and do nothing to HotStuff itself.

Each is played twice: the mutant must break the property that the rule protects, and the protocol as
it is must keep every property and decide in the end.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.interface import Decide, DecisionProof
from consensus.pacemaker_messages import PROPOSAL, TIMEOUT, VOTE, Proposal, Vote
from consensus.protocols.hotstuff import HotStuff
from ledger.value import Value
from sim.plugins import EPOCH
from tests.consensus import mutants_hotstuff as mutants
from tests.consensus.jolteon_stage import NOBODY, PAYLOADS, Stage, is_of
from tests.consensus.mutants_hotstuff import Plain

Play = Callable[[type[HotStuff]], Stage]
A, B, C, Z = range(4)
ENOUGH_MS = 20_000
"""Of virtual time, in which a live protocol decides many times over."""


def root_child(view: int, proposer: int) -> Value:
    """A value on the first root, whatever was certified since."""
    return Value(EPOCH, b"", (view,), proposer, 0, PAYLOADS[-1:])


def two_halves(protocol: type[HotStuff]) -> Stage:
    """A with one twin, B and C with the other; the twins lead every view."""
    stage = Stage(protocol, dict.fromkeys(range(1, 40), Z), twins=(Z,))
    for phase in (PROPOSAL, VOTE, TIMEOUT):
        stage.plan(phase, range(40), (A, Z), (B, C, 4))
    stage.until(lambda: stage.seats[B].durable)
    stage.run_ms(500)
    return stage


def one_vote_thrice(protocol: type[HotStuff]) -> Stage:
    """The liar proposes X to A alone and votes three times for it and its children, A's own."""
    stage = Stage(
        protocol, {1: Z, 2: A, 3: A, 4: A, 5: B, 6: C, 7: B, 8: C, 9: B, 10: C}, twins=(Z,)
    )
    for phase in (PROPOSAL, VOTE, TIMEOUT):
        stage.plan(phase, range(40), (A, Z), (B, C, 4))
    for view, proposer in ((1, Z), (2, A), (3, A)):
        stage.run_ms(20)
        if stage.plugin(proposer).said(PROPOSAL, (view,)):
            for _ in range(3):
                stage.inject(Z, Vote(view, stage.proposed(proposer, view).digest), A)
    stage.until(lambda: stage.seats[B].durable)
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


def decided_by_one(protocol: type[HotStuff], chain: int = 3, seed: int = 0) -> Stage:
    """A alone collects the votes for the last of a chain, and is cut off.

    With three, A decides b1; B and C, who voted for b3 with the qc of b2, are locked on b1.
    """
    after = chain + 1
    turns = {after + number: (B, C)[number % 2] for number in range(2, 7)}
    leaders = {1: B, 2: C, 3: B, 4: C, after: A, after + 1: Z, **turns}
    stage = Stage(protocol, leaders, twins=(Z,), seed=seed)
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


def locked_before_a_crash(protocol: type[HotStuff]) -> Stage:
    """The same, and B and C crash in between; the proposal comes before anything else does.

    The lock follows from the highest qc, which both say again after the restart, to themselves,
    too.  With this seed the fork is found valid before they hear that.
    """
    stage = decided_by_one(protocol, seed=29)
    stage.until_view(5, B, C, Z)
    fork = root_child(5, Z)
    proposal = stage.sign(Z, Proposal(fork, None, stage.plugin(Z).safety.high_tc))
    for seat in (B, C):
        stage.crash(seat)
        stage.restart(seat)
        stage.seats[seat].deliver(Z, proposal)
    stage.inject(Z, Vote(5, fork.digest), B)
    stage.until(lambda: stage.seats[B].durable and stage.seats[C].durable)
    return stage


def proposal_with_an_old_qc(protocol: type[HotStuff]) -> Stage:
    """After A decided b2, the liar proposes beside it, with the right qc of b1."""
    stage = decided_by_one(protocol, chain=4)
    stage.until_view(6, B, C, Z)
    second = stage.plugin(C).said(PROPOSAL, (2,))
    assert isinstance(second, Proposal)
    fork = Value(EPOCH, second.value.parent, (6,), Z, 0, PAYLOADS[-1:])
    stage.inject(Z, Proposal(fork, second.qc, None), B, C)
    stage.inject(Z, Vote(6, fork.digest), B)
    stage.until(lambda: max(stage.seats[B].durable, stage.seats[C].durable) >= 2)
    return stage


def false_decision(protocol: type[HotStuff]) -> Stage:
    """A alone has the qc of b1; a liar hands b1 to B as decided; the others go on without it."""
    others = {view: (Z, C)[view % 2] for view in range(3, 40)}
    stage = Stage(protocol, {1: B, 2: A, **others})
    stage.plan(PROPOSAL, (2,), *NOBODY)
    stage.plan(TIMEOUT, range(40), (B, C, Z))
    stage.until(lambda: stage.plugin(A).safety.high_qc)
    qc, b1 = stage.plugin(A).safety.high_qc, stage.proposed(B, 1)
    assert qc is not None
    stage.until_view(3, B, C, Z)
    stage.seats[B].hear_decision(Decide((b1,), DecisionProof((qc,), (b1,))))
    stage.until(lambda: stage.broken or stage.seats[C].durable)
    stage.run_ms(300)
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


def locked_alone(protocol: type[HotStuff]) -> bool:
    """A alone knows the qc of b2; the others certify something beside b1, which A is locked on.

    Then the liar falls silent, and A is needed.  Whether everybody goes on.
    """
    turns = {view: view % 3 for view in range(5, 400)}
    stage = Stage(protocol, {1: B, 2: C, 3: A, 4: Z, **turns}, twins=(Z,))
    stage.crash(4)
    stage.plan(PROPOSAL, (3, 4, 5), *NOBODY)
    stage.plan(TIMEOUT, (3,), (B, C, Z))
    stage.until_view(3, A)
    stage.until_view(4, B, C, Z)
    fork = root_child(4, Z)
    stage.inject(Z, Proposal(fork, None, None), B, C)
    stage.inject(Z, Vote(4, fork.digest), C)
    stage.until_view(5, C)
    stage.crash(Z)
    stage.heal()
    return stage.run_until(
        lambda: all(stage.seats[seat].durable for seat in (A, B, C)), limit_ms=ENOUGH_MS
    )


SAFETY: list[tuple[type[HotStuff], Play, str]] = [
    (mutants.SmallQuorum, two_halves, "agreement"),
    (mutants.CountsMessages, one_vote_thrice, "agreement"),
    (mutants.IgnoresLock, stale_proposal, "agreement"),
    (mutants.NeverLocks, stale_proposal, "agreement"),
    (mutants.UnlocksByOldQc, proposal_with_an_old_qc, "agreement"),
    (mutants.ForgetsLock, locked_before_a_crash, "agreement"),
    (mutants.BelievesDecisions, false_decision, "agreement"),
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


def test_a_lock_that_nobody_else_has_is_left_for_a_higher_qc() -> None:
    assert locked_alone(Plain)
    assert not locked_alone(mutants.NeverUnlocks)
