"""Solo: one sequencer decides alone; the template for plugins, and the baseline of measurements.

    Upon work, at the sequencer:       ask for a payload
    Upon a payload, at the sequencer:  broadcast <sequence, number, value>
    Upon <sequence, next number, v>:   ask whether v is valid; at the sequencer it is
    Upon a valid value:                decide it

Commit rule: one signature, the sequencer's, over the value of the next number.
Durable: the signed message itself; a restarted sequencer says it again rather than anything else.
Liveness: nothing is re-sent; who missed a message gets the decision from a peer.
Deviations: none, since there is no paper.  Validator 0 is trusted, and must neither stop nor lose
its disk; the next value is proposed only after the last one is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import (
    Consensus,
    Context,
    DecisionProof,
    Message,
    Recovery,
    Root,
    Signed,
    Timer,
)
from ledger import encoding
from ledger.certificate import Certificate
from ledger.encoding import Shape
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

SEQUENCER = 0
SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True)
class Sequenced(Message):
    """The sequencer's value for a number."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(encoding.blob(VALUE_BYTES_MAX))
    value: Value

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw,)

    @classmethod
    def from_row(cls, row: Any) -> Sequenced:
        value = parse_value(row[0])
        if len(value.slot) != 1 or value.parent:
            raise DecodeFault("solo.value", f"slot {value.slot}")
        return cls(value)

    def statement(self) -> tuple[str, Slot, bytes]:
        return SEQUENCE, self.value.slot, self.value.digest

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


class Solo(Consensus):
    """Validator 0 orders, the others follow; slot = (number of the value,)."""

    name = "solo"
    fault_model = "none"
    MESSAGES = (Sequenced,)
    PARAMETERS: ClassVar[dict[str, int]] = {}

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self._signed: dict[Slot, tuple[Value, Certificate]] = {}
        """What the sequencer signed, from the next number on."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return 1

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # One message from the sequencer decides.  Who lost it asks a peer and is answered.
        return 3 * delay_ms

    @property
    def next_slot(self) -> Slot:
        return (self.root.slot[0] + 1,)

    def on_start(self) -> None:
        said = self.said(SEQUENCE, self.next_slot)
        if said is not None:
            self.broadcast(said)

    def on_pending(self, oldest_age: int) -> None:
        if self.me == SEQUENCER and self.said(SEQUENCE, self.next_slot) is None:
            self.request_payload(self.next_slot, b"")

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if slot == self.next_slot and payload and self.said(SEQUENCE, slot) is None:
            self.broadcast(
                Sequenced(
                    Value(self.context.epoch, b"", slot, SEQUENCER, self.now.wall_ms, payload)
                )
            )

    def on_message(self, signed: Signed) -> None:
        phase, slot, digest = signed.message.statement()
        if signed.sender == SEQUENCER and isinstance(signed.message, Sequenced):
            signatures = ((signed.sender, signed.signature),)
            self._consider(signed.message.value, Certificate(phase, slot, digest, signatures))

    def _consider(self, value: Value, certificate: Certificate) -> None:
        ahead = value.slot[0] - self.root.slot[0]
        if 0 < ahead <= self.context.slot_window and value.slot not in self._signed:
            self._signed[value.slot] = (value, certificate)
            if value.slot == self.next_slot:
                self._judge_next()

    def _judge_next(self) -> None:
        """Ask for a verdict on the next value only: those before it must be decided by then."""
        if self.next_slot not in self._signed:
            return
        if self.me == SEQUENCER:
            self._decide_next()
        else:
            self.validate(self._signed[self.next_slot][0])

    def on_verdict(self, value: Value, valid: bool) -> None:
        entry = self._signed.get(self.next_slot)
        if valid and entry is not None and entry[0] == value:
            self._decide_next()

    def _decide_next(self) -> None:
        value, certificate = self._signed.pop(self.next_slot)
        self.decide((value,), DecisionProof((certificate,)))
        self.on_pending(0)
        self._judge_next()

    def on_timer(self, timer: Timer) -> None:
        raise AssertionError("solo sets no timer")

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        certificate, *more = proof.certificates
        signer = certificate.signatures[0][0]
        said = (certificate.phase, certificate.slot, certificate.value)
        if (
            not more
            and len(values) == 1
            and signer == SEQUENCER
            and said == (SEQUENCE, values[0].slot, values[0].digest)
        ):
            self._consider(values[0], certificate)

    def on_certified(self, root: Root) -> None:
        if root.slot > self.root.slot:
            self.adopt(root)
            self._signed = {slot: one for slot, one in self._signed.items() if slot > root.slot}
            self._judge_next()
        self.settle(SEQUENCE, (root.slot[0] + 1,))
