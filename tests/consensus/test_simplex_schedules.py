"""Simplex's rules, each with a schedule that breaks a validator without it.

Each is played twice: the mutant must break the property that the rule protects, and the protocol as
it is must keep every property and decide in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.interface import CertificateReceived, Decide, DecisionProof
from consensus.protocols.simplex import Simplex
from consensus.protocols.simplex_messages import END, PROPOSE, VOTE, Dummy, Propose, Vote
from sim.plugins import Crash, PluginScenario, draw_scenario, run
from tests.consensus import mutants_simplex as mutants
from tests.consensus.chained_stage import PAYLOADS, ChainedStage, block, of_slot

FAST = (("timeout_max_ms", 400), ("timeout_ms", 50))
A, B, C, Z, Z2 = range(5)
Play = Callable[[type[Simplex]], ChainedStage]


def stage_of(
    protocol: type[Simplex], leaders: dict[int, int], *, twins: tuple[int, ...] = ()
) -> ChainedStage:
    stage = ChainedStage(protocol, leaders, parameters=FAST, twins=twins)
    stage.begin()
    return stage


# --- safety ---------------------------------------------------------------------------------------


def two_halves(protocol: type[Simplex]) -> ChainedStage:
    """A with one twin, B and C with the other; the twins lead every iteration."""
    stage = stage_of(protocol, dict.fromkeys(range(1, 40), Z), twins=(Z,))
    for phase in (PROPOSE, VOTE, END):
        stage.plan(phase, range(40), (A, Z), (B, C, Z2))
    stage.until(lambda: stage.seats[B].durable)
    stage.run_ms(500)
    return stage


def one_vote_thrice(protocol: type[Simplex]) -> ChainedStage:
    """The liar proposes X to A alone, and says all that it says three times; the others decide."""
    stage = stage_of(protocol, dict.fromkeys(range(1, 40), Z), twins=(Z,))
    for phase in (PROPOSE, VOTE, END):
        stage.plan(phase, range(40), (A, Z), (B, C, Z2))
    stage.until_said(VOTE, 1, A, Z)
    for phase in (VOTE, END):
        stage.run_until(lambda phase=phase: stage.plugin(A).said(phase, (1,)), limit_ms=30)
        said = stage.plugin(A).said(phase, (1,))
        for _ in range(3 if said is not None else 0):
            stage.inject(Z, said, A)
    stage.until(lambda: stage.seats[B].durable)
    return stage


def two_proposals(protocol: type[Simplex]) -> ChainedStage:
    """A liar's two values of one iteration reach everybody."""
    stage = stage_of(protocol, {1: Z}, twins=(Z,))
    stage.heal()
    stage.until(lambda: stage.broken or stage.seats[A].durable)
    return stage


def decided_by_one(protocol: type[Simplex], leader: int = A) -> ChainedStage:
    """Everybody votes for b_1, but A alone hears finalize messages, decides it, and is cut off."""
    stage = stage_of(protocol, {1: leader, 2: Z, 3: B, 4: C}, twins=(Z,))
    stage.crash(Z2)
    stage.plan(END, (1,), (A, B), (A, C), (A, Z))
    stage.plan(PROPOSE, (2,))
    stage.until(lambda: stage.seats[A].durable)
    stage.isolate(A)
    return stage


def around_a_decided_block(protocol: type[Simplex]) -> ChainedStage:
    """The liar proposes beside b_1, which nobody has given up."""
    stage = decided_by_one(protocol)
    fork = block(2, Z)
    stage.inject(Z, Propose(fork, None), B, C)
    stage.inject(Z, Vote(2, fork.digest), B, C)
    stage.run_ms(500)
    return stage


def on_a_block_that_nobody_notarized(protocol: type[Simplex]) -> ChainedStage:
    """The liar's second block of iteration 1 has no votes, and the next one stands on it."""
    stage = decided_by_one(protocol, leader=Z)
    hidden = block(1, Z)
    child = block(2, Z, hidden.digest, b"g" * 32)
    for message in (Propose(hidden, None), Propose(child, None), Vote(2, child.digest)):
        stage.inject(Z, message, B, C)
    stage.run_ms(500)
    return stage


def notarized_too_late(protocol: type[Simplex]) -> ChainedStage:
    """B has voted for the dummy block when b_1's votes come."""
    stage = stage_of(protocol, {1: A, 2: C, 3: B})
    stage.plan(VOTE, (1,))
    stage.plan(END, (1,))
    stage.until_said(END, 1, A, B, C, Z)
    stage.release(of_slot(VOTE, 1))
    stage.run_ms(300)
    return stage


def notarized_after_a_restart(protocol: type[Simplex]) -> ChainedStage:
    """B has voted for the dummy block, and crashed, when b_1's votes come."""
    stage = stage_of(protocol, {1: A, 2: C, 3: B})
    stage.plan(VOTE, (1,))
    stage.plan(END, (1,))
    stage.until_said(END, 1, A, B, C, Z)
    stage.run_ms(5)
    stage.crash(B)
    stage.restart(B)
    stage.release(lambda s, to, packet: to == B and of_slot(VOTE, 1)(s, to, packet))
    stage.run_ms(40)
    stage.release(of_slot(VOTE, 1))
    stage.run_ms(300)
    return stage


def notarized_at_one(protocol: type[Simplex]) -> ChainedStage:
    """A alone has the votes for b_1; the others give iteration 1 up and decide b_2."""
    stage = stage_of(protocol, {1: B, 2: C, 3: Z})
    stage.plan(VOTE, (1,), (A, B), (A, C), (A, Z))
    stage.plan(PROPOSE, range(2, 40), (B, C, Z))
    stage.until_view(2, A)
    stage.isolate(A)
    stage.until(lambda: stage.seats[B].durable)
    return stage


def false_decision(protocol: type[Simplex]) -> ChainedStage:
    """A liar hands the votes for b_1 to D as a decision; the others decide b_2 without it."""
    stage = stage_of(protocol, {1: B, 2: C, 3: A})
    stage.plan(VOTE, (1,), (A, B), (A, C), (A, Z))
    stage.until_said(END, 1, A, B, C, Z)
    b1 = stage.proposed(B, 1)
    votes = stage.certificate(Vote(1, b1.digest), (A, B, C))
    stage.seats[Z].hear_decision(Decide((b1,), DecisionProof((votes,))))
    stage.until(lambda: stage.broken or stage.seats[B].durable)
    stage.run_ms(100)
    return stage


SAFETY: list[tuple[type[Simplex], Play, str]] = [
    (mutants.SmallQuorum, two_halves, "agreement"),
    (mutants.CountsMessages, one_vote_thrice, "agreement"),
    (mutants.VotesTwice, two_proposals, "breakdown"),
    (mutants.SkipsWithoutDummies, around_a_decided_block, "agreement"),
    (mutants.VotesOnAnyParent, on_a_block_that_nobody_notarized, "agreement"),
    (mutants.FinalizesAfterDummy, notarized_too_late, "breakdown"),
    (mutants.ForgetsDummies, notarized_after_a_restart, "breakdown"),
    (mutants.DecidesOnVotes, notarized_at_one, "agreement"),
    (mutants.BelievesDecisions, false_decision, "agreement"),
]


@pytest.mark.parametrize(
    ("mutant", "play", "broken"), SAFETY, ids=[mutant.__name__ for mutant, _, _ in SAFETY]
)
def test_a_schedule_kills_its_mutant(mutant: type[Simplex], play: Play, broken: str) -> None:
    assert broken in play(mutant).broken


@pytest.mark.parametrize("play", [play for _, play, _ in SAFETY], ids=lambda play: play.__name__)
def test_the_protocol_survives_the_schedule(play: Play) -> None:
    stage = play(Simplex)
    assert not stage.broken

    stage.heal()
    for number in (100, 101):
        stage.submit(bytes([number]) * 32)
    assert stage.goes_on(A, B, C)
    assert not stage.broken


# --- liveness -------------------------------------------------------------------------------------


def half_an_iteration(protocol: type[Simplex]) -> bool:
    """A and B hold the dummy votes of iteration 1; the other two lost them."""
    stage = stage_of(protocol, {1: A})
    stage.plan(PROPOSE, (1,))
    stage.plan(END, (1,))
    stage.until_said(END, 1, A, B, C, Z)
    stage.release(lambda s, to, packet: to in (A, B) and of_slot(END, 1)(s, to, packet))
    stage.until_view(2, A, B)
    assert [stage.plugin(seat).view for seat in (C, Z)] == [1, 1]
    stage.heal()
    return stage.goes_on(A, B, C, Z)


def everybody_lacks_another_dummy(protocol: type[Simplex]) -> bool:
    """Nobody has a chain below iteration 4 to propose on; together A, B and C have one."""
    stage = ChainedStage(protocol, {}, parameters=FAST)
    dummies = [stage.certificate(Dummy(number)) for number in (1, 2, 3)]
    stage.crash(Z)
    for seat, known in ((A, (0, 2)), (B, (1, 2)), (C, (2,))):
        for number in known:
            stage.seats[seat].take(CertificateReceived(dummies[number]))
    stage.shows_certificates = True
    stage.run_ms(20)
    assert stage.plugin(C).chain.parent(4) is None or protocol is Simplex
    stage.begin()
    return stage.goes_on(A, B, C)


def crashed_leader(protocol: type[Simplex]) -> bool:
    report = run(PluginScenario(protocol, bound_ms=8_000, quiet_ms=1_000, parameters=FAST,
                                crashes=(Crash(2, 3, None),)))  # fmt: skip
    return not report.violations


def first_copies_lost(protocol: type[Simplex]) -> bool:
    """For a second the first copy of everything is lost."""
    stage = stage_of(protocol, {})
    seen: dict[object, None] = {}

    def is_carried(sender: int, receiver: int, packet: object) -> bool:
        key = (sender, receiver, repr(packet))
        is_again = key in seen
        seen[key] = None
        return is_again or stage.agenda.now_ms > 1_000

    stage.allow = is_carried
    return stage.goes_on(A, B, C, Z)


def slow_links(protocol: type[Simplex]) -> bool:
    """A message takes longer than the shortest timer."""
    scenario = PluginScenario(
        protocol,
        parameters=(("timeout_max_ms", 1_000), ("timeout_ms", 20)),
        delay_us=30_000,
        payloads=1,
        bound_ms=1_500,
    )
    return not run(scenario).violations


def child_before_parent(protocol: type[Simplex]) -> bool:
    """A, whose vote is needed, never got b_1 and hears of b_2."""
    stage = stage_of(protocol, {1: B, 2: C})
    stage.plan(PROPOSE, (1,), (B, C, Z))
    stage.until_view(2, A, B, C)
    stage.crash(Z)
    return stage.goes_on(A, B, C)


def proposed_by_who_is_gone(protocol: type[Simplex]) -> bool:
    """All have voted for b_1 when all crash; its leader never comes back."""
    stage = stage_of(protocol, {1: Z})
    stage.plan(VOTE, (1,))
    stage.until_said(VOTE, 1, A, B, C)
    stage.run_ms(5)
    for seat in (A, B, C, Z):
        stage.crash(seat)
    stage.heal()
    for seat in (A, B, C):
        stage.restart(seat)
    return stage.goes_on(A, B, C)


def falls_silent(protocol: type[Simplex]) -> bool:
    scenario = PluginScenario(protocol, payloads=1, bound_ms=4_000, quiet_ms=1_000)
    return not run(scenario).violations


def proposed_to_one_alone(protocol: type[Simplex]) -> bool:
    """All is decided when a liar proposes to A alone what nobody can vote for."""
    stage = ChainedStage(protocol, {2: Z}, parameters=FAST, twins=(Z,))
    stage.crash(Z2)
    stage.begin(PAYLOADS[0])
    assert stage.goes_on(A, B, C)
    root = stage.plugin(A).root
    stage.inject(Z, Propose(block(2, Z, root.value, PAYLOADS[0]), None), A)
    stage.run_ms(1_000)
    return not stage.seats[A].timers


LIVENESS: list[tuple[type[Simplex], Callable[[type[Simplex]], bool]]] = [
    (mutants.NeverSaysWhy, half_an_iteration),
    (mutants.NeverAsks, everybody_lacks_another_dummy),
    (mutants.NeverFires, crashed_leader),
    (mutants.TimesOutOnce, first_copies_lost),
    (mutants.NeverWaitsLonger, slow_links),
    (mutants.NeverFetches, child_before_parent),
    (mutants.ForgetsRecord, proposed_by_who_is_gone),
    (mutants.NeverSleeps, falls_silent),
]


@pytest.mark.parametrize(
    ("mutant", "goes_on"), LIVENESS, ids=[mutant.__name__ for mutant, _ in LIVENESS]
)
def test_a_schedule_stops_its_mutant_and_not_the_protocol(
    mutant: type[Simplex], goes_on: Callable[[type[Simplex]], bool]
) -> None:
    assert goes_on(Simplex)
    assert not goes_on(mutant)


def test_a_proposal_to_one_alone_keeps_nobody_awake() -> None:
    """The value is invalid: `consensus.tree` forgets it, whatever the protocol makes of it."""
    assert proposed_to_one_alone(Simplex)


def test_only_a_contradiction_is_evidence() -> None:
    drawn = replace(draw_scenario(Simplex, 0, faults=("duplicate",)), duplicate=300)

    assert not run(drawn).violations
    assert "accusation" in run(replace(drawn, protocol=mutants.AccusesAnyRepetition)).properties


def test_an_equivocating_leader_is_accused_and_costs_one_iteration() -> None:
    stage = stage_of(Simplex, {1: Z, 2: A, 3: B}, twins=(Z,))
    stage.heal()

    assert stage.goes_on(A, B, C)
    assert stage.report().accused == (Z,)
    assert stage.plugin(A).root.slot <= (3,)
