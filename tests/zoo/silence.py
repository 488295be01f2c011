"""Bare plugins without time: whatever is said arrives at once or is kept back, by an adversary's
leave; only when nothing is under way any more does a timer fire.

A world of the simulator plays delays, writes that take a while, and exchanges of decisions.  Here
a step is durable at once and a message is heard at once, which is an order of events like any
other, and costs a fraction.  Who drives it is `tests/zoo/exile.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from consensus.interface import (
    AnyCertificate,
    Consensus,
    Context,
    Event,
    Message,
    Now,
    Signed,
    Timer,
    TimerFired,
)
from ledger.keys import Signer
from ledger.statement import Slot, Statement
from ledger.validators import QuorumRule, ValidatorSet
from sim.plugin_network import EPOCH, NETWORK, SCHEME, SLOT_WINDOW, everybody, is_right
from sim.plugin_node import Seat
from sim.plugin_oracles import PluginOracles
from sim.plugin_process import BUGS, EPOCH_MS
from sim.plugin_scenario import PluginScenario
from sim.plugin_step import Packet

Waiting = tuple["QuickSeat", int, Callable[..., None], tuple[Any, ...]]
"""(seat, its life, what it will do, with what)."""


class QuickSeat(Seat):
    """A seat whose disk and whose replica take no time."""

    def take(self, event: Event) -> None:
        plugin, world = self.plugin, cast("Silence", self._world)
        if plugin is None:
            return
        world.events += 1
        try:
            effects = plugin.step(Now(world.now_ms, EPOCH_MS + world.now_ms), event)
            if not effects:
                return
            step = self._carry_out(effects)
        except BUGS as error:
            self._fail(error)
            return
        self._make_durable((step,))
        if self.plugin is plugin:
            self._release(step.outputs)

    def later(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        cast("Silence", self._world).queue.append((self, self._life, action, arguments))

    def go_on(self, life: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """What `later` was asked for, unless this life is over."""
        if life == self._life:
            action(*arguments)

    def _set_timer(self, timer: Timer, delay_ms: int) -> None:
        self._timers[timer] = cast("Silence", self._world).now_ms + delay_ms

    def _brief_us(self) -> int:
        return 0

    def _refetch_later(self) -> None:
        """Here time passes by the world's will, which asks again where values may have come."""

    def due(self) -> tuple[int, Timer] | None:
        """(when, which) of the timers that run the next one to fire."""
        if not self._timers:
            return None
        timer = min(self._timers, key=lambda one: (self._timers[one], one))
        return self._timers[timer], timer

    def ring(self, timer: Timer) -> None:
        """Let a timer that runs fire now."""
        del self._timers[timer]
        self.take(TimerFired(timer))

    def restart(self) -> None:
        """Stop, and start again from what is durable."""
        self._forget()
        self.boot()

    def be_reborn(self) -> None:
        """Start again from nothing: what a liar may do, and nobody else."""
        assert self.is_byzantine
        self.log.clear()
        self.decisions.clear()
        self.durable, self._record = 0, None
        self._sent.clear()
        self.restart()


class Silence(ABC):
    """The seats, what is under way between them, and the judges; a subclass says who hears what."""

    def __init__(self, protocol: type[Consensus], seed: str, scenario: PluginScenario) -> None:
        self.scenario = scenario
        self.draw = Random(seed)
        self.now_ms = 0
        self.events = 0
        self.queue: deque[Waiting] = deque()
        self.recorder = None
        self.trace = cast("Any", SimpleNamespace(add=lambda *_: None))
        self.agenda = cast("Any", SimpleNamespace(now_us=0))
        self.protocols = [protocol] * scenario.nodes
        signers, validators = everybody(scenario.nodes, scenario.rule)
        self.signers: tuple[Signer, ...] = signers
        self.context = _context(scenario, validators)
        self.oracles = PluginOracles(
            network=NETWORK,
            epoch=EPOCH,
            validators=validators,
            scheme=SCHEME,
            byzantine=scenario.byzantine,
            model=protocol.fault_model,
            now_ms=lambda: self.now_ms,
        )
        self._right: dict[AnyCertificate, bool] = {}
        self._signed: dict[tuple[int, str, Slot, bytes], bytes] = {}
        self.seats = [QuickSeat(cast("Any", self), index, validator)
                      for index, validator in enumerate(scenario.seats)]  # fmt: skip
        self.honest = [seat for seat in self.seats if not seat.is_byzantine]
        self.liars = [seat for seat in self.seats if seat.is_byzantine]

    # --- what a seat asks of its world ------------------------------------------------------------

    @abstractmethod
    def transmit(self, index: int, to: int | None, packet: Packet) -> None:
        """A packet leaves a seat."""

    def has_decided(self, index: int, first: int) -> None:
        """A seat decided the values from ordinal `first` on."""
        seat = self.seats[index]
        for ordinal in range(first, seat.durable):
            self.oracles.decided(seat.validator, ordinal, seat.log[ordinal])

    def sign(self, validator: int, message: Message) -> Signed:
        key = (validator, *message.statement())
        signature = self._signed.get(key)
        if signature is None:
            statement = Statement(NETWORK, EPOCH, *message.statement())
            signature = self.signers[validator].sign(statement.signed_bytes())
            self._signed[key] = signature
        return Signed(validator, message, signature)

    def rang(self) -> None:
        """Nothing here hangs on timers that fire."""

    def ask_for_value(self, index: int, digest: bytes) -> None:
        """Whoever has a value gives it at once."""
        for peer in self.seats:
            value = peer.known.get(digest)
            if value is not None:
                self.seats[index].later(0, self.seats[index].receive_value, value)
                return

    def has_right_certificates(self, certificates: tuple[AnyCertificate, ...]) -> bool:
        return all(self._is_right(one) for one in certificates)

    def bad_payload(self) -> bytes:
        payload = self.draw.randbytes(32)
        self.oracles.offered_bad(payload)
        return payload

    def _is_right(self, certificate: AnyCertificate) -> bool:
        known = self._right.get(certificate)
        if known is None:
            known = is_right(certificate, self.scenario.protocol, self.context.validators)
            self._right[certificate] = known
        return known

    # --- running ----------------------------------------------------------------------------------

    def settle_down(self, events_max: int) -> None:
        """Let everything that is under way arrive, unless a judge has found something."""
        queue, violations = self.queue, self.oracles.violations
        while queue and not violations and self.events < events_max:
            seat, life, action, arguments = queue.popleft()
            seat.go_on(life, action, arguments)

    def ring_next(self, seats: list[QuickSeat]) -> bool:
        """Let the next timer of these seats fire; whether any runs."""
        due = [(one[0], seat.index, one[1]) for seat in seats if (one := seat.due()) is not None]
        if not due:
            return False
        when, index, timer = min(due)
        self.now_ms = max(self.now_ms, when)
        self.seats[index].ring(timer)
        return True

    def ring_together(self, seats: list[QuickSeat]) -> bool:
        """Let all timers of these seats fire that are the next ones at the same time."""
        due = [(one[0], seat, one[1]) for seat in seats if (one := seat.due()) is not None]
        if not due:
            return False
        first = min(when for when, _, _ in due)
        self.now_ms = max(self.now_ms, first)
        for when, seat, timer in due:
            if when <= first and seat.is_up:
                seat.ring(timer)
        return True


def _context(scenario: PluginScenario, validators: ValidatorSet) -> Context:
    return Context(
        network=NETWORK,
        epoch=EPOCH,
        me=None,
        validators=validators,
        parameters={**scenario.protocol.PARAMETERS, **dict(scenario.parameters)},
        slot_window=SLOT_WINDOW,
    )


def rule_of(protocol: type[Consensus]) -> QuorumRule:
    """The rule for whom this protocol bears."""
    return QuorumRule.CRASH if protocol.fault_model == "crash" else QuorumRule.BYZANTINE
