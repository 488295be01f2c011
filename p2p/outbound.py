"""The outbound queue of one peer: bounded, first in first out, and never in the sender's way.

When it is full, the oldest frames of the traffic that is asked for again give way: first catch-up,
then batches.  Consensus messages and checkpoint signatures never vanish in mid-stream:
if they alone fill the queue, `put` refuses and the caller closes the link.  The peer that could
not keep up then begins again with a hello, and both sides re-send what still matters.

Pure.  Bounds count frame headers too, so empty payloads cannot fill the memory.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ledger.errors import LedgerError
from p2p.frames import HEADER_BYTES, PAYLOAD_BYTES_MAX, Channel, Frame

GIVES_WAY = (Channel.SYNC, Channel.DISSEMINATION)
"""What is dropped for want of room, first to go first: both are fetched again by who needs them."""


class QueueFull(LedgerError):
    """Traffic that may not be dropped fills the queue: the link has to go."""


@dataclass(frozen=True, slots=True)
class OutboundBounds:
    """How much may wait for one peer."""

    frames_max: int = 16_384
    """Bounds the objects: a burst of votes and announcements of a large network fits."""
    bytes_max: int = 64 * 1024 * 1024
    """Twice the largest frame, so that an answer to catch-up never stands in a vote's way."""


class Outbound:
    """Frames waiting to leave for one peer.

    One lane a channel, each entry numbered by arrival: the order between all frames is kept, and
    the oldest frame of a channel is found without a search.
    """

    def __init__(self, bounds: OutboundBounds) -> None:
        assert bounds.bytes_max >= max(PAYLOAD_BYTES_MAX.values()) + HEADER_BYTES
        assert bounds.frames_max > 0
        self._bounds = bounds
        self._lanes: dict[Channel, deque[tuple[int, Frame]]] = {
            channel: deque() for channel in Channel
        }
        self._arrivals = 0
        self._frames = 0
        self._bytes = 0
        self.dropped: dict[Channel, int] = dict.fromkeys(GIVES_WAY, 0)
        """Frames that gave way, by channel, since the queue was made."""

    def __len__(self) -> int:
        return self._frames

    @property
    def bytes_waiting(self) -> int:
        """Bytes on the wire that the waiting frames will take, TLS apart."""
        return self._bytes

    def put(self, frame: Frame) -> None:
        """Append a frame; older traffic, or this frame itself, gives way if there is no room.

        Raises QueueFull if even that leaves no room for a frame that may not be dropped.
        """
        size = HEADER_BYTES + len(frame.payload)
        while not self._has_room(size):
            victim = next((channel for channel in GIVES_WAY if self._lanes[channel]), None)
            if victim is not None:
                self._pop(victim)
                self.dropped[victim] += 1
            elif frame.channel in GIVES_WAY:
                self.dropped[frame.channel] += 1
                return
            else:
                raise QueueFull(f"{self._frames} frames, {self._bytes} bytes")
        self._lanes[frame.channel].append((self._arrivals, frame))
        self._arrivals += 1
        self._frames += 1
        self._bytes += size

    def drain(self, bytes_max: int) -> list[Frame]:
        """Take frames in the order of their arrival: one at least, more up to bytes_max."""
        frames: list[Frame] = []
        total = 0
        while self._frames:
            lanes = (lane for lane in self._lanes.values() if lane)
            _, first = min((lane[0] for lane in lanes), key=_arrival)
            total += HEADER_BYTES + len(first.payload)
            if frames and total > bytes_max:
                break
            frames.append(self._pop(first.channel))
        return frames

    def _has_room(self, size: int) -> bool:
        has_frames = self._frames < self._bounds.frames_max
        return has_frames and self._bytes + size <= self._bounds.bytes_max

    def _pop(self, channel: Channel) -> Frame:
        _, frame = self._lanes[channel].popleft()
        self._frames -= 1
        self._bytes -= HEADER_BYTES + len(frame.payload)
        return frame


def _arrival(entry: tuple[int, Frame]) -> int:
    return entry[0]
