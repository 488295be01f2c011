"""The provenance statements of a ledger, read through the API: a node's word, not a proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from api.client import LedgerClient
from ledger.applications.provenance import Statement, make_statement
from ledger.errors import DecodeFault, UnreachableError


@dataclass(frozen=True, slots=True)
class Said:
    """A statement, and who put it on the ledger."""

    statement: Statement
    sender: str
    """Public key in hexadecimal."""
    height: int
    transaction: str
    """Id in hexadecimal."""
    operation: int
    """Its number in the transaction."""


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
    place = (int(row["height"]), str(row["id"]), int(row["operation"]))
    return Said(statement, str(row["sender"]), *place)


def distinct(statements: list[Statement]) -> list[Statement]:
    """Each statement once, where it came first."""
    return list(dict.fromkeys(statements))
