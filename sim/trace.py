"""The trace hash: one number that two runs share only where every event was the same.

Each event that happens to a node goes in with its kind, its node, its virtual time and what it
carries; writes go in with every byte, so results of jobs, which lead to writes and frames, need
no encoding of their own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from struct import Struct

from consensus.io import FrameArrived, HostEvent, JobDone, PeerDown, PeerUp, Submitted, TimerRang
from ledger.store import Write

_HEAD = Struct(">8sIQI")
_PARTS_MAX = 512


class Trace:
    """A running hash over everything that happened, and how often each kind did."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []

    def add(self, kind: bytes, node: int, time_us: int, payload: bytes = b"") -> None:
        """Something of this kind (at most 8 bytes) happened."""
        parts = self._parts
        parts.append(_HEAD.pack(kind, node, time_us, len(payload)))
        parts.append(payload)
        if len(parts) > _PARTS_MAX:
            self._hash.update(b"".join(parts))
            parts.clear()

    def event(self, event: HostEvent, node: int, time_us: int) -> None:
        """An event reached the machine of a node."""
        kind = type(event)
        self.events[kind.__name__] += 1
        self.add(_NAMES.get(kind, b"event"), node, time_us, _payload(event))

    def writes(self, writes: list[Write], node: int, time_us: int) -> None:
        """A batch is on the disk of a node."""
        self.events["Written"] += 1
        parts: list[bytes] = []
        for key, value in writes:
            parts += (key, b"\x00" if value is None else value)
        self.add(b"written", node, time_us, b"\x01".join(parts))

    def hexdigest(self) -> str:
        """The hash so far."""
        self._hash.update(b"".join(self._parts))
        self._parts.clear()
        return self._hash.hexdigest()


_NAMES: dict[type, bytes] = {
    FrameArrived: b"frame",
    TimerRang: b"timer",
    JobDone: b"job",
    PeerUp: b"up",
    PeerDown: b"down",
    Submitted: b"submit",
}


def _payload(event: HostEvent) -> bytes:
    """Bytes that differ where what the event carries differs, as far as that is cheap."""
    match event:
        case FrameArrived(peer, channel, payload):
            return bytes((peer, channel)) + payload
        case TimerRang(timer):
            return repr(timer).encode()
        case JobDone(job, _):
            return job.to_bytes(8, "big")
        case PeerUp(peer) | PeerDown(peer):
            return bytes((peer,))
        case Submitted(request, transactions):
            return request.to_bytes(8, "big") + b"".join(transactions)
    return b""
