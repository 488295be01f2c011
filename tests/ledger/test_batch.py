"""Batches: named by the digest of their only encoding, within the limits of their network."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack
import pytest
from hypothesis import given

from ledger.batch import make_batch, parse_batch, split_batch
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.limits import Limits
from ledger.statement import Statement
from tests.ledger.builders import Chain, damaged, loose_encodings, make_genesis, make_signed

GENESIS = make_genesis()
LIMITS = Limits(batch_bytes=4_096, batch_transactions=4)
TRANSACTIONS = tuple(make_signed(GENESIS, "alice", nonce) for nonce in range(3))
BATCH = Chain(GENESIS).batch(TRANSACTIONS, sequence=7)
FIELDS: tuple[Any, ...] = msgpack.unpackb(BATCH.raw, use_list=False)


def reason_of(raw: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(DecodeFault) as caught:
        parse_batch(raw, limits)
    return caught.value.reason


def with_field(index: int, value: object) -> bytes:
    return encode((*FIELDS[:index], value, *FIELDS[index + 1 :]))


def test_what_is_made_is_parsed() -> None:
    batch = parse_batch(BATCH.raw, LIMITS)

    assert batch == BATCH
    assert batch.digest == hashlib.sha256(BATCH.raw).digest()
    assert batch.transactions == TRANSACTIONS
    assert (batch.creator, batch.sequence, batch.height) == (0, 7, 0)


def test_the_layout_is_the_documented_one() -> None:
    rows = tuple(transaction.raw for transaction in TRANSACTIONS)

    assert BATCH.raw == encode((1, GENESIS.network, GENESIS.epoch.id, 0, 7, 0, rows))
    assert split_batch(BATCH.raw, LIMITS) == (GENESIS.network, GENESIS.epoch.id, 0, 7, 0, rows)


def test_the_creator_signs_the_digest_for_its_sequence_number() -> None:
    assert BATCH.statement() == Statement(
        GENESIS.network, GENESIS.epoch.id, "batch", (7,), BATCH.digest
    )


def test_no_batch_has_a_second_encoding() -> None:
    for loose in loose_encodings(FIELDS):
        assert reason_of(loose).startswith("batch.")


@given(damaged(BATCH.raw))
def test_damaged_bytes_are_refused_or_are_another_whole_batch(raw: bytes) -> None:
    try:
        batch = parse_batch(raw, LIMITS)
    except DecodeFault:
        return

    again = make_batch(
        network=batch.network,
        epoch=batch.epoch,
        creator=batch.creator,
        sequence=batch.sequence,
        height=batch.height,
        transactions=batch.transactions,
    )
    assert again == batch
    assert again.raw == raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (with_field(0, 2), "batch.version"),
        (with_field(0, True), "batch.version"),
        (with_field(1, bytes(31)), "batch.malformed"),
        (with_field(1, bytes(32)), "batch.network"),
        (with_field(2, "e" * 32), "batch.malformed"),
        (with_field(3, -1), "batch.malformed"),
        (with_field(3, 256), "batch.malformed"),
        (with_field(4, 2**63), "batch.malformed"),
        (with_field(4, None), "batch.malformed"),
        (with_field(5, 1.0), "batch.malformed"),
        (with_field(6, ()), "batch.transactions"),
        (with_field(6, b""), "batch.transactions"),
        (with_field(6, (b"",)), "transaction.malformed"),
        (with_field(6, ("text",)), "batch.malformed"),
        (with_field(6, (FIELDS[6][0],) * 5), "batch.transactions"),
        (with_field(6, ((1,),)), "batch.malformed"),
        (encode((*FIELDS, 1)), "batch.malformed"),
        (encode(FIELDS[:6]), "batch.malformed"),
        (BATCH.raw[:-1], "batch.malformed"),
        (BATCH.raw + b"\x00", "batch.malformed"),
        (b"\x91" * 3_000, "batch.malformed"),
        (b"\x80", "batch.malformed"),
        (bytes(4_097), "batch.size"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    assert reason_of(raw) == reason


def test_limits_are_those_of_the_genesis() -> None:
    assert reason_of(BATCH.raw, Limits(batch_transactions=2)) == "batch.transactions"
    assert reason_of(BATCH.raw, Limits(batch_bytes=len(BATCH.raw) - 1)) == "batch.size"
    assert parse_batch(BATCH.raw, Limits(batch_bytes=len(BATCH.raw), batch_transactions=3))
