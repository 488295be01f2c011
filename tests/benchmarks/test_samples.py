"""Figures from samples written by hand, so that every one of them is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness import samples
from benchmarks.metrics import NoData
from tests.benchmarks.made import LABELS, measured, outage


def test_confirmed_is_what_the_last_node_shows() -> None:
    found = samples.figures(measured())

    assert found["latency_p50_ms"] == pytest.approx(40)
    assert found["latency_high_ms"] == pytest.approx(40)
    assert found["confirmed_per_s"] == pytest.approx(10, rel=0.01)
    assert found["offered"] == 180
    assert found["unconfirmed"] == 0


def test_costs_are_those_of_each_confirmed_transaction() -> None:
    found = samples.figures(measured())

    assert found["cpu_ms_per_transaction"] == pytest.approx(10)
    assert found["link_bytes_per_transaction"] == pytest.approx(10)
    assert found["synced_writes_per_transaction"] == pytest.approx(4)


def test_a_node_that_began_anew_leaves_the_costs_unknown() -> None:
    found = samples.figures(measured(costs=None))

    assert found["link_bytes_per_transaction"] is None


def test_what_a_single_node_lacks_is_not_confirmed_at_all_of_them() -> None:
    one = measured()
    blocks = dict(one.blocks)
    blocks[101] = (*blocks[101][:3], None)

    found = samples.figures(replace(one, blocks=blocks))

    assert found["unconfirmed"] == 1
    faulty = replace(one, blocks=blocks, labels={**LABELS, "scenario": "crash"})
    assert samples.figures(faulty)["unconfirmed"] == 0
    assert samples.figures(faulty)["latency_p50_ms"] == pytest.approx(30)


def test_failed_and_refused_transactions_are_shown() -> None:
    one = measured()
    rows = list(one.rows)
    rows[50] = replace(rows[50], status="failed")
    rows[51] = replace(rows[51], status="refused transaction.signature", height=0)
    rows[52] = replace(rows[52], status="expired", height=0)

    found = samples.figures(replace(one, rows=tuple(rows)))

    assert [found[name] for name in ("failed", "refused", "expired", "unconfirmed")] == [1, 1, 1, 0]
    assert found["confirmed_share"] == pytest.approx(177 / 180)


def test_no_confirmation_is_an_error_and_no_zero() -> None:
    with pytest.raises(NoData, match="m: no transaction"):
        samples.figures(measured(blocks={}))


def test_an_outage_is_measured_from_fault_to_recovery() -> None:
    found = samples.figures(outage())

    assert found["longest_gap_s"] == pytest.approx(2.07, abs=0.05)
    assert found["quorum_block_s"] == pytest.approx(2.0, abs=0.01)
    assert found["sustained_s"] == pytest.approx(2.0, abs=0.15)
    assert found["heal_s"] == pytest.approx(0.5, abs=0.01)
    assert found["dip"] == 1
    assert found["deficit"] == pytest.approx(20, abs=2)
    assert found["availability"] == pytest.approx(10 / 12)


def test_what_a_lasting_fault_still_costs_is_asked_after_five_seconds() -> None:
    lasting = replace(outage(), heal_s=None)
    slower = {
        height: tuple(time + 0.03 if time and time > 13 else time for time in times)
        for height, times in lasting.blocks.items()
    }

    assert samples.figures(lasting)["settled_p99"] == pytest.approx(1.0)
    assert samples.figures(replace(lasting, blocks=slower))["settled_p99"] == pytest.approx(2.0)
    assert samples.figures(outage())["settled_p99"] is None  # It ended before.


def test_a_fault_right_after_the_warm_up_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(NoData, match="between the warm-up and the fault"):
        samples.figures(replace(outage(), fault_s=2.0))


def test_samples_come_back_from_their_files(tmp_path: Path) -> None:
    one = outage()
    blocks = dict(one.blocks)
    blocks[7] = (None, 1.0, 2.0, None)
    one = replace(one, blocks=blocks)

    samples.save(tmp_path, one)
    first = (tmp_path / "m.rows.csv.gz").read_bytes()
    found = samples.load(tmp_path, "m")
    samples.save(tmp_path, found)

    again, before = samples.figures(found), samples.figures(one)
    assert list(again) == list(before)
    assert all(
        again[name] == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value)
        for name, value in before.items()
    )
    assert found.blocks[7] == (None, 1.0, 2.0, None)
    assert found.events == one.events
    assert (tmp_path / "m.rows.csv.gz").read_bytes() == first
