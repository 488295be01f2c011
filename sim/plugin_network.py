"""The links between seats: delays, losses, repeats, partitions, rifts, and right certificates."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from random import Random

from consensus.byzantine import attacked
from consensus.byzantine.mutating import mutated
from consensus.interface import AnyCertificate, Context, Message, Signed
from ledger import encoding
from ledger.errors import Fault
from ledger.keys import KeyedHash, Signer
from ledger.statement import Slot, Statement
from ledger.validators import Validator, ValidatorSet
from sim.agenda import Agenda
from sim.plugin_drawing import draw_groups
from sim.plugin_leaders import led_by
from sim.plugin_node import Seat
from sim.plugin_oracles import PluginOracles
from sim.plugin_scenario import Groups, PluginScenario
from sim.plugin_step import Packet

NETWORK = hashlib.sha256(b"a network of bare plugins").digest()
EPOCH = hashlib.sha256(b"the only epoch of bare plugins").digest()
REMEMBERED = 64
"""Messages that may be replayed."""
SLOT_WINDOW = 1_000
Allow = Callable[[int, int, Packet], bool]
"""(seat of the sender, seat of the receiver, packet) -> whether it may arrive."""
Rift = tuple[tuple[int, ...], tuple[int, ...]]
"""(side of every seat, seats that hear nobody)."""


class PluginNetwork:
    """Who hears what of whom, and when."""

    def __init__(self, scenario: PluginScenario) -> None:
        self.scenario = scenario
        self.draw = Random(f"world {scenario.seed}")
        self.agenda = Agenda(Random(f"ties {scenario.seed}"))
        self.messages = 0
        self.allow: Allow | None = None
        """Where set, what may arrive at all."""
        self.dropped: list[tuple[int, int, Packet]] = []
        """What `allow` refused: (seat of the sender, seat of the receiver, packet)."""
        self.scheme = KeyedHash()
        self.signers: list[Signer] = [
            self.scheme.signer(hashlib.sha256(b"validator %d" % index).digest())
            for index in range(scenario.nodes)
        ]
        members = tuple(
            Validator(f"v{index}", signer.public_key, signer.public_key, b"")
            for index, signer in enumerate(self.signers)
        )
        self.context = Context(
            network=NETWORK,
            epoch=EPOCH,
            me=None,
            validators=ValidatorSet(members, scenario.rule),
            parameters={**scenario.protocol.PARAMETERS, **dict(scenario.parameters)},
            slot_window=SLOT_WINDOW,
        )
        self.oracles = PluginOracles(
            network=NETWORK,
            epoch=EPOCH,
            validators=self.context.validators,
            scheme=self.scheme,
            byzantine=scenario.byzantine,
            now_ms=lambda: self.agenda.now_ms,
        )
        attacks = dict(scenario.attacks)
        led = led_by(scenario.protocol, scenario.rounds)
        self.protocols = [
            attacked(led, attacks[validator], scenario.seed) if validator in attacks else led
            for validator in range(scenario.nodes)
        ]
        """What each validator runs."""
        self.seats: list[Seat] = []
        self._recent: deque[tuple[Seat, Packet]] = deque(maxlen=REMEMBERED)
        self._checked: dict[AnyCertificate, bool] = {}
        self._rifts: dict[tuple[str, Slot], Rift] = {}

    def _connected(self, one: Seat, other: Seat) -> bool:
        now_ms = self.agenda.now_ms
        for partition in self.scenario.partitions:
            if partition.at_ms <= now_ms < partition.until_ms and not any(
                one.index in group and other.index in group for group in partition.groups
            ):
                return False
        return one.validator != other.validator

    def _is_stable(self) -> bool:
        return self.agenda.now_ms >= self.scenario.stable_ms

    def _happens(self, rate: int) -> bool:
        """Whether something of this rate per thousand befalls us now."""
        return rate > 0 and not self._is_stable() and self.draw.random() * 1_000 < rate

    def _delay_us(self) -> int:
        scenario, draw = self.scenario, self.draw
        delay_us = scenario.delay_us + draw.expovariate(1.0) * scenario.jitter_us
        if scenario.slow_us and not self._is_stable():
            delay_us += draw.expovariate(1.0) * scenario.slow_us
        return int(delay_us)

    def transmit(self, index: int, to: int | None, packet: Packet) -> None:
        """A packet leaves a seat for one validator, or for all others."""
        seat = self.seats[index]
        if isinstance(packet, Signed):
            self.oracles.left(packet)
            if self.scenario.codec:
                self._check_codec(packet.message)
            is_own = packet.sender == seat.validator
            if seat.is_byzantine and is_own and self._happens(self.scenario.mutate):
                packet = self._mutated(packet)
        for receiver in self.seats:
            if to in (None, receiver.validator) and receiver.validator != seat.validator:
                self._carry(seat, receiver, packet)
        if not isinstance(packet, bytes):
            self._recent.append((seat, packet))

    def _carry(self, seat: Seat, receiver: Seat, packet: Packet) -> None:
        self.messages += 1
        if self.allow is not None and not self.allow(seat.index, receiver.index, packet):
            self.dropped.append((seat.index, receiver.index, packet))
            return
        if not self._connected(seat, receiver) or self._is_split(seat, receiver, packet):
            return
        if self._happens(self.scenario.loss):
            return
        self._arrive(seat, receiver, packet)
        if self._happens(self.scenario.duplicate):
            self._arrive(seat, receiver, packet)
        if self._recent and self._happens(self.scenario.replay):
            self._arrive(*self._replayed(receiver))

    def _replayed(self, receiver: Seat) -> tuple[Seat, Seat, Packet]:
        sender, packet = self.draw.choice(self._recent)
        return sender, receiver, packet

    def _arrive(self, seat: Seat, receiver: Seat, packet: Packet) -> None:
        if seat.validator != receiver.validator:
            self.agenda.after(self._delay_us(), receiver.deliver, seat.validator, packet)

    def _is_split(self, seat: Seat, receiver: Seat, packet: Packet) -> bool:
        """Whether the phase of this slot runs in groups, one without the other."""
        scenario = self.scenario
        if not (scenario.split or scenario.rounds) or isinstance(packet, bytes):
            return False
        if self._is_stable():
            return False
        kind = 0
        if isinstance(packet, Signed):
            phase, slot, _ = packet.message.statement()
            kind = packet.message.KIND
        else:
            phase, slot = packet.phase, packet.slot
        groups = self._groups(slot, kind)
        if groups is not None and not _together(seat.index, receiver.index, groups):
            return True
        if not scenario.split:
            return False
        sides, deaf = self._rift(phase, slot)
        return receiver.index in deaf or sides[seat.index] != sides[receiver.index]

    def _groups(self, slot: Slot, kind: int) -> Groups | None:
        """Who hears whom by plan, in this slot and for this kind of message."""
        number = sum(slot) - 1
        if not 0 <= number < len(self.scenario.rounds):
            return None
        planned = self.scenario.rounds[number]
        return next((groups for each, groups in planned.kinds if each == kind), planned.groups)

    def _rift(self, phase: str, slot: Slot) -> Rift:
        """(side of every seat, seats that hear nobody) in a phase; every other has its slot's."""
        rift = self._rifts.get((phase, slot))
        if rift is None:
            draw, seats = self.draw, range(len(self.seats))
            rift = ((0,) * len(seats), ())
            if phase and draw.random() < 0.5:
                rift = self._rift("", slot)
            elif draw.random() * 1_000 < self.scenario.split:
                first, second = draw_groups(draw, len(seats))
                if draw.random() < 0.5:
                    rift = (rift[0], first)
                else:
                    rift = (tuple(int(index in second) for index in seats), ())
            self._rifts[phase, slot] = rift
        return rift

    def _mutated(self, packet: Signed) -> Signed:
        message = mutated(packet.message, self.draw, [value.digest for value in self.oracles.log])
        return self.sign(packet.sender, message)

    def sign(self, validator: int, message: Message) -> Signed:
        """A message signed with this validator's key, past every guard."""
        statement = Statement(NETWORK, EPOCH, *message.statement())
        return Signed(validator, message, self.signers[validator].sign(statement.signed_bytes()))

    def has_right_certificates(self, certificates: tuple[AnyCertificate, ...]) -> bool:
        """Whether each holds a quorum of right signatures."""
        return all(self._is_right(certificate) for certificate in certificates)

    def _is_right(self, certificate: AnyCertificate) -> bool:
        known = self._checked.get(certificate)
        if known is None:
            validators = self.context.validators
            try:
                certificate.check(
                    NETWORK,
                    EPOCH,
                    validators,
                    self.scheme.verify,
                    quorum=self.scenario.protocol.certificate_quorum(certificate.phase, validators),
                )
                known = True
            except Fault as fault:
                known = False
                if not self.scenario.byzantine:
                    self.oracles.violated("proof", f"an honest seat sent it: {fault}")
            self._checked[certificate] = known
        return known

    def _check_codec(self, message: Message) -> None:
        raw = encoding.encode(message.row())
        try:
            row = encoding.decode(raw, message.SHAPE, size_max=len(raw), what="message")
            again = type(message).from_row(row)
        except Fault as fault:
            self.oracles.violated("codec", f"{type(message).__name__}: {fault}")
            return
        if again != message or again.statement() != message.statement():
            self.oracles.violated("codec", f"{message} came back as {again}")


def _together(one: int, other: int, groups: Groups) -> bool:
    return any(one in group and other in group for group in groups)
