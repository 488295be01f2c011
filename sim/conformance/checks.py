"""Checks: what a group of the suite plays, so that broken twins can be put through the same.

A check takes a protocol, the plugin itself or a broken twin of it, and returns what it found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from consensus.interface import Consensus, Pending
from consensus.registry import place_of
from sim.conformance.recording import HONEST_FAULTS, fair_scenario
from sim.conformance.subject import Subject
from sim.plugin_step import Packet
from sim.plugins import (
    Crash,
    Partition,
    PluginReport,
    PluginScenario,
    PluginWorld,
    Script,
    draw_duel,
    draw_scenario,
    run,
)
from sim.scenario_file import ScenarioFile, write_scenario

Play = Callable[[type[Consensus]], list[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to play."""

    group: str
    """The group of the suite that plays it."""
    rule: str
    """The id of the rule that it checks, such as PACE-1."""
    label: str
    """What distinguishes it from the others of its rule."""
    play: Play


def broken(checks: list[Check], protocol: type[Consensus]) -> str:
    """What the checks find, as text; empty where all hold."""
    for check in checks:
        found = check.play(protocol)
        if found:
            return "\n".join([f"[{check.rule}] {check.label}", *found])
    return ""


def findings(report: PluginReport) -> list[str]:
    """The violations of a run in words, and the run itself."""
    lines = [f"{one.property} at {one.time_ms} ms: {one.sentence}" for one in report.violations]
    return [*lines, "", _file_of(report)] if lines else []


def _file_of(report: PluginReport) -> str:
    """The scenario as a file that plays it again; a broken twin has no name to find it by."""
    scenario = report.scenario
    name = place_of(scenario.protocol)
    file = ScenarioFile(scenario, name, expect=report.violations[0].property)
    return write_scenario(file) if "<locals>" not in name else ""


def played(scenario: PluginScenario) -> Play:
    """Play this scenario with whatever protocol is put through the check."""
    return lambda protocol: findings(run(replace(scenario, protocol=protocol)))


def _drawn(subject: Subject, seed: int, nodes: int = 4) -> PluginScenario:
    faults = (*HONEST_FAULTS, "byzantine") if subject.withstands_liars else HONEST_FAULTS
    return draw_scenario(subject.protocol, seed, nodes=nodes, faults=faults, rule=subject.rule)


# --- safety ---------------------------------------------------------------------------------------


def drawn_checks(subject: Subject) -> list[Check]:
    """Random faults, every other time with hasty timers."""
    checks = []
    for seed in range(60 * subject.depth):
        scenario = _drawn(subject, seed)
        if seed % 2:
            scenario = replace(scenario, parameters=subject.hasty, codec=seed % 6 == 1)
        checks.append(Check("safety", "SAFE-1", f"seed {seed}", played(scenario)))
    return checks


def duel_checks(subject: Subject) -> list[Check]:
    """Twins, split phases, mutated messages, crashes; decisions stay where they fell."""
    if not subject.withstands_liars:
        return []
    return [
        Check(
            "safety",
            "SAFE-2",
            f"duel {seed}",
            played(draw_duel(subject.protocol, seed, parameters=subject.hasty)),
        )
        for seed in range(60 * subject.depth)
    ]


# --- liveness -------------------------------------------------------------------------------------


def liveness_checks(subject: Subject) -> list[Check]:
    """Heal, single validators down, slow links, and nobody shouts into the void."""
    fair = fair_scenario(subject)

    def check(rule: str, label: str, scenario: PluginScenario) -> Check:
        return Check("liveness", rule, label, played(scenario))

    halves = ((0, 1), (2, 3))
    checks = [
        check("LIVE-1", f"halves for {until_ms} ms", replace(
            fair, partitions=(Partition(0, until_ms, halves),), stable_ms=until_ms
        ))
        for until_ms in (200, 3_000, 20_000)
    ]  # fmt: skip
    checks += [
        check("LIVE-1", f"seat {seat} apart", replace(
            fair,
            partitions=(Partition(0, 5_000, (tuple(n for n in range(4) if n != seat),)),),
            stable_ms=5_000,
        ))
        for seat in range(4)
    ]  # fmt: skip
    if subject.withstands_crashes:
        checks += [
            check("LIVE-2", f"seat {seat} down", replace(fair, crashes=(Crash(seat, 3, None),)))
            for seat in range(4)
        ]
    checks += [
        check("LIVE-3", f"links take {delay_ms} ms", replace(
            fair, delay_us=delay_ms * 1_000, jitter_us=delay_ms * 100, bound_ms=120_000,
            parameters=_stating(subject, delay_ms),
        ))
        for delay_ms in (30, 300, 1_000)
    ]  # fmt: skip
    checks.append(Check("liveness", "LIVE-4", "everyone alone", _chatter(subject)))
    checks.append(Check("liveness", "LIVE-5", "one comes late", _latecomer(subject)))
    return checks


def _stating(subject: Subject, delay_ms: int) -> tuple[tuple[str, int], ...]:
    """Parameters for links like these, where a protocol is told how long messages take."""
    protocol = subject.protocol
    if not protocol.lock_step:
        return ()
    stated = dict(protocol.PARAMETERS)
    while (longest_ms := protocol.delay_max_ms(stated)) is not None and longest_ms < delay_ms:
        stated = {name: 2 * number for name, number in stated.items()}
    return tuple(sorted(stated.items()))


CUT_OFF_MS = 60_000
MESSAGES_MAX = 40
"""A second on each link, while nobody hears anybody."""


def _chatter(subject: Subject) -> Play:
    def play(protocol: type[Consensus]) -> list[str]:
        script = Script(replace(fair_scenario(subject), protocol=protocol, stable_ms=CUT_OFF_MS))
        script.allow = _is_nobody_there
        script.run_ms(CUT_OFF_MS // 2)
        first = script.messages
        script.run_ms(CUT_OFF_MS // 2)
        second = script.messages - first
        links = len(script.seats) * (len(script.seats) - 1)
        if second > max(first, links) * 1.5 or second > MESSAGES_MAX * links * CUT_OFF_MS // 2_000:
            return [f"{first} messages in the first half minute alone, {second} in the second"]
        script.allow = None
        script.submit(b"\x01" * 32)
        return findings(script.run())

    return play


def _is_nobody_there(sender: int, receiver: int, packet: Packet) -> bool:
    return False


def _latecomer(subject: Subject) -> Play:
    """What one seat missed is certified before it is back: nobody keeps the decisions any more."""

    def play(protocol: type[Consensus]) -> list[str]:
        apart = Partition(0, 10_000, ((0, 1, 2), (3,)))
        scenario = replace(
            fair_scenario(subject), protocol=protocol, partitions=(apart,), stable_ms=10_000
        )
        script = Script(scenario)
        found = findings(script.run())
        for seat in script.seats:
            root = seat.root(len(seat.log))
            if not found and (seat.plugin is None or seat.plugin.root != root):
                return [f"the root of seat {seat.index} is not that of its log, {root}"]
        return found

    return play


# --- idle silence, other sizes --------------------------------------------------------------------


def idle_checks(subject: Subject) -> list[Check]:
    """Nothing to order, nothing to say."""
    return [
        Check("idle", "IDLE-1", "nothing was ever submitted", _never_woken(subject)),
        Check("idle", "IDLE-2", "all is ordered", played(fair_scenario(subject))),
        Check("idle", "IDLE-3", "all restart when all is ordered", _idle_restart(subject)),
        Check("idle", "IDLE-4", "a false alarm", _false_alarm(subject)),
    ]


def _never_woken(subject: Subject) -> Play:
    def play(protocol: type[Consensus]) -> list[str]:
        world = PluginWorld(replace(fair_scenario(subject), protocol=protocol, payloads=0))
        report = world.run()
        timers = [timer for seat in world.seats for timer in seat.timers]
        if report.messages or report.events > 2 * len(world.seats) or timers:
            return [f"{report.messages} messages, {report.events} events, timers {timers}"]
        return findings(report)

    return play


SILENT_MS = 120_000


def _idle_restart(subject: Subject) -> Play:
    def play(protocol: type[Consensus]) -> list[str]:
        script = Script(replace(fair_scenario(subject), protocol=protocol))
        report = script.run()
        for seat in range(len(script.seats)):
            script.crash(seat)
            script.restart(seat)
        return findings(report) or _still_awake(script)

    return play


def _false_alarm(subject: Subject) -> Play:
    def play(protocol: type[Consensus]) -> list[str]:
        script = Script(replace(fair_scenario(subject), protocol=protocol))
        report = script.run()
        script.seats[1].take(Pending(0))
        return findings(report) or _still_awake(script)

    return play


def _still_awake(script: Script) -> list[str]:
    script.run_ms(SILENT_MS)
    if script.oracles.violations:
        return [one.sentence for one in script.oracles.violations]
    if len(script.agenda):
        return [f"{len(script.agenda)} things are still planned {SILENT_MS} ms later"]
    return []


SIZES = (1, 2, 3, 5, 7, 10)


def size_checks(subject: Subject) -> list[Check]:
    """Other numbers of validators, as drawn."""
    return [
        Check("sizes", "SIZE-1", f"{nodes} validators, seed {seed}", played(
            _drawn(subject, 1_000 + seed, nodes)
        ))
        for seed in range(3 * subject.depth)
        for nodes in SIZES
    ]  # fmt: skip
