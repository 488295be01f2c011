"""The replica: the whole node without sockets, disk, clock or threads.  A router.

Events come in through `step`; each goes to the part that owns the matter: `Spreading` (transactions
and batches), `Ordering` (the plugin), `Confirmation` (executions and certificates), `CatchUp`
(falling behind) and `Greeting` (starting again).  What they say is collected into one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from consensus import packets
from consensus.confirmation import Confirmation
from consensus.evidence import Evidence
from consensus.greeting import Greeting
from consensus.guard import Guard
from consensus.inspector import Inspector
from consensus.interface import Decide, Now, Root, Signed, Timer
from consensus.io import (
    FrameArrived,
    Halt,
    HostEvent,
    JobDone,
    Looped,
    PeerDown,
    PeerUp,
    Started,
    Step,
    Submitted,
    TimerRang,
)
from consensus.jobs import CertifiedRange, CheckBlocks, ReadBlocks
from consensus.ordering import PACE_TIMER, Ordering
from consensus.outbox import STOP_TIMER, Outbox
from consensus.recovery import Recovered, Setup
from consensus.spreading import BATCH_TIMER, HAVE_TIMER, Spreading
from consensus.sync import RANGE_BLOCKS_MAX, RANGE_BYTES_MAX, CatchUp
from ledger.batch import Batch
from ledger.errors import Fault
from ledger.execution import Executor
from ledger.statement import Slot

TICK_TIMER = "tick"
TICK_MS = 100
STATUS_TICKS = 5
"""Ticks between two statuses while something is open."""
FAREWELL_TICKS = 120
"""Ticks for which a settled node still helps peers that are behind before it falls silent: longer
than a link outlives the silence of its peer, for a new link brings a status of itself."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """Where a replica stands, for people."""

    decided: int
    executed: int
    certified: int
    slot: Slot
    """Of the last decided value."""
    voting: bool
    refusal: str | None
    pending: int
    """Transactions taken here that are not executed yet."""
    catching_up: bool
    peers: tuple[int, ...]


class Replica:
    """One node of one network."""

    def __init__(self, setup: Setup, recovered: Recovered) -> None:
        genesis = setup.genesis
        self._inspector = Inspector.of(setup)
        # One for all parts, so that none checks again what another has found right.
        setup = replace(setup, inspector=self._inspector)
        self._setup = setup
        self._outbox = Outbox(genesis.epoch.number, setup.me)
        executor = Executor(genesis, setup.applications)
        assert setup.guard is Guard or genesis.test_network, "a loose guard is for test networks"
        guard = setup.guard(
            setup.signer,
            network=genesis.network,
            epoch=genesis.epoch.id,
            said=dict(recovered.said),
            floors=dict(recovered.floors),
            checkpoint=recovered.checkpoint,
        )
        self._spreading = Spreading(
            setup, recovered, self._outbox, guard, executor, self._batches_changed
        )
        self._evidence = Evidence(setup, recovered, self._outbox)
        self._ordering = Ordering(
            setup,
            recovered,
            self._outbox,
            guard,
            self._spreading,
            self._decide,
            self._evidence,
            self._may_run_ahead,
        )
        self._confirmation = Confirmation(
            setup, recovered, self._outbox, guard, self._spreading, executor, self._certified
        )
        self._sync = CatchUp()
        self._greeting = Greeting(setup, self._outbox, guard, self._ordering, self._begin)
        self._ticking = False
        self._ticks = 0
        self._settled_ticks = 0

    def step(self, now: Now, event: HostEvent) -> Step:
        """Take one event to completion."""
        self._outbox.begin(now)
        if self._outbox.stopping is not None:
            return self._stop(self._outbox.stopping, event)
        _ROUTES[type(event)](self, event)
        self._ordering.run()
        self._keep_ticking()
        return self._outbox.finish()

    def _stop(self, reason: str, event: HostEvent) -> Step:
        """Deaf and silent until the last words have left."""
        is_time = isinstance(event, TimerRang) and event.timer == STOP_TIMER
        return Step(outputs=[Halt(reason)] if is_time else [])

    def status(self) -> ReplicaStatus:
        confirmation = self._confirmation
        return ReplicaStatus(
            decided=confirmation.decided.height,
            executed=confirmation.head.height,
            certified=confirmation.certifier.certified,
            slot=confirmation.decided.slot,
            voting=self._ordering.started and confirmation.may_sign,
            refusal=self._greeting.refusal,
            pending=len(self._spreading.pool.pending),
            catching_up=confirmation.is_catching_up,
            peers=tuple(sorted(self._outbox.connected)),
        )

    def is_pending(self, transaction: bytes) -> bool:
        """Whether a transaction was taken here and is not executed yet."""
        return transaction in self._spreading.pool.pending

    # --- events of the host ---

    def _on_started(self, event: Started) -> None:
        if self._evidence.verdict is not None:
            self._outbox.halt(self._evidence.verdict)
            return
        self._greeting.start(event.salt)
        self._confirmation.go_on()
        self._confirmation.try_certify()

    def _begin(self, me: int | None) -> None:
        if me is not None:
            self._confirmation.start_signing()
        self._spreading.start(may_sign=me is not None)
        self._ordering.start(me=me)

    def _on_frame(self, event: FrameArrived) -> None:
        try:
            epoch, packet = self._inspector.packet(event.channel, event.payload)
            if epoch == self._outbox.epoch:
                _PACKETS[type(packet)](self, event.peer, packet)
        except Fault as fault:
            self._outbox.report(
                "refused", peer=event.peer, reason=fault.reason, detail=fault.detail
            )

    def _on_peer_up(self, event: PeerUp) -> None:
        self._outbox.connected[event.peer] = None
        self._settled_ticks = 0
        self._greeting.ask(event.peer)
        self._spreading.announce(event.peer)
        self._outbox.send(event.peer, self._status(reply=True))

    def _on_peer_down(self, event: PeerDown) -> None:
        self._outbox.connected.pop(event.peer, None)
        self._sync.gone(event.peer)

    def _on_timer(self, event: TimerRang) -> None:
        if event.timer == TICK_TIMER:
            self._ticking = False
            self._tick()
        elif event.timer == BATCH_TIMER:
            self._spreading.on_batch_timer()
        elif event.timer == PACE_TIMER:
            self._ordering.on_pace_timer()
        elif event.timer == HAVE_TIMER:
            self._spreading.on_have_timer()
        else:
            assert isinstance(event.timer, Timer)
            self._ordering.on_timer(event.timer)

    def _on_job(self, event: JobDone) -> None:
        self._outbox.job_done(event.job, event.result)
        if isinstance(event.result, Batch):
            held = self._spreading.pool.held.get(event.result.digest)
            if held is not None:
                self._evidence.on_batch(held.batch, held.signature)

    def _on_submitted(self, event: Submitted) -> None:
        self._spreading.on_submitted(event.request, event.transactions)

    def _on_looped(self, event: Looped) -> None:
        assert isinstance(event.content, Signed)
        self._ordering.on_own(event.content)

    # --- from one part to another ---

    def _batches_changed(self) -> None:
        self._ordering.reconsider()
        self._ordering.pending()
        self._confirmation.go_on()

    def _decide(self, effect: Decide) -> None:
        self._confirmation.decide(self._ordering, effect)

    def _certified(self, root: Root) -> None:
        self._ordering.values.pass_by(self._confirmation.passed)
        self._ordering.on_certified(root)
        self._ordering.pending()

    def _may_run_ahead(self) -> bool:
        ahead = self._confirmation.tip.height - self._confirmation.certifier.certified
        return ahead < self._setup.genesis.limits.run_ahead

    # --- packets about checkpoints and catching up ---

    def _on_signature(self, peer: int, packet: packets.CheckpointSignature) -> None:
        self._confirmation.on_signature(peer, packet)
        behind = self._confirmation.certifier.behind(self._confirmation.tip.height)
        if behind:
            self._sync.claim(peer, max(behind, self._sync.claims.get(peer, 0)))

    def _on_checkpoint(self, peer: int, packet: packets.CheckpointCertified) -> None:
        note = self._confirmation.note
        if self._evidence.compare(peer, packet.note, note[1] if note else None):
            return
        ahead = self._confirmation.on_certificate(packet)
        if ahead:
            self._sync.claim(peer, ahead)
            self._ask_for_blocks()

    def _status(self, *, reply: bool) -> packets.Status:
        confirmation = self._confirmation
        return packets.Status(
            confirmation.certifier.certified,
            confirmation.decided.height,
            confirmation.decided.slot,
            reply,
            confirmation.root,
        )

    def _on_status(self, peer: int, packet: packets.Status) -> None:
        confirmation = self._confirmation
        self._sync.claim(peer, packet.certified)
        if packet.reply:
            self._outbox.send(peer, self._status(reply=False))
        certified = confirmation.certifier.certified
        differs = packet.certified == certified and packet.root not in (b"", confirmation.root)
        if packet.certified < certified or differs:
            confirmation.send_certificate(peer)
        if packet.certified >= certified - 1:
            for decision in confirmation.decisions_for(packet.slot):
                self._outbox.send(peer, decision)
        self._ask_for_blocks()

    def _ask_for_blocks(self) -> None:
        confirmation = self._confirmation
        if confirmation.is_catching_up:
            return
        height = confirmation.tip.height
        peer = self._sync.whom_to_ask(height, self._outbox.now.monotonic_ms)
        if peer is not None:
            self._outbox.send(peer, packets.WantBlocks(confirmation.head.height + 1))

    def _on_want_blocks(self, peer: int, packet: packets.WantBlocks) -> None:
        certified = self._confirmation.certifier.certified
        if packet.first <= certified:
            job = ReadBlocks(
                packet.first,
                certified,
                RANGE_BYTES_MAX,
                RANGE_BLOCKS_MAX,
                self._setup.suite,
            )
            self._outbox.start(job, partial(self._send_blocks, peer))

    def _send_blocks(self, peer: int, found: packets.Blocks | None) -> None:
        if found is not None:
            self._outbox.send(peer, found)

    def _on_blocks(self, peer: int, packet: packets.Blocks) -> None:
        head = self._confirmation.head
        if self._sync.asked != peer or self._sync.checking or packet.first != head.height + 1:
            return
        self._sync.checking = True
        job = CheckBlocks(self._setup.genesis, self._setup.suite, head, packet)
        self._outbox.start(job, partial(self._checked_blocks, peer))

    def _checked_blocks(self, peer: int, result: CertifiedRange | Fault) -> None:
        if isinstance(result, Fault):
            self._sync.refused(peer)
            self._outbox.report("refused", peer=peer, reason=result.reason, detail=result.detail)
            # Perhaps the peer's past is another one: then its log, the longer, shows that.
            self._confirmation.send_certificate(peer)
            return
        self._sync.accepted()
        self._confirmation.catch_up(result)

    # --- time ---

    def _is_open(self) -> bool:
        """Whether anything here waits for a peer or for time."""
        confirmation = self._confirmation
        return (
            self._greeting.open
            or confirmation.decided.height > confirmation.certifier.certified
            or self._spreading.has_unordered()
            or bool(self._spreading.pool.waiting)
            or bool(self._spreading.pool.wanted)
            or self._ordering.is_waiting()
            or self._sync.best() > confirmation.certifier.certified
        )

    def _peers_behind(self) -> bool:
        certified = self._confirmation.certifier.certified
        return any(claim < certified for claim in self._sync.claims.values())

    def _keep_ticking(self) -> None:
        if self._ticking:
            return
        is_open = self._is_open()
        if is_open:
            self._settled_ticks = 0
        if is_open or (self._peers_behind() and self._settled_ticks < FAREWELL_TICKS):
            self._ticking = True
            self._outbox.start_timer(TICK_TIMER, TICK_MS)

    def _tick(self) -> None:
        self._ticks += 1
        self._outbox.flush()
        if not self._is_open():
            self._settled_ticks += 1
        self._spreading.on_tick(self._ordering.needed_batches())
        self._ordering.on_tick()
        self._confirmation.go_on()
        if self._ticks % STATUS_TICKS == 0:
            self._greeting.ask_again()
            peers = self._outbox.next_few()
            for peer in peers:
                self._spreading.announce(peer)
            self._confirmation.send_own()
            self._outbox.send_each(peers, self._status(reply=True))
        self._ask_for_blocks()


def _to_greeting(replica: Replica, peer: int, packet: packets.WhatDidISay) -> None:
    note = replica._confirmation.note
    replica._greeting.on_question(
        peer, packet, replica._confirmation.certifier, note[1] if note else None
    )


_ROUTES: dict[type, Callable[[Replica, Any], None]] = {
    Started: Replica._on_started,
    FrameArrived: Replica._on_frame,
    PeerUp: Replica._on_peer_up,
    PeerDown: Replica._on_peer_down,
    TimerRang: Replica._on_timer,
    JobDone: Replica._on_job,
    Submitted: Replica._on_submitted,
    Looped: Replica._on_looped,
}
_PACKETS: dict[type, Callable[[Replica, int, Any], None]] = {
    packets.SignedPacket: lambda r, peer, packet: r._ordering.on_signed(peer, packet),
    packets.CertificatePacket: lambda r, peer, packet: r._ordering.on_certificate(packet),
    packets.TellPacket: lambda r, peer, packet: r._ordering.on_tell(peer, packet),
    packets.WantValue: lambda r, peer, packet: r._ordering.on_want_value(peer, packet),
    packets.ValuePacket: lambda r, peer, packet: r._ordering.on_value(packet),
    packets.DecisionPacket: lambda r, peer, packet: r._ordering.on_decision(packet),
    packets.BatchPacket: lambda r, peer, packet: r._spreading.on_batch(peer, packet),
    packets.Have: lambda r, peer, packet: r._spreading.on_have(peer, packet),
    packets.WantBatches: lambda r, peer, packet: r._spreading.on_want(peer, packet),
    packets.CheckpointSignature: Replica._on_signature,
    packets.CheckpointCertified: Replica._on_checkpoint,
    packets.Status: Replica._on_status,
    packets.WantBlocks: Replica._on_want_blocks,
    packets.Blocks: Replica._on_blocks,
    packets.WhatDidISay: _to_greeting,
    packets.ForkFound: lambda r, peer, packet: r._evidence.on_fork_found(peer, packet),
    packets.YouSaid: lambda r, peer, packet: r._greeting.on_answer(peer, packet),
}
