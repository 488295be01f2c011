"""Values that are judged from one decided value and ordered after later ones, as in a DAG."""

from __future__ import annotations

import pytest

from consensus.dissemination import Dissemination
from consensus.values import Judgement, Position, Values
from ledger.applications.records import make_record
from ledger.batch import Batch, make_batch
from ledger.keys import scheme_named
from ledger.limits import Limits
from ledger.transaction import make_transaction
from ledger.value import Value

EPOCH = b"e" * 32
HEAD = b"h" * 32
LIMITS = Limits(batch_window=8)
LAG = 4


def judged(made: int, *, lag: int, parent: bytes = HEAD, decided: bool = False) -> Judgement:
    """The verdict on a batch made at a height, where the last block has height 10."""
    pool = Dissemination(LIMITS, 3, 0, lag)
    batch = batch_of(made)
    pool.hold(batch, bytes(64), 0, 0)
    values = Values(LIMITS, EPOCH, HEAD, Position(10, 10), earlier=[(b"g" * 32, 5)], lag=lag)
    value = Value(EPOCH, parent, (1,), 0, 0, (batch.digest,))
    judge = values.judge_decided if decided else values.judge
    return judge(value, pool, 0)


def batch_of(made: int) -> Batch:
    return make_batch(
        network=bytes(32), epoch=EPOCH, creator=0, sequence=1, height=made, transactions=()
    )


@pytest.mark.parametrize(
    ("made", "lag", "is_valid"), [(3, 0, True), (3, LAG, False), (7, LAG, True), (6, LAG, False)]
)
def test_a_payload_must_stay_in_its_window_as_long_as_it_may_wait(
    made: int, lag: int, is_valid: bool
) -> None:
    assert (judged(made, lag=lag) is Judgement.VALID) == is_valid
    assert judged(made, lag=lag, decided=True) is Judgement.VALID, "what is decided waits no more"


def test_a_value_is_judged_from_where_its_parent_stands_also_after_a_restart() -> None:
    assert judged(5, lag=0, parent=b"g" * 32) is Judgement.VALID
    assert judged(6, lag=0, parent=b"g" * 32) is Judgement.NEVER, "made above the parent"
    assert judged(0, lag=0, parent=EPOCH) is Judgement.VALID, "from the beginning of the epoch"
    assert judged(0, lag=0) is Judgement.NEVER
    assert judged(5, lag=0, parent=b"?" * 32) is Judgement.NOT_YET


def test_a_batch_is_named_only_while_it_may_still_wait() -> None:
    def named(lag: int) -> int:
        pool = Dissemination(LIMITS, 3, 0, lag)
        pool.hold(batch_of(3), bytes(64), 0, 0)
        return len(pool.select(frozenset(), 11, 1_000, 0))

    assert (named(0), named(LAG)) == (1, 0)


def test_an_executed_batch_is_judged_by_what_is_known_of_it_and_not_kept_again() -> None:
    pool = Dissemination(LIMITS, 3, 0)
    values = Values(LIMITS, EPOCH, HEAD, Position(10, 10), earlier=[(b"g" * 32, 5)])
    batch = batch_of(4)
    value = Value(EPOCH, b"g" * 32, (1,), 0, 0, (batch.digest,))
    assert values.judge(value, pool, 0) is Judgement.NOT_YET
    pool.hold(batch, bytes(64), 0, 0)
    pool.mark_ordered((batch.digest,), 0, 9)
    pool.executed((batch,), 9)

    assert values.judge(value, pool, 0) is Judgement.VALID
    pool.hold(batch, bytes(64), 0, 0)
    pool.release(value.payload, 8)
    assert batch.digest in pool.held
    pool.release(value.payload, 9)
    assert batch.digest not in pool.held


def test_a_batch_that_no_value_may_name_any_more_wakes_nobody_and_gives_back_what_was_in_it() -> (
    None
):
    """A value that names it already may still order it, so it stays; on an idle ledger for good."""
    mine = make_transaction(
        scheme_named("keyed-hash").signer(bytes(32)),
        bytes(32),
        [make_record("r", content=b"c")],
        nonce=1,
        expiry=100,
    )
    pool = Dissemination(LIMITS, 3, 0, LAG)
    pool.take(mine)
    batch = make_batch(
        network=bytes(32), epoch=EPOCH, creator=0, sequence=1, height=3,
        transactions=pool.next_batch(),
    )  # fmt: skip
    pool.hold(batch, bytes(64), 0, 0)
    last = 3 + LIMITS.batch_window - LAG - 1

    assert (pool.drop_stale(last), pool.has_unordered(last), list(pool.waiting)) == ([], True, [])
    for height in (last + 1, last + LAG):
        assert pool.drop_stale(height) == []
        assert not pool.has_unordered(height)
        assert list(pool.waiting) == [mine]
        assert batch.digest in pool.held
    assert pool.drop_stale(last + LAG + 1) == [batch]
    assert list(pool.waiting) == [mine]
