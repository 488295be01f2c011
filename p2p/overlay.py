"""Links to some of the nodes, over which this node reaches all of them.

It looks like the mesh (`peers`) to whoever sends and receives; between the two stands the relay
(`relay`), which passes on what others sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from ledger.keys import Ed25519, Ed25519Signer
from p2p.certificate import public_key_of
from p2p.frames import Channel
from p2p.hello import Hello
from p2p.peers import Callbacks, Peers
from p2p.relay import Reach, Relay, Sent
from p2p.topology import Topology

CHANNELS = [channel for channel in Channel if channel is not Channel.LINK]


class SignedSeals:
    """Seals that are signatures by the transport keys, whose certificates the genesis pins."""

    size = Ed25519.signature_bytes

    def __init__(self, network_id: bytes, seed: bytes, certificates: Sequence[bytes]) -> None:
        """`seed` is that of this node's transport key; `certificates` are those of all nodes, DER,
        by their numbers."""
        # What these keys sign otherwise, handshakes of TLS 1.3, begins with 64 blanks.
        self._context = b"ledger envelope\n" + network_id
        self._signer = Ed25519Signer(seed)
        self._scheme = Ed25519()
        self._keys = [public_key_of(certificate) for certificate in certificates]

    def make(self, body: bytes) -> bytes:
        return self._signer.sign(self._context + body)

    def is_right(self, origin: int, body: bytes, seal: bytes) -> bool:
        if origin >= len(self._keys):
            return False
        return self._scheme.verify(self._keys[origin], self._context + body, seal)


class Overlay:
    """All nodes, over the links to neighbours."""

    def __init__(
        self,
        me: int,
        neighbours: Sequence[int],
        reach: Reach,
        seals: SignedSeals,
        callbacks: Callbacks,
        make_peers: Callable[[Callbacks], Peers],
    ) -> None:
        """`make_peers` makes the mesh of the neighbours, which calls what it is given."""
        self._callbacks = callbacks
        self._relay = Relay(
            me,
            star(me, neighbours),
            CHANNELS,
            reach,
            seals,
            # Above what an earlier life used, as long as the clock is not set back so far.
            first_number=time.time_ns(),
        )
        self._wake = trio.Event()
        self._planned_ms: int | None = None
        self.peers = make_peers(
            replace(callbacks, on_frame=self._on_frame, on_up=self._on_up, on_down=self._on_down)
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept, dial, carry frames and pass them on until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            await nursery.start(self.peers.run)
            task_status.started()

    def send(self, peer: int, channel: Channel, payload: bytes) -> None:
        """Queue a message for a node, wherever it is.  Never waits."""
        self._carry(self._relay.send(_now_ms(), peer, channel, payload))

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Queue a message for everyone whom it concerns.  Never waits."""
        self._carry(self._relay.send(_now_ms(), None, channel, payload))

    async def _on_frame(self, peer: int, channel: Channel, payload: bytes) -> None:
        arrived, sent = self._relay.receive(_now_ms(), peer, channel, payload)
        self._carry(sent)
        for origin, of_channel, packet in arrived:
            await self._callbacks.on_frame(origin, Channel(of_channel), packet)

    def _on_up(self, peer: int, hello: Hello) -> None:
        self._carry(self._relay.neighbour_up(_now_ms(), peer))
        self._callbacks.on_up(peer, hello)

    def _on_down(self, peer: int) -> None:
        self._relay.neighbour_down(peer)
        self._callbacks.on_down(peer)

    def _carry(self, sent: list[Sent]) -> None:
        for peer, channel, data in sent:
            if peer is None:
                self.peers.broadcast(Channel(channel), data)
            else:
                self.peers.send(peer, Channel(channel), data)
        due_ms = self._relay.next_deadline()
        if due_ms is not None and (self._planned_ms is None or due_ms < self._planned_ms):
            self._wake.set()

    async def _keep_time(self) -> None:
        while True:
            self._wake = trio.Event()
            self._planned_ms = due_ms = self._relay.next_deadline()
            with trio.move_on_at(float("inf") if due_ms is None else due_ms / 1000):
                await self._wake.wait()
            self._carry(self._relay.tick(_now_ms()))


def star(me: int, neighbours: Sequence[int]) -> Topology:
    """What a node knows of the graph, its own links; it is no full mesh where it ends there."""
    rows: list[tuple[int, ...]] = [()] * (max(me, *neighbours) + 1)
    rows[me] = tuple(sorted(neighbours))
    return Topology(tuple(rows))


def _now_ms() -> int:
    return int(trio.current_time() * 1000)
