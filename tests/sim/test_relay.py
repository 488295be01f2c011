"""Networks in which not everybody is linked to everybody: gossip, envelopes, whole replicas."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from consensus.io import Channel, FrameArrived, HostEvent
from consensus.packets import RELAYED, Have, WantBatches, encode_packet
from ledger.errors import UserError
from p2p.topology import topology_named
from sim.agenda import MS, Agenda
from sim.faults import draw_scenario
from sim.network import Network
from sim.relay import Relay
from sim.run import run
from sim.scenario import Scenario, Weather
from tests.sim.protocols import NAMES, OTHERS, plugin

HAVE = encode_packet(Have((bytes(32),)), 0)
WANT = encode_packet(WantBatches((bytes(32),)), 0)
VOTE = bytes([0x93, 1, 1]) + b"a vote, as far as its first three bytes tell"


class Ring:
    """Relays of five nodes in a ring, and what each delivers."""

    def __init__(self, weather: Weather) -> None:
        self.agenda = Agenda(Random(1))
        topology = topology_named("ring", 5, 0)
        self.network = Network(
            5, self.agenda, Random(2), weather=weather, neighbours=topology.neighbours
        )
        self.got: list[list[HostEvent]] = [[] for _ in range(5)]
        keys = [bytes([index]) * 32 for index in range(5)]
        self.relays = [
            Relay(i, topology, keys, self.agenda, self.network, self.got[i].append)
            for i in range(5)
        ]
        self.network.attach([_End(relay) for relay in self.relays])
        for node in range(5):
            self.network.connect_soon(node)
        self.run(1_000)

    def run(self, duration_ms: int) -> None:
        self.agenda.run_until(self.agenda.now_us + duration_ms * MS)

    def frames(self, node: int) -> list[FrameArrived]:
        return [event for event in self.got[node] if isinstance(event, FrameArrived)]


class _End:
    """A relay as a station of the network."""

    is_reachable = True

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def receive(self, event: HostEvent) -> None:
        self._relay.receive(event)  # type: ignore[arg-type]


def test_what_proves_itself_reaches_everybody_once_although_frames_are_lost() -> None:
    ring = Ring(Weather(loss=300))

    ring.relays[0].send(None, Channel.PROTOCOL, VOTE)
    ring.relays[0].send(2, Channel.PROTOCOL, VOTE + b" for one that is no neighbour")
    ring.run(30_000)

    for node in range(1, 5):
        found = Counter(frame.payload for frame in ring.frames(node))
        assert found.pop(VOTE) == 1
        assert found == ({VOTE + b" for one that is no neighbour": 1} if node == 2 else {})


def test_other_words_to_everyone_go_to_neighbours_and_no_further() -> None:
    ring = Ring(Weather())

    ring.relays[0].send(None, Channel.DISSEMINATION, HAVE)
    ring.run(2_000)

    assert [len(ring.frames(node)) for node in range(5)] == [0, 1, 0, 0, 1]
    assert HAVE[2] not in RELAYED


def test_a_word_to_one_node_far_away_comes_from_its_origin_as_often_as_it_was_said() -> None:
    ring = Ring(Weather())

    for _ in range(2):
        ring.relays[0].send(2, Channel.DISSEMINATION, WANT)
    ring.run(5_000)

    assert ring.frames(2) == [FrameArrived(0, Channel.DISSEMINATION, WANT)] * 2
    assert [len(ring.frames(node)) for node in (1, 3, 4)] == [0, 0, 0]


def test_an_envelope_with_a_false_origin_is_not_opened() -> None:
    ring = Ring(Weather())
    sealed = bytearray(ring.relays[0]._relay.enveloped(2, WANT))
    receiver = ring.relays[2]._relay

    assert receiver.opened(1, Channel.SYNC, bytes(sealed)) == (0, Channel.SYNC, WANT)
    sealed[2] = 3  # The origin, behind the mark and the header of the array.
    assert receiver.opened(1, Channel.SYNC, bytes(sealed)) is None


@pytest.mark.parametrize(
    ("name", "neighbours"),
    [
        ("full", ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))),
        ("ring", ((1, 3), (0, 2), (1, 3), (0, 2))),
        ("0-1 1-2 2-3", ((1,), (0, 2), (1, 3), (2,))),
    ],
)
def test_a_topology_has_a_name_or_is_written_out(
    name: str, neighbours: tuple[tuple[int, ...], ...]
) -> None:
    assert topology_named(name, 4, 1).neighbours == neighbours


@pytest.mark.parametrize("name", ["star", "random-1", "random-x", "0-1", "0-9 1-2", ""])
def test_what_is_no_connected_topology_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        topology_named(name, 4, 1)


def sparse(name: str, topology: str, nodes: int, seed: int) -> Scenario:
    return replace(draw_scenario(seed, name, nodes), topology=topology)


def check(scenario: Scenario) -> None:
    report = run(scenario, plugin(scenario.protocol))

    assert report.violations == (), report.replay
    assert report.confirmed == scenario.load.transactions


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@pytest.mark.parametrize(("topology", "nodes"), [("ring", 4), ("random-3", 7)])
def test_a_sparse_network_survives_what_a_full_one_does(
    name: str, topology: str, nodes: int
) -> None:
    check(sparse(name, topology, nodes, 11))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("topology", "nodes"), [("ring", 4), ("random-3", 7), ("ring", 7)])
@pytest.mark.parametrize("base", range(0, 1_000, 10))
def test_sparse_networks_survive_many_swarms(
    name: str, topology: str, nodes: int, base: int
) -> None:
    for seed in range(base, base + 10):
        check(sparse(name, topology, nodes, seed))
