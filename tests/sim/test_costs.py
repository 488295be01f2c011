"""What a block costs is what the formulas say, for every protocol that comes with the project."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import cast

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from consensus.interface import Consensus
from sim import costs
from sim.costs import PREDICTED, Cost, count_good, count_one_down

OWN = sorted(
    point.name
    for point in entry_points(group="ledger.consensus")
    if point.value.startswith("consensus.protocols.")
)


def protocol(name: str) -> type[Consensus]:
    (point,) = entry_points(group="ledger.consensus", name=name)
    return cast("type[Consensus]", point.load())


def test_every_protocol_of_the_project_has_a_prediction() -> None:
    assert set(OWN) == set(PREDICTED)


@pytest.mark.parametrize("nodes", [4, 7, 16])
@pytest.mark.parametrize("name", OWN)
def test_a_block_costs_what_is_predicted(name: str, nodes: int) -> None:
    assert Cost.of(count_good(protocol(name), nodes)) == PREDICTED[name].good(nodes)


@pytest.mark.parametrize("nodes", [4, 7])
@pytest.mark.parametrize("name", OWN)
def test_a_block_without_one_validator_costs_what_is_predicted(name: str, nodes: int) -> None:
    best, worst = count_one_down(protocol(name), nodes)

    assert Cost.of(best) == PREDICTED[name].one_down(nodes)
    assert sum(worst.messages.values()) >= sum(best.messages.values())


def test_the_table_shows_both_and_a_missed_prediction_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["costs", "--protocol", "simplex", "--nodes", "4"]
    shown = CliRunner().invoke(benchmarks, words)
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.output.splitlines()[1:]]
    assert lines[0][:6] == ["simplex", "4", "all", "up", "27", "27"]
    assert [line[3] for line in lines] == ["up", "down", "down"]

    rows = CliRunner().invoke(benchmarks, [*words, "--json"]).output.splitlines()
    assert json.loads(rows[0])["messages"] == {"end": 12, "propose": 3, "vote": 12}

    wrong = costs.Prediction("none", lambda n: Cost(1, 1, 1), lambda n: Cost(1, 1, 1))
    monkeypatch.setitem(PREDICTED, "simplex", wrong)
    missed = CliRunner().invoke(benchmarks, words)
    assert missed.exit_code == 1
    assert "2 predictions are missed" in missed.output


@pytest.mark.parametrize("sizes", ["four", "3", "4,101"])
def test_other_sizes_are_refused_in_one_line(sizes: str) -> None:
    done = CliRunner().invoke(benchmarks, ["costs", "--nodes", sizes])

    assert done.exit_code == 2
    assert "Traceback" not in done.output
