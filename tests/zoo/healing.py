"""What an exile leaves behind must heal: the same adversary, and then none any more.

Rules of liveness protect what comes after: after a few rounds of `tests/zoo/exile.py` everything
that is said is heard, the liar is silent or does as the others do, whoever lacks a decision gets it
from a peer, and one more payload is there for everyone.  It must be decided by all who are honest
before so many timers have fired (P10).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from random import Random
from typing import ClassVar

from consensus.interface import Consensus
from ledger.statement import Slot
from sim.plugin_step import Packet
from tests.zoo.exile import Exile
from tests.zoo.model import PROPERTIES, Mutant, Verdict, judge
from tests.zoo.silence import QuickSeat

LAST_PAYLOAD = b"\xee" * 32
RINGS_MAX = 150
"""Times at which timers fire, in which a live protocol decides many times over."""
EVENTS_MAX = 12_000
"""Steps of plugins after healing, of which a live protocol takes some hundred."""


class Healing(Exile):
    """One scenario."""

    retry_ms: ClassVar[int | None] = None

    def __init__(self, protocol: type[Consensus], number: int) -> None:
        self._is_healed = False
        super().__init__(protocol, number)
        draw = Random(f"healing {number}")
        self._beats = draw.choice((2, 4, 8, 14))
        self._patience = draw.choice((2, 4, 8))
        self._is_liar_silent = draw.random() < 0.7
        self._arrives_late = draw.random() < 0.3

    def play(self) -> tuple[str, ...]:
        """Play it; the properties that broke, by their numbers."""
        return super().play() or self._heal()

    def _heal(self) -> tuple[str, ...]:
        self._is_healed = True
        self._adversary = self._exiled = self._lonely = None
        self._seconds = False
        if self._is_liar_silent:
            for liar in self.liars:
                liar.crash()
        held, self._held = self._held, []
        for seat, sender, packet in held if self._arrives_late else ():
            seat.later(0, seat.deliver, sender, packet)
        for seat in self.seats:
            if seat.is_up:
                seat.held = {LAST_PAYLOAD: None, **seat.held}
        events_max = self.events + EVENTS_MAX
        for _ in range(RINGS_MAX):
            self.settle_down(events_max)
            if self.oracles.violations or self._is_decided():
                break
            self._exchange(self.honest)
            self.settle_down(events_max)
            self.ring_together([seat for seat in self.seats if seat.is_up])
        self.settle_down(events_max)
        if not self.oracles.violations and not self._is_decided():
            self.oracles.violated("liveness", f"logs: {[seat.durable for seat in self.seats]}")
        return self.found()

    def _is_decided(self) -> bool:
        goal = len(self.oracles.log)
        has_last = self.oracles.has_decided(LAST_PAYLOAD)
        return has_last and all(seat.durable >= goal for seat in self.honest)

    def _exchange(self, seats: Iterable[QuickSeat]) -> None:
        """What replicas do beside: whoever is behind gets payloads, values and decisions."""
        for seat in seats:
            seat.refetch()
            seat.hold(tuple(payload for peer in self.honest for payload in peer.held))
            seat.wake()
            for peer in self.honest:
                for ordinal, decision in list(peer.decisions):
                    if ordinal + len(decision.values) > len(seat.log):
                        seat.hear_decision(decision)

    def _choose_leader(self, slot: Slot) -> int | None:
        if self._is_healed:
            return self._leads.get(slot)
        return super()._choose_leader(slot)

    def _hears(self, seat: QuickSeat, receiver: QuickSeat, packet: Packet) -> bool:
        return self._is_healed or super()._hears(seat, receiver, packet)


def fits(mutant: Mutant) -> bool:
    """Whether it is a protocol that may stand still."""
    is_plugin = mutant.plugin is not None and mutant.replica is None
    return is_plugin and PROPERTIES["liveness"] in mutant.expected


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One scenario with a mutant, and where it is found out, without the mutation."""
    return judge(mutant, partial(broken, number=number), f"healing {number}"), 1


def broken(protocol: type[Consensus], number: int) -> tuple[str, ...]:
    """The properties that a protocol breaks in the scenario of this number."""
    return Healing(protocol, number).play()
