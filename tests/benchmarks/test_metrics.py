"""The metrics, by the worked examples of the paper that defines them and by small cases."""

from __future__ import annotations

import pytest

from benchmarks import metrics
from benchmarks.metrics import NoData

TWENTY = [10, 14, 9, 20, 22, 14, 10, 25, 4, 23, 17, 18, 12, 6, 19, 20, 15, 19, 8, 35]
"""Appendix A of the Hyperledger paper: when each of twenty nodes has confirmed, in seconds."""


def test_the_last_of_ten_nodes_makes_the_latency_at_all_of_them() -> None:
    """Appendix A: nine nodes commit at 11 s, the tenth at 12 s."""
    times = [11.0] * 9 + [12.0]

    assert metrics.confirmed_at(times, 1.0) == 12
    assert metrics.confirmed_at(times, 0.9) == 11


@pytest.mark.parametrize(
    ("share", "seconds"), [(0.8, 20), (0.85, 22), (0.9, 23), (0.95, 25), (1.0, 35)]
)
def test_latency_at_a_threshold_is_that_of_the_paper(share: float, seconds: float) -> None:
    assert metrics.confirmed_at(TWENTY, share) == seconds


def test_a_node_that_never_confirms_keeps_the_threshold_of_all_out_of_reach() -> None:
    assert metrics.confirmed_at([1.0, 2.0, None, 3.0], 1.0) is None
    assert metrics.confirmed_at([1.0, 2.0, None, 3.0], 0.75) == 3.0


def test_percentiles_are_samples() -> None:
    samples = [float(number) for number in range(1, 101)]

    assert [metrics.nearest_rank(samples, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert metrics.nearest_rank([7.0], 0.001) == 7


def test_latency_is_told_as_average_high_low_and_deviation() -> None:
    found = metrics.latency([0.010, 0.020, 0.030])

    assert (found.count, found.low_ms, found.high_ms) == (3, 10, 30)
    assert found.mean_ms == pytest.approx(20)
    assert found.deviation_ms == pytest.approx(8.1650, abs=1e-3)


def test_throughput_counts_what_was_confirmed_within_the_window() -> None:
    assert metrics.throughput([0.5, 1.0, 1.5, 2.0, 9.0], 1.0, 3.0) == 1.5


def test_nothing_is_no_zero() -> None:
    with pytest.raises(NoData):
        metrics.latency([])
    with pytest.raises(NoData):
        metrics.median_interval([])
    with pytest.raises(NoData):
        metrics.nearest_rank([], 0.5)


def steady(start: float, stop: float, per_s: int) -> list[float]:
    return [start + number / per_s for number in range(int((stop - start) * per_s))]


def test_a_gap_of_two_seconds_is_a_whole_dip_and_two_lost_seconds() -> None:
    times = steady(0, 10, 100) + steady(12, 30, 100)

    assert metrics.dip_depth(times, 100, 10, 30) == pytest.approx(1)
    assert metrics.deficit(times, 100, 10, 30) == pytest.approx(200, rel=0.01)
    assert metrics.first_after(times, 10 - 0.01) == pytest.approx(2.01)


def test_a_burst_afterwards_does_not_make_good_a_deficit() -> None:
    times = sorted(steady(0, 10, 100) + steady(12, 20, 100) + steady(12, 13, 200))

    assert metrics.deficit(times, 100, 10, 20) == pytest.approx(200, rel=0.01)


def test_recovery_is_sustained_only_when_rate_and_latency_both_hold() -> None:
    late = [(moment, 0.05) for moment in steady(0, 10, 100)]
    late += [(moment, 2.0) for moment in steady(12, 15, 100)]
    late += [(moment, 0.05) for moment in steady(15, 40, 100)]

    found = metrics.sustained_recovery(late, 10, 40, base_per_s=100, base_p99_s=0.05, hold_s=10)

    assert found == pytest.approx(5, abs=0.1)


def test_what_never_recovers_has_no_time_of_recovery() -> None:
    done = [(moment, 0.05) for moment in steady(0, 10, 100) + steady(12, 40, 50)]

    assert (
        metrics.sustained_recovery(done, 10, 40, base_per_s=100, base_p99_s=0.05, hold_s=5) is None
    )


def test_availability_is_the_share_of_seconds_with_a_block() -> None:
    assert metrics.availability([0.1, 0.9, 2.5], 0, 4) == 0.5


def test_the_interval_of_a_median_holds_it_and_follows_from_its_seed() -> None:
    values = [10.0, 11.0, 12.0, 13.0, 30.0]

    found = metrics.median_interval(values, seed=3)

    assert found == metrics.median_interval(values, seed=3)
    assert found.low <= found.middle == 12 <= found.high
    assert metrics.median_interval([5.0]).high == 5


def test_no_event_in_many_runs_leaves_a_bound() -> None:
    assert metrics.upper_bound_of_none(300) == 0.01
