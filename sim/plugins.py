"""Bare plugins in virtual time: one protocol against a hostile network, from one seed.

No frames, batches, execution or disk formats: only what a plugin can tell.  That makes a run cheap
enough to draw thousands of, and lets a hand-written schedule say who hears what:

    report = run(PluginScenario(Tendermint, seed=7))
    assert not report.violations

    script = Script(PluginScenario(Tendermint, twins=(3,)))
    script.allow = lambda sender, receiver, packet: receiver != 0
    assert script.run_until(lambda: script.seats[1].log, limit_ms=2_000)
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from random import Random

from consensus.interface import AnyCertificate, Context, Decide, Message, Signed
from ledger import encoding
from ledger.errors import Fault
from ledger.keys import KeyedHash, Signer
from ledger.statement import Slot, Statement
from ledger.validators import Validator, ValidatorSet
from sim.agenda import Agenda
from sim.plugin_byzantine import mutated
from sim.plugin_life import Packet
from sim.plugin_node import Seat
from sim.plugin_oracles import PluginOracles
from sim.plugin_scenario import (
    MS,
    Crash,
    Partition,
    Pause,
    PluginReport,
    PluginScenario,
    PluginViolation,
    draw_duel,
    draw_groups,
    draw_scenario,
)
from sim.trace import Trace

__all__ = [
    "Crash",
    "Partition",
    "Pause",
    "PluginReport",
    "PluginScenario",
    "PluginViolation",
    "PluginWorld",
    "Script",
    "draw_duel",
    "draw_scenario",
    "run",
]

NETWORK = hashlib.sha256(b"a network of bare plugins").digest()
EPOCH = hashlib.sha256(b"the only epoch of bare plugins").digest()
REMEMBERED = 64
"""Messages that may be replayed."""
SLICE_MS = 20
"""How often a run looks whether it is over."""
EVENTS_MAX = 2_000_000
"""Steps after which a run counts as one that never falls silent."""
Allow = Callable[[int, int, Packet], bool]
"""(seat of the sender, seat of the receiver, packet) -> whether it may arrive."""


def run(scenario: PluginScenario) -> PluginReport:
    """Play a scenario to its end."""
    return PluginWorld(scenario).run()


class PluginWorld:
    """Seats, the links between them, the clients, and the judge."""

    def __init__(self, scenario: PluginScenario) -> None:
        self.scenario = scenario
        self.draw = Random(f"world {scenario.seed}")
        self.agenda = Agenda(Random(f"ties {scenario.seed}"))
        self.trace = Trace()
        self.events = 0
        self.messages = 0
        self.allow: Allow | None = None
        self.dropped: list[tuple[int, int, Packet]] = []
        """What `allow` refused: (seat of the sender, seat of the receiver, packet)."""
        self.scheme = KeyedHash()
        self.signers: list[Signer] = [
            self.scheme.signer(hashlib.sha256(b"seat %d" % index).digest())
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
            slot_window=1_000,
        )
        self.oracles = PluginOracles(
            network=NETWORK,
            epoch=EPOCH,
            validators=self.context.validators,
            scheme=self.scheme,
            byzantine=scenario.twins,
            now_ms=lambda: self.agenda.now_ms,
        )
        self.seats = [
            Seat(self, index, validator, self.signers[validator])
            for index, validator in enumerate(scenario.seats)
        ]
        self._payloads: dict[bytes, None] = {}
        self._to_submit = scenario.payloads
        self._recent: deque[tuple[Seat, Packet]] = deque(maxlen=REMEMBERED)
        self._checked: dict[AnyCertificate, bool] = {}
        self._rifts: dict[tuple[str, Slot], tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._ticking: dict[int, None] = {}
        self._finished_ms: int | None = None
        self._plan()

    # --- the run ----------------------------------------------------------------------------------

    def _plan(self) -> None:
        scenario, at = self.scenario, self.agenda.at
        for seat in self.seats:
            at(int(self.draw.random() * 2 * MS), self._boot, seat)
        for crash in scenario.crashes:
            seat = self.seats[crash.seat]
            at(crash.at_ms * MS, seat.crash, crash.boundary)
            if crash.until_ms is not None:
                at(crash.until_ms * MS, seat.crash)
                at(crash.until_ms * MS + 1, self._boot, seat)
        for pause in scenario.pauses:
            at(pause.at_ms * MS, self.seats[pause.seat].pause)
            at(pause.until_ms * MS, self.seats[pause.seat].resume)
        time_us = 0
        for number in range(scenario.payloads):
            time_us += int(self.draw.expovariate(1 / scenario.interval_ms) * MS)
            at(time_us, self._submit, hashlib.sha256(b"payload %d" % number).digest())

    def run(self) -> PluginReport:
        """Play to the end: everything decided within the bound, then silence, or a violation."""
        scenario, agenda = self.scenario, self.agenda
        while agenda.now_ms < scenario.end_ms and len(agenda) and not self._is_broken():
            agenda.run_until(agenda.now_us + SLICE_MS * MS)
            if not self._is_finished():
                self._finished_ms = None
            elif self._finished_ms is None:
                self._finished_ms = agenda.now_ms
            late = agenda.now_ms >= scenario.stable_ms + scenario.bound_ms
            if late and self._finished_ms is None:
                self._not_live()
        if not self._is_broken():
            if self._finished_ms is None:
                self._not_live()
            elif len(agenda):
                self.oracles.violated("silence", f"{len(agenda)} things are still planned")
        return self.report()

    def report(self) -> PluginReport:
        """What the run showed so far."""
        return PluginReport(
            scenario=self.scenario,
            decided=tuple(self.oracles.log),
            lengths=tuple(seat.durable for seat in self.seats),
            violations=tuple(self.oracles.violations),
            events=self.events,
            messages=self.messages,
            accused=tuple(sorted(self.oracles.accused)),
            finished_ms=self._finished_ms,
            trace_hash=self.trace.hexdigest(),
        )

    def _is_broken(self) -> bool:
        return bool(self.oracles.violations) or self.events > EVENTS_MAX

    def _not_live(self) -> None:
        undecided = sum(1 for one in self._payloads if not self.oracles.has_decided(one))
        lengths = [seat.durable for seat in self.seats]
        self.oracles.violated("liveness", f"{undecided} payloads are undecided; logs: {lengths}")

    def _honest(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.is_up and not seat.is_byzantine]

    def _is_finished(self) -> bool:
        """Whether every honest seat that is up has decided every payload."""
        if self._to_submit:
            return False
        blocks = [n for n, value in enumerate(self.oracles.log, 1) if value.payload]
        needed = blocks[-1] if blocks else 0
        return all(self.oracles.has_decided(payload) for payload in self._payloads) and all(
            seat.durable >= needed for seat in self._honest()
        )

    # --- clients ----------------------------------------------------------------------------------

    def _submit(self, payload: bytes) -> None:
        """A client hands a payload to one seat; the others get it from there, or later."""
        up = self._honest()
        if not up:
            self.agenda.after(100 * MS, self._submit, payload)
            return
        self._to_submit -= 1
        self._payloads[payload] = None
        first = self.draw.choice(up)
        first.hold((payload,))
        for seat in self.seats:
            if seat is not first and self._connected(first, seat):
                seat.later(self._delay_us(), seat.hold, (payload,))
        self._tick_all()

    def _boot(self, seat: Seat) -> None:
        """Start a seat that was down, or down for a moment."""
        seat.boot()
        self._ticking.pop(seat.index, None)
        self._tick_all()

    def bad_payload(self) -> bytes:
        """A payload that no honest validator accepts."""
        payload = self.draw.randbytes(32)
        self.oracles.offered_bad(payload)
        return payload

    # --- links ------------------------------------------------------------------------------------

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
            if seat.is_byzantine and self._happens(self.scenario.mutate):
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
        """Whether the phase of this slot runs in two groups, one without the other."""
        if not self.scenario.split or isinstance(packet, bytes) or self._is_stable():
            return False
        if isinstance(packet, Signed):
            phase, slot, _ = packet.message.statement()
        else:
            phase, slot = packet.phase, packet.slot
        sides, deaf = self._rift(phase, slot)
        return receiver.index in deaf or sides[seat.index] != sides[receiver.index]

    def _rift(self, phase: str, slot: Slot) -> tuple[tuple[int, ...], tuple[int, ...]]:
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
                if not self.scenario.twins:
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

    # --- what replicas tell one another -----------------------------------------------------------

    def has_decided(self, index: int, first: int) -> None:
        """A seat durably decided the values from ordinal `first` on: it signs checkpoints."""
        seat = self.seats[index]
        for ordinal in range(first, seat.durable):
            value = seat.log[ordinal]
            self.oracles.decided(seat.validator, ordinal, value)
            if value.payload and self.scenario.exchange_ms:
                self._share(seat, ordinal, value.digest)
        self._tick_all()

    def _share(self, seat: Seat, ordinal: int, digest: bytes) -> None:
        seat.later(self._delay_us(), seat.hear_share, seat.validator, ordinal, digest)
        for receiver in self.seats:
            if self._connected(seat, receiver) and not self._is_withheld():
                receiver.later(
                    self._delay_us(), receiver.hear_share, seat.validator, ordinal, digest
                )

    def _is_withheld(self) -> bool:
        return self._happens(self.scenario.loss) or self._happens(self.scenario.withhold)

    def _tick_all(self) -> None:
        interval_us = self.scenario.exchange_ms * MS
        for seat in self.seats:
            if interval_us and seat.is_up and seat.index not in self._ticking:
                self._ticking[seat.index] = None
                seat.later(int(interval_us * (0.7 + 0.6 * self.draw.random())), self._tick, seat)

    def _tick(self, seat: Seat) -> None:
        """A seat with outstanding work asks one peer what it has."""
        self._ticking.pop(seat.index, None)
        if not self._is_outstanding():
            return
        seat.wake()
        seat.refetch()
        peers = [peer for peer in self.seats if peer.is_up and self._connected(seat, peer)]
        if peers and not self._is_withheld():
            seat.later(self._delay_us(), self._answer, seat, self.draw.choice(peers))
        self._tick_all()

    def _is_outstanding(self) -> bool:
        """Whether anything is undecided, or decided and not yet certified everywhere."""
        goal = len(self.oracles.log)
        blocks = [n for n, value in enumerate(self.oracles.log, 1) if value.payload]
        certified = blocks[-1] if blocks else 0
        return any(
            seat.durable < goal or seat.certified < certified or seat.has_unordered()
            for seat in self.seats
            if seat.is_up
        )

    def _answer(self, seat: Seat, peer: Seat) -> None:
        """What a peer has that a seat lacks: payloads, a certificate, checkpoints, decisions."""
        if not peer.is_up:
            return
        seat.hold(tuple(peer.held))
        if peer.certified > seat.certified:
            seat.certify(peer.log[: peer.certified])
        for ordinal in range(seat.certified, peer.durable):
            if peer.log[ordinal].payload:
                seat.hear_share(peer.validator, ordinal, peer.log[ordinal].digest)
        for ordinal, decision in list(peer.decisions):
            if seat.is_up and ordinal + len(decision.values) > len(seat.log):
                seat.hear_decision(decision)

    def ask_for_value(self, index: int, digest: bytes) -> None:
        """A seat asks every peer for a value."""
        seat = self.seats[index]
        for peer in self.seats:
            if self._connected(seat, peer) and not self._happens(self.scenario.loss):
                peer.later(self._delay_us(), self._give_value, seat, peer, digest)

    def _give_value(self, seat: Seat, peer: Seat, digest: bytes) -> None:
        value = peer.known.get(digest)
        if value is not None and self._connected(seat, peer):
            seat.later(self._delay_us(), seat.receive_value, value)


class Script(PluginWorld):
    """A world for hand-written schedules: set `allow`, then run step by step.

    Nothing is lost but by `allow`; what it refuses waits in `dropped`.
    """

    def run_ms(self, duration_ms: int) -> None:
        """Let this much time pass."""
        self.agenda.run_until(self.agenda.now_us + duration_ms * MS)

    def run_until(self, condition: Callable[[], object], *, limit_ms: int) -> bool:
        """Let time pass until the condition holds; False if it never did within the limit."""
        end_ms = self.agenda.now_ms + limit_ms
        while not condition():
            if self.agenda.now_ms >= end_ms:
                return False
            self.run_ms(1)
        return True

    def submit(self, payload: bytes, *seats: int) -> None:
        """Clients hand a payload to these seats, or to all."""
        self._payloads[payload] = None
        for index in seats or range(len(self.seats)):
            self.seats[index].hold((payload,))

    def inject(self, validator: int, message: Message, *seats: int) -> Signed:
        """Deliver a message signed with a Byzantine validator's key to these seats."""
        signed = self.sign(validator, message)
        for index in seats:
            self.agenda.after(MS, self.seats[index].deliver, validator, signed)
        return signed

    def release(self, chosen: Allow) -> int:
        """Deliver what `allow` refused, where chosen; how many packets that were."""
        kept, count = [], 0
        for sender, receiver, packet in self.dropped:
            if chosen(sender, receiver, packet):
                count += 1
                validator = self.seats[sender].validator
                self.agenda.after(MS, self.seats[receiver].deliver, validator, packet)
            else:
                kept.append((sender, receiver, packet))
        self.dropped = kept
        return count

    def crash(self, seat: int, boundary: str = "now") -> None:
        """Stop a seat, now or at its next write."""
        self.seats[seat].crash(boundary)

    def restart(self, seat: int) -> None:
        """Start a stopped seat from what is durable."""
        self._boot(self.seats[seat])

    def decision(self, seat: int) -> list[Decide]:
        """The durable decisions of a seat that no certificate covers."""
        return [decision for _, decision in self.seats[seat].decisions]
