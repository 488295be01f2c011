"""How a report compares the networks of an experiment in a sentence."""

from __future__ import annotations

from typing import Any

from benchmarks.report.summary import fault_summary, load_summary, simulated_summary
from benchmarks.report.tables import Group, grouped
from tests.benchmarks.made import LABELS


def load(
    protocol: str, rate: float, p50: float, *, p99: float = 500.0, share: float = 1.0, **more: Any
) -> dict[str, Any]:
    figures = {
        "latency_p50_ms": p50, "latency_p99_ms": p99, "confirmed_per_s": rate * share,
        "offered_per_s": rate, "confirmed_share": share,
    }  # fmt: skip
    return {**LABELS, "kind": "load", "protocol": protocol, "rate_per_s": rate, **figures, **more}


def fault(protocol: str, scenario: str, gap: float, recovery: float | None) -> dict[str, Any]:
    figures = {"longest_gap_s": gap, "sustained_s": recovery, "lost_s": gap}
    return {**LABELS, "kind": "load", "protocol": protocol, "scenario": scenario, **figures}


def texts(found: list[dict[str, Any]], summary: Any = load_summary) -> list[str]:
    groups: list[Group] = grouped(found)
    return [one.text for one in summary(groups)]


def test_who_was_not_offered_the_highest_rate_is_not_said_to_have_failed_at_it() -> None:
    rows = [load("raft", rate, 30.0) for rate in (100.0, 400.0)]
    rows += [load("pbft", 100.0, 40.0), load("simplex", 100.0, 40.0)]

    assert texts(rows) == [
        (
            "With 400 transactions a second p50 was 30 ms (raft); of pbft, simplex there are no "
            "figures at that rate."
        )
    ]


def test_protocols_are_compared_at_the_highest_rate_that_one_keeps() -> None:
    rows = [load("raft", rate, 30.0) for rate in (100.0, 400.0)]
    rows += [load("pbft", 100.0, 40.0), load("pbft", 400.0, 90.0)]
    rows += [load("streamlet", 100.0, 2_000.0), load("streamlet", 400.0, 2_000.0, share=0.5)]

    assert texts(rows) == [
        (
            "With 400 transactions a second p50 was 30 ms (raft) to 90 ms (pbft); streamlet "
            "did not keep up with that."
        )
    ]
    assert texts([load("raft", 9.0, 1.0, share=0.2)]) == ["No protocol kept up with any rate."]


def test_each_condition_has_its_sentence() -> None:
    rows = [load(name, 50.0, 20.0, link=link) for link in ("lan", "world") for name in ("a", "b")]

    assert [text.partition(":")[0] for text in texts(rows)] == ["lan links", "world links"]


def test_of_many_conditions_the_ends_are_told() -> None:
    rows = [load(name, 50.0, 10.0 * n + (name == "b"), validators=n)
            for n in (4, 7, 10, 13) for name in ("a", "b")]  # fmt: skip
    rows.append(load("a", 50.0, 9.0, validators=16, share=0.5))

    assert texts(rows) == [
        (
            "With 50 transactions a second p50 was 40 ms (a, 4 validators) to 131 ms (b, 13 "
            "validators); nobody kept up with any rate: 16 validators."
        )
    ]
    bound = {"objective_p99_ms": 1_000.0}
    assert texts([load("a", 100.0 * n, 10.0, validators=n, **bound) for n in (4, 7, 10, 13)]) == [
        (
            "The highest rate kept within a p99 of 1,000 ms was, in transactions a second, 400 "
            "(4 validators) to 1,300 (13 validators)."
        )
    ]


def test_a_search_says_what_each_keeps_and_what_the_sequencer_confirms_beside_it() -> None:
    bound = {"objective_p99_ms": 1_000.0}
    rows = [load("solo", 2_000.0, 9.0, **bound), load("raft", 1_000.0, 9.0, **bound)]
    rows += [load("raft", 1_500.0, 9.0, p99=1_001.0, **bound)]
    rows += [load("streamlet", 500.0, 9.0, p99=3_000.0, **bound)]

    assert texts(rows) == [
        (
            "The highest rate kept within a p99 of 1,000 ms, in transactions a second: 2,000 "
            "(solo), 1,000 (raft), none (streamlet). solo, the sequencer that all trust, confirmed "
            "at most 2,000 a second at any rate; beside it raft 75%, streamlet 25%."
        )
    ]


def test_many_protocols_are_compared_by_fault_and_many_faults_by_protocol() -> None:
    wide = [fault("raft", "crash", 0.8, 1.0), fault("streamlet", "crash", 6.1, None)]
    deep = [fault("raft", "crash", 0.8, 1.0), fault("raft", "loss", 0.1, 0.5)]

    assert texts(wide, fault_summary) == [
        (
            "crash: the longest time without a block was 0.8 s (raft) to 6.1 s (streamlet); "
            "throughput and p99 did not get back to what they were: streamlet."
        )
    ]
    assert texts(deep, fault_summary) == [
        (
            "raft: the longest time without a block was 0.1 s (loss) to 0.8 s (crash); throughput "
            "and p99 got back to what they were each time."
        )
    ]


def test_simulated_networks_are_compared_by_size_and_called_so() -> None:
    rows = [
        {
            **LABELS,
            "kind": "simulated",
            "protocol": name,
            "validators": size,
            "simulated_p50_ms": ms,
        }
        for name, size, ms in (("raft", 4, 100), ("pbft", 4, 120), ("raft", 16, 300))
    ]

    assert texts(rows, simulated_summary) == [
        "4 validators: p50 was 100 ms (raft) to 120 ms (pbft), simulated.",
        "16 validators: p50 was 300 ms (raft), simulated.",
    ]
