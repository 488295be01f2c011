"""The life of one plugin: its steps, its disk, its timers, its crashes.

Each step's effects become durable together after a drawn time, several steps in one write; what a
step says leaves only then, in step order.  A crash loses the steps that are not durable.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consensus.interface import (
    Broadcast,
    CancelTimer,
    CertificateReceived,
    Consensus,
    Decide,
    Effect,
    Event,
    Fetch,
    Forward,
    Hint,
    Message,
    Note,
    Now,
    Persist,
    Received,
    Recovery,
    RequestPayload,
    Root,
    Send,
    SetTimer,
    Settle,
    Signed,
    Start,
    Tell,
    Timer,
    TimerFired,
    Validate,
)
from ledger.errors import LedgerError
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_scenario import MS
from sim.plugin_step import Output, Packet, Request, Step, Surroundings
from sim.plugin_trace import traced

EPOCH_MS = 1_700_000_000_000
"""What the clocks on the wall show when a world begins."""
_BUGS = (AssertionError, LedgerError, ArithmeticError, LookupError, TypeError, ValueError,
         AttributeError, RuntimeError)  # fmt: skip
"""What a mistake in a plugin looks like; each becomes a finding of the run."""


class Life(ABC):
    """A running plugin and what is durable of it."""

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
        self._record: bytes | None = None
        self._sent: dict[tuple[str, Slot], Signed] = {}
        self._floors: dict[str, Slot] = {}
        self._clock_ms = world.draw.randrange(1 << 30)
        self._skew_ms = world.draw.randint(-200, 200)
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
    def wake(self) -> None:
        """Look again at everything that waits, and tell the plugin that there is work."""

    @abstractmethod
    def _serve(self, request: Request) -> None:
        """Answer a plugin's question, later."""

    @abstractmethod
    def _append(self, values: tuple[Value, ...]) -> None:
        """Add to the log."""

    @abstractmethod
    def _keep(self, values: tuple[Value, ...]) -> None:
        """Remember values, so that fetches can be answered."""

    @abstractmethod
    def _learn(self, values: tuple[Value, ...]) -> None:
        """Remember values from outside, and go on with what waited for them."""

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
        except _BUGS as error:
            self._fail(error)
            return
        self.take(Start())
        self.wake()

    def crash(self, boundary: str = "now") -> None:
        """Stop here, or at the next write: before it, after it, or amid what it lets leave."""
        if self.plugin is None:
            return
        if boundary != "now":
            self._doom = boundary
            return
        self._world.trace.add(b"crash", self.index, self._world.agenda.now_us)
        self._forget()

    def pause(self) -> None:
        if self.plugin is not None and self._paused is None:
            self._paused = []

    def resume(self) -> None:
        """See at once everything that happened during the pause."""
        paused, self._paused = self._paused, None
        for action in paused or ():
            action()

    def later(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Act after a delay, unless this life ends before."""
        self._world.agenda.after(delay_us, self._act, self._life, action, arguments)

    def _act(self, life: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if life != self._life:
            return
        if self._paused is not None:
            self._paused.append(lambda: self._act(life, action, arguments))
            return
        action(*arguments)

    # --- events -----------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Let the plugin take one event, and carry out what it says."""
        plugin, world = self.plugin, self._world
        if plugin is None:
            return
        world.events += 1
        now_us = world.agenda.now_us
        kind, payload = traced(event)
        world.trace.add(kind, self.index, now_us, payload)
        now_ms = now_us // MS
        now = Now(now_ms + self._clock_ms, EPOCH_MS + now_ms + self._skew_ms)
        try:
            step = self._carry_out(plugin.step(now, event))
        except _BUGS as error:
            self._fail(error)
            return
        if not (step.is_promise or self._waiting or self._writing):
            self._release(step.outputs)
            return
        self._waiting.append(step)
        if not self._writing:
            self._write_next()

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

    def deliver(self, sender: int, packet: Packet) -> None:
        """A packet of validator `sender` arrives; what is wrong in it never reaches the plugin."""
        if self.plugin is None:
            return
        if self._paused is not None:
            self._paused.append(lambda: self.deliver(sender, packet))
        elif isinstance(packet, Signed):
            if self._world.has_right_certificates(packet.message.certificates()):
                self._learn(packet.message.values())
                self.take(Received(packet))
        elif isinstance(packet, bytes):
            self.take(Hint(sender, packet))
        elif self._world.has_right_certificates((packet,)):
            self.take(CertificateReceived(packet))

    # --- the disk ---------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> Step:
        step = Step()
        for effect in effects:
            if isinstance(effect, Broadcast | Send):
                to = effect.to if isinstance(effect, Send) else None
                what = effect.what
                packet = self._sign(step, what) if isinstance(what, Message) else what
                step.outputs.append((to, packet))
            elif isinstance(effect, Forward):
                step.outputs.append((effect.to, effect.signed))
            elif isinstance(effect, Persist):
                step.record = effect.record
            elif isinstance(effect, Decide):
                step.decided.append((len(self.log), effect))
                self._append(effect.values)
            elif isinstance(effect, Settle):
                self._settling.append(effect)
            elif isinstance(effect, RequestPayload | Validate | Fetch):
                self._serve(effect)
            elif not isinstance(effect, Note):
                step.outputs.append(effect)
        return step

    def _sign(self, step: Step, message: Message) -> Signed:
        """Guard and sign a message: one value a phase and slot, none below a settled floor."""
        phase, slot, value = message.statement()
        floor = self._floors.get(phase)
        said = self._sent.get((phase, slot))
        is_settled = floor is not None and slot < floor
        contradicts = said is not None and said.message.statement()[2] != value
        if self.is_attacker and (is_settled or contradicts):
            return self._world.sign(self.validator, message)
        assert not is_settled, f"{phase} {slot} is below the settled floor {floor}"
        if said is not None:
            assert not contradicts, f"a second value for {phase} {slot}"
            return Signed(self.validator, message, said.signature)
        signed = self._world.sign(self.validator, message)
        self._sent[phase, slot] = signed
        step.signed.append((phase, slot))
        self._keep(message.values())
        return signed

    def _write_next(self) -> None:
        waiting = self._waiting
        life = self._life
        while waiting and not waiting[0].is_promise:
            self._release(waiting.popleft().outputs)
            if self._life != life:
                return
        if not waiting:
            return
        draw = self._world.draw
        count = len(waiting) if draw.random() < 0.5 else draw.randint(1, len(waiting))
        self._writing = [waiting.popleft() for _ in range(count)]
        share = draw.random()
        sync_us = 1 + int(self._world.scenario.sync_us * (0.4 + 1.8 * share * share))
        self.later(sync_us, self._written)

    def _written(self) -> None:
        doom = self._doom
        if doom == "before":
            self.crash()
            return
        steps, self._writing = self._writing, []
        before = self.durable
        for step in steps:
            if step.record is not None:
                self._record = step.record
            for ordinal, decision in step.decided:
                self.decisions.append((ordinal, decision))
                self.durable = max(self.durable, ordinal + len(decision.values))
        if self.durable > before:
            self._world.has_decided(self.index, before)
        outputs = [output for step in steps for output in step.outputs]
        if doom:
            leaving = 0 if doom == "after" else self._world.draw.randint(0, len(outputs))
            self._release(outputs[:leaving])
            self.crash()
            return
        life = self._life
        self._release(outputs)
        if self._life == life and not self._writing:
            self._write_next()

    def _release(self, outputs: list[Output]) -> None:
        """Let the outputs of durable steps take effect, in order."""
        for output in outputs:
            if isinstance(output, tuple):
                to, packet = output
                self._world.transmit(self.index, to, packet)
                if isinstance(packet, Signed) and to in (None, self.validator):
                    now_us = self._world.agenda.now_us
                    self._loop_us = max(self._loop_us + 1, now_us + self._brief_us() // 4)
                    self.later(self._loop_us - now_us, self.take, Received(packet))
            elif isinstance(output, SetTimer):
                self._set_timer(output.timer, output.delay_ms)
            elif isinstance(output, CancelTimer):
                self._timers.pop(output.timer, None)
            elif isinstance(output, Tell):
                self._world.transmit(self.index, output.to, output.hint)
            elif not self.is_byzantine:
                self._world.oracles.accusation(output)

    def _set_timer(self, timer: Timer, delay_ms: int) -> None:
        self._timers_started += 1
        self._timers[timer] = self._timers_started
        self.later(delay_ms * MS + self._brief_us(), self._ring, timer, self._timers_started)

    def _ring(self, timer: Timer, number: int) -> None:
        if self._timers.get(timer) == number:
            del self._timers[timer]
            self.take(TimerFired(timer))

    def _brief_us(self) -> int:
        """The time of a short local matter."""
        return int(self._world.draw.random() * 300)

    def root(self, length: int) -> Root:
        """The root after the first `length` values of the log."""
        height = sum(1 for value in self.log[:length] if value.payload)
        last = self.log[length - 1] if length else None
        return Root(last.digest, last.slot, height) if last else Root(b"", (0,), 0)
