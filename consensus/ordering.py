"""The plugin's desk: checks what reaches it, carries out what it says.

Every signature and certificate is checked here before the plugin sees it; everything it says is
guarded, signed and made durable here before anyone else sees it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from consensus.dissemination import Dissemination
from consensus.evidence import Evidence
from consensus.guard import Guard
from consensus.inspector import Inspector
from consensus.interface import (
    Accuse,
    AnyCertificate,
    Broadcast,
    CancelTimer,
    CertificateReceived,
    Certified,
    Context,
    Decide,
    DecisionReceived,
    Dismiss,
    Event,
    Fetch,
    Forward,
    Hint,
    Message,
    Note,
    Offer,
    PayloadReady,
    Pending,
    Persist,
    Received,
    Recovery,
    RequestPayload,
    Root,
    Send,
    SetTimer,
    Settle,
    Signed,
    Start,
    Tell,
    Timer,
    TimerFired,
    Validate,
    ValueReceived,
    Verdict,
)
from consensus.io import Report
from consensus.outbox import Outbox
from consensus.packets import (
    CertificatePacket,
    DecisionPacket,
    SignedPacket,
    TellPacket,
    ValuePacket,
    WantValue,
)
from consensus.recovery import Recovered, Setup
from consensus.spreading import PATIENCE_MS, Spreading
from consensus.values import Judgement, Position, Values
from ledger import layout
from ledger.encoding import encode
from ledger.errors import PeerFault
from ledger.statement import Slot
from ledger.value import Value, parse_value

PACE_TIMER = "pace"
EARLY_MAX = 1_000
"""Plugin events kept while the plugin has not started."""
ANSWERS_MAX = 10_000
"""Events of one step that answer what the plugin said in it; one that asks for ever meets this."""


class Ordering:
    """One plugin in one epoch."""

    def __init__(
        self,
        setup: Setup,
        recovered: Recovered,
        outbox: Outbox,
        guard: Guard,
        spreading: Spreading,
        decide: Callable[[Decide], None],
        evidence: Evidence,
        may_run_ahead: Callable[[], bool],
    ) -> None:
        self._setup = setup
        self._epoch = setup.genesis.epoch
        self._outbox = outbox
        self._guard = guard
        self._spreading = spreading
        self._decide = decide
        self._evidence = evidence
        self._may_run_ahead = may_run_ahead
        self._inspector = Inspector.of(setup)
        self._events: deque[Event] = deque()
        self._started = False
        self._recovered = recovered
        self._validating: dict[bytes, Value] = {}
        self._payload_asked: RequestPayload | None = None
        self._fetching: dict[bytes, Slot] = {}
        """Values that were asked for, and the plugin's root then."""
        self._settling: list[Settle] = []
        lag = setup.protocol.ordering_lag(setup.genesis.limits.batch_window)
        self.values = Values(
            setup.genesis.limits,
            self._epoch.id,
            recovered.decided.value,
            Position(recovered.decided_ordinal, recovered.decided.height),
            earlier=recovered.positions,
            lag=lag,
            brings_time=setup.protocol.brings_time,
        )
        self.pool.lag = lag
        self.highest: dict[int, dict[str, tuple[Slot, bytes, bytes]]] = {}
        """By validator and phase: the highest statement seen, to remind one that lost its disk."""
        for decision in recovered.decisions:
            for value in (*decision.values, *decision.proof.values):
                self.values.learn(value)
        for signed in recovered.sent:
            for value in signed.message.values():
                self.values.learn(value)

    @property
    def pool(self) -> Dissemination:
        return self._spreading.pool

    @property
    def started(self) -> bool:
        return self._started

    def start(self, *, me: int | None) -> None:
        """Create the plugin, voting as validator `me` or only following, and let it begin."""
        assert not self._started
        context = Context(
            network=self._setup.genesis.network,
            epoch=self._epoch.id,
            me=me,
            validators=self._epoch.validators,
            parameters=self._setup.parameters(),
            slot_window=self._setup.genesis.limits.slot_window,
            batch_window=self._setup.genesis.limits.batch_window,
        )
        recovery = Recovery(
            root=self._root,
            record=self._recovered.record,
            sent=self._recovered.sent if me is not None else (),
        )
        self.plugin = self._setup.protocol(context, recovery)
        self._started = True
        self._events.appendleft(Start())
        age = self._spreading.oldest_age()
        if age is not None:
            self._events.append(Pending(age))

    @property
    def _root(self) -> Root:
        return self._adopted or self._recovered.decided

    _adopted: Root | None = None

    # --- what reaches the plugin ---

    def on_signed(self, peer: int, packet: SignedPacket) -> None:
        """Check a peer's message whole, then hand it on.  Raises Fault."""
        message = self._inspector.message(packet)
        phase, slot, value = message.statement()
        seen = self.highest.setdefault(packet.sender, {})
        if phase not in seen or slot > seen[phase][0]:
            seen[phase] = (slot, value, packet.signature)
        self._evidence.on_statement(packet.sender, phase, slot, value, packet.signature)
        for certificate in message.certificates():
            self._evidence.on_certificate(certificate)
        self._learn(message.values())
        self._queue(Received(Signed(packet.sender, message, packet.signature)))

    def on_certificate(self, packet: CertificatePacket) -> None:
        """Check a certificate that came by itself.  Raises Fault."""
        certificate = packet.certificate()
        self._check_certificate(certificate)
        self._queue(CertificateReceived(certificate))

    def on_tell(self, peer: int, packet: TellPacket) -> None:
        self._queue(Hint(peer, packet.hint))

    def on_want_value(self, peer: int, packet: WantValue) -> None:
        value = self.values.known.get(packet.digest)
        if value is not None:
            self._outbox.send(peer, ValuePacket(value.raw))

    def on_value(self, packet: ValuePacket) -> None:
        """A value that was asked for.  Raises Fault; one nobody asked for is dropped."""
        value = parse_value(packet.value)
        if value.digest in self._fetching:
            self._learn((value,))

    def on_decision(self, packet: DecisionPacket) -> None:
        """A peer's decision: its certificates are checked here, the commit rule by the plugin."""
        values, proof = packet.parse(self._inspector.message)
        if not (proof.certificates or proof.signed):
            raise PeerFault("decision.no-certificate")
        for certificate in proof.certificates:
            self._check_certificate(certificate)
        for signed in proof.signed:
            self._evidence.on_statement(
                signed.sender, *signed.message.statement(), signed.signature
            )
        self._learn((*values, *proof.values))
        self._queue(DecisionReceived(values, proof))

    def on_own(self, signed: Signed) -> None:
        """An own message is durable now."""
        self._queue(Received(signed))

    def on_timer(self, timer: Timer) -> None:
        self._queue(TimerFired(timer))

    def on_certified(self, root: Root) -> None:
        """A certificate covers this root.  Settled floors may take effect."""
        if root.height > self.values.position.height:
            self.values.adopt(root.value, root.height)
            self._adopted = root
            self._pass_over(root.slot)
        # Before anything else that waits: what follows must be judged from the new root.
        self._events.appendleft(Certified(root))
        self._fetching = still_fetched(self._fetching, root)
        settling, self._settling = self._settling, []
        for effect in settling:
            if effect.floor <= (root.slot[0] + 1, *[0] * (len(effect.floor) - 1)):
                self._outbox.write(self._guard.settle(effect.phase, effect.floor), sync=False)
            else:
                self._settling.append(effect)
        self.reconsider()

    def pending(self) -> None:
        """A batch came, or time passed: the plugin may have something to order."""
        self._answer_payload()
        age = self._spreading.oldest_age()
        if age is not None:
            self._queue(Pending(age))

    def _learn(self, values: tuple[Value, ...]) -> None:
        for value in values:
            self.values.learn(value)
            if value.digest in self._fetching:
                del self._fetching[value.digest]
                self._queue(ValueReceived(value))
        if values and self._validating:
            self.reconsider()

    def _queue(self, event: Event) -> None:
        if self._started or len(self._events) < EARLY_MAX:
            self._events.append(event)

    def run(self) -> None:
        """Let the plugin take every queued event, carrying out what it says."""
        left = len(self._events) + ANSWERS_MAX
        while self._started and self._events:
            assert left > 0, f"{self._setup.protocol.name} asks for ever within one step"
            left -= 1
            event = self._events.popleft()
            for effect in self.plugin.step(self._outbox.now, event):
                _CARRY_OUT[type(effect)](self, effect)

    def _check_certificate(self, certificate: AnyCertificate) -> None:
        """Raise Fault unless it is right; it may prove more than it was made for."""
        self._inspector.check_certificate(certificate)
        self._evidence.on_certificate(certificate)

    # --- what the plugin says ---

    def _sign(self, message: Message) -> tuple[Signed, SignedPacket]:
        me = self._setup.me
        assert me is not None, "an observer says nothing"
        signed, writes = self._guard.sign(me, message)
        self._outbox.write(writes, sync=bool(writes))
        for value in message.values():
            self.values.learn(value)
        packet = SignedPacket(me, message.KIND, encode(message.row()), signed.signature)
        return signed, packet

    def _broadcast(self, effect: Broadcast) -> None:
        if isinstance(effect.what, AnyCertificate):
            self._outbox.send_all(CertificatePacket.of(effect.what))
            return
        signed, packet = self._sign(effect.what)
        self._outbox.send_all(packet)
        self._outbox.loop(signed)

    def _send(self, effect: Send) -> None:
        mine = effect.to == self._setup.me
        if isinstance(effect.what, AnyCertificate):
            if not mine:
                self._outbox.send(effect.to, CertificatePacket.of(effect.what))
            return
        signed, packet = self._sign(effect.what)
        if mine:
            self._outbox.loop(signed)
        else:
            self._outbox.send(effect.to, packet)

    def _forward(self, effect: Forward) -> None:
        signed = effect.signed
        row = encode(signed.message.row())
        packet = SignedPacket(signed.sender, signed.message.KIND, row, signed.signature)
        self._outbox.send(effect.to, packet)

    def _tell(self, effect: Tell) -> None:
        self._outbox.send(effect.to, TellPacket(effect.hint))

    def _persist(self, effect: Persist) -> None:
        self._outbox.write([(layout.PLUGIN, effect.record)], sync=True)

    def _settle(self, effect: Settle) -> None:
        # A floor never passes a slot whose decision is not certified: it waits until one is.
        self._settling.append(effect)

    def _set_timer(self, effect: SetTimer) -> None:
        self._outbox.start_timer(effect.timer, effect.delay_ms)

    def _cancel_timer(self, effect: CancelTimer) -> None:
        self._outbox.stop_timer(effect.timer)

    def _request_payload(self, effect: RequestPayload) -> None:
        self._payload_asked = effect
        self._answer_payload()

    def _answer_payload(self) -> None:
        asked = self._payload_asked
        if asked is None or not self._may_run_ahead():
            return
        line = self.values.excluded(asked.parent)
        if line is None:
            return
        named, position = line
        now_ms = self._outbox.now.monotonic_ms
        payload = self.pool.select(named, position.height + 1, now_ms, PATIENCE_MS)
        rest_ms = self._spreading.pace.rest_ms(now_ms)
        # Where undecided values wait for this one, it must not wait itself.
        may_wait = asked.parent in (b"", self.values.head) and self.pool.is_small(payload)
        if rest_ms > 0 and may_wait:
            self._outbox.start_timer(PACE_TIMER, rest_ms)
            return
        self._payload_asked = None
        self._queue(PayloadReady(asked.slot, payload))

    def _validate(self, effect: Validate) -> None:
        self.values.learn(effect.value)
        self._spreading.pace.begins(effect.value, self._outbox.now.monotonic_ms)
        self._validating[effect.value.digest] = effect.value
        self.reconsider()

    def _dismiss(self, effect: Dismiss) -> None:
        self._validating.pop(effect.value.digest, None)

    def reconsider(self) -> None:
        """Judge again every value whose verdict is not yet."""
        if not self._may_run_ahead():
            return
        for digest, value in list(self._validating.items()):
            verdict = self.values.judge(value, self.pool, self._outbox.now.wall_ms)
            if verdict is Judgement.NOT_YET:
                missing = [one for one in value.payload if self.pool.transactions(one) is None]
                if missing:
                    self._spreading.want(missing, value.proposer)
                continue
            del self._validating[digest]
            self.pool.release(value.payload, self._spreading.executed_height)
            self._queue(Verdict(value, verdict is Judgement.VALID))

    def _fetch(self, effect: Fetch) -> None:
        value = self.values.known.get(effect.value)
        if value is not None:
            self._queue(ValueReceived(value))
        elif effect.value not in self._fetching:
            self._fetching[effect.value] = self.plugin.root.slot
            self._outbox.send_all(WantValue(effect.value))

    def _offer(self, effect: Offer) -> None:
        self.values.learn(effect.value)

    def on_pace_timer(self) -> None:
        """The last block is long enough ago for the next."""
        self._answer_payload()

    def on_decided(self, last: Value) -> None:
        """Forget verdicts that nobody waits for any more."""
        self._pass_over(last.slot)

    def _pass_over(self, slot: Slot) -> None:
        for digest, value in list(self._validating.items()):
            if value.slot <= slot:
                del self._validating[digest]

    def _note(self, effect: Note) -> None:
        self._outbox.put(Report(effect.name, effect.fields))

    # --- time ---

    def needed_batches(self) -> frozenset[bytes]:
        """Batches that a value under judgement names."""
        return frozenset(d for value in self._validating.values() for d in value.payload)

    def is_waiting(self) -> bool:
        """Whether something here needs the tick: a verdict or a fetch."""
        return bool(self._validating or self._fetching)

    def on_tick(self) -> None:
        for digest in self._fetching:
            self._outbox.send_all(WantValue(digest))
        self.reconsider()
        self.pending()


def still_fetched(fetching: dict[bytes, Slot], root: Root) -> dict[bytes, Slot]:
    """The values, and the slot of the plugin's root when each was asked for, that are still fetched
    once a root is certified: those asked for at that one or later.

    What was asked for before may be superfluous by now, and the plugin, which has come to a new
    root since then, asks anew where not.  What it asked for since then it asks for once.
    """
    return {digest: slot for digest, slot in fetching.items() if slot >= root.slot}


_CARRY_OUT: dict[type, Callable[[Ordering, Any], None]] = {
    Broadcast: Ordering._broadcast,
    Send: Ordering._send,
    Forward: Ordering._forward,
    Tell: Ordering._tell,
    Persist: Ordering._persist,
    Settle: Ordering._settle,
    SetTimer: Ordering._set_timer,
    CancelTimer: Ordering._cancel_timer,
    RequestPayload: Ordering._request_payload,
    Validate: Ordering._validate,
    Dismiss: Ordering._dismiss,
    Fetch: Ordering._fetch,
    Offer: Ordering._offer,
    Decide: lambda ordering, effect: ordering._decide(effect),
    Accuse: lambda ordering, effect: ordering._evidence.accuse(effect.first, effect.second),
    Note: Ordering._note,
}
