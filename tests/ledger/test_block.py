"""Headers, leaves and the chain: blocks follow from the decided values alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given

from ledger.block import (
    NO_BLOCK,
    BlockHeader,
    BlockLeaf,
    OutcomeLeaf,
    Result,
    StateHashKind,
    TransactionLeaf,
    parse_header,
    parse_leaf,
)
from ledger.chain import GENESIS_TIP, Tip, next_header, tip_of
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.value import Value
from tests.ledger.builders import damaged, loose_encodings

NETWORK, EPOCH, BATCH = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
VALUE = Value(EPOCH, b"", (4, 0), 1, 5_000, (BATCH,))
HEADER = BlockHeader(NETWORK, EPOCH, 1, NO_BLOCK, VALUE.digest, (4, 0), 1, 5_000, (BATCH,))
LEAVES = [
    BlockLeaf(HEADER.raw),
    TransactionLeaf(1, 0, Result.APPLIED, "", b"header", b"\x04" * 64),
    TransactionLeaf(1, 1, Result.FAILED, "records.full", b"header", b"\x04" * 64),
    OutcomeLeaf(1, HEADER.hash, 2, StateHashKind.RUNNING, bytes(32), EPOCH, EPOCH),
]


def reason_of(raw: bytes) -> str:
    with pytest.raises(DecodeFault) as caught:
        parse_leaf(raw)
    return caught.value.reason


def test_the_header_is_parsed_and_its_hash_is_the_link() -> None:
    fields = (1, NETWORK, EPOCH, 1, NO_BLOCK, VALUE.digest, (4, 0), 1, 5_000, (BATCH,))

    assert HEADER.raw == encode(fields)
    assert HEADER.hash == hashlib.sha256(HEADER.raw).digest()
    assert parse_header(HEADER.raw) == HEADER


def test_no_header_has_a_second_encoding() -> None:
    for loose in loose_encodings(msgpack.unpackb(HEADER.raw, use_list=False)):
        with pytest.raises(DecodeFault):
            parse_header(loose)


@given(damaged(HEADER.raw))
def test_a_damaged_header_is_refused_or_is_another_whole_one(raw: bytes) -> None:
    try:
        header = parse_header(raw)
    except DecodeFault:
        return

    assert header.raw == raw


@pytest.mark.parametrize(
    "header",
    [
        replace(HEADER, height=0),
        replace(HEADER, payload=()),
        replace(HEADER, payload=(bytes(31),)),
        replace(HEADER, proposer=256),
        replace(HEADER, timestamp_ms=2**63),
        replace(HEADER, previous_hash=b""),
        replace(HEADER, slot=()),
    ],
)
def test_a_header_out_of_bounds_is_refused(header: BlockHeader) -> None:
    with pytest.raises(DecodeFault):
        parse_header(header.raw)


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_are_parsed_and_have_one_encoding(
    leaf: BlockLeaf | TransactionLeaf | OutcomeLeaf,
) -> None:
    raw = leaf.encode()

    assert parse_leaf(raw) == leaf
    for loose in loose_encodings(msgpack.unpackb(raw, use_list=False)):
        assert reason_of(loose)
    for length in range(len(raw)):
        assert reason_of(raw[:length])


def test_the_layout_of_leaves_is_the_documented_one() -> None:
    block, applied, failed, outcome = (leaf.encode() for leaf in LEAVES)

    assert block == encode((1, 1, HEADER.raw))
    assert applied == encode((1, 2, 1, 0, 0, "", b"header", b"\x04" * 64))
    assert failed == encode((1, 2, 1, 1, 1, "records.full", b"header", b"\x04" * 64))
    assert outcome == encode((1, 3, 1, HEADER.hash, 2, 1, bytes(32), EPOCH, EPOCH))


@given(damaged(LEAVES[2].encode()))
def test_a_damaged_leaf_is_refused_or_is_another_whole_one(raw: bytes) -> None:
    try:
        leaf = parse_leaf(raw)
    except DecodeFault:
        return

    assert leaf.encode() == raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "leaf.kind"),
        (encode((1, 4, b"")), "leaf.kind"),
        (encode((1, 0, b"")), "leaf.kind"),
        (encode((2, 1, b"")), "encoding.range"),
        (encode((1, 1, HEADER.raw, 1)), "encoding.malformed"),
        (replace(LEAVES[1], result=1).encode(), "leaf.reason"),
        (replace(LEAVES[2], result=0).encode(), "leaf.reason"),
        (replace(LEAVES[2], result=2).encode(), "encoding.range"),
        (replace(LEAVES[2], reason="r" * 201).encode(), "encoding.length"),
        (replace(LEAVES[2], signature=bytes(63)).encode(), "encoding.length"),
        (replace(LEAVES[2], height=0).encode(), "encoding.range"),
        (replace(LEAVES[3], state_hash_kind=3).encode(), "encoding.range"),
        (replace(LEAVES[3], next_epoch=b"").encode(), "encoding.length"),
    ],
)
def test_a_leaf_that_breaks_a_rule_is_refused(raw: bytes, reason: str) -> None:
    assert reason_of(raw) == reason


def test_a_value_makes_the_next_block() -> None:
    header = next_header(NETWORK, GENESIS_TIP, VALUE)

    assert header == HEADER
    assert tip_of(HEADER) == Tip(1, HEADER.hash, 5_000)
    again = next_header(NETWORK, tip_of(HEADER), VALUE)
    assert again is not None
    assert (again.height, again.previous_hash) == (2, HEADER.hash)


def test_a_value_without_payload_makes_no_block() -> None:
    assert next_header(NETWORK, GENESIS_TIP, replace(VALUE, payload=())) is None


@pytest.mark.parametrize(("proposed", "expected"), [(0, 9_001), (9_001, 9_001), (9_002, 9_002)])
def test_time_moves_on_by_a_millisecond_at_least(proposed: int, expected: int) -> None:
    tip = Tip(8, bytes(32), 9_000)

    header = next_header(NETWORK, tip, replace(VALUE, timestamp_ms=proposed))

    assert header is not None
    assert header.timestamp_ms == expected
