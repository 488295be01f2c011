"""A node's part in passing messages on where not everybody is linked to everybody.

Frames cross the real gossip (`p2p/gossip.py`), one for each channel.  Packets that prove themselves
are relayed as they are.  A packet for one node that is no neighbour, and a question to everyone
that must reach more than neighbours, travels in an envelope: where from, where to, a number, and a
keyed hash, which stands for a signature by the sender's transport key.  Everything else goes to
neighbours alone.

    direct frame      packet                          begins with a MessagePack array
    gossip            kind (0 to 3), then its body    the body of a PUSH is one of these two:
      relayed         packet
      in an envelope  0, (origin, dest + 1 or 0, number, packet), keyed hash of that
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp
from consensus.packets import RELAYED, WhatDidISay
from ledger import encoding
from ledger.errors import Fault, PeerFault
from ledger.limits import VALIDATORS_MAX
from p2p.gossip import Gossip, Kind, Outgoing
from p2p.topology import Topology, from_text, full, random_k, ring
from sim.agenda import MS, Agenda
from sim.network import Network

_ENVELOPE = b"\x00"
_HASH_BYTES = 32
_shape = encoding.row(
    encoding.uint(VALIDATORS_MAX - 1),
    encoding.uint(VALIDATORS_MAX),
    encoding.uint(),
    encoding.blob(32 * 1024 * 1024),
)


def topology_named(name: str, size: int, seed: int) -> Topology:
    """full, ring, random-K, or pairs such as "0-1 1-2".  Raises UserError."""
    if name == "full":
        return full(size)
    if name == "ring":
        return ring(size)
    kind, _, degree = name.partition("-")
    if kind == "random" and degree.isdigit():
        return random_k(size, int(degree), seed=seed)
    pairs = "\n".join(pair.replace("-", " ") for pair in name.split())
    return from_text(pairs, size=size)


def unwrapped(payload: bytes) -> bytes:
    """The packet in a frame, whether it is relayed or not; whatever it is where there is none.

    Raises DecodeFault for an envelope that is none.
    """
    if payload[:1] != bytes((Kind.PUSH,)):
        return payload
    if payload[1:2] != _ENVELOPE:
        return payload[1:]
    body = payload[2:-_HASH_BYTES]
    row: Any = encoding.decode(body, _shape, size_max=len(payload), what="envelope")
    packet: bytes = row[3]
    return packet


class Relay:
    """The relay of one life of node `me`."""

    def __init__(
        self,
        me: int,
        topology: Topology,
        keys: Sequence[bytes],
        agenda: Agenda,
        network: Network,
        deliver: Callable[[HostEvent], None],
    ) -> None:
        """`keys` are the validators' transport keys."""
        self.is_over = False
        self._me = me
        self._neighbours = topology.neighbours[me]
        self._keys = keys
        self._agenda = agenda
        self._network = network
        self._deliver = deliver
        self._gossips = {channel: Gossip(me, topology) for channel in Channel}
        # A number is never used twice, whichever life of the process uses it.
        self._number = agenda.now_us << 20
        self._tick_us: dict[Channel, int] = {}

    # --- sending ----------------------------------------------------------------------------------

    def send(self, peer: int | None, channel: Channel, packet: bytes) -> None:
        """Bring a packet to one node, or to all others, over as many links as it takes."""
        proves_itself = packet[2] in RELAYED
        if peer in self._neighbours:
            self._network.send(self._me, peer, channel, packet)
        elif proves_itself:
            self._publish(channel, packet)
        elif peer is not None or packet[2] == WhatDidISay.KIND:
            self._publish(channel, self._enveloped(peer, packet))
        else:
            self._network.send(self._me, None, channel, packet)

    def _publish(self, channel: Channel, payload: bytes) -> None:
        self._carry(channel, self._gossips[channel].publish(self._agenda.now_ms, payload))

    def _enveloped(self, peer: int | None, packet: bytes) -> bytes:
        self._number += 1
        dest = 0 if peer is None else peer + 1
        body = encoding.encode((self._me, dest, self._number, packet))
        return _ENVELOPE + body + self._hash(self._me, body)

    def _hash(self, origin: int, body: bytes) -> bytes:
        key = self._keys[origin]
        return hashlib.blake2b(body, key=key, digest_size=_HASH_BYTES).digest()

    def _carry(self, channel: Channel, outgoing: list[Outgoing]) -> None:
        for out in outgoing:
            self._network.send(self._me, out.peer, channel, out.data)
        self._plan(channel)

    def _plan(self, channel: Channel) -> None:
        """Let the gossip tick when something is due, if no tick comes before."""
        due_ms = self._gossips[channel].next_deadline()
        if due_ms is None:
            return
        due_us = max(due_ms * MS, self._agenda.now_us + 1)
        planned_us = self._tick_us.get(channel)
        if planned_us is None or due_us < planned_us:
            self._tick_us[channel] = due_us
            self._agenda.at(due_us, self._tick, channel, due_us)

    def _tick(self, channel: Channel, due_us: int) -> None:
        if not self.is_over and self._tick_us.get(channel) == due_us:
            del self._tick_us[channel]
            self._carry(channel, self._gossips[channel].tick(self._agenda.now_ms))

    # --- receiving --------------------------------------------------------------------------------

    def receive(self, event: FrameArrived | PeerUp | PeerDown) -> None:
        """Take what a link brings, and deliver what of it is for this node."""
        if isinstance(event, FrameArrived):
            self._on_frame(event)
            return
        for channel, gossip in self._gossips.items():
            if isinstance(event, PeerUp):
                self._carry(channel, gossip.neighbour_up(self._agenda.now_ms, event.peer))
            else:
                gossip.neighbour_down(event.peer)
        self._deliver(event)

    def _on_frame(self, event: FrameArrived) -> None:
        if event.payload[0] > 3:
            self._deliver(event)
            return
        gossip = self._gossips[event.channel]
        try:
            news, outgoing = gossip.receive(self._agenda.now_ms, event.peer, event.payload)
        except PeerFault:  # Nobody here forges gossip, but a replayed frame may be out of place.
            return
        self._carry(event.channel, outgoing)
        for payload in news:
            arrived = self._opened(event, payload)
            if arrived is not None:
                self._deliver(arrived)

    def _opened(self, event: FrameArrived, payload: bytes) -> FrameArrived | None:
        """What a relayed payload holds for this node, and from whom it is."""
        if payload[:1] != _ENVELOPE:
            return FrameArrived(event.peer, event.channel, payload)
        body = payload[1:-_HASH_BYTES]
        row: Any
        try:
            row = encoding.decode(body, _shape, size_max=len(payload), what="envelope")
        except Fault:
            return None
        origin, dest, _, packet = row
        is_mine = dest in (0, self._me + 1) and origin != self._me
        if not is_mine or self._hash(origin, body) != payload[-_HASH_BYTES:]:
            return None
        return FrameArrived(origin, event.channel, packet)
