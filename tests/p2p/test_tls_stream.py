"""TLS of a link over real sockets: whole, in order, both ways at once, plain when it ends."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from p2p.tls import make_contexts
from p2p.tls_stream import TlsStream
from tests.p2p.conftest import LIMIT_S, identity_of

pytestmark = pytest.mark.trio


@asynccontextmanager
async def pair(*pinned: int) -> AsyncIterator[tuple[TlsStream, TlsStream]]:
    """(dialer 0, listener 1), each of whom trusts the identities with these numbers."""
    anchors = [identity_of(number).certificate for number in pinned]
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        dialed = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        accepted = await listener.accept()
    near = TlsStream(dialed, make_contexts(identity_of(0), anchors).client, is_server=False)
    far = TlsStream(accepted, make_contexts(identity_of(1), anchors).server, is_server=True)
    with trio.fail_after(LIMIT_S):
        try:
            yield near, far
        finally:
            await near.aclose()
            await far.aclose()


async def shake_hands(*streams: TlsStream) -> None:
    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(stream.shake_hands)


async def read(stream: TlsStream, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = await stream.receive_some()
        assert part, "the stream ended early"
        found += part
    return found


async def test_each_side_learns_the_certificate_of_the_other():
    async with pair(0, 1) as (near, far):
        await shake_hands(near, far)
        assert near.peer_certificate == identity_of(1).certificate
        assert far.peer_certificate == identity_of(0).certificate


async def test_bulk_goes_both_ways_at_once_whole_and_in_order():
    there, back = bytes(range(256)) * 20_000, bytes(reversed(range(256))) * 20_000
    async with pair(0, 1) as (near, far):
        await shake_hands(near, far)
        found: dict[str, bytes] = {}

        async def take(name: str, stream: TlsStream, size: int) -> None:
            found[name] = await read(stream, size)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.send_all, there)
            nursery.start_soon(far.send_all, back)
            nursery.start_soon(take, "there", far, len(there))
            nursery.start_soon(take, "back", near, len(back))
        assert found == {"there": there, "back": back}


async def test_a_peer_that_never_stops_talking_leaves_others_their_turn():
    async with pair(0, 1) as (near, far), trio.open_nursery() as nursery:
        await shake_hands(near, far)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        nursery.start_soon(count)
        for number in range(50):
            # It is here before it is asked for, so that no read has to wait.
            await near.send_all(bytes([number]))
            assert await far.receive_some() == bytes([number])
        assert turns >= 48
        nursery.cancel_scope.cancel()


async def test_a_stranger_is_refused_and_told_so():
    async with pair(1) as (near, far):
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(near.shake_hands)
                with pytest.raises(ssl.SSLCertVerificationError):
                    await far.shake_hands()
        with pytest.raises(ssl.SSLError, match="ALERT"):
            await near.receive_some()


async def test_a_connection_that_ends_without_a_goodbye_has_ended():
    async with pair(0, 1) as (near, far):
        await shake_hands(near, far)
        await near.aclose()
        assert await far.receive_some() == b""


async def test_closing_wakes_who_waits():
    async with pair(0, 1) as (near, far):
        await shake_hands(near, far)

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await near.aclose()
