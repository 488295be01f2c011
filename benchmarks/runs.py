"""One measured run: load clients against a running cluster, watched from outside of every node.

Confirmed means confirmed at all nodes (Hyperledger Performance and Scale paper: for BFT protocols
100 % of the nodes is the only meaningful threshold): a block's time is the latest of the times at
which the nodes' streams showed it.
"""

from __future__ import annotations

import http.client
import json
import math
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

SETTLE_S = 20.0
"""How long the last transactions have after the load has ended."""


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
    interval_s: float = 0.01
    """How often a client posts what is due."""
    warmup_s: float = 2.0
    """Left out of the figures."""


@dataclass(slots=True)
class Watch:
    """The confirmed blocks of one node as its stream shows them."""

    url: str
    first: int
    seen: dict[int, float] = field(default_factory=dict)
    """height -> monotonic time."""
    _connection: http.client.HTTPConnection | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port)
        self._connection.request("GET", f"/v1/stream?from={self.first}")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._connection is not None
        try:
            answer = self._connection.getresponse()
            while line := answer.readline():
                now = time.monotonic()
                if line.strip():
                    self.seen[json.loads(line)["height"]] = now
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            return  # closed by `stop`, or the node went away: its blocks are then missing

    def stop(self) -> None:
        if self._connection is not None and self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        if self._thread is not None:
            self._thread.join(5)


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


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of ascending values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def run_load(urls: list[str], folder: Path, pids: list[int], workload: Workload) -> Figures:
    """Offer a workload and measure.  Raises RuntimeError where there is no data."""
    height = max(_certified(url) for url in urls)
    clients = [
        _client(urls, folder, workload, number, height) for number in range(workload.clients)
    ]
    for client in clients:
        assert client.stdout is not None
        if client.stdout.readline().strip() != "ready":
            raise RuntimeError("a load client did not start")
    watches = [Watch(url, height + 1) for url in urls]
    for watch in watches:
        watch.start()
    cpu, sent = _cpu_s(pids), _sent_bytes(urls)
    start = time.monotonic() + 0.2
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(f"{start}\n")
        client.stdin.flush()
    results = [_result(client) for client in clients]
    due = {identity: at for result in results for identity, at in result["offered"]}
    heights, failed = _settle(urls, watches, due, height)
    cpu, sent = _cpu_s(pids) - cpu, _sent_bytes(urls) - sent
    for watch in watches:
        watch.stop()
    return _figures(
        workload, results, due, heights, failed, watches, start, cpu, sent, _peak_memory_mib(pids)
    )


def _client(
    urls: list[str], folder: Path, workload: Workload, number: int, height: int
) -> subprocess.Popen[str]:
    job = {
        "client": number,
        "urls": urls,
        "genesis": str(folder / "genesis.json"),
        "key": str(folder / "member.key"),
        "rate_per_s": workload.rate_per_s / workload.clients,
        "duration_s": workload.duration_s,
        "records": workload.records,
        "record_bytes": workload.record_bytes,
        "interval_s": workload.interval_s,
        "height": height,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return process


def _result(client: subprocess.Popen[str]) -> dict[str, Any]:
    assert client.stdout is not None
    line = client.stdout.readline()
    client.wait()
    if not line:
        raise RuntimeError("a load client ended without a result")
    result: dict[str, Any] = json.loads(line)
    return result


def _settle(
    urls: list[str], watches: list[Watch], due: dict[str, float], height: int
) -> tuple[dict[str, int], int]:
    """Wait until everything offered is confirmed or time is up; (id -> height, failed)."""
    found: dict[str, int] = {}
    failed = 0
    deadline = time.monotonic() + SETTLE_S
    next_height = height + 1
    while True:
        top = min(max(watch.seen, default=height) for watch in watches)
        if top >= next_height:
            for line in _blocks(urls[0], next_height, top):
                for identity in line["ids"]:
                    found[identity] = line["height"]
                failed += len(line["failed"])
            next_height = top + 1
        if sum(1 for identity in due if identity in found) == len(due):
            return found, failed
        if time.monotonic() > deadline:
            return found, failed
        time.sleep(0.1)


def _blocks(url: str, first: int, last: int) -> list[dict[str, Any]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("GET", f"/v1/stream?from={first}&ids=1")
    answer = connection.getresponse()
    lines: list[dict[str, Any]] = []
    while len(lines) < last - first + 1:
        line = answer.readline()
        if line.strip():
            lines.append(json.loads(line))
    connection.close()
    return lines


def _figures(
    workload: Workload,
    results: list[dict[str, Any]],
    due: dict[str, float],
    heights: dict[str, int],
    failed: int,
    watches: list[Watch],
    start: float,
    cpu_s: float,
    sent: float,
    memory: float,
) -> Figures:
    at: dict[int, float] = {}
    for height in set(heights.values()):
        times = [watch.seen.get(height) for watch in watches]
        if all(moment is not None for moment in times):
            at[height] = max(moment for moment in times if moment is not None) - start
    done = {i: at[h] for i, h in heights.items() if h in at and i in due}
    window = (workload.warmup_s, workload.duration_s)
    measured = sorted((done[i] - due[i]) * 1000 for i in done if window[0] <= due[i] <= window[1])
    inside = sum(1 for moment in done.values() if window[0] <= moment <= window[1])
    if not measured:
        raise RuntimeError("no transaction of the measured window was confirmed: no data")
    refused: dict[str, int] = {}
    for result in results:
        for reason, number in result["refused"].items():
            refused[reason] = refused.get(reason, 0) + number
    return Figures(
        offered_per_s=workload.rate_per_s,
        confirmed_per_s=inside / (window[1] - window[0]),
        offered=len(due),
        confirmed=len(done),
        unconfirmed=len(due) - len(done),
        failed=failed,
        refused=refused,
        p50_ms=percentile(measured, 0.50),
        p95_ms=percentile(measured, 0.95),
        p99_ms=percentile(measured, 0.99),
        cpu_ms_per_transaction=cpu_s * 1000 / len(done),
        bytes_per_transaction=sent / len(done),
        client_cpu_s=sum(result["cpu_s"] for result in results),
        late_ms=max(result["late_s"] for result in results) * 1000,
        blocks=len(at),
        peak_memory_mib=memory,
    )


def _certified(url: str) -> int:
    return int(get_json(url, "/v1/status")["certified"])


def get_json(url: str, path: str) -> dict[str, Any]:
    """A JSON answer of a node."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("GET", path)
    document: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return document


def _sent_bytes(urls: list[str]) -> float:
    total = 0.0
    for url in urls:
        parts = urlsplit(url)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request("GET", "/metrics")
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith("ledger_link_") and "_bytes_out_total " in line:
                total += float(line.rsplit(" ", 1)[1])
        connection.close()
    return total


def _cpu_s(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def _peak_memory_mib(pids: list[int]) -> float:
    """Resident memory of the node that uses most, now; VmHWM is not to be had everywhere."""
    return max(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20
