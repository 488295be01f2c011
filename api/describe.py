"""What the API shows of the ledger, as JSON-ready values.  Pure functions of one view of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from api.limits import RECEIPTS_BYTES_MAX, ROWS_A_PAGE
from api.lookup import Lookup
from api.view import NodeView, json_ready
from ledger import queries
from ledger.applications import ALL, provenance_index
from ledger.applications import records as records_application
from ledger.block import BlockHeader, TransactionLeaf
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.queries import Place
from ledger.results import results
from ledger.store import Reader
from ledger.transaction import parse_header

RESULTS = ("applied", "failed")
_applications = {(application.name, application.version): application for application in ALL}


def statuses(lookup: Lookup, ids: Sequence[bytes]) -> list[dict[str, Any]]:
    """Where each transaction stands, without its operations."""
    return [_status(lookup, identity, lookup.find(identity)) for identity in ids]


def _status(lookup: Lookup, identity: bytes, place: Place | None) -> dict[str, Any]:
    if place is None:
        return {"id": identity.hex(), "status": "unknown"}
    index, leaf = lookup.leaf(place)
    return {
        "id": identity.hex(),
        "status": _word(lookup, place),
        "result": RESULTS[leaf.result],
        "reason": leaf.reason,
        "height": leaf.height,
        "position": leaf.position,
        "index": index,
        "timestamp_ms": lookup.timestamp_ms(leaf.height),
    }


def word(lookup: Lookup, identity: bytes) -> str:
    """The status of a transaction in one word: unknown, executed or confirmed."""
    return _word(lookup, lookup.find(identity))


def _word(lookup: Lookup, place: Place | None) -> str:
    if place is None:
        return "unknown"
    return "confirmed" if lookup.is_confirmed(place) else "executed"


def receipts(lookup: Lookup, ids: Sequence[bytes]) -> list[tuple[str, bytes | None]]:
    """(status, receipt or None) of each; one that finds no room in the answer has none."""
    rows: list[tuple[str, bytes | None]] = []
    room = RECEIPTS_BYTES_MAX
    for identity in ids:
        place = lookup.find(identity)
        receipt = lookup.receipt(place) if place is not None and room > 0 else None
        room -= len(receipt or b"")
        rows.append((_word(lookup, place), receipt))
    return rows


def transaction(lookup: Lookup, identity: bytes) -> dict[str, Any]:
    """A transaction with its operations in plain words."""
    place = lookup.find(identity)
    status = _status(lookup, identity, place)
    if place is None:
        return status
    found = lookup.executed(place).transaction
    return {
        **status,
        "sender": found.sender.hex(),
        "nonce": found.nonce,
        "expiry": found.expiry,
        "operations": [_operation(row) for row in found.operations],
    }


def _operation(row: tuple[bytes, str, int, bytes]) -> dict[str, Any]:
    _, name, version, body = row
    shown: dict[str, Any] = {"application": name, "version": version}
    application = _applications.get((name, version))
    if application is None:
        return {**shown, "body": body.hex()}
    try:
        return {**shown, **json_ready(application.describe(body))}
    except Fault:
        return {**shown, "body": body.hex()}


def header(found: BlockHeader) -> dict[str, Any]:
    """A block header."""
    return {
        "height": found.height,
        "hash": found.hash.hex(),
        "previous_hash": found.previous_hash.hex(),
        "value": found.value.hex(),
        "slot": list(found.slot),
        "proposer": found.proposer,
        "timestamp_ms": found.timestamp_ms,
        "payload": [digest.hex() for digest in found.payload],
        "raw": found.raw.hex(),
    }


def headers(reader: Reader, first: int, last: int) -> list[dict[str, Any]]:
    """The headers from first to last, as far as there are any."""
    found = (queries.header(reader, height) for height in range(first, last + 1))
    return [header(item) for item in found if item is not None]


def block(reader: Reader, height: int) -> dict[str, Any] | None:
    """A block with its transactions and outcome."""
    found = queries.block(reader, height)
    if found is None:
        return None
    return {
        "header": header(found.header),
        "confirmed": height <= queries.certified_height(reader),
        "first_index": found.first,
        "transactions": [_leaf(leaf) for leaf in found.transactions],
        "outcome": {
            "entries": found.outcome.entry_count,
            "state_hash": found.outcome.state_hash.hex(),
            "epoch": found.outcome.epoch.hex(),
            "next_epoch": found.outcome.next_epoch.hex(),
        },
    }


def _leaf(leaf: TransactionLeaf) -> dict[str, Any]:
    _, sender, nonce, _, count, _ = parse_header(leaf.header)
    return {
        "id": hashlib.sha256(leaf.header).hexdigest(),
        "position": leaf.position,
        "result": RESULTS[leaf.result],
        "reason": leaf.reason,
        "sender": sender.hex(),
        "nonce": nonce,
        "operations": count,
    }


def confirmed_block(reader: Reader, height: int, *, with_ids: bool) -> dict[str, Any]:
    """A line of the stream of confirmed blocks."""
    header = queries.header(reader, height)
    assert header is not None, "a confirmed block is stored"
    line: dict[str, Any] = {
        "height": height,
        "hash": header.hash.hex(),
        "timestamp_ms": header.timestamp_ms,
        "proposer": header.proposer,
    }
    if with_ids:
        found = results(reader, height)
        line["ids"] = [identity.hex() for identity, _ in found]
        line["failed"] = [number for number, (_, reason) in enumerate(found) if reason]
    return line


def records(
    reader: Reader, genesis: Genesis, digest: bytes, *, offset: int, limit: int
) -> dict[str, Any]:
    """Records of the data with this SHA-256, oldest first."""
    places = records_application.find(reader, digest)
    return {
        "digest": digest.hex(),
        "total": len(places),
        "records": _rows(Lookup(reader, genesis), places[offset:][: min(limit, ROWS_A_PAGE)]),
    }


def statements(
    reader: Reader, genesis: Genesis, identifier: str, *, offset: int, limit: int
) -> dict[str, Any]:
    """Provenance statements that name a thing by its URI, oldest first."""
    mentions = provenance_index.statements_about(reader, identifier)
    places = [(found.height, found.position, found.operation) for found in mentions]
    return {
        "identifier": identifier,
        "total": len(places),
        "statements": _rows(Lookup(reader, genesis), places[offset:][: min(limit, ROWS_A_PAGE)]),
    }


def _rows(lookup: Lookup, places: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Operations by (height, position, operation)."""
    rows = []
    for height, position, operation in places:
        found = lookup.executed_at(height, position)
        rows.append(
            {
                "id": found.transaction.id.hex(),
                "operation": operation,
                "height": height,
                "confirmed": found.confirmed,
                "timestamp_ms": found.timestamp_ms,
                "sender": found.transaction.sender.hex(),
                **_operation(found.transaction.operations[operation]),
            }
        )
    return rows


def node_status(view: NodeView) -> dict[str, Any]:
    """Where a node stands."""
    return {
        "name": view.name,
        "network": view.network,
        "protocol": view.protocol,
        "decided": view.decided,
        "executed": view.executed,
        "certified": view.certified,
        "slot": list(view.slot),
        "leader": view.leader,
        "voting": view.voting,
        "refusal": view.refusal,
        "pending": view.pending,
        "catching_up": view.catching_up,
        "peers": [
            {"name": p.name, "connected": p.connected, "round_trip_ms": p.round_trip_ms}
            for p in view.peers
        ],
        "applied": view.applied,
        "failed": view.failed,
        "skipped": view.skipped,
        "uptime_s": round(view.uptime_s, 3),
    }
