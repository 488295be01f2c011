"""What a small message costs over trio and TLS alone, without any of the ledger's own code."""

from __future__ import annotations

import time

import trio

from p2p.certificate import make_identity
from p2p.tls import make_contexts

MESSAGES = 1_000
MESSAGE = bytes(200)
"""About a vote."""


def message_us() -> float:
    """Microseconds of processor time for one message, sender and receiver together."""
    return trio.run(_measure)


async def _measure() -> float:
    identities = [make_identity(bytes([number]) * 32) for number in (1, 2)]
    pinned = [identity.certificate for identity in identities]
    server, client = (make_contexts(identity, pinned) for identity in identities)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        port = listener.socket.getsockname()[1]
        near = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), client.client)
        far = trio.SSLStream(await listener.accept(), server.server, server_side=True)
        nursery.start_soon(_echo, far)
        for _ in range(50):  # the handshake, and caches that fill
            await _ask(near)
        begin = time.process_time()
        for _ in range(MESSAGES):
            await _ask(near)
        spent = time.process_time() - begin
        nursery.cancel_scope.cancel()
    return spent / (2 * MESSAGES) * 1_000_000


async def _ask(stream: trio.SSLStream[trio.SocketStream]) -> None:
    await stream.send_all(MESSAGE)
    await stream.receive_some()


async def _echo(stream: trio.SSLStream[trio.SocketStream]) -> None:
    while True:
        await stream.send_all(await stream.receive_some())
