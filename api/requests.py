"""Reading what clients send: counted while it arrives, given up after a deadline."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import msgpack
import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

BODY_BYTES_MAX = 8 * 1024 * 1024
"""One request: 128 transactions of the largest kind."""
BODY_DEADLINE_S = 10
"""For a body to arrive in full: 8 MiB at 800 KiB/s."""
TRANSACTIONS_MAX = 4_096
MSGPACK = "application/msgpack"


async def read_body(request: Request) -> bytes:
    """The body.  Raises HTTPException 413 for too many bytes, 408 for too long a time."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > BODY_BYTES_MAX:
        raise HTTPException(413, f"a request has at most {BODY_BYTES_MAX} bytes")
    parts: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_DEADLINE_S) as scope:
        try:
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise HTTPException(413, f"a request has at most {BODY_BYTES_MAX} bytes")
                parts.append(part)
        except ClientDisconnect:
            raise HTTPException(400, "the body ended early") from None
    if scope.cancelled_caught:
        raise HTTPException(408, f"the body did not arrive within {BODY_DEADLINE_S} seconds")
    return b"".join(parts)


def is_msgpack(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip() == MSGPACK


async def read_list(request: Request, name: str) -> list[bytes]:
    """A list of byte strings: a msgpack array, or JSON {name: [base64 or hexadecimal, ...]}.

    Raises HTTPException 400 with one line that says what is wrong.
    """
    body = await read_body(request)
    if is_msgpack(request):
        items = _unpack(body)
    else:
        items = [_from_text(item, name) for item in _json_list(body, name)]
    if not 1 <= len(items) <= TRANSACTIONS_MAX:
        raise HTTPException(400, f"send 1 to {TRANSACTIONS_MAX} {name}")
    return items


def _unpack(body: bytes) -> list[bytes]:
    try:
        items: Any = msgpack.unpackb(
            body, raw=False, max_array_len=TRANSACTIONS_MAX, max_map_len=0, max_ext_len=0
        )
    except (ValueError, TypeError, RecursionError):
        raise HTTPException(400, "the body is not a msgpack array of byte strings") from None
    if type(items) is not list or any(type(item) is not bytes for item in items):
        raise HTTPException(400, "the body is not a msgpack array of byte strings")
    return items


def _json_list(body: bytes, name: str) -> list[Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    items = document.get(name) if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise HTTPException(400, f'send {{"{name}": [...]}}')
    return items


def _from_text(item: Any, name: str) -> bytes:
    if not isinstance(item, str):
        raise HTTPException(400, f"each of {name} is text")
    try:
        if name == "ids":
            return bytes.fromhex(item)
        return base64.b64decode(item, validate=True)
    except (ValueError, binascii.Error):
        kind = "hexadecimal" if name == "ids" else "base64"
        raise HTTPException(400, f"one of {name} is not {kind}") from None


def path_number(request: Request, name: str) -> int:
    """A whole number in the path.  Raises HTTPException 400."""
    return _number(request.path_params[name], name)


def query_number(request: Request, name: str, default: int) -> int:
    """A whole number in the query.  Raises HTTPException 400."""
    text = request.query_params.get(name)
    return default if text is None else _number(text, name)


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(400, f"{name} is a whole number")
    return int(text)


def path_digest(request: Request, name: str) -> bytes:
    """32 bytes in hexadecimal in the path.  Raises HTTPException 400."""
    text = request.path_params[name]
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32 or len(text) != 64:
        raise HTTPException(400, f"{name} is 64 hexadecimal digits")
    return value
