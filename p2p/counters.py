"""Counters of the links: traffic by channel, the state of a peer, refusals by reason.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from p2p.frames import HEADER_BYTES, Channel, Frame
from p2p.hello import Hello


@dataclass(slots=True)
class Traffic:
    """What went over the links of one peer, by channel; TLS apart, frame headers included."""

    messages_in: dict[Channel, int] = field(default_factory=lambda: dict.fromkeys(Channel, 0))
    """Frames received."""
    bytes_in: dict[Channel, int] = field(default_factory=lambda: dict.fromkeys(Channel, 0))
    """Bytes received."""
    messages_out: dict[Channel, int] = field(default_factory=lambda: dict.fromkeys(Channel, 0))
    """Frames handed to the operating system."""
    bytes_out: dict[Channel, int] = field(default_factory=lambda: dict.fromkeys(Channel, 0))
    """Bytes handed to the operating system."""
    writes: int = 0
    """Writes that the frames shared."""

    def count_in(self, frame: Frame) -> None:
        """A frame arrived."""
        self.messages_in[frame.channel] += 1
        self.bytes_in[frame.channel] += HEADER_BYTES + len(frame.payload)

    def count_out(self, frames: Iterable[Frame]) -> None:
        """These frames left in one write."""
        self.writes += 1
        for frame in frames:
            self.messages_out[frame.channel] += 1
            self.bytes_out[frame.channel] += HEADER_BYTES + len(frame.payload)

    def snapshot(self) -> Traffic:
        """The same figures, which no longer change."""
        return Traffic(
            dict(self.messages_in),
            dict(self.bytes_in),
            dict(self.messages_out),
            dict(self.bytes_out),
            self.writes,
        )


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What there is to say of one peer."""

    peer: int
    """Its number."""
    hello: Hello | None
    """What it said when its link came up; None while there is no link."""
    round_trip_ms: float | None
    """Of the latest answered ping."""
    frames_waiting: int
    """In its outbound queue."""
    bytes_waiting: int
    """In its outbound queue."""
    dropped: Mapping[Channel, int]
    """Frames that found no room in the queue, over all its links."""
    traffic: Traffic
    """Over all its links."""


class Refusals:
    """How often connections were refused or broke, by reason.

    Reasons are the stable codes of faults, so their number is bounded.  What a stranger can repeat
    at will must not fill a log: each reason is reported once an interval, with the count since.
    """

    def __init__(self, report_interval_ms: int) -> None:
        self._interval_ms = report_interval_ms
        self._unreported: dict[str, int] = {}
        self._reported_ms: dict[str, int] = {}
        self.totals: dict[str, int] = {}
        """Occurrences since the start, by reason."""

    def count(self, now_ms: int, reason: str) -> int:
        """Note one occurrence; return how many to report now, 0 for none."""
        self.totals[reason] = self.totals.get(reason, 0) + 1
        self._unreported[reason] = self._unreported.get(reason, 0) + 1
        last_ms = self._reported_ms.get(reason)
        if last_ms is not None and now_ms - last_ms < self._interval_ms:
            return 0
        self._reported_ms[reason] = now_ms
        return self._unreported.pop(reason)
