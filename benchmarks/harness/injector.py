"""Faults on a running network: what a scenario says, at its times, and what came of trying."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from api.client import LedgerClient
from benchmarks.harness.disks import FILLER, IllDisks, fill
from benchmarks.harness.drive import Clients, start_clients
from benchmarks.harness.suite import DISK_KINDS, FULL_DISK, SMALL_DISK, Event, Scenario
from benchmarks.harness.wires import Links
from host.cluster import Cluster
from host.proxy import LinkRule, Way
from ledger.errors import UnreachableError
from storage.faulty import DiskFault


@dataclass(slots=True)
class Injector:
    """Does to a cluster what a scenario says."""

    cluster: Cluster
    client: LedgerClient
    wires: Links | None
    faults: int
    """How many are tolerated: f."""
    start: float
    """When the load begins, on the monotonic clock."""
    job: dict[str, Any]
    """Of a load client, of which a flood is one that signs wrongly."""
    disks: IllDisks | None = None
    log: list[tuple[float, str]] = field(default_factory=list)
    """(seconds after the start, what was done)."""
    _down: dict[int, int] = field(default_factory=dict)
    """How many faults keep a node from running, of those that any does."""
    _floods: list[Clients] = field(default_factory=list)
    _rolled_s: float = 0.0
    """When the last node of a rolling restart was up."""

    async def run(self, scenario: Scenario) -> None:
        """Let all of it happen; returns when the last fault has ended or lasts."""
        async with trio.open_nursery() as nursery:
            for event in scenario.events:
                nursery.start_soon(self._happen, event)

    async def _happen(self, event: Event) -> None:
        flood = await self._prepare(event)
        await self._until(event.at_s)
        nodes = await self.chosen(event.nodes)
        names = ", ".join(f"node{node}" for node in nodes)
        amount = f" {event.amount:g}" if event.amount else ""
        self._note(f"{event.kind}{amount}: {names}")
        if flood is not None:
            await flood.begin()
        end = await self._begin(event, nodes)
        if event.until_s is None or end is None:
            return
        await self._until(event.until_s)
        await end()
        self._note(f"{event.kind} of {names} ends")

    def healed_s(self, scenario: Scenario) -> float | None:
        """When the last fault ended, by the scenario, but for a rolling restart, which takes as
        long as it takes; None where one never does."""
        planned = scenario.heal_s
        return None if planned is None else max(planned, self._rolled_s)

    async def _prepare(self, event: Event) -> Clients | None:
        """What takes a while and must be ready in time: the client of a flood."""
        if event.kind != "flood":
            return None
        assert event.until_s is not None, "a flood has an end"
        job = {
            **self.job,
            "client": 200 + len(self._floods),
            "rate_per_s": event.amount,
            "duration_s": event.until_s - event.at_s,
            "settle_s": 0.0,
            "spoil": True,
        }
        job["rows"] += ".flood"
        clients = await start_clients([job])
        self._floods.append(clients)
        await clients.ready()
        return clients

    async def _until(self, at_s: float) -> None:
        await trio.sleep(max(0.0, self.start + at_s - time.monotonic()))

    def _note(self, what: str) -> None:
        self.log.append((round(time.monotonic() - self.start, 6), what))

    async def chosen(self, words: str) -> list[int]:
        """The nodes that an event means, now."""
        size = len(self.cluster.nodes)
        if words == "all":
            return list(range(size))
        if words not in ("leader", "other", "f", "f+1"):
            return [int(word) for word in words.split() if int(word) < size]
        leader = await self._leader()
        others = [node for node in range(size) if node != leader]
        if words == "leader":
            return [leader]
        if words == "other":
            return others[:1]
        return [leader, *others][: self.faults + (words == "f+1")]

    async def _leader(self) -> int:
        """Who proposed the last block, by what most nodes say."""
        statuses = [status for status in await self.client.statuses() if status is not None]
        if not statuses:
            return 0
        newest = max(statuses, key=lambda status: int(status["decided"]))
        name = str(newest["leader"])
        return int(name.removeprefix("validator")) if name else 0

    async def _begin(
        self, event: Event, nodes: list[int]
    ) -> Callable[[], Awaitable[object]] | None:
        """Begin a fault; how it is ended, if it does not end by itself."""
        if event.kind == "kill":
            self._kill(nodes)
            return lambda: self._restart(nodes)
        if event.kind == "pause":
            for node in nodes:
                self.cluster.pause(node)
            return lambda: self._resume(nodes)
        if event.kind == "flood":
            return None
        if event.needs == SMALL_DISK:
            await trio.to_thread.run_sync(fill, self._homes(nodes))
            return lambda: self._make_room(nodes)
        if event.kind in DISK_KINDS:
            assert self.disks is not None, "a fault of disks needs disks that can be made ill"
            ill = await trio.to_thread.run_sync(self.disks.begin, nodes, disk_fault_of(event))
            return lambda: self._cure(ill, nodes)
        if event.kind == "rolling":
            await self._roll(nodes, event.amount)
            return None
        assert self.wires is not None, "a fault of links needs the proxies"
        if event.kind == "reset":
            await self.wires.reset(nodes)
            return None
        number = await self.wires.begin(self._ways(event, nodes), rule_of(event))
        wires = self.wires
        return lambda: wires.end(number)

    def _ways(self, event: Event, nodes: Iterable[int]) -> list[Way]:
        inside, everyone = set(nodes), range(len(self.cluster.nodes))
        cuts = event.kind in ("partition", "one-way")
        found = []
        for one in everyone:
            for other in everyone:
                if one == other or (cuts and {one, other} <= inside):
                    continue
                if one in inside or (other in inside and event.kind != "one-way"):
                    found.append((one, other))
        return found

    def _kill(self, nodes: list[int]) -> None:
        for node in nodes:
            self._down[node] = self._down.get(node, 0) + 1
            self.cluster.kill(node)

    async def _restart(self, nodes: list[int]) -> None:
        """Start those of the nodes that no other fault keeps down."""
        for node in nodes:
            self._down[node] -= 1
        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(self._start, node)

    async def _start(self, node: int) -> None:
        await self.cluster.wait_ended(node)
        if self._down.get(node) or self.cluster.nodes[node].is_running:
            return
        if self.disks is not None:
            await trio.to_thread.run_sync(self.disks.make_ready, node)
        try:
            await self.cluster.start(node)
        except UnreachableError:
            # Killed once more while it started: whoever did that will start it.
            if not self._down.get(node):
                raise

    def _homes(self, nodes: list[int]) -> list[Path]:
        return [self.cluster.nodes[node].home for node in nodes]

    async def _make_room(self, nodes: list[int]) -> None:
        for home in self._homes(nodes):
            (home / FILLER).unlink()
        await self._revive(nodes)

    async def _cure(self, number: int, nodes: list[int]) -> None:
        assert self.disks is not None
        await trio.to_thread.run_sync(self.disks.end, number)
        await self._revive(nodes)

    async def _revive(self, nodes: list[int]) -> None:
        """Start those that a disk has stopped, and keep what they said."""
        ended = [node for node in nodes if not self.cluster.nodes[node].is_running]
        for node in ended:
            last = self.cluster.nodes[node].errors
            self._note(f"node{node} had stopped: {last[-1] if last else 'without a word'}")
        for node in ended:
            await self._start(node)

    async def _resume(self, nodes: list[int]) -> None:
        for node in nodes:
            self.cluster.resume(node)

    async def _roll(self, nodes: list[int], apart_s: float) -> None:
        for node in nodes:
            self._kill([node])
            await self._restart([node])
            self._note(f"node{node} restarted")
            self._rolled_s = self.log[-1][0]
            await trio.sleep(apart_s)

    def end_floods(self) -> None:
        """Nothing of a flood runs on."""
        for clients in self._floods:
            clients.kill()

    async def heal(self) -> None:
        """Everything is up and linked again, whatever the scenario has left."""
        for process in self.cluster.nodes:
            self.cluster.resume(process.index)
        gone = [node.index for node in self.cluster.nodes if not node.is_running]
        self._down.clear()
        if self.disks is not None:
            await trio.to_thread.run_sync(self.disks.clear)
        for node in gone:
            await self._start(node)
        if gone:
            self._note(f"started again: {', '.join(f'node{node}' for node in gone)}")


def disk_fault_of(event: Event) -> DiskFault:
    """What an event does to a disk."""
    if event.kind == FULL_DISK:
        return DiskFault(full=True)
    return DiskFault(event.amount, fails=event.kind == "failing-sync")


def rule_of(event: Event) -> LinkRule:
    """What an event does to each direction that it means."""
    if event.kind in ("partition", "one-way"):
        return LinkRule(blocked=True)
    if event.kind == "loss":
        return LinkRule(loss_percent=event.amount)
    if event.kind == "delay":
        return LinkRule(delay_ms=event.amount)
    if event.kind == "bandwidth":
        return LinkRule(kib_per_s=event.amount)
    raise UnreachableError(f"there is no fault {event.kind}")
