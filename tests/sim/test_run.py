"""Whole networks in virtual time: the same seed the same run, and every fault survived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.io import Channel, FrameArrived
from sim.faults import FAULTS, draw_scenario
from sim.run import SimReport, run
from sim.scenario import Scenario
from tests.sim.fixed_leader import FixedLeader
from tests.sim.protocols import NAMES, OTHERS, plugin

ROOT = Path(__file__).resolve().parents[2]
SWARMS = 4
"""Seeds a test; nightly runs take other thousands."""


def check(scenario: Scenario) -> SimReport:
    """Run, and fail with the command that shows it again."""
    report = run(scenario, plugin(scenario.protocol))
    lines = [f"{v.property} at {v.time_ms} ms: {v.sentence}" for v in report.violations]
    assert not lines, "\n".join([*lines, report.replay])
    assert report.confirmed == report.wishes == scenario.load.transactions
    return report


# --- determinism ----------------------------------------------------------------------------------

IN_ANOTHER_PROCESS = """
import json
from sim.faults import draw_scenario
from sim.run import run
from tests.sim.protocols import plugin

reports = [run(draw_scenario(seed, name, 4), plugin(name))
           for name in ("solo", "tendermint", "jolteon") for seed in (1, 2)]
print(json.dumps([report.to_json() for report in reports], sort_keys=True))
"""


def test_two_processes_with_different_hash_seeds_make_the_same_runs() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", IN_ANOTHER_PROCESS],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            timeout=300,
        ).stdout
        for seed in ("1", "2")
    ]

    assert outputs[0] == outputs[1]
    hashes = [report["trace_hash"] for report in json.loads(outputs[0])]
    assert len(set(hashes)) == 6


def test_another_seed_or_another_fault_is_another_run() -> None:
    reports = [
        run(draw_scenario(seed, "fixed-leader", 4, faults=faults), FixedLeader)
        for seed, faults in ((1, ()), (2, ()), (1, ("loss",)))
    ]

    assert len({report.trace_hash for report in reports}) == 3


def test_a_report_is_json_without_anything_of_the_machine() -> None:
    scenario = draw_scenario(3, "fixed-leader", 4, faults=("crash",))

    first, second = (json.dumps(run(scenario, FixedLeader).to_json()) for _ in range(2))

    assert first == second
    assert str(ROOT) not in first


def test_a_report_counts_what_happened() -> None:
    report = run(draw_scenario(3, "fixed-leader", 4, faults=("crash", "loss")), FixedLeader)

    assert set(report.frames) == {channel.name.lower() for channel in Channel}
    assert all(report.frames.values())
    assert report.dropped > 0
    assert report.events["Started"] > 4
    assert 0 < report.events[FrameArrived.__name__] <= sum(report.frames.values())
    assert report.latency_ms == tuple(sorted(report.latency_ms))


# --- every protocol, every fault ------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nodes", [1, 2, 4, 7])
def test_fair_weather(name: str, nodes: int) -> None:
    report = check(draw_scenario(nodes, name, nodes, faults=()))

    assert len(set(report.certified)) == 1
    assert report.recovered_ms < 10_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone(name: str, fault: str) -> None:
    check(draw_scenario(1, name, 4, faults=(fault,)))


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@pytest.mark.parametrize("seed", range(100, 100 + SWARMS))
def test_swarms_of_faults(name: str, seed: int) -> None:
    check(draw_scenario(seed, name, 4))


@pytest.mark.parametrize("name", NAMES)
def test_swarms_of_faults_in_a_larger_network(name: str) -> None:
    check(draw_scenario(200, name, 7))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone_with_other_protocols(name: str, fault: str) -> None:
    check(draw_scenario(1, name, 4, faults=(fault,)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@pytest.mark.parametrize("base", range(1_000, 5_000, 50))
def test_many_swarms_of_faults(name: str, base: int) -> None:
    for seed in range(base, base + 10):
        check(draw_scenario(seed, name, 4))
