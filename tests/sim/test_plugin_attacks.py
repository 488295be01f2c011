"""Honest validators under attack: up to f attackers break nothing, f+1 can, the innocent are safe.

A failure names its seed; the scenario follows from it alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.byzantine import ATTACKS
from consensus.interface import Consensus
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from ledger.errors import UserError
from ledger.validators import QuorumRule
from sim.plugins import (
    PluginScenario,
    PluginWorld,
    Round,
    draw_duel,
    draw_scenario,
    draw_twins,
    hasty,
    run,
)

ROOT = Path(__file__).resolve().parents[2]
PROTOCOLS: list[type[Consensus]] = [Tendermint, Jolteon]
COMBINATIONS = (
    "equivocating+delaying",
    "equivocating+replaying",
    "mutating+replaying+selective",
    "amnesiac+equivocating",
    "amnesiac+mutating+delaying",
)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("attack", [*ATTACKS, *COMBINATIONS])
def test_one_attacker_of_four_breaks_nothing(protocol: type[Consensus], attack: str) -> None:
    for seed in range(4):
        scenario = PluginScenario(
            protocol,
            seed=seed,
            parameters=hasty(protocol, divisor=20),
            attacks=((seed % 4, attack),),
            loss=(0, 100)[seed % 2],
            split=(0, 0, 300)[seed % 3],
            codec=seed == 0,
            stable_ms=400,
        )
        report = run(scenario)
        assert report.violations == (), (seed, report.violations)
        assert set(report.accused) <= {seed % 4}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_drawn_attacks_break_nothing(protocol: type[Consensus]) -> None:
    for seed in range(3_000, 3_006):
        for draw in (draw_scenario, draw_twins):
            report = run(draw(protocol, seed))
            assert report.violations == (), (draw, seed, report.violations)


def test_two_different_attackers_of_seven_break_nothing() -> None:
    attacks = ((1, "equivocating+replaying"), (5, "amnesiac"))
    for protocol in PROTOCOLS:
        report = run(PluginScenario(protocol, nodes=7, attacks=attacks))
        assert report.violations == (), report.violations


def test_equivocators_are_accused_and_nobody_else() -> None:
    accused = {
        run(PluginScenario(protocol, seed=seed, attacks=((2, "equivocating"),))).accused
        for protocol in PROTOCOLS
        for seed in range(12)
    }

    assert accused == {(), (2,)}


def test_more_amnesiacs_than_the_rule_bears_fork_the_ledger() -> None:
    """A round among 0, 2 and 3 alone, which decides at 0; then 1, 2 and 3 alone."""
    rounds = (Round(None, ((0, 2, 3), (1,))), *[Round(None, ((0,), (1, 2, 3)))] * 12)
    scenario = PluginScenario(
        Tendermint,
        parameters=hasty(Tendermint),
        payloads=1,
        payload_max=1,
        interval_ms=1,
        rounds=rounds,
        withhold=1_000,
        stable_ms=600,
    )
    attacks = ((2, "amnesiac"), (3, "amnesiac"))

    reports = [run(replace(scenario, seed=seed, attacks=attacks)) for seed in range(20, 24)]

    assert any(report.forked for report in reports)
    assert all(report.violations == () for report in reports)
    assert all(set(report.accused) <= {2, 3} for report in reports)
    for seed in range(20, 24):
        assert not run(replace(scenario, seed=seed, attacks=attacks[:1])).forked


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_more_twins_than_the_rule_bears_fork_the_ledger(protocol: type[Consensus]) -> None:
    """Seats 4 and 5 are the twins of 2 and 3, who lead: two networks of three, one for each."""
    rounds = tuple(Round(2 + number // 4 % 2, ((0, 2, 3), (1, 4, 5))) for number in range(12))
    base = replace(draw_twins(protocol, 0), attacks=(), crashes=(), mutate=0, replay=0)

    report = run(replace(base, twins=(2, 3), rounds=rounds))

    assert report.forked
    assert report.violations == ()


def test_an_unknown_attack_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="no attack 'loud'"):
        PluginWorld(PluginScenario(Tendermint, attacks=((0, "silent+loud"),)))


def test_drawn_scenarios_have_every_attack_and_never_too_many_liars() -> None:
    drawn = [draw_scenario(Tendermint, seed, nodes=7) for seed in range(300)]
    names = {name for one in drawn for _, attack in one.attacks for name in attack.split("+")}

    assert names == set(ATTACKS)
    assert {len(one.byzantine) for one in drawn} == {0, 1, 2}
    assert any(set(one.twins) & {validator for validator, _ in one.attacks} for one in drawn)
    assert any("+" in attack for one in drawn for _, attack in one.attacks)
    assert not any(one.byzantine for one in (_crash_only(seed) for seed in range(50)))
    for draw in (draw_duel, draw_twins):
        duels = [draw(Jolteon, seed, nodes=7) for seed in range(60)]
        assert {len(one.byzantine) for one in duels} == {2}
        assert {bool(one.attacks) for one in duels} == {True, False}


def _crash_only(seed: int) -> PluginScenario:
    return draw_scenario(Tendermint, seed, nodes=5, rule=QuorumRule.CRASH)


def test_a_drawn_leader_leads_and_a_drawn_partition_holds() -> None:
    """Whoever leads proposes; a validator alone in the first rounds hears nothing of them."""
    for protocol in PROTOCOLS:
        apart = tuple(Round(2, ((0, 1, 2), (3,))) for _ in range(6))
        scenario = PluginScenario(
            protocol, parameters=hasty(protocol), rounds=apart, withhold=1_000, stable_ms=2_000
        )
        world = PluginWorld(scenario)
        world.agenda.run_until(150_000)

        assert world.seats[0].log
        assert not world.seats[3].log
        assert {value.proposer for value in world.seats[0].log[:3]} == {2}


def test_a_kind_of_message_may_have_groups_of_its_own() -> None:
    everyone, kind = ((0, 1, 2, 3),), Tendermint.MESSAGES[2].KIND
    rounds = (Round(None, everyone, ((kind, ((0,), (1,), (2,), (3,))),)),)

    report = run(PluginScenario(Tendermint, payloads=1, rounds=rounds, stable_ms=5_000))

    assert report.violations == ()
    assert report.decided[0].slot == (1, 0)
    assert report.finished_ms is not None
    assert report.finished_ms > 400


HASHES = """
from tests.sim.test_plugin_attacks import *
print([run(draw(protocol, seed)).trace_hash
    for protocol in PROTOCOLS for draw in (draw_scenario, draw_twins) for seed in range(8, 10)])
print([run(PluginScenario(protocol, seed=7, attacks=((1, attack),))).trace_hash
    for protocol in PROTOCOLS for attack in ("+".join(ATTACKS).replace("silent+", ""),)])
"""


def test_runs_under_attack_do_not_depend_on_the_process() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", HASHES],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    ]

    assert printed[0] == printed[1]
    assert len(set(printed[0].split("'"))) > 10
