"""The search for saturation, on networks whose capacity is known."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.harness.search import Search


def network(capacity: float, rate: float) -> dict[str, Any] | None:
    """What a network confirms that queues beyond its capacity and fails beyond three times it."""
    if rate > 3 * capacity:
        return None
    return {
        "latency_p99_ms": 50 if rate <= capacity else 4_000,
        "confirmed_share": 1.0 if rate <= capacity else 0.8,
        "confirmed_per_s": min(rate, capacity),
        "offered_per_s": rate,
    }


def found(capacity: float, *, first: float = 100, steps: int = 12) -> Search:
    search = Search(first, steps, objective_ms=1_000)
    while (rate := search.next_rate()) is not None:
        search.tell(rate, network(capacity, rate))
    return search


@pytest.mark.parametrize("capacity", [30, 100, 740, 12_345])
def test_what_a_network_carries_is_found_within_some_per_cent(capacity: float) -> None:
    search = found(capacity)

    assert 0.9 * capacity <= search.carried <= capacity


def test_it_stops_after_its_steps_and_knows_less() -> None:
    search = found(740, steps=3)

    assert search.tried == 3
    assert search.carried == 400


def test_nothing_carried_is_told_as_such() -> None:
    search = found(0.5, steps=4)

    assert search.carried == 0
    assert search.refused == 12.5


@pytest.mark.parametrize(
    "figures",
    [
        {"latency_p99_ms": 1_001, "confirmed_share": 1, "confirmed_per_s": 9, "offered_per_s": 10},
        {"latency_p99_ms": 10, "confirmed_share": 0.98, "confirmed_per_s": 9, "offered_per_s": 10},
        {"latency_p99_ms": 10, "confirmed_share": 1, "confirmed_per_s": 8.9, "offered_per_s": 10},
        None,
    ],
)
def test_each_of_the_conditions_counts(figures: dict[str, Any] | None) -> None:
    assert not Search(10, 5, objective_ms=1_000).tell(10, figures)
