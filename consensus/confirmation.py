"""From decided to executed to certified: the three heights, each durable and monotone.

Decisions become block headers, headers become executions, executions end with a signed checkpoint,
and a quorum of those is the certificate.  Confirmed means certified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from consensus.certifier import COLLECTING_MS, Certifier, collectors
from consensus.guard import Guard
from consensus.inspector import Inspector
from consensus.interface import Decide, Root
from consensus.io import Confirmed
from consensus.jobs import CertifiedBlock, CertifiedRange, ExecuteBlock
from consensus.ordering import Ordering
from consensus.outbox import Outbox
from consensus.packets import CheckpointCertified, CheckpointSignature, DecisionPacket
from consensus.recovery import (
    Decision,
    Recovered,
    Setup,
    encode_decided_head,
    encode_decision,
)
from consensus.spreading import Spreading
from consensus.values import Judgement
from ledger import layout
from ledger.batch import Batch
from ledger.batch_store import batch_writes
from ledger.block import BlockHeader
from ledger.certified import CheckpointCertificate, checkpoint_message, parse_certificate
from ledger.chain import Tip, next_header, tip_of
from ledger.errors import PeerFault
from ledger.execution import Execution, Executor
from ledger.store import Write
from ledger.value import Value

DECISIONS_MAX = 64
"""Decisions that one status is answered with."""
LARGE_PROOF = 128
"""Signed messages of a proof from which on it is large: the blocks of a DAG, some megabytes."""
SETTLING_MS = 1_000
"""How long everyone has to decide by itself: a few times around the world."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A decided block on its way to its execution."""

    header: BlockHeader
    root: Root


class Confirmation:
    """The decided sequence of one node, and how far it is executed and certified."""

    def __init__(
        self,
        setup: Setup,
        recovered: Recovered,
        outbox: Outbox,
        guard: Guard,
        spreading: Spreading,
        executor: Executor,
        certified: Callable[[Root], None],
    ) -> None:
        genesis = setup.genesis
        self._setup = setup
        self._inspector = Inspector.of(setup)
        self._outbox = outbox
        self._guard = guard
        self._spreading = spreading
        self._executor = executor
        self._on_certified = certified
        self._validators = genesis.epoch.validators
        self.head = recovered.head
        self.tip = recovered.decided_tip
        self.decided = recovered.decided
        self.certifier = Certifier(self._validators.quorum, recovered.certified)
        self.note: tuple[int, bytes] | None = None
        self.root = b""
        """(height, note) of the latest certificate here, and the root of its log."""
        self.may_sign = False
        """Whether this validator has learned that it forgot nothing it ever signed."""
        self._queue: deque[_Entry] = deque()
        self._uncertified: dict[int, tuple[Root, Tip]] = {}
        """height -> the root and the tip it leads to, of blocks decided or executed here."""
        self.passed: tuple[Root, ...] = ()
        """What the latest certificate covers beyond the one before it."""
        self._decisions: deque[Decision] = deque()
        self._decided_ms: dict[int, int] = {}
        """Ordinal -> when it was decided here, of decisions with a large proof."""
        self._signed_ms = -COLLECTING_MS
        """When collectors got the own latest signature; long ago where nobody collects."""
        self._running = False
        self._catching_up: deque[CertifiedBlock] = deque()
        self._range: CertifiedRange | None = None
        self._restore(recovered)

    def _restore(self, recovered: Recovered) -> None:
        """Rebuild the decided but uncertified tail from its decisions."""
        head = recovered.head
        if recovered.note is not None:
            self.note = (recovered.certified, recovered.note)
            origin = self._setup.genesis.origin
            self.root = parse_certificate(recovered.note, origin, self._validators).root
        for log in recovered.logs:
            self.certifier.executed(log.root.height, log.size, log.hash)
            self._uncertified[log.root.height] = (log.root, log.tip)
        own = recovered.checkpoint
        if own is not None and own.height > recovered.certified and self._setup.me is not None:
            self.certifier.own = own
            self._count_own()
        tip = head.tip
        for decision in recovered.decisions:
            self._decisions.append(decision)
            for offset, value in enumerate(decision.values):
                header = next_header(self._setup.genesis.network, tip, value)
                if header is None or value.slot <= head.slot:
                    continue
                tip = tip_of(header)
                root = Root(value.digest, value.slot, header.height)
                ordinal = decision.ordinal + offset
                self._queue.append(_Entry(header, root))
                self._uncertified[header.height] = (root, tip)
                self._spreading.pool.mark_ordered(header.payload, ordinal, header.height)
        assert tip.height == recovered.decided_tip.height, "the decisions do not lead to the tip"

    # --- decided ---

    def decide(self, ordering: Ordering, effect: Decide) -> None:
        """Append newly decided values and make them durable with their proof."""
        first = ordering.values.position.ordinal + 1
        for value in effect.values:
            verdict = ordering.values.judge_decided(
                value, self._spreading.pool, self._outbox.now.wall_ms
            )
            if verdict is Judgement.NEVER:
                self._part_ways(
                    f"a quorum decided the value {value.digest.hex()}, which is invalid here: "
                    "too many validators are faulty, or this node is"
                )
                return
            self._append(ordering, value)
        decision = Decision(first, effect.values, effect.proof)
        self._decisions.append(decision)
        if len(effect.proof.signed) > LARGE_PROOF:
            self._decided_ms[first] = self._outbox.now.monotonic_ms
        proof = encode_decision(decision, self._outbox.epoch)
        head = encode_decided_head(ordering.values.position.ordinal, self.tip, self.decided)
        self._outbox.write(
            [(layout.height_key(layout.DECIDED, first), proof), (layout.DECISION_HEAD, head)],
            sync=True,
        )
        ordering.on_decided(effect.values[-1])
        self.go_on()

    def _append(self, ordering: Ordering, value: Value) -> None:
        position = ordering.values.decided(value)
        header = next_header(self._setup.genesis.network, self.tip, value)
        self.decided = Root(value.digest, value.slot, position.height)
        self._spreading.decided_height = position.height
        self._spreading.pace.decides(value, self._outbox.now.monotonic_ms)
        if header is None:
            return
        self.tip = tip_of(header)
        self._queue.append(_Entry(header, self.decided))
        self._uncertified[header.height] = (self.decided, self.tip)
        self._spreading.on_ordered(value.payload, position.ordinal, header.height)
        self._outbox.report(
            "decided",
            height=header.height,
            block=header.hash,
            slot=header.slot,
            proposer=header.proposer,
            batches=len(header.payload),
        )

    def decisions_for(self, slot: tuple[int, ...]) -> list[DecisionPacket]:
        """Uncertified decisions beyond a peer's slot, oldest first.

        One whose proof is large is sent a little later: most have decided it themselves by then.
        """
        settled_ms = self._outbox.now.monotonic_ms - SETTLING_MS
        lacking = [
            decision
            for decision in self._decisions
            if decision.values[-1].slot > slot
            and self._decided_ms.get(decision.ordinal, settled_ms) <= settled_ms
        ]
        return [DecisionPacket.of(each.values, each.proof) for each in lacking[:DECISIONS_MAX]]

    # --- executed ---

    def go_on(self) -> None:
        """Start the next execution if its batches are here and none is running."""
        if self._running:
            return
        if self._catching_up:
            block = self._catching_up[0]
            self._execute(block.header, block.batches)
            return
        while self._queue and self._queue[0].header.height <= self.head.height:
            stale = self._queue.popleft().header
            if stale.height == self.head.height and stale.hash != self.head.tip.hash:
                self._outbox.halt(f"two blocks are decided at height {stale.height}: a fork")
                return
        if not self._queue:
            return
        header = self._queue[0].header
        pool = self._spreading.pool
        missing = pool.missing(header.payload)
        if missing:
            self._spreading.want(missing, header.proposer)
            return
        self._queue.popleft()
        self._execute(header, tuple(pool.held[digest].batch for digest in header.payload))

    def _execute(self, header: BlockHeader, batches: tuple[Batch, ...]) -> None:
        self._running = True
        job = ExecuteBlock(self._executor, self.head, header, batches)
        self._outbox.start(job, self._executed)

    def _executed(self, execution: Execution) -> None:
        self._running = False
        header, head = execution.header, execution.head
        self.head = head
        self._spreading.executed_height = head.height
        writes = list(execution.writes)
        root = head.root()
        self.certifier.executed(head.height, head.size, root)
        if self._catching_up:
            writes += self._caught_up(execution)
        else:
            pool = self._spreading.pool
            for digest in header.payload:
                made = pool.held[digest].batch.height
                writes.append((layout.aged_key(made, digest), None))
            self._spreading.pool.executed(
                [pool.held[digest].batch for digest in header.payload], head.height
            )
        self._outbox.write(writes, sync=True)
        self._outbox.report(
            "executed",
            height=head.height,
            applied=execution.applied,
            failed=execution.failed,
            skipped=execution.skipped,
        )
        if self._range is not None and not self._catching_up:
            self._finish_range()
        elif not self._catching_up:
            self._sign_checkpoint(root)
            self.try_certify()
        self.go_on()

    def start_signing(self) -> None:
        """Sign what is executed from now on, and what has been executed so far."""
        self.may_sign = True
        if self.head.height > self.certifier.certified and not self.is_catching_up:
            self._sign_checkpoint(self.head.root())
            self.try_certify()

    def _sign_checkpoint(self, root: bytes) -> None:
        last = self._guard.checkpoint
        head = self.head
        if not self.may_sign or (last is not None and last.height >= head.height):
            return
        me, origin = self._setup.me, self._setup.genesis.origin
        assert me is not None, "an observer signs nothing"
        key = self._validators.checkpoint_key(me)
        message = checkpoint_message(key, origin, head.size, root)
        signed, writes = self._guard.sign_checkpoint(head.height, head.size, root, message)
        self._outbox.write(writes, sync=True)
        self.certifier.own = signed
        self._count_own()
        self._send_first()

    def _send_first(self) -> None:
        """Send a new signature to whoever collects it: everyone, or a few in a large network."""
        chosen = collectors(self._validators, self.head.height)
        packet = self._own_packet()
        if not chosen or packet is None:
            self.send_own()
            return
        self._signed_ms = self._outbox.now.monotonic_ms
        for collector in chosen:
            if collector != self._setup.me:
                self._outbox.send(collector, packet)

    def _own_packet(self) -> CheckpointSignature | None:
        own, me = self.certifier.own, self._setup.me
        if own is None or me is None:
            return None
        return CheckpointSignature(me, own.height, own.size, own.root, own.signature)

    def _count_own(self) -> None:
        packet = self._own_packet()
        if packet is not None and self.certifier.wants(packet, packet.height):
            self.certifier.add(packet)

    def send_own(self) -> None:
        """Send the own latest signature to everyone, until a certificate covers it."""
        packet = self._own_packet()
        waits_ms = self._outbox.now.monotonic_ms - self._signed_ms
        if packet is not None and waits_ms >= COLLECTING_MS:
            self._outbox.send_all(packet)

    # --- certified ---

    def on_signature(self, peer: int, packet: CheckpointSignature) -> None:
        """Count a validator's checkpoint signature.  Raises Fault where it is wrong."""
        self._validators.checkpoint_key(packet.signer)
        repeated = self.certifier.is_repeated(packet)
        if packet.height <= self.certifier.certified:
            # The last of a quorum's signatures is late for everyone who has the others already;
            # only a signer that says it again still lacks the certificate.
            if repeated and peer == packet.signer:
                self.send_certificate(peer)
            return
        if not self.certifier.wants(packet, self.head.height):
            return
        key = self._validators.checkpoint_key(packet.signer)
        origin = self._setup.genesis.origin
        message = checkpoint_message(key, origin, packet.size, packet.root)
        if not self._setup.suite.checkpoints.verify(key, message, packet.signature):
            raise PeerFault("checkpoint.signature", culprit=packet.signer)
        self.certifier.add(packet)
        self.try_certify()

    def send_certificate(self, peer: int) -> None:
        """Send the latest certificate: it covers all lower heights."""
        if self.note is not None:
            self._outbox.send(peer, CheckpointCertified(*self.note))

    def on_certificate(self, packet: CheckpointCertified) -> int:
        """Use a certificate for the own log; the height it claims if that is ahead, else 0."""
        if packet.height <= self.certifier.certified:
            return 0
        certificate = self._inspector.checkpoint(packet.note)
        for height, (size, root) in self.certifier.logs.items():
            if size == certificate.size:
                if root != certificate.root:
                    self._part_ways(f"execution diverged at height {height}: see the certificate")
                else:
                    self._install(height, certificate, packet.note)
                return 0
        return packet.height if certificate.size > self.head.size else 0

    def try_certify(self) -> None:
        """Make a certificate where a quorum signed what was executed here."""
        divergence = self.certifier.divergence()
        if divergence is not None:
            self._part_ways(divergence)
            return
        found = self.certifier.certificate()
        if found is not None:
            note = found[1].note(self._setup.genesis.origin, self._validators)
            self._install(*found, note)
            if self.note is not None and self._setup.me in collectors(self._validators, found[0]):
                self._outbox.send_all(CheckpointCertified(*self.note))

    def _part_ways(self, reason: str) -> None:
        """Stop loudly, but show the others the own certificate first: if it contradicts theirs,
        whoever has the longer log holds the evidence."""
        last_words = [] if self.note is None else [CheckpointCertified(*self.note)]
        self._outbox.stop(reason, last_words=last_words)

    def _install(self, height: int, certificate: CheckpointCertificate, note: bytes) -> None:
        root, tip = self._uncertified[height]
        self.note, self.root = (height, note), certificate.root
        writes: list[Write] = [
            (layout.height_key(layout.CERT, height), note),
            (layout.CERTIFIED, height.to_bytes(8, "big")),
        ]
        while self._decisions and self._decisions[0].values[-1].slot <= root.slot:
            gone = self._decisions.popleft()
            self._decided_ms.pop(gone.ordinal, None)
            writes.append((layout.height_key(layout.DECIDED, gone.ordinal), None))
        self._outbox.write(writes, sync=True)
        self.certifier.cover(height)
        self.passed = tuple(each for at, (each, _) in self._uncertified.items() if at <= height)
        for old in [old for old in self._uncertified if old <= height]:
            del self._uncertified[old]
        if height > self.tip.height:
            # Certified beyond what was decided here: the next decision builds on this block, in
            # the same moment in which the plugin hears of its root.
            self.tip, self.decided = tip, root
            self._spreading.decided_height = height
        self._spreading.certified_height = height
        self._outbox.put(Confirmed(height))
        self._outbox.report("certified", height=height, size=certificate.size)
        self._on_certified(root)

    # --- catching up ---

    def catch_up(self, checked: CertifiedRange) -> None:
        """Execute a checked range of certified blocks instead of what is decided here."""
        if self._catching_up or self._range is not None or self._running:
            return
        blocks = [block for block in checked.blocks if block.header.height > self.head.height]
        if not blocks or blocks[0].header.previous_hash != self.head.tip.hash:
            return
        self._catching_up.extend(blocks)
        self._range = checked
        self.go_on()

    @property
    def is_catching_up(self) -> bool:
        return self._range is not None

    def _caught_up(self, execution: Execution) -> list[Write]:
        block = self._catching_up.popleft()
        if execution.leaves != block.leaves:
            self._outbox.halt(
                f"execution diverged at height {block.header.height}: the certified log differs"
            )
        writes: list[Write] = []
        pool = self._spreading.pool
        self._spreading.on_ordered(block.header.payload, 0, block.header.height)
        for batch, signature in zip(block.batches, block.signatures, strict=True):
            writes += batch_writes(batch, signature)
            writes.append((layout.aged_key(batch.height, batch.digest), None))
        pool.executed(block.batches, block.header.height)
        root = Root(block.header.value, block.header.slot, block.header.height)
        self._uncertified[block.header.height] = (root, tip_of(block.header))
        return writes

    def _finish_range(self) -> None:
        checked = self._range
        assert checked is not None
        self._range = None
        height = self.head.height
        certificate = parse_certificate(checked.note, self._setup.genesis.origin, self._validators)
        log = self.certifier.logs.get(height)
        if log is None:
            return
        if log != (certificate.size, certificate.root):
            self._outbox.halt(f"execution diverged at height {height}: the certified log differs")
            return
        self._install(height, certificate, checked.note)
        self._outbox.report("caught up", height=height)
