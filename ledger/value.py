"""A value: what consensus agrees on, and all that a plugin sees.

    (version, epoch id, parent, slot, proposer, timestamp, payload, extra)

Slot, proposer and timestamp are those of the first proposal: a re-proposal carries the same bytes.
Otherwise Tendermint's locks would never match again, and a PBFT view change that fills a gap with
null would break the chain.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from ledger import encoding
from ledger.limits import EXTRA_BYTES_MAX, VALIDATORS_MAX
from ledger.statement import Slot

VERSION = 1
PAYLOAD_MAX = 1_024
VALUE_BYTES_MAX = 64 * 1024
NO_PARENT = b""

shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.digest,
    encoding.blob(32),
    encoding.slot,
    encoding.uint(VALIDATORS_MAX - 1),
    encoding.uint(),
    encoding.array(encoding.digest, PAYLOAD_MAX),
    encoding.blob(EXTRA_BYTES_MAX),
)


@dataclass(frozen=True, slots=True)
class Value:
    """One proposal for the next part of the ledger."""

    epoch: bytes
    """Epoch id."""
    parent: bytes
    """Digest of the value it extends in protocols that chain, else empty."""
    slot: Slot
    """Slot of the first proposal."""
    proposer: int
    """Validator index of the first proposer."""
    timestamp_ms: int
    """The first proposer's wall clock, milliseconds since 1970."""
    payload: tuple[bytes, ...]
    """Batch digests in order, possibly none."""
    extra: bytes = b""
    """The protocol's own agreed data."""
    digest: bytes = field(init=False, compare=False)
    """SHA-256 of the encoding: the value's name everywhere."""
    raw: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        raw = encoding.encode(
            (
                VERSION,
                self.epoch,
                self.parent,
                self.slot,
                self.proposer,
                self.timestamp_ms,
                self.payload,
                self.extra,
            )
        )
        object.__setattr__(self, "raw", raw)
        object.__setattr__(self, "digest", hashlib.sha256(raw).digest())


def parse_value(raw: bytes) -> Value:
    """The value that these bytes encode.  Raises DecodeFault."""
    _, epoch, parent, slot, proposer, timestamp, payload, extra = encoding.decode(
        raw, shape, size_max=VALUE_BYTES_MAX, what="value"
    )
    return Value(epoch, parent, slot, proposer, timestamp, payload, extra)
