"""Relays alone: which packets they pass on, what they refuse, and which way they take."""

from __future__ import annotations

from collections import deque
from hashlib import sha256

import pytest

from ledger.errors import PeerFault
from p2p.gossip import Kind
from p2p.overlay import star
from p2p.relay import Arrived, Reach, Relay, Sent
from p2p.topology import ring

CHANNEL = 1
PROOF, WORD, QUESTION = b"\x93proof", b"\x93word", b"\x93question"
REACH = Reach(lambda packet: packet.startswith(PROOF), lambda packet: packet == QUESTION)


class Hashes:
    """Seals of node `me`, as good as its name."""

    size = 32

    def __init__(self, me: int) -> None:
        self.me = me

    def make(self, body: bytes) -> bytes:
        return sha256(b"%d" % self.me + body).digest()

    def is_right(self, origin: int, body: bytes, seal: bytes) -> bool:
        return Hashes(origin).make(body) == seal


class Net:
    """Relays in a ring, whose frames arrive at once and in order."""

    def __init__(self, size: int) -> None:
        self.neighbours = ring(size).neighbours
        self.relays = [
            Relay(me, star(me, row), [CHANNEL], REACH, Hashes(me), first_number=0)
            for me, row in enumerate(self.neighbours)
        ]
        self.got: list[list[Arrived]] = [[] for _ in range(size)]
        self.cut: set[frozenset[int]] = set()
        self.frames = 0
        self.now_ms = 0
        for me, row in enumerate(self.neighbours):
            for peer in row:
                self.carry(me, self.relays[me].neighbour_up(0, peer))

    def sever(self, one: int, other: int) -> None:
        self.cut.add(frozenset((one, other)))
        self.relays[one].neighbour_down(other)
        self.relays[other].neighbour_down(one)

    def send(self, me: int, peer: int | None, packet: bytes) -> None:
        self.carry(me, self.relays[me].send(self.now_ms, peer, CHANNEL, packet))

    def carry(self, me: int, sent: list[Sent]) -> None:
        waiting = deque((me, one) for one in sent)
        while waiting:
            sender, frame = waiting.popleft()
            for peer in self.neighbours[sender] if frame.peer is None else (frame.peer,):
                if frozenset((sender, peer)) in self.cut:
                    continue
                self.frames += 1
                arrived, more = self.relays[peer].receive(
                    self.now_ms, sender, frame.channel, frame.data
                )
                self.got[peer] += arrived
                waiting.extend((peer, one) for one in more)

    def let_pass(self, duration_ms: int) -> None:
        end_ms = self.now_ms + duration_ms
        while True:
            due = [d for r in self.relays if (d := r.next_deadline()) is not None]
            if not due or min(due) > end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = max(self.now_ms, *[min(due)])
            for me, relay in enumerate(self.relays):
                self.carry(me, relay.tick(self.now_ms))

    def packets(self) -> list[list[bytes]]:
        return [[one.packet for one in row] for row in self.got]


def test_a_proof_reaches_all_and_a_word_the_neighbours() -> None:
    net = Net(5)

    net.send(0, None, PROOF)
    net.send(0, None, WORD)

    assert net.packets() == [[], [PROOF, WORD], [PROOF], [PROOF], [PROOF, WORD]]


def test_a_question_to_everyone_and_a_word_to_one_come_from_their_origin() -> None:
    net = Net(5)

    net.send(0, None, QUESTION)
    net.send(0, 2, WORD)

    assert net.got[2] == [Arrived(0, CHANNEL, QUESTION), Arrived(0, CHANNEL, WORD)]
    assert net.got[3] == [Arrived(0, CHANNEL, QUESTION)]


def test_what_is_for_a_neighbour_takes_another_way_while_the_link_is_down() -> None:
    net = Net(5)
    net.sever(0, 1)

    net.send(0, 1, WORD)
    net.send(0, 1, PROOF)

    assert net.got[1] == [Arrived(0, CHANNEL, WORD), Arrived(0, CHANNEL, PROOF)]
    assert net.packets()[2:] == [[], [], []]


def test_what_is_said_again_to_everyone_arrives_again() -> None:
    net = Net(5)

    for _ in range(3):
        net.send(0, None, PROOF)
    net.send(1, None, PROOF)  # For the first time, and nobody lacks it.

    assert net.packets() == [[], *[[PROOF] * 3] * 4]


def test_a_linked_neighbour_is_told_directly_and_nobody_else_is() -> None:
    net = Net(5)

    net.send(0, 1, PROOF)

    assert net.packets() == [[], [PROOF], [], [], []]
    assert net.frames == 1


def test_relays_fall_silent_when_everybody_has_everything() -> None:
    net = Net(5)
    net.send(0, None, PROOF)
    net.let_pass(1_000)
    before = net.frames

    net.let_pass(200_000)

    assert net.frames == before
    assert all(relay.next_deadline() is None for relay in net.relays)


def test_nothing_is_offered_to_a_neighbour_that_was_never_there() -> None:
    relay = Relay(0, ring(5), [CHANNEL], REACH, Hashes(0), first_number=0)
    relay.neighbour_up(0, 1)
    relay.neighbour_down(1)

    said = relay.send(0, None, CHANNEL, PROOF) + relay.tick(1_000) + relay.tick(30_000)

    assert said == []
    assert [one.data[1:] for one in relay.neighbour_up(31_000, 4)] == [sha256(PROOF).digest()]


def sealed(sender: int, origin: int) -> bytes:
    """An envelope that says it is from `origin`, with the seal of `sender`."""
    relay = Relay(origin, ring(5), [CHANNEL], REACH, Hashes(sender), first_number=0)
    return bytes((Kind.PUSH,)) + relay.enveloped(2, WORD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes((Kind.PUSH,)),
        bytes((Kind.PUSH,)) + WORD,
        bytes((Kind.PUSH,)) + b"\x00no envelope",
        sealed(4, 3),
        bytes((Kind.OFFER,)) + b"no name",
    ],
    ids=["nothing", "empty", "no-proof", "no-envelope", "false-seal", "no-name"],
)
def test_what_no_honest_neighbour_sends_is_refused_and_goes_no_further(data: bytes) -> None:
    relay = Net(5).relays[1]

    with pytest.raises(PeerFault) as refused:
        relay.receive(0, 0, CHANNEL, data)

    assert refused.value.culprit == 0
    assert relay.tick(10_000) == []


def test_an_envelope_is_passed_on_by_all_and_opened_by_its_receiver_alone() -> None:
    relay = Net(5).relays[1]

    arrived, sent = relay.receive(0, 0, CHANNEL, sealed(0, 0))

    assert arrived == []
    assert [one.peer for one in sent] == [2]


def test_no_node_opens_its_own_question() -> None:
    net = Net(3)

    net.send(0, None, QUESTION)
    net.let_pass(5_000)

    assert net.packets() == [[], [QUESTION], [QUESTION]]


def test_a_hub_knows_that_the_others_are_not_linked() -> None:
    assert not star(1, [0, 2, 3]).is_full
    assert star(1, [3, 0]).neighbours[1] == (0, 3)
