"""The HTTP API of a node: an ASGI app over `api.view.RunningNode`.

Everything it answers is durable; what it says of a pending transaction is a status, not a promise.
Proofs are answered as the standard files they are (C2SP notes, checkpoints, tiles, tlog-proofs).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgpack
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from api import content_routes, describe, lineage_routes, members, openapi, requests, statements
from api.limits import BLOCKS_A_PAGE, RECEIPTS_MAX, ROWS_A_PAGE, TRANSACTIONS_MAX, ApiLimits
from api.lookup import Lookup
from api.metrics import exposition
from api.requests import (
    path_digest,
    path_key,
    path_number,
    query_number,
    query_wait_ms,
)
from api.serving import OCTETS, Api, Handler, missing
from api.stream import BlockStream
from api.view import Contents, RunningNode
from api.waiting import Found, wait_for
from ledger import genesis as genesis_format
from ledger import queries
from ledger.errors import Fault, StorageError
from ledger.evidence import stored_evidence
from ledger.proving import prove_state
from ledger.store import Reader

TEXT = "text/plain; charset=utf-8"
FULL = ("mempool.full", "node.busy")
"""Refusals that say nothing about the transaction: try again, or at another node."""
FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
"""For what a log never changes: its tiles."""


def make_app(
    node: RunningNode, limits: ApiLimits | None = None, contents: Contents | None = None
) -> Starlette:
    """The ASGI app that serves one running node, and the content store beside it."""
    api = Api(node, limits or ApiLimits(), contents)
    routes = [
        Route(path, partial(_answer, handler, api), methods=[method])
        for method, path, handler in ROUTES
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


async def _answer(handler: Handler, api: Api, request: Request) -> Response:
    try:
        return await handler(api, request)
    except Fault as fault:
        raise HTTPException(404, str(fault)) from None
    except StorageError as error:
        # Which record is damaged is worth knowing; every other answer stays right.
        raise HTTPException(500, str(error)) from error


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


# --- transactions ---


async def _submit(api: Api, request: Request) -> Response:
    raws = await requests.read_transactions(request, api.limits, api.arriving)
    admissions = await api.node.submit(tuple(raws))
    reasons = {admission.reason for admission in admissions}
    status = 202 if "" in reasons else 503 if reasons <= set(FULL) else 422
    if requests.is_msgpack(request):
        return _msgpack([(a.id, a.reason, a.detail) for a in admissions], status)
    rows = [
        {
            "id": a.id.hex(),
            "status": "refused" if a.reason else "pending",
            "reason": a.reason,
            "detail": a.detail,
        }
        for a in admissions
    ]
    return JSONResponse({"admissions": rows}, status)


async def _statuses(api: Api, request: Request) -> Response:
    ids = await requests.read_ids(request, api.limits, api.arriving, TRANSACTIONS_MAX)

    def question(reader: Reader) -> tuple[int, list[dict[str, Any]]]:
        lookup = Lookup(reader, api.node.genesis)
        return lookup.certified, describe.statuses(lookup, ids)

    certified, rows = await api.node.read(question)
    for identity, row in zip(ids, rows, strict=True):
        row["status"] = _or_pending(api, identity, row["status"])
    return JSONResponse({"certified": certified, "transactions": rows})


async def _transaction(api: Api, request: Request) -> Response:
    identity = path_digest(request, "id")

    def question(reader: Reader) -> Found[dict[str, Any]]:
        lookup = Lookup(reader, api.node.genesis)
        row = describe.transaction(lookup, identity)
        return Found(lookup.certified, row["status"] == "confirmed", row)

    found = await wait_for(api.node, [identity], query_wait_ms(request, api.limits), question)
    status = _or_pending(api, identity, found.answer["status"])
    answer = {**found.answer, "status": status, "certified": found.certified}
    return JSONResponse(answer, 404 if status == "unknown" else 200)


async def _receipt(api: Api, request: Request) -> Response:
    identity = path_digest(request, "id")
    operation = query_number(request, "operation", 0)

    def question(reader: Reader) -> Found[tuple[str, bytes | None]]:
        raw = queries.receipt(reader, api.node.genesis, identity, operation=operation)
        lookup = Lookup(reader, api.node.genesis)
        return Found(lookup.certified, raw is not None, (describe.word(lookup, identity), raw))

    found = await wait_for(api.node, [identity], query_wait_ms(request, api.limits), question)
    word, raw = found.answer
    if raw is not None:
        return Response(raw, media_type=TEXT)
    word = _or_pending(api, identity, word)
    error = f"no receipt yet: the transaction is {word} here"
    return JSONResponse({"error": error, "status": word, "certified": found.certified}, 404)


async def _receipts(api: Api, request: Request) -> Response:
    ids = await requests.read_ids(request, api.limits, api.arriving, RECEIPTS_MAX)

    def question(reader: Reader) -> Found[list[tuple[str, bytes | None]]]:
        lookup = Lookup(reader, api.node.genesis)
        rows = describe.receipts(lookup, ids)
        return Found(lookup.certified, any(raw is not None for _, raw in rows), rows)

    found = await wait_for(api.node, ids, query_wait_ms(request, api.limits), question)
    rows = [
        (_or_pending(api, identity, word), raw)
        for identity, (word, raw) in zip(ids, found.answer, strict=True)
    ]
    if requests.is_msgpack(request):
        return _msgpack((found.certified, rows), 200)
    receipts = [
        {"id": identity.hex(), "status": word, "receipt": raw and raw.decode()}
        for identity, (word, raw) in zip(ids, rows, strict=True)
    ]
    return JSONResponse({"certified": found.certified, "receipts": receipts})


def _or_pending(api: Api, identity: bytes, word: str) -> str:
    return "pending" if word == "unknown" and api.node.is_pending(identity) else word


def _msgpack(content: object, status: int) -> Response:
    return Response(msgpack.packb(content), status, media_type=requests.MSGPACK)


# --- blocks and proofs ---


async def _block(api: Api, request: Request) -> Response:
    height = path_number(request, "height")
    found = await api.node.read(lambda reader: describe.block(reader, height))
    return JSONResponse(found) if found else missing(f"there is no block {height} here")


async def _blocks(api: Api, request: Request) -> Response:
    top = await api.node.read(queries.certified_height)
    last = min(query_number(request, "to", top), top)
    first = max(1, query_number(request, "from", max(1, last - 9)))
    last = min(last, first + BLOCKS_A_PAGE - 1)
    found = await api.node.read(lambda reader: describe.headers(reader, first, last))
    return JSONResponse({"certified": top, "headers": found})


async def _header(api: Api, request: Request) -> Response:
    height = path_number(request, "height")
    found = await api.node.read(lambda reader: describe.headers(reader, height, height))
    return JSONResponse(found[0]) if found else missing(f"there is no block {height} here")


async def _certificate(api: Api, request: Request) -> Response:
    height = path_number(request, "height")
    found = await api.node.read(
        lambda reader: queries.certificate_at_or_above(reader, api.node.genesis, height)
    )
    if found is None:
        return missing(f"no certificate covers height {height} yet")
    return Response(found.note, media_type=TEXT)


async def _checkpoint(api: Api, request: Request) -> Response:
    found = await api.node.read(lambda reader: queries.latest_certificate(reader, api.node.genesis))
    if found is None:
        return missing("nothing is certified yet")
    return Response(found.note, media_type=TEXT, headers={"cache-control": "no-cache"})


async def _consistency(api: Api, request: Request) -> Response:
    old = query_number(request, "old", 0)
    latest = await api.node.read(
        lambda reader: queries.latest_certificate(reader, api.node.genesis)
    )
    new = query_number(request, "new", latest.size if latest else 0)
    path = await api.node.read(
        lambda reader: queries.consistency(reader, api.node.genesis, old, new)
    )
    return JSONResponse({"old": old, "new": new, "path": [item.hex() for item in path]})


async def _evidence(api: Api, request: Request) -> Response:
    found = await api.node.read(lambda reader: stored_evidence(reader, api.node.genesis.network))
    if found is None:
        return missing("this node holds nothing against any validator")
    return Response(found, media_type=OCTETS, headers={"cache-control": "no-cache"})


async def _tile(api: Api, request: Request) -> Response:
    level = request.path_params["level"]
    index, width = requests.tile_place(request.path_params["place"])
    raw: bytes | None = None
    if level == "entries":
        raw = await api.node.read(
            lambda reader: queries.entries(reader, api.node.genesis, index, width)
        )
    elif level in LEVELS:
        raw = await api.node.read(lambda reader: queries.tile(reader, int(level), index, width))
    if raw is None:
        return missing("the log has no such tile yet")
    return Response(raw, media_type=OCTETS, headers=FOR_EVER)


LEVELS = frozenset(str(level) for level in range(8))
"""Levels of tiles: eight of 2^8 each carry a log of fewer than 2^63 leaves."""


# --- applications ---


async def _state(api: Api, request: Request) -> Response:
    application, key = request.path_params["application"], path_key(request, "key")
    found = await api.node.read(
        lambda reader: prove_state(reader, api.node.genesis, application, key)
    )
    return Response(found, media_type=OCTETS, headers={"cache-control": "no-cache"})


async def _members(api: Api, request: Request) -> Response:
    offset, limit = query_number(request, "offset", 0), query_number(request, "limit", ROWS_A_PAGE)
    found = await api.node.read(
        lambda reader: members.members(reader, api.node.genesis, offset=offset, limit=limit)
    )
    return JSONResponse(found)


async def _identifier(api: Api, request: Request) -> Response:
    did = request.path_params["did"]
    found = await api.node.read(lambda reader: members.resolve(reader, api.node.genesis, did))
    error = found["didResolutionMetadata"].get("error")
    return JSONResponse(found, {None: 200, "notFound": 404}.get(error, 400))


async def _records(api: Api, request: Request) -> Response:
    digest = path_digest(request, "digest")
    offset, limit = query_number(request, "offset", 0), query_number(request, "limit", ROWS_A_PAGE)
    found = await api.node.read(
        lambda reader: describe.records(
            reader, api.node.genesis, digest, offset=offset, limit=limit
        )
    )
    return JSONResponse(found)


async def _statements(api: Api, request: Request) -> Response:
    identifier = request.query_params.get("identifier", "")
    if not identifier:
        raise HTTPException(400, "say which: ?identifier=URI")
    offset, limit = query_number(request, "offset", 0), query_number(request, "limit", ROWS_A_PAGE)
    found = await api.node.read(
        lambda reader: describe.statements(
            reader, api.node.genesis, identifier, offset=offset, limit=limit
        )
    )
    return JSONResponse(found)


async def _all_statements(api: Api, request: Request) -> Response:
    names = (("height", 1), ("position", 0), ("operation", 0))
    height, position, operation = (query_number(request, name, first) for name, first in names)
    limit = query_number(request, "limit", ROWS_A_PAGE)
    place = (height, position, operation)
    found = await api.node.read(
        lambda reader: statements.page(reader, api.node.genesis, place, limit)
    )
    return JSONResponse(found)


# --- the node ---


async def _status(api: Api, request: Request) -> Response:
    return JSONResponse(describe.node_status(api.node.view()))


async def _genesis(api: Api, request: Request) -> Response:
    return Response(genesis_format.to_json(api.node.genesis), media_type="application/json")


async def _stream(api: Api, request: Request) -> Response:
    certified = await api.node.read(queries.certified_height)
    first = max(1, query_number(request, "from", certified + 1))
    with_ids = request.query_params.get("ids") == "1"
    return BlockStream(api.node, api.limits, api.streams, first=first, with_ids=with_ids)


async def _health(api: Api, request: Request) -> Response:
    view = api.node.view()
    validators = api.node.genesis.epoch.validators
    linked = sum(1 for peer in view.peers if peer.connected)
    # Beyond its neighbours a node sees nobody: one link may lead to all.
    reachable = len(validators.members) if view.relays and linked else 1 + linked
    healthy = reachable >= validators.quorum
    return PlainTextResponse("ok\n" if healthy else "no quorum in reach\n", 200 if healthy else 503)


async def _metrics(api: Api, request: Request) -> Response:
    content, media_type = exposition(api.node.view())
    return Response(content, media_type=media_type)


async def _openapi(api: Api, request: Request) -> Response:
    return JSONResponse(openapi.document())


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/v1/transactions", _submit),
    ("POST", "/v1/transactions/status", _statuses),
    ("GET", "/v1/transactions/{id}", _transaction),
    ("GET", "/v1/transactions/{id}/receipt", _receipt),
    ("POST", "/v1/receipts", _receipts),
    ("GET", "/v1/blocks", _blocks),
    ("GET", "/v1/blocks/{height}", _block),
    ("GET", "/v1/headers/{height}", _header),
    ("GET", "/v1/certificates/{height}", _certificate),
    ("GET", "/v1/consistency", _consistency),
    ("GET", "/v1/evidence", _evidence),
    ("GET", "/v1/state/{application}/{key}", _state),
    ("GET", "/v1/members", _members),
    ("GET", "/v1/identifiers/{did}", _identifier),
    ("GET", "/v1/records/{digest}", _records),
    ("GET", "/v1/statements", _statements),
    ("GET", "/v1/provenance/statements", _all_statements),
    *lineage_routes.ROUTES,
    *content_routes.ROUTES,
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
