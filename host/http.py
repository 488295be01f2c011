"""Serving a node's API on listeners that are already bound, with hypercorn's HTTP on trio.

The connections are held here: how many there are, and how long a client may take to read.  The
server shields what it sends from cancellation, so that a client which stops reading would hold it,
and the node's end with it, for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from api.app import make_app
from api.limits import ApiLimits
from api.view import Contents, RunningNode

GRACE_S = 0.2
"""For an answer that is being sent when the node stops."""
CONNECTIONS_MAX = 512
"""Half of the files that a process may commonly open: the rest is for peers and the database."""
SEND_S = 30.0
"""For a client to read what it is sent, and one second more for each 64 KiB of it."""
SEND_BYTES_A_SECOND = 64 * 1024
IDLE_S = 75.0
"""For a connection without a request."""
HEADERS_BYTES_MAX = 64 * 1024
H2_STREAMS_MAX = 8
"""Requests at once on one connection, so that these stay bounded by the connections."""


class _Connection:
    """A client's connection: what the server needs of a stream, with an end to every sending."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._sending = trio.CancelScope()
        self._is_given_up = False
        self._head = b""
        """Of an answer whose body is about to come."""

    async def send_all(self, data: bytes) -> None:
        """Send a piece; the head of an answer goes with what follows it, be that nothing.

        The server sends head, body and an empty end one by one, and a system call for each costs
        more than all that is computed for the answer.  Raises trio.BrokenResourceError where the
        client does not read in time.
        """
        if self._is_given_up:
            raise trio.BrokenResourceError("the node stops")
        if _is_head(data):
            self._head += data
            return
        data, self._head = self._head + data, b""
        if data:
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        patience_s = SEND_S + len(data) / SEND_BYTES_A_SECOND
        with trio.CancelScope(deadline=trio.current_time() + patience_s) as self._sending:
            await self._stream.send_all(data)
        if self._sending.cancelled_caught:
            await trio.aclose_forcefully(self._stream)
            raise trio.BrokenResourceError("the client does not read what it is sent")

    def give_up(self) -> None:
        """End a sending that is under way, and let no other begin."""
        self._is_given_up = True
        self._sending.cancel()

    async def receive_some(self, max_bytes: int) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _is_head(data: bytes) -> bool:
    """Whether this is, or could be, the head of an answer: there is always more to come then."""
    is_final = not data.startswith(b"HTTP/1.1 1")
    return is_final and data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n")


class _Server:
    """The connections of one API."""

    def __init__(
        self, node: RunningNode, limits: ApiLimits | None, contents: Contents | None
    ) -> None:
        self._config = _config()
        app = make_app(node, limits, contents)
        self._app = wrap_app(app, self._config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]
        self._context = WorkerContext(None)
        self._connections: dict[int, _Connection] = {}
        self._idle = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one client until it or we are gone."""
        if len(self._connections) >= CONNECTIONS_MAX:
            await trio.aclose_forcefully(stream)
            return
        connection = _Connection(stream)
        with self._held(connection):
            state = ConnectionState({})
            # The server wants a TLS stream, and takes any other for what it is.
            tls = cast("trio.SSLStream[trio.SocketStream]", connection)
            server = TCPServer(self._app, self._config, self._context, state, tls)
            await server.run()

    @contextmanager
    def _held(self, connection: _Connection) -> Iterator[None]:
        self._connections[id(connection)] = connection
        try:
            yield
        finally:
            del self._connections[id(connection)]
            if not self._connections:
                self._idle.set()
                self._idle = trio.Event()

    async def give_up_in_the_end(self) -> None:
        """Wait to be cancelled; then give what is being sent a moment, and no more."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(GRACE_S, shield=True):
                while self._connections:
                    await self._idle.wait()
            for connection in list(self._connections.values()):
                connection.give_up()


async def serve_api(
    node: RunningNode,
    listeners: list[trio.SocketListener],
    *,
    limits: ApiLimits | None = None,
    contents: Contents | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; whoever still reads then is cut off."""
    server = _Server(node, limits, contents)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.give_up_in_the_end)
        await nursery.start(partial(trio.serve_listeners, server.serve, listeners))
        task_status.started()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.keep_alive_timeout = IDLE_S
    config.h11_max_incomplete_size = HEADERS_BYTES_MAX
    config.h2_max_concurrent_streams = H2_STREAMS_MAX
    config.include_server_header = False
    return config
