"""An application that counts and can fail, on a network with a short replay window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from ledger import layout
from ledger.applications.interface import Application, Origin, State
from ledger.applications.provenance import make_statement
from ledger.applications.records import make_record
from ledger.errors import Fault
from ledger.execution import Execution
from ledger.transaction import Operation, Transaction
from tests.ledger.builders import SMALL_WINDOW, Chain, make_genesis, make_signed


class Counter(Application):
    """Adds one to a number, or fails after it has written, as the body says."""

    name: ClassVar[str] = "counter"
    version: ClassVar[int] = 1

    def check(self, body: bytes) -> None:
        if body not in (b"add", b"fail"):
            raise Fault("counter.body")

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        self.check(body)
        count = int(state.get(b"count") or b"0")
        state.put(b"count", str(count + 1).encode())
        if body == b"fail":
            raise Fault("counter.refused", "after a write")

    def describe(self, body: bytes) -> dict[str, object]:
        return {"act": body.decode()}


ADD, FAIL = Operation("counter", 1, b"add"), Operation("counter", 1, b"fail")
BASE = make_genesis(limits=SMALL_WINDOW, scheme="keyed-hash")
GENESIS = replace(BASE, applications=tuple(sorted((*BASE.applications, ("counter", 1)))))


def new_chain(*, cached: bool = True) -> Chain:
    return Chain(GENESIS, [Counter()], cached=cached)


def signed(sender: str, nonce: int, *operations: Operation, expiry: int = 5) -> Transaction:
    return make_signed(GENESIS, sender, nonce, expiry=expiry, operations=operations)


def counts(done: Execution) -> tuple[int, int, int]:
    return done.applied, done.failed, done.skipped


def count_of(chain: Chain) -> bytes | None:
    return chain.store.get(layout.state_key("counter", b"count"))


def varied_chain() -> Chain:
    """A few blocks with several senders, failures, provenance and records."""
    chain = new_chain()
    for height in range(1, 9):
        block = [
            signed(sender, nonce, ADD, *_varied(height, nonce), expiry=height + 2)
            for sender in ("alice", "bob", "mallory")
            for nonce in range(height, height + 4)
        ]
        chain.block(*block, signed("alice", 1_000 + height, FAIL, expiry=height))
    return chain


def _varied(height: int, nonce: int) -> Sequence[Operation]:
    used = make_statement(
        "used",
        namespaces={"b": "urn:b:", "a": "urn:a:", "c": "urn:c:"},
        arguments={"activity": f"a:{height}", "entity": f"b:{nonce}"},
        attributes=[("c:role", "x", "xsd:string"), ("a:role", "b:y", "prov:QUALIFIED_NAME")],
    )
    return make_record("r", b"", b"%d %d" % (height, nonce)), used.operation()
