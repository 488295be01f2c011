"""Three small blocks that the tests of the routes ask about."""

from __future__ import annotations

import hashlib

from ledger.applications.provenance import make_statement
from ledger.applications.records import make_record
from ledger.light import LightClient
from ledger.transaction import Operation
from tests.ledger.builders import make_genesis, make_signed

GENESIS = make_genesis()
LIGHT = LightClient(GENESIS)
FILE = b"the content of a file"
STATEMENT = make_statement(
    "wasGeneratedBy",
    namespaces={"ex": "urn:example:"},
    arguments={"entity": "ex:chart", "activity": "ex:draw"},
)
PAPERS = make_signed(
    GENESIS,
    "alice",
    1,
    expiry=99,
    operations=[
        make_record("a.csv", hashlib.sha256(FILE).digest()),
        STATEMENT.operation(),
        make_record("b.csv", b"", FILE),
    ],
)
FAILED = make_signed(
    GENESIS, "bob", 2, expiry=99, operations=[Operation("no such application", 1, b"\x01")]
)
WAITING = make_signed(GENESIS, "bob", 3, expiry=99)
"""Executed, not confirmed."""
FRESH = make_signed(GENESIS, "alice", 4, expiry=99)
PACKED = {"content-type": "application/msgpack"}
