"""Scenarios of the simulator as suites: what is played, and what is said to be left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.reading import read_suite
from benchmarks.harness.replay import OFFSET_S, replayed
from benchmarks.harness.suite import Event, trials
from ledger.errors import UserError
from sim.faults import INCIDENTS, draw_scenario
from sim.scenario import FOR_EVER_MS, Incident, Pace, Scenario, Weather
from sim.scenario_file import ScenarioFile, write_scenario


def file_of(*incidents: Incident, **changes: object) -> ScenarioFile:
    scenario = Scenario(
        seed=7,
        protocol="tendermint",
        nodes=4,
        incidents=incidents,
        stable_ms=4_000,
        **changes,  # type: ignore[arg-type]
    )
    return ScenarioFile(scenario, "tendermint", note="What it is about.")


def events(file: ScenarioFile) -> list[Event]:
    return [e for e in replayed(file).scenarios[0].events if e.kind != "delay"]


def test_faults_keep_their_times_and_their_victims() -> None:
    found = events(
        file_of(
            Incident("crash", 1_000, 2_000, (1,)),
            Incident("pause", 1_500, FOR_EVER_MS, (2,)),
            Incident("leader", 500, 900),
            Incident("disconnect", 700, 700, (0, 3)),
            Incident("slow-disk", 800, 1_200, (3,), 101),
            Incident("slow-node", 900, 1_200, (0,), 11),
            pace=Pace(sync_us=400),
        )
    )

    assert found == [
        Event("kill", OFFSET_S + 1.0, OFFSET_S + 2.0, "1"),
        Event("pause", OFFSET_S + 1.5, None, "2"),
        Event("partition", OFFSET_S + 0.5, OFFSET_S + 0.9, "leader"),
        Event("reset", OFFSET_S + 0.7, None, "0 3"),
        Event("slow-disk", OFFSET_S + 0.8, OFFSET_S + 1.2, "3", 40.0),
        Event("slow-disk", OFFSET_S + 0.9, OFFSET_S + 1.2, "0", 4.0),
    ]


def test_weather_lasts_until_the_network_is_stable() -> None:
    suite = replayed(file_of(weather=Weather(delay_us=5_000, loss=30, duplicate=5)))

    delay, loss = suite.scenarios[0].events
    assert (delay.kind, delay.amount, delay.until_s) == ("delay", 5.0, OFFSET_S + 4)
    assert (loss.kind, loss.amount) == ("loss", 3.0)
    assert any("duplicate" in what for what in suite.left_out)


def test_attackers_keep_their_places() -> None:
    [trial] = trials(replayed(file_of(attacks=((2, "silent"),))))

    assert (trial.scenario.byzantine, trial.scenario.liars) == ("silent", (2,))


@pytest.mark.parametrize("topology", ["full", "ring", "0-1 1-2 2-3", "random-2"])
def test_real_nodes_have_the_links_of_the_scenario(topology: str) -> None:
    suite = replayed(file_of(topology=topology))

    (trial,) = trials(suite)
    assert trial.topology == topology
    assert any("links are drawn" in what for what in suite.left_out) == (topology == "random-2")


@pytest.mark.parametrize("kind", INCIDENTS)
def test_every_incident_is_played_or_said_to_be_left_out(kind: str) -> None:
    file = file_of(Incident(kind, 1_000, 2_000, (0, 1), 1))

    assert events(file) or any(kind in what for what in replayed(file).left_out)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_drawn_becomes_a_suite_that_can_be_run(seed: int, tmp_path: Path) -> None:
    scenario = draw_scenario(seed, "jolteon", 4)
    path = tmp_path / "scenario.toml"
    path.write_text(write_scenario(ScenarioFile(scenario, "jolteon")), encoding="utf-8")

    suite = read_suite(str(path))

    [trial] = trials(suite)
    end = trial.experiment.warmup_s + trial.experiment.measure_s
    assert suite.name == "scenario"
    assert all(
        trial.experiment.warmup_s < event.at_s < (event.until_s or end) <= end
        for event in trial.scenario.events
    )


def test_a_scenario_of_bare_plugins_has_no_nodes(tmp_path: Path) -> None:
    path = tmp_path / "plugins.toml"
    path.write_text('mode = "plugins"\nprotocol = "jolteon"\n\nseed = 1\n', encoding="utf-8")

    with pytest.raises(UserError, match="replicas"):
        read_suite(str(path))
