"""A search for saturation as a part of a run: what it found, and that its network is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.harness import command, trial
from benchmarks.harness.record import run_record
from benchmarks.harness.results import Results, Row
from benchmarks.harness.samples import Measurement
from benchmarks.harness.suite import Experiment, Suite
from benchmarks.harness.verdict import Verdict
from tests.benchmarks.made import LABELS, measured

UNSOUND = Verdict(False, 9, 0, 1, "the logs differ at height 9")
SUITE = Suite(
    "Saturation", "How much?",
    experiments=(Experiment("e", rates_per_s=(10.0,), objective_p99_ms=1.0, steps=3),),
)  # fmt: skip


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A network that confirms too late for its objective, and nothing once this has a reason."""
    reasons: list[str] = []

    async def stop() -> None: ...

    async def level() -> bool:
        return True

    @asynccontextmanager
    async def arena(of: Any, folder: Path) -> AsyncIterator[Any]:
        cluster = SimpleNamespace(stop=stop)
        watch = SimpleNamespace(forks=[], seen={})
        yield SimpleNamespace(trial=of, folder=folder, cluster=cluster, watch=watch, level=level)

    async def measure(_arena: Any, rate: float, place: int) -> Measurement:
        labels = {**LABELS, "objective_p99_ms": 1.0}
        one = measured(name=f"m-{place}", rate_per_s=rate, labels=labels)
        if reasons:
            one = measured(name=f"m-{place}", rate_per_s=rate, rows=(), blocks={}, labels=labels)
        return one

    async def judge(*_: Any) -> Verdict:
        return UNSOUND

    monkeypatch.setattr(trial, "open_arena", arena)
    monkeypatch.setattr(trial, "measure", measure)
    monkeypatch.setattr(trial, "judge", judge)
    monkeypatch.setattr(trial, "lost_rows", lambda *_: 0)
    return reasons


async def run(folder: Path) -> tuple[Results, list[Row]]:
    results = Results(folder / "run", run_record(SUITE, "text", ["x"], None))
    shown: list[Row] = []
    [one] = command.steps(SUITE)
    await command._run_one(one, folder, results, shown.append)
    return results, shown


@pytest.mark.trio
async def test_that_no_rate_keeps_the_objective_is_a_result_and_the_network_is_judged(
    silence: list[str], tmp_path: Path
) -> None:
    results, shown = await run(tmp_path)

    assert results.errors == 0
    assert results.rows == 3
    assert results.unsound == 1
    assert shown[-1]["text"] == UNSOUND.text


@pytest.mark.trio
async def test_a_search_in_which_nothing_was_confirmed_gives_no_data(
    silence: list[str], tmp_path: Path
) -> None:
    silence.append("the network is dead")

    results, shown = await run(tmp_path)

    assert results.errors == 1
    assert results.rows == 0
    assert shown[-1]["reason"].endswith("nothing was confirmed at any rate")
