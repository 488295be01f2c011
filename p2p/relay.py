"""Passing packets on where not every two nodes have a link.

Pure: what a node sends and what its links bring in, what leaves and what arrives out, time as an
argument.  One `Gossip` a channel spreads what concerns everybody; this decides what that is.

A packet to everyone that proves itself is relayed as it is.  Gossip delivers it once; where a node
says it again, since whoever got it may have had no use for it yet, it travels with a number.  A
packet for one node without a link to here, and a question to everyone that must reach more than
neighbours, travels in an envelope that its origin seals: who receives it knows from whom it is,
although somebody else brought it.  Everything else goes to neighbours alone.

    direct frame      packet                          begins with a MessagePack array
    gossip            kind (0 to 3), then its body    the body of a PUSH is one of these:
      relayed         packet
      said again      1, number (8 bytes), packet
      in an envelope  0, (origin, dest + 1 or 0, number, packet), seal of that

What is relayed is looked at first: an envelope must bear the seal of its origin, anything else be
of a kind that proves itself.  Whether it does is for the receiver to find out, as everywhere.  So a
liar can have its neighbours pass on what proves nothing, as it can what it signed for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from ledger import encoding
from ledger.errors import Fault
from ledger.limits import VALIDATORS_MAX
from p2p.gossip import Gossip, Kind, Outgoing
from p2p.topology import Topology

_ENVELOPE = b"\x00"
_AGAIN = b"\x01"
_NUMBER_BYTES = 8
_PUBLISHED_MAX = 8_192
"""Own packets that are remembered, as many as gossip keeps."""
_shape = encoding.row(
    encoding.uint(VALIDATORS_MAX - 1),
    encoding.uint(VALIDATORS_MAX),
    encoding.uint(),
    encoding.blob(32 * 1024 * 1024),
)


class Seals(Protocol):
    """How a node shows that an envelope is its own."""

    size: int
    """Bytes of a seal."""

    def make(self, body: bytes) -> bytes:
        """This node's seal of an envelope."""

    def is_right(self, origin: int, body: bytes, seal: bytes) -> bool:
        """Whether node `origin` made this seal of this envelope."""


class Reach(NamedTuple):
    """Which packets go further than to neighbours."""

    proves_itself: Callable[[bytes], bool]
    """Whether a packet means the same whoever brings it."""
    asks_everyone: Callable[[bytes], bool]
    """Whether a packet to everyone is meant for those without a link, too, and for them alone."""


class Sent(NamedTuple):
    """A frame to send now, to one neighbour or to all of them."""

    peer: int | None
    channel: int
    data: bytes


class Arrived(NamedTuple):
    """A packet for this node."""

    origin: int
    """Who sent it; who brought it, where it is one that proves itself."""
    channel: int
    packet: bytes


class Relay:
    """The part of node `me`, as long as its process lives."""

    def __init__(
        self,
        me: int,
        topology: Topology,
        channels: Iterable[int],
        reach: Reach,
        seals: Seals,
        *,
        first_number: int,
    ) -> None:
        """`first_number` is above every number that an earlier life of this node used."""
        self._me = me
        self._reach = reach
        self._seals = seals
        self._number = first_number
        self._linked: set[int] = set()
        self._published: dict[bytes, None] = {}
        """Hashes of what this node has said to everyone, the latest last."""
        self._gossips = {
            int(channel): Gossip(me, topology, is_acceptable=self._is_acceptable)
            for channel in channels
        }
        for peer in topology.neighbours[me]:
            self.neighbour_down(peer)

    # --- sending ----------------------------------------------------------------------------------

    def send(self, now_ms: int, peer: int | None, channel: int, packet: bytes) -> list[Sent]:
        """Bring a packet to one node, or to all others, over as many links as it takes."""
        if peer in self._linked:
            return [Sent(peer, channel, packet)]
        if peer is not None or self._reach.asks_everyone(packet):
            return self._publish(now_ms, channel, self.enveloped(peer, packet))
        if self._reach.proves_itself(packet):
            return self._publish(now_ms, channel, self._numbered(packet))
        return [Sent(None, channel, packet)]

    def _numbered(self, packet: bytes) -> bytes:
        """What is relayed of a packet that proves itself: with a number, where it is said again."""
        name = sha256(packet).digest()
        if name not in self._published:
            self._published[name] = None
            if len(self._published) > _PUBLISHED_MAX:
                del self._published[next(iter(self._published))]
            return packet
        self._number += 1
        return _AGAIN + self._number.to_bytes(_NUMBER_BYTES, "big") + packet

    def _publish(self, now_ms: int, channel: int, payload: bytes) -> list[Sent]:
        return _on(channel, self._gossips[channel].publish(now_ms, payload))

    def enveloped(self, peer: int | None, packet: bytes) -> bytes:
        """What is relayed of a packet that does not prove itself."""
        self._number += 1
        dest = 0 if peer is None else peer + 1
        body = encoding.encode((self._me, dest, self._number, packet))
        return _ENVELOPE + body + self._seals.make(body)

    # --- receiving --------------------------------------------------------------------------------

    def receive(
        self, now_ms: int, peer: int, channel: int, data: bytes
    ) -> tuple[list[Arrived], list[Sent]]:
        """Take a frame of a neighbour; what of it is for this node, and what leaves.

        Raises PeerFault for gossip that no honest neighbour sends.
        """
        if data[:1] > bytes((max(Kind),)):
            return [Arrived(peer, channel, data)], []
        news, outgoing = self._gossips[channel].receive(now_ms, peer, data)
        arrived = [self.opened(peer, channel, payload) for payload in news]
        return [one for one in arrived if one is not None], _on(channel, outgoing)

    def opened(self, peer: int, channel: int, payload: bytes) -> Arrived | None:
        """What a relayed payload that this neighbour brought holds for this node."""
        if payload[:1] != _ENVELOPE:
            return Arrived(peer, channel, _bare(payload))
        found = self._row(payload)
        if found is None:
            return None
        origin, dest, _, packet = found
        is_mine = dest in (0, self._me + 1) and origin != self._me
        return Arrived(origin, channel, packet) if is_mine else None

    def neighbour_up(self, now_ms: int, peer: int) -> list[Sent]:
        """A link came up."""
        self._linked.add(peer)
        return [
            sent
            for channel, gossip in self._gossips.items()
            for sent in _on(channel, gossip.neighbour_up(now_ms, peer))
        ]

    def neighbour_down(self, peer: int) -> None:
        """A link went down: what is for this neighbour takes another way meanwhile."""
        self._linked.discard(peer)
        for gossip in self._gossips.values():
            gossip.neighbour_down(peer)

    # --- time -------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> list[Sent]:
        """Do what is due."""
        return [
            sent
            for channel, gossip in self._gossips.items()
            for sent in _on(channel, gossip.tick(now_ms))
        ]

    def next_deadline(self) -> int | None:
        """When to call `tick`, in the milliseconds given to the other methods; never too late."""
        deadlines = (gossip.next_deadline() for gossip in self._gossips.values())
        return min((due for due in deadlines if due is not None), default=None)

    # --- envelopes --------------------------------------------------------------------------------

    def _is_acceptable(self, payload: bytes) -> bool:
        if payload[:1] != _ENVELOPE:
            return self._reach.proves_itself(_bare(payload))
        return self._row(payload) is not None

    def _row(self, payload: bytes) -> Any:
        """(origin, dest + 1 or 0, number, packet) of an envelope; None unless its seal is right."""
        body, seal = payload[1 : -self._seals.size], payload[-self._seals.size :]
        try:
            row: Any = encoding.decode(body, _shape, size_max=len(payload), what="envelope")
        except Fault:
            return None
        return row if self._seals.is_right(row[0], body, seal) else None


def _bare(payload: bytes) -> bytes:
    """The packet in what is relayed without an envelope."""
    return payload[1 + _NUMBER_BYTES :] if payload[:1] == _AGAIN else payload


def _on(channel: int, outgoing: list[Outgoing]) -> list[Sent]:
    return [Sent(out.peer, channel, out.data) for out in outgoing]


def unwrapped(payload: bytes, seal_bytes: int) -> bytes:
    """The packet in a frame, whether it is relayed or not; whatever it is where there is none.

    Raises DecodeFault for an envelope that is none.
    """
    if payload[:1] != bytes((Kind.PUSH,)):
        return payload
    if payload[1:2] != _ENVELOPE:
        return _bare(payload[1:])
    body = payload[2:-seal_bytes]
    row: Any = encoding.decode(body, _shape, size_max=len(payload), what="envelope")
    packet: bytes = row[3]
    return packet
