"""A receipt of one operation holds nothing of the others, and salts make guesses hopeless."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from ledger import merkle
from ledger.applications.records import make_record
from ledger.encoding import encode
from ledger.errors import ProofFault
from ledger.light import LightClient
from ledger.queries import receipt
from ledger.receipt import parse_receipt
from ledger.transaction import Operation
from tests.ledger.builders import make_genesis, make_signed
from tests.ledger.proven import Store

GENESIS = make_genesis()
WINDOW = 6
"""No run of so many bytes of another operation may be in a receipt."""


def grade(number: int, salt: bool) -> Operation:
    """A body with words of its own, and a salt of its own or none."""
    words = hashlib.sha512(b"words %d" % number).digest()
    own = hashlib.sha256(b"salt %d" % number).digest() if salt else b""
    return replace(make_record(f"pupil {number}", content=words), salt=own)


def receipts(operations: list[Operation]) -> list[bytes]:
    """A receipt of each."""
    store = Store(GENESIS)
    signed = make_signed(GENESIS, "alice", 1, operations=operations)
    store.block(signed)
    store.certify()
    found = [receipt(store.store, GENESIS, signed.id, operation=n) for n in range(len(operations))]
    return [raw for raw in found if raw is not None]


@pytest.mark.parametrize("count", [2, 7, 16])
@pytest.mark.parametrize("salt", [True, False])
def test_a_receipt_holds_no_bytes_of_the_others(count: int, salt: bool) -> None:
    operations = [grade(number, salt) for number in range(count)]

    for number, raw in enumerate(receipts(operations)):
        parsed = parse_receipt(raw)
        shown = parsed.operation
        assert shown is not None
        assert shown.operation == operations[number].row()
        everything = encode((parsed.leaf, parsed.index, parsed.path, shown.row()))
        for other in (*operations[:number], *operations[number + 1 :]):
            secret = other.salt + other.body[-64:]
            windows = [secret[at : at + WINDOW] for at in range(len(secret) - WINDOW + 1)]
            assert not [window for window in windows if window in everything + parsed.certificate]


def test_a_neighbour_without_salt_is_found_by_guessing_and_one_with_salt_is_not() -> None:
    for salt in (True, False):
        first, second = receipts([grade(0, salt), grade(1, salt)])
        shown = parse_receipt(first).operation
        other = parse_receipt(second).operation
        assert shown is not None
        assert other is not None

        guesses = [grade(number, False) for number in range(4)]
        hits = [merkle.leaf_hash(encode(guess.row())) in shown.path for guess in guesses]

        assert hits == [False, not salt, False, False]
        # Whoever is told the salt, too, is shown the operation.
        assert merkle.leaf_hash(encode(other.operation)) in shown.path


def test_another_salt_or_body_or_place_proves_nothing() -> None:
    operations = [grade(number, True) for number in range(3)]
    first, second, _ = (parse_receipt(raw) for raw in receipts(operations))
    assert first.operation is not None
    assert second.operation is not None
    salt, *rest = first.operation.operation

    for shown in (
        replace(first.operation, operation=(b"", *rest)),
        replace(first.operation, operation=(salt, *rest[:-1], rest[-1] + b"\x00")),
        replace(first.operation, index=1),
        replace(second.operation, path=first.operation.path),
    ):
        with pytest.raises(ProofFault):
            LightClient(GENESIS).check_receipt(replace(first, operation=shown).encode())
