"""The host contract of `consensus/io`, held by the simulated node against machines made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import pytest

from consensus.interface import Now
from consensus.io import (
    Answer,
    Confirmed,
    Halt,
    HostEvent,
    Job,
    JobDone,
    Loop,
    Looped,
    Output,
    Report,
    Started,
    StartJob,
    StartTimer,
    Step,
    StopTimer,
    Submitted,
    TimerRang,
)
from ledger.store import Reader, Write
from sim.agenda import MS, Agenda
from sim.network import Network
from sim.node import Node
from sim.scenario import Pace, Weather
from sim.trace import Trace
from sim.watcher import Boundary, Watcher

SECOND_US = 1000 * MS
React = Callable[[HostEvent], Step]


@dataclass
class Scripted:
    """A machine that answers events from a script and remembers them."""

    react: React
    events: list[HostEvent] = field(default_factory=list)
    nows: list[Now] = field(default_factory=list)

    def step(self, now: Now, event: HostEvent) -> Step:
        self.events.append(event)
        self.nows.append(now)
        return self.react(event)


@dataclass
class Record(Watcher):
    """Everything that a watcher sees, in order."""

    seen: list[tuple[str, Any]] = field(default_factory=list)

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        self.seen.append(("written", [key for key, _ in writes]))

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        self.seen.append(("confirmed", height))

    def answered(self, node: int, answer: Answer) -> None:
        self.seen.append(("answered", answer.request))

    def reported(self, node: int, report: Report) -> None:
        self.seen.append(("reported", report.name))

    def failed(self, node: int, reason: str) -> None:
        self.seen.append(("failed", reason))

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.seen if name == kind]


@dataclass
class Bench:
    """One node on an agenda of its own; every start gets a new machine with the same script."""

    react: React
    seed: int = 1

    def __post_init__(self) -> None:
        self.agenda = Agenda(Random(self.seed))
        self.network = Network(1, self.agenda, Random(self.seed), weather=Weather())
        self.machines: list[Scripted] = []
        self.record = Record()
        self.node = Node(
            0,
            self.agenda,
            self.network,
            Trace(),
            Random(self.seed),
            pace=Pace(),
            open_machine=self._open,
            watchers=(self.record,),
        )
        self.network.attach([self.node])
        self.node.boot()

    def _open(self, index: int, reader: Reader) -> Scripted:
        self.machines.append(Scripted(self.react))
        return self.machines[-1]

    @property
    def events(self) -> list[HostEvent]:
        return self.machines[-1].events

    def run(self, time_us: int = SECOND_US) -> None:
        self.agenda.run_until(self.agenda.now_us + time_us)


def on_submit(*steps: Step) -> React:
    """Answer the first submission with the first step, the next with the next; else be idle."""
    left = list(steps)
    return lambda event: left.pop(0) if isinstance(event, Submitted) and left else Step()


def guarded(event: HostEvent) -> Step:
    assert not isinstance(event, Submitted), "a second value"
    return Step()


def promise(key: bytes, *outputs: Output, sync: bool = True) -> Step:
    return Step([(key, b"value")], sync, list(outputs))


def test_outputs_leave_only_after_the_write_they_depend_on() -> None:
    bench = Bench(on_submit(promise(b"vote", Confirmed(1))))

    bench.node.submit(1, ())
    assert bench.record.seen == []
    bench.run()

    assert bench.record.seen == [("written", [b"vote"]), ("confirmed", 1)]
    assert bench.node.engine.get(b"vote") == b"value"


@pytest.mark.parametrize("seed", range(8))
def test_outputs_leave_in_step_order_whatever_writes_were_joined(seed: int) -> None:
    steps = [promise(b"%d" % n, Confirmed(n), sync=n % 2 == 0) for n in range(6)]
    steps.insert(3, Step([], False, [Confirmed(77)]))
    bench = Bench(on_submit(*steps), seed)

    for number in range(7):
        bench.node.submit(number, ())
    bench.run()

    assert bench.record.of("confirmed") == [0, 1, 2, 77, 3, 4, 5]


def test_a_step_without_writes_leaves_at_once_when_the_disk_is_idle() -> None:
    bench = Bench(on_submit(Step([], False, [Confirmed(5)])))

    bench.node.submit(1, ())

    assert bench.record.seen == [("confirmed", 5)]


@pytest.mark.parametrize(
    ("boundary", "is_stored", "leaves"),
    [
        (Boundary.NOWHERE, False, False),
        (Boundary.BEFORE, False, False),
        (Boundary.AFTER, True, False),
    ],
)
def test_a_crash_strikes_where_it_was_told_to(
    boundary: Boundary, is_stored: bool, leaves: bool
) -> None:
    bench = Bench(on_submit(promise(b"vote", Confirmed(1))))

    bench.node.submit(1, ())
    bench.node.crash_at(boundary)
    bench.run()

    assert not bench.node.is_up
    assert (bench.node.engine.get(b"vote") is not None) == is_stored
    assert bool(bench.record.of("confirmed")) == leaves


def test_a_crash_amid_the_release_lets_a_prefix_leave() -> None:
    counts = set()
    for seed in range(40):
        bench = Bench(on_submit(promise(b"vote", *(Confirmed(n) for n in range(3)))), seed)
        bench.node.submit(1, ())
        bench.node.crash_at(Boundary.AMID)
        bench.run()
        left = bench.record.of("confirmed")
        assert left == list(range(len(left)))
        counts.add(len(left))

    assert counts == {0, 1, 2, 3}


def test_watchers_hear_of_a_write_that_the_disk_kept_although_it_reported_an_error() -> None:
    # Else the next life stands on what no oracle has seen: a block above one that nobody stored.
    told = {True: 0, False: 0}
    for seed in range(20):
        bench = Bench(on_submit(promise(b"vote", Confirmed(1))), seed)
        bench.node.crash_at(Boundary.FAILING)
        bench.node.submit(1, ())
        bench.run()

        is_kept = bench.node.engine.get(b"vote") == b"value"
        assert bench.record.seen == ([("written", [b"vote"])] if is_kept else [])
        told[is_kept] += 1
    assert all(told.values())


def test_unsynced_writes_may_be_lost_and_synced_ones_never() -> None:
    survived = set()
    for seed in range(20):
        steps = [promise(b"synced", Confirmed(1)), promise(b"loose", Confirmed(2), sync=False)]
        bench = Bench(on_submit(*steps), seed)
        bench.node.submit(1, ())
        bench.run()
        bench.node.submit(2, ())
        bench.run()
        bench.node.crash()
        assert bench.record.of("confirmed") == [1, 2]
        assert bench.node.engine.get(b"synced") == b"value"
        survived.add(bench.node.engine.get(b"loose"))

    assert survived == {None, b"value"}


def test_a_restart_begins_with_started_and_hears_nothing_of_its_earlier_life() -> None:
    def react(event: HostEvent) -> Step:
        if isinstance(event, Submitted):
            return Step([], False, [Loop("own vote"), StartTimer("alarm", 10), StartJob(1, Slow())])
        return Step()

    bench = Bench(react)

    bench.node.submit(1, ())
    bench.node.crash()
    bench.node.boot()
    bench.run()

    first, second = (machine.events for machine in bench.machines)
    assert [type(event) for event in first] == [Started, Submitted]
    assert [type(event) for event in second] == [Started]
    assert first[0] != second[0]


def test_a_timer_started_again_moves_and_a_stopped_one_stays_silent() -> None:
    timers = [
        StartTimer("a", 100), StartTimer("b", 100), StartTimer("a", 300), StopTimer("b"),
        StartTimer("c", 100),
    ]  # fmt: skip
    bench = Bench(on_submit(Step([], False, list(timers))))

    bench.node.submit(1, ())
    bench.run(200 * MS)
    assert bench.events[2:] == [TimerRang("c")]
    bench.run(200 * MS)

    assert bench.events[2:] == [TimerRang("c"), TimerRang("a")]
    assert bench.node.is_idle


def test_loops_come_back_in_order_after_they_are_durable() -> None:
    step = Step([(b"vote", b"")], True, [Loop(number) for number in range(20)])
    bench = Bench(on_submit(step))

    bench.node.submit(1, ())
    bench.run()

    assert bench.events[2:] == [Looped(number) for number in range(20)]


def test_a_paused_node_sees_everything_later_and_in_order() -> None:
    bench = Bench(on_submit(Step([], False, [StartTimer("alarm", 10)])))
    bench.node.submit(1, ())

    bench.node.pause()
    bench.node.submit(2, ())
    bench.run()
    assert bench.events[2:] == []
    assert not bench.node.is_reachable
    bench.node.resume()
    bench.run()

    assert bench.events[2:] == [Submitted(2, ()), TimerRang("alarm")]


@dataclass(frozen=True, slots=True)
class Slow(Job):
    """Reads a key, so that its result shows when it ran."""

    key: bytes = b"key"

    def run(self, reader: Reader) -> Any:
        return reader.get(self.key)


@dataclass(frozen=True, slots=True)
class Sequential(Slow):
    sequential: ClassVar[bool] = True


def test_sequential_jobs_end_in_the_order_of_their_start_and_others_do_not() -> None:
    def numbers(kind: type[Slow], seed: int) -> list[int]:
        jobs: list[Output] = [StartJob(number, kind()) for number in range(8)]
        bench = Bench(on_submit(Step([], False, jobs)), seed)
        bench.node.submit(1, ())
        bench.run()
        return [event.job for event in bench.events if isinstance(event, JobDone)]

    assert all(numbers(Sequential, seed) == list(range(8)) for seed in range(8))
    assert any(numbers(Slow, seed) != list(range(8)) for seed in range(8))
    assert all(sorted(numbers(Slow, seed)) == list(range(8)) for seed in range(8))


def test_a_job_sees_the_writes_of_the_step_that_started_it() -> None:
    for seed in range(10):
        bench = Bench(
            on_submit(promise(b"key", StartJob(1, Slow()), StartJob(2, Sequential()))), seed
        )
        bench.node.submit(1, ())
        bench.run()

        results = [event.result for event in bench.events if isinstance(event, JobDone)]
        assert results == [b"value", b"value"]


@pytest.mark.parametrize(
    ("react", "reason"),
    [
        (on_submit(Step([], False, [Halt("a fork"), Confirmed(1)])), "halted: a fork"),
        (guarded, "AssertionError at test_node.py"),
    ],
    ids=["halt", "exception"],
)
def test_a_node_that_stops_says_why_and_stays_down(react: React, reason: str) -> None:
    bench = Bench(react)

    bench.node.submit(1, ())
    bench.node.boot()
    bench.run()

    [why] = bench.record.of("failed")
    assert reason in why
    assert bench.record.of("confirmed") == []
    assert not bench.node.is_up


def test_clocks_on_the_wall_may_be_wrong_and_monotonic_ones_only_grow() -> None:
    bench = Bench(lambda event: Step())
    bench.run()
    bench.node.submit(1, ())
    bench.node.clock.skew_ms = -3_600_000
    bench.run()
    bench.node.submit(2, ())

    _, before, after = bench.machines[0].nows
    assert after.monotonic_ms - before.monotonic_ms == 1000
    assert after.wall_ms - before.wall_ms == 1000 - 3_600_000
