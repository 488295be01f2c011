"""One simulated node: a replica, its disk, its timers and its jobs, as `consensus/io` has it.

The writes of a step go to the disk in one atomic batch; the disk takes what waits in one write, and
only when that has ended do the outputs of its steps leave, in step order.  Jobs run once the step
that started them is durable: those that must follow one another do, the others at any moment before
their result arrives, each with a delay of its own.  A crash loses everything that was not on the
disk, between any two of these.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from random import Random
from typing import Any

from consensus.interface import Now
from consensus.io import (
    Answer,
    Confirmed,
    Halt,
    HostEvent,
    JobDone,
    Loop,
    Looped,
    Output,
    Report,
    SendFrame,
    Started,
    StartJob,
    StartTimer,
    Step,
    StopTimer,
    Submitted,
    TimerRang,
)
from ledger.errors import LedgerError, StorageError
from ledger.store import Write
from sim.agenda import MS, Agenda
from sim.network import Network
from sim.scenario import Pace
from sim.trace import Trace
from sim.watcher import Boundary, Machine, Open, Watcher
from storage.memory import Accident, MemoryDisk

EPOCH_MS = 1_700_000_000_000
"""What the clocks on the wall show when a world begins."""
_LOOP_US_MAX = 50
_TIMER_LATE_US_MAX = 500
_BUGS = (AssertionError, LedgerError, ArithmeticError, LookupError, TypeError, ValueError,
         AttributeError, RuntimeError)  # fmt: skip
"""What a mistake in the machine under test looks like; each becomes a finding of the run."""


@dataclass(slots=True)
class _Work:
    """A job that waits for the jobs before it."""

    number: int
    job: Any


class Node:
    """A machine and everything below it."""

    def __init__(
        self,
        index: int,
        agenda: Agenda,
        network: Network,
        trace: Trace,
        draw: Random,
        *,
        pace: Pace,
        open_machine: Open,
        watchers: tuple[Watcher, ...],
    ) -> None:
        self.index = index
        self.disk = MemoryDisk()
        self.engine = self.disk.open()
        self.skew_ms = 0
        """By how much its clock on the wall is wrong."""
        self.sync_factor = 1
        """By how much its disk is slower than its pace."""
        self.job_factor = 1
        self.backlog_max = 0
        """The most steps that ever waited for the disk."""
        self.has_failed = False
        self._agenda = agenda
        self._network = network
        self._trace = trace
        self._draw = draw
        self._pace = pace
        self._open = open_machine
        self._watchers = watchers
        self._life = 0
        self._machine: Machine | None = None
        self._forget()

    def _forget(self) -> None:
        """Drop whatever lives in memory only."""
        self._life += 1
        self._machine = None
        self._waiting: deque[Step] = deque()
        self._writing: list[Step] = []
        self._timers: dict[Hashable, int] = {}
        self._timers_started = 0
        self._works: deque[_Work] = deque()
        self._loop_us = 0
        self._held: list[HostEvent] | None = None
        self._doom = Boundary.NOWHERE

    # --- life -------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        return self._machine is not None

    @property
    def is_reachable(self) -> bool:
        """Whether its process answers: it runs and is not paused."""
        return self._machine is not None and self._held is None

    @property
    def is_doomed(self) -> bool:
        """Whether it is to crash at its next write."""
        return self._doom is not Boundary.NOWHERE

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits here: no write, no job, no timer."""
        return not (self._waiting or self._writing or self._works or self._timers)

    @property
    def timers(self) -> tuple[Hashable, ...]:
        """The timers that run, in the order of their first start."""
        return tuple(self._timers)

    def boot(self) -> None:
        """Start the process from what the disk holds."""
        if self.is_up or self.has_failed:
            return
        self._trace.add(b"boot", self.index, self._agenda.now_us)
        for watcher in self._watchers:
            watcher.booted(self.index, self.engine)
        # A monotonic clock begins anywhere at each start of a machine.
        self._clock_us = self._draw.randrange(1 << 40) - self._agenda.now_us
        try:
            self._machine = self._open(self.index, self.engine)
        except _BUGS as error:
            self._fail(error)
            return
        self.receive(Started(self._draw.getrandbits(62)))
        self._network.connect_soon(self.index)

    def crash(self) -> None:
        """End the process now, and lose the writes that were not synced."""
        if not self.is_up:
            return
        self._trace.add(b"crash", self.index, self._agenda.now_us)
        self._forget()
        self.disk.crash(keep=self._draw)
        self.engine = self.disk.open()
        self._network.crashed(self.index)
        for watcher in self._watchers:
            watcher.crashed(self.index)

    def crash_at(self, boundary: Boundary) -> None:
        """End the process at this point of its next write."""
        if boundary is Boundary.NOWHERE:
            self.crash()
        elif self.is_up:
            self._doom = boundary

    def back_up(self) -> list[Write]:
        """Everything that is on the disk."""
        return list(self.engine.scan(b"", b"\xff" * 64))

    def restore(self, backup: list[Write]) -> None:
        """End the process and put a disk in its place that holds only this."""
        self.crash()
        self._trace.writes(backup, self.index, self._agenda.now_us)
        self.disk = MemoryDisk()
        self.engine = self.disk.open()
        self.engine.write(backup, sync=True)
        for watcher in self._watchers:
            watcher.robbed(self.index)

    def pause(self) -> None:
        """Stop the process as SIGSTOP does: the world goes on, and is seen all at once later."""
        if self.is_up and self._held is None:
            self._held = []

    def resume(self) -> None:
        """Let a paused process see what it missed."""
        held, self._held = self._held, None
        for event in held or ():
            self.receive(event)
        if self.is_up:
            self._network.connect_soon(self.index)

    def _fail(self, error: BaseException) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        self._stop(f"{type(error).__name__} at {place}: {error}")

    def _stop(self, reason: str) -> None:
        self.has_failed = True
        for watcher in self._watchers:
            watcher.failed(self.index, reason)
        self.crash()

    # --- events -----------------------------------------------------------------------------------

    def receive(self, event: HostEvent) -> None:
        """One event happens to the machine, now or when it wakes."""
        if self._machine is None:
            return
        if self._held is not None:
            self._held.append(event)
            return
        now_us = self._agenda.now_us
        self._trace.event(event, self.index, now_us)
        now = Now((now_us + self._clock_us) // MS, EPOCH_MS + now_us // MS + self.skew_ms)
        try:
            step = self._machine.step(now, event)
        except _BUGS as error:
            self._fail(error)
            return
        if not (step.writes or step.sync or self._waiting or self._writing):
            self._release(step.outputs)
            return
        self._waiting.append(step)
        self.backlog_max = max(self.backlog_max, len(self._waiting))
        if not self._writing:
            self._write_next()

    # --- the disk ---------------------------------------------------------------------------------

    def _write_next(self) -> None:
        life, waiting = self._life, self._waiting
        while waiting and not (waiting[0].writes or waiting[0].sync):
            self._release(waiting.popleft().outputs)
            if self._life != life:
                return
        if not waiting:
            return
        count = len(waiting) if self._draw.random() < 0.5 else self._draw.randint(1, len(waiting))
        self._writing = [waiting.popleft() for _ in range(count)]
        if any(step.sync for step in self._writing):
            mean_us = self._pace.sync_us * self.sync_factor
        else:
            mean_us = self._pace.write_us
        self._agenda.after(self._about(mean_us), self._written, life)

    def _written(self, life: int) -> None:
        if life != self._life:
            return
        if self._held is not None:  # A stopped process does not see that its write has ended.
            self._agenda.after(MS, self._written, life)
            return
        doom = self._doom
        if doom is Boundary.BEFORE:
            self.crash()
            return
        writes = [write for step in self._writing for write in step.writes]
        if doom is Boundary.FAILING:
            self.disk.plan(self.disk.write_count + 1, Accident.WRITE_ERROR)
        try:
            self.engine.write(writes, sync=any(step.sync for step in self._writing))
        except StorageError:  # A failed write releases nothing and ends the process.
            assert doom is Boundary.FAILING
            self.crash()
            return
        self._trace.writes(writes, self.index, self._agenda.now_us)
        for watcher in self._watchers:
            watcher.written(self.index, writes, self.engine)
        outputs = [output for step in self._writing for output in step.outputs]
        if doom is not Boundary.NOWHERE:
            leaving = 0 if doom is Boundary.AFTER else self._draw.randint(0, len(outputs))
            self._release(outputs[:leaving])
            self.crash()
            return
        self._release(outputs)
        if self._life == life:
            self._writing = []
            self._write_next()

    # --- outputs ----------------------------------------------------------------------------------

    def _release(self, outputs: list[Output]) -> None:
        """Let the outputs of durable steps take effect, in order."""
        for output in outputs:
            match output:
                case SendFrame():
                    for watcher in self._watchers:
                        watcher.sent(self.index, output)
                    self._network.send(self.index, output.peer, output.channel, output.payload)
                case Loop(content):
                    now_us = self._agenda.now_us
                    self._loop_us = max(self._loop_us + 1, now_us + self._below(_LOOP_US_MAX))
                    self._agenda.at(self._loop_us, self._later, self._life, Looped(content))
                case StartTimer(timer, delay_ms):
                    self._start_timer(timer, delay_ms)
                case StopTimer(timer):
                    self._timers.pop(timer, None)
                case StartJob(number, job):
                    self._start_job(_Work(number, job))
                case Answer():
                    for watcher in self._watchers:
                        watcher.answered(self.index, output)
                case Confirmed(height):
                    for watcher in self._watchers:
                        watcher.confirmed(self.index, height, self.engine)
                case Report():
                    for watcher in self._watchers:
                        watcher.reported(self.index, output)
                case Halt(reason):
                    self._stop(f"halted: {reason}")
                    return

    def _later(self, life: int, event: HostEvent) -> None:
        if life == self._life:
            self.receive(event)

    def _start_timer(self, timer: Hashable, delay_ms: int) -> None:
        self._timers_started += 1
        self._timers[timer] = self._timers_started
        delay_us = delay_ms * MS + self._below(_TIMER_LATE_US_MAX)
        self._agenda.after(delay_us, self._ring, self._life, timer, self._timers_started)

    def _ring(self, life: int, timer: Hashable, number: int) -> None:
        if life == self._life and self._timers.get(timer) == number:
            if self._held is None:
                del self._timers[timer]
                for watcher in self._watchers:
                    watcher.rang(self.index, timer)
                self.receive(TimerRang(timer))
            else:  # Whether it still runs when the process wakes, that process decides.
                self._agenda.after(MS, self._ring, life, timer, number)

    def submit(self, request: int, transactions: tuple[bytes, ...]) -> None:
        """A client's request reaches the node."""
        self.receive(Submitted(request, transactions))

    # --- jobs -------------------------------------------------------------------------------------

    def _start_job(self, work: _Work) -> None:
        if work.job.sequential:
            self._works.append(work)
            if len(self._works) == 1:
                self._run_first()
        elif self._draw.random() < 0.5:
            self._agenda.after(self._job_us(), self._run_late, self._life, work)
        else:
            self._run(work, self._later)

    def _run(self, work: _Work, end: Callable[[int, HostEvent], None]) -> None:
        """Compute a result now and let it arrive after a while."""
        try:
            event = JobDone(work.number, work.job.run(self.engine))
        except _BUGS as error:
            self._fail(error)
            return
        self._agenda.after(self._job_us(), end, self._life, event)

    def _run_first(self) -> None:
        self._run(self._works[0], self._end_first)

    def _end_first(self, life: int, event: HostEvent) -> None:
        if life != self._life:
            return
        self._works.popleft()
        if self._works:
            self._run_first()
        self._later(life, event)

    def _run_late(self, life: int, work: _Work) -> None:
        """Compute a result only after a while, upon what is on the disk by then."""
        if life == self._life:
            self._run(work, self._later)

    def _job_us(self) -> int:
        return self._about(self._pace.job_us * self.job_factor)

    def _about(self, mean_us: int) -> int:
        """A time with this mean: mostly near half of it, at times three times as long."""
        share = self._draw.random()
        return 1 + int(mean_us * (0.4 + 1.8 * share * share))

    def _below(self, bound: int) -> int:
        return int(self._draw.random() * bound)
