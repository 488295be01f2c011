"""Large batches stand in parts; every reader finds the same bytes, and an audit every change."""

from __future__ import annotations

from functools import cache

import pytest

from ledger import layout, queries
from ledger.applications.records import make_record
from ledger.batch import Batch
from ledger.batch_store import (
    PART_BYTES,
    WHOLE_BYTES,
    StoredBatch,
    batch_removal,
    batch_writes,
    find_batch,
)
from ledger.encoding import encode
from ledger.errors import DecodeFault, StorageError
from tests.ledger.builders import MapReader, make_genesis, make_signed
from tests.ledger.proven import Store, small_store
from tests.ledger.test_audit import refusal, run

GENESIS = make_genesis()
SUITE = GENESIS.suite
SIGNATURE = bytes(range(64))
SIZES = (10, 300, 20_000, 40_000, 60_000, 1, 33_000, 200, 30_000)
"""Bytes of the records of a large batch: on both sides of every width that a length can have."""


@cache
def batch_of(*sizes: int) -> Batch:
    transactions = tuple(
        make_signed(
            GENESIS,
            "alice",
            100 + n,
            operations=[make_record("note", b"", bytes([n % 256]) * size)],
        )
        for n, size in enumerate(sizes)
    )
    return Store(GENESIS).batch(transactions)


def stored(batch: Batch) -> MapReader:
    reader = MapReader()
    reader.write(batch_writes(batch, SIGNATURE))
    return reader


def found(reader: MapReader, batch: Batch) -> StoredBatch:
    there = find_batch(reader, batch.digest, SUITE)
    assert there is not None
    return there


def audited(*sizes: int) -> Store:
    """The store of a node whose second block has such a batch."""
    made = small_store(1)
    made.execute(batch_of(*sizes))
    made.certify()
    return made


@pytest.mark.parametrize(
    "sizes",
    [(5,), (30_000, 30_000), (60_000, 60_000), SIZES, SIZES[::-1], (10,) * 900, (255, 256) * 150],
)
def test_what_was_stored_is_read_again(sizes: tuple[int, ...]) -> None:
    batch = batch_of(*sizes)
    reader = stored(batch)

    there = found(reader, batch)

    assert (there.read(), there.signature, there.count) == (batch.raw, SIGNATURE, len(sizes))
    assert (len(there.bounds) > 2) == (len(batch.raw) > WHOLE_BYTES) == (len(reader.rows) > 1)
    backwards = reversed(tuple(enumerate(batch.transactions)))
    assert all(there.transaction(place) == each.raw for place, each in backwards)


def test_one_transaction_is_found_by_reading_the_head_and_one_part() -> None:
    batch = batch_of(*(900,) * 1_000)
    reader, asked = stored(batch), []

    class Counting(MapReader):
        def get(self, key: bytes) -> bytes | None:
            value = reader.get(key)
            asked.append(len(value or b""))
            return value

    there = found(Counting(), batch)
    assert there.transaction(700) == batch.transactions[700].raw
    assert there.transaction(701) == batch.transactions[701].raw

    assert len(batch.raw) > 900_000
    assert len(asked) == 2
    assert sum(asked) < 2 * PART_BYTES


def test_what_is_removed_leaves_nothing() -> None:
    batch = batch_of(*SIZES)
    reader = stored(batch)
    reader.write(batch_removal(batch))
    assert not reader.rows
    assert find_batch(reader, batch.digest, SUITE) is None


def test_a_large_batch_that_an_earlier_version_kept_whole_is_still_read() -> None:
    batch = batch_of(*SIZES)
    reader = MapReader()
    reader.write([(layout.BATCH + batch.digest, SIGNATURE + batch.raw)])

    there = found(reader, batch)

    assert there.read() == batch.raw
    assert [there.transaction(n) for n in range(there.count)] == [
        each.raw for each in batch.transactions
    ]


def test_a_missing_or_wrong_part_is_an_error_and_never_an_answer() -> None:
    batch = batch_of(*SIZES)
    reader = stored(batch)
    second = reader.rows.pop(layout.part_key(batch.digest, 1))

    with pytest.raises(StorageError, match="part 1 of batch"):
        found(reader, batch).read()
    with pytest.raises(StorageError, match="part 1 of batch"):
        found(reader, batch).transaction(4)
    assert found(reader, batch).transaction(0) == batch.transactions[0].raw

    reader.write([(layout.part_key(batch.digest, 0), second)])
    with pytest.raises(DecodeFault):
        found(reader, batch).transaction(0)


@pytest.mark.parametrize("bounds", [(1, 9), (0, 5, 5, 9), (0, 9, 4), (0,), ()])
def test_a_head_with_parts_out_of_order_is_refused(bounds: tuple[int, ...]) -> None:
    batch = batch_of(*SIZES)
    reader = stored(batch)
    reader.write([(layout.BATCH + batch.digest, SIGNATURE + encode((b"", bounds)))])
    with pytest.raises(DecodeFault):
        found(reader, batch)


def test_queries_and_audit_read_large_batches() -> None:
    made = audited(*SIZES)

    assert run(made.store)[0] == [1, 2]
    for each in batch_of(*SIZES).transactions:
        executed = queries.transaction(made.store, GENESIS, each.id)
        assert executed is not None
        assert executed.transaction == each


def test_the_audit_finds_every_changed_missing_and_surplus_part() -> None:
    digest = batch_of(*SIZES).digest
    keys = [key for key in audited(*SIZES).store.rows if key[:1] == layout.PART]
    assert len(keys) > 2
    for key in keys:
        made = audited(*SIZES)
        value = made.store.rows[key]
        made.store.write([(key, value[:-1] + bytes([value[-1] ^ 1]))])
        assert "not what its digest names" in refusal(made.store)
        made.store.write([(key, None)])
        assert "is missing" in refusal(made.store)
    for surplus in (layout.part_key(digest, len(keys)), layout.part_key(bytes(32), 0)):
        made = audited(*SIZES)
        made.store.write([(surplus, b"x")])
        assert "parts of batches" in refusal(made.store)


def test_the_audit_finds_bounds_that_the_batch_does_not_lead_to() -> None:
    # The bytes are the same: only who looks for one transaction would find another.
    made = audited(*(9_000,) * 20)
    key = layout.BATCH + batch_of(*(9_000,) * 20).digest
    there = find_batch(made.store, key[1:], SUITE)
    assert there is not None
    head = made.store.rows[key][64:]
    moved = (*there.bounds[:1], there.bounds[1] + 1, *there.bounds[2:])
    beginning = head[: head.index(encode(there.bounds))]
    made.store.write([(key, there.signature + beginning + encode(moved))])
    assert "parts it leads to" in refusal(made.store)
