"""The API's description (OpenAPI 3.1): every route of `api.app.ROUTES`, and what it answers.

What the answers hold is in `api/schemas.py`.
"""

from __future__ import annotations

from typing import Any

from api.limits import (
    BLOCKS_A_PAGE,
    JOINT_TRANSACTIONS_MAX,
    RECEIPTS_MAX,
    ROWS_A_PAGE,
    TRANSACTIONS_MAX,
    ApiLimits,
)
from api.schemas import DIGEST, SCHEMAS, WHOLE, WORD, Schema, named, one_of, record_of

DEFAULTS = ApiLimits()
JSON = "application/json"
MSGPACK = "application/msgpack"
TEXT = "text/plain"


def _parameter(name: str, place: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


def _query(name: str, description: str, schema: Schema = WHOLE) -> Schema:
    return _parameter(name, "query", schema, description)


ID = _parameter("id", "path", DIGEST, "Transaction id: SHA-256 of its header.")
HEIGHT = _parameter("height", "path", WHOLE, "Of a block; the first block has height 1.")
WAIT = _query(
    "wait_ms",
    f"Wait so long for a confirmation before answering; at most {DEFAULTS.wait_ms}.",
    {**WHOLE, "default": 0},
)
ASKED = ("upstream", "downstream", "history", "who")
CONTENT = _parameter("digest", "path", DIGEST, "SHA-256 of the content.")
SIGNED = _parameter("authorization", "header", WORD, "Ledger KEY EXPIRES SIGNATURE.")
OFFSET = _query("offset", "Rows to leave out, oldest first.", {**WHOLE, "default": 0})
LIMIT = _query("limit", f"Rows of the answer; at most {ROWS_A_PAGE}.")


def _json(description: str, schema: str, **more: Schema) -> Schema:
    return {"description": description, "content": {JSON: {"schema": named(schema)}, **more}}


def _file(description: str, media_type: str, schema: Schema | None = None) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema or WORD}}}


BYTES: Schema = {"type": "string", "format": "binary"}
PACKED: Schema = {"schema": BYTES}
REFUSED = {
    "400": _json("The request is malformed; the error says how.", "Error"),
    "500": _json("The node's store is damaged; the error says where.", "Error"),
}
BODY_REFUSED = {
    **REFUSED,
    "408": _json("The body did not arrive in time.", "Error"),
    "429": _json("Too many bytes of bodies are arriving; try again in a second.", "Error"),
    "413": _json(f"The body has more than {DEFAULTS.body_bytes} bytes.", "Error"),
}
MISSING = {"404": _json("The node does not have it.", "Error")}
ABSENT = {**MISSING, **REFUSED}


def _operation(
    name: str,
    summary: str,
    answers: dict[str, Schema],
    *parameters: Schema,
    body: Schema | None = None,
) -> Schema:
    described: Schema = {"operationId": name, "summary": summary, "responses": answers}
    if parameters:
        described["parameters"] = list(parameters)
    if body is not None:
        described["requestBody"] = body
    return described


def _body(name: str, items: Schema, count_max: int, packed: str) -> Schema:
    schema = record_of({name: {"type": "array", "items": items, "minItems": 1}})
    schema["properties"][name]["maxItems"] = count_max
    return {
        "required": True,
        "content": {
            JSON: {"schema": schema},
            MSGPACK: {"schema": {**BYTES, "description": packed}},
        },
    }


TRANSACTION_BODY = _body(
    "transactions",
    {"type": "string", "contentEncoding": "base64"},
    TRANSACTIONS_MAX,
    "An array of signed transactions.  The answer is an array of (id, reason, detail).",
)
PATHS: dict[str, dict[str, Schema]] = {
    "/v1/transactions": {
        "post": _operation(
            "submit",
            "Hand over signed transactions.  Pending is a status, not a promise.",
            {
                "202": _json("At least one is pending.", "Admissions", **{MSGPACK: PACKED}),
                "422": _json("All are refused.", "Admissions", **{MSGPACK: PACKED}),
                "503": _json("Full: try again, or elsewhere.", "Admissions", **{MSGPACK: PACKED}),
                **BODY_REFUSED,
            },
            body=TRANSACTION_BODY,
        )
    },
    "/v1/transactions/status": {
        "post": _operation(
            "statuses",
            "Where transactions stand.",
            {"200": _json("One status each, in order.", "TransactionStatuses"), **BODY_REFUSED},
            body=_body("ids", DIGEST, TRANSACTIONS_MAX, "An array of ids."),
        )
    },
    "/v1/transactions/{id}": {
        "get": _operation(
            "transaction",
            "A transaction, its operations in plain words.",
            {
                "200": _json("Pending, executed or confirmed.", "Transaction"),
                "404": _json("Unknown here.", "Transaction"),
                **REFUSED,
            },
            ID,
            WAIT,
        )
    },
    "/v1/transactions/{id}/receipt": {
        "get": _operation(
            "receipt",
            "A confirmed transaction's receipt: a C2SP tlog-proof, to be checked offline.",
            {
                "200": _file("The receipt.", TEXT),
                "404": _json("Not confirmed here, or no such operation.", "NoReceipt"),
                **REFUSED,
            },
            ID,
            _query("operation", "Which operation the receipt shows.", {**WHOLE, "default": 0}),
            WAIT,
        )
    },
    "/v1/receipts": {
        "post": _operation(
            "receipts",
            "Receipts of many transactions, without an operation; waits until there is one.",
            {"200": _json("In order.", "Receipts", **{MSGPACK: PACKED}), **BODY_REFUSED},
            WAIT,
            body=_body(
                "ids",
                DIGEST,
                RECEIPTS_MAX,
                "An array of ids.  The answer is (certified height, [(status, receipt or nil)]).",
            ),
        )
    },
    "/v1/blocks": {
        "get": _operation(
            "blocks",
            "Headers of confirmed blocks, the last ten unless told otherwise.",
            {"200": _json("Ascending by height.", "Headers"), **REFUSED},
            _query("from", f"First height; an answer has at most {BLOCKS_A_PAGE}."),
            _query("to", "Last height."),
        )
    },
    "/v1/blocks/{height}": {
        "get": _operation(
            "block",
            "An executed block: header, transactions, outcome.",
            {"200": _json("The block.", "Block"), **MISSING, **REFUSED},
            HEIGHT,
        )
    },
    "/v1/headers/{height}": {
        "get": _operation(
            "header",
            "An executed block's header.",
            {"200": _json("The header.", "Header"), **MISSING, **REFUSED},
            HEIGHT,
        )
    },
    "/v1/certificates/{height}": {
        "get": _operation(
            "certificate",
            "The first certificate that covers a height: a C2SP signed note.",
            {"200": _file("The note.", TEXT), **MISSING, **REFUSED},
            HEIGHT,
        )
    },
    "/v1/consistency": {
        "get": _operation(
            "consistency",
            "RFC 9162 proof that the log of the new size only appended to that of the old.",
            {"200": _json("The path.", "Consistency"), **MISSING, **REFUSED},
            _query("old", "Leaves of the old log."),
            _query("new", "Leaves of the new log; those certified unless given."),
        )
    },
    "/v1/evidence": {
        "get": _operation(
            "evidence",
            "What this node holds against validators, checkable by anyone (docs/evidence.md).",
            {"200": _file("A file of evidence.", "application/octet-stream", BYTES), **MISSING},
        )
    },
    "/v1/state/{application}/{key}": {
        "get": _operation(
            "state",
            "Proof of one value of an application's authenticated state, or that there is none.",
            {"200": _file("A state proof.", "application/octet-stream", BYTES), **MISSING},
            _parameter("application", "path", WORD, "Its name in the genesis."),
            _parameter("key", "path", WORD, "The application's key, in hexadecimal."),
        )
    },
    "/v1/members": {
        "get": _operation(
            "members",
            "Members by name, those removed included, and the changes that wait for approval.",
            {"200": _json("Where the network runs identity.", "Members"), **MISSING, **REFUSED},
            OFFSET,
            LIMIT,
        )
    },
    "/v1/identifiers/{did}": {
        "get": _operation(
            "identifier",
            "A member's DID document: a W3C DID resolution result.",
            {
                "200": _json("Resolved, perhaps deactivated.", "Resolution"),
                "404": _json("No such member, or no identity in this network.", "NoMember"),
                **REFUSED,
                "400": _json("No identifier of this method.", "Resolution"),
            },
            _parameter("did", "path", WORD, "did:ledger:NETWORK:NAME."),
        )
    },
    "/v1/records/{digest}": {
        "get": _operation(
            "records",
            "Every record of the data with this SHA-256.",
            {"200": _json("Oldest first.", "Records"), **REFUSED},
            _parameter("digest", "path", DIGEST, "SHA-256 of the data."),
            OFFSET,
            LIMIT,
        )
    },
    "/v1/statements": {
        "get": _operation(
            "statements",
            "Every provenance statement that names a thing.",
            {"200": _json("Oldest first.", "Statements"), **REFUSED},
            {**_query("identifier", "The thing's URI.", WORD), "required": True},
            OFFSET,
            LIMIT,
        )
    },
    "/v1/provenance/statements": {
        "get": _operation(
            "allStatements",
            "Every confirmed provenance statement, a page at a time.",
            {"200": _json("In the order of the ledger.", "StatementPage"), **REFUSED},
            _query("height", "Where the page begins, as `next` of the page before says."),
            _query("position", "Of the transaction in the block.", {**WHOLE, "default": 0}),
            _query("operation", "Of the statement.", {**WHOLE, "default": 0}),
            LIMIT,
        )
    },
    "/v1/provenance/lineage": {
        "get": _operation(
            "lineage",
            "The confirmed statements that a question about lineage needs, by the index.",
            {
                "200": _json("In the order of the ledger.", "LineagePage"),
                "404": _json("Nothing names the thing, or it is too much for one walk.", "Error"),
                **REFUSED,
            },
            {**_query("thing", "Its URI or its qualified name.", WORD), "required": True},
            _query("question", "upstream unless given.", one_of(*ASKED)),
            _query("depth", "Edges upstream or downstream; as far as it goes unless given."),
            _query("agents", "1 for what says whose the things of the answer are, too."),
            _query("height", "As of this block, as the first page says; now unless given."),
            OFFSET,
            LIMIT,
        )
    },
    "/v1/joint-receipts": {
        "post": _operation(
            "jointReceipt",
            "One proof of many operations (docs/format.md), as far as they can be proved here.",
            {
                "200": _file("The joint receipt.", "application/octet-stream", BYTES),
                "404": _json("Nothing of it can be proved here.", "Error"),
                **BODY_REFUSED,
            },
            _query("height", "Rest on the first certificate at or above this height."),
            body=_body(
                "transactions",
                record_of({"id": DIGEST, "operations": {"type": "array", "items": WHOLE}}),
                JOINT_TRANSACTIONS_MAX,
                "An array of (id, numbers of operations).",
            ),
        )
    },
    "/v1/contents/{digest}": {
        "get": _operation(
            "content",
            "A content of the store beside this node, for members (docs/contents.md).",
            {
                "200": _file("The content.", "application/octet-stream", BYTES),
                "401": _json("No member signed for it.", "Error"),
                **ABSENT,
            },
            CONTENT,
            SIGNED,
        ),
        "put": _operation(
            "keepContent",
            "Keep a content in the store beside this node, for members who may submit.",
            {
                "201": _json("It is kept.", "Content"),
                "401": _json("No member signed for it.", "Error"),
                "422": _json("It has another SHA-256.", "Error"),
                "507": _json("The store is full.", "Error"),
                **MISSING,
                **BODY_REFUSED,
            },
            CONTENT,
            SIGNED,
            body={"required": True, "content": {"application/octet-stream": {"schema": BYTES}}},
        ),
    },
    "/v1/status": {
        "get": _operation(
            "status", "Where the node stands.", {"200": _json("Now.", "NodeStatus"), **REFUSED}
        )
    },
    "/v1/genesis": {
        "get": _operation(
            "genesis",
            "The network's genesis.  Compare its network id with one that you trust.",
            {"200": _json("The genesis file.", "Genesis"), **REFUSED},
        )
    },
    "/v1/stream": {
        "get": _operation(
            "stream",
            "Confirmed blocks as they come, one JSON line each; empty lines while idle.",
            {
                "200": _file("No end.", "application/x-ndjson", named("ConfirmedBlock")),
                "503": _json("Too many streams are open.", "Error"),
                **REFUSED,
            },
            _query("from", "First height; the next one unless given."),
            _query("ids", "1 adds the transactions' ids.", one_of("0", "1")),
        )
    },
    "/checkpoint": {
        "get": _operation(
            "checkpoint",
            "The latest certificate: a C2SP checkpoint signed by a quorum.",
            {"200": _file("The note.", TEXT), **MISSING, **REFUSED},
        )
    },
    "/tile/{level}/{place}": {
        "get": _operation(
            "tile",
            "A tile of the log (C2SP tlog-tiles).",
            {"200": _file("The tile.", "application/octet-stream", BYTES), **MISSING, **REFUSED},
            _parameter("level", "path", WORD, "0 to 7 for hashes, `entries` for leaves."),
            _parameter("place", "path", WORD, "Like 067, x001/067 or 067.p/112."),
        )
    },
    "/health": {
        "get": _operation(
            "health",
            "Whether a quorum of validators is in reach.",
            {"200": _file("It is.", TEXT), "503": _file("It is not.", TEXT)},
        )
    },
    "/metrics": {
        "get": _operation("metrics", "Prometheus metrics.", {"200": _file("Now.", TEXT)}),
    },
    "/openapi.json": {
        "get": _operation(
            "openapi",
            "This description.",
            {"200": _file("OpenAPI 3.1.", JSON, {"type": "object"})},
        )
    },
}


def document() -> dict[str, Any]:
    """The description of every route."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ledger node",
            "version": "1",
            "summary": "Submit transactions, read the ledger, and fetch proofs.",
        },
        "paths": PATHS,
        "components": {"schemas": SCHEMAS},
    }
