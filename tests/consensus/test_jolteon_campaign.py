"""Jolteon under drawn faults: crashes, partitions, loss, replays, slow links and twins, from seeds.

A failure names its seed; the scenario follows from it alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.protocols.jolteon import Jolteon
from ledger.validators import QuorumRule
from sim.plugins import PluginScenario, draw_scenario, run
from tests.consensus import mutants_jolteon as mutants
from tests.consensus.jolteon_twins import HEAL_MS, play

ROOT = Path(__file__).resolve().parents[2]
TIMEOUTS_MS = (15, 60, 300)
"""Views as short as this change often while the faults last."""


def hasty(protocol: type[Jolteon], seed: int, *, nodes: int = 4) -> PluginScenario:
    """A drawn scenario with short views and more to order."""
    timeout_ms = TIMEOUTS_MS[seed % 3]
    return replace(
        draw_scenario(protocol, seed, nodes=nodes),
        parameters=(("timeout_max_ms", 8 * timeout_ms), ("timeout_ms", timeout_ms)),
        payloads=(4, 12, 30)[seed // 3 % 3],
    )


@pytest.mark.parametrize("first", range(0, 50, 25))
def test_every_promise_holds_under_drawn_faults(first: int) -> None:
    for seed in range(first, first + 25):
        report = run(draw_scenario(Jolteon, seed))
        assert not report.violations, (seed, report.violations)


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_every_promise_holds_while_views_change_often(first: int) -> None:
    for seed in range(first, first + 10):
        report = run(replace(hasty(Jolteon, seed), codec=seed % 5 == 0))
        assert not report.violations, (seed, report.violations)


@pytest.mark.parametrize("nodes", [2, 3, 5, 7, 10])
def test_every_promise_holds_for_other_numbers_of_validators(nodes: int) -> None:
    for seed in range(1_000, 1_006):
        report = run(draw_scenario(Jolteon, seed, nodes=nodes))
        assert not report.violations, (seed, report.violations)


def test_a_single_validator_decides_alone() -> None:
    report = run(draw_scenario(Jolteon, 1, nodes=1, faults=()))

    assert not report.violations
    assert report.decided


def test_a_majority_suffices_where_nobody_lies() -> None:
    for seed in range(10):
        scenario = draw_scenario(Jolteon, seed, nodes=5, rule=QuorumRule.CRASH)
        report = run(scenario)
        assert not report.violations, (seed, report.violations)


@pytest.mark.parametrize("seed", range(80))
def test_nobody_disagrees_under_drawn_leaders_and_partitions(seed: int) -> None:
    stage = play(Jolteon, seed)
    assert not stage.broken, stage.report().violations

    stage.heal()
    before = [seat.durable for seat in stage.seats]
    stage.submit(b"n" * 32)
    honest = [seat for seat in stage.seats if not seat.is_byzantine]
    goes_on = stage.run_until(
        lambda: all(seat.durable > before[seat.index] for seat in honest), limit_ms=HEAL_MS
    )

    assert goes_on
    assert not stage.broken, stage.report().violations


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [
        (mutants.CountsMessages, "proof"),
        (mutants.VotesTwice, "breakdown"),
        (mutants.ForgetsVotes, "breakdown"),
    ],
)
def test_drawn_leaders_and_partitions_kill_mutants(mutant: type[Jolteon], broken: str) -> None:
    assert any(broken in play(mutant, seed).broken for seed in range(60))


def test_values_decided_together_in_the_wrong_order_are_noticed() -> None:
    found = [run(hasty(mutants.CommitsNewestFirst, seed)).properties for seed in range(12)]

    assert any("agreement" in properties or "once" in properties for properties in found)


HASHES = """
from tests.consensus.test_jolteon_campaign import Jolteon, hasty, run
from tests.consensus.jolteon_twins import play
print([run(hasty(Jolteon, seed)).trace_hash for seed in range(4)])
print([play(Jolteon, seed).trace.hexdigest() for seed in range(4)])
"""


def test_runs_do_not_depend_on_the_process() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", HASHES],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    ]

    assert said[0] == said[1]
    assert len(set(said[0].split("'"))) > 8
