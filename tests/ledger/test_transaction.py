"""Transactions: one encoding, one id per signed content, and limits that hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle
from ledger.applications.records import make_record
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.keys import Ed25519
from ledger.limits import INTEGER_MAX, OPERATIONS_MAX, TRANSACTION_BYTES_MAX
from ledger.transaction import (
    COLUMNS_MIN,
    DOMAIN,
    Operation,
    grouped,
    make_transaction,
    operations_root,
    parse_each,
    parse_header,
    parse_transaction,
    parse_transactions,
)
from tests.ledger.builders import damaged, loose_encodings, signer_of

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
ALICE = signer_of("alice")
NETWORK = b"\x07" * 32
OPERATION = Operation("records", 1, b"body")
operations = st.builds(
    Operation,
    application=st.text("abcxyz", min_size=1, max_size=10),
    version=st.integers(0, INTEGER_MAX),
    body=st.binary(max_size=300),
    salt=st.binary(max_size=32),
)


def make(*made: Operation, nonce: int = 5, expiry: int = 9) -> Any:
    return make_transaction(ALICE, NETWORK, list(made or (OPERATION,)), nonce=nonce, expiry=expiry)


EXAMPLE = make(OPERATION, Operation("other", 2, b"", b"salt"))
SINGLE = make(OPERATION)
MANY = [SINGLE.raw] * COLUMNS_MIN
"""Enough company to be looked at by columns."""


def raw_with(
    *,
    outer: Callable[[list[Any]], object] = lambda fields: None,
    header: Callable[[list[Any]], object] = lambda fields: None,
    rows: tuple[Any, ...] | None = None,
) -> bytes:
    """A transaction whose parts agree with each other but for what the callables change."""
    rows = rows or ((b"", "records", 1, b"body"),)
    root = operations_root(rows)
    fields = [1, NETWORK, ALICE.public_key, 5, 9, len(rows), root]
    header(fields)
    packed = encode(tuple(fields))
    whole: list[Any] = [packed, ALICE.sign(DOMAIN + packed), rows]
    outer(whole)
    return encode(tuple(whole))


def reason_of(raw: bytes) -> str:
    """Why it is refused: alone, and among others, which are looked at by columns."""
    with pytest.raises(DecodeFault) as caught:
        parse_transaction(raw)
    reason = caught.value.reason
    for lot in ([raw], [SINGLE.raw, raw], [*MANY, raw], [raw, EXAMPLE.raw, *MANY]):
        with pytest.raises(DecodeFault, match=reason):
            parse_transactions(lot)
        for given_raw, parsed in zip(lot, parse_each(lot), strict=True):
            if given_raw == raw:
                assert isinstance(parsed, DecodeFault)
                assert parsed.reason == reason
            else:
                assert parsed == parse_transaction(given_raw)
    return reason


def set_to(index: int, value: object) -> Callable[[list[Any]], None]:
    def change(fields: list[Any]) -> None:
        fields[index] = value

    return change


@given(st.lists(operations, min_size=1, max_size=5), st.integers(0, INTEGER_MAX))
def test_what_is_made_is_parsed(made: list[Operation], number: int) -> None:
    transaction = make(*made, nonce=number, expiry=INTEGER_MAX - number)

    again = parse_transaction(transaction.raw)

    assert again == transaction
    assert parse_transactions([transaction.raw, EXAMPLE.raw]) == (transaction, EXAMPLE)
    assert parse_transactions([transaction.raw, *MANY])[0] == transaction
    assert parse_each([*MANY, transaction.raw])[-1] == transaction
    assert parse_transactions([]) == ()
    assert (again.network, again.sender, again.nonce) == (NETWORK, ALICE.public_key, number)
    assert again.operations == tuple(operation.row() for operation in made)
    assert Ed25519().verify(again.sender, again.signed_bytes(), again.signature)


def test_the_layout_is_the_documented_one() -> None:
    rows = ((b"", "records", 1, b"body"), (b"salt", "other", 2, b""))
    root = merkle.node_hash(*[merkle.leaf_hash(encode(row)) for row in rows])
    header = encode((1, NETWORK, ALICE.public_key, 5, 9, 2, root))

    assert EXAMPLE.raw == encode((header, ALICE.sign(b"ledger transaction\x00" + header), rows))
    assert EXAMPLE.id == hashlib.sha256(header).digest()
    assert parse_header(header) == (NETWORK, ALICE.public_key, 5, 9, 2, root)


def test_the_id_leaves_out_the_signature() -> None:
    header, _, rows = msgpack.unpackb(EXAMPLE.raw, use_list=False)

    other = parse_transaction(encode((header, bytes(64), rows)))

    assert other.id == EXAMPLE.id
    assert other.raw != EXAMPLE.raw


def test_no_transaction_has_a_second_encoding() -> None:
    for loose in loose_encodings(msgpack.unpackb(EXAMPLE.raw, use_list=False)):
        assert reason_of(loose).startswith("transaction.")


def test_no_header_has_a_second_encoding() -> None:
    fields = msgpack.unpackb(EXAMPLE.header, use_list=False)
    _, signature, rows = msgpack.unpackb(EXAMPLE.raw, use_list=False)

    for loose in loose_encodings(fields):
        assert reason_of(encode((loose, signature, rows))).startswith("transaction.")
        with pytest.raises(DecodeFault):
            parse_header(loose)


@given(damaged(EXAMPLE.raw))
def test_damaged_bytes_are_refused_or_are_not_signed_by_the_sender(raw: bytes) -> None:
    try:
        transaction = parse_transaction(raw)
    except DecodeFault:
        assert reason_of(raw)
        return

    assert parse_transactions([raw, SINGLE.raw]) == (transaction, SINGLE)
    assert parse_transactions([raw, *MANY])[0] == transaction
    rows = transaction.operations
    assert encode((transaction.header, transaction.signature, rows)) == raw
    signed = transaction.signed_bytes()
    is_right = Ed25519().verify(transaction.sender, signed, transaction.signature)
    assert is_right == (raw == EXAMPLE.raw)


@given(st.binary(max_size=100))
def test_any_bytes_at_all_are_refused_in_the_one_way(raw: bytes) -> None:
    assert reason_of(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (raw_with(outer=lambda fields: fields.append(1)), "transaction.malformed"),
        (raw_with(outer=lambda fields: fields.pop()), "transaction.malformed"),
        (raw_with(outer=set_to(0, "text")), "transaction.malformed"),
        (raw_with(outer=set_to(1, bytes(63))), "transaction.malformed"),
        (raw_with(outer=set_to(1, "s" * 64)), "transaction.malformed"),
        (raw_with(outer=set_to(2, ())), "transaction.operations"),
        (raw_with(outer=set_to(2, b"")), "transaction.operations"),
        (raw_with(outer=set_to(2, (1,))), "transaction.operation"),
        (raw_with(outer=set_to(2, ((b"", "a", 1),))), "transaction.operation"),
        (raw_with(rows=((bytes(33), "a", 1, b""),)), "transaction.operation"),
        (raw_with(rows=(("", "a", 1, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "", 1, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "a" * 129, 1, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "é", 1, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", b"a", 1, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "a", -1, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "a", 2**63, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "a", True, b""),)), "transaction.operation"),
        (raw_with(rows=((b"", "a", 1, "text"),)), "transaction.operation"),
        (raw_with(rows=((b"", "a", 1, None),)), "transaction.operation"),
        (raw_with(header=lambda fields: fields.append(1)), "transaction.malformed"),
        (raw_with(header=lambda fields: fields.pop()), "transaction.header"),
        (raw_with(header=set_to(0, 0)), "transaction.version"),
        (raw_with(header=set_to(0, 2)), "transaction.version"),
        (raw_with(header=set_to(0, True)), "transaction.version"),
        (raw_with(header=set_to(1, bytes(31))), "transaction.header"),
        (raw_with(header=set_to(2, "s" * 32)), "transaction.header"),
        (raw_with(header=set_to(3, -1)), "transaction.header"),
        (raw_with(header=set_to(3, 2**63)), "transaction.header"),
        (raw_with(header=set_to(3, True)), "transaction.header"),
        (raw_with(header=set_to(4, -1)), "transaction.header"),
        (raw_with(header=set_to(4, 1.0)), "transaction.header"),
        (raw_with(header=set_to(5, 0)), "transaction.header"),
        (raw_with(header=set_to(5, 2)), "transaction.operations-root"),
        (raw_with(header=set_to(6, bytes(32))), "transaction.operations-root"),
        (raw_with(header=set_to(6, bytes(33))), "transaction.header"),
        (b"\x80", "transaction.malformed"),
        (b"\xc7\x01\x01\x00", "transaction.malformed"),
        (b"\x91" * 2_000 + b"\x90", "transaction.malformed"),
        (b"\xdd\xff\xff\xff\xff", "transaction.malformed"),
        (bytes(TRANSACTION_BYTES_MAX + 1), "transaction.size"),
        (EXAMPLE.raw + b"\x00", "transaction.malformed"),
        (EXAMPLE.raw[:-1], "transaction.malformed"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    assert reason_of(raw) == reason


def test_operations_cannot_be_swapped_dropped_or_added() -> None:
    header, signature, rows = msgpack.unpackb(EXAMPLE.raw, use_list=False)

    for other in (rows[::-1], rows[:1], (*rows, rows[0])):
        assert reason_of(encode((header, signature, other))) == "transaction.operations-root"


def test_one_to_1024_operations_and_65535_bytes_are_allowed() -> None:
    full = make(*[Operation("a", 1, b"")] * OPERATIONS_MAX)
    room = TRANSACTION_BYTES_MAX - len(make(Operation("a", 1, bytes(60_000))).raw)
    largest = make(Operation("a", 1, bytes(60_000 + room)))

    assert len(full.operations) == OPERATIONS_MAX
    assert len(largest.raw) == TRANSACTION_BYTES_MAX
    with pytest.raises(Fault, match=r"transaction\.operations"):
        make(*[Operation("a", 1, b"")] * (OPERATIONS_MAX + 1))
    with pytest.raises(Fault, match=r"transaction\.operations"):
        make_transaction(ALICE, NETWORK, [], nonce=0, expiry=0)
    with pytest.raises(Fault, match=r"transaction\.size"):
        make(Operation("a", 1, bytes(60_001 + room)))


@given(st.lists(st.integers(0, 60_000), max_size=40), st.integers(0, 3_000))
def test_groups_keep_the_order_and_each_fits_into_a_transaction(
    sizes: list[int], small: int
) -> None:
    made = [Operation("a", 1, bytes(size)) for size in [*sizes, *[0] * small]]

    groups = list(grouped(made))

    assert [operation for group in groups for operation in group] == made
    for group in groups:
        assert len(group) <= OPERATIONS_MAX
        rows = tuple(operation.row() for operation in group)
        assert len(encode((bytes(125), bytes(64), rows))) <= TRANSACTION_BYTES_MAX


def test_the_example_of_the_format_document_is_right() -> None:
    text = "".join(FORMAT.read_text().split())
    record = make_record("hello", b"", b"world")

    made = make_transaction(Ed25519().signer(bytes(32)), NETWORK, [record], nonce=1, expiry=300)

    parts = (record.body, encode(record.row()), made.header, made.id, made.signature)
    for part in (*parts, operations_root(made.operations)):
        assert part.hex() in text


@given(st.lists(damaged(EXAMPLE.raw) | damaged(SINGLE.raw) | st.just(SINGLE.raw), max_size=5))
def test_a_lot_is_judged_as_each_of_it_alone(raws: list[bytes]) -> None:
    def alone(raw: bytes) -> object:
        try:
            return parse_transaction(raw)
        except DecodeFault as fault:
            return str(fault)

    for lot in (raws, [*raws, *MANY]):
        found = [str(each) if isinstance(each, DecodeFault) else each for each in parse_each(lot)]

        assert found == [alone(raw) for raw in lot]
