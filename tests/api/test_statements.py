"""All statements of a ledger, a page at a time: each once, in order, if it is confirmed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api import statements
from ledger.applications.provenance import make_statement
from ledger.applications.records import make_record
from ledger.transaction import Operation
from tests.api.memory_node import MemoryLedger
from tests.api.small import GENESIS, PAPERS, STATEMENT
from tests.ledger.builders import make_signed

pytestmark = pytest.mark.trio


def said(number: int) -> Operation:
    return make_statement("entity", f"x:e{number}", namespaces={"x": "urn:x:"}).operation()


def ledger_of_six() -> MemoryLedger:
    """Six statements among records, in two blocks; a failed one; one that is not confirmed."""
    ledger = MemoryLedger(GENESIS)
    mixed = [said(0), make_record("a", content=b"a"), said(1)]
    failing = [said(90), Operation("no such application", 1, b"")]
    ledger.confirm(
        make_signed(GENESIS, "alice", 1, expiry=99, operations=mixed),
        make_signed(GENESIS, "alice", 2, expiry=99, operations=failing),
        make_signed(GENESIS, "alice", 3, expiry=99, operations=[make_record("b", content=b"b")]),
        make_signed(GENESIS, "bob", 1, expiry=99, operations=[said(2)]),
        # Skipped: it has a position in the block, and no leaf.
        make_signed(GENESIS, "bob", 1, expiry=98, operations=[said(91)]),
        make_signed(GENESIS, "bob", 2, expiry=99, operations=[said(3)]),
    )
    ledger.confirm(make_signed(GENESIS, "bob", 3, expiry=99, operations=[said(4), said(5)]))
    ledger.execute(make_signed(GENESIS, "bob", 4, expiry=99, operations=[said(92)]))
    return ledger


def pages(ledger: MemoryLedger, limit: int) -> list[list[dict[str, Any]]]:
    found = []
    place: tuple[int, int, int] | None = (0, 0, 0)
    while place is not None:
        page = statements.page(ledger.reader, GENESIS, place, limit)
        found.append(page["statements"])
        following = page["next"]
        place = following and (
            following["height"],
            following["position"],
            following["operation"],
        )
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7, 1_000])
async def test_every_page_size_gives_every_statement_once_in_order(limit: int) -> None:
    found = pages(ledger_of_six(), limit)

    assert [row["identifier"] for page in found for row in page] == [f"x:e{n}" for n in range(6)]
    assert all(len(page) <= limit for page in found)


async def test_a_page_ends_after_enough_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "SCANNED_MAX", 2)

    found = pages(ledger_of_six(), 1_000)

    assert len(found) == 3
    assert [row["identifier"] for page in found for row in page] == [f"x:e{n}" for n in range(6)]


async def test_the_route_tells_who_said_it_and_where(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/v1/provenance/statements")).json()

    (row,) = answer["statements"]
    assert answer["next"] is None
    assert (row["id"], row["operation"], row["height"]) == (PAPERS.id.hex(), 1, 1)
    assert row["sender"] == PAPERS.sender.hex()
    assert row["kind"] == STATEMENT.kind
    assert (await http.get("/v1/provenance/statements?height=2")).json()["statements"] == []
    assert (await http.get("/v1/provenance/statements?height=x")).status_code == 400
