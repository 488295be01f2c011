"""What Tendermint must not forget: its round, its lock, and the last value that had a polka.

Where a leader policy reads the last decided value, what it reads stands there, too: the root, from
which a node starts, has no more of it than digest and slot.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.leaders import Decided
from consensus.protocols.tendermint_messages import NO_ROUND
from ledger import encoding
from ledger.certificate import Certificate, certificate_shape
from ledger.limits import EXTRA_BYTES_MAX, VALIDATORS_MAX
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

_RECORD_BYTES_MAX = 1024 * 1024
"""A quorum of the largest network signs a polka with 566 kB by the largest scheme."""
_value_shape = encoding.blob(VALUE_BYTES_MAX)
_parts = (
    encoding.uint(low=1),
    encoding.uint(),
    encoding.optional(encoding.row(encoding.uint(), _value_shape)),
    encoding.optional(encoding.row(_value_shape, certificate_shape)),
)
_decided_shape = encoding.row(
    encoding.uint(low=1), encoding.uint(VALIDATORS_MAX - 1), encoding.blob(EXTRA_BYTES_MAX)
)
_shapes = {b"\x94": encoding.row(*_parts), b"\x95": encoding.row(*_parts, _decided_shape)}
"""By the first byte, which says how many parts there are."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The paper's lockedValue and lockedRound."""

    round: int = NO_ROUND
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Valid:
    """The paper's validValue and validRound: a value, and the polka that it had."""

    value: Value
    polka: Certificate

    @property
    def round(self) -> int:
        return self.polka.slot[1]


@dataclass(frozen=True, slots=True)
class Record:
    """The durable part of the state, of one instance."""

    instance: int
    round: int
    lock: Lock
    valid: Valid | None
    decided: Decided | None = None
    """What the leader policy reads of the last decided value; None where that is unknown, or not
    read."""

    def encode(self) -> bytes:
        lock = (self.lock.round, self.lock.value.raw) if self.lock.value is not None else None
        valid = (self.valid.value.raw, self.valid.polka.row()) if self.valid is not None else None
        last = self.decided
        decided = ((last.view, last.proposer, last.extra),) if last is not None else ()
        return encoding.encode((self.instance, self.round, lock, valid, *decided))


def parse_record(raw: bytes) -> Record:
    """The record that these bytes encode.  Raises DecodeFault."""
    shape = _shapes.get(raw[:1], _shapes[b"\x94"])
    instance, round_, lock, valid, *decided = encoding.decode(
        raw, shape, size_max=_RECORD_BYTES_MAX, what="tendermint record"
    )
    return Record(
        instance,
        round_,
        Lock(lock[0], parse_value(lock[1])) if lock is not None else Lock(),
        Valid(parse_value(valid[0]), Certificate.from_row(valid[1])) if valid is not None else None,
        Decided(*decided[0]) if decided else None,
    )
