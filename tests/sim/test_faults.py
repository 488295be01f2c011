"""Scenarios: drawn from seeds, named by a command."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from ledger.errors import UserError
from sim.faults import (
    FAULTS,
    OLDER_FAULTS,
    OLDER_INCIDENTS,
    ROBBERIES,
    draw_scenario,
    kill_for_good,
    replay_command,
)
from sim.scenario import FOR_EVER_MS, Scenario, Weather
from sim.scenario_file import ScenarioFile, read_scenario, write_scenario

SEEDS = range(300)


def test_the_same_seed_draws_the_same_scenario_and_others_differ() -> None:
    drawn = [draw_scenario(seed, "solo", 4) for seed in SEEDS]

    assert drawn == [draw_scenario(seed, "solo", 4) for seed in SEEDS]
    assert len(set(drawn)) == len(drawn)


def test_every_kind_of_fault_is_drawn_in_company_and_alone() -> None:
    drawn = [draw_scenario(seed, "solo", 4).faults for seed in SEEDS]

    assert set(FAULTS) == {kind for faults in drawn for kind in faults}
    assert any(len(faults) <= 1 for faults in drawn)
    assert any(len(faults) >= len(FAULTS) * 2 // 3 for faults in drawn)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_kind_asked_for_is_in_the_scenario_and_no_other(kind: str) -> None:
    for seed in range(20):
        scenario = draw_scenario(seed, "solo", 4, faults=(kind,))

        fair = draw_scenario(seed, "solo", 4, faults=())
        kinds = {incident.kind for incident in scenario.incidents}
        if kinds:
            assert kinds == {kind}
        else:
            assert (scenario.weather, scenario.regions) != (fair.weather, fair.regions)
        assert not fair.incidents


def test_every_incident_ends_by_the_stabilisation_time() -> None:
    for seed in SEEDS:
        scenario = draw_scenario(seed, "solo", 7)
        for incident in scenario.incidents:
            assert 0 <= incident.at_ms < incident.until_ms <= scenario.stable_ms
            assert all(0 <= node < 7 for node in incident.nodes)


def test_calm_weather_harms_no_frame() -> None:
    for seed in SEEDS:
        calm = draw_scenario(seed, "solo", 4).calm
        assert (calm.loss, calm.duplicate, calm.reorder, calm.replay) == (0, 0, 0, 0)
        assert (calm.burst, calm.tail_us, calm.bandwidth) == (0, 0, 0)


def test_newer_kinds_leave_what_a_seed_drew_of_the_older_ones() -> None:
    for seed in SEEDS:
        older = draw_scenario(seed, "solo", 4, faults=OLDER_FAULTS)
        kept = draw_scenario(seed, "solo", 4, faults=FAULTS)
        assert [one for one in kept.incidents if one.kind in OLDER_INCIDENTS] == list(
            older.incidents
        )


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown fault earthquake; the kinds are .*crash"):
        draw_scenario(1, "solo", 4, faults=("earthquake",))


def test_a_scenario_in_an_unknown_region_is_refused() -> None:
    scenario = replace(draw_scenario(1, "solo", 4), regions=("atlantis",))

    with pytest.raises(UserError, match="unknown region atlantis; the regions are virginia"):
        read_scenario(write_scenario(ScenarioFile(scenario, "solo")))


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (draw_scenario(7, "solo", 4), ["--protocol", "solo", "--nodes", "4", "--seed", "7"]),
        (
            draw_scenario(7, "solo", 4, faults=("crash", "loss")),
            ["--protocol", "solo", "--nodes", "4", "--seed", "7", "--faults", "loss,crash"],
        ),
        (
            draw_scenario(7, "solo", 4, faults=()),
            ["--protocol", "solo", "--nodes", "4", "--seed", "7", "--faults", "none"],
        ),
    ],
)
def test_the_command_that_replays_a_drawn_scenario_names_what_it_was_drawn_from(
    scenario: Scenario, words: list[str]
) -> None:
    assert shlex.split(replay_command(scenario)) == ["python", "node.py", "sim", *words]


def test_the_command_that_replays_any_other_scenario_carries_it() -> None:
    scenario = replace(draw_scenario(7, "solo", 4), calm=Weather(loss=1))

    *words, text = shlex.split(replay_command(scenario))

    assert words == ["python", "node.py", "sim", "--scenario"]
    assert read_scenario(text).scenario == scenario


def test_who_dies_for_good_is_one_that_can_be_spared() -> None:
    dead = 0
    for seed in range(60):
        scenario = draw_scenario(seed, "tendermint", 4)
        deadly = kill_for_good(scenario)
        is_robbed = any(incident.kind in ROBBERIES for incident in scenario.incidents)
        ends = [one for one in deadly.incidents if one.until_ms == FOR_EVER_MS]
        assert len(ends) == (not is_robbed)
        assert ends or deadly == scenario
        for end in ends:
            dead += 1
            assert end.kind == "crash"
            assert end.nodes[0] in (1, 2, 3)
            assert end.at_ms < scenario.stable_ms
            assert [one for one in deadly.incidents if one.nodes == end.nodes] == [end]
    assert 10 < dead < 60


@pytest.mark.parametrize(("nodes", "crash_only"), [(3, False), (2, True)])
def test_where_nobody_can_be_spared_nobody_dies_for_good(nodes: int, crash_only: bool) -> None:
    scenario = draw_scenario(7, "raft", nodes, crash_only=crash_only)
    assert kill_for_good(scenario) == scenario
