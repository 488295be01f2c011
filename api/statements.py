"""All provenance statements of a ledger, in its order, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.limits import ROWS_A_PAGE, SCANNED_MAX
from api.view import json_ready
from ledger import queries
from ledger.applications.provenance import NAME, VERSION, Provenance
from ledger.batch import split_batch
from ledger.block import BlockHeader, Result
from ledger.errors import DecodeFault, StorageError
from ledger.genesis import Genesis
from ledger.store import Reader
from ledger.transaction import Transaction, parse_transaction

Place = tuple[int, int, int]
"""(height, position of the transaction in its block, operation)."""
_application = Provenance()


def page(reader: Reader, genesis: Genesis, start: Place, limit: int) -> dict[str, Any]:
    """The confirmed, applied statements from a place on, and the place of the next page.

    A page ends after `limit` rows, or after enough transactions have been looked through; its next
    place is None at the end of what is confirmed.
    """
    limit = max(1, min(limit, ROWS_A_PAGE))
    rows: list[dict[str, Any]] = []
    top = queries.certified_height(reader)
    scanned = 0
    for height in range(max(1, start[0]), top + 1):
        header = queries.header(reader, height)
        if header is None:
            raise StorageError(f"the header of block {height} is missing; run an audit")
        least = start[1] if height == start[0] else 0
        for position, found in _applied(reader, genesis, header, least):
            if scanned >= SCANNED_MAX:
                return _page(rows, (height, position, 0))
            scanned += 1
            first = start[2] if (height, position) == start[:2] else 0
            for number in range(first, len(found.operations)):
                _, name, version, body = found.operations[number]
                if (name, version) != (NAME, VERSION):
                    continue
                if len(rows) == limit:
                    return _page(rows, (height, position, number))
                place = (height, position, number)
                rows.append(row_of(found.id, found.sender, place, header.timestamp_ms, body))
    return _page(rows, None)


def row_of(
    identity: bytes, sender: bytes, place: Place, timestamp_ms: int, body: bytes
) -> dict[str, Any]:
    """A statement, who said it, and where.  Raises DecodeFault where the body is none."""
    height, position, number = place
    return {
        "id": identity.hex(),
        "operation": number,
        "height": height,
        "position": position,
        "timestamp_ms": timestamp_ms,
        "sender": sender.hex(),
        **json_ready(_application.describe(body)),
    }


def _page(rows: list[dict[str, Any]], place: Place | None) -> dict[str, Any]:
    names = ("height", "position", "operation")
    return {
        "statements": rows,
        "next": None if place is None else dict(zip(names, place, strict=True)),
    }


def _applied(
    reader: Reader, genesis: Genesis, header: BlockHeader, least: int
) -> Iterator[tuple[int, Transaction]]:
    """(position, transaction) of each that was applied, from a position of the block on."""
    block = queries.block(reader, header.height)
    assert block is not None, "a block whose header is stored is stored"
    applied = {leaf.position for leaf in block.transactions if leaf.result == Result.APPLIED}
    position = -1
    for digest in header.payload:
        stored = queries.stored_batch(reader, genesis, digest)
        try:
            raws = split_batch(stored.read(), genesis.limits)[5]
            for raw in raws:
                position += 1
                if position >= least and position in applied:
                    yield position, parse_transaction(raw)
        except DecodeFault as fault:
            raise StorageError(f"batch {digest.hex()} is damaged ({fault})") from fault
