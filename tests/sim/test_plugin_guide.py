"""The plugin guide: after each step the file can do what the step says."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from consensus.interface import Broadcast, Consensus
from sim.conformance.checks import broken, duel_checks, idle_checks, liveness_checks
from sim.conformance.follower import Follower
from sim.conformance.recording import corpus
from sim.conformance.recovery_checks import again_checks, crash_checks, promise_checks
from sim.conformance.subject import Subject
from sim.conformance.test_contract import (
    test_a_statement_binds_what_is_said as check_statements,
)
from sim.conformance.test_contract import (
    test_every_message_survives_the_wire as check_wire,
)
from sim.plugins import Crash, PluginScenario, draw_duel, run
from tests.sim.guide import SAMPLE, blocks, module_after, pieces

Plugin = Callable[[int], type[Consensus]]
DOWN = (Crash(1, 3, None),)
"""Validator 1 leads the first instance."""


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    folder = tmp_path_factory.mktemp("guide")
    return cache(lambda step: module_after(step, folder))


def duel(plugin: type[Consensus], seed: int) -> PluginScenario:
    """A duel that ends soon, since a plugin without catching up is not live after it."""
    return replace(draw_duel(plugin, seed, parameters=Subject(plugin).hasty), bound_ms=500)


def test_step_1_is_a_silent_plugin(after: Plugin) -> None:
    report = run(PluginScenario(after(1), payloads=0))

    assert (report.violations, report.messages) == ((), 0)


def test_step_2_has_messages_that_the_last_step_says(after: Plugin) -> None:
    assert {message.__name__ for message in after(2).MESSAGES} == {
        "Proposal", "Prepare", "Commit", "Leave",
    }  # fmt: skip
    subject = Subject(after(8))

    check_wire(subject)
    check_statements(subject)


def test_step_3_proposes_and_decides_nothing(after: Plugin) -> None:
    report = run(PluginScenario(after(3), payloads=1))

    assert report.properties == ("liveness",)
    assert report.messages == 3, "one broadcast"
    assert report.decided == ()


def test_step_4_decides_while_nothing_fails(after: Plugin) -> None:
    fair = PluginScenario(after(4))

    assert run(fair).violations == ()
    assert run(PluginScenario(after(4), crashes=DOWN)).properties == ("liveness",)


def test_step_5_survives_a_dead_leader_and_forks(after: Plugin) -> None:
    assert run(PluginScenario(after(5), crashes=DOWN)).violations == ()

    assert any("agreement" in run(duel(after(5), seed)).properties for seed in range(20))


def test_step_6_does_not_fork(after: Plugin) -> None:
    for seed in range(8):
        assert "agreement" not in run(duel(after(6), seed)).properties, seed


def test_step_7_catches_up(after: Plugin) -> None:
    plugin = after(7)
    late = [check for check in liveness_checks(Subject(plugin)) if check.rule == "LIVE-5"]

    assert broken(late, after(6))
    assert not broken([*late, *idle_checks(Subject(plugin))], plugin)


def test_step_8_forgets_nothing_in_a_restart(after: Plugin) -> None:
    plugin = after(8)
    subject = Subject(plugin)
    promises = promise_checks(subject)

    assert "agreement" in broken(promises, after(7))
    assert not broken(promises[::6], plugin)
    assert not broken([*crash_checks(subject)[1::11], *again_checks(subject)[::9]], plugin)
    assert not broken(duel_checks(subject)[::16], plugin)


def test_an_observer_of_the_last_step_says_nothing(after: Plugin) -> None:
    recording = corpus(Subject(after(8)))[0]
    observer = Follower(after(8), recording.world.context, None)
    observer.ring()

    assert not [effect for effect in observer.said if isinstance(effect, Broadcast)]


def test_the_last_step_is_the_sample_plugin() -> None:
    guide, sample = (
        [{name: ast.dump(piece) for name, piece in part.items()} for part in pieces(sources)]
        for sources in (blocks(8), [Path(SAMPLE).read_text(encoding="utf-8")])
    )

    assert guide == sample
