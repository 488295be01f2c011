"""Transactions in, batches out, and every batch to everyone: the desk in front of Dissemination."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from consensus.dissemination import Dissemination, is_light
from consensus.guard import Guard
from consensus.inspector import Inspector
from consensus.io import Admission, Answer
from consensus.jobs import (
    Admitted,
    AdmitTransactions,
    CheckBatch,
    ReadBatches,
)
from consensus.outbox import Outbox
from consensus.pace import Pace
from consensus.packets import DIGESTS_MAX, BatchPacket, Have, WantBatches
from consensus.recovery import Recovered, Setup
from ledger import layout
from ledger.batch import Batch, make_batch
from ledger.batch_store import batch_removal, batch_writes
from ledger.errors import Fault
from ledger.execution import Executor

BATCH_TIMER = "batch"
HAVE_TIMER = "have"
HAVE_DELAY_MS = 2
"""How long news of a batch waits for more of its kind: after a decision, batches come together."""
BATCH_DELAY_BUSY_MS = 60
"""How long at most a transaction waits for company while an own batch is on its way: batches grow
with the load instead of in number."""
PATIENCE_MS = 150
"""After which a batch that too few peers say to hold is named, or asked for, all the same."""
ANNOUNCE_MS = 1_000
"""How often batches that no value names are announced again to a leader that missed them."""
GIVE_UP_MS = 30_000
CHECKS_MAX = 256
"""Batches of one peer whose checks run at once."""
CHECKS_BYTES_MAX = 16 * 1024 * 1024
"""Of those: four times what an honest creator has on its way.  What finds no room is asked for
again, if it is any good."""
PAST_MAX = 10_000
"""Batches remembered as past: minutes of the busiest network."""
SEQUENCE_STEP = 1_000
"""Sequence numbers reserved by one synced write."""
FULL = Admission(b"", "mempool.full", "the mempool is full; try again in a second or elsewhere")
"""The answer to what there is no room to look at."""


class Spreading:
    """Batches of this node and of its peers."""

    def __init__(
        self,
        setup: Setup,
        recovered: Recovered,
        outbox: Outbox,
        guard: Guard,
        executor: Executor,
        changed: Callable[[], None],
    ) -> None:
        genesis = setup.genesis
        self._setup = setup
        self._inspector = Inspector.of(setup)
        self._outbox = outbox
        self._guard = guard
        self._executor = executor
        self.pace = Pace()
        self._changed = changed
        """Called when a batch came that a value may name or wait for."""
        self.pool = Dissemination(genesis.limits, genesis.epoch.validators.quorum, setup.me)
        self.decided_height = recovered.decided.height
        self.executed_height = recovered.head.height
        self.certified_height = recovered.certified
        self._sequence = recovered.sequence
        self._reserved = recovered.sequence
        self._may_sign: bool | None = None
        """Whether this node makes batches; None until it knows that it forgot none."""
        self._timer_runs = False
        self._announced_ms = 0
        self._borrowed: dict[bytes, None] = {}
        """Batches held in memory alone, since the store may have them as part of a block."""
        self._past: dict[bytes, None] = {}
        """Batches that can be ordered no more, the latest: news of them is none."""
        self._news: list[bytes] = []
        """Batches that came and that nobody was told of yet."""
        self._open: dict[bytes, None] = {}
        """Own batches that no decided value names yet."""
        self._checks: dict[int, list[int]] = {}
        """Sizes of the batches that are being checked, by the peer who sent them."""
        self._checking: set[bytes] = set()
        for height, payload in recovered.ordered:
            self.pool.mark_ordered(payload, 0, height)
        for batch, signature in recovered.batches:
            self.pool.hold(batch, signature, 0, recovered.certified)

    def start(self, *, may_sign: bool) -> None:
        """Make batches from now on, or take no transactions where this node may sign nothing."""
        self._may_sign = may_sign
        if may_sign:
            self._batch_soon()
        else:
            self.pool.forget_transactions()

    # --- clients ---

    def on_submitted(self, request: int, raws: tuple[bytes, ...]) -> None:
        """Judge a client's transactions off the main path, then queue those that are right."""
        if self._setup.me is None or self._may_sign is False:
            self._turn_away(request, len(raws))
            return
        count = self.pool.let_in(raws)
        if not count:
            self._outbox.put(Answer(request, (FULL,) * len(raws)))
            return
        job = AdmitTransactions(
            self._setup.genesis,
            self._executor,
            self._setup.suite,
            self.executed_height,
            raws[:count],
        )
        self._outbox.start(job, partial(self._admitted, request, raws))

    def _turn_away(self, request: int, count: int) -> None:
        refusal = Admission(b"", "node.observer", "submit to a validator that votes")
        self._outbox.put(Answer(request, (refusal,) * count))

    def _admitted(self, request: int, raws: tuple[bytes, ...], admitted: Admitted) -> None:
        count = len(admitted.admissions)
        self.pool.judged(raws[:count])
        if self._may_sign is False:
            self._turn_away(request, len(raws))
            return
        for transaction in admitted.transactions:
            self.pool.take(transaction)
        shut_out = (FULL,) * (len(raws) - count)
        self._outbox.put(Answer(request, (*admitted.admissions, *shut_out)))
        self._batch_soon()

    def _batch_soon(self) -> None:
        if not self._may_sign:
            return
        while self.pool.has_full_batch() and self.pool.may_make_batch():
            self._make_batch()
        if self.pool.waiting and not self._timer_runs:
            self._timer_runs = True
            is_busy = bool(self._open) or not self.pool.may_make_batch()
            delay_ms = BATCH_DELAY_BUSY_MS if is_busy else self._batch_delay_ms()
            self._outbox.start_timer(BATCH_TIMER, delay_ms)

    def _batch_delay_ms(self) -> int:
        return self.pace.batch_delay_ms(self._outbox.now.monotonic_ms)

    def on_ordered(self, payload: tuple[bytes, ...], ordinal: int, height: int) -> None:
        """A decided value names these batches; what waits behind an own one waits for the next."""
        self.pool.mark_ordered(payload, ordinal, height)
        was_open = bool(self._open)
        for digest in payload:
            self._open.pop(digest, None)
        if was_open and not self._open and self._timer_runs:
            self._outbox.start_timer(BATCH_TIMER, self._batch_delay_ms())

    def on_batch_timer(self) -> None:
        """The oldest waiting transaction has waited long enough."""
        self._timer_runs = False
        if self.pool.waiting and self.pool.may_make_batch():
            self._make_batch()
        self._batch_soon()

    def _make_batch(self) -> None:
        transactions = self.pool.next_batch()
        if not transactions:
            return
        genesis, me = self._setup.genesis, self._setup.me
        assert me is not None
        if self._sequence >= self._reserved:
            self._reserved = self._sequence + SEQUENCE_STEP
            self._outbox.write([(layout.SEQUENCES, self._reserved.to_bytes(8, "big"))], sync=True)
        batch = make_batch(
            network=genesis.network,
            epoch=genesis.epoch.id,
            creator=me,
            sequence=self._sequence,
            height=self.decided_height,
            transactions=transactions,
        )
        self._sequence += 1
        signature = self._guard.sign_batch(batch.statement())
        self._open[batch.digest] = None
        self._hold(batch, signature)
        self._outbox.send_all(BatchPacket(batch.raw, signature))

    def _hold(self, batch: Batch, signature: bytes) -> None:
        self.pool.hold(batch, signature, self._outbox.now.monotonic_ms, self.certified_height)
        if self._is_past(batch):
            # It may be part of a stored block: dropping it later must leave the block its body.
            self._borrowed[batch.digest] = None
        else:
            self._outbox.put_off(
                [
                    *batch_writes(batch, signature),
                    (layout.aged_key(batch.height, batch.digest), b""),
                ]
            )
        self._changed()

    # --- peers ---

    def on_batch(self, peer: int, packet: BatchPacket) -> None:
        """Check a peer's batch once, unless it is here, known to be ordered, or one too many."""
        digest = hashlib.sha256(packet.batch).digest()
        known = digest in self.pool.held or digest in self._checking
        done = digest in self.pool.ordered and digest not in self.pool.wanted
        checks = self._checks.setdefault(peer, [])
        size = len(packet.batch)
        full = len(checks) >= CHECKS_MAX or sum(checks) + size > CHECKS_BYTES_MAX
        if known or done or full:
            return
        self._checking.add(digest)
        checks.append(size)
        job = CheckBatch(self._inspector, packet.batch, packet.signature)
        self._outbox.start(job, partial(self._checked, peer, packet, digest))

    def _checked(
        self, peer: int, packet: BatchPacket, digest: bytes, result: Batch | Fault
    ) -> None:
        self._checking.discard(digest)
        self._checks[peer].remove(len(packet.batch))
        if isinstance(result, Fault):
            self._outbox.report("refused", peer=peer, reason=result.reason)
            return
        # A value that names one batch too many of its creator must not wait for it for ever: nodes
        # may hold different batches of one creator, such as those that its crash has lost.
        needed = digest in self.pool.ordered or digest in self.pool.named
        if not needed and not self.pool.accepts(result.creator, len(result.raw)):
            self._outbox.report("refused", peer=peer, reason="batch.too-many")
            return
        done = digest in self.pool.ordered and digest not in self.pool.wanted
        if digest in self.pool.held or done:
            return
        if self._is_past(result) and digest not in self.pool.named:
            self._let_pass(digest)
            return
        self._hold(result, packet.signature)
        self.pool.heard_from(result.creator, (digest,), self._outbox.now.monotonic_ms)
        if self._setup.me is not None and not is_light(result):
            if not self._news:
                self._outbox.start_timer(HAVE_TIMER, HAVE_DELAY_MS)
            self._news.append(digest)

    def _let_pass(self, digest: bytes) -> None:
        """Ask no more for a batch whose time is over, whoever announces it."""
        self.pool.wanted.pop(digest, None)
        self.pool.holders.pop(digest, None)
        self._past[digest] = None
        if len(self._past) > PAST_MAX:
            del self._past[next(iter(self._past))]

    def _is_past(self, batch: Batch) -> bool:
        """Whether a batch is executed, or can be ordered no more: perhaps executed long ago."""
        order = self.pool.ordered.get(batch.digest)
        if order is not None:
            return order[1] <= self.executed_height
        return batch.height + self._setup.genesis.limits.batch_window <= self.decided_height

    def on_have_timer(self) -> None:
        """Tell everyone which batches came in the last moments."""
        news, self._news = self._news, []
        for start in range(0, len(news), DIGESTS_MAX):
            self._outbox.send_some(Have(tuple(news[start : start + DIGESTS_MAX])))

    def on_have(self, peer: int, packet: Have) -> None:
        news = [digest for digest in packet.digests if digest not in self._past]
        if self.pool.heard_from(peer, news, self._outbox.now.monotonic_ms):
            self._changed()

    def on_want(self, peer: int, packet: WantBatches) -> None:
        """Send what is here; what is only on the disk is read first."""
        stored = []
        for digest in packet.digests[:64]:
            held = self.pool.held.get(digest)
            if held is not None:
                self._outbox.send(peer, BatchPacket(held.batch.raw, held.signature))
            else:
                stored.append(digest)
        if stored:
            job = ReadBatches(tuple(stored), self._setup.suite)
            self._outbox.start(job, partial(self._send_batches, peer))

    def _send_batches(self, peer: int, found: tuple[tuple[bytes, bytes], ...]) -> None:
        for raw, signature in found:
            self._outbox.send(peer, BatchPacket(raw, signature))

    def announce(self, peer: int) -> None:
        """Tell a peer what is here, so that it can ask for what it misses.

        Told when its link comes up, and again while a batch stays unordered: the batch and every
        word of it may have been lost on a link that never broke, and this peer may be the leader.
        """
        digests = [held.batch.digest for held in self.pool.unordered()]
        for start in range(0, len(digests), DIGESTS_MAX):
            self._outbox.send(peer, Have(tuple(digests[start : start + DIGESTS_MAX])))

    def want(self, digests: list[bytes], first: int) -> None:
        """A value names these missing batches: ask its proposer at once."""
        news = [digest for digest in digests if digest not in self.pool.wanted]
        for digest in digests:
            self._past.pop(digest, None)
        self.pool.want(digests, self._outbox.now.monotonic_ms)
        if news and first in self._outbox.connected:
            self._outbox.send(first, WantBatches(tuple(news[:64])))

    def on_tick(self, needed: frozenset[bytes]) -> None:
        """Ask holders for what did not come, drop what can be ordered no more."""
        now = self._outbox.now.monotonic_ms
        self.pool.give_up(now, GIVE_UP_MS, needed)
        asks: dict[int, list[bytes]] = {}
        peers = list(self._outbox.connected)
        for digest, since in self.pool.wanted.items():
            if now - since < PATIENCE_MS or digest in self._checking or not peers:
                continue
            holders = [p for p in sorted(self.pool.holders.get(digest, ())) if p in peers]
            choices = holders or peers
            asks.setdefault(choices[(now // PATIENCE_MS) % len(choices)], []).append(digest)
        for peer, digests in sorted(asks.items()):
            self._outbox.send(peer, WantBatches(tuple(digests[:64])))
        self._drop_stale()
        self._announce_again(now)
        self._batch_soon()

    def _announce_again(self, now_ms: int) -> None:
        if self._setup.me is None or now_ms < self._announced_ms + ANNOUNCE_MS:
            return
        old = [
            held.batch.digest
            for held in self.pool.unordered()
            if now_ms - held.since_ms >= ANNOUNCE_MS
        ]
        if old:
            self._announced_ms = now_ms
            self._outbox.send_some(Have(tuple(old[:DIGESTS_MAX])))

    def _drop_stale(self) -> None:
        for batch in self.pool.drop_stale(self.decided_height):
            self._open.pop(batch.digest, None)
            self._let_pass(batch.digest)
            if batch.digest in self._borrowed:
                del self._borrowed[batch.digest]
                continue
            self._outbox.write(
                [
                    *batch_removal(batch),
                    (layout.aged_key(batch.height, batch.digest), None),
                ],
                sync=False,
            )
            self._outbox.report("dropped batch", creator=batch.creator)

    def has_unordered(self) -> bool:
        """Whether a batch is here that a next value may name."""
        return self.pool.has_unordered(self.decided_height)

    def oldest_age(self) -> int | None:
        """Certified heights that the oldest of these batches has waited; None for no batch."""
        oldest = self.pool.oldest_unordered(self.decided_height)
        return self.certified_height - oldest.since_height if oldest is not None else None
