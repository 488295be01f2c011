"""Length-prefixed frames: how messages lie one behind the other in the byte stream of a link.

    frame = length of the payload (4 bytes, big-endian) | channel (1 byte) | payload

Pure: bytes in, frames out.  What a payload means is the business of its channel's reader.  The
length is checked against the channel's bound as soon as the five bytes of the header are there,
before a byte of the payload is kept, and memory grows only with bytes that have arrived: a prefix
that claims 4 GiB costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from ledger.errors import PeerFault

_HEADER = Struct(">IB")
HEADER_BYTES = _HEADER.size
"""Bytes that a frame adds to its payload."""


class Channel(IntEnum):
    """The kinds of traffic, kept apart so that each has its own bound, counter and drop rule."""

    LINK = 0
    """The link's own talk: hello and keepalive."""
    PROTOCOL = 1
    """Consensus messages."""
    DISSEMINATION = 2
    """Batches, and who holds them."""
    CHECKPOINT = 3
    """Signatures over checkpoints, and certificates."""
    SYNC = 4
    """Catch-up: ranges of entries, batches and proofs."""


PAYLOAD_BYTES_MAX: dict[Channel, int] = {
    # A hello has under 300 bytes, a ping nine; the rest is room for later fields.
    Channel.LINK: 4 * 1024,
    # The largest is a view change: a signed statement per validator, each with a certificate.
    Channel.PROTOCOL: 1024 * 1024,
    # A batch and its envelope: several thousand small transactions, or 128 of the largest.
    Channel.DISSEMINATION: 8 * 1024 * 1024,
    # A signed note with a signature per validator: 3.3 kB each where ML-DSA-44 signs.
    Channel.CHECKPOINT: 1024 * 1024 + 64,
    # One answer to a range request; large, so that catching up is not bound by round trips.
    Channel.SYNC: 32 * 1024 * 1024,
}
"""The largest payload of each channel, in bytes."""

_CHANNELS = {int(channel): channel for channel in Channel}
_BOUNDS = {int(channel): bound for channel, bound in PAYLOAD_BYTES_MAX.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message on one channel."""

    channel: Channel
    """The kind of traffic, which decides the bound and the reader."""
    payload: bytes
    """The message itself; may be empty."""


def encode_frames(frames: Iterable[Frame]) -> bytes:
    """All frames behind one another, to leave in one write.

    An over-long payload is our own bug, not a peer's: whoever builds messages knows the bounds.
    """
    parts: list[bytes] = []
    for frame in frames:
        size = len(frame.payload)
        assert size <= PAYLOAD_BYTES_MAX[frame.channel], f"{frame.channel.name}: {size} bytes"
        parts.append(_HEADER.pack(size, frame.channel))
        parts.append(frame.payload)
    return b"".join(parts)


class FrameReader:
    """Cuts a byte stream into frames, however the stream was split on its way.

    Each byte is copied twice at most: into the buffer when it arrives, out of it with its frame.
    After a fault the reader stays broken, for the boundary of the next frame is unknown.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fault: PeerFault | None = None

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream could end here without cutting a frame in two."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; return the frames that they complete, in order.

        Raises PeerFault "frame.too-long" or "frame.unknown-channel" at a bad header.  Frames
        before it are returned first and the next call raises, if only `feed(b"")`: what a stream
        means does not depend on how it was split.
        """
        if self._fault is not None:
            raise self._fault
        self._buffer += data
        frames: list[Frame] = []
        try:
            self._cut(frames)
        except PeerFault as fault:
            self._fault = fault
            self._buffer.clear()
            if not frames:
                raise
        return frames

    def _cut(self, frames: list[Frame]) -> None:
        """Move complete frames from the buffer to the list, up to a bad header."""
        begin, end = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while end - begin >= HEADER_BYTES:
                size, number = _HEADER.unpack_from(view, begin)
                _check_header(size, number)
                body = begin + HEADER_BYTES
                if end - body < size:
                    break
                frames.append(Frame(_CHANNELS[number], bytes(view[body : body + size])))
                begin = body + size
        # Deleting the head of a bytearray moves its start, not its content: no quadratic copying.
        del self._buffer[:begin]


def _check_header(size: int, number: int) -> None:
    """Raise PeerFault unless this channel exists and may carry a payload of this many bytes."""
    bound = _BOUNDS.get(number)
    if bound is None:
        raise PeerFault("frame.unknown-channel", f"channel {number}")
    if size > bound:
        raise PeerFault("frame.too-long", f"{size} bytes on {_CHANNELS[number].name}")
