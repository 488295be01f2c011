"""What follows from what is said: lies, stumbles, the end of a plan, the adversary's moves."""

from __future__ import annotations

from random import Random

from consensus.byzantine.mutating import mutated
from consensus.interface import Signed
from sim.plugin_adversary import Adversary
from sim.plugin_network import EPOCH, NETWORK, PluginNetwork
from sim.plugin_node import Seat
from sim.plugin_scenario import PluginScenario
from sim.plugin_step import Packet
from sim.record_plugins import PluginRecorder

TWICE = 0.3
"""The share of spliced messages that are said beside the honest one, and not in its place."""
TO_ALL = 0.2
"""The share of the adversary's certificates that everyone is shown, and not one seat."""
CLAIMED = 0.15
"""The share of the adversary's moves that hand over a value as decided."""


class PluginPlans(PluginNetwork):
    """A network with liars in it, whose plan ends once it is played."""

    def __init__(self, scenario: PluginScenario, recorder: PluginRecorder | None = None) -> None:
        super().__init__(scenario, recorder)
        self._spoken_of: dict[int, int] = {}
        """The last round of which a seat has spoken."""
        self._stumbles = list(scenario.stumbles)
        """Those that have not happened."""
        self.adversary: Adversary | None = None
        if scenario.splice or scenario.hoard:
            self.adversary = Adversary(
                scenario.protocol,
                self.context.validators,
                {validator: self.signers[validator] for validator in scenario.byzantine},
                (NETWORK, EPOCH),
                Random(f"adversary {scenario.seed}"),
            )

    def _boot(self, seat: Seat) -> None:
        """Start a seat that was down for a moment."""
        seat.boot()

    # --- the plan ---------------------------------------------------------------------------------

    def _look_at(self, seat: Seat, packet: Packet) -> None:
        if isinstance(packet, Signed) and packet.sender == seat.validator:
            number = sum(packet.message.statement()[1]) - 1
            if self._stumbles:
                self._perhaps_stumble(seat, number, packet.message.KIND)
            if self.scenario.heals and not seat.is_byzantine:
                self._spoken_of[seat.index] = max(number, self._spoken_of.get(seat.index, 0))
                self._perhaps_heal()
        if self.adversary is not None and not isinstance(packet, bytes):
            self.adversary.hear(packet)
            if self._happens(self.scenario.hoard):
                self._move(self.adversary)

    def _perhaps_stumble(self, seat: Seat, number: int, kind: int) -> None:
        """A seat that was to fall over this message does, as soon as it has left."""
        for stumble in self._stumbles:
            if (stumble.seat, stumble.round, stumble.kind) == (seat.index, number, kind):
                self._stumbles.remove(stumble)
                self.agenda.after(1, self._stumble, seat)
                return

    def _stumble(self, seat: Seat) -> None:
        seat.crash()
        self._boot(seat)

    def _perhaps_heal(self) -> None:
        """The network heals once every honest seat that is up speaks of later rounds."""
        last = len(self.scenario.rounds)
        honest = [seat.index for seat in self.seats if seat.is_up and not seat.is_byzantine]
        if all(self._spoken_of.get(index, 0) >= last for index in honest):
            self._become_stable()

    def _become_stable(self) -> None:
        """The network heals now, if it has not yet."""
        if not self._is_stable():
            self._stable_us = self.agenda.now_us
            self._on_stable()

    def _on_stable(self) -> None:
        """Whoever is to be silent from now on falls silent."""
        if self.scenario.hush:
            for seat in self.seats:
                if seat.is_byzantine:
                    seat.later(0, seat.crash)

    # --- lies -------------------------------------------------------------------------------------

    def _lie(self, seat: Seat, to: int | None, packet: Signed) -> Signed:
        if self._happens(self.scenario.mutate):
            packet = self._mutated(packet)
        if self._happens(self.scenario.splice):
            packet = self._spliced(seat, to, packet)
        return packet

    def _mutated(self, packet: Signed) -> Signed:
        message = mutated(packet.message, self.draw, [value.digest for value in self.oracles.log])
        return self.sign(packet.sender, message)

    def _spliced(self, seat: Seat, to: int | None, packet: Signed) -> Signed:
        """Something else; perhaps the honest word goes before it."""
        assert self.adversary is not None
        message = self.adversary.spliced(packet.message)
        if message is None:
            return packet
        if self.draw.random() < TWICE:
            self._carry_to_all(seat, to, packet)
        return self.sign(packet.sender, message)

    def _move(self, adversary: Adversary) -> None:
        """Show somebody a certificate, or hand over a decision, past all partitions."""
        honest = [seat for seat in self.seats if seat.is_up and not seat.is_byzantine]
        liar = next((seat for seat in self.seats if seat.is_byzantine and seat.is_up), None)
        if not honest or liar is None:
            return
        whom = honest if self.draw.random() < TO_ALL else [self.draw.choice(honest)]
        if self.draw.random() < CLAIMED:
            decision = adversary.decision()
            if decision is not None:
                for seat in whom:
                    seat.later(self._delay_us(), seat.hear_decision, decision)
            return
        certificate = adversary.certificate()
        if certificate is not None:
            for seat in whom:
                self._arrive(liar, seat, certificate)
