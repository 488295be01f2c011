"""Measurements written by hand, so that every figure of them is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.harness.drive import Row
from benchmarks.harness.samples import Measurement

LABELS: dict[str, Any] = {
    "experiment": "e",
    "protocol": "tendermint",
    "validators": 4,
    "link": "loopback",
    "payload_bytes": 256,
    "records": 1,
    "scenario": "none",
    "repetition": 0,
    "seed": 1,
}


def measured(**changes: Any) -> Measurement:
    """A transaction each 100 ms from 0 to 20 s, one a block, shown by node k after 10·(k+1) ms."""
    rows = tuple(Row(n / 10, n / 10 + 0.005, n % 4, 1, n + 1, "confirmed") for n in range(200))
    blocks: dict[int, tuple[float | None, ...]] = {
        n + 1: tuple(n / 10 + 0.01 * (node + 1) for node in range(4)) for n in range(200)
    }
    one = Measurement(
        name="m",
        labels=LABELS,
        rate_per_s=10,
        warmup_s=2.0,
        duration_s=20.0,
        recovery_s=3.0,
        quorum=3,
        fault_s=None,
        heal_s=None,
        rows=rows,
        blocks=blocks,
        events=((1.5, "nothing"),),
        costs={"link_bytes": 2_000.0, "link_messages": 400.0, "synced_writes": 800.0},
        cpu_s=2.0,
        peak_mib=50.0,
        late_s=0.004,
        client_cpu_s=1.0,
    )
    return replace(one, **changes)


def outage() -> Measurement:
    """Nothing is confirmed from 8 to 10 s; what was due then comes at 10 s."""
    one = measured(fault_s=8.0, heal_s=9.5, labels={**LABELS, "scenario": "crash"})
    blocks = {
        height: tuple(max(time, 10.0) if time and 8 <= time < 10 else time for time in times)
        for height, times in one.blocks.items()
    }
    return replace(one, blocks=blocks)
