"""Watches the nodes of a running cluster: their status, and every block as each confirms it.

A transaction counts as confirmed at a node when that node's stream of confirmed blocks names it:
the node has then durably stored a certificate that covers it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import trio

from api.client import LedgerClient
from host.cluster import Cluster
from host.display import Row, peers_text, slot_text, state_text
from ledger.errors import UnreachableError

COLUMNS = ("node", "height", "slot", "leader", "confirmed", "peers", "latency", "state")
STATUS_S = 0.2
RETRY_S = 0.1
LATENCIES_KEPT = 30
"""A node's latency is the median of this many, the newest."""


@dataclass(slots=True)
class Seen:
    """What one node was seen to say."""

    height: int = 0
    """Of the last block that it confirmed."""
    transactions: int = 0
    """In the blocks that it confirmed."""
    times: dict[bytes, float] = field(default_factory=dict)
    """When it confirmed each transaction, by id."""
    hashes: dict[int, str] = field(default_factory=dict)
    """The hash of each block that it confirmed, by height."""
    latencies_ms: list[float] = field(default_factory=list)
    """From submission to confirmation here, the newest last."""
    status: dict[str, Any] | None = None


class Board:
    """Where everything stands, and a way to wait until it stands elsewhere."""

    def __init__(self, cluster: Cluster, client: LedgerClient) -> None:
        self.cluster = cluster
        self.client = client
        self.seen = [Seen() for _ in cluster.nodes]
        self.submitted: dict[bytes, float] = {}
        """When each transaction was handed over, by id."""
        self.killed: set[int] = set()
        """Nodes that are down because we killed them."""
        self._changed = trio.Event()

    async def watch(self) -> None:
        """Watch until cancelled.  Raises UnreachableError where a node ends by itself."""
        async with trio.open_nursery() as nursery:
            for index in range(len(self.seen)):
                nursery.start_soon(self._watch_blocks, index)
                nursery.start_soon(self._watch_status, index)

    async def _watch_status(self, index: int) -> None:
        node = self.cluster.nodes[index]
        while True:
            self.seen[index].status = await self.client.node_status(node.url)
            if node.ended.is_set() and index not in self.killed:
                last = node.errors[-1] if node.errors else "it said nothing"
                raise UnreachableError(f"node{index} stopped by itself: {last}")
            self._notify()
            await trio.sleep(STATUS_S)

    async def _watch_blocks(self, index: int) -> None:
        seen, node = self.seen[index], self.cluster.nodes[index]
        while True:
            try:
                async with self.client.stream(node.url, seen.height + 1, ids=True) as lines:
                    async for line in lines:
                        self._note_block(seen, line)
            except UnreachableError:
                pass  # it is down, by our own hand or as `_watch_status` finds out
            await trio.sleep(RETRY_S)

    def _note_block(self, seen: Seen, line: dict[str, Any]) -> None:
        now = trio.current_time()
        seen.height = line["height"]
        seen.hashes[seen.height] = line["hash"]
        for text in line["ids"]:
            identity = bytes.fromhex(text)
            seen.times[identity] = now
            seen.transactions += 1
            if identity in self.submitted:
                seen.latencies_ms.append((now - self.submitted[identity]) * 1000)
        del seen.latencies_ms[:-LATENCIES_KEPT]
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is looked at whenever anything changes."""
        while not condition():
            await self._changed.wait()

    @property
    def live(self) -> list[int]:
        """Indexes of the nodes that were not killed."""
        return [index for index in range(len(self.seen)) if index not in self.killed]

    @property
    def height(self) -> int:
        """The highest height that any node confirmed."""
        return max(seen.height for seen in self.seen)

    def is_confirmed(self, identity: bytes, *nodes: int) -> bool:
        """Whether all these nodes confirmed the transaction."""
        return all(identity in self.seen[index].times for index in nodes)

    def has_one_chain(self) -> bool:
        """Whether no two nodes ever confirmed different blocks at one height."""
        hashes: dict[int, str] = {}
        for seen in self.seen:
            for height, found in seen.hashes.items():
                if hashes.setdefault(height, found) != found:
                    return False
        return True

    def rows(self) -> list[Row]:
        """One line a node, in the order of COLUMNS."""
        return [self._row(index) for index in range(len(self.seen))]

    def _row(self, index: int) -> Row:
        seen = self.seen[index]
        name = self.client.genesis.epoch.validators.members[index].name
        status = None if index in self.killed else seen.status
        latency = f"{median(seen.latencies_ms):.0f} ms" if seen.latencies_ms else "-"
        if status is None:
            state = "out of reach" if seen.height else "starting"
            state = "killed" if index in self.killed else state
            return (name, str(seen.height), "-", "-", str(seen.transactions), "-", "-", state)
        return (
            name,
            str(seen.height),
            slot_text(status),
            status["leader"] or "-",
            str(seen.transactions),
            peers_text(status),
            latency,
            state_text(status),
        )
