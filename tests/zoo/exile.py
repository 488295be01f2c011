"""Who decides first is cut off: an adversary that waits for a decision, and keeps it to one seat.

Most rules of safety protect what somebody may have decided from all others going on without it.  So
this adversary lets rounds pass as moods have it (who hears which kind of message), and as soon as
one honest seat decides what no other has, that seat hears and says nothing any more, and what was
under way is kept back.  Then it tries its hand at the others: its validator speaks through one or
two seats that run the protocol, one of which may have forgotten everything; it seconds whatever
anybody says; it shows certificates that it hoarded, splices messages, claims decisions, lets late
ones through, and makes honest seats start again.  Once the others have decided as much, the first
one comes back, and it begins anew.

Where nobody lies it may spare who decides first, once or twice, so that a leader goes on alone; and
what was said before somebody is cut off may still arrive behind what was said after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import ClassVar, cast

from consensus.interface import Consensus, Signed
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_adversary import Adversary
from sim.plugin_drawing import hasty
from sim.plugin_network import EPOCH, NETWORK
from sim.plugin_scenario import PluginScenario
from sim.plugin_step import Packet
from tests.zoo.model import PROPERTIES, Mutant, Verdict, judge, numbers
from tests.zoo.silence import QuickSeat, Silence, rule_of

EVENTS_MAX = 700
"""Steps of plugins: what has not happened until then is not waited for."""
FORK_TRIES = 5
"""Splices that are tried until one contradicts the decision."""
EXILED_LEADERSHIP = 0.6
"""The share of slots that the liar leads at least while somebody is cut off."""
HELD_MAX = 300
RETRY_MS = 60_000
"""What is said again by a timer comes late enough to be the adversary's business."""
BARE = 0
"""The kind of a bare certificate or a hint."""
PAYLOADS = tuple(bytes([number]) * 32 for number in range(1, 13))
Shape = tuple[tuple[int, ...], tuple[int, ...]]
"""(seats that hear it, the side of every seat)."""
MOODS: tuple[tuple[str, ...], ...] = (
    ("all",),
    ("all",),
    ("all", "without"),
    ("all", "few", "one", "without"),
    ("one", "nobody", "few"),
    ("islands", "all"),
    ("all", "all", "few", "one", "without", "islands", "nobody"),
)


class Exile(Silence):
    """One scenario."""

    retry_ms: ClassVar[int | None] = RETRY_MS
    """When what was said is said again by a timer; None: when the protocol has it."""

    def __init__(self, protocol: type[Consensus], number: int) -> None:
        draw = Random(f"exile {number}")
        has_liars = protocol.fault_model == "byzantine"
        nodes = 4 if has_liars else draw.choice((3, 3, 5))
        liar = draw.randrange(nodes) if has_liars else None
        self._is_double = has_liars and draw.random() < 0.4
        parameters = tuple(
            (name, self.retry_ms if self.retry_ms and "retry" in name else ms)
            for name, ms in hasty(protocol)
        )
        # One seat alone needs no attack that changes its words: the adversary below does.
        attacks = () if liar is None or self._is_double else ((liar, "honest"),)
        scenario = PluginScenario(
            protocol,
            seed=number,
            nodes=nodes,
            rule=rule_of(protocol),
            parameters=parameters,
            twins=(liar,) if liar is not None and self._is_double else (),
            attacks=attacks,
            payload_max=1,
            exchange_ms=0,
            bad=draw.choice((0, 0, 0, 500)),
        )
        self._leads: dict[Slot, int] = {}
        super().__init__(self._led(protocol), f"play {number}", scenario)
        self._liar = liar
        self._moods: dict[int, tuple[str, ...]] = {}
        self._shapes: dict[tuple[int, str, Slot], Shape] = {}
        self._held: list[tuple[QuickSeat, int, Packet]] = []
        self._exiled: QuickSeat | None = None
        self._lonely: int | None = None
        self._seconded: dict[tuple[str, Slot, bytes], None] = {}
        self._seconds = liar is not None and draw.random() < 0.7
        self._is_calm_after = draw.random() < 0.6
        self._moody = draw.choice((0.1, 0.3, 0.6))
        self._late = draw.choice((0.0, 0.1, 0.3))
        self._stumble = draw.choice((0.0, 0.0, 0.05, 0.2))
        self._hoard = draw.choice((0.0, 0.0, 0.2, 0.5))
        self._claim = draw.choice((0.0, 0.0, 0.0, 0.2)) if has_liars else 0.0
        self._splice = draw.choice((0.0, 0.0, 0.2, 0.5))
        self._fork = draw.choice((0.0, 0.4, 0.8, 1.0))
        self._leadership = draw.choice((0.25, 0.5, 0.75))
        self._beats = draw.choice((8, 16, 30))
        self._patience = draw.choice((4, 8, 14))
        self._spares, self._lingers = (0, False) if has_liars else _mercies(number)
        self._adversary: Adversary | None = None
        if liar is not None and (self._hoard or self._claim or self._splice or self._fork):
            self._adversary = Adversary(
                protocol, self.context.validators, {liar: self.signers[liar]}, (NETWORK, EPOCH),
                Random(f"adversary {number}"),
            )  # fmt: skip
        self._change_moods()

    def _led(self, protocol: type[Consensus]) -> type[Consensus]:
        """The protocol whose leaders the adversary chooses as slots come up."""
        if protocol.leader is Consensus.leader:
            return protocol
        choose = self._choose_leader

        class Led(protocol):  # type: ignore[misc, valid-type]
            def leader(self, slot: Slot) -> int | None:
                chosen = choose(slot)
                return super().leader(slot) if chosen is None else chosen

        Led.__name__ = Led.__qualname__ = protocol.__name__
        return cast("type[Consensus]", Led)

    def _choose_leader(self, slot: Slot) -> int | None:
        known = self._leads.get(slot)
        if known is None:
            known = self.draw.randrange(self.scenario.nodes)
            share = max(self._leadership, EXILED_LEADERSHIP if self._exiled else 0.0)
            if self._liar is not None and self.draw.random() < share:
                known = self._liar
            self._leads[slot] = known
        return known

    # --- the play ---------------------------------------------------------------------------------

    def play(self) -> tuple[str, ...]:
        """Play it; the properties that broke, by their numbers."""
        for seat in self.seats:
            first = 2 * seat.index
            seat.held = dict.fromkeys((*PAYLOADS[first:], *PAYLOADS[:first]))
            seat.later(0, seat.boot)
        left = self._beats
        self.settle_down(EVENTS_MAX)
        while left > 0 and not self.oracles.violations and self.events < EVENTS_MAX:
            was_exiled = self._exiled
            self._move()
            self.settle_down(EVENTS_MAX)
            if not self._ring():
                break
            self.settle_down(EVENTS_MAX)
            left -= 1
            if self._exiled is not None and was_exiled is None:
                left = self._patience
            self._perhaps_reunite()
        return self.found()

    def found(self) -> tuple[str, ...]:
        """The properties that broke so far, by their numbers."""
        return numbers(tuple(self.oracles.violations))

    def _ring(self) -> bool:
        seats = [seat for seat in self.seats if seat is not self._exiled and seat.is_up]
        if self.draw.random() < 0.15:
            return self.ring_next([self.draw.choice(seats)]) or self.ring_next(seats)
        return self.ring_together(seats)

    def _perhaps_reunite(self) -> None:
        exiled = self._exiled
        if exiled is None:
            return
        others = [seat for seat in self.honest if seat is not exiled]
        if all(seat.durable >= exiled.durable for seat in others):
            self._exiled = None
            for one in list(self._held):
                if one[0] is exiled:
                    self._let_through(one)

    def has_decided(self, index: int, first: int) -> None:
        super().has_decided(index, first)
        seat = self.seats[index]
        if seat.is_byzantine or self._exiled is not None:
            return
        if not all(seat.durable > other.durable for other in self.honest if other is not seat):
            return
        if self._spares:
            self._spares -= 1
            seat.later(0, seat.wake)  # As a replica does after every decision.
        else:
            self._banish(seat)

    def _banish(self, seat: QuickSeat) -> None:
        draw = self.draw
        self._exiled = seat
        if draw.random() < 0.7:
            kept = []
            for waiting in self.queue:
                who, _, action, arguments = waiting
                if action == who.deliver and not who.is_byzantine:
                    self._held.append((who, *arguments))
                else:
                    kept.append(waiting)
            self.queue.clear()
            self.queue.extend(kept)
        if draw.random() < 0.3:
            for other in self.honest:
                if other is not seat and draw.random() < 0.6:
                    other.later(0, other.restart)
        for liar in self.liars:
            if draw.random() < 0.25:
                liar.later(0, liar.be_reborn)
        self._shapes.clear()
        if self._is_calm_after:
            self._lonely = None
            self._moods = dict.fromkeys((BARE, *self._kinds()), ("all",))
        else:
            self._change_moods()
        if self._lingers and draw.random() < 0.7:
            whom = draw.choice([other for other in self.honest if other is not seat])
            for held in list(self._held):
                if held[0] is whom and held[1] == seat.validator and _kind(held[2]) != BARE:
                    self._let_through(held)

    # --- what the adversary does when all is silent -----------------------------------------------

    def _move(self) -> None:
        draw = self.draw
        if draw.random() < self._moody and not (self._exiled and self._is_calm_after):
            self._change_moods()
        if self._held and draw.random() < self._late:
            self._release_some()
        if draw.random() < self._stumble:
            seat = draw.choice([one for one in self.honest if one is not self._exiled])
            seat.later(0, seat.restart)
        if self._adversary is None:
            return
        if draw.random() < self._hoard:
            certificate = self._adversary.certificate()
            if certificate is not None:
                for seat in self._some_honest():
                    seat.later(0, seat.deliver, self._liar, certificate)
        if draw.random() < self._claim:
            decision = self._adversary.decision()
            if decision is not None:
                for seat in self._some_honest():
                    seat.later(0, seat.hear_decision, decision)

    def _some_honest(self) -> Sequence[QuickSeat]:
        among = [seat for seat in self.honest if seat is not self._exiled and seat.is_up]
        return among if self.draw.random() < 0.3 or not among else [self.draw.choice(among)]

    def _release_some(self) -> None:
        """Let late ones through: of a kind, or for a seat, or all of both."""
        draw = self.draw
        one = draw.choice(self._held)
        kind = _kind(one[2]) if draw.random() < 0.7 else None
        whom = one[0] if draw.random() < 0.5 else None
        for held in list(self._held):
            if kind in (None, _kind(held[2])) and whom in (None, held[0]):
                self._let_through(held)

    def _let_through(self, held: tuple[QuickSeat, int, Packet]) -> None:
        seat, sender, packet = held
        is_cut = self._exiled is not None and (
            seat is self._exiled or (sender == self._exiled.validator and not self._lingers)
        )
        if not is_cut:
            self._held.remove(held)
            seat.later(0, seat.deliver, sender, packet)

    def _kinds(self) -> list[int]:
        return [kind.KIND for kind in self.scenario.protocol.MESSAGES]

    def _change_moods(self) -> None:
        draw = self.draw
        self._moods = {kind: draw.choice(MOODS) for kind in self._kinds()}
        self._moods[BARE] = draw.choice((("all",), ("nobody",), ("nobody",), ("few", "nobody")))
        self._lonely = draw.choice((None, None, draw.randrange(len(self.seats))))

    # --- what is said -----------------------------------------------------------------------------

    def transmit(self, index: int, to: int | None, packet: Packet) -> None:
        seat = self.seats[index]
        if isinstance(packet, Signed):
            self.oracles.left(packet)
            self.oracles.sent(seat.validator, packet.message.certificates())
            if packet.sender == self._liar and self._adversary is not None:
                packet = self._perhaps_spliced(self._adversary, seat, to, packet)
        elif not isinstance(packet, bytes):
            self.oracles.sent(seat.validator, (packet,))
        if self._adversary is not None and not isinstance(packet, bytes):
            self._adversary.hear(packet)
        self._carry(seat, to, packet)
        if self._seconds and isinstance(packet, Signed) and packet.sender != self._liar:
            self._second(packet)

    def _perhaps_spliced(
        self, adversary: Adversary, seat: QuickSeat, to: int | None, packet: Signed
    ) -> Signed:
        """What the liar says instead, now and then; a proposal for an exile's end, if it can."""
        draw, values = self.draw, packet.message.values()
        wants_fork = bool(values) and self._exiled is not None
        plain = self._splice if values or packet.message.certificates() else self._splice / 4
        if draw.random() >= (self._fork if wants_fork else plain):
            return packet
        message = adversary.spliced(packet.message)
        for _ in range(FORK_TRIES if wants_fork else 0):
            if message is not None and self._is_fork(message.values()):
                break
            message = adversary.spliced(packet.message)
        if message is None:
            return packet
        if draw.random() < 0.3:
            self._carry(seat, to, packet)
        elif draw.random() < 0.5:
            for certificate in packet.message.certificates():
                self._carry(seat, to, certificate)
        return self.sign(packet.sender, message)

    def _is_fork(self, values: tuple[Value, ...]) -> bool:
        """Whether a value would be decided beside what the exiled seat decided last."""
        assert self._exiled is not None
        decided = {value.digest for value in self._exiled.log}
        for value in values:
            step: Value | None = value
            while step is not None and step.digest not in decided:
                step = self._exiled.known.get(step.parent) or self.liars[0].known.get(step.parent)
            if step is None or step.digest != self._exiled.log[-1].digest:
                return True
        return False

    def _second(self, packet: Signed) -> None:
        """The liar says what somebody else said, too, unless it only counts of a leader."""
        statement = packet.message.statement()
        if packet.message.values() or statement in self._seconded:
            return
        self._seconded[statement] = None
        assert self._liar is not None
        self._carry(self.liars[0], None, self.sign(self._liar, packet.message))

    def _carry(self, seat: QuickSeat, to: int | None, packet: Packet) -> None:
        for receiver in self.seats:
            if receiver.validator == seat.validator or to not in (None, receiver.validator):
                continue
            if self._hears(seat, receiver, packet):
                receiver.later(0, receiver.deliver, seat.validator, packet)
            elif len(self._held) < HELD_MAX and not isinstance(packet, bytes):
                self._held.append((receiver, seat.validator, packet))

    def _hears(self, seat: QuickSeat, receiver: QuickSeat, packet: Packet) -> bool:
        if self._exiled is not None and self._exiled in (seat, receiver):
            return False
        if self._lonely is not None and self._lonely in (seat.index, receiver.index):
            return False
        if isinstance(packet, bytes):
            return True
        kind = _kind(packet)
        if isinstance(packet, Signed):
            phase, slot, _ = packet.message.statement()
        else:
            phase, slot = packet.phase, packet.slot
        shape = self._shapes.get((kind, phase, slot))
        if shape is None:
            shape = self._shapes[kind, phase, slot] = self._draw_shape(kind)
        ears, sides = shape
        return receiver.index in ears and sides[seat.index] == sides[receiver.index]

    def _draw_shape(self, kind: int) -> Shape:
        draw, seats = self.draw, tuple(range(len(self.seats)))
        sides = (0,) * len(seats)
        mood = draw.choice(self._moods[kind])
        if mood == "all":
            return seats, sides
        if mood == "one":
            return (draw.choice(seats),), sides
        if mood == "nobody":
            return (), sides
        if mood == "without":
            deaf = draw.choice(seats)
            return tuple(seat for seat in seats if seat != deaf), sides
        if mood == "few":
            return tuple(seat for seat in seats if draw.random() < 0.5), sides
        return seats, tuple(draw.randrange(2) for _ in seats)


def _mercies(number: int) -> tuple[int, bool]:
    """(lone decisions after which nobody is cut off yet, whether words outlive their speaker).

    In every third scenario; most rules show where nobody is spared.
    """
    draw = Random(f"exile mercies {number}")
    return (draw.choice((1, 1, 2)), draw.random() < 0.7) if number % 3 == 2 else (0, False)


def _kind(packet: Packet) -> int:
    return packet.message.KIND if isinstance(packet, Signed) else BARE


def fits(mutant: Mutant) -> bool:
    """Whether it is a protocol that may contradict itself; nobody is waited for here."""
    is_plugin = mutant.plugin is not None and mutant.replica is None
    return is_plugin and mutant.expected != (PROPERTIES["liveness"],)


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One scenario with a mutant, and where it is found out, without the mutation."""
    return judge(mutant, partial(broken, number=number), f"exile {number}"), 1


def broken(protocol: type[Consensus], number: int) -> tuple[str, ...]:
    """The properties that a protocol breaks in the scenario of this number."""
    return Exile(protocol, number).play()
