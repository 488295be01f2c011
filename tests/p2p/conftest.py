"""Nodes on loopback: real sockets, ports chosen by the system, waits for events only."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import pytest
import trio

from p2p.certificate import Identity, make_identity
from p2p.frames import Channel, Frame, FrameReader, encode_frames
from p2p.hello import Hello, encode_hello
from p2p.peers import Callbacks, PeerRecord, Peers, PeersBounds
from p2p.tls import make_contexts
from p2p.transport import Address, LinkKind, listen

LIMIT_S = 20
"""No test waits longer; a healthy one needs a fraction of a second."""


def identity_of(index: int) -> Identity:
    return make_identity(sha256(b"member %d" % index).digest())


def hello_of(index: int) -> Hello:
    return Hello(b"\x11" * 32, 0, b"\x22" * 32, certified_height=index, node=f"node{index}")


class Node:
    """A running mesh and everything that it told its owner."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.peers: Peers
        self.frames: list[tuple[int, Channel, bytes]] = []
        self.links: list[tuple[str, int]] = []
        self.hellos: list[Hello] = []
        self.reports: list[tuple[str, int, str]] = []
        self.handler: Callable[[int, Channel, bytes], Awaitable[None]] | None = None
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the mesh reports makes the condition true."""
        with trio.fail_after(LIMIT_S):
            while not condition():
                self._changed = trio.Event()
                await self._changed.wait()

    async def until_refused(self, reason: str, *, times: int = 1) -> None:
        await self.until(lambda: self.peers.refusals().get(reason, 0) >= times)

    async def until_connected(self, *others: int) -> None:
        await self.until(lambda: self.peers.connected() == sorted(others))

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        with self._scope:
            await self.peers.run(task_status=task_status)
        self._stopped.set()

    async def stop(self) -> None:
        self._scope.cancel()
        await self._stopped.wait()

    def payloads(self, peer: int, channel: Channel) -> list[bytes]:
        return [data for who, where, data in self.frames if (who, where) == (peer, channel)]

    def callbacks(self) -> Callbacks:
        return Callbacks(self._on_frame, self._on_up, self._on_down, self._on_refused)

    async def _on_frame(self, peer: int, channel: Channel, payload: bytes) -> None:
        self.frames.append((peer, channel, payload))
        self._changed.set()
        if self.handler is not None:
            await self.handler(peer, channel, payload)

    def _on_up(self, peer: int, hello: Hello) -> None:
        self.links.append(("up", peer))
        self.hellos.append(hello)
        self._changed.set()

    def _on_down(self, peer: int) -> None:
        self.links.append(("down", peer))
        self._changed.set()

    def _on_refused(self, reason: str, count: int, detail: str) -> None:
        self.reports.append((reason, count, detail))
        self._changed.set()


class Mesh:
    """Members of one network, of which any may run here and the others be played by a test."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.ports: dict[int, int] = {}
        self.streams: list[trio.SocketStream] = []
        # Every refusal is reported, so that tests can wait for it.
        self.bounds = PeersBounds(report_interval_ms=0, backoff_first_ms=5, backoff_last_ms=50)

    def link_bounds(self, **changes: object) -> None:
        self.bounds = replace(self.bounds, link=replace(self.bounds.link, **changes))

    def record(self, index: int) -> PeerRecord:
        port = self.ports.get(index)
        addresses = () if port is None else (Address("127.0.0.1", port),)
        return PeerRecord(identity_of(index).certificate, addresses)

    async def start(self, index: int, *, size: int, hello: Hello | None = None) -> Node:
        """Run a member that knows members 0 to size-1; restarted ones get their port back.

        Start the highest number first: who dials has to know where the others listen.
        """
        listeners = await listen(Address("127.0.0.1", self.ports.get(index, 0)))
        self.ports[index] = listeners[0].socket.getsockname()[1]
        node = Node(index)
        node.peers = Peers(
            me=index,
            identity=identity_of(index),
            hello=hello or hello_of(index),
            peers={peer: self.record(peer) for peer in range(size) if peer != index},
            listeners=listeners,
            callbacks=node.callbacks(),
            bounds=self.bounds,
        )
        await self._nursery.start(node.run)
        return node

    async def start_all(self, size: int) -> list[Node]:
        nodes = [await self.start(index, size=size) for index in reversed(range(size))]
        nodes.reverse()
        for node in nodes:
            await node.until_connected(*(peer for peer in range(size) if peer != node.index))
        return nodes

    async def connect(self, target: int) -> trio.SocketStream:
        """A plain TCP connection to a member."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.ports[target])
        self.streams.append(stream)
        return stream

    async def shake_hands(self, context: ssl.SSLContext, target: int) -> Rogue:
        stream = trio.SSLStream(await self.connect(target), context)
        await stream.do_handshake()
        return Rogue(stream)

    async def impersonate(self, index: int, target: int, *, hello: Hello | None = None) -> Rogue:
        """A link of a real member that then does as the test says; the hellos are exchanged."""
        contexts = make_contexts(identity_of(index), [identity_of(target).certificate])
        rogue = await self.shake_hands(contexts.client, target)
        await rogue.send(Channel.LINK, b"\0" + encode_hello(hello or hello_of(index)))
        await rogue.next_of(LinkKind.HELLO)
        return rogue


class Rogue:
    """The far end of a link, in the hands of a test."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self._reader = FrameReader()
        self._frames: list[Frame] = []

    async def send(self, channel: Channel, payload: bytes) -> None:
        await self.stream.send_all(encode_frames([Frame(channel, payload)]))

    async def next_of(self, kind: LinkKind) -> bytes:
        """The next LINK frame of a kind; frames before it are passed over."""
        with trio.fail_after(LIMIT_S):
            while True:
                while self._frames:
                    frame = self._frames.pop(0)
                    if frame.channel is Channel.LINK and frame.payload[0] == kind:
                        return frame.payload
                data = await self.stream.receive_some()
                if not data:
                    raise trio.BrokenResourceError("the link was closed")
                self._frames += self._reader.feed(bytes(data))

    async def until_closed(self) -> None:
        """Read until the other side ends the connection."""
        with trio.fail_after(LIMIT_S):
            with suppress(trio.BrokenResourceError):
                while await self.stream.receive_some():
                    pass


@pytest.fixture
async def mesh(nursery: trio.Nursery) -> AsyncIterator[Mesh]:
    mesh = Mesh(nursery)
    yield mesh
    for stream in mesh.streams:
        await trio.aclose_forcefully(stream)


@pytest.fixture
def member() -> Callable[[int], Identity]:
    return identity_of


@pytest.fixture
def greeting() -> Callable[[int], Hello]:
    return hello_of
