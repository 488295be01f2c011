"""The mesh: one link to each peer, made again whenever it breaks.

The lower number dials the higher, so a pair has one link; should a dialer have lost its end
unnoticed, its newest link replaces the older.  Numbers of nodes that stay must keep their order
when members change.  A peer that breaks a rule loses its link and is held off for a while; nothing
that a peer or stranger does ends another's link.

Strangers cost little: their handshakes are bounded in time and number.  When there are too many,
the longest-lasting one goes, for an honest handshake is over in milliseconds.

`send` never waits: each peer has a bounded queue (`outbound`), in which catch-up and batches give
way to consensus.  Frames come in one at a time a peer; a handler that waits slows that peer only.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import trio

from ledger.errors import PeerFault
from p2p.backoff import Backoff
from p2p.certificate import Identity
from p2p.counters import PeerStatus, Refusals, Traffic
from p2p.frames import PAYLOAD_BYTES_MAX, Channel, Frame
from p2p.hello import Hello
from p2p.tls import make_contexts
from p2p.transport import Address, Link, LinkBounds, LinkDown, dial, open_link

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""The machine is out of something; the listener itself is sound."""


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What the epoch record and the configuration say of a peer."""

    certificate: bytes
    """The pinned certificate, DER."""
    addresses: tuple[Address, ...]
    """Where it may listen, in the order to try."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the mesh tells its owner."""

    on_frame: Callable[[int, Channel, bytes], Awaitable[None]]
    """A frame of a peer.  May wait, which slows that peer; may raise PeerFault, which drops it."""
    on_up: Callable[[int, Hello], None]
    """A link is there; comes before its first frame."""
    on_down: Callable[[int], None]
    """The link is gone; comes after its last frame."""
    on_refused: Callable[[str, int, str], None]
    """(reason, occurrences since the last report, detail of the latest); once an interval."""


@dataclass(frozen=True, slots=True)
class PeersBounds:
    """Bounds and intervals of the mesh."""

    strangers_max: int = 128
    """Handshakes at once: all members of a large network may come back together."""
    strangers_per_host_max: int = 64
    """Half of it: one machine cannot take every place."""
    backoff_first_ms: int = 100
    """A restarted process listens again that soon."""
    backoff_last_ms: int = 2_000
    """A network that heals is whole again within this."""
    stable_ms: int = 5_000
    """A link that lasted so long begins with short waits again."""
    accept_pause_ms: int = 100
    """Between tries to accept while the machine is out of file descriptors."""
    report_interval_ms: int = 10_000
    """Between reports of one reason."""
    link: LinkBounds = field(default_factory=LinkBounds)
    """Of each link."""


@dataclass(slots=True)
class _Peer:
    record: PeerRecord
    backoff: Backoff
    link: Link | None = None
    held_until: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)
    dropped: dict[Channel, int] = field(default_factory=lambda: dict.fromkeys(Channel, 0))

    def status(self, peer: int) -> PeerStatus:
        link, dropped = self.link, dict(self.dropped)
        for channel, count in (link.outbound.dropped if link else {}).items():
            dropped[channel] += count
        return PeerStatus(
            peer=peer,
            hello=link.hello if link else None,
            round_trip_ms=link.round_trip_ms if link else None,
            frames_waiting=len(link.outbound) if link else 0,
            bytes_waiting=link.outbound.bytes_waiting if link else 0,
            dropped=dropped,
            traffic=self.traffic.snapshot(),
        )


@dataclass(frozen=True, slots=True)
class _Stranger:
    host: str
    scope: trio.CancelScope


class Peers:
    """All links of one node."""

    def __init__(
        self,
        *,
        me: int,
        identity: Identity,
        hello: Hello,
        peers: Mapping[int, PeerRecord],
        listeners: Sequence[trio.SocketListener],
        callbacks: Callbacks,
        bounds: PeersBounds | None = None,
    ) -> None:
        """`peers` leaves out `me`; the listeners are closed when `run` ends."""
        self._me = me
        self._identity = identity
        self._hello = hello
        self._listeners = listeners
        self._callbacks = callbacks
        self._bounds = bounds or PeersBounds()
        self._refusals = Refusals(self._bounds.report_interval_ms)
        self._strangers: dict[int, _Stranger] = {}
        self._arrivals = 0
        self._nursery: trio.Nursery | None = None
        self._peers: dict[int, _Peer] = {}
        self.set_peers(peers)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept, dial and carry frames until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for listener in self._listeners:
                    nursery.start_soon(self._accept, listener)
                for peer, state in sorted(self._peers.items()):
                    self._start_dialing(peer, state)
                task_status.started()
        finally:
            self._nursery = None
            for listener in self._listeners:
                listener.socket.close()  # not aclose: it would stop at the first when cancelled

    def send(self, peer: int, channel: Channel, payload: bytes) -> bool:
        """Queue a message for a peer; False if there is no link to it.  Never waits."""
        assert channel is not Channel.LINK
        assert len(payload) <= PAYLOAD_BYTES_MAX[channel], f"{channel.name}: {len(payload)} bytes"
        state = self._peers.get(peer)
        if state is None or state.link is None:
            return False
        state.link.send(Frame(channel, payload))
        return True

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Queue a message for every connected peer."""
        for peer in self.connected():
            self.send(peer, channel, payload)

    def connected(self) -> list[int]:
        """The peers with a link, ascending."""
        return sorted(peer for peer, state in self._peers.items() if state.link is not None)

    def close(self, peer: int, reason: str) -> None:
        """End a peer's link for a fault that showed later; it is held off like any other."""
        state = self._peers.get(peer)
        if state is not None and state.link is not None:
            state.link.close(reason, is_fault=True)

    def update_hello(
        self,
        certified_height: int,
        *,
        epoch: int | None = None,
        epoch_id: bytes | None = None,
    ) -> None:
        """What links made from now on are told."""
        self._hello = replace(
            self._hello,
            certified_height=certified_height,
            epoch=self._hello.epoch if epoch is None else epoch,
            epoch_id=self._hello.epoch_id if epoch_id is None else epoch_id,
        )

    def set_peers(self, peers: Mapping[int, PeerRecord]) -> None:
        """Replace the table of peers.  A link stays if its number still has its certificate."""
        assert self._me not in peers
        pinned = [record.certificate for _, record in sorted(peers.items())]
        assert len(set(pinned)) == len(pinned), "two peers share a certificate"
        self._contexts = make_contexts(self._identity, pinned)
        self._number_of = {record.certificate: peer for peer, record in peers.items()}
        for peer, state in sorted(self._peers.items()):
            if peer not in peers or peers[peer].certificate != state.record.certificate:
                del self._peers[peer]
                if state.link is not None:
                    state.link.close("link.removed")
        for peer, record in sorted(peers.items()):
            if peer in self._peers:
                self._peers[peer].record = record
            else:
                self._add(peer, record)

    def refusals(self) -> dict[str, int]:
        """Connections refused or broken since the start, by reason."""
        return dict(self._refusals.totals)

    def status(self) -> list[PeerStatus]:
        """A snapshot of every peer, ascending."""
        return [state.status(peer) for peer, state in sorted(self._peers.items())]

    # The table of peers.

    def _add(self, peer: int, record: PeerRecord) -> None:
        backoff = Backoff(
            b"%d|%d|" % (self._me, peer),
            first_ms=self._bounds.backoff_first_ms,
            last_ms=self._bounds.backoff_last_ms,
        )
        self._peers[peer] = _Peer(record, backoff)
        self._start_dialing(peer, self._peers[peer])

    def _start_dialing(self, peer: int, state: _Peer) -> None:
        if self._nursery is not None and self._me < peer:
            self._nursery.start_soon(self._dial, peer, state)

    def _identify(self, certificate: bytes) -> int:
        peer = self._number_of.get(certificate)
        if peer is None:
            raise PeerFault("tls.unknown-certificate")
        return peer

    def _refuse(self, reason: str, detail: str) -> None:
        """Count a refusal, and report it if none of its kind was reported lately."""
        count = self._refusals.count(int(trio.current_time() * 1000), reason)
        if count:
            self._callbacks.on_refused(reason, count, detail)

    # Dialing.

    async def _dial(self, peer: int, state: _Peer) -> None:
        """Keep a link to a higher-numbered peer for as long as it is in the table."""
        while self._peers.get(peer) is state:
            # A link accepted earlier cannot be there: only lower numbers are accepted.
            assert state.link is None
            await self._dial_once(peer, state)
            await trio.sleep(state.backoff.next_ms() / 1000)

    async def _dial_once(self, peer: int, state: _Peer) -> None:
        def identify(certificate: bytes) -> int:
            if self._identify(certificate) != peer:
                raise PeerFault("tls.other-member", f"not peer {peer}")
            return peer

        try:
            tcp = await dial(state.record.addresses, connect_ms=self._bounds.link.connect_ms)
            link = await open_link(
                tcp,
                self._contexts.client,
                is_server=False,
                identify=identify,
                traffic_of=lambda _: state.traffic,
                ours=self._hello,
                bounds=self._bounds.link,
            )
        except (LinkDown, PeerFault) as error:
            self._refuse(error.reason, f"peer {peer}: {error.detail}")
            return
        await self._carry(state, link)

    # Accepting.

    async def _accept(self, listener: trio.SocketListener) -> None:
        assert self._nursery is not None
        while True:
            try:
                tcp = await listener.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                # The connection stays in the backlog and the socket stays readable: without a
                # pause this loop would take a whole processor.
                self._refuse("accept.exhausted", str(error))
                await trio.sleep(self._bounds.accept_pause_ms / 1000)
                continue
            self._nursery.start_soon(self._welcome, tcp)

    async def _welcome(self, tcp: trio.SocketStream) -> None:
        """Find out who connected, and carry the link if it is a peer that should."""
        try:
            host = str(tcp.socket.getpeername()[0])
        except OSError:  # gone already
            await trio.aclose_forcefully(tcp)
            return
        link: Link | None = None
        try:
            with trio.CancelScope() as scope:
                link = await self._meet(tcp, _Stranger(host, scope))
            if scope.cancelled_caught:
                self._refuse("link.crowded", host)
        except (LinkDown, PeerFault) as error:
            self._refuse(error.reason, f"{host}: {error.detail}")
        if link is None:
            return
        state = self._peers.get(link.peer)
        if state is None or state.record.certificate != link.certificate:
            self._refuse("link.removed", f"peer {link.peer}, while it said hello")
            await link.abandon()
            return
        await self._carry(state, link)

    async def _meet(self, tcp: trio.SocketStream, stranger: _Stranger) -> Link:
        self._make_room(stranger.host)
        self._arrivals = ticket = self._arrivals + 1
        self._strangers[ticket] = stranger
        try:
            return await open_link(
                tcp,
                self._contexts.server,
                is_server=True,
                identify=self._identify_caller,
                traffic_of=lambda peer: self._peers[peer].traffic,
                ours=self._hello,
                bounds=self._bounds.link,
            )
        finally:
            self._strangers.pop(ticket, None)

    def _make_room(self, host: str) -> None:
        """Show the oldest stranger out if one more would be too many."""
        rows = self._strangers
        of_host = [ticket for ticket, other in rows.items() if other.host == host]
        if len(of_host) >= self._bounds.strangers_per_host_max:
            rows.pop(of_host[0]).scope.cancel()
        elif len(rows) >= self._bounds.strangers_max:
            rows.pop(next(iter(rows))).scope.cancel()

    def _identify_caller(self, certificate: bytes) -> int:
        """Whose call it is; a member's is refused, too, in the wrong direction or too soon."""
        peer = self._identify(certificate)
        if peer > self._me:
            raise PeerFault("link.wrong-direction", f"peer {peer}")
        if trio.current_time() < self._peers[peer].held_until:
            raise PeerFault("link.held-off", f"peer {peer}")
        return peer

    # Carrying.

    async def _carry(self, state: _Peer, link: Link) -> None:
        """Run a link as the only one of its peer, and take stock when it ends."""
        peer = link.peer
        while state.link is not None:
            state.link.close("link.replaced")
            await state.link.ended.wait()
        if self._peers.get(peer) is not state:
            await link.abandon()
            return
        state.link = link
        began = trio.current_time()
        self._callbacks.on_up(peer, link.hello)
        try:
            end = await link.run(
                lambda channel, data: self._callbacks.on_frame(peer, channel, data)
            )
        finally:
            state.link = None
            for channel, count in link.outbound.dropped.items():
                state.dropped[channel] += count
            self._callbacks.on_down(peer)
            link.ended.set()
        if (trio.current_time() - began) * 1000 >= self._bounds.stable_ms:
            state.backoff.reset()
        if end.is_fault:
            state.held_until = trio.current_time() + state.backoff.next_ms() / 1000
        self._refuse(end.reason, f"peer {peer}: {end.detail}")
