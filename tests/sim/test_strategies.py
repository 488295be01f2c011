"""Strategies for users: what they draw is right, a bug is found, shrunk, and kept as a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from consensus.protocols.jolteon import Jolteon
from ledger.block import parse_header
from ledger.keys import scheme_named
from ledger.transaction import Transaction, parse_transaction
from sim.plugin_scenario import PluginScenario
from sim.plugins import run
from sim.scenario_file import read_scenario
from sim.strategies import Schedule, blocks, plugin_scenarios, schedules, sound, transactions
from tests.sim.broken_solo import Brittle
from tests.sim.protocols import NAMES, plugin

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 12 if settings.get_current_profile_name() == "ci" else 5_000
EXAMPLE = re.search(
    r"```python\n(from hypothesis.*?)```",
    (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


@pytest.mark.parametrize("name", NAMES)
def test_no_schedule_breaks_a_protocol(name: str) -> None:
    @settings(max_examples=BUDGET)
    @given(plugin_scenarios(plugin(name), rounds=8))
    def holds(scenario: PluginScenario) -> None:
        sound(scenario)

    holds()


def test_a_bug_is_found_shrunk_and_kept_as_a_scenario_file(tmp_path: Path) -> None:
    @settings(max_examples=60)
    @given(plugin_scenarios(Brittle, rounds=3))
    def holds(scenario: PluginScenario) -> None:
        sound(scenario, keep=tmp_path)

    with pytest.raises(AssertionError, match="it cannot begin anywhere else"):
        holds()

    (kept,) = tmp_path.glob("solo-breakdown.toml")
    file = read_scenario(kept.read_text())
    assert isinstance(file.scenario, PluginScenario)
    assert file.expect in run(file.scenario).properties
    assert len(file.scenario.crashes) == 1, "shrunk to the one crash that matters"
    assert file.scenario.partitions == ()


@settings(max_examples=20)
@given(schedules(Jolteon, rounds=3))
def test_schedules_keep_to_what_a_plugin_withstands(schedule: Schedule) -> None:
    liars = {*schedule.twins, *(liar for liar, _ in schedule.attacks)}

    assert 1 <= len(schedule.rounds) <= 3
    assert len(liars) <= 1


@settings(max_examples=20)
@given(transactions())
def test_transactions_are_rightly_signed(transaction: Transaction) -> None:
    scheme = scheme_named("keyed-hash")

    assert parse_transaction(transaction.raw) == transaction
    assert scheme.verify(transaction.sender, transaction.signed_bytes(), transaction.signature)


@settings(max_examples=20)
@given(blocks())
def test_blocks_are_linked(chain: list) -> None:
    assert [parse_header(header.raw) for header in chain] == chain
    for last, header in pairwise(chain):
        assert header.previous_hash == last.hash
        assert header.timestamp_ms > last.timestamp_ms


def test_the_example_of_the_documents_runs(tmp_path: Path) -> None:
    assert EXAMPLE is not None
    assert EXAMPLE[1].count("\n") <= 10
    (tmp_path / "test_example.py").write_text(EXAMPLE[1], encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
