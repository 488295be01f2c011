"""The links of a network under test: a proxy process between its nodes, and its rules."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import trio

from benchmarks.harness.drive import ROOT, Lines
from benchmarks.harness.suite import one_way_ms
from host.home import PEERS_FILE, Endpoint, peers_text, read_config, read_peers
from host.network import homes_of
from host.proxy import LinkRule, Way
from ledger.errors import UnreachableError


class Links(ABC):
    """Every direction between two nodes; what several faults do to one adds up."""

    def __init__(self, size: int, link: str) -> None:
        self.base: dict[Way, LinkRule] = {}
        for one in range(size):
            for other in range(size):
                if one != other:
                    delay, jitter = one_way_ms(link, one, other)
                    self.base[one, other] = LinkRule(delay_ms=delay, jitter_ms=jitter)
        self._faults: dict[int, tuple[frozenset[Way], LinkRule]] = {}
        self._count = 0

    @abstractmethod
    async def apply(self) -> None:
        """Make every direction as its rule says now."""

    @abstractmethod
    async def reset(self, nodes: Sequence[int]) -> None:
        """Reset every connection that one of these nodes has with another."""

    @abstractmethod
    async def relayed_bytes(self) -> float:
        """So far, over all directions."""

    def rule(self, way: Way) -> LinkRule:
        """The base of a direction with all faults on top."""
        rule = self.base[way]
        for ways, fault in self._faults.values():
            if way in ways:
                narrow = [k for k in (rule.kib_per_s, fault.kib_per_s) if k]
                rule = replace(
                    rule,
                    delay_ms=rule.delay_ms + fault.delay_ms,
                    loss_percent=rule.loss_percent + fault.loss_percent,
                    kib_per_s=min(narrow, default=0.0),
                    blocked=rule.blocked or fault.blocked,
                )
        return rule

    async def begin(self, ways: Iterable[Way], fault: LinkRule) -> int:
        """Put a fault on some directions; the number to end it by."""
        self._count += 1
        number = self._count
        self._faults[number] = (frozenset(ways), fault)
        await self.apply()
        return number

    async def end(self, number: int) -> None:
        """Take a fault away."""
        del self._faults[number]
        await self.apply()


class Wires(Links):
    """Links through a proxy process, which carries every one of them."""

    def __init__(self, process: trio.Process, size: int, link: str) -> None:
        super().__init__(size, link)
        self._process = process
        self._lines = Lines(process)
        self._turn = trio.Lock()

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Tell the proxy something; its answer.  Raises UnreachableError where it is gone."""
        assert self._process.stdin is not None
        async with self._turn:
            await self._process.stdin.send_all(json.dumps(question).encode() + b"\n")
            line = await self._lines.next()
        if not line:
            raise UnreachableError("the link proxy has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def apply(self) -> None:
        rows = [[*way, asdict(self.rule(way))] for way in self.base]
        await self.ask({"set": rows})

    async def reset(self, nodes: Sequence[int]) -> None:
        await self.ask({"reset": list(nodes)})

    async def relayed_bytes(self) -> float:
        """So far, over all directions: what TLS and frames made of the messages."""
        return float((await self.ask({"count": True}))["relayed_bytes"])


@asynccontextmanager
async def open_wires(folder: Path, link: str, seed: int) -> AsyncIterator[Wires]:
    """A proxy between the nodes of a network that does not run yet; gone with the block."""
    homes = homes_of(folder)
    listens = [read_config(home).listen for home in homes]
    async with open_relays(listens, link, seed) as (wires, relays):
        write_peers(homes, relays)
        yield wires


@asynccontextmanager
async def open_relays(
    listens: Sequence[Endpoint], link: str, seed: int
) -> AsyncIterator[tuple[Wires, dict[Way, Endpoint]]]:
    """A proxy between nodes that listen there, and where each finds those that it dials.

    The lower number dials the higher.
    """
    targets = [
        [one, other, listens[other].host, listens[other].port]
        for one in range(len(listens))
        for other in range(one + 1, len(listens))
    ]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "host.proxy"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        wires = Wires(process, len(listens), link)
        answer = await wires.ask({"seed": seed, "targets": targets})
        await wires.apply()
        ports = answer["ports"]
        yield wires, {(one, other): Endpoint("127.0.0.1", port) for one, other, port in ports}
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def write_peers(homes: Sequence[Path], relays: Mapping[Way, Endpoint] | None = None) -> None:
    """Tell each node where the others listen now, or where it finds a relay to them."""
    configs = [read_config(home) for home in homes]
    for one, home in enumerate(homes):
        listed = read_peers(home / PEERS_FILE)
        addresses: dict[str, tuple[Endpoint, ...]] = {
            config.name: ((relays or {}).get((one, other), config.listen),)
            for other, config in enumerate(configs)
            if config.name in listed.addresses
        }
        text = peers_text(replace(listed, addresses=addresses))
        (home / PEERS_FILE).write_text(text, encoding="utf-8")
