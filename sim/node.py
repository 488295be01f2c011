"""One simulated node: a replica, its disk, its timers and its jobs, as `consensus/io` has it.

The writes of a step go to the disk in one atomic batch; the disk takes what waits in one write, and
only when that has ended do the outputs of its steps leave, in step order.  Jobs (`sim/works.py`)
run once the step that started them is durable.  A crash loses everything that was not on the disk,
between any two of these.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Hashable
from random import Random

from consensus.interface import Now
from consensus.io import FrameArrived, HostEvent, Output, PeerDown, PeerUp, Started, Step, Submitted
from ledger.errors import LedgerError, StorageError
from ledger.store import Write
from sim.agenda import MS, Agenda
from sim.clock import WallClock
from sim.network import Network
from sim.outlet import Outlet
from sim.relay import Relay
from sim.scenario import Pace
from sim.trace import Trace
from sim.watcher import Boundary, Hooks, Machine, Open, Watcher
from sim.works import Works
from storage.memory import Accident, MemoryDisk

_EVENT_US = 20
"""What one event costs a process, which only counts where the process is slow."""
_BUGS = (AssertionError, LedgerError, ArithmeticError, LookupError, TypeError, ValueError,
         AttributeError, RuntimeError)  # fmt: skip
"""What a mistake in the machine under test looks like; each becomes a finding of the run."""


MakeRelay = Callable[[int, Callable[[HostEvent], None]], Relay]
"""Makes the relay of node `index` for one life; the second argument takes what it delivers."""


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
        on_protocol_timer: Callable[[], None] = lambda: None,
        make_relay: MakeRelay | None = None,
    ) -> None:
        """`on_protocol_timer` is called when a timer of the plugin rings; `make_relay` makes what
        passes messages on, where not everybody is linked to everybody."""
        self.index = index
        self.disk = MemoryDisk()
        self.engine = self.disk.open()
        self.clock = WallClock()
        self.sync_factor = 1
        """By how much its disk is slower than its pace."""
        self.job_factor = 1
        self.factor = 1
        """By how much everything it does takes longer."""
        self.backlog_max = 0
        """The most steps that ever waited for the disk."""
        self.has_failed = False
        self.was_robbed = False
        """Whether it ever lost its disk, or got back an earlier one."""
        self._agenda = agenda
        self._network = network
        self._trace = trace
        self._draw = draw
        self._pace = pace
        self._open = open_machine
        self._watchers = watchers
        self._hooks = Hooks(watchers)
        self._make_relay = make_relay
        self._on_protocol_timer = on_protocol_timer
        self._life = 0
        self._machine: Machine | None = None
        self._forget()

    def _forget(self) -> None:
        """Drop whatever lives in memory only."""
        self._life += 1
        self._machine = None
        self._waiting: deque[Step] = deque()
        self._writing: list[Step] = []
        self._outlet: Outlet | None = None
        self._relay: Relay | None = None
        self._busy_us = 0
        """Until when a slow process is occupied with what came before."""
        self._held: list[HostEvent] | None = None
        self._has_written = False
        """Whether a write ended while the process was paused."""
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
        outlet = self._outlet
        is_working = outlet is not None and (outlet.works.is_busy or bool(outlet.timers))
        return not (self._waiting or self._writing or is_working)

    @property
    def timers(self) -> tuple[Hashable, ...]:
        """The timers that run, in the order of their first start."""
        return tuple(self._outlet.timers) if self._outlet is not None else ()

    def boot(self) -> None:
        """Start the process from what the disk holds."""
        if self.is_up or self.has_failed:
            return
        self._trace.add(b"boot", self.index, self._agenda.now_us)
        for watcher in self._watchers:
            watcher.booted(self.index, self.engine)
        # A monotonic clock begins anywhere at each start of a machine.
        self._clock_us = self._draw.randrange(1 << 40) - self._agenda.now_us
        self._open_outlet()
        try:
            self._machine = self._open(self.index, self.engine)
        except _BUGS as error:
            self._fail(error)
            return
        self._take(Started(self._draw.getrandbits(62)))
        self._network.connect_soon(self.index)

    def _open_outlet(self) -> None:
        """What the new process computes, says and passes on."""
        agenda, network = self._agenda, self._network
        if self._make_relay is not None:
            self._relay = self._make_relay(self.index, self._take)
        works = Works(agenda, self._draw, self.engine, self._job_us, self._take, _BUGS, self._fail)
        self._outlet = Outlet(
            self.index, agenda, network, self._draw, self._hooks, works, self._relay,
            engine=self.engine, deliver=self._take, stop=self._stop,
            on_protocol_timer=self._on_protocol_timer,
        )  # fmt: skip

    def crash(self) -> None:
        """End the process now, and lose the writes that were not synced."""
        if not self.is_up:
            return
        self._trace.add(b"crash", self.index, self._agenda.now_us)
        if self._outlet is not None:
            self._outlet.end()
        if self._relay is not None:
            self._relay.is_over = True
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
        self.was_robbed = True
        self._trace.writes(backup, self.index, self._agenda.now_us)
        self.disk = MemoryDisk()
        self.engine = self.disk.open()
        self.engine.write(backup, sync=True)
        for watcher in self._watchers:
            watcher.robbed(self.index)

    def pause(self) -> None:
        """Stop the process as SIGSTOP does: the world goes on, and is seen all at once later."""
        if self._outlet is not None and self._held is None:
            self._held = []
            self._outlet.is_paused = True

    def resume(self) -> None:
        """Let a paused process see what it missed."""
        held, self._held = self._held, None
        has_written, self._has_written = self._has_written, False
        if has_written:
            self._agenda.after(self._below(MS), self._written, self._life)
        for event in held or ():
            self.receive(event)
        if self._outlet is not None:
            self._outlet.resume()
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
        """One event happens to the machine: now, when it wakes, or when it comes to it."""
        if self._machine is None:
            return
        if self._held is not None:
            self._held.append(event)
        elif self._relay is not None and isinstance(event, FrameArrived | PeerUp | PeerDown):
            self._relay.receive(event)
        else:
            self._take(event)

    def _take(self, event: HostEvent) -> None:
        if self._held is not None:
            self._held.append(event)
            return
        now_us = self._agenda.now_us
        if self.factor > 1 or self._busy_us > now_us:
            takes_us = _EVENT_US * self.factor if self.factor > 1 else 1
            self._busy_us = max(self._busy_us, now_us) + takes_us
            self._agenda.at(self._busy_us, self._come_to, self._life, event)
        else:
            self._handle(event)

    def _come_to(self, life: int, event: HostEvent) -> None:
        if life != self._life:
            return
        if self._held is not None:
            self._held.append(event)
        else:
            self._handle(event)

    def _handle(self, event: HostEvent) -> None:
        machine, outlet = self._machine, self._outlet
        if machine is None or outlet is None:
            return
        now_us = self._agenda.now_us
        self._trace.event(event, self.index, now_us)
        now = Now((now_us + self._clock_us) // MS, self.clock.shows_ms(now_us // MS))
        try:
            step = machine.step(now, event)
        except _BUGS as error:
            self._fail(error)
            return
        if not (step.writes or step.sync or self._waiting or self._writing):
            outlet.release(step.outputs)
            return
        self._waiting.append(step)
        self.backlog_max = max(self.backlog_max, len(self._waiting))
        if not self._writing:
            self._write_next()

    def _release(self, outputs: list[Output]) -> None:
        if self._outlet is not None:
            self._outlet.release(outputs)

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
            mean_us = self._pace.sync_us * max(self.sync_factor, self.factor)
        else:
            mean_us = self._pace.write_us * self.factor
        self._agenda.after(self._about(mean_us), self._written, life)

    def _written(self, life: int) -> None:
        if life != self._life:
            return
        if self._held is not None:  # A stopped process does not see that its write has ended.
            self._has_written = True
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
            if self._is_on_disk(writes):
                self._show(writes)
            return
        self._show(writes)
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

    def _is_on_disk(self, writes: list[Write]) -> bool:
        """Whether the disk kept these, although it reported an error."""
        return all(self.engine.get(key) == value for key, value in dict(writes).items())

    def _show(self, writes: list[Write]) -> None:
        self._trace.writes(writes, self.index, self._agenda.now_us)
        for written in self._hooks.written:
            written(self.index, writes, self.engine)

    def submit(self, request: int, transactions: tuple[bytes, ...]) -> None:
        """A client's request reaches the node."""
        self.receive(Submitted(request, transactions))

    # --- how long things take ---------------------------------------------------------------------

    def _job_us(self) -> int:
        # The slower of the two: their product would outlast the faults by minutes.
        return self._about(self._pace.job_us * max(self.job_factor, self.factor))

    def _about(self, mean_us: int) -> int:
        """A time with this mean: mostly near half of it, at times three times as long."""
        share = self._draw.random()
        return 1 + int(mean_us * (0.4 + 1.8 * share * share))

    def _below(self, bound: int) -> int:
        return int(self._draw.random() * bound)
