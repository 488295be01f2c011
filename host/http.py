"""Serving an ASGI app on listeners that are already bound, with hypercorn on trio."""

from __future__ import annotations

import os
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from api.app import make_app
from api.view import RunningNode

GRACE_S = 0.2
"""What an open request gets when the node stops; a stream gets no more."""


async def serve_api(
    node: RunningNode,
    listeners: list[trio.SocketListener],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled."""
    config = Config()
    # The server takes over a copy of each socket: binding them here gave a clear error.
    config.bind = [f"fd://{os.dup(listener.socket.fileno())}" for listener in listeners]
    for listener in listeners:
        await listener.aclose()
    config.accesslog = None
    config.errorlog = None
    config.graceful_timeout = GRACE_S
    config.shutdown_timeout = GRACE_S
    config.keep_alive_timeout = 75
    config.h11_max_incomplete_size = 64 * 1024
    config.include_server_header = False
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(serve, make_app(node), config, shutdown_trigger=stop.wait, mode="asgi")  # type: ignore[arg-type]
        )
        task_status.started()
