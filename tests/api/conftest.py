"""A node of a small ledger, and a client that holds it to its description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from api.app import make_app
from tests.api.documented import check_documented
from tests.api.memory_node import MemoryLedger, MemoryNode
from tests.api.small import FAILED, GENESIS, PAPERS, WAITING
from tests.ledger.builders import make_signed


@pytest.fixture
def node() -> MemoryNode:
    """Two confirmed blocks and one that is only executed."""
    ledger = MemoryLedger(GENESIS)
    ledger.confirm(PAPERS, FAILED)
    ledger.confirm(make_signed(GENESIS, "bob", 10, expiry=99))
    ledger.execute(WAITING)
    return MemoryNode(ledger, automatic=False)


@pytest.fixture
async def http(node: MemoryNode) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(node) as client:
        yield client


@asynccontextmanager
async def client_of(node: MemoryNode) -> AsyncIterator[httpx.AsyncClient]:
    """A client that checks every answer against the description."""

    async def check(answer: httpx.Response) -> None:
        await answer.aread()
        check_documented(answer)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(node)),
        base_url="http://node0",
        event_hooks={"response": [check]},
    ) as client:
        yield client
