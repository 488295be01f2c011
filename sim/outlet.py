"""What leaves a simulated process, for as long as it lives: frames, timers, jobs, and words to
clients and watchers.

Each method carries out one kind of output of `consensus/io`.  When the process ends, what was to
come of its outputs ends with it: timers, jobs and loops; frames that have left are on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random
from typing import Any

from consensus.interface import Timer
from consensus.io import (
    Answer,
    Confirmed,
    Halt,
    HostEvent,
    Loop,
    Looped,
    Output,
    Report,
    SendFrame,
    StartJob,
    StartTimer,
    StopTimer,
    TimerRang,
)
from sim.agenda import MS, Agenda
from sim.network import Network
from sim.relay import Relay
from sim.watcher import Hooks
from sim.works import Works
from storage.memory import MemoryEngine

_LOOP_US_MAX = 50
_TIMER_LATE_US_MAX = 500


class Outlet:
    """The outlet of one life of node `index`."""

    def __init__(
        self,
        index: int,
        agenda: Agenda,
        network: Network,
        draw: Random,
        hooks: Hooks,
        works: Works,
        relay: Relay | None,
        *,
        engine: MemoryEngine,
        deliver: Callable[[HostEvent], None],
        stop: Callable[[str], None],
        on_protocol_timer: Callable[[], None],
    ) -> None:
        self.timers: dict[Hashable, int] = {}
        """Those that run, in the order of their first start."""
        self.works = works
        self.is_over = False
        self.is_paused = False
        self._index = index
        self._agenda = agenda
        self._network = network
        self._draw = draw
        self._hooks = hooks
        self._relay = relay
        self._engine = engine
        self._deliver = deliver
        self._stop = stop
        self._on_protocol_timer = on_protocol_timer
        self._timers_started = 0
        self._loop_us = 0
        self._rung: list[tuple[Hashable, int]] = []
        """Timers that came due while the process was paused."""

    def end(self) -> None:
        """The process is gone."""
        self.is_over = self.works.is_over = True

    def resume(self) -> None:
        """The process goes on: timers that came due ring now, if they still run by then."""
        self.is_paused = False
        rung, self._rung = self._rung, []
        for timer, number in rung:
            self._agenda.after(int(self._draw.random() * MS), self._ring, timer, number)

    def release(self, outputs: list[Output]) -> None:
        """Let the outputs of durable steps take effect, in order."""
        for output in outputs:
            _RELEASE[type(output)](self, output)
            if self.is_over:
                return

    # --- the kinds of output ----------------------------------------------------------------------

    def _send_frame(self, output: SendFrame) -> None:
        for sent in self._hooks.sent:
            sent(self._index, output)
        if self._relay is None:
            self._network.send(self._index, output.peer, output.channel, output.payload)
        else:
            self._relay.send(output.peer, output.channel, output.payload)

    def _loop(self, output: Loop) -> None:
        late_us = int(self._draw.random() * _LOOP_US_MAX)
        self._loop_us = max(self._loop_us + 1, self._agenda.now_us + late_us)
        self._agenda.at(self._loop_us, self._come_back, Looped(output.content))

    def _come_back(self, event: HostEvent) -> None:
        if not self.is_over:
            self._deliver(event)

    def _start_timer(self, output: StartTimer) -> None:
        self._timers_started += 1
        number = self._timers_started
        self.timers[output.timer] = number
        delay_us = output.delay_ms * MS + int(self._draw.random() * _TIMER_LATE_US_MAX)
        agenda = self._agenda
        agenda.at(agenda.now_us + delay_us, self._ring, output.timer, number)

    def _ring(self, timer: Hashable, number: int) -> None:
        if self.is_over or self.timers.get(timer) != number:
            return
        if self.is_paused:
            self._rung.append((timer, number))
            return
        del self.timers[timer]
        if isinstance(timer, Timer):
            self._on_protocol_timer()
            for rang in self._hooks.rang:
                rang(self._index, timer)
        self._deliver(TimerRang(timer))

    def _stop_timer(self, output: StopTimer) -> None:
        self.timers.pop(output.timer, None)

    def _start_job(self, output: StartJob) -> None:
        self.works.start(output)

    def _answer(self, output: Answer) -> None:
        for answered in self._hooks.answered:
            answered(self._index, output)

    def _confirmed(self, output: Confirmed) -> None:
        for confirmed in self._hooks.confirmed:
            confirmed(self._index, output.height, self._engine)

    def _report(self, output: Report) -> None:
        for reported in self._hooks.reported:
            reported(self._index, output)

    def _halt(self, output: Halt) -> None:
        self._stop(f"halted: {output.reason}")


_RELEASE: dict[type, Callable[[Outlet, Any], None]] = {
    SendFrame: Outlet._send_frame,
    Loop: Outlet._loop,
    StartTimer: Outlet._start_timer,
    StopTimer: Outlet._stop_timer,
    StartJob: Outlet._start_job,
    Answer: Outlet._answer,
    Confirmed: Outlet._confirmed,
    Report: Outlet._report,
    Halt: Outlet._halt,
}
