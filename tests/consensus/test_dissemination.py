"""The bounds of what a node holds of its clients and of itself, whatever they send."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import dissemination
from consensus.dissemination import Dissemination
from ledger.batch import make_batch
from ledger.encoding import encode
from ledger.limits import Limits
from ledger.transaction import Transaction, operations_root, parse_transactions

ME = 0
NETWORK = bytes(32)
MEMORY_MAX = 48 * 1024 * 1024
"""Of a full mempool: a fifth of what a node may use."""


def new_pool() -> Dissemination:
    return Dissemination(Limits(), 3, ME)


def transactions(count: int, *, operations: int, body_bytes: int, first: int = 0) -> list[bytes]:
    """Well-formed ones; nobody signed them."""
    raws = []
    for nonce in range(first, first + count):
        rows = tuple(
            (b"", "records", 1, b"%d %d" % (nonce, number) + bytes(body_bytes))
            for number in range(operations)
        )
        header = encode((1, NETWORK, bytes(32), nonce, 9, operations, operations_root(rows)))
        raws.append(encode((header, bytes(64), rows)))
    return raws


def hand_over(pool: Dissemination, raws: list[bytes]) -> tuple[Transaction, ...]:
    """What becomes of these at a door where everything is right."""
    let_in = raws[: pool.let_in(raws)]
    taken = parse_transactions(let_in)
    pool.judged(let_in)
    for transaction in taken:
        pool.take(transaction)
    return taken


def memory_of_full_pool(*, operations: int, body_bytes: int) -> int:
    """Bytes that a pool holds once it lets nothing in any more."""
    pool, count, first = new_pool(), 25, 0
    gc.collect()
    tracemalloc.start()
    try:
        while hand_over(
            pool, transactions(count, operations=operations, body_bytes=body_bytes, first=first)
        ):
            first += count
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_full_mempool_stays_within_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an eighth of the size, which takes an eighth of the time."""
    bytes_max, count_max = dissemination.MEMPOOL_BYTES_MAX, dissemination.MEMPOOL_TRANSACTIONS_MAX
    monkeypatch.setattr(dissemination, "MEMPOOL_BYTES_MAX", bytes_max // 8)
    monkeypatch.setattr(dissemination, "MEMPOOL_TRANSACTIONS_MAX", count_max // 8)

    large = memory_of_full_pool(operations=100, body_bytes=256) * 8
    many = memory_of_full_pool(operations=1, body_bytes=150) * 8

    assert bytes_max < large < MEMORY_MAX
    assert 1_000 * count_max < many < MEMORY_MAX


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.integers(0, 900)), max_size=20))
def test_what_is_at_the_door_counts_as_much_as_what_waits(
    steps: list[tuple[bool, int, int]],
) -> None:
    pool = new_pool()
    at_door: list[list[bytes]] = []

    for index, (comes, count, size) in enumerate(steps):
        if comes or not at_door:
            raws = [b"%d %d" % (index, number) + bytes(size * 1_000) for number in range(count)]
            at_door.append(raws[: pool.let_in(raws)])
        else:
            pool.judged(at_door.pop(0))
        held = sum(len(raw) for raws in at_door for raw in raws)
        assert pool.at_door == sum(map(len, at_door))
        assert pool.at_door_bytes == held <= dissemination.MEMPOOL_BYTES_MAX

    while at_door:
        pool.judged(at_door.pop())
    assert (pool.at_door, pool.at_door_bytes) == (0, 0)


def test_no_more_is_let_in_than_may_wait() -> None:
    pool = new_pool()
    raws = [bytes(1)] * (dissemination.MEMPOOL_TRANSACTIONS_MAX + 5)

    assert pool.let_in(raws[:7]) == 7
    assert pool.let_in(raws) == dissemination.MEMPOOL_TRANSACTIONS_MAX - 7
    assert pool.let_in(raws) == 0


def test_own_batches_count_until_they_are_executed() -> None:
    pool = new_pool()
    batches = []
    for sequence, raw in enumerate(transactions(10, operations=1, body_bytes=10)):
        if not pool.may_make_batch():
            break
        batches.append(
            make_batch(
                network=NETWORK, epoch=NETWORK, creator=ME, sequence=sequence, height=0,
                transactions=parse_transactions([raw]),
            )
        )  # fmt: skip
        pool.hold(batches[-1], bytes(64), 0, 0)
    assert len(batches) == dissemination.OPEN_BATCHES_MAX

    pool.mark_ordered([batch.digest for batch in batches], 1, 1)
    assert not pool.may_make_batch()

    pool.executed(batches, 1)
    assert pool.may_make_batch()
