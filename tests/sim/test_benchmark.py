"""`python -m benchmarks plugins` measures drawings with every protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from benchmarks.plugins import DRAWINGS, PROTOCOLS
from benchmarks.simulation import UntilHeight, around_the_world
from consensus.interface import Timer
from consensus.protocols.solo import Solo

DRAWN = ("ten rounds", "twins, 150 ms")


class Unordered(Solo):
    """Sets timers in the order in which a set of words happens to give them."""

    def on_start(self) -> None:
        super().on_start()
        for place, word in enumerate({"this", "that", "these", "those", "here", "there"}):
            self.set_timer(word, (0,), place + 1)

    def on_timer(self, timer: Timer) -> None:
        if timer.slot != (0,):
            super().on_timer(timer)


def test_the_simulator_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"

    arguments = ["plugins", "--seconds", "0.01", "--json", str(file)]
    for name in DRAWN:
        arguments += ["--drawing", name]
    result = CliRunner().invoke(benchmarks, arguments, catch_exceptions=False)

    rows = json.loads(file.read_text(encoding="utf-8"))
    assert result.exit_code == 0
    assert set(DRAWN) < set(DRAWINGS)
    assert len(rows) == len(DRAWN) * len(PROTOCOLS) == result.output.count("\n") - 1
    assert all(row["scenarios_per_second"] > 0 for row in rows.values())
    assert all(row["events_per_scenario"] > 10 for row in rows.values())


def test_scenarios_go_alike_under_two_hash_seeds() -> None:
    arguments = ["hashes", "--protocol", "jolteon", "--scenarios", "20", "--strategy", "twins",
                 "--strategy", "swarm"]  # fmt: skip
    result = CliRunner().invoke(benchmarks, arguments, catch_exceptions=False)

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].split()[1] == lines[1].split()[1]
    assert lines[2].startswith("jolteon: 20 scenarios, ")
    assert lines[2].endswith(" 0 broken; all alike")


def test_a_protocol_that_iterates_over_a_set_is_told() -> None:
    arguments = ["hashes", "--protocol", "tests.sim.test_benchmark:Unordered", "--scenarios", "4",
                 "--strategy", "random"]  # fmt: skip
    result = CliRunner().invoke(benchmarks, arguments, catch_exceptions=False)

    assert result.exit_code == 1
    assert "NOT ALIKE" in result.stdout


@pytest.mark.parametrize("height", [1, 1_000])
def test_what_only_some_have_confirmed_at_the_end_is_not_asked_of_the_others(height: int) -> None:
    run = UntilHeight(around_the_world("solo", 4, 2), Solo, 2)
    run.clients.acknowledged[bytes(32)] = height  # No node has it.

    report = run.lead()

    assert min(report.certified) >= 2
    assert report.is_sound == (height == 1_000)
