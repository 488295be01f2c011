"""Whole replicas among power cuts, deafness and a liar: schedules drawn for the design's own rules.

A scenario of the simulator treats all frames alike.  Here some kinds of packet do not arrive for a
while at some nodes, power fails at the boundaries of writes where there is something to lose, and
one validator may be a liar: an honest replica what leaves which is changed, by tricks that are
drawn, or beside which goes what no honest one would say.  Every feature is drawn for itself, and
most scenarios have few (Groce et al., "Swarm Testing", ISSTA 2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from consensus.dissemination import CREATOR_BATCHES_MAX
from consensus.inspector import Inspector, decode_message
from consensus.interface import Consensus, Message, Now
from consensus.io import Channel, FrameArrived, HostEvent, SendFrame, Step
from consensus.packets import (
    BatchPacket,
    Blocks,
    CertificatePacket,
    CheckpointCertified,
    CheckpointSignature,
    DecisionPacket,
    Have,
    Packet,
    SignedPacket,
    Status,
    ValuePacket,
    WantBatches,
    WantBlocks,
    YouSaid,
    decode_packet,
    encode_packet,
)
from consensus.replica import Replica
from ledger import layout
from ledger.batch import make_batch, parse_batch
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.certified import checkpoint_text
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.keys import scheme_named
from ledger.statement import Statement
from ledger.store import Reader, Write
from ledger.value import Value
from sim.agenda import MS
from sim.run import SCHEME
from sim.scenario import Incident, Load, Pace, Scenario, Weather
from sim.watcher import Machine, Watcher
from tests.sim.protocols import plugin
from tests.zoo.model import SURVIVED, Mutant, Verdict
from tests.zoo.replicas import HOMES, MutatedRun, patching

NODES = 4
KINDS: tuple[tuple[type[Packet], ...], ...] = (
    (SignedPacket,),
    (SignedPacket, CertificatePacket),
    (CertificatePacket,),
    (BatchPacket,),
    (BatchPacket, Have),
    (Have,),
    (WantBatches,),
    (CheckpointSignature,),
    (CheckpointCertified,),
    (CheckpointSignature, CheckpointCertified),
    (CheckpointCertified, Blocks, DecisionPacket),
    (DecisionPacket,),
    (DecisionPacket, Blocks),
    (Status,),
    (WantBlocks,),
    (YouSaid,),
    (ValuePacket,),
)
"""What somebody may not hear for a while."""
STABLE_MS = (800, 1_500, 3_000)
BOUND_MS = 25_000
QUIET_MS = 4_000
AHEAD_SLACK = 4
"""Decisions of others may come while one does not vote any more."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """For a while these kinds of packet do not get from these nodes to those."""

    kinds: tuple[type[Packet], ...]
    senders: tuple[int, ...]
    receivers: tuple[int, ...]
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Power fails as soon as a write with such a key is on the disk: nothing it allows leaves."""

    prefix: bytes
    """Kind of record, a beginning of the key."""
    nodes: tuple[int, ...]
    skip: int
    """How many such writes go well before."""
    down_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario of this kind."""

    scenario: Scenario
    deaf: tuple[Deaf, ...]
    cuts: tuple[Cut, ...]
    liar: int | None
    tricks: tuple[str, ...]
    """Names in TRICKS."""


def draw_plan(number: int, home: str, mutant: Mutant) -> Plan:
    """The scenario of a number; limits are tight where the mutant says so."""
    draw = Random(f"hostile {number}")
    stable_ms = draw.choice(STABLE_MS)
    features = [draw.random() < share for share in (0.4, 0.6, 0.5, 0.5, 0.25)]
    incidents = _power_cuts(draw, stable_ms) if features[0] else []
    deaf = _deafness(draw, stable_ms) if features[1] else []
    liar = draw.randrange(NODES) if features[2] and home != "solo" else None
    cuts = _cuts(draw) if features[3] else []
    incidents += _clocks(draw, stable_ms) if features[4] else []
    limits = dict(draw.choice(_LIMITS)) | dict(mutant.limits)
    # Where windows are short, there must be more blocks than fit into them.
    transactions = draw.choice((25, 40) if "replay_window" in limits else (2, 4, 10))
    scenario = Scenario(
        seed=number,
        protocol=home,
        nodes=NODES,
        limits=tuple(sorted(limits.items())),
        weather=Weather(
            delay_us=draw.choice((200, 2_000)),
            jitter_us=draw.choice((200, 3_000)),
            replay=draw.choice((0, 0, 100)),
        ),
        pace=Pace(sync_us=draw.choice((200, 2_000, 8_000)), job_us=draw.choice((100, 3_000))),
        incidents=tuple(sorted(incidents, key=lambda incident: incident.at_ms)),
        load=Load(
            transactions=transactions,
            interval_ms=max(1, 2 * stable_ms // transactions),
            timeout_ms=draw.choice((400, 1_500)),
            duplicates=300,
            twice_signed=300,
            echoes=300,
        ),
        stable_ms=stable_ms,
        bound_ms=BOUND_MS,
        quiet_ms=QUIET_MS,
    )
    tricks = tuple(draw.sample(list(TRICKS), draw.choice((1, 1, 2)))) if liar is not None else ()
    return Plan(scenario, tuple(deaf), tuple(cuts), liar, tricks)


_LIMITS: tuple[tuple[tuple[str, int], ...], ...] = (
    (),
    (),
    (("batch_window", 4), ("replay_window", 8)),
    (("run_ahead", 2),),
    (("batch_transactions", 1),),
)


def _power_cuts(draw: Random, stable_ms: int) -> list[Incident]:
    """Some crash one by one, some all at once, mostly at a boundary of a write."""
    cuts = []
    for _ in range(draw.choice((1, 1, 2, 4))):
        at_ms = draw.randrange(100, stable_ms)
        whom = draw.sample(range(NODES), draw.choice((1, 1, 3, 4)))
        for node in whom:
            until_ms = at_ms + draw.choice((20, 100, 600))
            boundary = draw.choice((0, 1, 2, 3, 4))
            cuts.append(Incident("crash", at_ms, min(until_ms, stable_ms), (node,), boundary))
    if draw.random() < 0.3:
        at_ms = draw.randrange(200, stable_ms)
        kind = draw.choice(("lost-disk", "old-disk"))
        robbed = (draw.randrange(1, NODES),)
        cuts.append(Incident(kind, at_ms, min(at_ms + draw.choice((20, 200)), stable_ms), robbed))
    return cuts


_RECORDS = (
    layout.DECISION_HEAD, layout.EXECUTED, layout.CERTIFIED, layout.SIGNED, layout.PLUGIN,
    layout.SEQUENCES, layout.SIGNED + b"checkpoint",
)  # fmt: skip


def _cuts(draw: Random) -> list[Cut]:
    """One node, or most, or all lose power right behind the same kind of write."""
    prefix, skip = draw.choice(_RECORDS), draw.choice((0, 0, 1, 2, 5))
    whom = draw.sample(range(NODES), draw.choice((1, 2, 3, 4, 4)))
    return [Cut(prefix, tuple(whom), skip, draw.choice((10, 100, 1_000)))]


def _clocks(draw: Random, stable_ms: int) -> list[Incident]:
    """Wall clocks that are behind or ahead, some by hours."""
    whom = draw.sample(range(NODES), draw.choice((1, 1, 2)))
    step_ms = draw.choice((-3_600_000, -60_000, -1_500, 1_500))
    return [Incident("clock", 1, stable_ms, (node,), step_ms) for node in whom]


def _deafness(draw: Random, stable_ms: int) -> list[Deaf]:
    found = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        one = draw.randrange(NODES)
        everyone = tuple(range(NODES))
        others = tuple(node for node in everyone if node != one)
        from_ms = draw.choice((0, draw.randrange(stable_ms)))
        # Mostly it ends when everything else is over, too, and nothing new makes up for it.
        until_ms = draw.choice((stable_ms, stable_ms, min(stable_ms, from_ms + 300)))
        found.append(
            Deaf(
                draw.choice(KINDS),
                draw.choice((everyone, everyone, (one,), others)),
                draw.choice((everyone, (one,), others, tuple(draw.sample(everyone, 2)))),
                from_ms,
                until_ms,
            )
        )
    return found


# --- playing --------------------------------------------------------------------------------------


class HostileRun(MutatedRun):
    """A run of a plan."""

    def __init__(
        self,
        plan: Plan,
        protocol: type[Consensus],
        kind: type[Replica],
        nodes: tuple[int, ...] | None,
    ) -> None:
        self._plan = plan
        self._draw = Random(f"liar {plan.scenario.seed}")
        liars = frozenset() if plan.liar is None else frozenset({plan.liar})
        self._skipped: dict[tuple[Cut, int], int] = {}
        watcher = Onlooker(self)
        super().__init__(plan.scenario, protocol, kind, nodes, liars=liars, watchers=(watcher,))
        self.plain = Inspector(self.genesis, scheme_named(SCHEME), plugin(protocol.name))
        """What every replica must check with."""
        if plan.deaf:
            self._send = self.world.network.send
            self.world.network.send = self._filtered  # type: ignore[method-assign]

    def _filtered(self, source: int, peer: int | None, channel: Channel, payload: bytes) -> None:
        receivers = [peer] if peer is not None else [n for n in range(NODES) if n != source]
        now_ms = self.world.agenda.now_ms
        lost = {
            receiver
            for one in self._plan.deaf
            if one.from_ms <= now_ms < one.until_ms
            and source in one.senders
            and payload[2:3] in [bytes([kind.KIND]) for kind in one.kinds]
            for receiver in one.receivers
        }
        if not lost:
            self._send(source, peer, channel, payload)
            return
        for receiver in receivers:
            if receiver not in lost:
                self._send(source, receiver, channel, payload)

    def wrote(self, node: int, writes: list[Write]) -> None:
        """Cut the power where the plan says so."""
        for cut in self._plan.cuts:
            if node in cut.nodes and any(key.startswith(cut.prefix) for key, _ in writes):
                count = self._skipped.get((cut, node), 0)
                self._skipped[cut, node] = count + 1
                if count == cut.skip and self.world.agenda.now_ms < self.scenario.stable_ms:
                    self.world.nodes[node].crash()
                    restart = self.world.nodes[node].boot
                    self.world.agenda.after(cut.down_ms * MS, restart)

    def _is_late(self) -> bool:
        for node in self.honest:
            if isinstance(node._machine, Replica):
                self._look_into(node.index, node._machine)
        return super()._is_late()

    def _look_into(self, index: int, replica: Replica) -> None:
        """P16: no creator fills a pool, and nobody runs ahead of the certificates."""
        pool, status = replica._spreading.pool, replica.status()
        creators = Counter(
            held.batch.creator for digest, held in pool.held.items() if digest not in pool.ordered
        )
        if max(creators.values(), default=0) > 2 * CREATOR_BATCHES_MAX:
            self.findings.add("P16", f"node {index} holds {max(creators.values())} batches", index)
        ahead = status.decided - status.certified
        if ahead > self.genesis.limits.run_ahead + AHEAD_SLACK:
            self.findings.add("P16", f"node {index} decided {ahead} blocks ahead", index)

    def _open(self, index: int, reader: Reader) -> Machine:
        machine = super()._open(index, reader)
        if index != self._plan.liar:
            return machine
        return Liar(machine, self, index, self._plan.tricks)


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One drawn network."""
    home = mutant.plugin.name if mutant.plugin else HOMES[number % len(HOMES)]
    plan = draw_plan(number, home, mutant)
    protocol = plugin(home)

    def broken(kind: type[Replica], protocol: type[Consensus]) -> tuple[str, ...]:
        report = HostileRun(plan, protocol, kind, mutant.nodes).lead()
        return tuple(dict.fromkeys(violation.property for violation in report.violations))

    with patching(mutant):
        found = broken(mutant.replica or Replica, mutant.plugin or protocol)
    found = tuple(name for name in found if name in mutant.expected)
    if not found:
        return SURVIVED, 1
    return Verdict(found, broken(Replica, mutant.base or protocol), f"hostile {number}"), 1


class Onlooker(Watcher):
    """Cuts the power, and looks at the certificates that honest nodes pass on (P4)."""

    def __init__(self, run: HostileRun) -> None:
        self._run = run

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        self._run.wrote(node, writes)

    def sent(self, node: int, output: SendFrame) -> None:
        if node in self._run.liars or output.payload[2] not in _PROVING:
            return
        _, packet = decode_packet(output.channel, output.payload)
        assert isinstance(packet, CertificatePacket | DecisionPacket)
        try:
            if isinstance(packet, CertificatePacket):
                self._run.plain.check_certificate(packet.certificate())
            else:
                for certificate in packet.parse(self._run.plain.message)[1].certificates:
                    self._run.plain.check_certificate(certificate)
        except Fault as fault:
            self._run.findings.add(
                "P4", f"node {node} passed on a wrong certificate: {fault}", node
            )


_PROVING = (CertificatePacket.KIND, DecisionPacket.KIND)


# --- the liar -------------------------------------------------------------------------------------


class Liar:
    """An honest replica what leaves which is changed, or joined by something else."""

    def __init__(self, machine: Machine, run: HostileRun, me: int, tricks: tuple[str, ...]) -> None:
        self._machine = machine
        self.me = me
        self.genesis = run.genesis
        self.signers = run.signers
        self.protocol = run._protocol
        self.draw = run._draw
        self._tricks = [TRICKS[name] for name in tricks]
        self._kinds: dict[int, type[Message]] = {m.KIND: m for m in self.protocol.MESSAGES}
        self.old_batches: list[bytes] = []
        """Digests of batches that were seen, oldest first."""
        self.old_raws: list[bytes] = []
        """The batches themselves."""

    def step(self, now: Now, event: HostEvent) -> Step:
        if isinstance(event, FrameArrived) and event.payload[2:3] == bytes([BatchPacket.KIND]):
            self._see(event.payload)
        step = self._machine.step(now, event)
        outputs: list[Any] = []
        for output in step.outputs:
            outputs += self._lie(output) if isinstance(output, SendFrame) else [output]
        step.outputs = outputs
        return step

    def _see(self, payload: bytes) -> None:
        try:
            _, packet = decode_packet(Channel.DISSEMINATION, payload)
            batch = parse_batch(packet.batch, self.genesis.limits)  # type: ignore[union-attr]
        except Fault:
            return
        self.old_batches.append(batch.digest)
        self.old_raws.append(batch.raw)

    def _lie(self, output: SendFrame) -> list[SendFrame]:
        if self.draw.random() < 0.5:
            return [output]
        _, packet = decode_packet(output.channel, output.payload)
        for trick in self._tricks:
            said = trick(self, packet)
            if said is not None:
                return [self.frame(output, each) for each in said]
        return [output]

    def frame(self, output: SendFrame, packet: Packet | bytes) -> SendFrame:
        """A packet, or any bytes, to whom the honest one went."""
        if isinstance(packet, bytes):
            return replace(output, payload=packet)
        payload = encode_packet(packet, self.genesis.epoch.number)
        return SendFrame(output.peer, packet.CHANNEL, payload)

    def message(self, packet: SignedPacket) -> Message:
        """What a packet says."""
        return decode_message(self._kinds, packet.kind, packet.body)

    def sign(
        self, message: Message, *, by: int | None = None, network: bytes = b"", epoch: bytes = b""
    ) -> SignedPacket:
        """A message as a validator signs it, perhaps one of a network or epoch with the same
        validators."""
        who = self.me if by is None else by
        statement = Statement(
            network or self.genesis.network, epoch or self.genesis.epoch.id, *message.statement()
        )
        signature = self.signers[who].sign(statement.signed_bytes())
        return SignedPacket(who, message.KIND, encode(message.row()), signature)


Trick = Callable[[Liar, Packet], list[Packet | bytes] | None]
"""What goes out instead of a packet; None where the trick is about others."""


def _other_log(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Signs a log that nobody has, or signs wrongly."""
    if not isinstance(packet, CheckpointSignature):
        return None
    root, size = liar.draw.randbytes(32), packet.size + liar.draw.choice((0, 0, 1))
    text = checkpoint_text(liar.genesis.origin, size, root)
    right = liar.signers[liar.me].sign(text)
    signature = liar.draw.choice((right, bytes(64)))
    return [replace(packet, size=size, root=root, signature=signature)]


def _claims(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Claims heights that nobody has, and gives nothing of them."""
    if isinstance(packet, Status):
        more = liar.draw.choice((1, 3, 50))
        return [replace(packet, certified=packet.certified + more, decided=packet.decided + more)]
    return [] if isinstance(packet, Blocks) else None


def _other_range(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Gives blocks whose batches or leaves are changed."""
    if not isinstance(packet, Blocks):
        return None
    place = liar.draw.randrange(len(packet.blocks))
    block = bytearray(packet.blocks[place])
    block[liar.draw.randrange(len(block))] ^= 1 << liar.draw.randrange(8)
    blocks = (*packet.blocks[:place], bytes(block), *packet.blocks[place + 1 :])
    return [replace(packet, blocks=blocks)]


def _padded(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Makes a certificate of its own signature alone, as often as a quorum has signers."""
    if not isinstance(packet, SignedPacket):
        return None
    phase, slot, value = liar.message(packet).statement()
    value = liar.draw.choice((value, b"", liar.draw.randbytes(32)))
    statement = Statement(liar.genesis.network, liar.genesis.epoch.id, phase, slot, value)
    signature = liar.signers[liar.me].sign(statement.signed_bytes())
    count = liar.genesis.epoch.validators.quorum
    padded: tuple[Certificate | TimeoutCertificate, ...] = (
        Certificate(phase, slot, value, ((liar.me, signature),) * count),
        TimeoutCertificate(phase, slot, ((liar.me, value, signature),) * count),
    )
    return [packet, CertificatePacket.of(liar.draw.choice(padded))]


def _elsewhere(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Brings what all validators said in another network or an earlier epoch."""
    if not isinstance(packet, SignedPacket):
        return None
    message = liar.message(packet)
    fields = getattr(type(message), "__dataclass_fields__", {})
    if "value" in fields and isinstance(getattr(message, "value", None), bytes):
        message = replace(message, value=liar.draw.choice((message.value, b"")))  # type: ignore
    other = liar.draw.choice(({"network": b"\x01" * 32}, {"epoch": b"\x01" * 32}))
    validators = range(liar.genesis.epoch.validators.size)
    return [packet, *(liar.sign(message, by=who, **other) for who in validators)]


def _bad_value(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Proposes what no honest validator may vote for, or not yet, or what is merely odd."""
    if not isinstance(packet, SignedPacket) or packet.sender != liar.me:
        return None
    message: Any = liar.message(packet)
    value = getattr(message, "value", None)
    if not isinstance(value, Value) or value.proposer != liar.me:
        return None
    draw = liar.draw
    old = tuple(liar.old_batches[:1])
    changed = draw.choice(
        (
            {"payload": (*value.payload, draw.randbytes(32))},
            {"payload": (*value.payload, *value.payload)},
            {"payload": (*old, *(one for one in value.payload if one not in old))},
            {"timestamp_ms": value.timestamp_ms + draw.choice((1_500, 8_000, 60_000))},
            {"timestamp_ms": max(1, value.timestamp_ms - draw.choice((1_000, 10_000_000)))},
            {"payload": ()},
        )
    )
    fields = {name: getattr(value, name) for name in _VALUE_FIELDS} | changed
    return [liar.sign(replace(message, value=Value(**fields)))]


_VALUE_FIELDS = ("epoch", "parent", "slot", "proposer", "timestamp_ms", "payload", "extra")


def _damaged(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Changes, cuts or adds bytes."""
    payload = bytearray(encode_packet(packet, liar.genesis.epoch.number))
    place = liar.draw.randrange(len(payload))
    payload[place] ^= 1 << liar.draw.randrange(8)
    whole = bytes(payload)
    return [liar.draw.choice((whole, whole[:place], whole + b"\x00", b""))]


def _lies_about_you(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Tells whoever starts that it has said what it never signed."""
    if not isinstance(packet, YouSaid):
        return None
    phase = packet.statements[0][0] if packet.statements else "vote"
    said = (phase, (1_000_000,), liar.draw.randbytes(32), bytes(64))
    return [replace(packet, statements=(said,))]


def _hides_all(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Tells whoever starts that it has said nothing."""
    return (
        [replace(packet, statements=(), checkpoint=None)] if isinstance(packet, YouSaid) else None
    )


def _odd_batch(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Makes batches of what is old, comes twice or is made at another height, and many of them."""
    if not isinstance(packet, BatchPacket):
        return None
    batch = parse_batch(packet.batch, liar.genesis.limits)
    made: list[Packet | bytes] = [packet]
    held = [parse_batch(raw, liar.genesis.limits) for raw in liar.old_raws] or [batch]
    for _ in range(liar.draw.choice((1, 3, 3, 200))):
        batch = liar.draw.choice(held)
        other = make_batch(
            network=liar.genesis.network,
            epoch=liar.genesis.epoch.id,
            creator=liar.me,
            sequence=1_000_000 + liar.draw.randrange(1_000_000),
            height=max(0, batch.height + liar.draw.choice((-5, -1, 0, 0, 1, 300))),
            transactions=batch.transactions * liar.draw.choice((1, 1, 2)),
        )
        signature = liar.signers[liar.me].sign(other.statement().signed_bytes())
        made.append(BatchPacket(other.raw, signature))
    return made


TRICKS: dict[str, Trick] = {
    "other-log": _other_log,
    "claims": _claims,
    "other-range": _other_range,
    "padded": _padded,
    "elsewhere": _elsewhere,
    "bad-value": _bad_value,
    "damaged": _damaged,
    "lies-about-you": _lies_about_you,
    "hides-all": _hides_all,
    "odd-batch": _odd_batch,
}
"""What a liar may be at, by name."""
