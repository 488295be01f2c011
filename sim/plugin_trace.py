"""What the trace of bare plugins says of an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus.interface import (
    CertificateReceived,
    Certified,
    DecisionReceived,
    Event,
    Hint,
    PayloadReady,
    Pending,
    Received,
    TimerFired,
    ValueReceived,
    Verdict,
)

_TRACED: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    Received: (b"message", lambda event: bytes((event.signed.sender,)) + event.signed.signature),
    CertificateReceived: (b"cert", lambda event: repr(event.certificate).encode()),
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


def traced(event: Event) -> tuple[bytes, bytes]:
    """(kind, bytes that differ where the event does) for the trace."""
    entry = _TRACED.get(type(event))
    return (entry[0], entry[1](event)) if entry is not None else (b"start", b"")
