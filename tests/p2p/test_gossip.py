"""Gossip in a small world of virtual time that loses, delays and duplicates at will."""

from __future__ import annotations

import random
from hashlib import sha256
from heapq import heappop, heappush

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import PeerFault
from p2p.gossip import Gossip, GossipBounds, Kind, Outgoing
from p2p.topology import Topology, from_text, full, random_k, ring

PUSH = bytes([Kind.PUSH])


def name_of(payload: bytes) -> bytes:
    return sha256(payload).digest()


class World:
    """Nodes joined by links that lose eager pushes, and everything else, at their own rates."""

    def __init__(
        self, topology: Topology, *, seed: int, eager_loss: float = 0.0, loss: float = 0.0
    ) -> None:
        self.topology = topology
        self.nodes = [Gossip(me, topology) for me in range(topology.size)]
        self.delivered: list[list[bytes]] = [[] for _ in self.nodes]
        self.sent: list[tuple[int, int, bytes]] = []
        self.dead: set[int] = set()
        self.now = 0
        self._dice = random.Random(seed)
        self._loss = loss
        self._eager_loss = eager_loss
        self._asked: set[tuple[int, int, bytes]] = set()
        self._arrivals: list[tuple[int, int, int, int, bytes]] = []

    def send(self, source: int, outgoing: list[Outgoing]) -> None:
        for out in outgoing:
            assert out.peer in self.topology.neighbours[source]
            self.sent.append((source, out.peer, out.data))
            if self._dice.random() >= self._loss_of(source, out):
                at = self.now + self._dice.randint(1, 60)
                heappush(self._arrivals, (at, len(self.sent), source, out.peer, out.data))

    def _loss_of(self, source: int, out: Outgoing) -> float:
        if out.data[0] == Kind.WANT:
            names = (out.data[at : at + 32] for at in range(1, len(out.data), 32))
            self._asked |= {(source, out.peer, name) for name in names}
        is_push = out.data[0] == Kind.PUSH
        if is_push and (out.peer, source, name_of(out.data[1:])) not in self._asked:
            return self._eager_loss
        return self._loss

    def publish(self, node: int, payload: bytes) -> None:
        self.delivered[node].append(payload)
        self.send(node, self.nodes[node].publish(self.now, payload))

    def restart(self, node: int) -> None:
        """The node comes back with an empty memory; its neighbours see the links change."""
        self.dead.discard(node)
        self.nodes[node] = Gossip(node, self.topology)
        self.delivered[node] = []
        for other in self.topology.neighbours[node]:
            self.nodes[other].neighbour_down(node)
            self.send(other, self.nodes[other].neighbour_up(self.now, node))

    def run_until(self, end_ms: int) -> None:
        while True:
            deadlines = [(node.next_deadline(), at) for at, node in enumerate(self.nodes)]
            ticks = [(due, at) for due, at in deadlines if due is not None and at not in self.dead]
            tick = min(ticks, default=(end_ms + 1, -1))
            arrival = self._arrivals[0][0] if self._arrivals else end_ms + 1
            if min(tick[0], arrival) > end_ms:
                self.now = end_ms
                return
            if arrival <= tick[0]:
                self.now, _, source, target, data = heappop(self._arrivals)
                if target not in self.dead:
                    new, replies = self.nodes[target].receive(self.now, source, data)
                    self.delivered[target] += new
                    self.send(target, replies)
            else:
                self.now = max(self.now, tick[0])
                self.send(tick[1], self.nodes[tick[1]].tick(self.now))


graphs = st.one_of(
    st.builds(ring, st.integers(4, 10)),
    st.builds(
        lambda size, k, seed: random_k(size, k, seed=seed),
        st.integers(5, 14),
        st.integers(2, 5),
        st.integers(0, 999),
    ),
).filter(lambda topology: not topology.is_full)
losses = st.sampled_from([0.0, 0.3, 1.0])


@settings(max_examples=60, deadline=None)
@given(graphs, st.integers(0, 2**32), losses, st.integers(1, 6))
def test_despite_the_loss_of_eager_pushes_every_node_delivers_exactly_once(
    topology: Topology, seed: int, loss: float, messages: int
) -> None:
    world = World(topology, seed=seed, eager_loss=loss)
    for number in range(messages):
        world.publish(number % topology.size, b"message %d" % number)

    world.run_until(55_000)

    expected = sorted(b"message %d" % number for number in range(messages))
    assert [sorted(row) for row in world.delivered] == [expected] * topology.size


@settings(max_examples=40, deadline=None)
@given(graphs, st.integers(0, 2**32))
def test_despite_the_loss_of_a_third_of_everything_every_node_delivers_exactly_once(
    topology: Topology, seed: int
) -> None:
    world = World(topology, seed=seed, eager_loss=0.3, loss=0.3)
    world.publish(0, b"vote")

    world.run_until(55_000)

    assert world.delivered == [[b"vote"]] * topology.size


@pytest.mark.parametrize("topology", [ring(6), random_k(12, 6, seed=1)])
def test_a_quiet_network_falls_silent(topology: Topology) -> None:
    world = World(topology, seed=3)
    world.publish(2, b"vote")
    world.run_until(3_000)
    sent = len(world.sent)

    world.run_until(59_000)

    assert len(world.sent) == sent


def test_without_loss_a_push_is_answered_before_it_is_offered_again() -> None:
    world = World(ring(6), seed=3)
    world.publish(2, b"vote")
    world.run_until(59_000)

    assert {data[0] for _, _, data in world.sent} == {Kind.PUSH, Kind.HAVE}


def test_a_node_that_lost_its_memory_gets_what_its_neighbours_keep() -> None:
    world = World(ring(5), seed=4)
    world.dead.add(2)
    world.publish(0, b"vote")
    world.run_until(2_000)
    assert world.delivered[2] == []

    world.restart(2)
    world.run_until(4_000)

    assert world.delivered == [[b"vote"]] * 5


def test_publishing_again_while_it_is_kept_sends_nothing() -> None:
    node = Gossip(0, ring(5))

    assert node.publish(0, b"vote")
    assert node.publish(10, b"vote") == []


def test_a_hub_relays_for_the_spokes_although_it_sees_everybody() -> None:
    star = from_text("\n".join(f"0 {spoke}" for spoke in range(1, 10)), size=10)
    world = World(star, seed=2)
    world.publish(3, b"vote")

    world.run_until(2_000)

    assert world.delivered == [[b"vote"]] * 10


def test_a_full_mesh_sends_directly_with_one_byte_more_and_never_relays() -> None:
    world = World(full(7), seed=6)
    world.publish(0, b"vote")
    world.run_until(120_000)

    assert world.sent == [(0, peer, PUSH + b"vote") for peer in range(1, 7)]
    assert world.delivered == [[b"vote"]] * 7
    assert all(node.next_deadline() is None for node in world.nodes)


def test_the_eager_few_differ_by_message_and_are_the_same_for_the_same_message() -> None:
    topology = random_k(20, 10, seed=1)

    def eager(payload: bytes) -> tuple[int, ...]:
        outgoing = Gossip(0, topology).publish(0, payload)
        return tuple(out.peer for out in outgoing if out.data[0] == Kind.PUSH)

    chosen = [eager(b"%d" % number) for number in range(20)]
    assert all(len(few) == GossipBounds().eager for few in chosen)
    assert len(set(chosen)) > 10
    assert eager(b"0") == chosen[0]


def test_an_offered_message_is_asked_of_one_holder_after_the_other_and_then_given_up() -> None:
    node = Gossip(0, from_text("0 1\n0 2\n1 3\n2 3", size=4))
    offer = bytes([Kind.OFFER]) + name_of(b"never sent")
    node.receive(0, 1, offer)
    node.receive(5, 2, offer)

    asked = []
    while (due := node.next_deadline()) is not None:
        asked += [(out.peer, Kind(out.data[0])) for out in node.tick(due)]

    assert asked == [(1, Kind.WANT), (2, Kind.WANT)] * 3


def test_a_push_in_flight_makes_asking_needless() -> None:
    node = Gossip(0, ring(5))
    node.receive(0, 1, bytes([Kind.OFFER]) + name_of(b"vote"))
    delivered, _ = node.receive(10, 4, PUSH + b"vote")

    due = node.next_deadline()
    assert due is not None
    assert delivered == [b"vote"]
    assert all(out.data[0] != Kind.WANT for out in node.tick(due))


def test_a_neighbour_can_neither_make_it_wait_for_endless_ids_nor_serve_endlessly() -> None:
    bounds = GossipBounds(wanted_max=4)
    node = Gossip(0, ring(5), bounds=bounds)
    for number in range(20):
        node.receive(0, 1, bytes([Kind.OFFER]) + name_of(b"%d" % number))
    due = node.next_deadline()
    assert due is not None
    (want,) = node.tick(due)
    assert len(want.data) == 1 + 4 * 32

    node.publish(0, b"vote")
    ask = bytes([Kind.WANT]) + name_of(b"vote")
    served = [len(node.receive(now, 1, ask)[1]) for now in (0, 1, 149, 150, 151, 299, 300)]
    assert served == [1, 0, 0, 1, 0, 0, 1]


def test_what_is_kept_is_bounded_by_count_bytes_and_age() -> None:
    bounds = GossipBounds(kept_max=3, kept_bytes_max=100, keep_ms=1_000)
    ask = [bytes([Kind.WANT]) + name_of(b"%d" % number) for number in range(5)]

    def held(node: Gossip, now_ms: int) -> list[bool]:
        return [bool(node.receive(now_ms, 1, each)[1]) for each in ask]

    node = Gossip(0, ring(5), bounds=bounds)
    for number in range(5):
        node.publish(0, b"%d" % number)
    assert held(node, 0) == [False, False, True, True, True]

    node.publish(0, bytes(99))
    assert held(node, 500) == [False, False, False, False, True]

    node.tick(1_000)
    assert held(node, 1_000) == [False] * 5
    while (due := node.next_deadline()) is not None:
        assert node.tick(due) == []


def test_an_old_message_is_recognised_after_it_is_no_longer_kept() -> None:
    node = Gossip(0, ring(5), bounds=GossipBounds(kept_max=1))

    first = [node.receive(0, 1, PUSH + payload)[0] for payload in (b"a", b"b", b"c")]
    again = [node.receive(0, 4, PUSH + payload)[0] for payload in (b"a", b"b", b"c")]

    assert first == [[b"a"], [b"b"], [b"c"]]
    assert again == [[], [], []]


def test_the_seen_cache_forgets_the_least_recently_seen() -> None:
    node = Gossip(0, ring(5), bounds=GossipBounds(kept_max=1, seen_max=2))
    for payload in (b"a", b"b", b"a", b"c"):
        node.receive(0, 1, PUSH + payload)

    assert node.receive(0, 1, PUSH + b"a")[0] == []
    assert node.receive(0, 1, PUSH + b"b")[0] == [b"b"]


def test_what_the_quick_check_refuses_is_neither_delivered_nor_relayed() -> None:
    node = Gossip(0, ring(5), is_acceptable=lambda payload: payload != b"junk")

    with pytest.raises(PeerFault, match=r"gossip\.unacceptable"):
        node.receive(0, 1, PUSH + b"junk")
    assert node.next_deadline() is None


@pytest.mark.parametrize("topology", [ring(5), full(5)])
@pytest.mark.parametrize(
    "data",
    [b"", b"\x04" + bytes(32), b"\xff", b"\x01", b"\x02" + bytes(31), b"\x03" + bytes(33)],
)
def test_malformed_messages_are_a_fault(topology: Topology, data: bytes) -> None:
    with pytest.raises(PeerFault, match=r"gossip\.malformed"):
        Gossip(0, topology).receive(0, 1, data)


@given(st.binary(max_size=70))
def test_arbitrary_bytes_are_a_message_or_a_fault(data: bytes) -> None:
    node = Gossip(0, ring(5))
    try:
        delivered, _ = node.receive(0, 1, data)
    except PeerFault:
        assert data[:1] != PUSH
    else:
        assert delivered == ([data[1:]] if data[:1] == PUSH else [])
