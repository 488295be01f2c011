"""The links between seats: delays, losses, repeats, partitions, rifts, and right certificates."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from math import log
from random import Random

from consensus.byzantine import attacked
from consensus.interface import AnyCertificate, Consensus, Context, Message, Signed
from ledger import encoding
from ledger.errors import Fault
from ledger.keys import KeyedHash, Signer
from ledger.statement import Slot, Statement
from ledger.validators import QuorumRule, Validator, ValidatorSet
from sim.agenda import Agenda
from sim.plugin_drawing import draw_groups
from sim.plugin_leaders import led_by
from sim.plugin_node import Seat
from sim.plugin_oracles import PluginOracles
from sim.plugin_scenario import MS, Groups, Partition, PluginScenario
from sim.plugin_step import Packet
from sim.record_plugins import CUT, LOST, WITHHELD, PluginRecorder

NETWORK = hashlib.sha256(b"a network of bare plugins").digest()
EPOCH = hashlib.sha256(b"the only epoch of bare plugins").digest()
REMEMBERED = 64
"""Messages that may be replayed."""
SLOT_WINDOW = 1_000
SCHEME = KeyedHash()
Allow = Callable[[int, int, Packet], bool]
"""(seat of the sender, seat of the receiver, packet) -> whether it may arrive."""
Rift = tuple[tuple[int, ...], tuple[int, ...]]
"""(side of every seat, seats that hear nobody)."""


@lru_cache(maxsize=64)
def everybody(nodes: int, rule: QuorumRule) -> tuple[tuple[Signer, ...], ValidatorSet]:
    """The keys of all validators, and who they are: the same in every world of this size."""
    signers = tuple(
        SCHEME.signer(hashlib.sha256(b"validator %d" % index).digest()) for index in range(nodes)
    )
    members = tuple(
        Validator(f"v{index}", signer.public_key, signer.public_key, b"")
        for index, signer in enumerate(signers)
    )
    return signers, ValidatorSet(members, rule)


def is_right(
    certificate: AnyCertificate, protocol: type[Consensus], validators: ValidatorSet
) -> bool:
    """Whether it holds exactly a quorum of right signatures."""
    quorum = protocol.certificate_quorum(certificate.phase, validators)
    try:
        certificate.check(NETWORK, EPOCH, validators, SCHEME.verify, quorum=quorum)
    except Fault:
        return False
    return True


class PluginNetwork(ABC):
    """Who hears what of whom, and when."""

    def __init__(self, scenario: PluginScenario, recorder: PluginRecorder | None = None) -> None:
        self.scenario = scenario
        self.recorder = recorder
        self.draw = Random(f"world {scenario.seed}")
        self.agenda = Agenda(Random(f"ties {scenario.seed}"))
        self.messages = 0
        self.allow: Allow | None = None
        """Where set, what may arrive at all."""
        self.dropped: list[tuple[int, int, Packet]] = []
        """What `allow` refused: (seat of the sender, seat of the receiver, packet)."""
        self.signers, validators = everybody(scenario.nodes, scenario.rule)
        self.context = Context(
            network=NETWORK,
            epoch=EPOCH,
            me=None,
            validators=validators,
            parameters={**scenario.protocol.PARAMETERS, **dict(scenario.parameters)},
            slot_window=SLOT_WINDOW,
        )
        self.oracles = PluginOracles(
            network=NETWORK,
            epoch=EPOCH,
            validators=self.context.validators,
            scheme=SCHEME,
            byzantine=scenario.byzantine,
            model=scenario.protocol.fault_model,
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
        self._partitions = scenario.partitions
        """Those that have not healed in a view change."""
        self._fired: dict[Partition, int] = {}
        self._stable_us = scenario.stable_ms * MS
        self._has_weather = bool(scenario.loss or scenario.duplicate or scenario.replay)
        self._rifts: dict[tuple[str, Slot], Rift] = {}
        self._began_us: dict[int, int] = {}
        """When the first message of a planned round was sent."""

    @abstractmethod
    def _lie(self, seat: Seat, to: int | None, packet: Signed) -> Signed:
        """What a Byzantine seat says instead of a message of its own."""

    @abstractmethod
    def _look_at(self, seat: Seat, packet: Packet) -> None:
        """A packet has left a seat."""

    def _connected(self, one: Seat, other: Seat) -> bool:
        """Whether what one says reaches the other."""
        if one.validator == other.validator:
            return False
        if not self._partitions:
            return True
        now_ms = self.agenda.now_ms
        return not any(
            _divides(partition, now_ms, one.index, other.index) for partition in self._partitions
        )

    def _converse(self, one: Seat, other: Seat) -> bool:
        return self._connected(one, other) and self._connected(other, one)

    def rang(self) -> None:
        """A timer of a plugin fires: partitions that heal in a view change may end."""
        now_ms = self.agenda.now_ms
        for partition in self._partitions:
            if partition.timers and partition.at_ms <= now_ms < partition.until_ms:
                fired = self._fired.get(partition, 0) + 1
                self._fired[partition] = fired
                if fired == partition.timers:
                    self._partitions = tuple(one for one in self._partitions if one != partition)

    def _is_stable(self) -> bool:
        return self.agenda.now_us >= self._stable_us

    def _happens(self, rate: int) -> bool:
        """Whether something of this rate per thousand befalls us now."""
        return rate > 0 and not self._is_stable() and self.draw.random() * 1_000 < rate

    def _delay_us(self) -> int:
        scenario, random = self.scenario, self.draw.random
        delay_us = scenario.delay_us - log(1.0 - random()) * scenario.jitter_us
        if scenario.slow_us and not self._is_stable():
            delay_us -= log(1.0 - random()) * scenario.slow_us
        return int(delay_us)

    def transmit(self, index: int, to: int | None, packet: Packet) -> None:
        """A packet leaves a seat for one validator, or for all others."""
        seat = self.seats[index]
        if isinstance(packet, Signed):
            self.oracles.left(packet)
            self.oracles.sent(seat.validator, packet.message.certificates())
            if self.scenario.codec:
                self._check_codec(packet.message)
            is_own = packet.sender == seat.validator
            if seat.is_byzantine and is_own:
                packet = self._lie(seat, to, packet)
        elif not isinstance(packet, bytes):
            self.oracles.sent(seat.validator, (packet,))
        self._carry_to_all(seat, to, packet)
        self._look_at(seat, packet)

    def _carry_to_all(self, seat: Seat, to: int | None, packet: Packet) -> None:
        if self.recorder is not None:
            self.recorder.said(seat.index, packet)
        hears = self._who_hears(seat, packet)
        sender = seat.validator
        others = [
            receiver
            for receiver in self.seats
            if receiver.validator != sender and (to is None or to == receiver.validator)
        ]
        if hears is None and self._is_calm():
            self.messages += len(others)
            agenda, delay_us = self.agenda, self._delay_us
            for receiver in others:
                agenda.at(agenda.now_us + delay_us(), receiver.deliver, sender, packet)
        else:
            for receiver in others:
                self._carry(seat, receiver, packet, hears)
        if not isinstance(packet, bytes):
            self._recent.append((seat, packet))

    def _carry(
        self, seat: Seat, receiver: Seat, packet: Packet, hears: tuple[bool, ...] | None
    ) -> None:
        self.messages += 1
        if self.recorder is not None:
            self.recorder.sent(seat.index, receiver.index, packet)
        if self.allow is not None and not self.allow(seat.index, receiver.index, packet):
            self.dropped.append((seat.index, receiver.index, packet))
            self._lose(seat, receiver, packet, WITHHELD)
            return
        if (hears is not None and not hears[receiver.index]) or not self._connected(seat, receiver):
            self._lose(seat, receiver, packet, CUT)
            if hears is not None and self._happens(self.scenario.late):
                late_us = int(self.draw.expovariate(1 / self.scenario.late_ms) * MS)
                self.agenda.after(late_us, receiver.deliver, seat.validator, packet)
            return
        if self._is_stable():
            self._arrive(seat, receiver, packet)
            return
        scenario = self.scenario
        if scenario.loss and self._happens(scenario.loss):
            self._lose(seat, receiver, packet, LOST)
            return
        self._arrive(seat, receiver, packet)
        if scenario.duplicate and self._happens(scenario.duplicate):
            self._arrive(seat, receiver, packet)
        if scenario.replay and self._recent and self._happens(scenario.replay):
            self._arrive(*self._replayed(receiver))

    def _is_calm(self) -> bool:
        """Whether nothing can befall a packet now, and nobody looks on."""
        has_weather = self._has_weather and not self._is_stable()
        return not (has_weather or self._partitions or self.allow or self.recorder)

    def _lose(self, seat: Seat, receiver: Seat, packet: Packet, why: str) -> None:
        if self.recorder is not None:
            self.recorder.lost(seat.index, receiver.index, packet, why)

    def _replayed(self, receiver: Seat) -> tuple[Seat, Seat, Packet]:
        sender, packet = self.draw.choice(self._recent)
        return sender, receiver, packet

    def _arrive(self, seat: Seat, receiver: Seat, packet: Packet) -> None:
        if seat.validator != receiver.validator:
            agenda = self.agenda
            time_us = agenda.now_us + self._delay_us()
            agenda.at(time_us, receiver.deliver, seat.validator, packet)

    def _who_hears(self, seat: Seat, packet: Packet) -> tuple[bool, ...] | None:
        """For every seat whether it is on the sender's side in this phase; None: everyone."""
        scenario = self.scenario
        is_apart = scenario.split or scenario.rounds
        if not is_apart or isinstance(packet, bytes) or self._is_stable():
            return None
        kind = 0
        if isinstance(packet, Signed):
            phase, slot, _ = packet.message.statement()
            kind = packet.message.KIND
        else:
            phase, slot = packet.phase, packet.slot
        seats = range(len(self.seats))
        if scenario.split:
            sides, deaf = self._rift(phase, slot)
            mine = sides[seat.index]
            hears = tuple(sides[index] == mine and index not in deaf for index in seats)
        else:
            hears = (True,) * len(seats)
        number = sum(slot) - 1
        if not 0 <= number < len(scenario.rounds):
            return hears
        planned = scenario.rounds[number]
        if scenario.round_ms:
            began_us = self._began_us.setdefault(number, self.agenda.now_us)
            if self.agenda.now_us - began_us >= scenario.round_ms * MS:
                return hears
        groups = next((groups for each, groups in planned.kinds if each == kind), planned.groups)
        deaf = next((deaf for each, deaf in planned.deaf if each == kind), ())
        return tuple(
            hears[index] and index not in deaf and _together(seat.index, index, groups)
            for index in seats
        )

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

    def sign(self, validator: int, message: Message) -> Signed:
        """A message signed with this validator's key, past every guard."""
        statement = Statement(NETWORK, EPOCH, *message.statement())
        return Signed(validator, message, self.signers[validator].sign(statement.signed_bytes()))

    def has_right_certificates(self, certificates: tuple[AnyCertificate, ...]) -> bool:
        """Whether each holds a quorum of right signatures."""
        return not certificates or all(self._is_right(one) for one in certificates)

    def _is_right(self, certificate: AnyCertificate) -> bool:
        known = self._checked.get(certificate)
        if known is None:
            known = is_right(certificate, self.scenario.protocol, self.context.validators)
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


def _divides(partition: Partition, now_ms: int, sender: int, receiver: int) -> bool:
    """Whether what one seat says to another is lost now."""
    if not partition.at_ms <= now_ms < partition.until_ms:
        return False
    if partition.flap_ms and (now_ms - partition.at_ms) // partition.flap_ms % 2:
        return False
    if partition.is_one_way:
        first = partition.groups[0]
        return sender in first and receiver not in first
    return not _together(sender, receiver, partition.groups)


def _together(one: int, other: int, groups: Groups) -> bool:
    return any(one in group and other in group for group in groups)
