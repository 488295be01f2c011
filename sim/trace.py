"""The trace hash: one number that two runs share only where every event was the same.

Each event that happens to a node goes in with its kind, its node, its virtual time and what it
carries; writes go in with every byte, so results of jobs, which lead to writes and frames, need
no encoding of their own.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from functools import lru_cache
from struct import Struct
from typing import Any

from consensus.io import (
    FrameArrived,
    HostEvent,
    JobDone,
    Looped,
    PeerDown,
    PeerUp,
    Started,
    Submitted,
    TimerRang,
)
from ledger.store import Write

_HEAD = Struct(">8sIQI")
_PARTS_MAX = 512


class Trace:
    """A running hash over everything that happened, and how often each kind did."""

    def __init__(self) -> None:
        self._counts: defaultdict[type, int] = defaultdict(int)
        self._written = 0
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []

    @property
    def events(self) -> Counter[str]:
        """How often each kind happened."""
        counts = Counter({kind.__name__: count for kind, count in self._counts.items()})
        if self._written:
            counts["Written"] = self._written
        return counts

    def add(self, kind: bytes, node: int, time_us: int, payload: bytes = b"") -> None:
        """Something of this kind (at most 8 bytes) happened."""
        parts = self._parts
        parts.append(_HEAD.pack(kind, node, time_us, len(payload)) + payload)
        if len(parts) > _PARTS_MAX:
            self._hash.update(b"".join(parts))
            parts.clear()

    def event(self, event: HostEvent, node: int, time_us: int) -> None:
        """An event reached the machine of a node."""
        kind = type(event)
        self._counts[kind] += 1
        name, payload_of = _KINDS[kind]
        payload = payload_of(event)
        parts = self._parts
        parts.append(_HEAD.pack(name, node, time_us, len(payload)) + payload)
        if len(parts) > _PARTS_MAX:
            self._hash.update(b"".join(parts))
            parts.clear()

    def writes(self, writes: list[Write], node: int, time_us: int) -> None:
        """A batch is on the disk of a node."""
        self._written += 1
        parts: list[bytes] = []
        for key, value in writes:
            parts += (key, b"\x00" if value is None else value)
        self.add(b"written", node, time_us, b"\x01".join(parts))

    def hexdigest(self) -> str:
        """The hash so far."""
        self._hash.update(b"".join(self._parts))
        self._parts.clear()
        return self._hash.hexdigest()


def _of_frame(event: FrameArrived) -> bytes:
    return bytes((event.peer, event.channel)) + event.payload


@lru_cache(maxsize=1_024)
def _named(timer: Hashable) -> bytes:
    return repr(timer).encode()


def _of_timer(event: TimerRang) -> bytes:
    return _named(event.timer)


def _of_job(event: JobDone) -> bytes:
    return event.job.to_bytes(8, "big")


def _of_peer(event: PeerUp | PeerDown) -> bytes:
    return bytes((event.peer,))


def _of_submitted(event: Submitted) -> bytes:
    return event.request.to_bytes(8, "big") + b"".join(event.transactions)


def _of_other(_event: HostEvent) -> bytes:
    return b""


_KINDS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    FrameArrived: (b"frame", _of_frame),
    TimerRang: (b"timer", _of_timer),
    JobDone: (b"job", _of_job),
    PeerUp: (b"up", _of_peer),
    PeerDown: (b"down", _of_peer),
    Submitted: (b"submit", _of_submitted),
    Started: (b"event", _of_other),
    Looped: (b"event", _of_other),
}
"""Each kind's name, and bytes that differ where what it carries does, as far as that is cheap."""
