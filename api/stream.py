"""The stream of confirmed blocks: one JSON line a block, in order, for as long as a client reads.

It serves what is stored and holds nothing: a slow client slows its own stream, and an idle one gets
an empty line now and then, by which both sides learn that the other is still there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

import trio
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from api import describe
from api.limits import ApiLimits
from api.view import RunningNode
from ledger.store import Reader

MEDIA_TYPE = "application/x-ndjson"
BLOCKS_A_READ = 16


@dataclass(slots=True)
class OpenStreams:
    """How many streams one app serves now."""

    count: int = 0


class BlockStream(Response):
    """Answers with every confirmed block from a height on."""

    def __init__(
        self,
        node: RunningNode,
        limits: ApiLimits,
        streams: OpenStreams,
        *,
        first: int,
        with_ids: bool,
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._node = node
        self._limits = limits
        self._streams = streams
        self._height = first
        self._with_ids = with_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._streams.count >= self._limits.streams:
            detail = "too many streams are open; try again or at another node"
            await JSONResponse({"error": detail}, 503)(scope, receive, send)
            return
        self._streams.count += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_blocks, send)
                while (await receive())["type"] != "http.disconnect":
                    pass
                nursery.cancel_scope.cancel()
        finally:
            self._streams.count -= 1

    async def _send_blocks(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        # At once, so that the client sees an open stream.
        await send(_part(b"\n"))
        while True:
            confirmed = 0
            with trio.move_on_after(self._limits.stream_silence_s):
                confirmed = await self._node.wait_confirmed(self._height - 1)
            if confirmed < self._height:
                await send(_part(b"\n"))
                continue
            last = min(confirmed, self._height + BLOCKS_A_READ - 1)
            await send(_part(await self._node.read(partial(self._lines, last))))
            self._height = last + 1

    def _lines(self, last: int, reader: Reader) -> bytes:
        lines = []
        for height in range(self._height, last + 1):
            line = describe.confirmed_block(reader, height, with_ids=self._with_ids)
            lines.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        return b"".join(lines)


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
