"""What the trace of bare plugins says of an event."""

from __future__ import annotations

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


def traced(event: Event) -> tuple[bytes, bytes]:
    """(kind, bytes that differ where the event does) for the trace."""
    match event:
        case Received(signed):
            return b"message", bytes((signed.sender,)) + signed.signature
        case CertificateReceived(certificate):
            return b"cert", repr(certificate).encode()
        case TimerFired(timer):
            return b"timer", repr(tuple(timer)).encode()
        case PayloadReady(slot, payload):
            return b"payload", repr(slot).encode() + b"".join(payload)
        case Verdict(value, valid):
            return b"verdict", value.digest + bytes((valid,))
        case ValueReceived(value):
            return b"value", value.digest
        case DecisionReceived(values, _):
            return b"decision", b"".join(value.digest for value in values)
        case Certified(root):
            return b"root", root.value
        case Hint(peer, hint):
            return b"hint", bytes((peer,)) + hint
        case Pending(age):
            return b"pending", age.to_bytes(8, "big")
    return b"start", b""
