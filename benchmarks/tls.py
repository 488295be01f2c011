"""What a small message costs over TLS: with trio's stream for every purpose, and with a link's."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

from p2p.certificate import make_identity
from p2p.tls import Contexts, make_contexts
from p2p.tls_stream import TlsStream

MESSAGES = 1_000
MESSAGE = bytes(200)
"""About a vote."""


class Stream(Protocol):
    """What both kinds of stream can do."""

    async def send_all(self, data: bytes | bytearray) -> None: ...

    async def receive_some(self) -> bytes | bytearray: ...


def message_us() -> float:
    """Microseconds of processor time for one message over `trio.SSLStream`, both ends together."""
    return trio.run(_measure, _trio_streams)


def link_message_us() -> float:
    """The same over the stream of a link."""
    return trio.run(_measure, _link_streams)


Open = Callable[[trio.SocketStream, Contexts, trio.SocketStream, Contexts], Awaitable[Any]]


async def _trio_streams(
    near: trio.SocketStream, client: Contexts, far: trio.SocketStream, server: Contexts
) -> tuple[Stream, Stream]:
    return trio.SSLStream(near, client.client), trio.SSLStream(far, server.server, server_side=True)


async def _link_streams(
    near: trio.SocketStream, client: Contexts, far: trio.SocketStream, server: Contexts
) -> tuple[Stream, Stream]:
    ends = (
        TlsStream(near, client.client, is_server=False),
        TlsStream(far, server.server, is_server=True),
    )
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.shake_hands)
    return ends


async def _measure(open_streams: Open) -> float:
    identities = [make_identity(bytes([number]) * 32) for number in (1, 2)]
    pinned = [identity.certificate for identity in identities]
    server, client = (make_contexts(identity, pinned) for identity in identities)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        port = listener.socket.getsockname()[1]
        dialed = await trio.open_tcp_stream("127.0.0.1", port)
        near, far = await open_streams(dialed, client, await listener.accept(), server)
        nursery.start_soon(_echo, far)
        for _ in range(50):  # the handshake, and caches that fill
            await _ask(near)
        begin = time.process_time()
        for _ in range(MESSAGES):
            await _ask(near)
        spent = time.process_time() - begin
        nursery.cancel_scope.cancel()
    return spent / (2 * MESSAGES) * 1_000_000


async def _ask(stream: Stream) -> None:
    await stream.send_all(MESSAGE)
    await stream.receive_some()


async def _echo(stream: Stream) -> None:
    while True:
        await stream.send_all(await stream.receive_some())
