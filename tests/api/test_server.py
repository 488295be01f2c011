"""The API over real sockets: streams, stalling clients, and an end that waits for neither."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import host.http
from api.client import LedgerClient
from api.limits import ApiLimits
from host.http import serve_api
from ledger.applications.records import make_record
from ledger.errors import UnreachableError
from tests.api.documented import check_schema
from tests.api.memory_node import MemoryNode, ids_of, signed
from tests.ledger.builders import signer_of

pytestmark = pytest.mark.trio
LIMIT_S = 60
"""No test waits longer; a healthy one needs a fraction of a second."""


class Served:
    """A node's API on a port that the system chose."""

    def __init__(self, node: MemoryNode, port: int) -> None:
        self.node = node
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.scope = trio.CancelScope()
        self.stopped = trio.Event()

    async def stop(self) -> None:
        """Stop the server; returns when it has ended."""
        self.scope.cancel()
        with trio.fail_after(LIMIT_S):
            await self.stopped.wait()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def served(node: MemoryNode, *, limits: ApiLimits | None = None) -> AsyncIterator[Served]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    small_buffers(listener.socket)
    server = Served(node, listener.socket.getsockname()[1])

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        with server.scope:
            await serve_api(node, [listener], limits=limits, task_status=task_status)
        server.stopped.set()

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            try:
                yield server
            finally:
                server.scope.cancel()


async def read_until(stream: trio.SocketStream, done: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not done(data):
        part = await stream.receive_some()
        if not part:
            break
        data += part
    return data


async def until_closed(stream: trio.SocketStream) -> bytes:
    try:
        return await read_until(stream, lambda _: False)
    except trio.BrokenResourceError:
        return b""


def client_of(server: Served) -> LedgerClient:
    numbers = iter(range(1, 1_000_000))
    return LedgerClient(
        [server.url],
        server.node.genesis,
        signer=signer_of("alice"),
        clock=lambda: next(numbers),
    )


async def test_a_client_confirms_a_transaction_over_a_real_socket() -> None:
    async with served(MemoryNode()) as server, client_of(server) as client:
        outcome = await client.submit([make_record("a.txt", b"", b"content")], deadline_s=LIMIT_S)
        raw, verified = await client.receipt(outcome.id)

    assert (outcome.status, outcome.height) == ("applied", 1)
    assert raw == outcome.receipt
    assert verified.transaction == outcome.id


async def test_the_stream_tells_every_confirmed_block_once_and_in_order() -> None:
    node = MemoryNode()
    node.ledger.grow(20)
    transactions = signed(node.genesis, 2)

    async with served(node) as server, client_of(server) as client:
        lines = []
        async with client.stream(server.url, 1, ids=True) as stream:
            async for line in stream:
                check_schema({"$ref": "#/components/schemas/ConfirmedBlock"}, line)
                lines.append(line)
                if line["height"] == 20:
                    node.ledger.confirm(*transactions)
                if line["height"] == 21:
                    break

    assert [line["height"] for line in lines] == list(range(1, 22))
    assert lines[-1]["ids"] == [identity.hex() for identity in ids_of(transactions)]


async def test_the_stream_begins_with_the_next_block_unless_told_otherwise() -> None:
    node = MemoryNode()
    node.ledger.grow(3)

    async with (
        served(node) as server,
        httpx.AsyncClient() as http,
        http.stream("GET", f"{server.url}/v1/stream") as got,
    ):
        assert got.headers["content-type"] == "application/x-ndjson"
        parts = got.aiter_raw()
        assert await anext(parts) == b"\n"
        node.ledger.grow(1)
        line = json.loads(await anext(parts))
        await parts.aclose()  # type: ignore[attr-defined]

    assert line["height"] == 4
    assert "ids" not in line


async def test_an_idle_stream_says_that_it_is_alive(autojump_clock: trio.abc.Clock) -> None:
    async with served(MemoryNode()) as server:
        stream = await server.connect()
        await stream.send_all(b"GET /v1/stream HTTP/1.1\r\nhost: node\r\n\r\n")

        heard = await read_until(stream, lambda data: data.count(b"1\r\n\n\r\n") >= 3)
        await stream.aclose()

    assert b"200" in heard.splitlines()[0]


async def test_there_are_so_many_streams_and_no_more() -> None:
    limits = ApiLimits(streams=2)
    async with served(MemoryNode(), limits=limits) as server, client_of(server) as client:
        async with client.stream(server.url, 1), client.stream(server.url, 1):
            with pytest.raises(UnreachableError, match="503"):
                async with client.stream(server.url, 1):
                    pass
        # A stream that is closed makes room; the server hears of it in its own time.
        opened = False
        while not opened:
            with suppress(UnreachableError):
                async with client.stream(server.url, 1):
                    opened = True


async def test_the_end_does_not_wait_for_open_streams_or_waiting_requests() -> None:
    node = MemoryNode(automatic=False)
    async with served(node) as server, client_of(server) as client:
        ended = trio.Event()

        async def wait() -> None:
            async with httpx.AsyncClient(timeout=LIMIT_S) as http:
                with pytest.raises(httpx.HTTPError):
                    await http.get(f"{server.url}/v1/transactions/{'00' * 32}?wait_ms=20000")
            ended.set()

        async with trio.open_nursery() as nursery, client.stream(server.url, 1) as stream:
            nursery.start_soon(wait)
            while not node.reads:
                await trio.lowlevel.checkpoint()
            begun = trio.current_time()
            await server.stop()
            assert trio.current_time() - begun < 2
            assert [line async for line in stream] == []
            await ended.wait()


def small_buffers(sock: trio.socket.SocketType) -> None:
    """So that an answer of a few hundred kilobytes cannot hide in the kernel."""
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4_096)
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4_096)


@asynccontextmanager
async def stalled(server: Served) -> AsyncIterator[trio.SocketStream]:
    """A client that has asked for a large answer and reads nothing of it."""
    server.node.ledger.confirm(*signed(server.node.genesis, 400))
    sock = trio.socket.socket()
    small_buffers(sock)
    await sock.connect(("127.0.0.1", server.port))
    async with trio.SocketStream(sock) as stream:
        await stream.send_all(b"GET /v1/blocks/1 HTTP/1.1\r\nhost: node\r\n\r\n")
        while not server.node.reads:
            await trio.lowlevel.checkpoint()
        yield stream


def is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    declared = re.search(rb"content-length: (\d+)", head)
    return declared is not None and len(body) == int(declared[1])


async def test_an_answer_is_whole_for_a_client_that_reads_late() -> None:
    async with served(MemoryNode()) as server, stalled(server) as stream:
        await wait_all_tasks_blocked(0.01)

        assert is_whole(await read_until(stream, is_whole))


async def test_the_end_does_not_wait_for_a_client_that_does_not_read() -> None:
    async with served(MemoryNode()) as server, stalled(server) as stream:
        await wait_all_tasks_blocked(0.01)
        begun = trio.current_time()
        await server.stop()

        assert trio.current_time() - begun < 2
        assert not is_whole(await until_closed(stream))


async def test_a_client_that_does_not_read_is_cut_off(autojump_clock: trio.abc.Clock) -> None:
    async with served(MemoryNode()) as server, stalled(server) as stream:
        await trio.sleep(host.http.SEND_S + 10)

        assert not is_whole(await until_closed(stream))


async def test_a_slow_body_is_answered_and_its_connection_closed(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with served(MemoryNode()) as server:
        stream = await server.connect()
        await stream.send_all(
            b"POST /v1/transactions HTTP/1.1\r\nhost: node\r\ncontent-length: 100\r\n\r\n{"
        )
        answer = await until_closed(stream)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the body took longer than 10 seconds" in answer


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_answered(declared: bool) -> None:
    length = b"content-length: 5000" if declared else b"transfer-encoding: chunked"
    async with served(MemoryNode(), limits=ApiLimits(body_bytes=1_000)) as server:
        stream = await server.connect()
        await stream.send_all(
            b"POST /v1/transactions HTTP/1.1\r\nhost: node\r\n" + length + b"\r\n\r\n"
        )
        if not declared:
            await stream.send_all(b"3e9\r\n" + bytes(1_001) + b"\r\n")
        answer = await until_closed(stream)

    assert answer.startswith(b"HTTP/1.1 413")


async def test_what_is_not_http_is_answered_or_closed() -> None:
    async with served(MemoryNode()) as server:
        for nonsense in (b"\x16\x03\x01" + bytes(200), b"GET\r\n\r\n", b"A" * 100_000):
            stream = await server.connect()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(nonsense)
            answer = await until_closed(stream)
            assert not answer or answer.startswith(b"HTTP/1.1 4")

        async with client_of(server) as client:
            assert await client.node_status(server.url)


async def test_there_are_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.http, "CONNECTIONS_MAX", 2)
    ask = b"GET /health HTTP/1.1\r\nhost: node\r\n\r\n"
    async with served(MemoryNode()) as server:
        streams = [await server.connect() for _ in range(2)]
        for stream in streams:
            await stream.send_all(ask)
            assert await read_until(stream, lambda data: data.endswith(b"ok\n"))
        third = await server.connect()

        assert await until_closed(third) == b""
        for stream in streams:
            await stream.aclose()
