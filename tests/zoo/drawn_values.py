"""Drawn values for their judge alone: whatever a liar that leads may propose.

What is found valid is decided at once; then no batch may be in the ledger twice (P7), and what is
decided is of this epoch, within its limits and its time, of batches that are here (P6).
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
from tests.schedules import test_judgement as judgement
from tests.zoo.model import SURVIVED, Mutant, Verdict

JUDGES: dict[str, type[Values]] = {"B8": judgement.BelievesValues}
GENESIS = make_genesis(scheme="keyed-hash")
EPOCH = GENESIS.epoch.id
LIMITS = Limits(batch_window=4, block_batches=3, block_transactions=4)
STEPS = 40
NOW_MS = 1_700_000_000_000
DRIFT_MS = LIMITS.clock_drift_ms
TRANSACTIONS = tuple(make_signed(GENESIS, "alice", nonce, expiry=99) for nonce in range(3))


def fits(mutant: Mutant) -> bool:
    """Whether it is the judge of values that lacks the rule."""
    return mutant.protocol == "replica" and mutant.id in JUDGES


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One sequence of values."""
    found = tuple(name for name in broken(JUDGES[mutant.id], number) if name in mutant.expected)
    if not found:
        return SURVIVED, 1
    return Verdict(found, broken(Values, number), f"values {number}"), 1


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
        ahead = draw.choice((-DRIFT_MS, 0, 0, DRIFT_MS, DRIFT_MS + 1))
        value = Value(epoch, b"", (slot,), 1, NOW_MS + ahead, payload)
        named = [made[digest] for digest in payload]
        is_again = len(set(payload)) < len(payload) or not ordered.isdisjoint(payload)
        is_right = (
            epoch == EPOCH
            and ahead <= DRIFT_MS
            and len(payload) <= LIMITS.block_batches
            and sum(len(batch.transactions) for batch in named) <= LIMITS.block_transactions
            and all(batch.digest in pool.held for batch in named)
            and all(b.height <= height < b.height + LIMITS.batch_window for b in named)
        )
        is_valid = values.judge(value, pool, NOW_MS) is Judgement.VALID
        if is_valid and (is_again or not is_right):
            return ("P7",) if is_again else ("P6",)
        if not is_valid and is_right and not is_again:
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
