"""Schedules that break Tendermint with one rule missing, and do nothing to Tendermint itself.

Each is played twice: the mutant must break the property that its rule protects, and the protocol as
it is must keep every property and decide in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.interface import Decide, DecisionProof
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NO_ROUND, Precommit, Prevote, Proposal
from sim.plugins import PluginReport, draw_duel, draw_scenario, run
from tests.consensus import mutants_tendermint as mutants
from tests.consensus.harness import FAST, PAYLOAD, Stage

Play = Callable[[type[Tendermint]], PluginReport]
LOCKED_BY_TWO = {
    "proposal 0": "AB<Z",
    "prevote 0": "A<BZ B<AZ Z<AB C<AB z<AB",
    "precommit 0": "A<BZ B<Cz C<Bz z<BC",
    "round 1": "BCz",
}
"""X gets a polka at A, B and Z; A alone sees its precommits and decides; B is locked on X."""


def two_halves(protocol: type[Tendermint]) -> PluginReport:
    """Z1: Z proposes X to A, z proposes Y to B and C: three of four decide, two must not."""
    return Stage(protocol, "Z", {"round 0": "AZ BCz"}).heal()


def one_vote_thrice(protocol: type[Tendermint]) -> PluginReport:
    """Z2: the liar proposes X to A alone and votes for it twice; the others decide Y."""
    stage = Stage(protocol, "Z", {"round 0": "AZ BCz"})
    stage.until(lambda: stage.plugin("A").log.proposal((1, 0), None))
    proposal = stage.proposal_at("A", 0)
    for _ in range(2):
        stage.inject(3, Prevote(1, 0, proposal.value.digest), 0)
    stage.run_ms(100)
    for _ in range(2):
        stage.inject(3, Precommit(1, 0, proposal.value.digest), 0)
    return stage.heal()


def lock_against_fresh_value(protocol: type[Tendermint]) -> PluginReport:
    """Z3: A decided X, B is locked on X; z proposes a fresh Y to B and C."""
    return Stage(protocol, "Zz", LOCKED_BY_TWO).heal()


def lock_against_older_polka(protocol: type[Tendermint]) -> PluginReport:
    """Z4: X has a polka of round 0 at Z and C; A decides Y in round 1, B is locked on Y; in round 2
    Z proposes X again, with its polka of round 0."""
    plan = {
        "proposal 0": "ABC<Z",
        "prevote 0": "A<Bz B<Az C<ABZ Z<ABC",
        "precommit 0": "A<BCZ B<ACZ C<ABZ Z<ABC",
        "proposal 1": "Az<B",
        "prevote 1": "A<Bz B<Az z<AB C<AZ Z<AC",
        "precommit 1": "A<Bz B<CZ C<BZ Z<BC",
        "round 2": "BCZ",
    }
    return Stage(protocol, "ZBZ", plan).heal()


def lock_against_false_polka(protocol: type[Tendermint]) -> PluginReport:
    """A decided X, B is locked on X; Z claims a polka of round 0 for Y and shows the one for X."""
    stage = Stage(protocol, "ZZ", {**LOCKED_BY_TWO, "round 1": "BC"})
    stage.until(lambda: stage.seat("A").durable)
    stage.until_round(1, "BC")
    valid = stage.plugin("B").valid
    assert valid is not None
    y = stage.value(0)
    stage.seat("B").hold(y.payload)
    stage.seat("C").hold(y.payload)
    stage.inject(3, Proposal(y, 1, 0, valid.polka), 1, 2)
    stage.run_ms(50)
    stage.inject(3, Prevote(1, 1, y.digest), 1, 2)
    stage.run_ms(50)
    stage.inject(3, Precommit(1, 1, y.digest), 1, 2)
    return stage.heal()


def precommit_without_polka(protocol: type[Tendermint]) -> PluginReport:
    """Z6: three validators hear X and nobody sees three prevotes; only A hears the precommits."""
    plan = {**LOCKED_BY_TWO, "prevote 0": "A<BC B<AC C<AB z<AB Z<AC"}
    return Stage(protocol, "ZC", plan).heal()


def lock_across_restart(protocol: type[Tendermint]) -> PluginReport:
    """Z7: B is killed once its precommit has left, and starts again; then as in Z3."""
    stage = Stage(protocol, "Zz", LOCKED_BY_TWO)
    stage.until(lambda: stage.seat("A").durable)
    stage.crash(1)
    stage.run_ms(10)
    stage.restart(1)
    return stage.heal()


def polka_is_no_decision(protocol: type[Tendermint]) -> PluginReport:
    """Only A sees a polka for X; the others decide Y in round 1."""
    plan = {**LOCKED_BY_TWO, "prevote 0": "A<BZ B<AC C<AB z<AB", "precommit 0": "B<ACz C<Bz z<BC"}
    return Stage(protocol, "Zz", plan).heal()


def round_across_restart(protocol: type[Tendermint]) -> PluginReport:
    """B prevoted nil in round 0 and left it; it starts again, and hears round 0's proposal."""
    plan = {
        "proposal 0": "A<Z",
        "prevote 0": "A<BC B<AC C<AB",
        "precommit 0": "A<BC B<AC C<AB",
    }
    stage = Stage(protocol, "Z", plan)
    stage.until_round(1, "ABC")
    proposal = stage.proposal_at("Z", 0)
    stage.crash(1)
    stage.run_ms(10)
    stage.restart(1)
    stage.inject(3, proposal, 1)
    return stage.heal()


SCHEDULES: list[tuple[Play, type[Tendermint], str]] = [
    (two_halves, mutants.QuorumOfTwoThirds, "agreement"),
    (one_vote_thrice, mutants.CountsMessages, "agreement"),
    (lock_against_fresh_value, mutants.IgnoresLock, "agreement"),
    (lock_against_older_polka, mutants.UnlocksByOldPolka, "agreement"),
    (lock_against_false_polka, mutants.BelievesValidRound, "agreement"),
    (precommit_without_polka, mutants.PrecommitsWithoutPolka, "agreement"),
    (lock_across_restart, mutants.ForgetsLock, "agreement"),
    (polka_is_no_decision, mutants.DecidesOnPolka, "agreement"),
    (round_across_restart, mutants.ForgetsRound, "breakdown"),
]


CAMPAIGNS: list[tuple[type[Tendermint], tuple[str, ...]]] = [
    (mutants.QuorumOfTwoThirds, ("agreement",)),
    (mutants.CountsMessages, ("agreement",)),
    (mutants.PrecommitsWithoutPolka, ("agreement", "breakdown")),
    (mutants.DecidesOnPolka, ("agreement",)),
    (mutants.ForgetsRound, ("breakdown",)),
]
"""Mutants that random scenarios find soon enough; the others need their schedule."""
SEEDS_MAX = 80


@pytest.mark.parametrize(
    ("play", "mutant", "broken"), SCHEDULES, ids=[play.__name__ for play, _, _ in SCHEDULES]
)
def test_the_schedule_breaks_the_mutant_and_not_the_protocol(
    play: Play, mutant: type[Tendermint], broken: str
) -> None:
    assert broken in play(mutant).properties

    report = play(Tendermint)

    assert report.violations == ()
    assert PAYLOAD in {payload for value in report.decided for payload in value.payload}


@pytest.mark.parametrize(
    ("mutant", "broken"), CAMPAIGNS, ids=[mutant.__name__ for mutant, _ in CAMPAIGNS]
)
def test_random_duels_break_the_mutant_and_not_the_protocol(
    mutant: type[Tendermint], broken: tuple[str, ...]
) -> None:
    scenarios = (draw_duel(mutant, seed, parameters=FAST) for seed in range(SEEDS_MAX))

    fatal = next(one for one in scenarios if set(run(one).properties) & set(broken))

    assert run(replace(fatal, protocol=Tendermint)).violations == ()


def test_who_never_validates_decides_what_is_invalid() -> None:
    scenarios = (
        replace(draw_scenario(mutants.NeverValidates, seed), bad=500) for seed in range(SEEDS_MAX)
    )

    fatal = next(one for one in scenarios if one.twins and "validity" in run(one).properties)

    assert run(replace(fatal, protocol=Tendermint)).violations == ()


def test_a_polka_is_no_proof_of_a_decision() -> None:
    def hand_over(protocol: type[Tendermint]) -> Stage:
        """Only A sees a polka; a liar hands it to B as the proof of a decision."""
        stage = Stage(protocol, "Z", {"proposal 0": "AB<Z", "prevote 0": "A<BZ"})
        stage.until(lambda: stage.plugin("A").valid)
        valid = stage.plugin("A").valid
        assert valid is not None
        stage.seat("B").hear_decision(Decide((valid.value,), DecisionProof((valid.polka,))))
        stage.run_ms(10)
        return stage

    assert hand_over(mutants.BelievesDecisions).seat("B").log != []

    stage = hand_over(Tendermint)

    assert stage.seat("B").log == []
    assert stage.heal().violations == ()


def test_an_equivocator_is_accused_and_still_counted() -> None:
    """C is mute, so nothing is decided without the votes of the liar."""
    stage = Stage(Tendermint, "Z", {"round 0": "ABZ"})
    stage.until(lambda: all(stage.plugin(name).log.proposal((1, 0), None) for name in "AB"))
    stage.inject(3, Proposal(stage.value(0), 0, NO_ROUND, None), 0, 1)

    stage.until(lambda: stage.seat("A").durable and stage.seat("B").durable)
    report = stage.heal()

    assert report.accused == (3,)
    assert report.violations == ()


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_random_faults_break_nothing(first: int) -> None:
    for seed in range(first, first + 40):
        report = run(replace(draw_scenario(Tendermint, seed), codec=seed % 4 == 0))
        assert report.violations == (), f"seed {seed}: {report.violations}"


def test_random_faults_break_nothing_among_seven() -> None:
    for seed in range(1_000, 1_020):
        report = run(draw_scenario(Tendermint, seed, nodes=7))
        assert report.violations == (), f"seed {seed}: {report.violations}"


def test_random_duels_break_nothing() -> None:
    for seed in range(12):
        report = run(draw_duel(Tendermint, seed, parameters=FAST))
        assert report.violations == (), f"seed {seed}: {report.violations}"
