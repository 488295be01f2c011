"""Whole replicas: the same plugin under batches, blocks, execution, checkpoints and real bytes."""

from __future__ import annotations

from sim.conformance.subject import Subject
from sim.faults import draw_scenario
from sim.run import run
from sim.scenario import Scenario

SEEDS = 3


def drawn(subject: Subject, seed: int) -> Scenario:
    """A drawn scenario, of faults that the plugin claims to withstand."""
    crash_only = subject.protocol.fault_model == "crash"
    return draw_scenario(seed, subject.protocol.name, 4, crash_only=crash_only)


def test_whole_replicas_survive_drawn_faults(subject: Subject) -> None:
    """[REPLICA-1] The oracles of whole replicas hold, and every wish of a client is confirmed."""
    for seed in range(SEEDS * subject.depth):
        scenario = drawn(subject, seed)

        report = run(scenario, subject.protocol)

        lines = [f"{one.property} at {one.time_ms} ms: {one.sentence}" for one in report.violations]
        assert not lines, "\n".join([*lines, report.replay])
        assert report.confirmed == report.wishes, report.replay
