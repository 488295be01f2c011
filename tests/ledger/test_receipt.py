"""A receipt is a C2SP tlog-proof file that can be written in one way only."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle
from ledger.applications.records import make_record
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.receipt import (
    MAGIC,
    Handover,
    OperationProof,
    Receipt,
    parse_receipt,
    prove_operation,
)
from ledger.transaction import parse_header
from tests.ledger.builders import make_genesis, make_signed

GENESIS = make_genesis()
HASH = bytes(range(32))
RECEIPT = Receipt(
    leaf=b"a leaf",
    index=9,
    path=(HASH, bytes(32)),
    certificate=b"a note\n",
    operation=OperationProof(1, (b"salt", "records", 1, b"body"), (HASH,)),
    handovers=(Handover(b"outcome", (HASH,), b"another note\n", GENESIS.epoch),),
)

digests = st.binary(min_size=32, max_size=32)
operations = st.builds(
    OperationProof,
    st.integers(0, 1_023),
    st.tuples(
        st.binary(max_size=32),
        st.text("abcz", min_size=1, max_size=8),
        st.integers(0, 2**63 - 1),
        st.binary(max_size=200),
    ),
    st.lists(digests, max_size=10).map(tuple),
)
handovers = st.builds(
    Handover,
    st.binary(max_size=50),
    st.lists(digests, max_size=3).map(tuple),
    st.binary(max_size=50),
    st.just(GENESIS.epoch),
)
receipts = st.builds(
    Receipt,
    st.binary(max_size=300),
    st.integers(0, 2**63 - 1),
    st.lists(digests, max_size=63).map(tuple),
    st.binary(max_size=300),
    st.none() | operations,
    st.lists(handovers, max_size=3).map(tuple),
)


@given(receipts)
def test_a_receipt_is_read_back_as_written(receipt: Receipt) -> None:
    assert parse_receipt(receipt.encode()) == receipt


def test_the_file_has_the_lines_that_c2sp_defines() -> None:
    magic, extra, index, first, second, empty, note, end = RECEIPT.encode().split(b"\n")

    assert magic == MAGIC == b"c2sp.org/tlog-proof@v1"
    assert extra.startswith(b"extra ")
    assert index == b"index 9"
    assert [b64decode(first), b64decode(second)] == [HASH, bytes(32)]
    assert (empty, note, end) == (b"", b"a note", b"")


def extra_line(*fields: object) -> bytes:
    return b"extra " + b64encode(encode(fields))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"index 9", b"index 09"),
        (b"index 9", b"index +9"),
        (b"index 9", b"index 9 "),
        (b"index 9", b"index 9\r"),
        (b"index 9", b"index \xc2\xb2"),
        (b"index 9", b"index 9223372036854775808"),
        (b"index 9", b"index " + b"9" * 5_000),
        (b"index 9", b"indes 9"),
        (b"index 9\n", b""),
        (b"\n\n", b"\n"),
        (b"extra ", b"extra  "),
        (b"AAA=\n", b"AAB=\n"),
        (b"AAA=\n", b"AAA\n"),
        (b"AAA=\n", b"AA==\n"),
        (b"AAA=\n", b"AAA= \n"),
    ],
)
def test_another_writing_of_the_same_is_refused(old: bytes, new: bytes) -> None:
    raw = RECEIPT.encode()
    assert old in raw
    with pytest.raises(DecodeFault):
        parse_receipt(raw.replace(old, new, 1))


@pytest.mark.parametrize(
    "extra",
    [
        b"extra",
        b"extra ",
        extra_line(),
        extra_line(2, b"", None, ()),
        extra_line(1, b"", None),
        extra_line(1, b"", None, (), 0),
        extra_line(1, b"", (1_024, (b"", "a", 1, b""), ()), ()),
        extra_line(1, b"", (0, (b"", "", 1, b""), ()), ()),
        extra_line(1, b"", (0, (b"", "a", 1, b""), (HASH,) * 11), ()),
        extra_line(1, b"", (0, (b"", "a", 1, b""), (b"short",)), ()),
        extra_line(1, b"", (0, (bytes(33), "a", 1, b""), ()), ()),
        extra_line(1, b"", None, ((b"", (), b"", ()),)),
    ],
)
def test_an_extra_of_another_shape_is_refused(extra: bytes) -> None:
    lines = RECEIPT.encode().split(b"\n")
    with pytest.raises(DecodeFault):
        parse_receipt(b"\n".join([lines[0], extra, *lines[2:]]))


def test_an_epoch_record_that_contradicts_itself_is_refused() -> None:
    twice = replace(GENESIS.epoch, parameters=(("a", 1), ("a", 2)))
    raw = replace(RECEIPT, handovers=(Handover(b"", (), b"", twice),)).encode()
    with pytest.raises(DecodeFault, match=r"receipt\.epoch"):
        parse_receipt(raw)


def test_a_file_without_extra_is_refused() -> None:
    lines = RECEIPT.encode().split(b"\n")
    with pytest.raises(DecodeFault):
        parse_receipt(b"\n".join([lines[0], *lines[2:]]))


def test_a_path_that_no_log_has_is_refused() -> None:
    with pytest.raises(DecodeFault, match="wrong number of lines"):
        parse_receipt(replace(RECEIPT, path=(HASH,) * 64).encode())


def test_a_huge_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(DecodeFault, match=r"receipt\.size"):
        parse_receipt(MAGIC + bytes(2**20))


@given(st.binary(max_size=400))
def test_other_bytes_are_refused_in_order(raw: bytes) -> None:
    for each in (raw, MAGIC + b"\n" + raw, MAGIC + b"\nextra " + b64encode(raw) + b"\nindex 1\n\n"):
        with pytest.raises(DecodeFault):
            parse_receipt(each)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_operation_can_be_shown_alone(count: int) -> None:
    made = [make_record(f"file {number}", b"", b"content") for number in range(count)]
    transaction = make_signed(GENESIS, "alice", 1, operations=made)
    _, _, _, _, stated, root = parse_header(transaction.header)

    for index in range(count):
        shown = prove_operation(transaction, index)
        assert shown.operation == made[index].row()
        merkle.check_inclusion(
            merkle.leaf_hash(encode(shown.operation)),
            shown.path,
            index=index,
            size=stated,
            root=root,
        )


@pytest.mark.parametrize("index", [-1, 1])
def test_an_operation_that_does_not_exist_is_not_shown(index: int) -> None:
    with pytest.raises(Fault, match=r"receipt\.operation"):
        prove_operation(make_signed(GENESIS, "alice", 1), index)
