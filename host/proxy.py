"""A relay between every two nodes that makes links slow, lossy, narrow or dead, without any rights.

The node that dials is told the relay's address instead of its peer's (`peers.toml`), and TLS passes
through untouched.  Each direction has a rule of its own, which may change at any time:

delay, jitter   a byte leaves so much later than it came; the order within a connection stays
bandwidth       bytes leave one after another at this rate, and what waits is bounded
loss            what a lost segment does to a TCP stream: everything behind it waits for the
                retransmission, a round trip where enough segments follow that show the gap, else
                the minimum retransmission timeout of Linux; a lost retransmission waits doubled
blocked         nothing passes, as in a partition: what was sent comes once it has healed, if the
                ends have kept the connection so long; a new connection waits unseen by its target

A relay is no kernel: it cannot lose a segment that TCP would not send again, nor reorder datagrams,
and both ends acknowledge at once to it, so that congestion control sees a fast line.

    python -m host.proxy        a process that is led by JSON lines on its standard input
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio

SEGMENT_BYTES = 1_448
"""What one TCP segment carries over Ethernet."""
SHOWS_A_GAP = 3
"""Segments behind a lost one after which it is sent again at once (RFC 5681, 3.2)."""
TIMEOUT_MS = 200.0
"""The least retransmission timeout of Linux (TCP_RTO_MIN)."""
READ_BYTES = 64 * 1024
WAITING_BYTES_MAX = 4 * 1024 * 1024
"""On its way in one direction of one connection; then the sender is slowed, as by a full window."""
CONNECT_S = 3.0
Way = tuple[int, int]
"""(from node, to node)."""


@dataclass(frozen=True, slots=True)
class LinkRule:
    """How one direction between two nodes is."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Mean of what an exponential distribution adds to the delay."""
    loss_percent: float = 0.0
    """Of the segments."""
    kib_per_s: float = 0.0
    """0: no bound."""
    blocked: bool = False


def stall_ms(draw: Random, rule: LinkRule, size: int) -> float:
    """How much later a write of this size is complete for the segments of it that are lost."""
    if not rule.loss_percent:
        return 0.0
    share = rule.loss_percent / 100
    segments = -(-size // SEGMENT_BYTES)
    stall = 0.0
    for behind in reversed(range(segments)):
        if draw.random() >= share:
            continue
        round_trip = 2 * rule.delay_ms
        wait = round_trip if behind >= SHOWS_A_GAP else max(TIMEOUT_MS, 2 * round_trip)
        while draw.random() < share:
            wait += max(TIMEOUT_MS, 2 * wait)
        stall = max(stall, wait)
    return stall


@dataclass(slots=True)
class _Direction:
    """One direction of one connection: what is on its way, and until when it stays."""

    way: Way
    draw: Random
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    """(when it leaves, bytes), ascending."""
    size: int = 0
    free_at: float = 0.0
    """When the last byte so far has passed the bottleneck."""
    last_at: float = 0.0
    is_over: bool = False
    """The sender has closed its side."""
    is_joined: bool = False
    """The receiver is there; only then may what is left come after the sender has closed."""
    changed: trio.Event = field(default_factory=trio.Event)

    def put(self, now: float, rule: LinkRule, data: bytes) -> None:
        self.free_at = max(self.free_at, now)
        if rule.kib_per_s:
            self.free_at += len(data) / (rule.kib_per_s * 1024)
        late_ms = rule.delay_ms + stall_ms(self.draw, rule, len(data))
        if rule.jitter_ms:
            late_ms += self.draw.expovariate(1 / rule.jitter_ms)
        self.last_at = max(self.last_at, self.free_at + late_ms / 1000)
        self.waiting.append((self.last_at, data))
        self.size += len(data)
        self.tell()

    def tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class _Gone(Exception):
    """The dialler left before its target was reached, or the target is not there."""


@dataclass(slots=True)
class _Connection:
    way: Way
    """Of the node that dialled."""
    scope: trio.CancelScope
    streams: list[trio.SocketStream]
    directions: tuple[_Direction, _Direction]


class LinkProxy:
    """All relays of one network; rules are read for every piece that passes."""

    def __init__(self, targets: dict[Way, tuple[str, int]], *, seed: int = 0) -> None:
        """Targets: where the second node of each pair listens, for the first that dials it."""
        self.targets = targets
        self.ports: dict[Way, int] = {}
        """Where the relay of each pair listens on the loopback interface, once it runs."""
        self.relayed_bytes = 0
        self._rules: dict[Way, LinkRule] = {}
        self._connections: dict[int, _Connection] = {}
        self._count = 0
        self._seed = seed

    def rule(self, way: Way) -> LinkRule:
        """How a direction is now."""
        return self._rules.get(way, LinkRule())

    def set_rule(self, way: Way, rule: LinkRule) -> None:
        """Make a direction so from now on; what is on its way keeps its time, unless blocked."""
        self._rules[way] = rule
        for connection in self._connections.values():
            for direction in connection.directions:
                direction.tell()

    def reset(self, nodes: set[int]) -> int:
        """Reset every connection that one of these nodes has; how many there were."""
        found = [c for c in self._connections.values() if set(c.way) & nodes]
        for connection in found:
            for stream in connection.streams:
                # With no time to linger, closing sends a reset.
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.scope.cancel()
        return len(found)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled; started once every port is known."""
        async with trio.open_nursery() as nursery:
            for way in self.targets:
                [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
                self.ports[way] = listener.socket.getsockname()[1]
                nursery.start_soon(self._serve, way, listener)
            task_status.started()

    async def _serve(self, way: Way, listener: trio.SocketListener) -> None:
        async def handle(stream: trio.SocketStream) -> None:
            await self._relay(way, stream)

        await trio.serve_listeners(handle, [listener])

    async def _relay(self, way: Way, dialler: trio.SocketStream) -> None:
        self._count += 1
        number = self._count
        draw = Random(f"{self._seed} {way} {number}")
        there, back = _Direction(way, draw), _Direction((way[1], way[0]), draw, is_joined=True)
        with trio.CancelScope() as scope:
            connection = _Connection(way, scope, [dialler], (there, back))
            self._connections[number] = connection
            try:
                await self._carry(connection, dialler)
            except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, _Gone):
                pass  # one end has gone: so does the other
            finally:
                del self._connections[number]
                for stream in connection.streams:
                    stream.socket.close()

    async def _carry(self, connection: _Connection, dialler: trio.SocketStream) -> None:
        there, back = connection.directions
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, dialler, there)
            # No target sees a connection through a partition, and the dialler speaks first.
            if not await self._ripe(there):
                raise _Gone
            host, port = self.targets[connection.way]
            with trio.move_on_after(CONNECT_S) as patience:
                target = await trio.open_tcp_stream(host, port)
            if patience.cancelled_caught:
                raise _Gone
            there.is_joined = True
            connection.streams.append(target)
            nursery.start_soon(self._read, target, back)
            nursery.start_soon(self._write, there, target)
            nursery.start_soon(self._write, back, dialler)

    async def _read(self, stream: trio.SocketStream, direction: _Direction) -> None:
        while data := await stream.receive_some(READ_BYTES):
            direction.put(trio.current_time(), self.rule(direction.way), bytes(data))
            while direction.size > WAITING_BYTES_MAX:
                await direction.changed.wait()
        direction.is_over = True
        direction.tell()

    async def _ripe(self, direction: _Direction) -> bool:
        """Wait until the next piece may leave; false at the end of all."""
        while True:
            event = direction.changed
            if direction.is_over and not (direction.waiting and direction.is_joined):
                return False
            if self.rule(direction.way).blocked or not direction.waiting:
                await event.wait()
                continue
            at = direction.waiting[0][0]
            if at <= trio.current_time():
                return True
            with trio.move_on_at(at):
                await event.wait()

    async def _write(self, direction: _Direction, stream: trio.SocketStream) -> None:
        while await self._ripe(direction):
            _, data = direction.waiting.popleft()
            await stream.send_all(data)
            self.relayed_bytes += len(data)
            direction.size -= len(data)
            direction.tell()
        await stream.send_eof()


async def led_by_lines(
    lines: trio.abc.ReceiveStream, say: Callable[[dict[str, Any]], None]
) -> None:
    """A proxy that a program leads: a first line with the targets, then what to change.

    {"seed": 1, "targets": [[0, 1, "127.0.0.1", 20001], ...]}     is answered {"ports": [[0, 1, P]]}
    {"set": [[0, 1, {"delay_ms": 25}], ...]}                      {"set": 1}
    {"reset": [0]}                                                {"reset": 3}
    {"count": true}                                               {"relayed_bytes": N}
    """
    rest = b""
    proxy: LinkProxy | None = None
    async with trio.open_nursery() as nursery:
        async for chunk in lines:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                told = json.loads(line)
                if proxy is None:
                    targets = {(one, two): (host, port) for one, two, host, port in told["targets"]}
                    proxy = LinkProxy(targets, seed=told["seed"])
                    await nursery.start(proxy.run)
                    say({"ports": [[*way, port] for way, port in proxy.ports.items()]})
                else:
                    say(_do(proxy, told))
        nursery.cancel_scope.cancel()


def _do(proxy: LinkProxy, told: dict[str, Any]) -> dict[str, Any]:
    if "set" in told:
        for one, other, rule in told["set"]:
            proxy.set_rule((one, other), LinkRule(**rule))
        return {"set": len(told["set"])}
    if "reset" in told:
        return {"reset": proxy.reset(set(told["reset"]))}
    return {"relayed_bytes": proxy.relayed_bytes}


def main() -> None:
    """Led by standard input; ends with it, and so with whoever held its other end."""

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), flush=True)

    async def lead() -> None:
        await led_by_lines(trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())), say)

    trio.run(lead)


if __name__ == "__main__":
    main()
