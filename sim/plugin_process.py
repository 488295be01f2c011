"""The process in which a plugin runs: starts, crashes, pauses, clocks and timers.

What a step leaves behind and how it becomes durable is `sim/plugin_life.py`.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consensus.interface import (
    Consensus,
    Decide,
    Event,
    Now,
    Recovery,
    Root,
    Settle,
    Signed,
    Start,
    Timer,
    TimerFired,
)
from ledger.errors import LedgerError
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_scenario import MS
from sim.plugin_step import Step, Surroundings

EPOCH_MS = 1_700_000_000_000
LOCK_STEP_SKEW = 40
"""By how much clocks differ less where a protocol takes it that they show the same time."""
"""What the clocks on the wall show when a world begins."""
BUGS = (AssertionError, LedgerError, ArithmeticError, LookupError, TypeError, ValueError,
        AttributeError, RuntimeError)  # fmt: skip
"""What a mistake in a plugin looks like; each becomes a finding of the run."""


class Process(ABC):
    """A running plugin, and what of it outlives a crash."""

    def __init__(self, world: Surroundings, index: int, validator: int) -> None:
        self.index = index
        self.validator = validator
        self.is_byzantine = validator in world.scenario.byzantine
        self.is_attacker = any(validator == attacker for attacker, _ in world.scenario.attacks)
        """Whether its words are changed on their way out; a twin's are not."""
        self.log: list[Value] = []
        """Decided values by ordinal, the last ones perhaps not durable yet."""
        self.durable = 0
        """How many of them are durable."""
        self.decisions: list[tuple[int, Decide]] = []
        """(ordinal of its first value, durable decision) where no certificate covers it."""
        self.plugin: Consensus | None = None
        self._world = world
        self._agenda = world.agenda
        self._random = world.draw.random
        self._record: bytes | None = None
        self._sent: dict[tuple[str, Slot], Signed] = {}
        self._floors: dict[str, Slot] = {}
        self._clock_ms = world.draw.randrange(1 << 30)
        self._rate = 1_000
        """How fast its clocks run, per thousand."""
        self._local_us = self._since_us = 0
        """What its clock showed when the rate last changed, and when that was."""
        self._skew_ms = world.draw.randint(-200, 200)
        if world.scenario.protocol.lock_step:
            self._skew_ms //= LOCK_STEP_SKEW
        self._life = 0
        self._waiting: deque[Step] = deque()
        self._writing: list[Step] = []
        self._forget()

    def _forget(self) -> None:
        """Drop whatever lives in memory only."""
        for step in (*self._writing, *self._waiting):
            for key in step.signed:
                self._sent.pop(key, None)
        del self.log[self.durable :]
        self._life += 1
        self.plugin = None
        self._waiting.clear()
        self._writing = []
        self._timers: dict[Timer, int] = {}
        self._timers_started = 0
        self._loop_us = 0
        self._paused: list[Callable[[], None]] | None = None
        self._doom = ""
        self._settling: list[Settle] = []
        """Floors that wait for the next certificate."""

    @abstractmethod
    def take(self, event: Event) -> None:
        """Let the plugin take one event, and carry out what it says."""

    @abstractmethod
    def wake(self) -> None:
        """Look again at everything that waits, and tell the plugin that there is work."""

    @abstractmethod
    def _keep(self, values: tuple[Value, ...]) -> None:
        """Remember values, so that fetches can be answered."""

    # --- life -------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        return self.plugin is not None

    @property
    def timers(self) -> tuple[Timer, ...]:
        """The timers that run."""
        return tuple(self._timers)

    def boot(self) -> None:
        """Start a new plugin from what is durable."""
        if self.plugin is not None:
            return
        for signed in self._sent.values():
            self._keep(signed.message.values())
        for _, decision in self.decisions:
            self._keep((*decision.values, *decision.proof.values))
        recovery = Recovery(self.root(self.durable), self._record, tuple(self._sent.values()))
        context = self._world.context
        try:
            protocol = self._world.protocols[self.validator]
            self.plugin = protocol(replace(context, me=self.validator), recovery)
        except BUGS as error:
            self._fail(error)
            return
        self._record_life("booted")
        self.take(Start())
        self.wake()

    def root(self, length: int) -> Root:
        """The root after the first `length` values of the log."""
        height = sum(1 for value in self.log[:length] if value.payload)
        last = self.log[length - 1] if length else None
        return Root(last.digest, last.slot, height) if last else Root(b"", (0,), 0)

    def crash(self, boundary: str = "now") -> None:
        """Stop here, or at the next write: before it, after it, or amid what it lets leave."""
        if self.plugin is None:
            return
        if boundary != "now":
            self._doom = boundary
            return
        self._world.trace.add(b"crash", self.index, self._agenda.now_us)
        self._record_life("crashed")
        self._forget()

    def _fail(self, error: BaseException) -> None:
        if self.is_attacker:
            self.crash()  # A plugin whose words are changed owes us nothing.
            return
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        self._world.oracles.violated(
            "breakdown", f"{type(error).__name__} at {place} of seat {self.index}: {error}"
        )
        self.crash()

    def pause(self) -> None:
        if self.plugin is not None and self._paused is None:
            self._paused = []
            self._record_life("paused")

    def resume(self) -> None:
        """See at once everything that happened during the pause."""
        paused, self._paused = self._paused, None
        if paused is not None:
            self._record_life("resumed")
        for action in paused or ():
            action()

    def _record_life(self, what: str) -> None:
        if self._world.recorder is not None:
            self._world.recorder.lived(self.index, what)

    # --- time -------------------------------------------------------------------------------------

    def set_clock(self, step_ms: int, rate: int) -> None:
        """The clock on the wall leaps, and both clocks run at another rate from now on."""
        now_us = self._agenda.now_us
        self._local_us += (now_us - self._since_us) * self._rate // 1_000
        self._since_us = now_us
        self._skew_ms += step_ms
        self._rate = rate

    def _now(self, now_us: int) -> Now:
        """What its clocks show."""
        now_ms = (self._local_us + (now_us - self._since_us) * self._rate // 1_000) // MS
        return Now(now_ms + self._clock_ms, EPOCH_MS + now_ms + self._skew_ms)

    def later(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Act after a delay, unless this life ends before."""
        agenda = self._agenda
        agenda.at(agenda.now_us + delay_us, self._act, self._life, action, arguments)

    def _act(self, life: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if life != self._life:
            return
        if self._paused is not None:
            self._paused.append(lambda: self._act(life, action, arguments))
            return
        action(*arguments)

    def _set_timer(self, timer: Timer, delay_ms: int) -> None:
        self._timers_started += 1
        self._timers[timer] = self._timers_started
        delay_us = delay_ms * MS * 1_000 // self._rate
        self.later(delay_us + self._brief_us(), self._ring, timer, self._timers_started)

    def _ring(self, timer: Timer, number: int) -> None:
        if self._timers.get(timer) == number:
            del self._timers[timer]
            self._world.rang()
            self.take(TimerFired(timer))

    def _brief_us(self) -> int:
        """The time of a short local matter."""
        return int(self._random() * 300)
