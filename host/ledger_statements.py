"""The provenance statements of a ledger, read through the API: a node's word, not a proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from api.client import LedgerClient
from ledger.applications.provenance import Statement, make_statement
from ledger.errors import DecodeFault, Fault, UnreachableError

_LINEAGE = "/v1/provenance/lineage"


@dataclass(frozen=True, slots=True)
class Said:
    """A statement, and who put it on the ledger."""

    statement: Statement
    sender: str
    """Public key in hexadecimal."""
    height: int
    transaction: str
    """Id in hexadecimal."""
    position: int
    """Of the transaction in the block."""
    operation: int
    """Its number in the transaction."""

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it stands in the ledger."""
        return (self.height, self.position, self.operation)


async def all_statements(client: LedgerClient) -> AsyncIterator[list[Said]]:
    """Every confirmed statement, a page at a time, in the order of the ledger.

    Raises UnreachableError where no node answers sensibly.
    """
    place: dict[str, Any] | None = {"height": 1, "position": 0, "operation": 0}
    while place is not None:
        query = "&".join(f"{name}={place[name]}" for name in ("height", "position", "operation"))
        page = await client.get_json(f"/v1/provenance/statements?{query}")
        try:
            yield [_said(row) for row in page["statements"]]
            previous, place = place, page["next"]
            if place is not None and _key(place) <= _key(previous):
                raise UnreachableError("the node goes in circles over its statements")
        except (KeyError, TypeError, ValueError, AttributeError, DecodeFault) as error:
            raise UnreachableError(f"the node sends no page of statements: {error}") from None


async def lineage_statements(
    client: LedgerClient, word: str, thing: str, depth: int | None, *, agents: bool = False
) -> tuple[str, list[Said]]:
    """(URI of the thing, the statements that a question needs), by the index of a node.

    With agents, also those that say whose each thing in the answer is.
    Raises UnreachableError where no node answers sensibly, and Fault as `api.lineage.page` does.
    """
    query = f"{_LINEAGE}?question={word}&thing={quote(thing, safe='')}"
    query += f"&depth={depth}" if depth else ""
    query += "&agents=1" if agents else ""
    found: list[Said] = []
    where = ""
    offset: int | None = 0
    while offset is not None:
        page = await _lineage_page(client, f"{query}&offset={offset}{where}")
        try:
            if agents and page["agents"] is not True:
                raise UnreachableError("the node does not say whose things are")
            found += [_said(row) for row in page["statements"]]
            uri, where = str(page["thing"]), f"&height={int(page['height'])}"
            offset = None if page["next"] is None else int(page["next"])
            if offset is not None and offset != len(found):
                raise UnreachableError("the node goes in circles over its statements")
        except (KeyError, TypeError, ValueError, AttributeError, DecodeFault) as error:
            raise UnreachableError(f"the node sends no page of statements: {error}") from None
    return uri, found


async def uri_of(client: LedgerClient, thing: str) -> str:
    """The URI of a thing, by the index of a node.  Raises as `lineage_statements` does."""
    page = await _lineage_page(client, f"{_LINEAGE}?depth=1&limit=0&thing={quote(thing, safe='')}")
    try:
        return str(page["thing"])
    except (KeyError, TypeError) as error:
        raise UnreachableError(f"the node sends no page of statements: {error}") from None


async def _lineage_page(client: LedgerClient, query: str) -> dict[str, Any]:
    try:
        return await client.get_json(query)
    except Fault as fault:
        reason, colon, detail = fault.detail.partition(": ")
        if colon and reason in ("lineage.unknown", "lineage.ambiguous"):
            raise Fault(reason, detail) from None
        raise


def _key(place: dict[str, Any]) -> tuple[int, int, int]:
    return int(place["height"]), int(place["position"]), int(place["operation"])


def _said(row: dict[str, Any]) -> Said:
    attributes = [(item["name"], item["value"], item["datatype"]) for item in row["attributes"]]
    statement = make_statement(
        row["kind"],
        row["identifier"],
        namespaces=row["namespaces"],
        arguments=row["arguments"],
        attributes=attributes,
        bundle=row["bundle"],
    )
    return Said(
        statement,
        str(row["sender"]),
        int(row["height"]),
        str(row["id"]),
        int(row["position"]),
        int(row["operation"]),
    )


def distinct(statements: list[Statement]) -> list[Statement]:
    """Each statement once, where it came first."""
    return list(dict.fromkeys(statements))
