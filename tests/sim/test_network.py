"""Links of the simulated network: what the weather, cuts and breaks do to frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp
from p2p.transport import LinkBounds
from sim.agenda import MS, Agenda
from sim.network import SILENT_MS, Network
from sim.regions import REGIONS, latency_ms, placed
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
    size: int,
    weather: Weather,
    *,
    seed: int = 1,
    distance_us: list[list[int]] | None = None,
    neighbours: list[list[int]] | None = None,
) -> tuple[Agenda, Network, list[Postbox]]:
    agenda = Agenda(Random(seed))
    network = Network(
        size,
        agenda,
        Random(seed + 1),
        weather=weather,
        distance_us=distance_us,
        neighbours=neighbours,
    )
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


def lost_in_a_row(payloads: list[bytes], kept: list[bytes]) -> list[int]:
    """The lengths of the gaps in what arrived."""
    gaps, gap = [], 0
    for payload in payloads:
        if payload in kept:
            gaps.append(gap)
            gap = 0
        else:
            gap += 1
    return [length for length in [*gaps, gap] if length]


def test_bursts_lose_many_frames_in_a_row_and_uniform_loss_few() -> None:
    longest = {}
    for name, weather in (
        ("burst", Weather(burst=10, burst_frames=30, burst_loss=1_000)),
        ("uniform", Weather(loss=230)),
    ):
        agenda, network, boxes = connected(2, weather)
        payloads = send_numbers(agenda, network, 1_000)
        assert 60 < network.dropped < 500
        longest[name] = max(lost_in_a_row(payloads, boxes[1].payloads(0)))

    assert longest["burst"] > 20 > longest["uniform"]


def test_a_heavy_tail_holds_a_few_frames_for_very_long() -> None:
    weather = Weather(delay_us=1_000, jitter_us=0, tail_us=2_000, reorder=1_000)
    agenda, network, boxes = connected(2, weather)
    start_us, taken = agenda.now_us, []

    for number in range(400):
        network.send(0, 1, Channel.PROTOCOL, number.to_bytes(4, "big"))
    agenda.run_until(20 * SECOND_US)

    taken = sorted(time_us - start_us for time_us in boxes[1].times_us[1:])
    assert len(taken) == 400
    assert taken[200] < 7_000
    assert taken[-1] > 60_000


def test_frames_wait_their_turn_where_bandwidth_is_short_and_the_queue_is_bounded() -> None:
    weather = Weather(delay_us=0, jitter_us=0, bandwidth=10_000, queue_bytes=5_000)
    agenda, network, boxes = connected(3, weather)
    start_us = agenda.now_us

    for number in range(10):
        network.send(0, None, Channel.PROTOCOL, bytes([number]) * 995)
    agenda.run_until(10 * SECOND_US)

    # 1000 bytes a frame: one leaves in 100 ms, whichever of the two links it takes.
    times_ms = sorted(
        (t - start_us) // MS for box in boxes[1:] for t in box.times_us if t > start_us
    )
    assert times_ms == [100, 200, 300, 400, 500, 600]
    assert network.dropped == 14
    assert network.queued_us_max == 500 * MS


def test_regions_are_as_far_apart_as_the_world_is() -> None:
    distance_us = [[latency_ms(a, b) * MS for b in REGIONS] for a in REGIONS]
    agenda, network, boxes = connected(
        10, Weather(delay_us=0, jitter_us=0), distance_us=distance_us
    )
    start_us = agenda.now_us

    network.send(0, None, Channel.SYNC, b"from virginia")
    agenda.run_until(2 * SECOND_US)

    took_ms = [(box.times_us[-1] - start_us) // MS for box in boxes[1:]]
    assert took_ms == [latency_ms("virginia", other) for other in REGIONS[1:]]
    assert 30 < took_ms[0] < 120
    assert placed(("oregon", "tokyo"), 3) == ("oregon", "tokyo", "oregon")
    assert all(latency_ms(a, b) == latency_ms(b, a) for a in REGIONS for b in REGIONS)


def test_only_neighbours_are_linked_where_the_topology_says_so() -> None:
    agenda, network, boxes = connected(4, Weather(), neighbours=[[1, 3], [0, 2], [1, 3], [2, 0]])

    network.send(0, None, Channel.SYNC, b"to neighbours")
    agenda.run_until(2 * SECOND_US)

    assert [e.peer for e in boxes[0].got if isinstance(e, PeerUp)] in ([1, 3], [3, 1])
    assert [box.payloads(0) for box in boxes] == [[], [b"to neighbours"], [], [b"to neighbours"]]
    assert not network.is_full


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


def test_no_connection_outlives_a_long_cut() -> None:
    assert LinkBounds().idle_ms == SILENT_MS
    agenda, network, boxes = connected(2, Weather())
    for length_ms in (SILENT_MS - 1, SILENT_MS - 1, SILENT_MS + 1):
        network.cut(0, 1)
        agenda.run_until(agenda.now_us + length_ms * 1_000)
        network.mend(0, 1)
    agenda.run_until(agenda.now_us + SECOND_US)

    assert boxes[0].got == [PeerUp(1), PeerDown(1), PeerUp(1)]
    assert boxes[1].got == [PeerUp(0), PeerDown(0), PeerUp(0)]


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
