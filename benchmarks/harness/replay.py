"""A scenario of the simulator on real processes, as far as its faults allow.

What real processes cannot be made to do at a set moment (a crash between two writes, a frame that
comes twice, twins under one key) is left out and named, so that nobody takes the replay for more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.harness.suite import Event, Experiment, Suite
from benchmarks.harness.suite import Scenario as Troubles
from ledger.errors import UserError
from sim.regions import REGIONS
from sim.scenario import FOR_EVER_MS, Incident, Scenario
from sim.scenario_file import ScenarioFile

WARMUP_S = 2.0
OFFSET_S = 3.0
"""The simulator's time 0: a second after the warm-up, which is what is compared with."""
AFTER_S = 8.0
"""Load after the last fault has ended."""
NAME = "replay"
SAME = {"pause": "pause", "partition": "partition", "isolate": "partition", "one-way": "one-way"}
"""Incidents that have their like here."""


@dataclass(slots=True)
class _Replay:
    scenario: Scenario
    events: list[Event] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, kind: str, nodes: str, at_ms: int, until_ms: int, amount: float = 0.0) -> None:
        at_s = OFFSET_S + at_ms / 1_000
        # What never ends there lasts until the load does here.
        lasts = until_ms >= FOR_EVER_MS
        until_s = None if lasts else max(OFFSET_S + until_ms / 1_000, at_s + 0.001)
        self.events.append(Event(kind, at_s, until_s, nodes, amount))

    def weather(self) -> None:
        """What holds on all links until the network is stable."""
        weather, until = self.scenario.weather, self.scenario.stable_ms
        self.add("delay", "all", 0, until, weather.delay_us / 1_000)
        if weather.loss:
            self.add("loss", "all", 0, until, weather.loss / 10)
        if weather.bandwidth:
            self.left_out.append("the bandwidth of a node: here it is bounded link by link")
        for name in ("duplicate", "reorder", "replay", "burst", "tail_us"):
            if getattr(weather, name):
                self.left_out.append(f"weather.{name}: TCP shows nothing of it")

    def incident(self, one: Incident) -> None:
        nodes = " ".join(map(str, one.nodes))
        if one.kind in SAME:
            self.add(SAME[one.kind], nodes, one.at_ms, one.until_ms)
        elif one.kind == "leader":
            self.add("partition", "leader", one.at_ms, one.until_ms)
        elif one.kind == "crash":
            self.add("kill", nodes, one.at_ms, one.until_ms)
            if one.amount:
                self.left_out.append("the place between two writes at which a crash strikes")
        elif one.kind == "view-partition":
            self.add("partition", nodes, one.at_ms, one.until_ms)
            self.left_out.append("that a partition ends with the next timer of the protocol")
        elif one.kind in ("slow-disk", "slow-node"):
            more_ms = self.scenario.pace.sync_us * (one.amount - 1) / 1_000
            self.add("slow-disk", nodes, one.at_ms, one.until_ms, more_ms)
            if one.kind == "slow-node":
                self.left_out.append(
                    "what of a slow node is not its disk: its jobs keep their pace"
                )
        elif one.kind == "disconnect":
            self.events.append(Event("reset", OFFSET_S + one.at_ms / 1_000, None, nodes))
        else:
            self.left_out.append(f"{one.kind} of {nodes or 'all'}: real processes do not do it")


def replayed(file: ScenarioFile) -> Suite:
    """The suite that plays a scenario file; `left_out` says what it cannot.

    Raises UserError for a scenario of bare plugins, which no process runs.
    """
    scenario = file.scenario
    if not isinstance(scenario, Scenario):
        raise UserError('it plays bare plugins; only a scenario with mode = "replicas" has nodes')
    replay = _Replay(scenario)
    replay.weather()
    for incident in scenario.incidents:
        replay.incident(incident)
    for name in ("twins", "limits", "sides"):
        if getattr(scenario, name):
            replay.left_out.append(f"{name}: a real network is made without them")
    if scenario.regions and scenario.regions != REGIONS[: len(scenario.regions)]:
        replay.left_out.append("where the validators are: here each region has one, in their order")
    if scenario.topology.startswith("random"):
        replay.left_out.append(f"which links are drawn: those of {scenario.topology} are others")
    attacks = dict(scenario.attacks)
    words = next(iter(attacks.values()), "")
    if len(set(attacks.values())) > 1:
        replay.left_out.append(f"that attackers differ: all of them are {words}")
    troubles = Troubles(
        NAME, tuple(replay.events), byzantine=words, liars=tuple(sorted(attacks))
    )  # fmt: skip
    experiment = Experiment(
        NAME,
        protocols=(file.protocol,),
        validators=(scenario.nodes,),
        links=("world" if scenario.regions else "proxied",),
        topologies=(scenario.topology,),
        scenarios=(NAME,),
        rates_per_s=(_rate(scenario),),
        warmup_s=WARMUP_S,
        measure_s=OFFSET_S - WARMUP_S + scenario.stable_ms / 1_000 + AFTER_S,
        recovery_s=AFTER_S / 2,
        parameters=scenario.parameters,
        audits=scenario.nodes,
    )
    return Suite(
        title=f"Scenario {scenario.seed} of {file.protocol} on real processes",
        question=file.note.splitlines()[0] if file.note else "Does it hold there, too?",
        seed=scenario.seed,
        scenarios=(troubles,),
        experiments=(experiment,),
        left_out=tuple(dict.fromkeys(replay.left_out)),
    )


def _rate(scenario: Scenario) -> float:
    """What the simulated members offer together, but enough to see something."""
    load = scenario.load
    return max(20.0, 1_000 * load.members / load.interval_ms)
