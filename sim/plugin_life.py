"""The life of one plugin: its steps, its disk, and what it says.

Each step's effects become durable together after a drawn time, several steps in one write; what a
step says leaves only then, in step order.  A crash loses the steps that are not durable.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from consensus.interface import (
    Accuse,
    AnyCertificate,
    Broadcast,
    CancelTimer,
    CertificateReceived,
    Decide,
    Dismiss,
    Effect,
    Event,
    Fetch,
    Forward,
    Hint,
    Message,
    Note,
    Offer,
    Persist,
    Received,
    RequestPayload,
    Send,
    SetTimer,
    Settle,
    Signed,
    Tell,
    Validate,
)
from ledger.value import Value
from sim.plugin_process import BUGS, Process
from sim.plugin_step import Output, Packet, Request, Step
from sim.plugin_trace import TRACED

_NOTHING = Step()
"""What a step leaves that said nothing: never changed."""


class Life(Process):
    """A running plugin and what is durable of it."""

    @abstractmethod
    def _serve(self, request: Request) -> None:
        """Answer a plugin's question, later."""

    @abstractmethod
    def _append(self, values: tuple[Value, ...]) -> None:
        """Add to the log."""

    @abstractmethod
    def _learn(self, values: tuple[Value, ...]) -> None:
        """Remember values from outside, and go on with what waited for them."""

    # --- events -----------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Let the plugin take one event, and carry out what it says."""
        plugin, world = self.plugin, self._world
        if plugin is None:
            return
        world.events += 1
        now_us = self._agenda.now_us
        kind, payload_of = TRACED[type(event)]
        world.trace.add(kind, self.index, now_us, payload_of(event))
        try:
            effects = plugin.step(self._now(now_us), event)
            step = self._carry_out(effects) if effects else _NOTHING
        except BUGS as error:
            self._fail(error)
            return
        if world.recorder is not None:
            world.recorder.stepped(self.index, event, effects)
        if step is _NOTHING:
            return
        if not (self._waiting or self._writing or step.is_promise):
            if step.outputs:
                self._release(step.outputs)
            return
        self._waiting.append(step)
        if not self._writing:
            self._write_next()

    def deliver(self, sender: int, packet: Packet) -> None:
        """A packet of validator `sender` arrives; what is wrong in it never reaches the plugin."""
        world = self._world
        if world.recorder is not None:
            world.recorder.arrived(self.index, sender, packet)
        if self.plugin is None:
            return
        if self._paused is not None:
            self._paused.append(lambda: self.deliver(sender, packet))
        elif isinstance(packet, Signed):
            message = packet.message
            certificates = message.certificates()
            if not certificates or world.has_right_certificates(certificates):
                values = message.values()
                if values:
                    self._learn(values)
                self.take(Received(packet))
        elif isinstance(packet, bytes):
            self.take(Hint(sender, packet))
        elif world.has_right_certificates((packet,)):
            self.take(CertificateReceived(packet))

    # --- the disk ---------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> Step:
        step = Step()
        for effect in effects:
            carry_out = _CARRY_OUT[type(effect)]
            if carry_out is not None:
                carry_out(self, step, effect)
        return step

    def _say_to_all(self, step: Step, effect: Broadcast) -> None:
        step.outputs.append((None, self._packet(step, effect.what)))

    def _say_to_one(self, step: Step, effect: Send) -> None:
        step.outputs.append((effect.to, self._packet(step, effect.what)))

    def _forward(self, step: Step, effect: Forward) -> None:
        step.outputs.append((effect.to, effect.signed))

    def _put_out(self, step: Step, effect: SetTimer | CancelTimer | Tell | Accuse) -> None:
        step.outputs.append(effect)

    def _persist(self, step: Step, effect: Persist) -> None:
        step.record = effect.record
        step.is_promise = True

    def _decide(self, step: Step, effect: Decide) -> None:
        step.decided.append((len(self.log), effect))
        step.is_promise = True
        self._append(effect.values)

    def _offer(self, step: Step, effect: Offer) -> None:
        self._keep((effect.value,))

    def _settle_later(self, step: Step, effect: Settle) -> None:
        self._settling.append(effect)

    def _ask(self, step: Step, effect: Request) -> None:
        self._serve(effect)

    def _packet(self, step: Step, what: Message | AnyCertificate) -> Packet:
        return what if isinstance(what, AnyCertificate) else self._sign(step, what)

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
        step.is_promise = True
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
        draw, count = self._world.draw, len(waiting)
        if draw.random() >= 0.5:
            count = draw.randint(1, count)
        self._writing = [waiting.popleft() for _ in range(count)]
        share = draw.random()
        sync_us = 1 + int(self._world.scenario.sync_us * (0.4 + 1.8 * share * share))
        self.later(sync_us, self._written)

    def _make_durable(self, steps: Sequence[Step]) -> None:
        """What these steps decide and remember is durable now."""
        before = self.durable
        for step in steps:
            if step.record is not None:
                self._record = step.record
            for ordinal, decision in step.decided:
                self.decisions.append((ordinal, decision))
                self._world.oracles.proven(self.validator, decision.values, decision.proof)
                self.durable = max(self.durable, ordinal + len(decision.values))
        if self.durable > before:
            self._world.has_decided(self.index, before)

    def _written(self) -> None:
        doom = self._doom
        if doom == "before":
            self.crash()
            return
        steps, self._writing = self._writing, []
        self._make_durable(steps)
        if doom:
            outputs = [output for step in steps for output in step.outputs]
            leaving = 0 if doom == "after" else self._world.draw.randint(0, len(outputs))
            self._release(outputs[:leaving])
            self.crash()
            return
        life = self._life
        for step in steps:
            self._release(step.outputs)
        if self._life == life and not self._writing:
            self._write_next()

    def _release(self, outputs: list[Output]) -> None:
        """Let the outputs of durable steps take effect, in order."""
        for output in outputs:
            if isinstance(output, tuple):
                self._let_leave(*output)
            elif isinstance(output, SetTimer):
                self._set_timer(output.timer, output.delay_ms)
            elif isinstance(output, CancelTimer):
                self._timers.pop(output.timer, None)
            elif isinstance(output, Tell):
                self._world.transmit(self.index, output.to, output.hint)
            elif isinstance(output, Accuse) and not self.is_byzantine:
                self._world.oracles.accusation(output)

    def _let_leave(self, to: int | None, packet: Packet) -> None:
        """A packet goes to one validator or to all; what is for ourselves comes back soon."""
        self._world.transmit(self.index, to, packet)
        if isinstance(packet, Signed) and (to is None or to == self.validator):
            now_us = self._agenda.now_us
            self._loop_us = max(self._loop_us + 1, now_us + self._brief_us() // 4)
            self.later(self._loop_us - now_us, self.take, Received(packet))


_CARRY_OUT: dict[type, Callable[[Life, Step, Any], None] | None] = {
    Broadcast: Life._say_to_all,
    Send: Life._say_to_one,
    Forward: Life._forward,
    Tell: Life._put_out,
    Persist: Life._persist,
    Settle: Life._settle_later,
    SetTimer: Life._put_out,
    CancelTimer: Life._put_out,
    RequestPayload: Life._ask,
    Validate: Life._ask,
    Dismiss: Life._ask,
    Fetch: Life._ask,
    Offer: Life._offer,
    Decide: Life._decide,
    Accuse: Life._put_out,
    Note: None,
}
"""What becomes of each kind of effect; a note is for recorders alone."""
