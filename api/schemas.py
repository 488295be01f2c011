"""What the API's JSON answers hold, as JSON Schema (OpenAPI 3.1).

A schema names what an answer has at least: a node may say more, so clients ignore what they do not
know.  Bytes are hexadecimal in JSON, except for signed transactions, which are base64.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

WHOLE: Schema = {"type": "integer", "minimum": 0}
WORD: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
PUBLIC_KEY: Schema = {"type": "string", "pattern": "^([0-9a-f]{64}|[0-9a-f]{2624})$"}
"""Of a member, by Ed25519 or ML-DSA-44."""
HEX: Schema = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}


def one_of(*values: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(values)}


def list_of(items: Schema) -> Schema:
    """Any number of these."""
    return {"type": "array", "items": items}


def record_of(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these fields at least."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }


def named(name: str) -> Schema:
    """One of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


_statement = record_of(
    {
        "id": DIGEST,
        "operation": WHOLE,
        "height": WHOLE,
        "position": WHOLE,
        "timestamp_ms": WHOLE,
        "sender": PUBLIC_KEY,
        "kind": WORD,
        "bundle": WORD,
        "identifier": WORD,
        "arguments": {"type": "object"},
        "attributes": list_of({"type": "object"}),
        "namespaces": {"type": "object"},
    }
)
_executed: dict[str, Schema] = {
    "result": one_of("applied", "failed"),
    "reason": WORD,
    "height": WHOLE,
    "position": WHOLE,
    "index": WHOLE,
    "timestamp_ms": WHOLE,
}
_place: dict[str, Schema] = {
    "id": DIGEST,
    "operation": WHOLE,
    "height": WHOLE,
    "confirmed": TRUTH,
    "timestamp_ms": WHOLE,
    "sender": PUBLIC_KEY,
    "application": WORD,
    "version": WHOLE,
}
SCHEMAS: dict[str, Schema] = {
    "Error": record_of({"error": WORD}),
    "Status": one_of("unknown", "pending", "executed", "confirmed"),
    "Admissions": record_of(
        {
            "admissions": list_of(
                record_of(
                    {
                        "id": HEX,
                        "status": one_of("pending", "refused"),
                        "reason": WORD,
                        "detail": WORD,
                    }
                )
            )
        }
    ),
    "TransactionStatus": record_of({"id": DIGEST, "status": named("Status")}, **_executed),
    "TransactionStatuses": record_of(
        {"certified": WHOLE, "transactions": list_of(named("TransactionStatus"))}
    ),
    "Operation": record_of({"application": WORD, "version": WHOLE}),
    "Transaction": record_of(
        {"id": DIGEST, "status": named("Status"), "certified": WHOLE},
        **_executed,
        sender=PUBLIC_KEY,
        nonce=WHOLE,
        expiry=WHOLE,
        operations=list_of(named("Operation")),
    ),
    "NoReceipt": record_of({"error": WORD}, status=named("Status"), certified=WHOLE),
    "Receipts": record_of(
        {
            "certified": WHOLE,
            "receipts": list_of(
                record_of(
                    {
                        "id": DIGEST,
                        "status": named("Status"),
                        "receipt": {"type": ["string", "null"]},
                    }
                )
            ),
        }
    ),
    "Header": record_of(
        {
            "height": WHOLE,
            "hash": DIGEST,
            "previous_hash": DIGEST,
            "value": DIGEST,
            "slot": list_of(WHOLE),
            "proposer": WHOLE,
            "timestamp_ms": WHOLE,
            "payload": list_of(DIGEST),
            "raw": HEX,
        }
    ),
    "Headers": record_of({"certified": WHOLE, "headers": list_of(named("Header"))}),
    "Block": record_of(
        {
            "header": named("Header"),
            "confirmed": TRUTH,
            "first_index": WHOLE,
            "transactions": list_of(
                record_of(
                    {
                        "id": DIGEST,
                        "position": WHOLE,
                        "result": one_of("applied", "failed"),
                        "reason": WORD,
                        "sender": PUBLIC_KEY,
                        "nonce": WHOLE,
                        "operations": WHOLE,
                    }
                )
            ),
            "outcome": record_of(
                {"entries": WHOLE, "state_hash": HEX, "epoch": DIGEST, "next_epoch": DIGEST}
            ),
        }
    ),
    "ConfirmedBlock": record_of(
        {
            "height": WHOLE,
            "hash": DIGEST,
            "timestamp_ms": WHOLE,
            "proposer": WHOLE,
        },
        ids=list_of(DIGEST),
        failed=list_of(WHOLE),
    ),
    "Consistency": record_of({"old": WHOLE, "new": WHOLE, "path": list_of(DIGEST)}),
    "Records": record_of({"digest": DIGEST, "total": WHOLE, "records": list_of(record_of(_place))}),
    "Members": record_of(
        {
            "total": WHOLE,
            "members": list_of(record_of({"member": WORD, "did": WORD, "roles": list_of(WORD)})),
            "administrators": list_of(DIGEST),
            "approvals": WHOLE,
            "proposals": list_of(
                record_of(
                    {"id": DIGEST, "change": record_of({"act": WORD}), "approvals": list_of(DIGEST)}
                )
            ),
        }
    ),
    "Resolution": record_of(
        {
            "didDocument": {"type": ["object", "null"]},
            "didDocumentMetadata": {"type": "object"},
            "didResolutionMetadata": {"type": "object"},
        }
    ),
    "NoMember": record_of({}, error=WORD, didResolutionMetadata={"type": "object"}),
    "Statements": record_of(
        {"identifier": WORD, "total": WHOLE, "statements": list_of(record_of(_place))}
    ),
    "Content": record_of({"sha256": DIGEST, "bytes": WHOLE}),
    "LineagePage": record_of(
        {
            "thing": WORD,
            "height": WHOLE,
            "agents": TRUTH,
            "things": WHOLE,
            "total": WHOLE,
            "statements": list_of(_statement),
            "next": {"oneOf": [{"type": "null"}, WHOLE]},
        }
    ),
    "StatementPage": record_of(
        {
            "statements": list_of(_statement),
            "next": {
                "oneOf": [
                    {"type": "null"},
                    record_of({"height": WHOLE, "position": WHOLE, "operation": WHOLE}),
                ]
            },
        }
    ),
    "NodeStatus": record_of(
        {
            "name": WORD,
            "network": DIGEST,
            "protocol": WORD,
            "decided": WHOLE,
            "executed": WHOLE,
            "certified": WHOLE,
            "slot": list_of(WHOLE),
            "leader": WORD,
            "voting": TRUTH,
            "refusal": {"type": ["string", "null"]},
            "pending": WHOLE,
            "catching_up": TRUTH,
            "peers": list_of(
                record_of(
                    {
                        "name": WORD,
                        "connected": TRUTH,
                        "round_trip_ms": {"type": ["number", "null"]},
                    }
                )
            ),
            "applied": WHOLE,
            "failed": WHOLE,
            "skipped": WHOLE,
            "uptime_s": {"type": "number", "minimum": 0},
        }
    ),
    "Genesis": record_of(
        {
            "version": WHOLE,
            "name": WORD,
            "network": DIGEST,
            "epoch": {"type": "object"},
            "limits": {"type": "object"},
            "applications": {"type": "object"},
            "members": list_of({"type": "object"}),
            "signature_scheme": WORD,
        }
    ),
}
