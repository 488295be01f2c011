"""Reading what clients send: counted while it arrives, given up after a deadline."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

import msgpack
import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from api.limits import JOINT_TRANSACTIONS_MAX, TRANSACTIONS_MAX, ApiLimits
from ledger import merkle
from ledger.limits import OPERATIONS_MAX

MSGPACK = "application/msgpack"
ID_BYTES = 32
_tile_place = re.compile(
    # No group of zeros in front, five groups at most: an index is below 2^56 in any case.
    r"((?:x(?!000)[0-9]{3}/(?:x[0-9]{3}/){0,4})?)([0-9]{3})"
    r"(?:\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


@dataclass(slots=True)
class Arriving:
    """The bytes of bodies that one app is reading now."""

    held: int = 0


async def read_body(request: Request, limits: ApiLimits, arriving: Arriving) -> bytes:
    """The body.  Raises HTTPException 413 for too many bytes, 408 for too long a time.

    And 429 where all bodies that are arriving have too many bytes together.
    """
    declared = request.headers.get("content-length", "0")
    too_large = HTTPException(413, f"a request has at most {limits.body_bytes} bytes")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise too_large
    body = bytearray()
    with trio.move_on_after(limits.body_deadline_s) as scope:
        try:
            async for part in request.stream():
                if len(body) + len(part) > limits.body_bytes:
                    raise too_large
                if arriving.held + len(part) > limits.bodies_bytes:
                    raise HTTPException(429, "too much is arriving at once; try again in a second")
                body += part
                arriving.held += len(part)
        except ClientDisconnect:
            raise HTTPException(400, "the body ended early") from None
        finally:
            arriving.held -= len(body)
    if scope.cancelled_caught:
        raise HTTPException(408, f"the body took longer than {limits.body_deadline_s:g} seconds")
    return bytes(body)


def is_msgpack(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip() == MSGPACK


async def read_transactions(request: Request, limits: ApiLimits, arriving: Arriving) -> list[bytes]:
    """A msgpack array of byte strings, or JSON {"transactions": [base64, ...]}.

    Raises HTTPException 400 with one line that says what is wrong.
    """
    return await _read_list(request, limits, arriving, "transactions", TRANSACTIONS_MAX)


async def read_ids(
    request: Request, limits: ApiLimits, arriving: Arriving, count_max: int
) -> list[bytes]:
    """A msgpack array of 32 bytes each, or JSON {"ids": [hexadecimal, ...]}.  As above."""
    ids = await _read_list(request, limits, arriving, "ids", count_max)
    if any(len(identity) != ID_BYTES for identity in ids):
        raise HTTPException(400, "an id has 32 bytes: 64 hexadecimal digits")
    return ids


async def _read_list(
    request: Request, limits: ApiLimits, arriving: Arriving, name: str, count_max: int
) -> list[bytes]:
    body = await read_body(request, limits, arriving)
    if is_msgpack(request):
        items = unpack_list(body)
    else:
        items = [_from_text(item, name) for item in _json_list(body, name)]
    if not 1 <= len(items) <= count_max:
        raise HTTPException(400, f"send 1 to {count_max} {name}")
    return items


def unpack_list(body: bytes) -> list[bytes]:
    try:
        items: Any = msgpack.unpackb(
            body, raw=False, max_array_len=TRANSACTIONS_MAX, max_map_len=0, max_ext_len=0
        )
    except (ValueError, TypeError, RecursionError):
        raise HTTPException(400, "the body is not a msgpack array of byte strings") from None
    if type(items) is not list or any(type(item) is not bytes for item in items):
        raise HTTPException(400, "the body is not a msgpack array of byte strings")
    return items


async def read_wanted(
    request: Request, limits: ApiLimits, arriving: Arriving
) -> list[tuple[bytes, tuple[int, ...]]]:
    """(id, numbers of operations) of each transaction: a msgpack array of such pairs, or JSON
    {"transactions": [{"id": hexadecimal, "operations": [number, ...]}, ...]}.  As above."""
    body = await read_body(request, limits, arriving)
    pairs = _unpacked_pairs(body) if is_msgpack(request) else _json_pairs(body)
    if not 1 <= len(pairs) <= JOINT_TRANSACTIONS_MAX:
        raise HTTPException(400, f"ask for 1 to {JOINT_TRANSACTIONS_MAX} transactions")
    for identity, numbers in pairs:
        if type(identity) is not bytes or len(identity) != ID_BYTES:
            raise HTTPException(400, "an id has 32 bytes: 64 hexadecimal digits")
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= OPERATIONS_MAX:
            raise HTTPException(400, f"ask for 1 to {OPERATIONS_MAX} operations of each")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise HTTPException(400, "the number of an operation is a whole number")
    return [(identity, tuple(numbers)) for identity, numbers in pairs]


def _unpacked_pairs(body: bytes) -> list[tuple[Any, Any]]:
    try:
        rows: Any = msgpack.unpackb(body, max_array_len=OPERATIONS_MAX, max_map_len=0)
    except (ValueError, TypeError, RecursionError):
        rows = None
    if not isinstance(rows, list) or any(type(row) is not list or len(row) != 2 for row in rows):
        raise HTTPException(400, "the body is not a msgpack array of (id, numbers)")
    return [(identity, numbers) for identity, numbers in rows]


def _json_pairs(body: bytes) -> list[tuple[Any, Any]]:
    rows = _json_list(body, "transactions")
    if any(not isinstance(row, dict) for row in rows):
        raise HTTPException(400, 'each of transactions is {"id": ..., "operations": [...]}')
    return [(_from_text(row.get("id"), "ids"), row.get("operations")) for row in rows]


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
    except ValueError:
        kind = "hexadecimal" if name == "ids" else "base64"
        raise HTTPException(400, f"one of {name} is not {kind}") from None


def path_number(request: Request, name: str) -> int:
    """A whole number in the path.  Raises HTTPException 400."""
    return _number(request.path_params[name], name)


def query_number(request: Request, name: str, default: int) -> int:
    """A whole number in the query.  Raises HTTPException 400."""
    text = request.query_params.get(name)
    return default if text is None else _number(text, name)


def query_wait_ms(request: Request, limits: ApiLimits) -> int:
    """How long the client wants to wait, as far as it may.  Raises HTTPException 400."""
    return min(query_number(request, "wait_ms", 0), limits.wait_ms)


def tile_place(text: str) -> tuple[int, int]:
    """(index, width) of a tile's path such as x001/x234/067.p/112 (c2sp.org/tlog-tiles).

    Raises HTTPException 400.
    """
    found = _tile_place.fullmatch(text)
    if found is None:
        raise HTTPException(400, "a tile's place is like 067, x001/067 or 067.p/112")
    groups, last, width = found.groups()
    index = int(groups.replace("x", "").replace("/", "") + last)
    return index, int(width) if width else merkle.TILE_WIDTH


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(400, f"{name} is a whole number")
    return int(text)


def path_key(request: Request, name: str) -> bytes:
    """An application's key in hexadecimal in the path.  Raises HTTPException 400."""
    text = request.path_params[name]
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if not value or value.hex() != text:
        raise HTTPException(400, f"{name} is lower-case hexadecimal digits, two a byte")
    return value


def path_digest(request: Request, name: str) -> bytes:
    """32 bytes in hexadecimal in the path.  Raises HTTPException 400."""
    text = request.path_params[name]
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != ID_BYTES or len(text) != 64:
        raise HTTPException(400, f"{name} is 64 hexadecimal digits")
    return value
