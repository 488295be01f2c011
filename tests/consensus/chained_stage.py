"""A stage for hand-written schedules of protocols whose slots are (number,).

Seats 0 to 3 are validators; with twins=(3,) seat 4 is the second one under the key of validator 3.
A plan says who leads which slot, and which seats hear which phase of it; bare certificates are held
back until `heal`, so that what a validator knows is exactly what the messages of the plan carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from consensus.interface import Consensus, Message, Signed
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_step import Packet
from sim.plugins import EPOCH, PluginScenario, Script

Seats = tuple[int, ...]
PAYLOADS = tuple(bytes([number]) * 32 for number in range(1, 9))
EVERYONE: tuple[Seats, ...] = ((0, 1, 2, 3, 4),)
ENOUGH_MS = 6_000
"""Of virtual time, in which a live protocol decides many times over."""


def led_by(protocol: type[Consensus], leaders: Mapping[int, int]) -> type[Consensus]:
    """The protocol with these leaders, as in Twins; slots not named have the protocol's own."""

    class Led(protocol):  # type: ignore[misc, valid-type]
        def leader(self, slot: Slot) -> int:
            return leaders.get(slot[0], super().leader(slot))

    return Led


class ChainedStage(Script):
    """Four validators whose messages go where the plan says."""

    def __init__(
        self,
        protocol: type[Consensus],
        leaders: Mapping[int, int],
        *,
        parameters: tuple[tuple[str, int], ...],
        twins: Seats = (),
    ) -> None:
        led = led_by(protocol, leaders)
        super().__init__(
            PluginScenario(led, parameters=parameters, payloads=0, exchange_ms=0, twins=twins)
        )
        self._islands: dict[tuple[str, int], tuple[Seats, ...]] = {}
        self._isolated: dict[int, None] = {}
        self.shows_certificates = False
        """Whether bare certificates are carried."""
        self.allow = self._may_pass
        self.run_ms(5)

    def begin(self, *payloads: bytes) -> None:
        """Everybody gets something to order."""
        for payload in payloads or PAYLOADS:
            self.submit(payload)

    def plan(self, phase: str, numbers: Iterable[int], *islands: Seats) -> None:
        """Messages of this phase and these slots stay within the islands; none: nobody hears."""
        for number in numbers:
            self._islands[phase, number] = islands

    def isolate(self, *seats: int) -> None:
        """These seats reach nobody, and nobody reaches them, from now on."""
        self._isolated.update(dict.fromkeys(seats))

    def heal(self) -> None:
        """Everything passes from now on."""
        self.allow = None

    def plugin(self, seat: int) -> Any:
        return self.seats[seat].plugin

    def proposed(self, seat: int, number: int) -> Value:
        """What this seat proposed in a slot."""
        return next(
            message.values()[0]
            for (_, slot), message in self.plugin(seat)._said.items()
            if slot == (number,) and message.values()
        )

    def until(self, condition: Callable[[], object], limit_ms: int = 5_000) -> None:
        """Play on until the condition holds, which it must."""
        assert self.run_until(condition, limit_ms=limit_ms), "the schedule did not come about"

    def until_view(self, view: int, *seats: int) -> None:
        self.until(lambda: all(self.plugin(seat).view >= view for seat in seats))

    def until_said(self, phase: str, number: int, *seats: int) -> None:
        self.until(lambda: all(self.plugin(seat).said(phase, (number,)) for seat in seats))

    def goes_on(self, *seats: int) -> bool:
        """Whether all these seats decide something from now on."""
        before = [seat.durable for seat in self.seats]
        return self.run_until(
            lambda: all(self.seats[seat].durable > before[seat] for seat in seats),
            limit_ms=ENOUGH_MS,
        )

    def certificate(self, message: Message, signers: Seats = (0, 1, 2)) -> Certificate:
        """A certificate of this statement, whoever of the signers said it."""
        signed = [(signer, self.sign(signer, message).signature) for signer in signers]
        return Certificate(*message.statement(), tuple(signed))

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the properties that were violated so far."""
        return self.report().properties

    def _may_pass(self, sender: int, receiver: int, packet: Packet) -> bool:
        if {sender, receiver} & set(self._isolated):
            return False
        if not isinstance(packet, Signed):
            return isinstance(packet, bytes) or self.shows_certificates
        phase, slot, _ = packet.message.statement()
        islands = self._islands.get((phase, slot[0]), EVERYONE)
        return any(sender in island and receiver in island for island in islands)


def block(number: int, proposer: int, parent: bytes = b"", payload: bytes = b"f" * 32) -> Value:
    """A value that nobody proposed by itself."""
    return Value(EPOCH, parent, (number,), proposer, 0, (payload,))


def of_slot(phase: str, number: int) -> Callable[[int, int, Packet], bool]:
    """Chooses the messages of one phase and slot among those held back."""
    slot: Slot = (number,)
    return lambda sender, receiver, packet: (
        isinstance(packet, Signed) and packet.message.statement()[:2] == (phase, slot)
    )
