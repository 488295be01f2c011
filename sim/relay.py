"""Relays in virtual time: the real ones (`p2p/relay.py`) between the network and a node.

A keyed hash stands for the signature by the transport key that seals an envelope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp
from consensus.packets import asks_everyone, proves_itself
from ledger.errors import PeerFault
from p2p import relay
from p2p.relay import Reach, Sent
from p2p.topology import Topology
from sim.agenda import MS, Agenda
from sim.network import Network

_HASH_BYTES = 32


def unwrapped(payload: bytes) -> bytes:
    """The packet in a frame, whether it is relayed or not; whatever it is where there is none.

    Raises DecodeFault for an envelope that is none.
    """
    return relay.unwrapped(payload, _HASH_BYTES)


class KeyedHashes:
    """The seals of node `me`."""

    size = _HASH_BYTES

    def __init__(self, me: int, keys: Sequence[bytes]) -> None:
        """`keys` are the validators' transport keys."""
        self._me = me
        self._keys = keys

    def make(self, body: bytes) -> bytes:
        return self._hash(self._me, body)

    def is_right(self, origin: int, body: bytes, seal: bytes) -> bool:
        return self._hash(origin, body) == seal

    def _hash(self, origin: int, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._keys[origin], digest_size=_HASH_BYTES).digest()


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
        self._agenda = agenda
        self._network = network
        self._deliver = deliver
        self._relay = relay.Relay(
            me,
            topology,
            Channel,
            Reach(proves_itself, asks_everyone),
            KeyedHashes(me, keys),
            # A number is never used twice, whichever life of the process uses it.
            first_number=agenda.now_us << 20,
        )
        self._tick_us: int | None = None

    def send(self, peer: int | None, channel: Channel, packet: bytes) -> None:
        """Bring a packet to one node, or to all others, over as many links as it takes."""
        self._carry(self._relay.send(self._agenda.now_ms, peer, channel, packet))

    def receive(self, event: FrameArrived | PeerUp | PeerDown) -> None:
        """Take what a link brings, and deliver what of it is for this node."""
        if isinstance(event, FrameArrived):
            self._on_frame(event)
            return
        if isinstance(event, PeerUp):
            self._carry(self._relay.neighbour_up(self._agenda.now_ms, event.peer))
        else:
            self._relay.neighbour_down(event.peer)
        self._deliver(event)

    def _on_frame(self, event: FrameArrived) -> None:
        now_ms = self._agenda.now_ms
        try:
            arrived, sent = self._relay.receive(now_ms, event.peer, event.channel, event.payload)
        except PeerFault:  # Nobody here forges gossip, but a replayed frame may be out of place.
            return
        self._carry(sent)
        for origin, channel, packet in arrived:
            self._deliver(FrameArrived(origin, Channel(channel), packet))

    def _carry(self, sent: list[Sent]) -> None:
        for peer, channel, data in sent:
            self._network.send(self._me, peer, Channel(channel), data)
        self._plan()

    def _plan(self) -> None:
        """Let the relay tick when something is due, if no tick comes before."""
        due_ms = self._relay.next_deadline()
        if due_ms is None:
            return
        due_us = max(due_ms * MS, self._agenda.now_us + 1)
        if self._tick_us is None or due_us < self._tick_us:
            self._tick_us = due_us
            self._agenda.at(due_us, self._tick, due_us)

    def _tick(self, due_us: int) -> None:
        if not self.is_over and self._tick_us == due_us:
            self._tick_us = None
            self._carry(self._relay.tick(self._agenda.now_ms))
