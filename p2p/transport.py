"""One link: a TCP connection that became a mutually authenticated stream of frames.

    dial or accept -> TLS 1.3 handshake -> compare certificates -> hello -> frames, until it ends

Nothing before the comparison is believed, and all of it happens under one deadline.  A refused TLS
1.3 client learns of it only at its first read, so a dialer calls a link up once it has the hello.

A link never outlives its peer for long: pings go out every few seconds, a peer that is silent for
several of them is gone; so is one that stops reading, or dribbles a frame byte by byte.  How a
link ends is a reason code; whatever a peer does, no exception leaves the link but our own bugs.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum

import trio

from ledger.errors import LedgerError, PeerFault
from p2p.counters import Traffic
from p2p.frames import Channel, Frame, FrameReader, encode_frames
from p2p.hello import Hello, agree, decode_hello, encode_hello
from p2p.outbound import Outbound, OutboundBounds, QueueFull
from p2p.tls import refusal_reason
from p2p.tls_stream import TlsStream

_PIECE_BYTES = 256 * 1024
"""What must leave within one write deadline; together they demand a few KiB a second."""
_UNSENT_BYTES = 1024 * 1024
"""What the kernel may hold that is not yet on its way: a whole write.  trio's own choice of 16 KiB
serves senders that reorder their queue; ours never does, and bulk is half again as fast."""


class LinkKind(IntEnum):
    """The first byte of a payload on the LINK channel."""

    HELLO = 0
    PING = 1
    PONG = 2


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node listens."""

    host: str
    """Name or number."""
    port: int
    """TCP port."""


@dataclass(frozen=True, slots=True)
class LinkBounds:
    """Deadlines and sizes of one link."""

    connect_ms: int = 3_000
    """For the TCP connection: three times the first retransmission of a lost SYN."""
    handshake_ms: int = 5_000
    """For TLS and hello together: a few round trips on the worst line and a busy processor."""
    keepalive_ms: int = 2_000
    """Between pings."""
    idle_ms: int = 10_000
    """Without a byte from the peer: five pings lost or late."""
    frame_ms: int = 120_000
    """For one frame to arrive in full: 32 MiB at 280 KiB/s."""
    write_ms: int = 30_000
    """For the peer to take 256 KiB; a peer whose handlers wait takes nothing meanwhile."""
    write_bytes_max: int = 1024 * 1024
    """Frames that share a write, unless one alone is larger: bounds the copy made for TLS."""
    outbound: OutboundBounds = field(default_factory=OutboundBounds)
    """The queue in front of the writer."""


class LinkDown(LedgerError):
    """The connection ended without anybody's fault; `reason` is a stable code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """Why a link ended."""

    reason: str
    """A stable code."""
    detail: str
    """For people."""
    is_fault: bool
    """Whether the peer broke a rule, rather than went away."""


async def listen(address: Address) -> list[trio.SocketListener]:
    """Listeners on every address that the host stands for; port 0 lets the system choose."""
    return await trio.open_tcp_listeners(address.port, host=address.host)


def make_listener(bound: socket.socket) -> trio.SocketListener:
    """A listener on a TCP socket that was bound, and set to listen, elsewhere."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound))


async def dial(addresses: Sequence[Address], *, connect_ms: int) -> trio.SocketStream:
    """A connection to the first address that answers.  Raises LinkDown "dial.unreachable"."""
    detail = "no address"
    for address in addresses:
        with trio.move_on_after(connect_ms / 1000):
            try:
                return await trio.open_tcp_stream(address.host, address.port)
            except OSError as error:
                detail = f"{address.host}:{address.port}: {error}"
                continue
        detail = f"{address.host}:{address.port}: no answer in {connect_ms} ms"
    raise LinkDown("dial.unreachable", detail)


class Link:
    """An authenticated connection to one peer."""

    def __init__(
        self, stream: TlsStream, peer: int, certificate: bytes, bounds: LinkBounds, traffic: Traffic
    ) -> None:
        """Made by `open_link` alone."""
        self._stream = stream
        self._bounds = bounds
        self._traffic = traffic
        self._reader = FrameReader()
        self._early: list[Frame] = []
        self._control: dict[LinkKind, Frame] = {}
        self._wake = trio.Event()
        self._scope = trio.CancelScope()
        self._end: LinkEnd | None = None
        self._pings = 0
        self._pinged_at = 0.0
        self._reading_since: float | None = None
        """When the read that now waits began."""
        self._writing_since: float | None = None
        """When the piece that now leaves began."""
        self.outbound = Outbound(bounds.outbound)
        """What waits to be written."""
        self.peer = peer
        """Whom the certificate names."""
        self.certificate = certificate
        """What it showed, DER."""
        self.hello: Hello
        """What the peer said first."""
        self.version = 0
        """The link version that both sides speak."""
        self.round_trip_ms: float | None = None
        """Of the latest answered ping, the wait for our own writer included."""
        self.ended = trio.Event()
        """Set when the link's last callback has returned."""

    def send(self, frame: Frame) -> None:
        """Queue a frame; never waits.  A queue full of what may not be dropped ends the link."""
        try:
            self.outbound.put(frame)
        except QueueFull as error:
            self.close("queue.overflow", str(error))
        self._wake.set()

    def close(self, reason: str, detail: str = "", *, is_fault: bool = False) -> None:
        """End the link; the first reason given is the one that counts."""
        if self._end is None:
            self._end = LinkEnd(reason, detail, is_fault)
        self._scope.cancel()

    async def run(self, on_frame: Callable[[Channel, bytes], Awaitable[None]]) -> LinkEnd:
        """Carry frames until the link ends.  While `on_frame` waits, nothing more is read."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_it_breaks, self._write)
                    nursery.start_soon(self._keep_alive)
                    nursery.start_soon(self._watch)
                    await self._until_it_breaks(lambda: self._read(on_frame))
        finally:
            await self._stream.aclose()
        assert self._end is not None
        return self._end

    async def abandon(self) -> None:
        """Close a link that never ran."""
        await self._stream.aclose()

    async def exchange_hello(self, ours: Hello) -> None:
        """Say hello and hear the peer's.  Raises PeerFault, or LinkDown if the link breaks."""
        frame = Frame(Channel.LINK, bytes([LinkKind.HELLO]) + encode_hello(ours))
        await self._send_all(encode_frames([frame]))
        self._traffic.count_out([frame])
        while not self._early:
            self._early = self._reader.feed(await self._receive())
        first = self._early.pop(0)
        if first.channel is not Channel.LINK or first.payload[:1] != bytes([LinkKind.HELLO]):
            raise PeerFault("hello.malformed", "the first frame is no hello")
        self._traffic.count_in(first)
        self.hello = decode_hello(first.payload[1:])
        self.version = agree(ours, self.hello)

    async def _until_it_breaks(self, part: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the link; its fault or the connection's end becomes the link's end."""
        try:
            await part()
        except PeerFault as fault:
            self.close(fault.reason, fault.detail, is_fault=True)
        except LinkDown as down:
            self.close(down.reason, down.detail)

    async def _read(self, on_frame: Callable[[Channel, bytes], Awaitable[None]]) -> None:
        frames, self._early = self._early, []
        frame_began = trio.current_time()
        while True:
            while frames:
                for frame in frames:
                    await self._take(frame, on_frame)
                frames = self._reader.feed(b"")
                frame_began = trio.current_time()
            was_between_frames = self._reader.is_between_frames
            frames = self._reader.feed(await self._receive())
            now = trio.current_time()
            if was_between_frames:
                frame_began = now
            elif not frames and (now - frame_began) * 1000 > self._bounds.frame_ms:
                raise PeerFault("frame.slow", f"not complete after {self._bounds.frame_ms} ms")

    async def _take(
        self, frame: Frame, on_frame: Callable[[Channel, bytes], Awaitable[None]]
    ) -> None:
        self._traffic.count_in(frame)
        if frame.channel is not Channel.LINK:
            await on_frame(frame.channel, frame.payload)
            return
        kind, number = frame.payload[:1], frame.payload[1:]
        if kind == bytes([LinkKind.PING]) and len(number) == 8:
            # One answer waits at most, so a flood of pings fills nothing.
            self._queue_control(LinkKind.PONG, number)
        elif kind == bytes([LinkKind.PONG]) and len(number) == 8:
            if number == self._pings.to_bytes(8, "big"):
                self.round_trip_ms = (trio.current_time() - self._pinged_at) * 1000
        else:
            raise PeerFault("link.malformed", f"{len(frame.payload)} bytes")

    async def _keep_alive(self) -> None:
        while True:
            await trio.sleep(self._bounds.keepalive_ms / 1000)
            self._pings += 1
            self._pinged_at = trio.current_time()
            self._queue_control(LinkKind.PING, self._pings.to_bytes(8, "big"))

    async def _watch(self) -> None:
        """End a link whose peer is silent or takes nothing.

        One clock for all reads and writes: a cancel scope around each costs as much as the read.
        """
        idle_s, stall_s = self._bounds.idle_ms / 1000, self._bounds.write_ms / 1000
        while True:
            now = trio.current_time()
            idle_at = (now if self._reading_since is None else self._reading_since) + idle_s
            stalled_at = (now if self._writing_since is None else self._writing_since) + stall_s
            if idle_at <= now:
                self.close("link.idle", f"silent for {self._bounds.idle_ms} ms")
            elif stalled_at <= now:
                self.close("link.stalled", f"took no data for {self._bounds.write_ms} ms")
            # No read or write that begins meanwhile is due before this.
            await trio.sleep_until(min(idle_at, stalled_at, now + min(idle_s, stall_s)))

    def _queue_control(self, kind: LinkKind, number: bytes) -> None:
        self._control[kind] = Frame(Channel.LINK, bytes([kind]) + number)
        self._wake.set()

    async def _write(self) -> None:
        while True:
            frames = list(self._control.values())
            frames += self.outbound.drain(self._bounds.write_bytes_max)
            self._control.clear()
            if frames:
                await self._send_all(encode_frames(frames))
                self._traffic.count_out(frames)
            else:
                self._wake = trio.Event()
                await self._wake.wait()

    async def _send_all(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), _PIECE_BYTES):
            self._writing_since = trio.current_time()
            try:
                await self._stream.send_all(view[begin : begin + _PIECE_BYTES])
            except (OSError, trio.ClosedResourceError) as error:
                raise LinkDown("link.broken", str(error)) from error
        self._writing_since = None

    async def _receive(self) -> bytes:
        """The next bytes, at least one.  Raises LinkDown when there are none to come."""
        self._reading_since = trio.current_time()
        try:
            data = await self._stream.receive_some()
        except (OSError, trio.ClosedResourceError) as error:
            is_refusal = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
            reason = refusal_reason(error) if is_refusal else "link.broken"
            raise LinkDown(reason, str(error)) from error
        self._reading_since = None
        if not data:
            raise LinkDown("link.closed")
        return data


async def open_link(
    tcp: trio.SocketStream,
    context: ssl.SSLContext,
    *,
    is_server: bool,
    identify: Callable[[bytes], int],
    traffic_of: Callable[[int], Traffic],
    ours: Hello,
    bounds: LinkBounds,
) -> Link:
    """Turn a connection into a link: handshake, identity, hello, all under one deadline.

    `identify` names the peer of a DER certificate, or raises PeerFault.  Raises PeerFault or
    LinkDown; the connection is then closed.
    """
    try:
        with trio.fail_after(bounds.handshake_ms / 1000):
            _tune(tcp)
            stream = await _shake_hands(tcp, context, is_server=is_server)
            # Some member answered; this comparison says which one.
            certificate = stream.peer_certificate
            peer = identify(certificate)
            link = Link(stream, peer, certificate, bounds, traffic_of(peer))
            await link.exchange_hello(ours)
            return link
    except trio.TooSlowError as error:
        await trio.aclose_forcefully(tcp)
        raise LinkDown("link.handshake-slow", f"over {bounds.handshake_ms} ms") from error
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise


def _tune(tcp: trio.SocketStream) -> None:
    """Few system calls for bulk.  Nagle's delay is off already: trio promises TCP_NODELAY."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        with suppress(OSError):  # a matter of speed alone, and not every system has it
            tcp.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_BYTES)


async def _shake_hands(
    tcp: trio.SocketStream, context: ssl.SSLContext, *, is_server: bool
) -> TlsStream:
    stream = TlsStream(tcp, context, is_server=is_server)
    try:
        await stream.shake_hands()
    except (OSError, trio.ClosedResourceError) as error:
        raise LinkDown(refusal_reason(error), str(error)) from error
    return stream
