"""Incidents: what befalls nodes and links, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import pytest

from consensus.interface import Now, Timer
from consensus.io import HostEvent, Started, StartTimer, Step, Submitted, TimerRang
from ledger.store import Reader
from sim.agenda import MS, Agenda
from sim.injector import Injector
from sim.network import Network
from sim.node import Node
from sim.scenario import FOR_EVER_MS, Incident, Pace, Weather
from sim.trace import Trace
from sim.watcher import Machine


@dataclass
class Diary:
    """A machine that notes when what happened to it, and sets one timer of a protocol."""

    agenda: Agenda
    timer_ms: int
    entries: list[tuple[int, Now, HostEvent]] = field(default_factory=list)

    def step(self, now: Now, event: HostEvent) -> Step:
        self.entries.append((self.agenda.now_us, now, event))
        if isinstance(event, Started) and self.timer_ms:
            return Step(outputs=[StartTimer(Timer("view", (1,)), self.timer_ms)])
        return Step()


class World:
    """Four nodes that keep diaries."""

    def __init__(self, *, timer_ms: int = 0) -> None:
        self.agenda = Agenda(Random(1))
        self.network = Network(4, self.agenda, Random(2), weather=Weather())
        self.diaries = [Diary(self.agenda, timer_ms if index == 3 else 0) for index in range(4)]
        self.nodes = [self._node(index) for index in range(4)]
        self.network.attach(list(self.nodes))
        self.injector = Injector(self.agenda, self.network, self.nodes, lambda: 0, [])
        for node in self.nodes:
            node.boot()

    def _node(self, index: int) -> Node:
        def opened(number: int, reader: Reader) -> Machine:
            return cast(Machine, self.diaries[number])

        return Node(
            index, self.agenda, self.network, Trace(), Random(index),
            pace=Pace(), open_machine=opened, watchers=(),
            on_protocol_timer=lambda: self.injector.protocol_timer_rang(),
        )  # fmt: skip

    def until(self, time_ms: int) -> None:
        self.agenda.run_until(time_ms * MS)

    def is_open(self) -> bool:
        return self.network.is_open(0, 1)


def test_a_partition_that_waits_for_a_view_change_ends_with_the_first_timer() -> None:
    world = World(timer_ms=700)
    world.injector.plan((Incident("view-partition", 200, 5_000, (0,)),))

    world.until(699)
    assert not world.is_open()

    world.until(702)
    assert world.is_open()
    world.until(6_000)
    assert world.is_open()


def test_a_partition_that_waits_for_a_view_change_ends_in_time_without_one() -> None:
    world = World()
    world.injector.plan((Incident("view-partition", 200, 900, (0,)),))

    world.until(890)
    assert not world.is_open()
    world.until(910)
    assert world.is_open()


def test_a_flapping_link_is_cut_and_mended_in_turn_and_whole_in_the_end() -> None:
    world = World()
    world.injector.plan((Incident("flap", 100, 1_000, (0, 1), 100),))
    seen = []

    for time_ms in range(50, 1_300, 100):
        world.until(time_ms)
        seen.append(world.is_open())

    assert seen[:5] == [True, False, True, False, True]
    assert seen[-3:] == [True, True, True]


@pytest.mark.parametrize("factor", [1, 50])
def test_a_slow_node_takes_its_time_for_everything_and_keeps_the_order(factor: int) -> None:
    world = World()
    world.until(1_000)
    world.nodes[2].factor = factor
    diary = world.diaries[2]
    diary.entries.clear()

    for number in range(10):
        world.nodes[2].submit(number, ())
    world.until(1_100)

    requests = [cast(Any, event).request for _, _, event in diary.entries]
    assert requests == list(range(10))
    last_us = diary.entries[-1][0] - 1_000 * MS
    assert last_us == (0 if factor == 1 else 10 * 50 * 20)
    assert isinstance(diary.entries[0][2], Submitted)


def test_a_clock_drifts_steps_and_is_set_right() -> None:
    world = World()
    world.injector.plan(
        (Incident("drift", 1_000, 3_000, (1,), 500), Incident("clock", 4_000, 5_000, (1,), -90_000))
    )
    node = world.nodes[1]
    right = world.nodes[0].clock

    errors = []
    for time_ms in (900, 2_001, 2_999, 3_500, 4_500, 5_500):
        world.until(time_ms)
        errors.append(node.clock.shows_ms(time_ms) - right.shows_ms(time_ms))

    assert errors == [0, 500, 999, 0, -90_000, 0]


def test_a_crash_for_ever_is_remembered_and_no_shorter_one_ends_it() -> None:
    world = World()
    world.injector.plan(
        (Incident("crash", 100, FOR_EVER_MS, (1,)), Incident("crash", 200, 400, (1, 2)))
    )

    world.until(10_000)

    assert [node.is_up for node in world.nodes] == [True, False, True, True]
    assert list(world.injector.down) == [1]


def test_timers_that_come_due_in_a_pause_ring_afterwards() -> None:
    world = World(timer_ms=500)
    world.injector.plan((Incident("pause", 100, 2_000, (3,)),))

    world.until(3_000)

    rings = [time for time, _, event in world.diaries[3].entries if isinstance(event, TimerRang)]
    assert len(rings) == 1
    assert 2_000 * MS <= rings[0] < 2_002 * MS
