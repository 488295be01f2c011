"""Gossip: spreading self-authenticating messages over any connected topology.

Pure: messages in, messages out, time as an argument.  It knows bytes, not what they mean.

    PUSH  payload     the message itself
    OFFER id ...      "I hold these; tell me whether you do": sent until answered
    WANT  id ...      "push me these"
    HAVE  id ...      "I hold these too": the answer that stops the offers

Upon a message that is new to this node: deliver it, keep it, PUSH it to a few neighbours and OFFER
    it to the others.  The few differ by message, so no path is favoured.
Upon an OFFER of a known message: HAVE.  Of an unknown one: wait a moment for somebody's PUSH, then
    send WANT to one of those that offered it; after each deadline, to the next of them.
While a neighbour has not said that it holds a kept message: OFFER it again, ever more seldom.
Upon the link to a neighbour coming up: OFFER it all kept messages.

Why every node gets every message: on each edge of the graph the holder repeats its offer until the
neighbour holds the message, whatever is lost on the way; the graph is connected.  It holds for as
long as the holders keep the message (`keep_ms`, and the bounds on count and bytes).

Delivered exactly once: the cache of seen ids outlasts the kept messages, so whatever can still
arrive is recognised.  Publishing the same bytes again while they are kept is silent, for the
offers go on anyway.

In a full mesh nobody relays: publishing is one PUSH to each, receiving is delivering, no ids are
computed, and a message that a link loses is re-sent by its sender's own timers.

Source: eager and lazy push as in Leitao, Pereira, Rodrigues, "Epidemic Broadcast Trees", SRDS 2007.
Deviations: no tree is kept (few nodes, and it would break with each crash); the eager neighbours
are a hash of the message; offers are repeated until answered, instead of once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

from ledger.errors import PeerFault
from p2p.topology import Topology

ID_BYTES = 32
"""An id is the SHA-256 of the payload."""


class Kind(IntEnum):
    """The first byte of a gossip message."""

    PUSH = 0
    OFFER = 1
    WANT = 2
    HAVE = 3


_PUSH = bytes([Kind.PUSH])


@dataclass(frozen=True, slots=True)
class GossipBounds:
    """Every bound and interval of gossip."""

    eager: int = 3
    """Neighbours that get a new message at once: log2 of a large network, at little cost."""
    kept_max: int = 8_192
    """Messages kept for neighbours that lack them: several seconds of votes of 100 validators."""
    kept_bytes_max: int = 64 * 1024 * 1024
    """Their payloads together: eight of the largest batches."""
    keep_ms: int = 60_000
    """Longer than any reconnect; older messages are a matter of catch-up."""
    seen_max: int = 131_072
    """Ids remembered: many times what is kept anywhere, so nothing in flight is delivered twice."""
    wanted_max: int = 1_024
    """Ids that one neighbour may make this node wait for."""
    ids_per_message_max: int = 512
    """16 KiB of ids: they never delay a vote."""
    pull_delay_ms: int = 20
    """How long a PUSH may take that another neighbour has sent already."""
    pull_retry_ms: int = 300
    """A round trip around the world, before another holder is asked."""
    pull_tries_max: int = 6
    """Then the id is forgotten, until a holder offers it again."""
    offer_retry_ms: int = 400
    """First repetition of an unanswered offer; each next one comes twice as late."""
    offer_retry_max_ms: int = 5_000
    """The longest interval between two offers of one message to one neighbour."""
    answer_delay_ms: int = 100
    """HAVEs wait this long, to share a message; shorter than `offer_retry_ms` by a round trip."""
    grid_ms: int = 20
    """Deadlines are rounded up to multiples of this: a burst is looked over 50 times a second."""
    serve_interval_ms: int = 150
    """Between two PUSHes of one message that a neighbour asked for; half of what it waits."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A gossip message to send now."""

    peer: int
    """The neighbour it is for."""
    data: bytes
    """Its bytes."""


@dataclass(slots=True)
class _Kept:
    """A message held for neighbours that may lack it."""

    payload: bytes
    expires_ms: int
    served_ms: dict[int, int] = field(default_factory=dict)
    """When each neighbour that asked for it got it last."""


@dataclass(slots=True)
class _Offer:
    """A neighbour that has not yet said it holds a message."""

    due_ms: int
    interval_ms: int


@dataclass(slots=True)
class _Wanted:
    """An offered message that has not arrived."""

    holders: list[int]
    due_ms: int
    tries: int = 0


class Gossip:
    """One node's part in spreading messages.  Every method returns what to send."""

    def __init__(
        self,
        me: int,
        topology: Topology,
        *,
        bounds: GossipBounds | None = None,
        is_acceptable: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`is_acceptable`, if given, is a quick check without which a message is not relayed."""
        self._me = me
        self._bounds = bounds or GossipBounds()
        assert self._bounds.seen_max > self._bounds.kept_max
        self._is_full = topology.is_full
        self._neighbours = topology.neighbours[me]
        self._is_acceptable = is_acceptable
        self._kept: dict[bytes, _Kept] = {}
        self._kept_bytes = 0
        self._seen: dict[bytes, None] = {}
        self._wanted: dict[bytes, _Wanted] = {}
        self._wanted_from: dict[int, int] = dict.fromkeys(self._neighbours, 0)
        self._offers: dict[int, dict[bytes, _Offer]] = {peer: {} for peer in self._neighbours}
        self._answers: dict[int, dict[bytes, None]] = {peer: {} for peer in self._neighbours}
        self._answers_due_ms: int | None = None
        self._down: dict[int, None] = {}
        self._deadline_ms: int | None = None

    def publish(self, now_ms: int, payload: bytes) -> list[Outgoing]:
        """Spread a message of this node's own; it is not delivered here."""
        if self._is_full:
            return [Outgoing(peer, _PUSH + payload) for peer in self._neighbours]
        name = sha256(payload).digest()
        if name in self._kept:
            return []
        self._note_seen(name)
        return self._spread(now_ms, name, payload, source=None)

    def receive(self, now_ms: int, peer: int, data: bytes) -> tuple[list[bytes], list[Outgoing]]:
        """Take a neighbour's gossip message; return the payloads new to this node, and replies.

        Raises PeerFault "gossip.malformed" or "gossip.unacceptable".
        """
        kind = data[0] if data else -1
        if kind == Kind.PUSH:
            return self._on_push(now_ms, peer, data[1:])
        if kind not in (Kind.OFFER, Kind.WANT, Kind.HAVE):
            raise PeerFault("gossip.malformed", f"kind {kind}", culprit=peer)
        names = self._parse_names(peer, data)
        if self._is_full or peer not in self._offers:
            return [], []
        if kind == Kind.WANT:
            return [], self._on_want(now_ms, peer, names)
        if kind == Kind.OFFER:
            self._on_offer(now_ms, peer, names)
        else:
            for name in names:
                self._offers[peer].pop(name, None)
        return [], []

    def neighbour_up(self, now_ms: int, peer: int) -> list[Outgoing]:
        """A link came up.  Whoever is there may have forgotten all: offer everything kept."""
        self._down.pop(peer, None)
        if self._is_full or peer not in self._offers:
            return []
        for kept in self._kept.values():
            kept.served_ms.pop(peer, None)
        return self._offer(now_ms, peer, list(self._kept))

    def neighbour_down(self, peer: int) -> None:
        """A link went down: nothing is sent to this neighbour until it is up again."""
        if peer in self._offers:
            self._down[peer] = None
            self._offers[peer].clear()
            self._answers[peer].clear()

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Do what is due: forget old messages, ask again, offer again, answer."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return []
        self._forget_old(now_ms)
        outgoing = self._pull(now_ms)
        for peer, offers in self._offers.items():
            due = [name for name, offer in offers.items() if offer.due_ms <= now_ms]
            outgoing += self._offer(now_ms, peer, due)
        if self._answers_due_ms is not None and self._answers_due_ms <= now_ms:
            self._answers_due_ms = None
            for peer, names in self._answers.items():
                outgoing += self._name(Kind.HAVE, peer, list(names))
                names.clear()
        self._deadline_ms = self._earliest()
        return outgoing

    def next_deadline(self) -> int | None:
        """When to call `tick`, in the milliseconds given to the other methods; never too late."""
        return self._deadline_ms

    # Upon the four kinds of message.

    def _on_push(
        self, now_ms: int, peer: int, payload: bytes
    ) -> tuple[list[bytes], list[Outgoing]]:
        if self._is_acceptable is not None and not self._is_acceptable(payload):
            raise PeerFault("gossip.unacceptable", culprit=peer)
        if self._is_full:
            return [payload], []
        name = sha256(payload).digest()
        if peer in self._offers:
            self._offers[peer].pop(name, None)
            self._answer(now_ms, peer, name)
        if name in self._seen:
            self._note_seen(name)
            return [], []
        self._note_seen(name)
        self._drop_wanted(name)
        return [payload], self._spread(now_ms, name, payload, source=peer)

    def _on_offer(self, now_ms: int, peer: int, names: list[bytes]) -> None:
        for name in names:
            wanted = self._wanted.get(name)
            if name in self._seen:
                self._offers[peer].pop(name, None)
                self._answer(now_ms, peer, name)
            elif wanted is not None:
                if peer not in wanted.holders:
                    wanted.holders.append(peer)
            elif self._wanted_from[peer] < self._bounds.wanted_max:
                due_ms = self._due(now_ms + self._bounds.pull_delay_ms)
                self._wanted[name] = _Wanted([peer], due_ms)
                self._wanted_from[peer] += 1

    def _on_want(self, now_ms: int, peer: int, names: list[bytes]) -> list[Outgoing]:
        outgoing = []
        for name in names:
            kept = self._kept.get(name)
            if kept is None:
                continue
            served_ms = kept.served_ms.get(peer)
            if served_ms is not None and now_ms - served_ms < self._bounds.serve_interval_ms:
                continue
            kept.served_ms[peer] = now_ms
            outgoing.append(Outgoing(peer, _PUSH + kept.payload))
            self._await_answer(now_ms, peer, name)
        return outgoing

    # What the node does of its own accord.

    def _spread(
        self, now_ms: int, name: bytes, payload: bytes, *, source: int | None
    ) -> list[Outgoing]:
        """Keep a message; push it to the eager few and offer it to the rest."""
        self._keep(now_ms, name, payload)
        others = [peer for peer in self._neighbours if peer not in (source, *self._down)]
        others.sort(key=lambda peer: sha256(name + b"%d|%d" % (self._me, peer)).digest())
        outgoing = []
        for peer in others[: self._bounds.eager]:
            outgoing.append(Outgoing(peer, _PUSH + payload))
            self._await_answer(now_ms, peer, name)
        for peer in others[self._bounds.eager :]:
            outgoing += self._offer(now_ms, peer, [name])
        return outgoing

    def _await_answer(self, now_ms: int, peer: int, name: bytes) -> None:
        interval_ms = self._bounds.offer_retry_ms
        self._offers[peer][name] = _Offer(self._due(now_ms + interval_ms), interval_ms)

    def _offer(self, now_ms: int, peer: int, names: list[bytes]) -> list[Outgoing]:
        """Offer now, and again after an interval that doubles each time."""
        offers = self._offers[peer]
        for name in names:
            before = offers.get(name)
            interval_ms = self._bounds.offer_retry_ms if before is None else before.interval_ms * 2
            interval_ms = min(interval_ms, self._bounds.offer_retry_max_ms)
            offers[name] = _Offer(self._due(now_ms + interval_ms), interval_ms)
        return self._name(Kind.OFFER, peer, names)

    def _answer(self, now_ms: int, peer: int, name: bytes) -> None:
        self._answers[peer][name] = None
        if self._answers_due_ms is None:
            self._answers_due_ms = self._due(now_ms + self._bounds.answer_delay_ms)

    def _pull(self, now_ms: int) -> list[Outgoing]:
        """Ask a holder for each message that is due, each time the next one in turn."""
        asked: dict[int, list[bytes]] = {}
        for name, wanted in list(self._wanted.items()):
            if wanted.due_ms > now_ms:
                continue
            if wanted.tries >= self._bounds.pull_tries_max:
                self._drop_wanted(name)
                continue
            holder = wanted.holders[wanted.tries % len(wanted.holders)]
            wanted.tries += 1
            wanted.due_ms = self._due(now_ms + self._bounds.pull_retry_ms)
            asked.setdefault(holder, []).append(name)
        return [out for peer, names in asked.items() for out in self._name(Kind.WANT, peer, names)]

    # When things are due.

    def _due(self, at_ms: int) -> int:
        """This time on the grid, noted as a deadline."""
        due_ms = -(-at_ms // self._bounds.grid_ms) * self._bounds.grid_ms
        if self._deadline_ms is None or due_ms < self._deadline_ms:
            self._deadline_ms = due_ms
        return due_ms

    def _earliest(self) -> int | None:
        deadlines = [wanted.due_ms for wanted in self._wanted.values()]
        deadlines += [o.due_ms for offers in self._offers.values() for o in offers.values()]
        if self._answers_due_ms is not None:
            deadlines.append(self._answers_due_ms)
        oldest = next(iter(self._kept.values()), None)
        if oldest is not None:
            deadlines.append(oldest.expires_ms)
        return min(deadlines, default=None)

    # Memory, and its bounds.

    def _keep(self, now_ms: int, name: bytes, payload: bytes) -> None:
        self._kept[name] = _Kept(payload, self._due(now_ms + self._bounds.keep_ms))
        self._kept_bytes += len(payload)
        while len(self._kept) > self._bounds.kept_max or (
            self._kept_bytes > self._bounds.kept_bytes_max and len(self._kept) > 1
        ):
            self._forget(next(iter(self._kept)))

    def _forget_old(self, now_ms: int) -> None:
        for name, kept in list(self._kept.items()):
            if kept.expires_ms > now_ms:
                break
            self._forget(name)

    def _forget(self, name: bytes) -> None:
        self._kept_bytes -= len(self._kept.pop(name).payload)
        for offers in self._offers.values():
            offers.pop(name, None)

    def _note_seen(self, name: bytes) -> None:
        """Remember an id as the most recently used; forget the least recently used."""
        self._seen.pop(name, None)
        self._seen[name] = None
        if len(self._seen) > self._bounds.seen_max:
            del self._seen[next(iter(self._seen))]

    def _drop_wanted(self, name: bytes) -> None:
        wanted = self._wanted.pop(name, None)
        if wanted is not None:
            self._wanted_from[wanted.holders[0]] -= 1

    # Messages of ids.

    def _parse_names(self, peer: int, data: bytes) -> list[bytes]:
        count, rest = divmod(len(data) - 1, ID_BYTES)
        if rest or not 1 <= count <= self._bounds.ids_per_message_max:
            raise PeerFault("gossip.malformed", f"{len(data)} bytes", culprit=peer)
        return [data[1 + at * ID_BYTES : 1 + (at + 1) * ID_BYTES] for at in range(count)]

    def _name(self, kind: Kind, peer: int, names: Iterable[bytes]) -> list[Outgoing]:
        """Messages of one kind that carry all these ids, as few as the bound allows."""
        rows = list(names)
        size = self._bounds.ids_per_message_max
        parts = (rows[at : at + size] for at in range(0, len(rows), size))
        return [Outgoing(peer, bytes([kind]) + b"".join(part)) for part in parts]
