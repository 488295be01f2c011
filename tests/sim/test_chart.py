"""The chart: what a reader of 80 columns sees of a run."""

from __future__ import annotations

import re

import pytest

from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from sim.chart import Row, chart
from sim.plugins import draw_scenario, run
from sim.record import Recording
from sim.record_plugins import PluginRecorder
from tests.consensus.mutants_tendermint import IgnoresLock
from tests.pictures import lock_run


def texts(rows: list[Row]) -> list[str]:
    return [row.text for row in rows]


def told(rows: list[Row]) -> list[Row]:
    """Rows that are neither head nor legend."""
    return [row for row in rows if row.kind not in ("head", "legend")]


@pytest.fixture(scope="module")
def forked() -> Recording:
    return lock_run(IgnoresLock)


@pytest.fixture(scope="module")
def long() -> Recording:
    recorder = PluginRecorder()
    run(draw_scenario(Jolteon, 4, nodes=16), recorder)
    return recorder.recording()


def test_a_fork_reads_in_80_columns(forked: Recording) -> None:
    rows = chart(forked)

    assert max(map(len, texts(rows))) <= 80
    assert texts(rows)[0] == " time ms  v0   v1   v2   v3   v3'"
    assert "    25.4  #1   |    |    |    |     v0 decided #1 as number 0" in texts(rows)
    assert "  2017.4  |    |    #3   |    |     v2 decided #3 as number 0" in texts(rows)
    assert "    20.7  <    x    x    o    |     precommit 1/0 #1" in texts(rows)
    violated = [row for row in rows if row.kind == "violated"]
    assert violated[0].text.startswith("  2017.4  !    !    !    !    !     agreement is violated")
    assert "v3' is one of twins under one key" in texts(rows)


def test_repetitions_are_left_out_and_nothing_else(forked: Recording) -> None:
    shown = told(chart(forked, rows_max=1_000))

    firsts = sum(not saying.is_again for saying in forked.sayings)
    facts = sum(not fact.is_routine for fact in forked.facts)
    assert len([row for row in shown if row.kind == "said"]) == firsts
    assert len([row for row in shown if row.text[:8].strip()]) == firsts + facts
    assert not any(row.kind == "elided" for row in shown)


@pytest.mark.parametrize("rows_max", [12, 30])
def test_a_short_chart_still_shows_the_violation(forked: Recording, rows_max: int) -> None:
    shown = told(chart(forked, rows_max=rows_max))

    timed = [row for row in shown if row.text[:8].strip() not in ("", "...")]
    assert len(timed) <= rows_max
    assert any(row.kind == "violated" for row in shown)
    assert any(row.kind == "elided" for row in shown)


def test_what_is_left_out_is_counted(long: Recording) -> None:
    shown = told(chart(long, rows_max=40))

    gone = sum(int(match[1]) for row in shown if (match := re.search(r"(\d+) more", row.text)))
    timed = [row for row in shown if row.kind != "elided"]
    small = ("certificate", "certified", "note")
    whole = [row for row in told(chart(long, rows_max=100_000)) if row.kind not in small]
    assert len(timed) == 40
    assert gone >= len(whole) - 40
    assert [row.text for row in whole[:12]] == [row.text for row in timed[:12]]
    assert whole[-1].text == timed[-1].text


def test_sixteen_columns_fit_beside_their_words(long: Recording) -> None:
    rows = chart(long, columns=100)

    assert max(map(len, texts(rows))) <= 100
    head = texts(rows)[0].split()
    assert head[2:] == [str(number) for number in range(16)]


def test_a_stopped_validator_has_no_line() -> None:
    recorder = PluginRecorder()
    run(draw_scenario(Tendermint, 8, nodes=4, faults=("crash",)), recorder)
    rows = chart(recorder.recording(), rows_max=1_000)

    crash = next(n for n, row in enumerate(rows) if row.kind == "crashed")
    column = rows[crash].text.index("X")

    assert rows[crash - 1].text[column] == "|"
    assert rows[crash + 1].text.ljust(80)[column] in (" ", "^", "x")
