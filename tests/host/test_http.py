"""What leaves a client's connection: the pieces of an answer, joined where that costs nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio

from host.http import _Connection

HEAD = b"HTTP/1.1 200 \r\ncontent-length: 4\r\n\r\n"


class Wire:
    """The stream below a connection: what was sent, piece by piece."""

    def __init__(self) -> None:
        self.socket: Any = None
        self.sent: list[bytes] = []

    async def send_all(self, data: bytes) -> None:
        self.sent.append(bytes(data))

    async def aclose(self) -> None:
        return


async def sent(*pieces: bytes) -> list[bytes]:
    wire = Wire()
    connection = _Connection(cast("trio.SocketStream", wire))
    for piece in pieces:
        await connection.send_all(piece)
    return wire.sent


@pytest.mark.trio
async def test_head_and_body_of_an_answer_leave_together_and_its_empty_end_not_at_all() -> None:
    assert await sent(HEAD, b"body", b"", HEAD, b"more", b"") == [HEAD + b"body", HEAD + b"more"]


@pytest.mark.trio
async def test_an_answer_without_a_body_leaves_at_its_end() -> None:
    assert await sent(HEAD, b"") == [HEAD]


@pytest.mark.trio
async def test_what_a_client_waits_for_before_it_sends_its_body_leaves_at_once() -> None:
    go_on = b"HTTP/1.1 100 \r\n\r\n"

    assert await sent(go_on, HEAD, b"body") == [go_on, HEAD + b"body"]


@pytest.mark.trio
async def test_a_body_that_looks_like_a_head_is_not_lost() -> None:
    assert b"".join(await sent(HEAD, HEAD, b"")) == HEAD + HEAD


@pytest.mark.trio
async def test_a_stream_leaves_piece_by_piece_once_it_has_begun() -> None:
    pieces = [b"1\r\n\n\r\n", b"3\r\n{}\n\r\n"]

    assert await sent(HEAD, *pieces) == [HEAD + pieces[0], pieces[1]]
