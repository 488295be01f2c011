"""Drawn values for their judge alone: whatever a liar that leads may propose.

What is found valid is decided at once; then no batch may be in the ledger twice (P7), nothing is
ahead of the clock (P3), and what is decided is of this epoch, within its limits and of batches that
are here (P6).  What may be decided, now or once time or a batch has come, is not refused (P10).
"""

from __future__ import annotations

import hashlib
from random import Random

from consensus.dissemination import Dissemination
from consensus.values import Judgement, Position, Values
from ledger.batch import Batch
from ledger.limits import Limits
from ledger.value import Value
from tests.ledger.builders import make_genesis, make_signed
from tests.schedules import test_batches as batches
from tests.schedules import test_judgement as judgement
from tests.schedules import test_values as times
from tests.zoo.drawn import Part

JUDGES: dict[str, type[Values]] = {
    "B2": batches.NeverForMissing,
    "B8": judgement.BelievesValues,
    "T1": times.TrustsClocks,
    "T1a": times.GivesUpEarly,
    "T3a": times.RefusesOld,
}
GENESIS = make_genesis(scheme="keyed-hash")
EPOCH = GENESIS.epoch.id
LIMITS = Limits(batch_window=4, block_batches=3, block_transactions=4)
STEPS = 40
NOW_MS = 1_700_000_000_000
DRIFT_MS = LIMITS.clock_drift_ms
LONG_AGO_MS = 30 * 86_400_000
TRANSACTIONS = tuple(make_signed(GENESIS, "alice", nonce, expiry=99) for nonce in range(3))


def broken(kind: type[Values], number: int) -> tuple[str, ...]:
    """The properties that a judge of this kind breaks in the sequence of this number."""
    draw = Random(f"values {number}")
    pool, values = Dissemination(LIMITS, 3, 0), kind(LIMITS, EPOCH, EPOCH, Position(0, 0))
    made: dict[bytes, Batch] = {}
    ordered: set[bytes] = set()
    height = 0
    for slot in range(1, STEPS + 1):
        for _ in range(draw.randrange(3)):
            batch = _make(draw, len(made), height)
            made[batch.digest] = batch
            if draw.random() < 0.8:
                pool.hold(batch, bytes(64), slot, height)
        recent = list(made)[-6:]
        payload = tuple(draw.choices(recent, k=draw.randrange(5))) if recent else ()
        epoch = draw.choice((EPOCH,) * 9 + (bytes(32),))
        ahead = draw.choice((-LONG_AGO_MS, -DRIFT_MS, 0, 0, DRIFT_MS, DRIFT_MS + 1))
        value = Value(epoch, b"", (slot,), 1, NOW_MS + ahead, payload)
        named = [made[digest] for digest in payload]
        is_again = len(set(payload)) < len(payload) or not ordered.isdisjoint(payload)
        held = all(batch.digest in pool.held for batch in named)
        is_early = ahead > DRIFT_MS
        is_right = (
            epoch == EPOCH
            and len(payload) <= LIMITS.block_batches
            and sum(len(batch.transactions) for batch in named) <= LIMITS.block_transactions
            and all(b.height <= height < b.height + LIMITS.batch_window for b in named)
        )
        judged = values.judge(value, pool, NOW_MS)
        is_valid = judged is Judgement.VALID
        if is_valid and (is_again or not is_right or not held):
            return ("P7",) if is_again else ("P6",)
        if is_valid and is_early:
            return ("P3",)
        may_be = is_right and not is_again
        if may_be and (judged is Judgement.NEVER or (held and not is_early and not is_valid)):
            return ("P10",)
        if is_valid:
            height = values.decided(value).height
            ordered.update(payload)
            pool.mark_ordered(payload, slot, height)
    return ()


def _make(draw: Random, number: int, height: int) -> Batch:
    raw = number.to_bytes(8, "big")
    at = max(0, height + draw.choice((-5, -1, 0, 0, 0, 1)))
    count = draw.randrange(1, len(TRANSACTIONS) + 1)
    return Batch(raw, hashlib.sha256(raw).digest(), GENESIS.network, EPOCH, 1, number, at,
                 TRANSACTIONS[:count])  # fmt: skip


PART = Part("values", Values, JUDGES, broken)
