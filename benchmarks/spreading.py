"""Messages that spread by the real gossip over simulated links: how soon, and in how many copies.

The gossip of `p2p/gossip.py`, as `sim/relay.py` wires it, in virtual time, with no replica on top.
Nothing takes processor time: a hop takes what its link takes, and what gossip itself waits for.  A
lost frame is lost whole, where a real link (TCP) would stall and send it again.

Each message is published by a drawn node at a drawn time.  Who publishes when depends on the seed,
the kind of message and n alone, so that all topologies and links are asked the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random

from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp
from consensus.packets import BatchPacket, SignedPacket, encode_packet
from ledger.errors import Fault
from ledger.limits import SIGNATURE_BYTES
from p2p.frames import FrameReader
from p2p.gossip import GossipBounds, Kind
from p2p.topology import Topology
from sim.agenda import MS, Agenda
from sim.network import Network
from sim.regions import REGIONS, latency_ms, placed
from sim.relay import Relay
from sim.scenario import Weather

KEPT_MS = GossipBounds().keep_ms
"""What has not arrived so long after it was published is missing: nobody keeps it any more."""
GAP_MS = 500
"""Mean time between two messages; more of them in a shorter time share their HAVEs."""
CONNECTING_MS = 1_000
"""All links are up by then."""


@dataclass(frozen=True, slots=True)
class Link:
    """Links that are alike, but for the distance between two regions."""

    title: str
    weather: Weather
    is_world: bool = False
    """Whether the nodes are in the regions of the world, in turn."""


LINKS = {
    "1ms": Link("1 ms", Weather(delay_us=1_000, jitter_us=0)),
    "25ms": Link("25 ms", Weather(delay_us=25_000, jitter_us=0)),
    "world": Link("ten regions of the world", Weather(delay_us=0, jitter_us=0), is_world=True),
    "lossy": Link("25 ms, 5 % of frames lost", Weather(delay_us=25_000, jitter_us=0, loss=50)),
    "100mbit": Link(
        "25 ms, 100 Mbit/s out of each node",
        # What may wait at a node is 64 MiB, as on one link of a real node.
        Weather(delay_us=25_000, jitter_us=0, bandwidth=12_500_000, queue_bytes=64 * 1024 * 1024),
    ),
}


@dataclass(frozen=True, slots=True)
class Message:
    """A packet to publish."""

    at_us: int
    """After all links are up."""
    node: int
    channel: Channel
    packet: bytes


def _vote(draw: Random, node: int) -> bytes:
    body, signature = draw.randbytes(125), draw.randbytes(SIGNATURE_BYTES)
    return encode_packet(SignedPacket(node, 1, body, signature), 0)


def _batch(draw: Random, _node: int) -> bytes:
    return encode_packet(BatchPacket(draw.randbytes(100_000), draw.randbytes(SIGNATURE_BYTES)), 0)


MESSAGES: dict[str, tuple[Channel, Callable[[Random, int], bytes]]] = {
    "vote": (Channel.PROTOCOL, _vote),
    "batch": (Channel.DISSEMINATION, _batch),
}
"""Some 200 bytes, and some 100 kB."""


def drawn_messages(kind: str, *, nodes: int, count: int, seed: int) -> list[Message]:
    """So many messages of one of `MESSAGES`, by drawn nodes at drawn times."""
    draw = Random(f"{seed} {kind} {nodes}")
    channel, make = MESSAGES[kind]
    messages, at_us = [], 0
    for _ in range(count):
        at_us += int(draw.expovariate(1 / (GAP_MS * MS)))
        node = draw.randrange(nodes)
        messages.append(Message(at_us, node, channel, make(draw, node)))
    return messages


@dataclass(frozen=True, slots=True)
class Spread:
    """How messages of one kind spread; times in ms of virtual time, None for never."""

    half_p50_ms: float | None
    """Until half of the nodes, rounded up, had a message; who publishes it has it at once."""
    half_max_ms: float | None
    all_p50_ms: float | None
    """Until all had it.  A message that is missing somewhere counts as one that takes for ever."""
    all_max_ms: float | None
    copies: float
    """Payloads that arrived, for each message and node but its publisher: 1 would do."""
    own_copies: float
    """Payloads that the publisher itself sent, for each message."""
    payload_bytes: float
    """On all links, with the lost ones, for each message and node but its publisher."""
    control_bytes: float
    """The same of offers, wants and haves."""
    floor_bytes: int
    """The packet itself, which each of these nodes must receive once."""
    missing_messages: int
    """That did not reach every node in `KEPT_MS`."""
    missing_share: float
    """Of the deliveries, a message at a node each."""
    lost_frames: int
    """By the links, payload and control."""


class _End:
    """A relay as a station of the network."""

    is_reachable = True

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def receive(self, event: HostEvent) -> None:
        assert isinstance(event, (FrameArrived, PeerUp, PeerDown))
        self._relay.receive(event)


class _Play:
    """Relays over a network, and what its recorder sees of them."""

    def __init__(
        self, topology: Topology, link: Link, messages: Sequence[Message], seed: int
    ) -> None:
        size = topology.size
        self._messages = messages
        self._numbers = {message.packet: at for at, message in enumerate(messages)}
        self._seen_us: list[dict[int, int]] = [{} for _ in messages]
        """For each message when each node had it."""
        self._payload_frames: dict[bytes, int] = {}
        """The frames of payloads, and of which message; the rest is control."""
        self._ups = 0
        self.payload_bytes = self.control_bytes = 0
        self.copies = self.own_copies = self.lost_frames = 0
        self._agenda = Agenda(Random(f"{seed} ties"))
        self._network = Network(
            size,
            self._agenda,
            Random(f"{seed} network"),
            weather=link.weather,
            neighbours=topology.neighbours,
            distance_us=_distances_us(size) if link.is_world else None,
        )
        keys = [node.to_bytes(32) for node in range(size)]
        self._relays = [
            Relay(node, topology, keys, self._agenda, self._network, partial(self._take, node))
            for node in range(size)
        ]
        self._network.attach([_End(relay) for relay in self._relays])
        self._network.recorder = self
        for node in range(size):
            self._network.connect_soon(node)
        self._agenda.run_until(CONNECTING_MS * MS)
        assert self._ups == sum(map(len, topology.neighbours))

    def run(self) -> None:
        """Publish everything, and go on until nobody keeps it any more."""
        for number, message in enumerate(self._messages):
            self._agenda.after(message.at_us, self._publish, number)
        last_us = max(message.at_us for message in self._messages)
        self._agenda.run_until(self._agenda.now_us + last_us + KEPT_MS * MS)

    def times_ms(self, count: int) -> list[float]:
        """For each message until so many nodes had it; infinite where they did not in time."""
        return [times[count - 1] if len(times) >= count else inf for times in self._in_time()]

    def deliveries(self) -> int:
        """Messages at nodes that had them in time, without those that published them."""
        return sum(len(times) - 1 for times in self._in_time())

    def _in_time(self) -> Iterator[list[float]]:
        """For each message after how many ms it was where, ascending; the publisher's 0 first."""
        for message, seen_us in zip(self._messages, self._seen_us, strict=True):
            start_us = seen_us[message.node]
            times = ((at_us - start_us) / MS for at_us in seen_us.values())
            yield sorted(time for time in times if time <= KEPT_MS)

    def _publish(self, number: int) -> None:
        message = self._messages[number]
        self._seen_us[number][message.node] = self._agenda.now_us
        self._relays[message.node].send(None, message.channel, message.packet)

    def _take(self, node: int, event: HostEvent) -> None:
        if isinstance(event, FrameArrived):
            seen_us = self._seen_us[self._numbers[event.payload]]
            assert node not in seen_us, "gossip delivers once"
            seen_us[node] = self._agenda.now_us
        elif isinstance(event, PeerUp):
            self._ups += 1

    # What the network tells its recorder.

    def posted(self, source: int, dest: int, data: bytes) -> None:
        number = self._number_of(data)
        if number is None:
            self.control_bytes += len(data)
            return
        self.payload_bytes += len(data)
        if self._messages[number].node == source:
            self.own_copies += 1

    def lost(self, source: int, dest: int, data: bytes) -> None:
        self.lost_frames += 1

    def arrived(self, source: int, dest: int, data: bytes) -> None:
        if self._number_of(data) is not None:
            self.copies += 1

    def _number_of(self, data: bytes) -> int | None:
        """Which message is in these bytes of a link; None for control."""
        number = self._payload_frames.get(data)
        if number is None:
            [frame] = FrameReader().feed(data)
            if frame.payload[0] != Kind.PUSH:
                return None
            number = self._payload_frames[data] = self._numbers[frame.payload[1:]]
        return number


def _distances_us(size: int) -> list[list[int]]:
    places = placed(REGIONS, size)
    return [[latency_ms(one, other) * MS for other in places] for one in places]


def spread(topology: Topology, link: Link, kind: str, *, messages: int, seed: int) -> Spread:
    """Publish so many messages of a kind; what became of them.  Raises Fault where none came."""
    drawn = drawn_messages(kind, nodes=topology.size, count=messages, seed=seed)
    play = _Play(topology, link, drawn, seed)
    play.run()
    deliveries = play.deliveries()
    if not deliveries:
        raise Fault("benchmark.no-data", f"no {kind} arrived anywhere over links of {link.title}")
    wanted = messages * (topology.size - 1)
    half_ms, all_ms = (play.times_ms(count) for count in (-(-topology.size // 2), topology.size))
    return Spread(
        half_p50_ms=_median(half_ms),
        half_max_ms=_finite(max(half_ms)),
        all_p50_ms=_median(all_ms),
        all_max_ms=_finite(max(all_ms)),
        copies=play.copies / wanted,
        own_copies=play.own_copies / messages,
        payload_bytes=play.payload_bytes / wanted,
        control_bytes=play.control_bytes / wanted,
        floor_bytes=len(drawn[0].packet),
        missing_messages=all_ms.count(inf),
        missing_share=1 - deliveries / wanted,
        lost_frames=play.lost_frames,
    )


def _median(times: list[float]) -> float | None:
    """The lower one, so that it is a time that was measured."""
    return _finite(sorted(times)[(len(times) - 1) // 2])


def _finite(time: float) -> float | None:
    return None if time == inf else time
