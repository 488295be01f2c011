"""Scenarios of bare plugins told to whole replicas, as far as both know the same faults."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ledger.errors import UserError
from ledger.validators import QuorumRule
from sim.plugin_scenario import PluginScenario
from sim.scenario import Incident, Load, Pace, Scenario, Weather

Sides = tuple[tuple[int, tuple[int, ...]], ...]
SIDES_CHANGE = 8
"""How often, before the network is stable, validators change the twin that they see."""
_BOUNDARIES = {"now": 0, "before": 1, "after": 2, "amid": 3}


def whole_replicas(scenario: PluginScenario, name: str) -> Scenario:
    """The scenario on whole replicas, for the protocol of this name.

    Seats become stations of the same number, so twins stay twins.  A bare plugin hears both twins
    of a validator; a replica has one link for each validator, and sees the twin of its side.

    Raises UserError with what whole replicas cannot be told.
    """
    _check_known(scenario)
    calm = Weather(delay_us=scenario.delay_us, jitter_us=scenario.jitter_us)
    return Scenario(
        seed=scenario.seed,
        protocol=name,
        nodes=scenario.nodes,
        crash_only=scenario.rule is QuorumRule.CRASH,
        attacks=scenario.attacks,
        twins=scenario.twins,
        sides=_sides(scenario) if scenario.twins else (),
        parameters=tuple(sorted(scenario.parameters)),
        weather=replace(
            calm,
            jitter_us=scenario.jitter_us + scenario.slow_us,
            loss=scenario.loss,
            duplicate=scenario.duplicate,
            replay=scenario.replay,
        ),
        calm=calm,
        pace=Pace(sync_us=scenario.sync_us),
        incidents=tuple(sorted(_incidents(scenario), key=lambda incident: incident.at_ms)),
        load=Load(transactions=max(1, scenario.payloads), interval_ms=max(1, scenario.interval_ms)),
        stable_ms=scenario.stable_ms,
    )


def _check_known(scenario: PluginScenario) -> None:
    unknown = [
        word
        for word in (
            "rounds",
            "stumbles",
            "clocks",
            "split",
            "late",
            "withhold",
            "mutate",
            "bad",
            "splice",
            "hoard",
            "hush",
        )
        if getattr(scenario, word)
    ]
    if any(len(partition.groups) != 2 for partition in scenario.partitions):
        unknown.append("partitions into other than two groups")
    if any(one.flap_ms or one.timers for one in scenario.partitions):
        unknown.append("partitions that flap or heal early")
    if any(one.until_ms is None for one in scenario.crashes):
        unknown.append("crashes for ever")
    if unknown:
        raise UserError(f"whole replicas cannot be told: {', '.join(unknown)}")


def _incidents(scenario: PluginScenario) -> list[Incident]:
    incidents = [
        Incident("crash", one.at_ms, one.until_ms or 0, (one.seat,), _BOUNDARIES[one.boundary])
        for one in scenario.crashes
    ]
    incidents += [
        Incident("pause", one.at_ms, one.until_ms, (one.seat,)) for one in scenario.pauses
    ]
    for one in scenario.partitions:
        kind = "one-way" if one.is_one_way else "partition"
        incidents.append(Incident(kind, one.at_ms, one.until_ms, one.groups[0]))
    return incidents


def _sides(scenario: PluginScenario) -> Sides:
    """Which twin each validator sees, and when: drawn, but the one in its group of a partition."""
    draw = Random(f"sides {scenario.seed}")
    step_ms = max(1, scenario.stable_ms // SIDES_CHANGE)
    sides = {
        time_ms: tuple(draw.randrange(2) for _ in range(scenario.nodes))
        for time_ms in range(0, scenario.stable_ms + step_ms, step_ms)
    }
    for partition in scenario.partitions:
        with_second = next(group for group in partition.groups if scenario.nodes in group)
        sides[partition.at_ms] = tuple(int(index in with_second) for index in range(scenario.nodes))
    return tuple(sorted(sides.items()))
