"""Statement: the only thing that a consensus key signs, beside a checkpoint note.

(version, network id, epoch id, phase, slot, value).  What is counted together is `value`; what
safety depends on beside it is inside its digest.  Without the epoch id the first membership change
would either halt the network, since the guard refuses re-used slots, or let old timeouts form new
certificates.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger import encoding
from ledger.limits import NAME_CHARS_MAX

VERSION = 1
DOMAIN = b"ledger statement\x00"
"""First bytes of what is signed; no C2SP note begins so, since a note has no zero byte."""
VALUE_BYTES_MAX = 96

Slot = tuple[int, ...]
"""Where in a protocol a statement stands, such as (height, round); compared in order."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one validator says once: at most one value per (epoch, phase, slot)."""

    network: bytes
    """Network id, 32 bytes."""
    epoch: bytes
    """Epoch id, 32 bytes."""
    phase: str
    """The protocol's word for the step, such as "prevote"."""
    slot: Slot
    value: bytes
    """What is counted together, at most 96 bytes; empty for nil."""

    def signed_bytes(self) -> bytes:
        """The message that is signed."""
        return DOMAIN + encoding.encode(
            (VERSION, self.network, self.epoch, self.phase, self.slot, self.value)
        )


phase_shape = encoding.text(NAME_CHARS_MAX, low=1)
value_shape = encoding.blob(VALUE_BYTES_MAX)
