"""Drawn events for the pool of batches alone: what creators, leaders and clients may do to it.

Liars that flood, batches that are named and never come, holders that say nothing and blocks that
are late are drawn one by one; after each the promises of the pool are looked at: nothing is waited
for for ever or forgotten (P10), and no creator fills the memory (P16).
"""

from __future__ import annotations

import hashlib
from random import Random

from consensus.dissemination import Dissemination
from ledger.batch import Batch
from ledger.limits import Limits
from ledger.transaction import Transaction
from tests.ledger.builders import make_genesis, make_signed
from tests.schedules import test_batches as batches
from tests.schedules import test_making_batches as making
from tests.schedules.mutants import become
from tests.zoo.drawn import Part

POOLS: dict[str, type[Dissemination]] = {
    "L12": batches.DropsForGood,
    "B3": batches.NeverGivesUp,
    "B4": batches.HoldsAnything,
    "B5": batches.NamesNothing,
    "B6": making.InsistsOnQuorum,
    "B7": making.AsksNobody,
}
GENESIS = make_genesis(scheme="keyed-hash")
LIMITS = Limits(batch_window=4)
NODES, QUORUM, ME = 4, 3, 0
STEPS = 60
CREATOR_BATCHES_MAX = 64
"""The bound that the design states."""
HEAVY_BYTES = 20_000
"""Far above what may be named at sight."""
PATIENCE_MS = 500
GIVE_UP_MS = 2_000
TRANSACTIONS = [make_signed(GENESIS, "alice", nonce, expiry=3 + 4 * nonce) for nonce in range(12)]


def broken(kind: type[Dissemination], number: int) -> tuple[str, ...]:
    """The properties that a pool of this kind breaks in the life of this number."""
    life = _Life(kind, Random(f"pools {number}"))
    events = (life.client, life.batch, life.creator, life.name, life.arrive, life.holder,
              life.clean, life.lead, life.block)  # fmt: skip
    for _ in range(STEPS):
        life.now_ms += life.draw.choice((1, 50, 600, 3_000))
        life.draw.choice(events)()
        if life.broken:
            return (life.broken,)
    return ()


class _Life:
    """A pool, and what it has promised."""

    def __init__(self, kind: type[Dissemination], draw: Random) -> None:
        self.draw = draw
        self.pool = Dissemination(LIMITS, QUORUM, ME)
        become(self.pool, kind)
        self.now_ms, self.height, self.sequence = 0, 1, 0
        self.broken = ""
        self.absent: dict[bytes, Batch] = {}
        """Batches that a value names and that are not here."""
        self.unasked: dict[bytes, int] = {}
        """Creators of the batches that were taken although no value named them."""
        self.clients = iter(TRANSACTIONS)

    def _make(self, creator: int, transactions: tuple[Transaction, ...] = ()) -> Batch:
        self.sequence += 1
        raw = self.sequence.to_bytes(8, "big") * (self.draw.choice((12, HEAVY_BYTES)) // 8)
        return Batch(raw, hashlib.sha256(raw).digest(), GENESIS.network, GENESIS.epoch.id, creator,
                     self.sequence, self.height, transactions)  # fmt: skip

    def _hold(self, batch: Batch) -> None:
        self.pool.hold(batch, bytes(64), self.now_ms, self.height)

    def client(self) -> None:
        """Hands in a transaction."""
        transaction = next(self.clients, None)
        if transaction is not None:
            self.pool.take(transaction)

    def batch(self) -> None:
        """An own batch is made of what waits."""
        taken = self.pool.next_batch()
        if taken:
            self._hold(self._make(ME, taken))

    def creator(self) -> None:
        """Somebody's batches come, as many as it likes."""
        creator = self.draw.randrange(1, NODES)
        for _ in range(self.draw.choice((1, 5, 40))):
            batch = self._make(creator)
            if self.pool.accepts(creator, len(batch.raw)):
                self._hold(batch)
                self.unasked[batch.digest] = creator
        here = [self.unasked.get(held.batch.digest) for held in self.pool.unordered()]
        if here.count(creator) > CREATOR_BATCHES_MAX:
            self.broken = "P16"

    def name(self) -> None:
        """A value names batches that are not here."""
        made = [self._make(self.draw.randrange(1, NODES)) for _ in range(self.draw.choice((1, 3)))]
        self.absent |= {batch.digest: batch for batch in made}
        self.pool.want([batch.digest for batch in made], self.now_ms)

    def arrive(self) -> None:
        """One of those comes, and is taken however many its creator has."""
        if not self.absent:
            return
        batch = self.absent.pop(self.draw.choice(list(self.absent)))
        if batch.digest in self.pool.named or self.pool.accepts(batch.creator, len(batch.raw)):
            self._hold(batch)
        else:
            self.broken = "P10"

    def holder(self) -> None:
        """A peer says what it holds."""
        digests = [held.batch.digest for held in self.pool.unordered()]
        some = self.draw.sample(digests, len(digests) // 2)
        self.pool.heard_from(self.draw.randrange(1, NODES), some, self.now_ms)

    def clean(self) -> None:
        """What nobody sent and no value needs any more is not asked for."""
        needed = frozenset(key for key in self.absent if self.draw.random() < 0.5)
        late = [key for key, since in self.pool.wanted.items() if self.now_ms - since > GIVE_UP_MS]
        self.pool.give_up(self.now_ms, GIVE_UP_MS, needed)
        if any(key in self.pool.wanted for key in late if key not in needed):
            self.broken = "P10"
        self.absent = {key: batch for key, batch in self.absent.items() if key in self.pool.wanted}

    def lead(self) -> None:
        """A value is made: of what a quorum holds, or what waited long enough."""
        pool, at = self.pool, self.height + 1
        chosen = pool.select(frozenset(), at, self.now_ms, PATIENCE_MS)
        due = [held for held in pool.unordered() if pool.in_window(held.batch, at)]
        early = {held.batch.digest for held in due if self.now_ms - held.since_ms < PATIENCE_MS
                 and len(pool.holders.get(held.batch.digest, ())) < QUORUM
                 and len(held.batch.raw) >= HEAVY_BYTES}  # fmt: skip
        is_late = any(self.now_ms - held.since_ms >= PATIENCE_MS for held in due)
        if early & set(chosen) or (is_late and not chosen):
            self.broken = "P10"
        self._order(chosen)

    def block(self) -> None:
        """A block of others' transactions: heights go on, and batches become stale."""
        self._order(())

    def _order(self, payload: tuple[bytes, ...]) -> None:
        pool = self.pool
        self.height += 1
        pool.mark_ordered(payload, self.height, self.height)
        pool.executed([pool.held[digest].batch for digest in payload], self.height)
        pool.drop_stale(self.height)
        mine = [held.batch for held in pool.held.values() if held.batch.creator == ME]
        kept = {transaction.id for batch in mine for transaction in batch.transactions}
        kept |= {transaction.id for transaction in pool.waiting}
        if not set(pool.pending) <= kept:
            self.broken = "P10"


PART = Part("pools", Dissemination, POOLS, broken)
