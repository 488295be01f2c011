"""The HTTP API of a node: an ASGI app over `api.view.RunningNode`.

Everything it answers is durable; what it says of a pending transaction is a status, not a promise.
Proofs are answered as the standard files they are (C2SP notes, checkpoints, tiles, tlog-proofs).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import msgpack
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api import describe, requests
from api.metrics import exposition
from api.openapi import document
from api.requests import path_digest, path_number, query_number
from api.view import RunningNode
from ledger import genesis as genesis_format
from ledger import queries
from ledger.errors import Fault
from ledger.store import Reader

BLOCKS_A_PAGE = 100
STREAM_SILENCE_S = 15
"""An idle stream says this often that it is alive."""
STREAMS_MAX = 64

Handler = Callable[[RunningNode, Request], Awaitable[Response]]


def make_app(node: RunningNode) -> Starlette:
    """The ASGI app that serves one running node."""
    routes = [
        Route(path, partial(_answer, handler, node), methods=[method])
        for method, path, handler in ROUTES
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


async def _answer(handler: Handler, node: RunningNode, request: Request) -> Response:
    try:
        return await handler(node, request)
    except Fault as fault:
        raise HTTPException(404, str(fault)) from None


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


# --- transactions ---


async def _submit(node: RunningNode, request: Request) -> Response:
    raws = await requests.read_list(request, "transactions")
    admissions = await node.submit(tuple(raws))
    refused = sum(1 for admission in admissions if admission.reason)
    status = 202 if refused < len(admissions) else 422
    if admissions and all(a.reason in ("mempool.full", "node.busy") for a in admissions):
        status = 503
    if requests.is_msgpack(request):
        rows = [(a.id, a.reason, a.detail) for a in admissions]
        return Response(msgpack.packb(rows), status, media_type=requests.MSGPACK)
    return JSONResponse(
        {
            "admissions": [
                {
                    "id": a.id.hex(),
                    "status": "refused" if a.reason else "pending",
                    "reason": a.reason,
                    "detail": a.detail,
                }
                for a in admissions
            ]
        },
        status,
    )


async def _statuses(node: RunningNode, request: Request) -> Response:
    ids = await requests.read_list(request, "ids")
    found = await node.read(
        lambda reader: [describe.transaction_status(reader, node.genesis, i) for i in ids]
    )
    for identity, status in zip(ids, found, strict=True):
        _mark_pending(node, identity, status)
    return JSONResponse({"transactions": found})


async def _transaction(node: RunningNode, request: Request) -> Response:
    identity = path_digest(request, "id")
    found = await node.read(lambda reader: describe.transaction(reader, node.genesis, identity))
    _mark_pending(node, identity, found)
    return JSONResponse(found, 404 if found["status"] == "unknown" else 200)


def _mark_pending(node: RunningNode, identity: bytes, status: dict[str, Any]) -> None:
    if status["status"] == "unknown" and node.is_pending(identity):
        status["status"] = "pending"


async def _receipt(node: RunningNode, request: Request) -> Response:
    identity = path_digest(request, "id")
    operation = query_number(request, "operation", 0)
    raw = await node.read(
        lambda reader: queries.receipt(reader, node.genesis, identity, operation=operation)
    )
    return Response(raw, media_type="text/plain; charset=utf-8")


# --- blocks and proofs ---


async def _block(node: RunningNode, request: Request) -> Response:
    height = path_number(request, "height")
    found = await node.read(lambda reader: describe.block(reader, height))
    return JSONResponse(found) if found else _missing(f"there is no block {height} here")


async def _blocks(node: RunningNode, request: Request) -> Response:
    top = await node.read(queries.certified_height)
    last = min(query_number(request, "to", top), top)
    first = max(1, query_number(request, "from", max(1, last - 9)))
    last = min(last, first + BLOCKS_A_PAGE - 1)
    found = await node.read(lambda reader: describe.headers(reader, first, last))
    return JSONResponse({"certified": top, "headers": found})


async def _header(node: RunningNode, request: Request) -> Response:
    height = path_number(request, "height")
    found = await node.read(lambda reader: describe.headers(reader, height, height))
    return JSONResponse(found[0]) if found else _missing(f"there is no block {height} here")


async def _certificate(node: RunningNode, request: Request) -> Response:
    height = path_number(request, "height")
    found = await node.read(
        lambda reader: queries.certificate_at_or_above(reader, node.genesis, height)
    )
    return _note(found.note) if found else _missing(f"no certificate covers height {height} yet")


async def _checkpoint(node: RunningNode, request: Request) -> Response:
    found = await node.read(lambda reader: queries.latest_certificate(reader, node.genesis))
    return _note(found.note) if found else _missing("nothing is certified yet")


async def _consistency(node: RunningNode, request: Request) -> Response:
    old = query_number(request, "old", 0)
    latest = await node.read(lambda reader: queries.latest_certificate(reader, node.genesis))
    new = query_number(request, "new", latest.size if latest else 0)
    path = await node.read(lambda reader: queries.consistency(reader, node.genesis, old, new))
    return JSONResponse({"old": old, "new": new, "path": [item.hex() for item in path]})


async def _tile(node: RunningNode, request: Request) -> Response:
    level = request.path_params["level"]
    index, width = _tile_place(request.path_params["place"])
    if level == "entries":
        raw = await node.read(lambda reader: queries.entries(reader, node.genesis, index, width))
    elif level.isdigit() and len(level) <= 2:
        raw = await node.read(lambda reader: queries.tile(reader, int(level), index, width))
    else:
        return _missing("there is no such tile")
    if raw is None:
        return _missing("the log has no such tile yet")
    return Response(raw, media_type="application/octet-stream")


def _tile_place(text: str) -> tuple[int, int]:
    """(index, width) of x001/x234/067[.p/W] (c2sp.org/tlog-tiles).  Raises HTTPException 400."""
    place, partial_mark, width = text.partition(".p/")
    groups = place.split("/")
    digits = [*(group.removeprefix("x") for group in groups[:-1]), groups[-1]]
    well_formed = (
        all(len(group) == 4 and group.startswith("x") for group in groups[:-1])
        and all(len(group) == 3 and group.isdigit() for group in digits)
        and len(digits) <= 6
        and (not partial_mark or (width.isdigit() and len(width) <= 3 and 1 <= int(width) <= 255))
    )
    if not well_formed:
        raise HTTPException(400, "a tile's place is like 067, x001/067 or 067.p/112")
    return int("".join(digits)), int(width) if partial_mark else 256


def _note(raw: bytes) -> Response:
    return Response(raw, media_type="text/plain; charset=utf-8")


def _missing(detail: str) -> Response:
    return JSONResponse({"error": detail}, 404)


# --- applications ---


async def _records(node: RunningNode, request: Request) -> Response:
    digest = path_digest(request, "digest")
    found = await node.read(lambda reader: describe.records(reader, node.genesis, digest))
    return JSONResponse({"records": found})


async def _statements(node: RunningNode, request: Request) -> Response:
    identifier = request.query_params.get("identifier", "")
    if not identifier:
        raise HTTPException(400, "say which: ?identifier=URI")
    found = await node.read(lambda reader: describe.statements(reader, node.genesis, identifier))
    return JSONResponse({"identifier": identifier, "statements": found})


# --- the node ---


async def _status(node: RunningNode, request: Request) -> Response:
    return JSONResponse(describe.node_status(node.view()))


async def _genesis(node: RunningNode, request: Request) -> Response:
    return Response(genesis_format.to_json(node.genesis), media_type="application/json")


async def _health(node: RunningNode, request: Request) -> Response:
    view = node.view()
    reachable = 1 + sum(1 for peer in view.peers if peer.connected)
    healthy = reachable >= node.genesis.epoch.validators.quorum
    return PlainTextResponse("ok\n" if healthy else "no quorum in reach\n", 200 if healthy else 503)


async def _metrics(node: RunningNode, request: Request) -> Response:
    content, media_type = exposition(node.view())
    return Response(content, media_type=media_type)


async def _openapi(node: RunningNode, request: Request) -> Response:
    return JSONResponse(document())


async def _stream(node: RunningNode, request: Request) -> Response:
    first = query_number(request, "from", (await node.read(queries.certified_height)) + 1)
    with_ids = request.query_params.get("ids") == "1"
    if _streams.open >= STREAMS_MAX:
        raise HTTPException(503, "too many streams are open; try again or at another node")
    return StreamingResponse(
        _confirmed_blocks(node, max(1, first), with_ids=with_ids),
        media_type="application/x-ndjson",
    )


class _Streams:
    """How many streams this process serves."""

    open = 0


_streams = _Streams()


async def _confirmed_blocks(
    node: RunningNode, height: int, *, with_ids: bool
) -> AsyncIterator[bytes]:
    """One JSON line a confirmed block, in order; an empty line now and then while idle."""
    _streams.open += 1
    try:
        while True:
            confirmed = -1
            with trio.move_on_after(STREAM_SILENCE_S):
                confirmed = await node.wait_confirmed(height - 1)
            if confirmed < height:
                yield b"\n"
                continue
            last = min(confirmed, height + 15)
            lines = await node.read(partial(_lines, height, last, with_ids))
            yield lines
            height = last + 1
    finally:
        _streams.open -= 1


def _lines(first: int, last: int, with_ids: bool, reader: Reader) -> bytes:
    lines = []
    for height in range(first, last + 1):
        line = describe.confirmed_block(reader, height, with_ids=with_ids)
        lines.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return b"".join(lines)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/v1/transactions", _submit),
    ("POST", "/v1/transactions/status", _statuses),
    ("GET", "/v1/transactions/{id}", _transaction),
    ("GET", "/v1/transactions/{id}/receipt", _receipt),
    ("GET", "/v1/blocks", _blocks),
    ("GET", "/v1/blocks/{height}", _block),
    ("GET", "/v1/headers/{height}", _header),
    ("GET", "/v1/certificates/{height}", _certificate),
    ("GET", "/v1/consistency", _consistency),
    ("GET", "/v1/records/{digest}", _records),
    ("GET", "/v1/statements", _statements),
    ("GET", "/v1/status", _status),
    ("GET", "/v1/genesis", _genesis),
    ("GET", "/v1/stream", _stream),
    ("GET", "/checkpoint", _checkpoint),
    ("GET", "/tile/{level}/{place:path}", _tile),
    ("GET", "/health", _health),
    ("GET", "/metrics", _metrics),
    ("GET", "/openapi.json", _openapi),
)
"""Method, path and handler of everything the API serves; `api/openapi.py` describes each."""
