"""What a run of `throughput` tells, folded from the harness' rows and watch."""

from __future__ import annotations

import pytest

from benchmarks.harness.drive import Driven, Row
from benchmarks.harness.watch import Gauge, Watch
from benchmarks.metrics import NoData
from benchmarks.runs import Workload, figures_of

WORKLOAD = Workload(rate_per_s=2.0, duration_s=4.0, warmup_s=1.0)


def driven(*rows: Row) -> Driven:
    return Driven(start=100.0, rows=rows, late_s=0.02, cpu_s=0.5, posts=len(rows))


def test_a_block_counts_from_when_the_slowest_node_showed_it() -> None:
    watch = Watch(["a", "b"], {1: [101.2, 101.5], 2: [102.1, 102.2]})
    rows = driven(
        Row(0.5, 0.5, 0, 1, 1, "confirmed"),  # while warming up
        Row(1.0, 1.0, 0, 1, 1, "confirmed"),
        Row(2.0, 2.0, 1, 1, 2, "failed"),
        Row(2.5, 2.5, 1, 1, 0, "refused transaction.signature"),
        Row(3.0, 3.0, 1, 1, 0, "unconfirmed"),
    )

    found = figures_of(WORKLOAD, rows, watch, 0.3, 900.0, Gauge([0.0], [40.0], [(0, 0.0)]))

    assert (found.offered, found.confirmed, found.unconfirmed, found.failed) == (5, 3, 2, 1)
    assert found.refused == {"transaction.signature": 1}
    assert (found.p50_ms, found.p99_ms) == pytest.approx((200.0, 500.0))
    assert found.confirmed_per_s == 1.0
    assert found.cpu_ms_per_transaction == pytest.approx(100.0)
    assert (found.bytes_per_transaction, found.blocks, found.late_ms) == (300.0, 2, 20.0)


def test_a_block_that_one_node_never_showed_is_no_data() -> None:
    watch = Watch(["a", "b"], {1: [101.2, None]})

    with pytest.raises(NoData):
        figures_of(
            WORKLOAD,
            driven(Row(1.0, 1.0, 0, 1, 1, "confirmed")),
            watch,
            0.1,
            1.0,
            Gauge([0.0], [40.0], [(0, 0.0)]),
        )
