"""Hunting for scenarios that break a protocol: strategies, and what a stretch of a hunt found.

A hunt is a sequence of chunks, fixed by protocol, strategies, nodes and seed.  Each chunk holds
some scenarios of one strategy and can be played anywhere, in any order: equal hunts find the same,
however many processes or machines share the work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from consensus.interface import Consensus
from ledger.errors import UserError
from ledger.validators import QuorumRule
from sim import faults, plugins
from sim.guided import EPISODE, Episode, play_and_look
from sim.plugin_drawing import FAULTS, draw_duel, draw_scenario, draw_twins, hasty
from sim.plugin_plots import draw_plot
from sim.plugin_scenario import PluginReport, PluginScenario
from sim.run import SimReport
from sim.run import run as run_replicas
from sim.scenario import Scenario
from sim.scenario_file import AnyScenario
from sim.shrink import Shrunk, shrink, without_seat
from sim.translation import whole_replicas

SEEDS_A_SEARCH = 1_000_000
"""Scenario i of a search with seed s has the seed s * this + i."""
NODES = 4
DIVISORS = (20, 40)
"""By what a hunt for forks divides a protocol's times, so that rounds are short."""
SHRINK_EVENTS_MAX = 4_000_000
"""Events after which a finding is small enough: a run that never falls silent has very many."""
REPLICA_RUNS_MAX = 60
"""Whole replicas take ten times as long, and more events: they are shrunk in fewer runs."""
WHOLE_TRIED = 3
"""Seeds with which whole replicas may show what bare plugins did."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    properties: tuple[str, ...]
    """Those that are broken, the first one first."""
    sentence: str
    """What the first violation of `broken` says."""
    time_ms: int
    events: int
    trace_hash: str
    """Over every event in order."""

    @property
    def broken(self) -> str:
        """The property that broke first, a fork before all others; or empty."""
        if "agreement" in self.properties:
            return "agreement"
        return self.properties[0] if self.properties else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A scenario that breaks a property."""

    strategy: str
    number: int
    """Which one of its strategy it is."""
    broken: str
    """The property."""
    sentence: str
    time_ms: int
    scenario: AnyScenario


@dataclass(frozen=True, slots=True)
class Hunt:
    """What is searched for what."""

    protocol: str
    """By its entry point's name, or as module:Class."""
    strategies: tuple[str, ...]
    nodes: int | None
    """None: as each strategy likes, mostly 4."""
    seed: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a hunt, to be played in one go."""

    hunt: Hunt
    number: int
    size: int
    """How many scenarios; fewer than usual at the end of a hunt with a fixed number."""

    @property
    def strategy(self) -> str:
        return self.hunt.strategies[self.number % len(self.hunt.strategies)]

    @property
    def numbers(self) -> range:
        """Which scenarios of its strategy."""
        first = self.number // len(self.hunt.strategies) * chunk_size(self.strategy)
        return range(first, first + self.size)


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """What the scenarios of a chunk came to."""

    number: int
    strategy: str
    runs: int
    events: int
    broken: tuple[tuple[str, int], ...]
    """(property, scenarios that broke it), in the order of their first."""
    findings: tuple[Finding, ...]
    """For each property the first scenario that broke it."""
    trace_hash: str = ""
    """Over the traces of all its scenarios, in their order."""


Drawn = Callable[[type[Consensus], int, int | None], PluginScenario]


# --- strategies -----------------------------------------------------------------------------------


def _random(protocol: type[Consensus], seed: int, nodes: int | None) -> PluginScenario:
    return draw_scenario(protocol, seed, nodes=nodes or NODES, rule=quorum_rule(protocol))


def _duel(protocol: type[Consensus], seed: int, nodes: int | None) -> PluginScenario:
    draw = Random(f"hunt duel {seed}")
    return draw_duel(
        protocol,
        seed,
        parameters=hasty(protocol, divisor=draw.choice(DIVISORS)),
        nodes=nodes or NODES,
        stable_ms=draw.choice((100, 200, 400)),
    )


def _twins(protocol: type[Consensus], seed: int, nodes: int | None) -> PluginScenario:
    draw = Random(f"hunt twins {seed}")
    return draw_twins(
        protocol,
        seed,
        parameters=hasty(protocol, divisor=draw.choice(DIVISORS)),
        nodes=nodes or NODES,
        rounds=draw.choice((4, 7, 10)),
        stable_ms=draw.choice((150, 300)),
    )


def _mutation(protocol: type[Consensus], seed: int, nodes: int | None) -> PluginScenario:
    """A duel of liars that change what they say by little (ByzzFuzz, OOPSLA 2023)."""
    draw = Random(f"hunt mutation {seed}")
    base = _twins if draw.random() < 0.5 else _duel
    return replace(
        base(protocol, seed, nodes),
        mutate=draw.choice((100, 300, 600)),
        bad=draw.choice((0, 300)),
        replay=draw.choice((0, 50, 200)),
    )


def _swarm(protocol: type[Consensus], seed: int, nodes: int | None) -> PluginScenario:
    """Some kinds of fault only, with their own rates, and any number of validators."""
    draw = Random(f"hunt swarm {seed}")
    share = draw.choice((0.2, 0.5, 0.9))
    kinds = tuple(kind for kind in FAULTS if draw.random() < share)
    count = nodes or draw.choice((4, 4, 5, 7))
    scenario = draw_scenario(protocol, seed, nodes=count, faults=kinds, rule=quorum_rule(protocol))
    divisor = draw.choice((1, 10, 40))
    return replace(scenario, parameters=hasty(protocol, divisor=divisor) if divisor > 1 else ())


def _plots(protocol: type[Consensus], seed: int, nodes: int | None) -> PluginScenario:
    return draw_plot(protocol, seed, nodes=nodes or NODES)


PLUGIN_STRATEGIES: dict[str, Drawn] = {
    "twins": _twins,
    "random": _random,
    "duel": _duel,
    "swarm": _swarm,
    "mutation": _mutation,
    "plots": _plots,
}
GUIDED = "guided"
REPLICAS = "replicas"
STRATEGIES = (*PLUGIN_STRATEGIES, GUIDED, REPLICAS)
"""Names of all strategies; a search takes turns between those it is given."""


def chunk_size(strategy: str) -> int:
    """How many scenarios of a strategy are played in one go.

    Whole replicas take ten times as long as bare plugins, and show what those cannot: they get
    about as much time as all others together.
    """
    return {REPLICAS: 10, GUIDED: EPISODE}.get(strategy, 12)


def draw(hunt: Hunt, protocol: type[Consensus], strategy: str, number: int) -> AnyScenario:
    """Scenario `number` of a strategy.  No liars where the protocol promises nothing about them.

    Raises UserError for an unknown strategy.
    """
    seed = hunt.seed * SEEDS_A_SEARCH + number
    if strategy == REPLICAS:
        crash_only = protocol.fault_model == "crash"
        nodes = hunt.nodes or NODES
        scenario = faults.draw_scenario(seed, hunt.protocol, nodes, crash_only=crash_only)
        if number % 2 and protocol.fault_model != "none":
            scenario = faults.kill_for_good(scenario)
        # Two of eight, one of which has a dead node.
        return faults.on_few_links(scenario) if number % 8 >= 6 else scenario
    check_strategies((strategy,))
    if strategy == GUIDED:
        first = number - number % EPISODE
        return [plot for _, plot, _ in _episode(hunt, protocol, first, number - first + 1)][-1]
    return _drawn(hunt, protocol, strategy, seed)


def _drawn(hunt: Hunt, protocol: type[Consensus], strategy: str, seed: int) -> PluginScenario:
    drawn = PLUGIN_STRATEGIES[strategy](protocol, seed, hunt.nodes)
    return drawn if protocol.fault_model == "byzantine" else _honest(drawn, protocol)


def _episode(
    hunt: Hunt, protocol: type[Consensus], first: int, size: int
) -> Iterator[tuple[int, PluginScenario, Outcome]]:
    """(number, plot, what it came to) of the first plots of an episode, each after those before."""
    episode = Episode(partial(_drawn, hunt, protocol, "plots"), hunt.seed * SEEDS_A_SEARCH + first)
    for number, plot in zip(range(first, first + size), episode.plots(), strict=False):
        report, cell = play_and_look(plot)
        episode.learn(plot, cell)
        yield number, plot, outcome_of(report)


def check_strategies(names: tuple[str, ...]) -> None:
    """Whether there are such strategies.  Raises UserError for one that there is not."""
    for name in names:
        if name not in STRATEGIES:
            raise UserError(f"there is no strategy {name}; known are {', '.join(STRATEGIES)}")


def quorum_rule(protocol: type[Consensus]) -> QuorumRule:
    """The quorum of a network that runs this protocol."""
    return QuorumRule.CRASH if protocol.fault_model == "crash" else QuorumRule.BYZANTINE


def _honest(scenario: PluginScenario, protocol: type[Consensus]) -> PluginScenario:
    """The same without liars, and with nobody dead for ever where no fault is tolerated."""
    for seat in range(len(scenario.seats) - 1, scenario.nodes - 1, -1):
        scenario = without_seat(scenario, seat)
    if protocol.fault_model == "none":
        ends = tuple(crash for crash in scenario.crashes if crash.until_ms is not None)
        scenario = replace(scenario, crashes=ends)
    rule = quorum_rule(protocol)
    return replace(scenario, attacks=(), mutate=0, bad=0, splice=0, hoard=0, hush=False, rule=rule)


# --- playing --------------------------------------------------------------------------------------


def play(scenario: AnyScenario, protocol: type[Consensus]) -> Outcome:
    """Run a scenario of either mode."""
    if isinstance(scenario, PluginScenario):
        return outcome_of(plugins.run(scenario))
    return outcome_of(run_replicas(scenario, protocol))


def outcome_of(report: PluginReport | SimReport) -> Outcome:
    """What a run came to."""
    events = report.events if isinstance(report, PluginReport) else report.event_count
    trace_hash = report.trace_hash
    found = [(one.property, one.sentence, one.time_ms) for one in report.violations]
    names = tuple(dict.fromkeys(name for name, _, _ in found))
    outcome = Outcome(names, "", 0, events, trace_hash)
    first = next((one for one in found if one[0] == outcome.broken), ("", "", 0))
    return replace(outcome, sentence=first[1], time_ms=first[2])


def _played(chunk: Chunk, protocol: type[Consensus]) -> Iterator[tuple[int, AnyScenario, Outcome]]:
    """(number, scenario, what it came to) of all scenarios of a chunk, in their order."""
    if chunk.strategy == GUIDED:
        yield from _episode(chunk.hunt, protocol, chunk.numbers.start, chunk.size)
        return
    for number in chunk.numbers:
        scenario = draw(chunk.hunt, protocol, chunk.strategy, number)
        yield number, scenario, play(scenario, protocol)


def play_chunk(chunk: Chunk, protocol: type[Consensus]) -> ChunkReport:
    """Draw and run every scenario of a chunk."""
    counts: dict[str, int] = {}
    findings = []
    events = 0
    traces = hashlib.sha256()
    for number, scenario, outcome in _played(chunk, protocol):
        events += outcome.events
        traces.update(bytes.fromhex(outcome.trace_hash))
        broken = outcome.broken
        if broken and broken not in counts:
            findings.append(
                Finding(chunk.strategy, number, broken, outcome.sentence, outcome.time_ms, scenario)
            )
        if broken:
            counts[broken] = counts.get(broken, 0) + 1
    return ChunkReport(
        chunk.number,
        chunk.strategy,
        chunk.size,
        events,
        tuple(counts.items()),
        tuple(findings),
        traces.hexdigest(),
    )


def shrink_finding(finding: Finding, protocol: type[Consensus]) -> tuple[Finding, Shrunk]:
    """The finding with a scenario as small as could be found that breaks the same property."""

    events = 0

    def is_broken(scenario: AnyScenario) -> bool:
        nonlocal events
        if events > SHRINK_EVENTS_MAX:
            return False
        outcome = play(scenario, protocol)
        events += outcome.events
        return outcome.broken == finding.broken

    if isinstance(finding.scenario, Scenario):
        shrunk = shrink(finding.scenario, is_broken, runs_max=REPLICA_RUNS_MAX, seeds_tried=1)
    else:
        shrunk = shrink(finding.scenario, is_broken)
    outcome = play(shrunk.scenario, protocol)
    smaller = replace(
        finding, scenario=shrunk.scenario, sentence=outcome.sentence, time_ms=outcome.time_ms
    )
    return smaller, shrunk


# --- on whole replicas ----------------------------------------------------------------------------


def replay_whole(
    finding: Finding, name: str, protocol: type[Consensus]
) -> tuple[Scenario | None, str]:
    """(what breaks whole replicas too, in words); the scenario is None where nothing does."""
    if isinstance(finding.scenario, Scenario):
        return finding.scenario, "found there"
    try:
        scenario = whole_replicas(finding.scenario, name)
    except UserError as error:
        return None, f"not replayed: {error}"
    for offset in range(WHOLE_TRIED):
        seeded = replace(scenario, seed=scenario.seed + offset)
        outcome = play(seeded, protocol)
        if outcome.broken:
            return seeded, f"{outcome.broken} is broken there too: {outcome.sentence}"
    return None, f"not reproduced there in {WHOLE_TRIED} runs with the same faults"
