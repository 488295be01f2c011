"""PBFT under drawn faults, from seeds.  A failure names its seed; the scenario follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.protocols.pbft import Pbft
from ledger.validators import QuorumRule
from sim.conformance.vectors import compare_vectors
from sim.faults import draw_scenario as draw_network
from sim.plugin_drawing import draw_duel
from sim.plugins import PluginScenario, draw_scenario, run
from sim.run import run as run_network

VECTORS = Path(__file__).parents[1] / "sim" / "vectors" / "pbft.txt"
TIMEOUTS_MS = (15, 60, 300)
"""Views as short as this change often while the faults last, with values in flight."""


def hasty(seed: int, *, nodes: int = 4) -> PluginScenario:
    """A drawn scenario with short views and much to order at once."""
    timeout_ms = TIMEOUTS_MS[seed % 3]
    parameters = (
        ("retry_ms", max(10, timeout_ms // 3)),
        ("timeout_max_ms", 16 * timeout_ms),
        ("timeout_ms", timeout_ms),
    )
    return replace(
        draw_scenario(Pbft, seed, nodes=nodes),
        parameters=parameters,
        payloads=(4, 12, 30)[seed // 3 % 3],
        payload_max=1,
        interval_ms=(2, 20)[seed % 2],
    )


def check(scenario: PluginScenario) -> None:
    report = run(scenario)
    assert not report.violations, (scenario.seed, report.violations)


def test_every_promise_holds_under_drawn_faults() -> None:
    for seed in range(8):
        check(draw_scenario(Pbft, seed))


def test_every_promise_holds_while_views_change_often() -> None:
    for seed in range(3):
        check(replace(hasty(seed), codec=True))


def test_no_duel_of_twins_breaks_a_promise() -> None:
    for seed in range(2):
        check(draw_duel(Pbft, seed))


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
def test_every_promise_holds_for_other_numbers_of_validators(nodes: int) -> None:
    check(draw_scenario(Pbft, 1_000 + nodes, nodes=nodes))


def test_a_majority_suffices_where_nobody_lies() -> None:
    check(draw_scenario(Pbft, 2, nodes=5, rule=QuorumRule.CRASH))


def test_whole_replicas_survive_drawn_faults() -> None:
    report = run_network(draw_network(103, "pbft", 4), Pbft)

    assert not report.violations


def test_a_changed_wire_format_is_an_explicit_approval() -> None:
    assert compare_vectors(Pbft, VECTORS.read_text(encoding="utf-8")) == []


@pytest.mark.slow
@pytest.mark.parametrize("base", range(0, 6_000, 100))
def test_many_scenarios(base: int) -> None:
    for seed in range(base, base + 100):
        check(draw_scenario(Pbft, seed))
        check(hasty(seed, nodes=(4, 4, 4, 7)[seed % 4]))
        check(draw_duel(Pbft, seed))
