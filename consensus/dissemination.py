"""Data goes ahead of consensus: transactions become batches, batches spread, leaders name digests.

Owns the transactions this node took, the batches it holds, who else holds them, and which were
ordered where.  Says which batches a value may name and which are missing.  No I/O: it returns
packets and writes to the replica, which routes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ledger.batch import Batch
from ledger.limits import Limits
from ledger.transaction import Transaction
from ledger.value import PAYLOAD_MAX

MEMPOOL_TRANSACTIONS_MAX = 20_000
"""Transactions taken here that are not executed yet: ten seconds and more of a node's best.  Each
is a kilobyte of small objects beside its bytes."""
MEMPOOL_BYTES_MAX = 8 * 1024 * 1024
"""Of those that wait for a batch and those at the door: three times as much memory, parsed."""
CREATOR_BATCHES_MAX = 64
"""Unordered batches of one creator that a node holds."""
CREATOR_BYTES_MAX = 32 * 1024 * 1024
UNKNOWN_MAX = 1_024
"""Batches heard of but not held, a peer."""
BATCH_BYTES_TARGET = 256 * 1024
"""A batch is closed at this size: its check keeps one worker thread busy for a few tens of ms."""
BATCH_TRANSACTIONS_TARGET = 512
OPEN_BATCHES_MAX = 8
"""Own batches on their way at once; what comes meanwhile waits, unparsed by the others."""
OPEN_BYTES_MAX = 4 * 1024 * 1024
"""Of own batches that are not executed.  Were it those not ordered, sixteen decided values of four
megabytes could wait for their execution in the memory of every node."""
LIGHT_BYTES = 8 * 1024
"""A batch up to this size is named at sight: whoever misses it has it from the proposer one round
trip later, which costs less than everybody telling everybody of every such batch."""
SMALL_BYTES = 256 * 1024
"""A payload below this may wait a moment for more."""
VALUE_BYTES_TARGET = 4 * 1024 * 1024
"""Batches of this size together are enough for one value: blocks then take their time in turn."""


def is_light(batch: Batch) -> bool:
    """Whether a batch is small enough to be named without word of who holds it."""
    return len(batch.raw) <= LIGHT_BYTES


@dataclass(slots=True)
class Held:
    """A batch that is here, checked, and written before anything that depends on it."""

    batch: Batch
    signature: bytes
    since_ms: int
    """Monotonic time of its arrival."""
    since_height: int
    """Certified height at its arrival."""
    is_given_back: bool = False
    """Whether its own transactions wait for another batch again."""


@dataclass(slots=True)
class Dissemination:
    """The batches of one node."""

    limits: Limits
    quorum: int
    me: int | None
    lag: int = 0
    """Heights by which a batch may be ordered later than it is named."""
    held: dict[bytes, Held] = field(default_factory=dict)
    """Unordered batches and those ordered but not executed yet, in order of arrival."""
    holders: dict[bytes, set[int]] = field(default_factory=dict)
    """Who said to hold a batch, also of batches not here."""
    ordered: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Batches ordered within the window: (ordinal of the value, height)."""
    facts: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Of batches executed since the start, within the window: (height made at, transactions)."""
    wanted: dict[bytes, int] = field(default_factory=dict)
    """Batches not here: since when (monotonic ms) they are missed."""
    named: dict[bytes, None] = field(default_factory=dict)
    """Those of the wanted that a value names: they are taken whatever their creator's load."""
    waiting: deque[Transaction] = field(default_factory=deque)
    """Transactions that wait for a batch."""
    waiting_bytes: int = 0
    at_door: int = 0
    """Transactions that are being judged, whether to take them."""
    at_door_bytes: int = 0
    pending: dict[bytes, Transaction] = field(default_factory=dict)
    """Transactions taken here that are not executed yet, by id."""

    # --- transactions ---

    def let_in(self, raws: Sequence[bytes]) -> int:
        """How many of these, from the first on, there is room to judge; `judged` ends their stay.

        Asked before anything is parsed, so that an overloaded node spends nothing on what it must
        refuse.
        """
        room = MEMPOOL_TRANSACTIONS_MAX - len(self.pending) - self.at_door
        bytes_room = MEMPOOL_BYTES_MAX - self.waiting_bytes - self.at_door_bytes
        count = size = 0
        for raw in raws[: max(0, room)]:
            if size + len(raw) > bytes_room:
                break
            count, size = count + 1, size + len(raw)
        self.at_door += count
        self.at_door_bytes += size
        return count

    def judged(self, raws: Sequence[bytes]) -> None:
        """These are at the door no more; `take` follows for the right ones."""
        self.at_door -= len(raws)
        self.at_door_bytes -= sum(map(len, raws))

    def take(self, transaction: Transaction) -> None:
        """Queue a transaction for the next batch, once; there is room for what was let in."""
        if transaction.id in self.pending:
            return
        self.pending[transaction.id] = transaction
        self.waiting.append(transaction)
        self.waiting_bytes += len(transaction.raw)

    def forget_transactions(self) -> None:
        """Drop what was taken: this node will never batch it."""
        self.pending.clear()
        self.waiting.clear()
        self.waiting_bytes = 0

    def has_full_batch(self) -> bool:
        """Whether enough waits that the next batch should not wait for its timer."""
        return (
            len(self.waiting) >= BATCH_TRANSACTIONS_TARGET
            or self.waiting_bytes >= BATCH_BYTES_TARGET
        )

    def may_make_batch(self) -> bool:
        """Whether few enough own batches are on their way, up to their execution, for one more.

        One that no value may name any more is not, or what was in it would wait for ever where the
        ledger is idle meanwhile.
        """
        mine = [
            held.batch.raw
            for held in self.held.values()
            if held.batch.creator == self.me and not held.is_given_back
        ]
        return len(mine) < OPEN_BATCHES_MAX and sum(map(len, mine)) < OPEN_BYTES_MAX

    def next_batch(self) -> tuple[Transaction, ...]:
        """The transactions of the next batch, oldest first; empty where none wait."""
        taken: list[Transaction] = []
        room = min(BATCH_BYTES_TARGET * 2, self.limits.batch_bytes) - 512
        count_max = min(self.limits.batch_transactions, BATCH_TRANSACTIONS_TARGET * 2)
        while self.waiting and len(taken) < count_max:
            size = len(self.waiting[0].raw) + 8
            if taken and size > room:
                break
            transaction = self.waiting.popleft()
            self.waiting_bytes -= len(transaction.raw)
            if transaction.id in self.pending:
                room -= size
                taken.append(transaction)
        return tuple(taken)

    # --- batches ---

    def _creator_load(self, creator: int) -> tuple[int, int]:
        count = size = 0
        for digest, held in self.held.items():
            if held.batch.creator == creator and digest not in self.ordered:
                count += 1
                size += len(held.batch.raw)
        return count, size

    def accepts(self, creator: int, size: int) -> bool:
        """Whether a creator's next batch is within its bounds."""
        count, used = self._creator_load(creator)
        return count < CREATOR_BATCHES_MAX and used + size <= CREATOR_BYTES_MAX

    def hold(self, batch: Batch, signature: bytes, now_ms: int, height: int) -> None:
        """A checked batch is here and its write is on the way before anything that needs it."""
        self.held[batch.digest] = Held(batch, signature, now_ms, height)
        self.wanted.pop(batch.digest, None)
        self.named.pop(batch.digest, None)
        if self.me is not None:
            self.heard_from(self.me, (batch.digest,), now_ms)

    def heard_from(self, peer: int, digests: Iterable[bytes], now_ms: int) -> bool:
        """A peer holds these batches.  Whether that made a quorum of holders for any of them."""
        found_quorum = False
        room = -1
        for digest in digests:
            is_here = digest in self.held
            if not is_here and digest not in self.wanted:
                if digest in self.ordered:
                    continue
                if room < 0:
                    room = UNKNOWN_MAX - self._unknown_of(peer)
                if room <= 0:
                    room = 0
                    continue
                room -= 1
                self.wanted[digest] = now_ms
            holders = self.holders.setdefault(digest, set())
            if peer not in holders:
                holders.add(peer)
                found_quorum = found_quorum or len(holders) == self.quorum
        return found_quorum

    def _unknown_of(self, peer: int) -> int:
        """Batches that are not here and that this peer said to hold."""
        holders = self.holders
        return sum(1 for digest in self.wanted if peer in holders.get(digest, ()))

    def want(self, digests: Iterable[bytes], now_ms: int) -> None:
        """These batches are needed: a value names them."""
        for digest in digests:
            if digest not in self.held:
                self.wanted.setdefault(digest, now_ms)
                self.named[digest] = None

    def missing(self, digests: Iterable[bytes]) -> list[bytes]:
        """Those of the digests that are not here."""
        return [digest for digest in digests if digest not in self.held]

    def mark_ordered(self, payload: Iterable[bytes], ordinal: int, height: int) -> None:
        for digest in payload:
            self.ordered[digest] = (ordinal, height)

    def select(
        self,
        excluded: frozenset[bytes],
        height: int,
        now_ms: int,
        patience_ms: int,
    ) -> tuple[bytes, ...]:
        """Batches to name in a value at this height, oldest first.

        Named at once where light, else when a quorum holds them, or after patience_ms: so that a
        vote seldom waits for long.
        """
        chosen: list[bytes] = []
        transactions = size = 0
        for digest, held in self.held.items():
            if digest in self.ordered or digest in excluded:
                continue
            if not self.may_be_named(digest, height, self.lag):
                continue
            known = is_light(held.batch) or len(self.holders.get(digest, ())) >= self.quorum
            if not known and now_ms - held.since_ms < patience_ms:
                continue
            transactions += len(held.batch.transactions)
            size += len(held.batch.raw)
            full = (
                transactions > self.limits.block_transactions
                or len(chosen) >= min(self.limits.block_batches, PAYLOAD_MAX)
                or size > VALUE_BYTES_TARGET
            )
            if chosen and full:
                break
            chosen.append(digest)
        return tuple(chosen)

    def is_small(self, payload: tuple[bytes, ...]) -> bool:
        """Whether a block of these batches is far below what one value carries."""
        return sum(len(self.held[digest].batch.raw) for digest in payload) < SMALL_BYTES

    def in_window(self, batch: Batch, height: int) -> bool:
        """Whether a batch may be ordered at this height."""
        return self._is_window(batch.height, height)

    def _is_window(self, made: int, height: int) -> bool:
        return made < height <= made + self.limits.batch_window

    def transactions(self, digest: bytes) -> int | None:
        """How many a batch holds that is here, or was until its execution: also then a value may
        name it that was made before."""
        held = self.held.get(digest)
        if held is not None:
            return len(held.batch.transactions)
        return self.facts[digest][1] if digest in self.facts else None

    def may_be_named(self, digest: bytes, height: int, lag: int) -> bool:
        """Whether such a batch may be ordered at this height, and up to lag above it."""
        held = self.held.get(digest)
        if held is not None:
            in_window = (self.in_window(held.batch, at) for at in (height, height + lag))
        else:
            in_window = (
                self._is_window(self.facts[digest][0], at) for at in (height, height + lag)
            )
        return all(in_window)

    def release(self, digests: Iterable[bytes], executed: int) -> None:
        """Let go of batches that are executed up to this height, and came again to be judged."""
        for digest in digests:
            order, held = self.ordered.get(digest), self.held.get(digest)
            if order is not None and order[1] <= executed and held is not None:
                self.executed((held.batch,), executed)

    def unordered(self) -> list[Held]:
        """Batches here that no decided value names, oldest first."""
        return [held for digest, held in self.held.items() if digest not in self.ordered]

    def is_in_time(self, batch: Batch, height: int) -> bool:
        """Whether a value above this height may yet name a batch: its lag ends in the window."""
        first = height if height > batch.height else batch.height
        return self.in_window(batch, first + 1 + self.lag)

    def oldest_unordered(self, height: int) -> Held | None:
        """The first of `unordered` that a value above this height may yet name."""
        for digest, held in self.held.items():
            if digest not in self.ordered and self.is_in_time(held.batch, height):
                return held
        return None

    def has_unordered(self, height: int) -> bool:
        return self.oldest_unordered(height) is not None

    def executed(self, batches: Iterable[Batch], height: int) -> None:
        """A block is executed: its batches and their transactions wait no more."""
        for batch in batches:
            self.held.pop(batch.digest, None)
            self.facts[batch.digest] = (batch.height, len(batch.transactions))
            self.holders.pop(batch.digest, None)
            self.wanted.pop(batch.digest, None)
            self.named.pop(batch.digest, None)
            for transaction in batch.transactions:
                self.pending.pop(transaction.id, None)
        floor = height - 2 * self.limits.batch_window
        # In the order of their heights, so that the oldest come first.
        while self.ordered and next(iter(self.ordered.values()))[1] < floor:
            digest = next(iter(self.ordered))
            del self.ordered[digest]
            self.facts.pop(digest, None)

    def drop_stale(self, height: int) -> list[Batch]:
        """Drop what can be ordered no more above this height; own transactions wait again.

        They do so already once no value may name the batch any more: one that does may still order
        it, but perhaps there is none, and then an idle ledger would keep it for ever.
        """
        stale = []
        for held in self.unordered():
            batch = held.batch
            if self.is_in_time(batch, height):
                continue
            if not held.is_given_back:
                held.is_given_back = True
                self._give_back(batch, height)
            if not self.in_window(batch, max(height, batch.height) + 1):
                del self.held[batch.digest]
                self.holders.pop(batch.digest, None)
                stale.append(batch)
        return stale

    def _give_back(self, batch: Batch, height: int) -> None:
        for transaction in batch.transactions:
            mine = self.pending.get(transaction.id)
            if batch.creator != self.me or mine is None:
                continue
            if transaction.expiry <= height:
                del self.pending[transaction.id]
            else:
                self.waiting.append(mine)
                self.waiting_bytes += len(mine.raw)

    def give_up(self, now_ms: int, after_ms: int, needed: frozenset[bytes]) -> None:
        """Stop asking for batches that nobody sent and no value needs."""
        for digest in [d for d, since in self.wanted.items() if now_ms - since > after_ms]:
            if digest not in needed:
                del self.wanted[digest]
                self.named.pop(digest, None)
                self.holders.pop(digest, None)
