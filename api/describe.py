"""What the API shows of the ledger, as JSON-ready values.  Pure functions of a reader."""

from __future__ import annotations

import hashlib
from typing import Any

from api.view import NodeView, json_ready
from ledger import queries
from ledger.applications import ALL
from ledger.applications import records as records_application
from ledger.block import BlockHeader, TransactionLeaf
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.queries import Executed, Place
from ledger.store import Reader
from ledger.transaction import parse_header

RESULTS = ("applied", "failed")
STATEMENTS_MAX = 1_000
_applications = {(application.name, application.version): application for application in ALL}


def transaction_status(reader: Reader, genesis: Genesis, identity: bytes) -> dict[str, Any]:
    """Where a transaction stands, without its operations."""
    found = queries.transaction(reader, genesis, identity)
    if found is None:
        return {"id": identity.hex(), "status": "unknown"}
    return {
        "id": identity.hex(),
        "status": "confirmed" if found.confirmed else "executed",
        "result": RESULTS[found.leaf.result],
        "reason": found.leaf.reason,
        "height": found.leaf.height,
        "position": found.leaf.position,
        "index": found.index,
        "timestamp_ms": found.timestamp_ms,
    }


def transaction(reader: Reader, genesis: Genesis, identity: bytes) -> dict[str, Any]:
    """A transaction with its operations in plain words."""
    status = transaction_status(reader, genesis, identity)
    found = queries.transaction(reader, genesis, identity)
    if found is None:
        return status
    status["sender"] = found.transaction.sender.hex()
    status["nonce"] = found.transaction.nonce
    status["expiry"] = found.transaction.expiry
    status["operations"] = [_operation(row) for row in found.transaction.operations]
    return status


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
    found = queries.block(reader, height)
    assert found is not None, "a confirmed block is stored"
    line: dict[str, Any] = {
        "height": height,
        "hash": found.header.hash.hex(),
        "timestamp_ms": found.header.timestamp_ms,
        "proposer": found.header.proposer,
        "applied": sum(1 for leaf in found.transactions if not leaf.reason),
        "failed": sum(1 for leaf in found.transactions if leaf.reason),
    }
    if with_ids:
        line["ids"] = [hashlib.sha256(leaf.header).hexdigest() for leaf in found.transactions]
    return line


def records(reader: Reader, genesis: Genesis, digest: bytes) -> list[dict[str, Any]]:
    """Every record of the data with this SHA-256, oldest first."""
    places = records_application.find(reader, digest)[:STATEMENTS_MAX]
    return [_at(reader, genesis, *place) for place in places]


def statements(reader: Reader, genesis: Genesis, identifier: str) -> list[dict[str, Any]]:
    """Every provenance statement that mentions an identifier, oldest first."""
    from ledger.applications import provenance

    places = provenance.statements_about(reader, identifier)[:STATEMENTS_MAX]
    return [_at(reader, genesis, *place) for place in places]


def _at(
    reader: Reader, genesis: Genesis, height: int, position: int, operation: int
) -> dict[str, Any]:
    """One operation by its place in the ledger."""
    found = _executed_at(reader, genesis, height, position)
    return {
        "id": found.transaction.id.hex(),
        "operation": operation,
        "height": height,
        "confirmed": found.confirmed,
        "timestamp_ms": found.timestamp_ms,
        "sender": found.transaction.sender.hex(),
        **_operation(found.transaction.operations[operation]),
    }


def _executed_at(reader: Reader, genesis: Genesis, height: int, position: int) -> Executed:
    found = queries.block(reader, height)
    assert found is not None
    for leaf in found.transactions:
        if leaf.position == position:
            identity = hashlib.sha256(leaf.header).digest()
            place: Place | None = queries.find(reader, identity)
            assert place is not None
            return queries.transaction_at(reader, genesis, place)
    raise AssertionError("the index names a transaction that its block does not hold")


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
