"""Streamlet's rules, each with a schedule that breaks a validator without it.

Each is played twice: the mutant must break the property that the rule protects, and the protocol as
it is must keep every property and decide in the end.  Epochs are counted from the beginning of a
run here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest

from consensus.interface import Decide, DecisionProof
from consensus.protocols.streamlet import Streamlet
from consensus.protocols.streamlet_messages import PROPOSE, VOTE, Propose, Vote
from ledger.value import Value
from sim.clock import EPOCH_MS
from sim.plugins import Crash, PluginScenario, draw_scenario, run
from tests.consensus import mutants_streamlet as mutants
from tests.consensus.chained_stage import ChainedStage, block, of_slot

LENGTH_MS = 100
FAST = (("epoch_ms", LENGTH_MS),)
FIRST = EPOCH_MS // LENGTH_MS
A, B, C, Z, Z2 = range(5)
EPOCHS = range(40)
Play = Callable[[type[Streamlet]], ChainedStage]


def at(epochs: Iterable[int]) -> list[int]:
    """These epochs of a run, as slots count them."""
    return [FIRST + epoch for epoch in epochs]


def stage_of(
    protocol: type[Streamlet], leaders: Mapping[int, int], *, twins: tuple[int, ...] = ()
) -> ChainedStage:
    led = {FIRST + epoch: leader for epoch, leader in leaders.items()}
    stage = ChainedStage(protocol, led, parameters=FAST, twins=twins)
    stage.begin()
    return stage


def until_end_of(stage: ChainedStage, epoch: int) -> None:
    """Play on until shortly before the next epoch."""
    stage.run_ms(max(0, (epoch + 1) * LENGTH_MS - 20 - stage.agenda.now_ms))


# --- safety ---------------------------------------------------------------------------------------


def two_halves(protocol: type[Streamlet]) -> ChainedStage:
    """A with one twin, B and C with the other; the twins lead every epoch."""
    stage = stage_of(protocol, dict.fromkeys(EPOCHS, Z), twins=(Z,))
    for phase in (PROPOSE, VOTE):
        stage.plan(phase, at(EPOCHS), (A, Z), (B, C, Z2))
    until_end_of(stage, 6)
    return stage


def one_vote_thrice(protocol: type[Streamlet]) -> ChainedStage:
    """The liar proposes to A alone, and says each of its votes three times; the others decide."""
    stage = stage_of(protocol, dict.fromkeys(EPOCHS, Z), twins=(Z,))
    for phase in (PROPOSE, VOTE):
        stage.plan(phase, at(EPOCHS), (A, Z), (B, C, Z2))
    for epoch in range(5):
        until_end_of(stage, epoch)
        vote = stage.plugin(Z).said(VOTE, (FIRST + epoch,))
        for _ in range(3 if vote is not None else 0):
            stage.inject(Z, vote, A, Z)
    until_end_of(stage, 6)
    return stage


def two_proposals(protocol: type[Streamlet]) -> ChainedStage:
    """A liar's two values of one epoch reach everybody."""
    stage = stage_of(protocol, dict.fromkeys(EPOCHS, Z), twins=(Z,))
    stage.heal()
    until_end_of(stage, 4)
    return stage


def decided_by_one(protocol: type[Streamlet]) -> ChainedStage:
    """b_0 <- b_1 <- b_2, but A alone hears the votes for b_2, decides b_1, and is cut off."""
    leaders = {0: A, 1: B, 2: C, 3: Z, 4: Z, 5: Z, 6: B, 7: C, 8: B, 9: C}
    stage = stage_of(protocol, leaders, twins=(Z,))
    stage.crash(Z2)
    stage.plan(VOTE, at([2]), (A, B), (A, C), (A, Z))
    stage.until(lambda: stage.seats[A].durable >= 2)
    stage.isolate(A)
    return stage


def beside_a_decided_block(protocol: type[Streamlet]) -> ChainedStage:
    """The liar leads three epochs, and starts again from the first root."""
    stage = decided_by_one(protocol)
    stage.plan(PROPOSE, at([3, 4, 5]))
    parent = b""
    for epoch in (3, 4, 5):
        until_end_of(stage, epoch - 1)
        stage.run_ms(40)
        fork = block(FIRST + epoch, Z, parent, bytes([epoch]) * 32)
        stage.inject(Z, Propose(fork, None), B, C)
        stage.inject(Z, Vote(FIRST + epoch, fork.digest), B, C)
        parent = fork.digest
    until_end_of(stage, 6)
    return stage


def after_the_third(protocol: type[Streamlet]) -> ChainedStage:
    """b_2's votes came to A alone: the others go on beside it."""
    stage = decided_by_one(protocol)
    stage.run_ms(30)
    until_end_of(stage, 9)
    return stage


def forgotten_by_all(protocol: type[Streamlet]) -> ChainedStage:
    """B, C and D crash after their votes for b_2, and come back."""
    stage = decided_by_one(protocol)
    for seat in (B, C, Z):
        stage.crash(seat)
        stage.restart(seat)
    until_end_of(stage, 9)
    return stage


def after_two_epochs(protocol: type[Streamlet]) -> ChainedStage:
    """b_2 is hidden at A; b_3 and b_4 stand beside it, and the votes for b_4 reach B alone.

    root <- b_1 <- b_2                  hidden at A until epoch 5
              \\-- b_3 <- b_4            b_1, b_3, b_4 are no three in a row
    """
    stage = stage_of(protocol, {0: B, 1: B, 2: A, 3: B, 4: B, 5: A, 6: C, 7: Z, 8: C, 9: A})
    stage.plan(PROPOSE, at([0]))
    stage.plan(VOTE, at([2]), (A, B), (A, C), (A, Z))
    for phase in (PROPOSE, VOTE):
        stage.plan(phase, at([3]), (B, C, Z))
    stage.plan(PROPOSE, at([4]), (B, C, Z))
    stage.plan(VOTE, at([4]), (B, C), (B, Z))
    until_end_of(stage, 4)
    stage.isolate(B)
    until_end_of(stage, 9)
    return stage


def false_decision(protocol: type[Streamlet]) -> ChainedStage:
    """A liar hands a block of its own to D as decided, with the votes for another one."""
    stage = stage_of(protocol, {0: B, 1: C, 2: A})
    stage.plan(VOTE, at(EPOCHS), (A, B, C))
    stage.until(lambda: stage.plugin(A).notarized)
    notarization = stage.plugin(A).notarized[FIRST]
    forged = Decide((block(FIRST, Z),), DecisionProof((notarization,), (stage.proposed(B, FIRST),)))
    stage.seats[Z].hear_decision(forged)
    stage.until(lambda: stage.broken or stage.seats[A].durable)
    return stage


SAFETY: list[tuple[type[Streamlet], Play, str]] = [
    (mutants.SmallQuorum, two_halves, "agreement"),
    (mutants.CountsMessages, one_vote_thrice, "agreement"),
    (mutants.VotesTwice, two_proposals, "breakdown"),
    (mutants.VotesForShorter, beside_a_decided_block, "agreement"),
    (mutants.FinalizesThird, after_the_third, "agreement"),
    (mutants.FinalizesAfterTwo, after_two_epochs, "agreement"),
    (mutants.ForgetsRecord, forgotten_by_all, "agreement"),
    (mutants.BelievesDecisions, false_decision, "agreement"),
]


@pytest.mark.parametrize(
    ("mutant", "play", "broken"), SAFETY, ids=[mutant.__name__ for mutant, _, _ in SAFETY]
)
def test_a_schedule_kills_its_mutant(mutant: type[Streamlet], play: Play, broken: str) -> None:
    assert broken in play(mutant).broken


@pytest.mark.parametrize("play", [play for _, play, _ in SAFETY], ids=lambda play: play.__name__)
def test_the_protocol_survives_the_schedule(play: Play) -> None:
    stage = play(Streamlet)
    assert not stage.broken

    stage.heal()
    for number in (100, 101):
        stage.submit(bytes([number]) * 32)
    assert stage.goes_on(A, B, C)
    assert not stage.broken


# --- liveness -------------------------------------------------------------------------------------


def notarized_at_one(protocol: type[Streamlet]) -> bool:
    """The example of Cohen and Malkhi: the votes for b_0 come to A alone, and A never leads."""
    stage = stage_of(protocol, {0: Z, **{epoch: (B, C)[epoch % 2] for epoch in range(1, 200)}})
    stage.shows_certificates = True
    stage.plan(VOTE, at([0]), (A, B), (A, C), (A, Z))
    until_end_of(stage, 0)
    stage.crash(Z)
    return stage.goes_on(A, B, C)


def child_before_parent(protocol: type[Streamlet]) -> bool:
    """A, whose vote is needed, never got b_0 and hears of b_1."""
    stage = stage_of(protocol, {epoch: (B, C)[epoch % 2] for epoch in range(200)})
    stage.plan(PROPOSE, at([0]), (B, C, Z))
    until_end_of(stage, 0)
    stage.crash(Z)
    return stage.goes_on(A, B, C)


def crashed_validator(protocol: type[Streamlet]) -> bool:
    scenario = PluginScenario(
        protocol, parameters=FAST, payloads=1, bound_ms=6_000, crashes=(Crash(2, 3, None),)
    )
    return not run(scenario).violations


def falls_silent(protocol: type[Streamlet]) -> bool:
    scenario = PluginScenario(protocol, parameters=FAST, payloads=1, bound_ms=4_000, quiet_ms=1_000)
    return not run(scenario).violations


def falls_silent_beside_a_fork(protocol: type[Streamlet]) -> bool:
    """A alone saw b_0 notarized, and two chains stand beside it until b_2 is decided.

    root <- b_0                     the votes come to A alone, which shows nothing of it
        \\-- b_1 <- b_2 <- b_3      B, C and D do not know b_0, and vote
    """
    stage = ChainedStage(
        protocol, {FIRST: A, FIRST + 1: B, FIRST + 2: C, FIRST + 3: Z}, parameters=FAST
    )
    stage.begin(b"\x01" * 32)
    stage.plan(VOTE, at([0]), (A, B), (A, C), (A, Z))
    until_end_of(stage, 0)
    assert FIRST in stage.plugin(A).notarized
    stage.until(lambda: all(seat.log for seat in stage.seats))
    assert all(seat.log[0].slot[0] >= FIRST + 1 for seat in stage.seats)
    until_end_of(stage, 8)
    return not any(seat.timers for seat in stage.seats)


LIVENESS: list[tuple[type[Streamlet], Callable[[type[Streamlet]], bool]]] = [
    (mutants.NeverShows, notarized_at_one),
    (mutants.NeverFetches, child_before_parent),
    (mutants.NeverFires, crashed_validator),
    (mutants.NeverSleeps, falls_silent),
    (mutants.KeepsForks, falls_silent_beside_a_fork),
]


@pytest.mark.parametrize(
    ("mutant", "goes_on"), LIVENESS, ids=[mutant.__name__ for mutant, _ in LIVENESS]
)
def test_a_schedule_stops_its_mutant_and_not_the_protocol(
    mutant: type[Streamlet], goes_on: Callable[[type[Streamlet]], bool]
) -> None:
    assert goes_on(Streamlet)
    assert not goes_on(mutant)


def test_only_a_contradiction_is_evidence() -> None:
    drawn = replace(draw_scenario(Streamlet, 0, faults=("duplicate",)), duplicate=300)

    assert not run(drawn).violations
    assert "accusation" in run(replace(drawn, protocol=mutants.AccusesAnyRepetition)).properties


def value_of(stage: ChainedStage, epoch: int, parent: bytes) -> Value:
    """What the leader of an epoch of a stage might have proposed."""
    return block(FIRST + epoch, stage.plugin(A).leader((FIRST + epoch,)), parent)


def test_a_clock_that_is_set_back_gets_no_second_chance() -> None:
    """The proof of safety wants the votes of one validator in the order of their epochs."""

    def votes(protocol: type[Streamlet]) -> int:
        stage = stage_of(protocol, {0: C, 3: Z, 4: B}, twins=(Z,))
        stage.plan(PROPOSE, at([0, 1, 2, 3]))
        stage.until_said(VOTE, FIRST + 4, A)
        stage.isolate(A)
        before = stage.agenda.now_ms
        stage.seats[A].set_clock(-LENGTH_MS, 1_000)
        late = value_of(stage, 3, b"")
        stage.inject(Z, Propose(late, None), A)
        stage.run_ms(30)
        assert stage.agenda.now_ms < before + LENGTH_MS
        return sum(phase == VOTE for phase, _ in stage.plugin(A)._said)

    assert votes(Streamlet) == 1
    assert votes(mutants.VotesInThePast) == 2


def test_an_equivocating_leader_is_accused_and_costs_its_epochs() -> None:
    stage = stage_of(Streamlet, {0: Z, 1: A, 2: B, 3: C, 4: A, 5: B}, twins=(Z,))
    stage.heal()

    assert stage.goes_on(A, B, C)
    assert stage.report().accused == (Z,)


def test_late_votes_count() -> None:
    stage = stage_of(Streamlet, {0: A, 1: B, 2: C, 3: A, 4: B})
    stage.plan(VOTE, at([0]))
    until_end_of(stage, 1)
    assert FIRST not in stage.plugin(B).notarized
    stage.release(of_slot(VOTE, FIRST))
    stage.run_ms(10)

    assert FIRST in stage.plugin(B).notarized
    assert stage.goes_on(A, B, C, Z)
