"""Sample: one value after the other, two phases of votes, views that end together.

Source: Castro and Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999), with one request in
progress and signed certificates.  Slot = (instance, view); a quorum is the epoch's.

    Upon work, at the leader of view 0:      propose a payload
    Upon a leader's proposal, once:          prepare it, if it is valid and its view was not left
    Upon a quorum that prepared a value:     remember the proof, commit the value
    Upon a quorum that committed a value:    decide it, go to the next instance
    Upon the view's timer, or f+1 who leave: leave the view and say what was prepared last, with
                                             proof; prepare and commit nothing more in it
    Upon a quorum that left a view:          enter the next one; its leader proposes what was
                                             prepared in the highest view that they name, or a
                                             payload where they name none

Commit rule: one certificate of phase "commit" for the value, of any view of its instance.
Durable: the last proof of preparation with its value, and why this view was entered.
Liveness: the timer sends again all that was said in this view, and why it was entered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import (
    AnyCertificate,
    Consensus,
    Context,
    DecisionProof,
    Message,
    Recovery,
    Root,
    Signed,
    Timer,
)
from consensus.leaders import round_robin
from consensus.tally import Tally
from ledger import encoding
from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

PROPOSE, PREPARE, COMMIT, LEAVE = "propose", "prepare", "commit", "leave"
EARLY_MAX = 64
claim_shape = encoding.optional(encoding.row(encoding.uint(), encoding.digest))


def claim_of(prepared: Certificate | None) -> bytes:
    """What one says when leaving: the view and the value that were prepared last, or nothing."""
    claim = (prepared.slot[1], prepared.value) if prepared is not None else None
    return encoding.encode(claim)


def highest_claim(left: TimeoutCertificate) -> tuple[int, bytes] | None:
    """The highest view, with its value, that anyone of a quorum claims.  Raises DecodeFault."""
    claims = [
        encoding.decode(said, claim_shape, size_max=len(said), what="claim")
        for _, said, _ in left.entries
    ]
    return max((tuple(claim) for claim in claims if claim is not None), default=None)


def check_prepared(prepared: Certificate | None, instance: int, view: int) -> None:
    """Raise DecodeFault unless this proves a preparation in this instance, up to this view."""
    if prepared is None:
        return
    fits = prepared.phase == PREPARE and len(prepared.slot) == 2
    if not (fits and prepared.slot[0] == instance and prepared.slot[1] <= view):
        raise DecodeFault("sample.prepared", f"{prepared.phase} {prepared.slot}")


def check_left(left: TimeoutCertificate | None, instance: int, view: int) -> None:
    """Raise DecodeFault unless this is why view was entered; nothing is needed for view 0."""
    wanted = None if view == 0 else (LEAVE, (instance, view - 1))
    if wanted != (None if left is None else (left.phase, left.slot)):
        raise DecodeFault("sample.left", f"no reason to be in {instance, view}")
    if left is not None:
        highest_claim(left)


@dataclass(frozen=True, slots=True)
class Proposal(Message):
    """The leader's value for a view."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[encoding.Shape] = encoding.row(
        encoding.blob(VALUE_BYTES_MAX),
        encoding.uint(),
        encoding.optional(timeout_certificate_shape),
        encoding.optional(certificate_shape),
    )
    value: Value
    view: int
    left: TimeoutCertificate | None
    """Why this view was entered."""
    prepared: Certificate | None
    """Proof of what the highest claim in `left` says."""

    @property
    def slot(self) -> Slot:
        return (self.value.slot[0], self.view)

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw, self.view, row_of(self.left), row_of(self.prepared))

    @classmethod
    def from_row(cls, row: Any) -> Proposal:
        value, view = parse_value(row[0]), row[1]
        if len(value.slot) != 2 or value.slot[0] < 1 or value.slot[1] > view or value.parent:
            raise DecodeFault("sample.value", f"slot {value.slot} in view {view}")
        left = TimeoutCertificate.from_row(row[2]) if row[2] is not None else None
        prepared = Certificate.from_row(row[3]) if row[3] is not None else None
        check_left(left, value.slot[0], view)
        check_prepared(prepared, value.slot[0], view - 1)
        return cls(value, view, left, prepared)

    def statement(self) -> tuple[str, Slot, bytes]:
        return PROPOSE, self.slot, self.value.digest

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return tuple(each for each in (self.left, self.prepared) if each is not None)

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Vote(Message):
    """A vote for a value in one view."""

    PHASE: ClassVar[str]
    SHAPE: ClassVar[encoding.Shape] = encoding.row(
        encoding.uint(low=1), encoding.uint(), encoding.digest
    )
    instance: int
    view: int
    value: bytes

    def row(self) -> tuple[Any, ...]:
        return (self.instance, self.view, self.value)

    @classmethod
    def from_row(cls, row: Any) -> Vote:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return self.PHASE, (self.instance, self.view), self.value


@dataclass(frozen=True, slots=True)
class Prepare(Vote):
    """The value is valid, and its leader's only one."""

    KIND: ClassVar[int] = 2
    PHASE: ClassVar[str] = PREPARE


@dataclass(frozen=True, slots=True)
class Commit(Vote):
    """A quorum prepared the value."""

    KIND: ClassVar[int] = 3
    PHASE: ClassVar[str] = COMMIT


@dataclass(frozen=True, slots=True)
class Leave(Message):
    """The sender prepares and commits nothing more in this view."""

    KIND: ClassVar[int] = 4
    SHAPE: ClassVar[encoding.Shape] = encoding.row(
        encoding.uint(low=1),
        encoding.uint(),
        encoding.optional(timeout_certificate_shape),
        encoding.optional(certificate_shape),
    )
    instance: int
    view: int
    left: TimeoutCertificate | None
    """Why this view was entered."""
    prepared: Certificate | None
    """The last that the sender saw prepared."""

    def row(self) -> tuple[Any, ...]:
        return (self.instance, self.view, row_of(self.left), row_of(self.prepared))

    @classmethod
    def from_row(cls, row: Any) -> Leave:
        left = TimeoutCertificate.from_row(row[2]) if row[2] is not None else None
        prepared = Certificate.from_row(row[3]) if row[3] is not None else None
        check_left(left, row[0], row[1])
        check_prepared(prepared, row[0], row[1])
        return cls(row[0], row[1], left, prepared)

    def statement(self) -> tuple[str, Slot, bytes]:
        return LEAVE, (self.instance, self.view), claim_of(self.prepared)

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return tuple(each for each in (self.left, self.prepared) if each is not None)


def row_of(certificate: AnyCertificate | None) -> tuple[object, ...] | None:
    return certificate.row() if certificate is not None else None


RECORD = encoding.row(
    encoding.uint(low=1),
    encoding.optional(timeout_certificate_shape),
    encoding.optional(encoding.row(certificate_shape, encoding.blob(VALUE_BYTES_MAX))),
)


class Sample(Consensus):
    """Slot = (instance, view); instance i decides the i-th value."""

    name = "sample"
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Proposal, Prepare, Commit, Leave)
    PARAMETERS: ClassVar[dict[str, int]] = {"timeout_ms": 1_000, "timeout_max_ms": 16_000}

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.early: list[Signed] = []
        """Messages of the next instance, bounded: peers may decide a little earlier."""
        self.begin(self.root.slot[0] + 1)
        self.recover(recovery)

    def begin(self, instance: int) -> None:
        """Stand in view 0 of an instance with empty hands."""
        self.instance, self.view = instance, 0
        self.left: TimeoutCertificate | None = None
        self.prepared: Certificate | None = None
        self.unseen: dict[bytes, Certificate] = {}
        """Proofs of preparation, by the value that is still being fetched."""
        self.tally = Tally()
        self.values: dict[bytes, Value] = {}
        self.proposals: dict[int, Proposal] = {}
        self.verdicts: dict[bytes, bool | None] = {}
        self.fetched: dict[bytes, None] = {}
        self.is_active = False

    @property
    def slot(self) -> Slot:
        return (self.instance, self.view)

    @property
    def quorum(self) -> int:
        return self.validators.quorum

    @property
    def has_left(self) -> bool:
        return self.said(LEAVE, self.slot) is not None

    def leader(self, slot: Slot) -> int:
        return round_robin(self.validators.size, slot[0] + slot[1])

    # --- proposing

    def on_pending(self, oldest_age: int) -> None:
        self.wake()
        self.try_propose()

    def try_propose(self) -> None:
        if self.me != self.leader(self.slot) or self.said(PROPOSE, self.slot) or self.has_left:
            return
        claim = highest_claim(self.left) if self.left is not None else None
        if claim is None:
            self.request_payload(self.slot, b"")
            return
        value = self.known(claim[1])
        if value is not None and self.backs(self.prepared, claim):
            self.broadcast(Proposal(value, self.view, self.left, self.prepared))

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        is_idle = self.view == 0 and not payload
        if slot != self.slot or self.me is None or self.said(PROPOSE, slot) or self.has_left:
            return
        if not is_idle:
            value = Value(self.context.epoch, b"", slot, self.me, self.now.wall_ms, payload)
            self.broadcast(Proposal(value, self.view, self.left, None))
            self.wake()

    # --- voting

    def on_message(self, signed: Signed) -> None:
        slot = signed.message.statement()[1]
        if slot[0] == self.instance + 1 and len(self.early) < EARLY_MAX:
            self.early.append(signed)
        if slot[0] != self.instance or slot[1] > self.view + self.context.slot_window:
            return
        earlier = self.tally.add(signed)
        if earlier is not None:
            self.accuse(earlier, signed)
        match signed.message:
            case Proposal() as proposal:
                self.hear_proposal(signed.sender, proposal)
            case Leave(_, view, left, prepared):
                self.learn_prepared(prepared)
                self.enter(view, left)
        self.wake()
        self.advance()

    def hear_proposal(self, sender: int, proposal: Proposal) -> None:
        if sender == self.leader(proposal.slot):
            self.enter(proposal.view, proposal.left)
            self.values[proposal.value.digest] = proposal.value
            self.learn_prepared(proposal.prepared)
            self.learn_prepared(self.unseen.pop(proposal.value.digest, None))
            if proposal.view == self.view:
                self.proposals.setdefault(proposal.view, proposal)

    def advance(self) -> None:
        """Apply every rule; what a rule changes may let another one apply."""
        self.try_join()
        self.try_enter()
        self.try_prepare()
        self.try_commit()
        self.try_decide()

    def try_prepare(self) -> None:
        proposal = self.proposals.get(self.view)
        if self.me is None or proposal is None or not self.may_prepare(proposal):
            return
        digest = proposal.value.digest
        if digest not in self.verdicts:
            self.verdicts[digest] = None
            self.validate(proposal.value)
        if self.verdicts[digest]:
            self.broadcast(Prepare(self.instance, self.view, digest))

    def may_prepare(self, proposal: Proposal) -> bool:
        """Once a view, not after leaving it, and nothing else than what may be decided already."""
        is_first = self.said(PREPARE, self.slot) is None
        claim = highest_claim(proposal.left) if proposal.left is not None else None
        if claim is None:
            is_safe = proposal.value.slot == proposal.slot
        else:
            is_safe = proposal.value.digest == claim[1] and self.backs(proposal.prepared, claim)
        return is_first and not self.has_left and is_safe

    def backs(self, prepared: Certificate | None, claim: tuple[int, bytes]) -> bool:
        """Whether a proof of preparation is that of a claim, or of the same value later."""
        return prepared is not None and prepared.value == claim[1] and prepared.slot[1] >= claim[0]

    def on_verdict(self, value: Value, valid: bool) -> None:
        if value.digest in self.verdicts:
            self.verdicts[value.digest] = valid
            self.advance()

    def try_commit(self) -> None:
        for digest in self.tally.values(PREPARE, self.slot):
            self.learn_prepared(self.tally.certificate(PREPARE, self.slot, digest, self.quorum))
        prepared = self.prepared
        if self.me is None or prepared is None or prepared.slot != self.slot or self.has_left:
            return
        if self.said(COMMIT, self.slot) is None and self.known(prepared.value) is not None:
            self.remember()
            self.broadcast(Commit(self.instance, self.view, prepared.value))

    def learn_prepared(self, prepared: Certificate | None) -> None:
        """The highest proof whose value is here: what one claims, one must be able to show."""
        if prepared is None or (self.prepared and prepared.slot <= self.prepared.slot):
            return
        if self.known(prepared.value) is None:
            self.unseen[prepared.value] = prepared
        else:
            self.prepared = prepared

    def try_decide(self) -> None:
        for slot in list(self.tally.slots(COMMIT)):
            for digest in self.tally.values(COMMIT, slot):
                proof = self.tally.certificate(COMMIT, slot, digest, self.quorum)
                value = self.known(digest) if proof is not None else None
                if proof is not None and value is not None:
                    self.finish(value, proof)
                    return

    def finish(self, value: Value, proof: Certificate) -> None:
        """Decide, and go to the next instance."""
        self.cancel_timer("view", self.slot)
        self.decide((value,), DecisionProof((proof,)))
        self.go_on()

    def go_on(self) -> None:
        self.begin(self.root.slot[0] + 1)
        early, self.early = self.early, []
        for signed in early:
            self.on_message(signed)

    # --- views

    def wake(self) -> None:
        """There is work: from now on, waiting has an end."""
        if not self.is_active and self.me is not None:
            self.is_active = True
            self.start_timer()

    def start_timer(self) -> None:
        delay_ms = self.parameters["timeout_ms"] << min(self.view, 20)
        self.set_timer("view", self.slot, min(delay_ms, self.parameters["timeout_max_ms"]))

    def on_timer(self, timer: Timer) -> None:
        if timer.slot == self.slot:
            self.leave()
            self.say_again()
            self.start_timer()

    def leave(self) -> None:
        if not self.has_left:
            self.remember()
            self.broadcast(Leave(self.instance, self.view, self.left, self.prepared))

    def try_join(self) -> None:
        """One of f+1 who leave is honest."""
        count = len(self.tally.voters(LEAVE, self.slot))
        if self.me is not None and count > self.validators.faults:
            self.leave()

    def try_enter(self) -> None:
        left = self.tally.timeout_certificate(LEAVE, self.slot, self.quorum)
        if left is not None:
            self.enter(self.view + 1, left)

    def enter(self, view: int, left: TimeoutCertificate | None) -> None:
        """Go to a view for a reason; the highest proof of preparation goes along."""
        if left is None or view <= self.view:
            return
        self.cancel_timer("view", self.slot)
        self.view, self.left, self.is_active = view, left, False
        self.remember()
        self.wake()
        self.try_propose()

    def on_certificate(self, certificate: AnyCertificate) -> None:
        if certificate.slot[:1] == (self.instance,) and len(certificate.slot) == 2:
            if isinstance(certificate, TimeoutCertificate) and certificate.phase == LEAVE:
                self.hear_left(certificate)
            elif isinstance(certificate, Certificate) and certificate.phase == PREPARE:
                self.learn_prepared(certificate)
            self.advance()

    def hear_left(self, left: TimeoutCertificate) -> None:
        view = left.slot[1] + 1
        try:
            check_left(left, self.instance, view)
        except DecodeFault:  # A liar's entry among honest ones.
            return
        self.enter(view, left)

    def say_again(self) -> None:
        """All that was said in this view, and why it was entered."""
        for phase in (PROPOSE, PREPARE, COMMIT, LEAVE):
            said = self.said(phase, self.slot)
            if said is not None:
                self.broadcast(said)
        for certificate in (self.left, self.prepared):
            if certificate is not None and self.me is not None:
                self.broadcast(certificate)

    # --- restarts

    def remember(self) -> None:
        """Make durable what later views depend on, in one batch with what is said."""
        kept = None
        if self.prepared is not None and self.prepared.value in self.values:
            kept = (self.prepared.row(), self.values[self.prepared.value].raw)
        self.persist(encoding.encode((self.instance, row_of(self.left), kept)))

    def recover(self, recovery: Recovery) -> None:
        """Stand where the last promise was made."""
        if recovery.record is not None:
            size = len(recovery.record)
            row = encoding.decode(recovery.record, RECORD, size_max=size, what="sample record")
            if row[0] == self.instance:
                self.left = TimeoutCertificate.from_row(row[1]) if row[1] is not None else None
                if row[2] is not None:
                    self.prepared = Certificate.from_row(row[2][0])
                    self.values[self.prepared.value] = parse_value(row[2][1])
        if self.left is not None:
            self.view = self.left.slot[1] + 1
        for signed in recovery.sent:
            for value in signed.message.values():
                self.values[value.digest] = value

    def on_start(self) -> None:
        if any(slot[0] == self.instance for _, slot in self._said) or self.view:
            self.wake()
            self.say_again()

    # --- catching up

    def known(self, digest: bytes) -> Value | None:
        """The value with this digest; where it is unknown, it is fetched."""
        if digest not in self.values and digest not in self.fetched:
            self.fetched[digest] = None
            self.fetch(digest)
        return self.values.get(digest)

    def on_value(self, value: Value) -> None:
        if value.digest in self.fetched:
            self.values[value.digest] = value
            self.learn_prepared(self.unseen.pop(value.digest, None))
            self.try_propose()
            self.advance()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        value, certificate = values[0], proof.certificates[0]
        is_next = len(values) == 1 and value.slot[:1] == (self.instance,)
        is_commit = certificate.phase == COMMIT and certificate.slot[:1] == (self.instance,)
        if is_next and is_commit and certificate.value == value.digest:
            self.finish(value, certificate)

    def on_certified(self, root: Root) -> None:
        if root.slot[0] > self.root.slot[0]:
            self.cancel_timer("view", self.slot)
            self.adopt(root)
            self.go_on()
        for phase in (PROPOSE, PREPARE, COMMIT, LEAVE):
            self.settle(phase, (root.slot[0] + 1, 0))
