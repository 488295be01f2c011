"""A small ledger of provenance, and bundles made of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from api import proofs
from ledger.applications.provenance import QUALIFIED_NAME, Statement, make_statement
from ledger.bundle import Bundle
from ledger.joint_receipt import parse_joint_receipt
from ledger.lineage_question import Question, settle
from ledger.transaction import Operation, Transaction
from tests.ledger.builders import make_genesis, make_signed
from tests.ledger.proven import Store

SPACES = {"x": "urn:x:"}
GENESIS = make_genesis()


def say(kind: str, identifier: str = "", **arguments: str) -> Statement:
    """A statement; `type` and `role` become attributes."""
    attributes = []
    for name, datatype in (("role", "xsd:string"), ("type", QUALIFIED_NAME)):
        if name in arguments:
            attributes.append((f"prov:{name}", arguments.pop(name), datatype))
    return make_statement(
        kind, identifier, namespaces=SPACES, arguments=arguments, attributes=attributes
    )


BREAD = [
    say("entity", "x:bread"),
    say("wasGeneratedBy", entity="x:bread", activity="x:bake"),
    say("used", activity="x:bake", entity="x:dough", role="raw"),
    say("wasAttributedTo", entity="x:bread", agent="x:baker"),
    say("actedOnBehalfOf", delegate="x:baker", responsible="x:firm"),
    say("wasDerivedFrom", generatedEntity="x:bread", usedEntity="x:loaf", type="prov:Revision"),
    say("alternateOf", alternate1="x:loaf", alternate2="x:copy"),
]
"""What Alice says."""
DOUGH = [
    say("entity", "x:dough"),
    say("activity", "x:bake"),
    say("wasGeneratedBy", entity="x:dough", activity="x:mix"),
    say("used", activity="x:mix", entity="x:flour"),
]
"""What Bob says."""
STONE = [say("entity", "x:stone"), say("used", activity="x:throw", entity="x:stone")]
"""What has nothing to do with it."""


def salted(statements: Iterable[Statement], seed: str) -> list[Operation]:
    """Operations that can be shown alone without the others being guessed."""
    draw = random.Random(seed)
    return [replace(each.operation(), salt=draw.randbytes(16)) for each in statements]


class Kitchen(Store):
    """A chain in which every statement is found again."""

    def __init__(self) -> None:
        super().__init__(GENESIS)
        self.places: dict[Statement, tuple[bytes, int]] = {}
        """(transaction id, number of the operation)."""

    def put(self, sender: str, *groups: Sequence[Statement]) -> None:
        """A block in which a member says each group in a transaction of its own."""
        made: list[Transaction] = []
        for number, group in enumerate(groups):
            nonce = 100 * self.head.height + number
            operations = salted(group, f"{sender} {nonce}")
            expiry = self.head.height + 5
            signed = make_signed(self.genesis, sender, nonce, expiry=expiry, operations=operations)
            made.append(signed)
            for place, statement in enumerate(group):
                self.places.setdefault(statement, (signed.id, place))
        self.block(*made)

    def joint(self, statements: Iterable[Statement], height: int | None = None) -> bytes:
        """The joint receipt of these statements."""
        wanted: dict[bytes, tuple[int, ...]] = {}
        for each in statements:
            identity, number = self.places[each]
            wanted[identity] = (*wanted.get(identity, ()), number)
        return proofs.joint_receipt(self.store, self.genesis, list(wanted.items()), height)

    def bundle(self, word: str, *things: str, depth: int | None = None) -> Bundle:
        """The bundle that answers a question."""
        question = Question(word, tuple(f"urn:x:{thing}" for thing in things), depth)
        _, used = settle(self.places, question)
        return Bundle(question, parse_joint_receipt(self.joint(used)))


def small_kitchen() -> Kitchen:
    """Three blocks; the second certificate covers all that is said."""
    made = Kitchen()
    made.put("alice", BREAD[:2], STONE)
    made.certify()
    made.put("bob", DOUGH)
    made.put("alice", BREAD[2:])
    made.certify()
    return made


KITCHEN = small_kitchen()
