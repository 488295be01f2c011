"""Faults: drawing a scenario from a seed, and making its incidents happen.

Swarm testing (Groce et al., ISSTA 2012): each scenario enables a subset of the kinds and draws its
own rates, since faults that are always mixed hide each other.  Every fault has ended by the
stabilisation time, so that liveness can be judged after it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from ledger.errors import UserError
from ledger.store import Write
from sim.agenda import MS, Agenda
from sim.network import Network
from sim.node import Node
from sim.scenario import Incident, Load, Pace, Scenario, Weather
from sim.scenario_file import ScenarioFile, write_scenario
from sim.watcher import Boundary

WEATHERS = ("delay", "loss", "duplicate", "reorder", "replay")
"""Kinds that change how every link treats every frame."""
CUTS = ("partition", "one-way", "isolate", "leader", "ring")
"""Kinds that swallow frames between some nodes."""
ROBBERIES = ("lost-disk", "old-disk")
"""Kinds that a validator survives only as one of the f that may be faulty."""
INCIDENTS = (
    *CUTS, "disconnect", "crash", "pause", "clock", "slow-disk", "slow-jobs", *ROBBERIES,
)  # fmt: skip
"""Kinds that befall some nodes for a while."""
FAULTS = (*WEATHERS, *INCIDENTS)
CLOCK_STEP_MS_MAX = 3_600_000
CLOCK_LEAD_MS_MAX = 2_000
"""By how much validator 0 may be ahead: its followers would wait for a fixed leader's clock."""
_COUNTS = {"clock": 3, "slow-disk": 2, "slow-jobs": 2, "pause": 4, "ring": 2}
"""The most incidents of one kind, where that is not the usual number."""
_USUAL_COUNT = 5


def draw_scenario(
    seed: int, protocol: str, nodes: int, *, faults: tuple[str, ...] | None = None
) -> Scenario:
    """The scenario of this seed, with these kinds of fault, or a subset of all drawn from it.

    Raises UserError for a kind that is unknown.
    """
    unknown = [kind for kind in faults or () if kind not in FAULTS]
    if unknown:
        raise UserError(f"unknown fault {unknown[0]}; the kinds are {', '.join(FAULTS)}")
    draw = Random(f"scenario {seed}")
    if faults is None:
        share = draw.choice((0.15, 0.4, 0.8))
        chosen = tuple(kind for kind in FAULTS if draw.random() < share)
    else:
        chosen = tuple(kind for kind in FAULTS if kind in faults)
    stable_ms = draw.choice((4_000, 8_000, 16_000))
    incidents = [
        _draw_incident(draw, kind, nodes, stable_ms)
        for kind in chosen
        if kind in INCIDENTS and not (kind in ROBBERIES and nodes < 4)
        for _ in range(draw.randint(1, _COUNTS.get(kind, _USUAL_COUNT)))
    ]
    # Protocols with a fixed leader trust validator 0; the others lose nothing by its luck.
    victims = draw.sample(range(1, nodes), (nodes - 1) // 3)
    incidents = [
        replace(incident, nodes=(draw.choice(victims),)) if incident.kind in ROBBERIES else incident
        for incident in incidents
    ]
    transactions = draw.choice((10, 30, 60))
    # Wishes may end long before the network is stable: then nothing new covers what was lost.
    busy_percent = draw.choice((40, 90, 125))
    return Scenario(
        seed=seed,
        protocol=protocol,
        nodes=nodes,
        faults=chosen,
        limits=_draw_limits(draw),
        weather=_draw_weather(draw, chosen),
        calm=Weather(delay_us=draw.choice((500, 5_000, 40_000)), jitter_us=2_000),
        pace=Pace(sync_us=draw.choice((200, 1_500)), job_us=draw.choice((100, 2_000))),
        incidents=tuple(sorted(incidents, key=lambda incident: incident.at_ms)),
        load=Load(
            transactions=transactions,
            interval_ms=max(1, 3 * stable_ms * busy_percent // (100 * transactions)),
            timeout_ms=draw.choice((1_000, 4_000)),
        ),
        stable_ms=stable_ms,
    )


def replay_command(scenario: Scenario) -> str:
    """What a person types to see this run again."""
    words = ["python", "node.py", "sim"]
    drawn = draw_scenario(scenario.seed, scenario.protocol, scenario.nodes)
    named = draw_scenario(scenario.seed, scenario.protocol, scenario.nodes, faults=scenario.faults)
    if scenario not in (drawn, named):
        return shlex.join([*words, "--scenario", _text_of(scenario)])
    words += ["--protocol", scenario.protocol, "--nodes", str(scenario.nodes)]
    words += ["--seed", str(scenario.seed)]
    if scenario != drawn:
        words += ["--faults", ",".join(scenario.faults) or "none"]
    return shlex.join(words)


def _text_of(scenario: Scenario) -> str:
    return write_scenario(ScenarioFile(scenario, scenario.protocol))


def _draw_limits(draw: Random) -> tuple[tuple[str, int], ...]:
    """Mostly none; else bounds so tight that a short run meets them."""
    tight = {
        "batch_transactions": 3,
        "batch_window": 12,
        "block_batches": 3,
        "overdue": 4,
        "replay_window": 200,
        "run_ahead": 2,
    }
    if draw.random() < 0.6:
        return ()
    return tuple((name, bound) for name, bound in tight.items() if draw.random() < 0.5)


def _draw_weather(draw: Random, chosen: tuple[str, ...]) -> Weather:
    weather = Weather(delay_us=draw.choice((300, 2_000)), jitter_us=draw.choice((500, 5_000)))
    for kind in chosen:
        match kind:
            case "delay":
                weather = replace(
                    weather,
                    delay_us=draw.choice((10_000, 80_000, 250_000)),
                    jitter_us=draw.choice((10_000, 200_000)),
                )
            case "loss":
                weather = replace(weather, loss=draw.choice((10, 80, 300)))
            case "duplicate":
                weather = replace(weather, duplicate=draw.choice((20, 200, 500)))
            case "reorder":
                weather = replace(weather, reorder=draw.choice((50, 300, 1000)))
            case "replay":
                weather = replace(weather, replay=draw.choice((20, 50, 200)))
    return weather


def _draw_incident(draw: Random, kind: str, nodes: int, stable_ms: int) -> Incident:
    at_ms = draw.randrange(0, stable_ms - 500)
    longest_ms = min(stable_ms - at_ms, draw.choice((500, 3_000, stable_ms)))
    until_ms = at_ms + draw.randint(200, max(201, longest_ms - 1))
    whom: tuple[int, ...] = (draw.randrange(nodes),)
    amount = 0
    match kind:
        case "partition" | "one-way":
            whom = tuple(n for n in range(nodes) if draw.random() < 0.5) or whom
            amount = draw.randrange(2)
        case "isolate" | "leader" | "ring":
            amount = draw.randrange(2)
        case "disconnect":
            whom = tuple(sorted(draw.sample(range(nodes), min(2, nodes))))
        case "crash":
            if draw.random() < 0.2:
                whom = tuple(n for n in range(nodes) if draw.random() < 0.7) or whom
            amount = draw.randrange(len(Boundary))
        case "clock":
            amount = draw.randint(-CLOCK_STEP_MS_MAX, CLOCK_STEP_MS_MAX) // draw.choice((1, 500))
            if whom == (
                0,
            ):  # Ahead of its followers by more than they allow, a fixed leader waits.
                amount = min(amount, CLOCK_LEAD_MS_MAX)
        case "slow-disk" | "slow-jobs":
            amount = draw.choice((10, 100, 1000))
    return Incident(kind, at_ms, min(until_ms, stable_ms), whom, amount)


# --- making them happen ---------------------------------------------------------------------------


@dataclass(slots=True)
class Injector:
    """Makes the incidents of a scenario happen to nodes and network."""

    agenda: Agenda
    network: Network
    nodes: list[Node]
    leader: Callable[[], int]
    """The node that proposed last, as far as one can see on the wire."""
    first_writes: list[Write]
    """What a new disk begins with."""

    def plan(self, incidents: tuple[Incident, ...]) -> None:
        """Put every incident on the agenda."""
        for incident in incidents:
            self.agenda.at(incident.at_ms * MS, self._begin, incident)

    def _begin(self, incident: Incident) -> None:
        length_us = max(0, incident.until_ms * MS - self.agenda.now_us)
        whom = [self.nodes[index] for index in incident.nodes]
        match incident.kind:
            case kind if kind in CUTS:
                cuts = self._cuts(incident)
                for source, dest in cuts:
                    self.network.cut(source, dest)
                    if incident.amount:
                        self.network.disconnect(source, dest)
                self.agenda.after(length_us, self._mend, cuts)
            case "disconnect":
                if len(incident.nodes) == 2:
                    self.network.disconnect(*incident.nodes)
            case "crash":
                for node in whom:
                    node.crash_at(Boundary(incident.amount))
                    self.agenda.after(length_us, self._restart, node)
            case "pause":
                for node in whom:
                    node.pause()
                    self.agenda.after(length_us, node.resume)
            case "clock":
                for node in whom:
                    node.skew_ms += incident.amount
                    self.agenda.after(length_us, self._set_clock, node)
            case "lost-disk":
                for node in whom:
                    node.restore(list(self.first_writes))
                    self.agenda.after(length_us, node.boot)
            case "old-disk":
                for node in whom:
                    self.agenda.after(length_us, self._turn_back, node, node.back_up())
            case "slow-disk":
                for node in whom:
                    node.sync_factor = incident.amount
                    self.agenda.after(length_us, self._speed_up, node)
            case "slow-jobs":
                for node in whom:
                    node.job_factor = incident.amount
                    self.agenda.after(length_us, self._speed_up, node)

    def _cuts(self, incident: Incident) -> list[tuple[int, int]]:
        """The directions that an incident cuts."""
        everyone = range(len(self.nodes))
        if incident.kind == "ring":
            return _ring_cuts(len(self.nodes))
        group = (self.leader(),) if incident.kind == "leader" else incident.nodes
        outward = [(a, b) for a in everyone for b in everyone if a in group and b not in group]
        if incident.kind == "one-way":
            return outward
        return outward + [(b, a) for a, b in outward]

    def _mend(self, cuts: list[tuple[int, int]]) -> None:
        for source, dest in cuts:
            self.network.mend(source, dest)

    def _restart(self, node: Node) -> None:
        # A crash that waited for a write which never came strikes now, so that all end in time.
        if node.is_doomed:
            node.crash()
        node.boot()

    def _turn_back(self, node: Node, backup: list[Write]) -> None:
        node.restore(backup)
        node.boot()

    def _set_clock(self, node: Node) -> None:
        node.skew_ms = 0

    def _speed_up(self, node: Node) -> None:
        node.sync_factor = node.job_factor = 1


def _ring_cuts(size: int) -> list[tuple[int, int]]:
    """All but a band around the diagonal: every node sees a majority, no two the same one."""
    reach = (size // 2 + 1) // 2
    return [
        (a, b)
        for a in range(size)
        for b in range(size)
        if a != b and min((a - b) % size, (b - a) % size) > reach
    ]
