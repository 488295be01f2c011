"""Faults: drawing a scenario from a seed.  `sim/injector.py` makes its incidents happen.

Swarm testing (Groce et al., ISSTA 2012): each scenario enables a subset of the kinds and draws its
own rates, since faults that are always mixed hide each other.  Every fault has ended by the
stabilisation time, so that liveness can be judged after it; but a node may die for good, and a
scenario written by hand may hold more that never ends.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from random import Random

from ledger.errors import UserError
from sim.regions import REGIONS
from sim.scenario import FOR_EVER_MS, Incident, Load, Pace, Scenario, Weather
from sim.scenario_file import ScenarioFile, write_scenario
from sim.watcher import Boundary

OLDER_WEATHERS = ("delay", "loss", "duplicate", "reorder", "replay")
NEWER_WEATHERS = ("tail", "burst", "bandwidth", "regions")
WEATHERS = (*OLDER_WEATHERS, *NEWER_WEATHERS)
"""Kinds that change how every link treats every frame."""
CUTS = ("partition", "one-way", "isolate", "leader", "ring")
"""Kinds that swallow frames between some nodes."""
ROBBERIES = ("lost-disk", "old-disk")
"""Kinds that a validator survives only as one of the f that may be faulty."""
OLDER_INCIDENTS = (
    *CUTS, "disconnect", "crash", "pause", "clock", "slow-disk", "slow-jobs", *ROBBERIES,
)  # fmt: skip
NEWER_INCIDENTS = ("view-partition", "flap", "slow-node", "drift")
INCIDENTS = (*OLDER_INCIDENTS, *NEWER_INCIDENTS)
"""Kinds that befall some nodes for a while."""
OLDER_FAULTS = (*OLDER_WEATHERS, *OLDER_INCIDENTS)
NEWER_FAULTS = (*NEWER_WEATHERS, *NEWER_INCIDENTS)
"""Kinds whose chance comes from a stream of its own, so that each seed kept what it had before."""
FAULTS = (*OLDER_FAULTS, *NEWER_FAULTS)
RING_MAX = 5
"""Nodes of a ring in which no way is longer than two hops."""
CLOCK_STEP_MS_MAX = 3_600_000
CLOCK_LEAD_MS_MAX = 2_000
"""By how much validator 0 may be ahead: its followers would wait for a fixed leader's clock."""
DRIFT_MAX = 1_000
"""A clock that runs at twice the speed, in milliseconds a second."""
_COUNTS = {"clock": 3, "slow-disk": 2, "slow-jobs": 2, "pause": 4, "ring": 2, "slow-node": 2,
           "drift": 2}  # fmt: skip
"""The most incidents of one kind, where that is not the usual number."""
_USUAL_COUNT = 5


def draw_scenario(
    seed: int,
    protocol: str,
    nodes: int,
    *,
    faults: tuple[str, ...] | None = None,
    crash_only: bool = False,
) -> Scenario:
    """The scenario of this seed, with these kinds of fault, or a subset of all drawn from it.

    A crash-only network tolerates no disk that forgets, which is a lie of sorts: none is drawn.
    Raises UserError for a kind that is unknown.
    """
    unknown = [kind for kind in faults or () if kind not in FAULTS]
    if unknown:
        raise UserError(f"unknown fault {unknown[0]}; the kinds are {', '.join(FAULTS)}")
    draw, more = Random(f"scenario {seed}"), Random(f"scenario {seed} more")
    if faults is None:
        share = draw.choice((0.15, 0.4, 0.8))
        chosen = tuple(kind for kind in OLDER_FAULTS if draw.random() < share)
        share = more.choice((0.0, 0.15, 0.5))
        chosen += tuple(kind for kind in NEWER_FAULTS if more.random() < share)
    else:
        chosen = tuple(kind for kind in FAULTS if kind in faults)
    if crash_only:
        chosen = tuple(kind for kind in chosen if kind not in ROBBERIES)
    stable_ms = draw.choice((4_000, 8_000, 16_000))
    incidents = [
        _draw_incident(draw if kind in OLDER_INCIDENTS else more, kind, nodes, stable_ms)
        for kind in chosen
        if kind in INCIDENTS and not (kind in ROBBERIES and nodes < 4)
        for _ in range(
            (draw if kind in OLDER_INCIDENTS else more).randint(1, _COUNTS.get(kind, _USUAL_COUNT))
        )
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
        crash_only=crash_only,
        faults=chosen,
        limits=_draw_limits(draw),
        weather=_draw_newer_weather(more, chosen, _draw_weather(draw, chosen)),
        calm=Weather(delay_us=draw.choice((500, 5_000, 40_000)), jitter_us=2_000),
        pace=Pace(sync_us=draw.choice((200, 1_500)), job_us=draw.choice((100, 2_000))),
        incidents=tuple(sorted(incidents, key=lambda incident: incident.at_ms)),
        load=Load(
            transactions=transactions,
            interval_ms=max(1, 3 * stable_ms * busy_percent // (100 * transactions)),
            timeout_ms=draw.choice((1_000, 4_000)),
        ),
        regions=_draw_regions(more, nodes) if "regions" in chosen else (),
        stable_ms=stable_ms,
    )


def kill_for_good(scenario: Scenario) -> Scenario:
    """The same with one node that dies for good, so that four nodes have none to spare.

    Unchanged where it could not be spared: where no fault is borne, or disks are lost.
    """
    faults_max = (scenario.nodes - 1) // (2 if scenario.crash_only else 3)
    if not faults_max or any(incident.kind in ROBBERIES for incident in scenario.incidents):
        return scenario
    draw = Random(f"scenario {scenario.seed} dead")
    # Protocols with a fixed leader trust validator 0.
    dead = draw.randrange(1, scenario.nodes)
    end = Incident("crash", draw.randrange(scenario.stable_ms), FOR_EVER_MS, (dead,))
    others = tuple(incident for incident in scenario.incidents if incident.nodes != (dead,))
    return replace(scenario, incidents=(*others, end))


def on_few_links(scenario: Scenario) -> Scenario:
    """The same where nodes pass messages on: a ring, or three links a node in a larger network."""
    return replace(scenario, topology="ring" if scenario.nodes <= RING_MAX else "random-3")


def replay_command(scenario: Scenario) -> str:
    """What a person types to see this run again."""
    words = ["python", "node.py", "sim"]
    again = partial(
        draw_scenario,
        scenario.seed,
        scenario.protocol,
        scenario.nodes,
        crash_only=scenario.crash_only,
    )
    drawn, named = again(), again(faults=scenario.faults)
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


def _draw_newer_weather(draw: Random, chosen: tuple[str, ...], weather: Weather) -> Weather:
    for kind in chosen:
        match kind:
            case "tail":
                weather = replace(weather, tail_us=draw.choice((2_000, 20_000, 100_000)))
            case "burst":
                weather = replace(
                    weather,
                    burst=draw.choice((5, 20, 50)),
                    burst_frames=draw.choice((5, 30)),
                    burst_loss=draw.choice((500, 900, 1_000)),
                )
            case "bandwidth":
                weather = replace(
                    weather,
                    bandwidth=draw.choice((20_000, 100_000, 1_000_000)),
                    queue_bytes=draw.choice((20_000, 200_000)),
                )
    return weather


def _draw_regions(draw: Random, nodes: int) -> tuple[str, ...]:
    return tuple(draw.choice(REGIONS) for _ in range(nodes))


def _draw_incident(draw: Random, kind: str, nodes: int, stable_ms: int) -> Incident:
    at_ms = draw.randrange(0, stable_ms - 500)
    longest_ms = min(stable_ms - at_ms, draw.choice((500, 3_000, stable_ms)))
    until_ms = at_ms + draw.randint(200, max(201, longest_ms - 1))
    whom: tuple[int, ...] = (draw.randrange(nodes),)
    amount = 0
    match kind:
        case "partition" | "one-way" | "view-partition":
            whom = tuple(n for n in range(nodes) if draw.random() < 0.5) or whom
            amount = draw.randrange(2)
        case "isolate" | "leader" | "ring":
            amount = draw.randrange(2)
        case "disconnect" | "flap":
            whom = tuple(sorted(draw.sample(range(nodes), min(2, nodes))))
            if kind == "flap":
                amount = draw.choice((30, 150, 800))
        case "slow-node":
            amount = draw.choice((10, 50, 200))
        case "drift":
            amount = draw.randint(-DRIFT_MAX // 2, DRIFT_MAX)
            if whom == (0,):
                amount = min(amount, CLOCK_LEAD_MS_MAX * 1_000 // stable_ms)
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
