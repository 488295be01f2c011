"""What the trace of bare plugins says of an event."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from consensus.interface import (
    AnyCertificate,
    CertificateReceived,
    Certified,
    DecisionReceived,
    Event,
    Hint,
    PayloadReady,
    Pending,
    Received,
    Start,
    TimerFired,
    ValueReceived,
    Verdict,
)


@lru_cache(maxsize=1_024)
def _named(certificate: AnyCertificate) -> bytes:
    """Several seats in a row see the same one."""
    return repr(certificate).encode()


TRACED: dict[type[Event], tuple[bytes, Callable[[Any], bytes]]] = {
    Start: (b"start", lambda _: b""),
    Received: (b"message", lambda event: bytes((event.signed.sender,)) + event.signed.signature),
    CertificateReceived: (b"cert", lambda event: _named(event.certificate)),
    TimerFired: (b"timer", lambda event: repr(tuple(event.timer)).encode()),
    PayloadReady: (b"payload", lambda event: repr(event.slot).encode() + b"".join(event.payload)),
    Verdict: (b"verdict", lambda event: event.value.digest + bytes((event.valid,))),
    ValueReceived: (b"value", lambda event: event.value.digest),
    DecisionReceived: (b"decision", lambda event: b"".join(one.digest for one in event.values)),
    Certified: (b"root", lambda event: event.root.value),
    Hint: (b"hint", lambda event: bytes((event.peer,)) + event.hint),
    Pending: (b"pending", lambda event: event.oldest_age.to_bytes(8, "big")),
}
"""By the type of an event: its kind, and bytes that differ where the event does."""
