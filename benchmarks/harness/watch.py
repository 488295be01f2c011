"""Looking at a cluster from outside: when each node showed each block, and its counters."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

import httpx
import psutil
import trio

RETRY_S = 0.05
"""A node that is down is asked again this often for its stream."""
SILENT_S = 20.0
"""A stream says at least this often that it is alive."""
SAMPLE_S = 0.5
COUNTED = {
    "synced_writes_total": "synced_writes",
    "signatures_made_total": "signatures_made",
    "signatures_checked_total": "signatures_checked",
    "reports_entered_total": "views_entered",
    "reports_timed_out_total": "timeouts",
    "reports_decided_total": "decided",
    "transactions_failed_total": "failed",
    "transactions_skipped_total": "skipped",
}
"""Metrics of a node that are kept, and what they are called here."""


@dataclass(slots=True)
class Watch:
    """The confirmed blocks of every node, as its stream shows them."""

    urls: list[str]
    seen: dict[int, list[float | None]] = field(default_factory=dict)
    """height -> the monotonic time at which each node showed it."""
    payload: dict[int, str] = field(default_factory=dict)
    """height -> hash of the block at the first node that showed it."""
    forks: list[str] = field(default_factory=list)
    """What two nodes showed differently: must stay empty."""

    async def follow(self, node: int, first: int = 1) -> None:
        """Read one node's stream until cancelled; a node that is down is waited for."""
        height = first
        timeout = httpx.Timeout(5.0, read=SILENT_S)
        async with httpx.AsyncClient(timeout=timeout) as client:
            while True:
                try:
                    address = f"{self.urls[node]}/v1/stream?from={height}"
                    async with client.stream("GET", address) as answer:
                        async for line in answer.aiter_lines():
                            if line:
                                height = self._show(node, time.monotonic(), line) + 1
                except (httpx.HTTPError, ValueError):
                    pass  # it is down, or was paused: the next try tells
                await trio.sleep(RETRY_S)

    def _show(self, node: int, now: float, line: str) -> int:
        told = json.loads(line)
        height: int = told["height"]
        times = self.seen.setdefault(height, [None] * len(self.urls))
        if times[node] is None:
            times[node] = now
        if self.payload.setdefault(height, told["hash"]) != told["hash"]:
            self.forks.append(f"node{node} shows another block at height {height}")
        return height

    def top(self, node: int) -> int:
        """The highest block that a node has shown."""
        return max((h for h, times in self.seen.items() if times[node] is not None), default=0)


@dataclass(slots=True)
class Gauge:
    """Processor time and memory of the nodes' processes; survives their restarts."""

    cpu_s: list[float]
    """So far, a node."""
    peak_mib: list[float]
    _last: list[tuple[int, float]]
    """(process, its processor time when last seen), a node."""

    @classmethod
    def of(cls, nodes: int) -> Gauge:
        return cls([0.0] * nodes, [0.0] * nodes, [(0, 0.0)] * nodes)

    def look(self, pids: list[int | None]) -> None:
        for node, pid in enumerate(pids):
            if pid is None:
                continue
            try:
                process = psutil.Process(pid)
                used = sum(process.cpu_times()[:2])
                resident = process.memory_info().rss / 2**20
            except psutil.Error:
                continue  # it has ended between two looks
            known, before = self._last[node]
            self.cpu_s[node] += used - (before if known == pid else 0.0)
            self._last[node] = (pid, used)
            self.peak_mib[node] = max(self.peak_mib[node], resident)


async def counters(url: str) -> dict[str, float]:
    """What a node has counted since it started; empty where it does not answer."""
    found: dict[str, float] = {}
    try:
        async with httpx.AsyncClient(timeout=5.0) as client:
            text = (await client.get(f"{url}/metrics")).text
    except httpx.HTTPError:
        return found
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        name = name.removeprefix("ledger_")
        if name in COUNTED:
            found[COUNTED[name]] = float(value)
        elif name.startswith("link_") and name.endswith(
            ("_bytes_out_total", "_messages_out_total")
        ):
            kind = "link_bytes" if "_bytes_" in name else "link_messages"
            found[kind] = found.get(kind, 0.0) + float(value)
    return found


async def all_counters(urls: list[str]) -> list[dict[str, float]]:
    """The counters of every node, asked at once."""
    found: list[dict[str, float]] = [{} for _ in urls]

    async def ask(node: int) -> None:
        found[node] = await counters(urls[node])

    async with trio.open_nursery() as nursery:
        for node in range(len(urls)):
            nursery.start_soon(ask, node)
    return found


def grown(before: list[dict[str, float]], after: list[dict[str, float]]) -> dict[str, float] | None:
    """By how much all nodes' counters have grown together; None where a node began anew."""
    total: dict[str, float] = {}
    for old, new in zip(before, after, strict=True):
        if not old or not new or any(new.get(name, 0) < value for name, value in old.items()):
            return None
        for name, value in new.items():
            total[name] = total.get(name, 0.0) + value - old.get(name, 0.0)
    return total
