"""What Simplex says: proposals and votes, and the two ways to end an iteration.

An iteration h is the only part of a slot.  A *notarization* of a block is a `Certificate` of phase
"vote" whose value is the block's digest; one of the dummy block of h is a `Certificate` of phase
"end" whose value is empty; a *finalization* is one of phase "end" that names a block.

Dummy votes and finalize messages share a phase, since no honest validator says both of one
iteration: so the guard that lets no second value of a phase and slot out is the rule on which the
safety of Simplex rests, and who breaks it has signed the evidence.
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
END = "end"
DUMMY = b""
"""The value of a dummy vote: the block that has none."""
DIGEST_BYTES = 32

_hint_shape = encoding.uint(low=1)
_HINT_BYTES_MAX = 16


def check_certificate(certificate: Certificate) -> None:
    """Raise DecodeFault unless this can be a notarization or a finalization."""
    phase, slot, size = certificate.phase, certificate.slot, len(certificate.value)
    sizes = {VOTE: (DIGEST_BYTES,), END: (DIGEST_BYTES, len(DUMMY))}.get(phase, ())
    if len(slot) != 1 or slot[0] < 1 or size not in sizes:
        raise DecodeFault("simplex.certificate", f"{phase} {slot} of {size} bytes")


def encode_hint(iteration: int) -> bytes:
    """The question for notarizations from this iteration on."""
    return encoding.encode(iteration)


def parse_hint(hint: bytes) -> int:
    """From which iteration on notarizations are asked for.  Raises DecodeFault."""
    iteration: int = encoding.decode(hint, _hint_shape, size_max=_HINT_BYTES_MAX, what="hint")
    return iteration


@dataclass(frozen=True, slots=True)
class Propose(Message):
    """<propose, h, b_0, ..., b_h, S>: the leader's block, and that its parent is notarized."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.blob(VALUE_BYTES_MAX), encoding.optional(certificate_shape)
    )
    value: Value
    parent: Certificate | None
    """Notarization or finalization of the parent; None where it is known to be decided."""

    @property
    def iteration(self) -> int:
        return self.value.slot[0]

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw, self.parent.row() if self.parent is not None else None)

    @classmethod
    def from_row(cls, row: Any) -> Propose:
        value = parse_value(row[0])
        parent = Certificate.from_row(row[1]) if row[1] is not None else None
        if len(value.slot) != 1 or value.slot[0] < 1:
            raise DecodeFault("simplex.proposal", f"slot {value.slot}")
        if parent is not None:
            check_certificate(parent)
            is_block = parent.value != DUMMY and parent.value == value.parent
            if not is_block or parent.slot >= value.slot:
                raise DecodeFault("simplex.proposal", "the certificate is not the parent's")
        return cls(value, parent)

    def statement(self) -> tuple[str, Slot, bytes]:
        return PROPOSE, self.value.slot, self.value.digest

    def certificates(self) -> tuple[Certificate, ...]:
        return (self.parent,) if self.parent is not None else ()

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class _Named(Message):
    """A message that names one block of one iteration."""

    PHASE: ClassVar[str]
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1), encoding.digest)
    iteration: int
    value: bytes
    """Digest of the block."""

    def row(self) -> tuple[Any, ...]:
        return (self.iteration, self.value)

    @classmethod
    def from_row(cls, row: Any) -> _Named:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return self.PHASE, (self.iteration,), self.value


@dataclass(frozen=True, slots=True)
class Vote(_Named):
    """<vote, h, b_h>: the first valid block of the leader that extends a notarized chain."""

    KIND: ClassVar[int] = 2
    PHASE: ClassVar[str] = VOTE


@dataclass(frozen=True, slots=True)
class Finalize(_Named):
    """<finalize, h>: the block was notarized before the timer fired."""

    KIND: ClassVar[int] = 3
    PHASE: ClassVar[str] = END


@dataclass(frozen=True, slots=True)
class Dummy(Message):
    """<vote, h, dummy block of h>: the timer fired before any block was notarized."""

    KIND: ClassVar[int] = 4
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1))
    iteration: int

    def row(self) -> tuple[Any, ...]:
        return (self.iteration,)

    @classmethod
    def from_row(cls, row: Any) -> Dummy:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return END, (self.iteration,), DUMMY
