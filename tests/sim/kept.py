"""Scenarios of whole replicas that were found once, and are played by tests."""

from __future__ import annotations

from pathlib import Path

from sim.scenario import Scenario
from sim.scenario_file import read_scenario

HERE = Path(__file__).parent


def kept(name: str) -> Scenario:
    """The scenario of a file beside this one, such as "corpus/NAME.toml"."""
    scenario = read_scenario((HERE / name).read_text(encoding="utf-8")).scenario
    assert isinstance(scenario, Scenario)
    return scenario
