"""Clients of nodes that may be honest, down or lying; what the tests of the client share."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from api.app import make_app
from api.client import LedgerClient
from ledger.applications.records import make_record
from ledger.genesis import Genesis
from tests.api.memory_node import MemoryLedger, MemoryNode, Net, net_of, signed
from tests.ledger.builders import make_genesis, signer_of

GENESIS = make_genesis()
(MINE,) = signed(GENESIS, 1)
OPERATION = make_record("a.txt", b"", b"content")
Rows = Callable[[list[bytes]], Any]
"""What a liar answers about these ids or transactions."""


def client_of(net: Net, genesis: Genesis = GENESIS, *, sender: str = "alice") -> LedgerClient:
    nonces = itertools.count(1)
    return LedgerClient(
        net.urls,
        genesis,
        signer=signer_of(sender, genesis.scheme),
        clock=lambda: next(nonces),
        transport=net,
    )


@asynccontextmanager
async def client_at(*nodes: MemoryNode | ASGIApp | None) -> AsyncIterator[tuple[LedgerClient, Net]]:
    net = net_of(*nodes)
    async with client_of(net) as client:
        yield client, net


def manual(ledger: MemoryLedger | None = None) -> MemoryNode:
    return MemoryNode(ledger or MemoryLedger(GENESIS), automatic=False)


def liar(
    behind: MemoryNode,
    *,
    receipts: Rows | None = None,
    admissions: Rows | None = None,
    status: object = None,
) -> ASGIApp:
    """A node that answers some questions as it likes and the others honestly."""

    async def lie_about(rows: Rows, request: Request, status_code: int) -> Response:
        asked = msgpack.unpackb(await request.body())
        content = msgpack.packb(rows(asked))
        return Response(content, status_code, media_type="application/msgpack")

    async def lie_receipts(request: Request) -> Response:
        assert receipts is not None
        return await lie_about(receipts, request, 200)

    async def lie_admissions(request: Request) -> Response:
        assert admissions is not None
        return await lie_about(admissions, request, 202)

    async def lie_status(request: Request) -> Response:
        return JSONResponse(status)

    routes: list[Route | Mount] = []
    if receipts is not None:
        routes.append(Route("/v1/receipts", lie_receipts, methods=["POST"]))
    if admissions is not None:
        routes.append(Route("/v1/transactions", lie_admissions, methods=["POST"]))
    if status is not None:
        routes.append(Route("/v1/status", lie_status))
    return Starlette(routes=[*routes, Mount("/", make_app(behind))])
