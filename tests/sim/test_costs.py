"""What a block costs is what the formulas say, for every protocol that comes with the project."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import entry_points
from typing import cast

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from consensus.certifier import COLLECTED_ABOVE
from consensus.interface import Consensus
from sim.checkpoint_costs import count_channels, predicted_checkpoint
from sim.costs import PREDICTED, Cost, Net, Prediction
from sim.counting import count_all

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
    """All up, one down whose turn does not come, the leader down, or the next: all numbers."""
    counts, predicted = count_all(protocol(name), nodes), PREDICTED[name]

    assert counts.good.cost == predicted.good(nodes)
    assert counts.one_down.cost == predicted.one_down(nodes)
    assert (counts.leader_down and counts.leader_down.cost) == predicted.leader_down(nodes)
    assert (counts.next_down and counts.next_down.cost) == predicted.next_down(nodes)
    assert counts.seat != counts.good.leader


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [31, 64, 100])
@pytest.mark.parametrize("name", OWN)
def test_so_it_does_in_large_networks(name: str, nodes: int) -> None:
    test_a_block_costs_what_is_predicted(name, nodes)


@pytest.mark.parametrize("nodes", [4, 7, 8, 16])
@pytest.mark.parametrize("name", ["solo", "jolteon"])
def test_certifying_a_block_costs_what_is_predicted(name: str, nodes: int) -> None:
    """Everyone to everyone up to seven; above that three collectors: linear."""
    counted = count_channels(protocol(name), nodes)

    assert counted.checkpoint == predicted_checkpoint(nodes, counted.origin_chars)
    expected = nodes * (nodes - 1) if nodes <= COLLECTED_ABOVE else 6 * (nodes - 1)
    assert counted.checkpoint.messages == expected


@pytest.mark.parametrize("name", sorted(set(OWN) - {"solo"}))
def test_a_leader_that_is_down_is_waited_for_and_costs_more(name: str) -> None:
    predicted = PREDICTED[name]

    for nodes in (4, 100):
        healthy, change = predicted.one_down(nodes), predicted.leader_down(nodes)
        assert change is not None
        assert change.waits > healthy.waits
        assert change.messages > healthy.messages
        assert change.octets > healthy.octets
        assert change.delays > healthy.delays


def test_in_a_chain_led_in_turn_the_loss_of_the_next_leader_costs_more_than_of_the_own() -> None:
    counts = count_all(protocol("jolteon"), 4)

    assert [name for name in OWN if PREDICTED[name].next_down(4)] == ["jolteon"]
    assert counts.next_leader == (counts.good.leader + 1) % 4
    assert counts.leader_down is not None
    assert counts.next_down is not None
    assert (counts.leader_down.waits, counts.next_down.waits) == (1, 2)
    assert counts.next_down.messages["vote"] > 2 * counts.leader_down.messages["vote"]


def test_the_table_shows_both_and_a_missed_prediction_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["costs", "--protocol", "simplex", "--nodes", "4"]
    shown = CliRunner().invoke(benchmarks, words)
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.output.splitlines()[1:4]]
    assert lines[0][:8] == ["simplex", "4", "all", "up", "27", "27", "3,969", "3,969"]
    assert [line[3] for line in lines] == ["up", "down", "down"]
    assert [line[-2:] for line in lines] == [["0", "0"], ["0", "0"], ["1", "1"]]

    rows = CliRunner().invoke(benchmarks, [*words, "--json"]).output.splitlines()
    first, _, last, checkpoint, *_ = (json.loads(row) for row in rows)
    assert first["messages"] == {"end": 12, "propose": 3, "vote": 12}
    assert first["down"] is None
    assert last["bytes"] == last["predicted"]["bytes"] == 5_964
    assert checkpoint["messages"] == checkpoint["predicted"]["messages"] == 12

    def wrong(net: Net) -> Cost:
        return replace(PREDICTED["solo"].good(net.n), octets=1)

    monkeypatch.setitem(PREDICTED, "simplex", Prediction("none", wrong, wrong))
    missed = CliRunner().invoke(benchmarks, words)
    assert missed.exit_code == 1
    assert "3 predictions are missed" in missed.output


@pytest.mark.parametrize("sizes", ["four", "3", "4,101"])
def test_other_sizes_are_refused_in_one_line(sizes: str) -> None:
    done = CliRunner().invoke(benchmarks, ["costs", "--nodes", sizes])

    assert done.exit_code == 2
    assert "Traceback" not in done.output
