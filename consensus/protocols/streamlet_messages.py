"""What Streamlet says: proposals and votes.

An epoch e is the only part of a slot.  A *notarization* of a block is a `Certificate` of phase
"vote" whose value is the block's digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import Message
from ledger import encoding
from ledger.certificate import Certificate, certificate_shape
from ledger.encoding import Shape
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

PROPOSE = "propose"
VOTE = "vote"
DIGEST_BYTES = 32


def check_notarization(certificate: Certificate) -> None:
    """Raise DecodeFault unless this can be the notarization of a block."""
    phase, slot, size = certificate.phase, certificate.slot, len(certificate.value)
    if not (phase == VOTE and len(slot) == 1 and slot[0] >= 1 and size == DIGEST_BYTES):
        raise DecodeFault("streamlet.certificate", f"{phase} {slot} of {size} bytes")


@dataclass(frozen=True, slots=True)
class Propose(Message):
    """The leader's block for its epoch, and that its parent is notarized."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.blob(VALUE_BYTES_MAX), encoding.optional(certificate_shape)
    )
    value: Value
    parent: Certificate | None
    """Notarization of the parent; None where the parent is decided."""

    @property
    def epoch(self) -> int:
        return self.value.slot[0]

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw, self.parent.row() if self.parent is not None else None)

    @classmethod
    def from_row(cls, row: Any) -> Propose:
        value = parse_value(row[0])
        parent = Certificate.from_row(row[1]) if row[1] is not None else None
        if len(value.slot) != 1 or value.slot[0] < 1:
            raise DecodeFault("streamlet.proposal", f"slot {value.slot}")
        if parent is not None:
            check_notarization(parent)
            if parent.value != value.parent or parent.slot >= value.slot:
                raise DecodeFault("streamlet.proposal", "the certificate is not the parent's")
        return cls(value, parent)

    def statement(self) -> tuple[str, Slot, bytes]:
        return PROPOSE, self.value.slot, self.value.digest

    def certificates(self) -> tuple[Certificate, ...]:
        return (self.parent,) if self.parent is not None else ()

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Vote(Message):
    """A vote for the block with this digest, proposed in this epoch."""

    KIND: ClassVar[int] = 2
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1), encoding.digest)
    epoch: int
    value: bytes
    """Digest."""

    def row(self) -> tuple[Any, ...]:
        return (self.epoch, self.value)

    @classmethod
    def from_row(cls, row: Any) -> Vote:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return VOTE, (self.epoch,), self.value
