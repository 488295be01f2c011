"""What is measured, as functions of samples alone: no clock, no network.

docs/metrics.md says in words what each is.  Latency and throughput are defined by the Hyperledger
Performance and Scale Working Group ("Blockchain Performance Metrics", 2018), whose worked examples
are the tests of this file; those under faults follow what CometBFT, STABL (Gramoli et al., 2025)
and Jepsen report.  All times are seconds, and nothing here turns an absent sample into a number.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, median, pstdev

from ledger.errors import UnreachableError

RESAMPLES = 2_000
"""Of a bootstrap; the end of a 95 % interval moves by less than a hundredth of its width."""


class NoData(UnreachableError):
    """There is no sample to compute a figure from; it is never zero instead."""


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that this share of all does not exceed.

    Raises NoData where there is none.
    """
    if not values:
        raise NoData("no sample")
    ordered = sorted(values)
    return ordered[_rank(len(ordered), share) - 1]


def _rank(count: int, share: float) -> int:
    # A share such as 0.9 is no exact binary number: 10 nodes of which 90 % are 9, not 10.
    return max(1, math.ceil(share * count - 1e-9))


def confirmed_at(times: Sequence[float | None], share: float) -> float | None:
    """When this share of the nodes had confirmed; None where so many never did.

    Hyperledger: "confirmation time @ network threshold".
    """
    need = _rank(len(times), share)
    ordered = sorted(time for time in times if time is not None)
    return ordered[need - 1] if len(ordered) >= need else None


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of latencies, in milliseconds."""

    count: int
    mean_ms: float
    low_ms: float
    high_ms: float
    deviation_ms: float
    """Standard deviation of all samples."""
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float


def latency(seconds: Sequence[float]) -> Latency:
    """The figures that the Hyperledger paper asks for, and percentiles.  Raises NoData."""
    if not seconds:
        raise NoData("no transaction was confirmed in the measured window")
    ordered = sorted(second * 1_000 for second in seconds)
    shares = (0.5, 0.9, 0.95, 0.99, 0.999)
    ranks = [ordered[_rank(len(ordered), share) - 1] for share in shares]
    return Latency(
        len(ordered), fmean(ordered), ordered[0], ordered[-1], pstdev(ordered), *ranks
    )  # fmt: skip


def throughput(times: Sequence[float], start: float, stop: float) -> float:
    """Transactions a second whose confirmation falls into [start, stop); `times` ascend."""
    assert stop > start
    return _count(times, start, stop) / (stop - start)


def work(throughput_per_s: float, nodes: int) -> float:
    """The paper's experimental single figure: throughput times the logarithm of network size."""
    return throughput_per_s * math.log(nodes)


def rates(
    times: Sequence[float], start: float, stop: float, *, step_s: float, width_s: float
) -> list[tuple[float, float]]:
    """(time, events a second in the `width_s` before it), every `step_s`; `times` ascend."""
    count = int((stop - start) / step_s + 1e-9)
    moments = [start + step_s * (number + 1) for number in range(count)]
    return [
        (moment, _count(times, moment - width_s, moment) / width_s)
        for moment in moments
        if moment - width_s >= start - 1e-9
    ]


def dip_depth(times: Sequence[float], base_per_s: float, start: float, stop: float) -> float:
    """1 - (the lowest rate over a second) / (the rate before the fault), at least 0."""
    found = rates(times, start, stop, step_s=0.1, width_s=1.0)
    if not found or base_per_s <= 0:
        raise NoData("no rate before or after the fault")
    return max(0.0, 1 - min(rate for _, rate in found) / base_per_s)


def deficit(times: Sequence[float], base_per_s: float, start: float, stop: float) -> float:
    """Transactions that are missing between two moments beside the rate before the fault.

    The integral of max(0, base - rate) over whole seconds: what comes later in a burst does not
    make good what was missing.  A rate that only fluctuates by chance has a small deficit, too: a
    Poisson rate of 100 a second one of 4 a second.
    """
    width = 1.0
    return sum(
        max(0.0, base_per_s - rate) * width
        for _, rate in rates(times, start, stop, step_s=width, width_s=width)
    )


def first_after(times: Sequence[float], moment: float) -> float | None:
    """Seconds from the moment to the next of the ascending times; None where there is none."""
    place = bisect_right(times, moment)
    return times[place] - moment if place < len(times) else None


def sustained_recovery(
    done: Sequence[tuple[float, float]],
    fault: float,
    stop: float,
    *,
    base_per_s: float,
    base_p99_s: float,
    hold_s: float = 10.0,
) -> float | None:
    """Seconds from the fault until all is well for `hold_s`; None where it never is.

    Well is a rate of at least 0.9 of the one before the fault and a p99 of at most 1.5 times the
    one before.  `done` are (confirmed at, latency), ascending; tried at every tenth of a second.
    """
    times = [moment for moment, _ in done]
    steps = int((stop - hold_s - fault) / 0.1 + 1e-9)
    for step in range(steps + 1):
        begin = fault + step * 0.1
        low, high = bisect_left(times, begin), bisect_left(times, begin + hold_s)
        if (high - low) / hold_s < 0.9 * base_per_s:
            continue
        if nearest_rank([late for _, late in done[low:high]], 0.99) <= 1.5 * base_p99_s:
            return begin - fault
    return None


def availability(times: Sequence[float], start: float, stop: float) -> float:
    """The share of whole seconds of [start, stop) in which at least one of the events falls."""
    seconds = int(stop - start + 1e-9)
    if seconds < 1:
        raise NoData("less than a second")
    good = sum(
        1 for number in range(seconds) if _count(times, start + number, start + number + 1) > 0
    )
    return good / seconds


def upper_bound_of_none(runs: int) -> float:
    """The 95 % upper bound of a rate of which `runs` runs showed no event: the rule of three."""
    if runs < 1:
        raise NoData("no run")
    return 3 / runs


@dataclass(frozen=True, slots=True)
class Interval:
    """A middle with its 95 % confidence interval."""

    middle: float
    low: float
    high: float
    count: int


def median_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The median with its bootstrap percentile interval (Efron 1979).  Raises NoData.

    The interval of one value is that value: it says nothing, and `count` says so.
    """
    return _interval(values, median, seed)


def _interval(
    values: Sequence[float], middle: Callable[[Sequence[float]], float], seed: int
) -> Interval:
    if not values:
        raise NoData("no repetition")
    draw = Random(f"bootstrap {seed}")
    found = [middle(draw.choices(values, k=len(values))) for _ in range(RESAMPLES)]
    return Interval(
        middle(values), nearest_rank(found, 0.025), nearest_rank(found, 0.975), len(values)
    )


def _count(ascending: Sequence[float], start: float, stop: float) -> int:
    return bisect_left(ascending, stop) - bisect_left(ascending, start)
