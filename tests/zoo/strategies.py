"""How the zoo looks for a schedule that shows what a mutant lacks.

Every strategy makes attempts, each from a number alone, so that a find can be repeated.  An attempt
runs the mutant; where a property broke that the missing rule protects, it runs the unmutated
protocol in the same scenario, which must break nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from consensus.interface import Consensus
from ledger.validators import QuorumRule
from sim.guided import EPISODE, Episode, brief, play_and_look
from sim.plugin_drawing import draw_duel, draw_scenario, draw_twins, hasty
from sim.plugin_plots import draw_plot
from sim.plugins import PluginScenario, run
from tests.consensus import jolteon_twins
from tests.zoo import (
    drawn_blocks,
    drawn_catch_up,
    drawn_checkpoints,
    drawn_dags,
    drawn_farewells,
    drawn_floors,
    drawn_greetings,
    drawn_leads,
    drawn_pools,
    drawn_questions,
    drawn_ranges,
    drawn_values,
    drawn_votes,
    drawn_words,
    exile,
    forgeries,
    healing,
    hostile,
    pestering,
    replicas,
    rounds,
    saved,
    small_scope,
    storage_mutants,
    whole,
)
from tests.zoo.model import PROPERTIES, SURVIVED, Mutant, Play, Verdict, judge, numbers

DUEL_MS = 500
BRIEF_MS = 1_000
FORK_MS = 300
"""After a plot has healed: a fork is there by then."""
BOUND_MS = 20_000
QUIET_MS = 10_000
EXAMPLES = 20
"""How many one attempt of Hypothesis looks at."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to look."""

    name: str
    says: str
    """What it is, in one line."""
    fits: Callable[[Mutant], bool]
    attempt: Callable[[Mutant, int], tuple[Verdict, int]]
    """(what was found, scenarios it took) from the number of the attempt."""
    attempts_max: int | None = None
    """After which there is nothing more to try."""
    weight: float = 1.0
    """Its share of the time, by what it found when all had the same."""


# --- bare plugins ---------------------------------------------------------------------------------


def _is_plugin(mutant: Mutant) -> bool:
    return mutant.plugin is not None and mutant.replica is None


def _bears_liars(mutant: Mutant) -> bool:
    return _is_plugin(mutant) and not is_crash_only(mutant.plugin)


def is_crash_only(protocol: type[Consensus] | None) -> bool:
    """Whether one liar may break it without lacking any rule."""
    return protocol is not None and protocol.fault_model == "crash"


def scenario_strategy(
    name: str,
    says: str,
    draw: Callable[[type[Consensus], int], PluginScenario],
    fits: Callable[[Mutant], bool] = _bears_liars,
) -> Strategy:
    """A strategy that draws scenarios of bare plugins."""

    def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
        assert mutant.plugin is not None
        scenario = draw(mutant.plugin, number)
        # A mutant that only needs to contradict itself is not waited for; the protocol is.
        is_brief = PROPERTIES["liveness"] not in mutant.expected

        def broken(protocol: type[Consensus]) -> tuple[str, ...]:
            played = replace(scenario, protocol=protocol)
            if is_brief and protocol is mutant.plugin:
                played = replace(played, bound_ms=BRIEF_MS, quiet_ms=BRIEF_MS)
            return numbers(run(played).violations)

        return judge(mutant, broken, f"{name} {number}"), 1

    return Strategy(name, says, fits, attempt)


def draw_random(protocol: type[Consensus], number: int) -> PluginScenario:
    """Every fault at drawn rates, liars where they are borne; every other time rounds are short."""
    rule = QuorumRule.CRASH if is_crash_only(protocol) else QuorumRule.BYZANTINE
    scenario = draw_scenario(protocol, number, rule=rule)
    if number % 2:
        scenario = replace(scenario, parameters=hasty(protocol), payloads=8)
    return replace(scenario, quiet_ms=QUIET_MS)


def draw_pure_twins(protocol: type[Consensus], number: int) -> PluginScenario:
    """Two honest copies under one key, a leader and a partition for every round; nothing else."""
    scenario = replace(draw_twins(protocol, number), attacks=(), mutate=0, duplicate=0, replay=0)
    return replace(scenario, bound_ms=BOUND_MS, quiet_ms=QUIET_MS)


def draw_mutation(protocol: type[Consensus], number: int) -> PluginScenario:
    """Liars whose messages are changed in one field and signed again, and replays of all others."""
    draw = Random(f"mutation {number}")
    draw_one = draw.choice((draw_twins, draw_twins, draw_duel))
    return replace(
        draw_one(protocol, number, stable_ms=DUEL_MS),
        mutate=draw.choice((50, 200, 500)),
        duplicate=draw.choice((50, 300)),
        replay=draw.choice((50, 300)),
        bad=draw.choice((0, 300)),
        bound_ms=BOUND_MS,
        quiet_ms=QUIET_MS,
    )


def attempt_plot(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """Acts and rounds with an adversary that hoards and splices."""
    assert mutant.plugin is not None
    return judge(mutant, _plotting(mutant, draw_plot(mutant.plugin, number)), f"plots {number}"), 1


def attempt_guided(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """The same in an episode that learns."""
    assert mutant.plugin is not None
    episode = Episode(partial(draw_plot, mutant.plugin), number * EPISODE)
    tried = 0
    for plot in episode.plots():
        tried += 1
        report, cell = play_and_look(_shortened(mutant, plot))
        if set(numbers(report.violations)) & set(mutant.expected):
            replay = f"guided {number}, plot {tried}"
            return judge(mutant, _plotting(mutant, plot), replay), tried
        episode.learn(plot, cell)
    return SURVIVED, tried


def _shortened(mutant: Mutant, plot: PluginScenario) -> PluginScenario:
    """What is played of a plot: to the end only where it is about liveness."""
    if PROPERTIES["liveness"] in mutant.expected:
        return replace(plot, bound_ms=BOUND_MS, quiet_ms=QUIET_MS)
    return brief(plot, bound_ms=FORK_MS)


def _plotting(mutant: Mutant, plot: PluginScenario) -> Play:
    def broken(protocol: type[Consensus]) -> tuple[str, ...]:
        whole = replace(plot, protocol=protocol, bound_ms=BOUND_MS, quiet_ms=QUIET_MS)
        played = _shortened(mutant, whole) if protocol is mutant.plugin else whole
        return numbers(run(played).violations)

    return broken


def attempt_twins(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """Bano's schedules: for Jolteon every other time with scheduled leaders."""
    if mutant.protocol == "jolteon" and number % 2:

        def broken(protocol: type[Consensus]) -> tuple[str, ...]:
            stage: Any = jolteon_twins.play(protocol, number)  # type: ignore[arg-type]
            return numbers(stage.report().violations)

        return judge(mutant, broken, f"twins {number}"), 1
    return TWINS_DRAWN.attempt(mutant, number)


def attempt_swarm(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """Rounds with drawn rates and lengths."""
    plan = rounds.draw_plan(Random(f"swarm {number}").choice, mutant.protocol, number)
    return judge(mutant, _playing(mutant, plan), f"swarm {number}"), 1


def _playing(mutant: Mutant, plan: rounds.Plan) -> Play:
    is_about_liveness = PROPERTIES["liveness"] in mutant.expected
    return lambda protocol: rounds.play(protocol, plan, is_about_liveness=is_about_liveness)


def broken_by(strategy: str, protocol: type[Consensus], number: int) -> tuple[str, ...]:
    """What a protocol breaks in what a strategy draws under a number: a find that was kept."""
    if strategy == "swarm":
        plan = rounds.draw_plan(Random(f"swarm {number}").choice, protocol.name, number)
        return rounds.play(protocol, plan, is_about_liveness=True)
    if strategy == "plots":
        plot = replace(draw_plot(protocol, number), bound_ms=BOUND_MS, quiet_ms=QUIET_MS)
        return numbers(run(plot).violations)
    draw = {"twins": draw_pure_twins, "mutation": draw_mutation, "random": draw_random}[strategy]
    return numbers(run(draw(protocol, number)).violations)


def attempt_hypothesis(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """The same plans, chosen by Hypothesis, which repeats and recombines what it has tried."""
    found: list[Verdict] = []
    tried = 0

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def look(data: st.DataObject) -> None:
        nonlocal tried
        # Drawn also once all is found: what is drawn must follow from the choices alone.
        plan = rounds.draw_plan(
            lambda options: data.draw(st.sampled_from(options)), mutant.protocol, number
        )
        if found:
            return
        tried += 1
        verdict = judge(mutant, _playing(mutant, plan), f"hypothesis {number}: {plan}")
        if verdict.broken:
            found.append(verdict)

    look()
    return (found[0] if found else SURVIVED), tried


def attempt_small(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """Few transactions, and one or two things that go wrong."""
    return hostile.attempt(mutant, number, draw=small_scope.draw_plan, name="small")


TWINS_DRAWN = scenario_strategy("twins", "", draw_pure_twins)
STRATEGIES = (
    Strategy(
        "twins",
        "two honest copies under one key, each in its part of the network (Bano et al. 2021)",
        _bears_liars,
        attempt_twins,
    ),
    scenario_strategy(
        "mutation",
        "twins that change one field of what they say and sign it again (Winter et al. 2023)",
        draw_mutation,
    ),
    Strategy(
        "swarm",
        "who leads, hears and crashes drawn round by round, with drawn rates and lengths",
        _bears_liars,
        attempt_swarm,
        weight=4.0,
    ),
    Strategy(
        "plots",
        "rounds with moods, and an adversary that hoards certificates and splices messages",
        _bears_liars,
        attempt_plot,
        weight=4.0,
    ),
    Strategy(
        "guided",
        "plots that led somewhere new, changed a little (Gulcan et al. 2025)",
        _bears_liars,
        attempt_guided,
        weight=2.0,
    ),
    Strategy(
        "exile",
        "whoever decides first is cut off at once, and an adversary tries its hand at the others",
        exile.fits,
        exile.attempt,
        weight=32.0,
    ),
    Strategy(
        "healing",
        "a few rounds of the same, and then what all honest must decide",
        healing.fits,
        healing.attempt,
        weight=2.0,
    ),
    Strategy(
        "whole",
        "whole replicas with clocks and disks that fail, and mostly nobody to spare",
        healing.fits,
        whole.attempt,
        weight=4.0,
    ),
    scenario_strategy(
        "random", "all faults of the simulator at drawn rates", draw_random, _is_plugin
    ),
    Strategy(
        "hypothesis",
        "the same rounds chosen by Hypothesis",
        _bears_liars,
        attempt_hypothesis,
    ),
    Strategy(
        "replicas",
        "whole replicas under the drawn faults of the simulator",
        replicas.fits,
        replicas.attempt,
    ),
    Strategy(
        "hostile",
        "whole replicas among power cuts, packets that some do not hear, and a liar",
        replicas.fits,
        hostile.attempt,
        weight=4.0,
    ),
    Strategy(
        "small",
        "whole replicas in calm weather, and one or two things that go wrong",
        replicas.fits,
        attempt_small,
        weight=4.0,
    ),
    Strategy(
        "blocks",
        "drawn transactions for the executor alone, against a model",
        drawn_blocks.PART.fits,
        drawn_blocks.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "votes",
        "drawn words of a liar and the honest for a tally alone",
        drawn_votes.fits,
        drawn_votes.attempt,
        weight=8.0,
    ),
    Strategy(
        "ranges",
        "drawn damage to the blocks that a peer gives to whoever is behind",
        drawn_ranges.fits,
        drawn_ranges.attempt,
        weight=8.0,
    ),
    Strategy(
        "pools",
        "drawn events for the pool of batches alone, against its promises",
        drawn_pools.PART.fits,
        drawn_pools.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "values",
        "drawn values for their judge alone, against what may be decided",
        drawn_values.PART.fits,
        drawn_values.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "catch-up",
        "drawn peers, some of which claim what they do not have, for catching up alone",
        drawn_catch_up.PART.fits,
        drawn_catch_up.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "greetings",
        "drawn restarts, disks lost or old, and answers to what was said before",
        drawn_greetings.PART.fits,
        drawn_greetings.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "floors",
        "drawn certificates for an ordering alone whose plugin settles too early",
        drawn_floors.PART.fits,
        drawn_floors.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "questions",
        "drawn questions of a plugin for an ordering alone, and what passes them",
        drawn_questions.PART.fits,
        drawn_questions.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "farewells",
        "drawn cuts around the last blocks of a ledger, and nothing after them",
        drawn_farewells.PART.fits,
        drawn_farewells.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "pestering",
        "one that forgets at once what it is sent, and asks again",
        pestering.fits,
        pestering.attempt,
        weight=8.0,
    ),
    Strategy(
        "checkpoints",
        "drawn losses of signatures and certificates for confirmations alone",
        drawn_checkpoints.PART.fits,
        drawn_checkpoints.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "words",
        "drawn words of here and elsewhere, and padded proofs, for an inspector alone",
        drawn_words.PART.fits,
        drawn_words.PART.attempt,
        weight=8.0,
    ),
    Strategy(
        "dags",
        "drawn DAGs of which followers see other parts first",
        drawn_dags.fits,
        drawn_dags.attempt,
        weight=8.0,
    ),
    Strategy(
        "leads",
        "drawn histories of who led, and proposals, for a Tendermint validator alone",
        drawn_leads.fits,
        drawn_leads.attempt,
        weight=8.0,
    ),
    Strategy(
        "disk",
        "homes whose files are damaged in drawn ways",
        lambda mutant: mutant.protocol == "storage",
        storage_mutants.attempt,
    ),
    Strategy(
        "forgeries",
        "evidence made of what the honest said",
        lambda mutant: mutant.protocol == "judge",
        forgeries.attempt,
    ),
    Strategy(
        "schedule",
        "the saved schedule, written by hand",
        lambda mutant: mutant.has_schedule,
        saved.attempt,
        attempts_max=1,
        weight=8.0,
    ),
)
BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}


@dataclass(frozen=True, slots=True)
class Slice:
    """What a strategy did about a mutant in one go."""

    mutant: str
    strategy: str
    scenarios: int
    attempts: int
    seconds: float
    """Of processor time."""
    verdict: Verdict


def work(mutant: Mutant, strategy: str, first: int, seconds: float) -> Slice:
    """Make attempts from number `first` on, until one finds something or the time is over."""
    how = BY_NAME[strategy]
    begin = time.process_time()
    scenarios = attempts = 0
    verdict = SURVIVED
    while not verdict.broken:
        verdict, tried = how.attempt(mutant, first + attempts)
        scenarios += tried
        attempts += 1
        is_over = time.process_time() - begin >= seconds
        if is_over or (how.attempts_max is not None and first + attempts >= how.attempts_max):
            break
    spent = time.process_time() - begin
    return Slice(mutant.id, strategy, scenarios, attempts, spent, verdict)
