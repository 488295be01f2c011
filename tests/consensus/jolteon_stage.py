"""A stage for hand-written schedules: who leads which view, and who hears what of it.

Seats 0 to 3 are validators; with twins=(3,) seat 4 is the second one under the key of validator 3.
Bare certificates are held back, and votes reach only the next leader, until `heal`: what a
validator knows is then exactly what the messages of the plan carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from consensus.interface import AnyCertificate, Signed
from consensus.pacemaker import Paced
from consensus.pacemaker_messages import PROPOSAL, VOTE
from consensus.protocols.jolteon import Jolteon
from ledger.statement import Slot
from ledger.value import Value
from sim.plugins import PluginScenario, Script

Packet = Signed | AnyCertificate | bytes
"""What crosses links: a signed message, a bare certificate, or a hint."""
Seats = tuple[int, ...]
ALL: tuple[Seats, ...] = ((0, 1, 2, 3, 4),)
NOBODY: tuple[Seats, ...] = ()
PAYLOADS = tuple(bytes([number]) * 32 for number in range(1, 9))


def led_by(protocol: type[Paced], leaders: Mapping[int, int]) -> type[Paced]:
    """The protocol with these leaders, as in Twins; views not named take turns."""

    class Led(protocol):  # type: ignore[misc, valid-type]
        def _leader(self, view: int) -> int | None:
            return leaders.get(view, super()._leader(view))

    return Led


class Stage(Script):
    """Four validators whose messages go where the plan says."""

    def __init__(
        self,
        protocol: type[Paced],
        leaders: Mapping[int, int],
        *,
        twins: tuple[int, ...] = (),
        timeout_ms: int = 100,
        seed: int = 0,
    ) -> None:
        led = led_by(protocol, leaders)
        parameters = (("timeout_max_ms", timeout_ms), ("timeout_ms", timeout_ms))
        super().__init__(
            PluginScenario(
                led, seed=seed, parameters=parameters, payloads=0, exchange_ms=0, twins=twins
            )
        )
        self._leaders = leaders
        self._islands: dict[tuple[str, int], tuple[Seats, ...]] = {}
        self._isolated: dict[int, None] = {}
        self.allow = self._may_pass
        self.run_ms(5)
        for payload in PAYLOADS:
            self.submit(payload)

    def plan(self, phase: str, views: range | tuple[int, ...], *islands: Seats) -> None:
        """Messages of this phase and these views stay within the islands."""
        for view in views:
            self._islands[phase, view] = islands

    def isolate(self, *seats: int) -> None:
        """These seats reach nobody, and nobody reaches them, from now on."""
        self._isolated.update(dict.fromkeys(seats))

    def heal(self) -> None:
        """Everything passes from now on."""
        self.allow = None

    def plugin(self, seat: int) -> Paced:
        plugin = self.seats[seat].plugin
        assert isinstance(plugin, Paced)
        return plugin

    def jolteon(self, seat: int) -> Jolteon:
        plugin = self.plugin(seat)
        assert isinstance(plugin, Jolteon)
        return plugin

    def proposed(self, seat: int, view: int) -> Value:
        """What this seat proposed in a view."""
        message = self.plugin(seat).said(PROPOSAL, (view,))
        assert message is not None
        return message.values()[0]

    def until(self, condition: Callable[[], object], limit_ms: int = 5_000) -> None:
        """Play on until the condition holds, which it must."""
        assert self.run_until(condition, limit_ms=limit_ms), "the schedule did not come about"

    def until_view(self, view: int, *seats: int) -> None:
        self.until(lambda: all(self.plugin(seat).view >= view for seat in seats))

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the properties that were violated so far."""
        return self.report().properties

    def _may_pass(self, sender: int, receiver: int, packet: Packet) -> bool:
        if not isinstance(packet, Signed) or {sender, receiver} & set(self._isolated):
            return False
        phase, slot, _ = packet.message.statement()
        if phase == VOTE and self.seats[receiver].validator != self._leader(slot[0] + 1):
            return False
        islands = self._islands.get((phase, slot[0]), ALL)
        return any(sender in island and receiver in island for island in islands)

    def _leader(self, view: int) -> int:
        return self._leaders.get(view, view % 4)


def is_of(phase: str, view: int) -> Callable[[int, int, Packet], bool]:
    """Chooses the messages of one phase and view among those held back."""
    slot: Slot = (view,)
    return lambda sender, receiver, packet: (
        isinstance(packet, Signed) and packet.message.statement()[:2] == (phase, slot)
    )
