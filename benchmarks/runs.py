"""One measured run of `throughput`: the harness' load clients against a running cluster.

Confirmed means confirmed at all nodes (Hyperledger Performance and Scale paper: for BFT protocols
100 % of the nodes is the only meaningful threshold): a block's time is the latest of the times at
which the nodes' streams showed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from api.client import LedgerClient
from benchmarks.harness.drive import Driven, start_clients
from benchmarks.harness.trial import INTERVAL_S, POLL_S
from benchmarks.harness.watch import Gauge, Watch, all_counters, grown
from benchmarks.metrics import NoData, nearest_rank, throughput
from host.home import read_genesis
from host.network import MEMBER_KEY_FILE
from host.signals import one_error
from ledger.errors import UnreachableError

SETTLE_S = 20.0
"""How long the last transactions have after the load has ended."""
SHOWN_S = 5.0
"""How long the slowest node has to show what the clients saw confirmed."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is offered."""

    rate_per_s: float
    """Transactions a second over all clients."""
    duration_s: float
    records: int = 1
    """Records a transaction."""
    record_bytes: int = 256
    clients: int = 2
    warmup_s: float = 2.0
    """Left out of the figures."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run showed; latencies in milliseconds from each transaction's due time."""

    offered_per_s: float
    confirmed_per_s: float
    """At all nodes, inside the measured window."""
    offered: int
    confirmed: int
    unconfirmed: int
    failed: int
    refused: dict[str, int]
    """For good; what found no room is offered to the next node and may still be confirmed."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms_per_transaction: float
    """Of all nodes together."""
    bytes_per_transaction: float
    """Sent over links by all nodes together."""
    client_cpu_s: float
    late_ms: float
    """The latest post of any client."""
    blocks: int
    peak_memory_mib: float
    """Of the node that used most."""


async def run_load(urls: list[str], folder: Path, pids: list[int], workload: Workload) -> Figures:
    """Offer a workload to the network in a folder and measure.

    Raises NoData where nothing was confirmed, UnreachableError where a client or a node is gone.
    """
    async with LedgerClient(urls, read_genesis(folder / "genesis.json")) as client:
        statuses = await client.statuses()
    height = max((status["certified"] for status in statuses if status is not None), default=0)
    watch, gauge = Watch(urls), Gauge.of(len(urls))
    clients = await start_clients(_jobs(urls, folder, workload, height))
    try:
        await clients.ready()
        with one_error():
            async with trio.open_nursery() as nursery:
                for node in range(len(urls)):
                    nursery.start_soon(watch.follow, node, height + 1)
                before = await all_counters(urls)
                gauge.look(list(pids))
                cpu_s = sum(gauge.cpu_s)
                driven = await clients.results(await clients.begin())
                await _shown(watch, driven)
                gauge.look(list(pids))
                costs = grown(before, await all_counters(urls))
                nursery.cancel_scope.cancel()
    finally:
        clients.kill()
    if costs is None:
        raise UnreachableError("a node ended under the load")
    return figures_of(workload, driven, watch, sum(gauge.cpu_s) - cpu_s, costs["link_bytes"], gauge)


def _jobs(urls: list[str], folder: Path, workload: Workload, height: int) -> list[dict[str, Any]]:
    """What each client is told."""
    return [
        {
            "client": number,
            "seed": "throughput",
            "urls": urls,
            "genesis": str(folder / "genesis.json"),
            "key": str(folder / MEMBER_KEY_FILE),
            "arrival": "constant",
            "rate_per_s": workload.rate_per_s / workload.clients,
            "duration_s": workload.duration_s,
            "records": workload.records,
            "payload_bytes": workload.record_bytes,
            "interval_s": INTERVAL_S,
            # Never: what waits at saturation would be offered twice.
            "resend_s": workload.duration_s + SETTLE_S,
            "settle_s": SETTLE_S,
            "height": height,
            "signed": True,
            "spoil": False,
            "rows": str(folder.parent / f"load.client{number}.csv"),
        }
        for number in range(workload.clients)
    ]


async def _shown(watch: Watch, driven: Driven) -> None:
    """Every node has shown the last block that counts, or has had its time."""
    last = max((row.height for row in driven.rows), default=0)
    with trio.move_on_after(SHOWN_S):
        while True:
            if all(watch.top(node) >= last for node in range(len(watch.urls))):
                return
            await trio.sleep(POLL_S)


def figures_of(
    workload: Workload, driven: Driven, watch: Watch, cpu_s: float, sent: float, gauge: Gauge
) -> Figures:
    """The figures of a run, with the nodes' CPU seconds and bytes sent.  Raises NoData."""
    at: dict[int, float] = {}
    for height in {row.height for row in driven.rows if row.height}:
        times = [time for time in watch.seen.get(height, ()) if time is not None]
        if len(times) == len(watch.urls):
            at[height] = max(times) - driven.start
    done = [(row.due_s, at[row.height]) for row in driven.rows if row.height in at]
    first, last = workload.warmup_s, workload.duration_s
    measured = [(moment - due) * 1000 for due, moment in done if first <= due <= last]
    if not measured:
        raise NoData("no transaction of the measured window was confirmed: no data")
    refused: dict[str, int] = {}
    for row in driven.rows:
        word, _, reason = row.status.partition(" ")
        if word == "refused":
            refused[reason] = refused.get(reason, 0) + 1
    return Figures(
        offered_per_s=workload.rate_per_s,
        confirmed_per_s=throughput([moment for _, moment in done], first, last),
        offered=len(driven.rows),
        confirmed=len(done),
        unconfirmed=len(driven.rows) - len(done),
        failed=sum(row.status == "failed" for row in driven.rows),
        refused=refused,
        p50_ms=nearest_rank(measured, 0.50),
        p95_ms=nearest_rank(measured, 0.95),
        p99_ms=nearest_rank(measured, 0.99),
        cpu_ms_per_transaction=cpu_s * 1000 / len(done),
        bytes_per_transaction=sent / len(done),
        client_cpu_s=driven.cpu_s,
        late_ms=driven.late_s * 1000,
        blocks=len(at),
        peak_memory_mib=max(gauge.peak_mib),
    )
