"""Links of the simulated network: what the weather, cuts and breaks do to frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp
from sim.agenda import MS, Agenda
from sim.network import Network
from sim.scenario import Weather

SECOND_US = 1000 * MS


@dataclass
class Postbox:
    """A node that only keeps what it gets."""

    agenda: Agenda
    is_reachable: bool = True
    got: list[HostEvent] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)

    def receive(self, event: HostEvent) -> None:
        self.got.append(event)
        self.times_us.append(self.agenda.now_us)

    def payloads(self, source: int) -> list[bytes]:
        return [e.payload for e in self.got if isinstance(e, FrameArrived) and e.peer == source]


def connected(
    size: int, weather: Weather, *, seed: int = 1
) -> tuple[Agenda, Network, list[Postbox]]:
    agenda = Agenda(Random(seed))
    network = Network(size, agenda, Random(seed + 1), weather=weather)
    boxes = [Postbox(agenda) for _ in range(size)]
    network.attach(list(boxes))
    for node in range(size):
        network.connect_soon(node)
    agenda.run_until(SECOND_US)
    return agenda, network, boxes


def send_numbers(agenda: Agenda, network: Network, count: int) -> list[bytes]:
    payloads = [number.to_bytes(4, "big") for number in range(count)]
    for payload in payloads:
        network.send(0, 1, Channel.PROTOCOL, payload)
        agenda.run_until(agenda.now_us + 300)
    agenda.run_until(agenda.now_us + SECOND_US)
    return payloads


def test_both_ends_of_every_connection_learn_that_it_is_up_once() -> None:
    _, _, boxes = connected(3, Weather())

    for index, box in enumerate(boxes):
        assert sorted(e.peer for e in box.got if isinstance(e, PeerUp)) == [
            other for other in range(3) if other != index
        ]


def test_fair_weather_keeps_every_frame_and_its_place() -> None:
    agenda, network, boxes = connected(2, Weather(delay_us=500, jitter_us=20_000))

    payloads = send_numbers(agenda, network, 200)

    assert boxes[1].payloads(0) == payloads
    assert network.dropped == 0


def test_a_broadcast_reaches_everyone_but_its_sender() -> None:
    agenda, network, boxes = connected(4, Weather())

    network.send(2, None, Channel.SYNC, b"to all")
    agenda.run_until(2 * SECOND_US)

    assert [box.payloads(2) for box in boxes] == [[b"to all"], [b"to all"], [], [b"to all"]]
    assert network.frames[Channel.SYNC] == 3


def test_loss_takes_frames_and_nothing_else() -> None:
    agenda, network, boxes = connected(2, Weather(loss=300))

    payloads = send_numbers(agenda, network, 400)

    kept = boxes[1].payloads(0)
    assert 200 < len(kept) < 350
    assert kept == [payload for payload in payloads if payload in kept]
    assert network.dropped == len(payloads) - len(kept)


def test_duplicates_come_again_and_reordered_frames_out_of_order() -> None:
    agenda, network, boxes = connected(2, Weather(duplicate=500, reorder=500))

    payloads = send_numbers(agenda, network, 200)

    kept = boxes[1].payloads(0)
    assert sorted(set(kept)) == payloads
    assert 250 < len(kept) < 350
    assert kept != sorted(kept)


def test_replays_bring_frames_of_earlier_connections() -> None:
    agenda, network, boxes = connected(2, Weather(replay=1000))
    network.send(0, 1, Channel.PROTOCOL, b"old")
    network.disconnect(0, 1)
    agenda.run_until(2 * SECOND_US)
    assert boxes[1].payloads(0) == []

    send_numbers(agenda, network, 50)

    assert b"old" in boxes[1].payloads(0)


def test_a_cut_swallows_one_direction_and_tells_nobody() -> None:
    agenda, network, boxes = connected(2, Weather())
    before = len(boxes[0].got), len(boxes[1].got)

    network.cut(0, 1)
    network.send(0, 1, Channel.PROTOCOL, b"lost")
    network.send(1, 0, Channel.PROTOCOL, b"kept")
    agenda.run_until(2 * SECOND_US)
    network.mend(0, 1)
    network.send(0, 1, Channel.PROTOCOL, b"after")
    agenda.run_until(3 * SECOND_US)

    assert boxes[0].got[before[0] :] == [FrameArrived(1, Channel.PROTOCOL, b"kept")]
    assert boxes[1].got[before[1] :] == [FrameArrived(0, Channel.PROTOCOL, b"after")]


def test_two_cuts_need_two_mends() -> None:
    agenda, network, boxes = connected(2, Weather())
    network.cut(0, 1)
    network.cut(0, 1)

    network.mend(0, 1)
    network.send(0, 1, Channel.PROTOCOL, b"lost")
    network.mend(0, 1)
    network.send(0, 1, Channel.PROTOCOL, b"kept")
    agenda.run_until(2 * SECOND_US)

    assert boxes[1].payloads(0) == [b"kept"]


def test_a_break_loses_what_is_under_way_and_is_learned_before_the_next_connection() -> None:
    agenda, network, boxes = connected(2, Weather(delay_us=50_000))

    network.send(0, 1, Channel.PROTOCOL, b"under way")
    network.disconnect(0, 1)
    agenda.run_until(2 * SECOND_US)
    network.send(0, 1, Channel.PROTOCOL, b"after")
    agenda.run_until(3 * SECOND_US)

    assert boxes[0].got == [PeerUp(1), PeerDown(1), PeerUp(1)]
    assert boxes[1].got == [
        PeerUp(0), PeerDown(0), PeerUp(0), FrameArrived(0, Channel.PROTOCOL, b"after"),
    ]  # fmt: skip


def test_a_crashed_node_is_missed_by_the_others_and_found_when_it_is_back() -> None:
    agenda, network, boxes = connected(2, Weather())

    boxes[1].is_reachable = False
    network.crashed(1)
    agenda.run_until(2 * SECOND_US)
    boxes[1].got.clear()
    boxes[1].is_reachable = True
    network.connect_soon(1)
    agenda.run_until(3 * SECOND_US)

    assert boxes[0].got == [PeerUp(1), PeerDown(1), PeerUp(1)]
    assert boxes[1].got == [PeerUp(0)]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_arrivals(seed: int) -> None:
    weather = Weather(loss=100, duplicate=200, reorder=300, replay=100)

    runs = []
    for _ in range(2):
        agenda, network, boxes = connected(2, weather, seed=seed)
        send_numbers(agenda, network, 100)
        runs.append((boxes[1].got, boxes[1].times_us))

    assert runs[0] == runs[1]
