"""Networks in the simulator: figures of messages and virtual time, marked as what they are."""

from __future__ import annotations

import pytest

from benchmarks.harness.simulated import Job, measure
from benchmarks.report.tables import grouped
from benchmarks.report.write import section_of


def test_messages_grow_with_the_network_and_the_same_seed_tells_the_same() -> None:
    small, verdict = measure(Job("jolteon", 4, "lan", 2, 1))
    large, _ = measure(Job("jolteon", 7, "lan", 2, 1))

    assert verdict.sound
    assert verdict.audited == 0
    assert measure(Job("jolteon", 4, "lan", 2, 1))[0] == small
    assert 0 < small["protocol_messages_per_decision"] < small["messages_per_decision"]
    assert large["messages_per_decision"] > 2 * small["messages_per_decision"]


def test_distances_make_confirmation_slower() -> None:
    near, _ = measure(Job("tendermint", 4, "lan", 2, 1))
    far, _ = measure(Job("tendermint", 4, "world", 2, 1))

    assert far["simulated_p50_ms"] > near["simulated_p50_ms"] + 100


@pytest.mark.parametrize("sizes", [(4, 16), (4,)])
def test_a_report_says_that_it_was_simulated(sizes: tuple[int, ...]) -> None:
    row = {
        "kind": "simulated", "experiment": "larger", "protocol": "raft", "link": "world",
        "scenario": "none", "simulated_p50_ms": 100, "messages_per_decision": 80.0,
    }  # fmt: skip

    section = section_of("larger", grouped({**row, "validators": n} for n in sizes), [], [])

    assert "simulated" in section.title
    assert "virtual time" in section.lead
    assert len(section.plots) == (len(sizes) > 1)
