"""A liar among whole replicas: what leaves an honest one is changed, by tricks that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Protocol

from consensus.inspector import decode_message
from consensus.interface import Consensus, Message, Now
from consensus.io import Channel, FrameArrived, HostEvent, SendFrame, Step
from consensus.packets import (
    BatchPacket,
    Blocks,
    CertificatePacket,
    CheckpointSignature,
    Packet,
    SignedPacket,
    Status,
    YouSaid,
    decode_packet,
    encode_packet,
)
from ledger.applications.records import make_record
from ledger.batch import Batch, make_batch, parse_batch
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.certified import checkpoint_message
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.keys import Signer
from ledger.limits import INTEGER_MAX
from ledger.statement import Statement
from ledger.transaction import Operation, Transaction, make_transaction
from ledger.value import Value
from sim.watcher import Machine
from sim.workload import Clients

SEEN_MAX = 40
"""Batches that a liar remembers."""
_BATCH = bytes([BatchPacket.KIND])


class World(Protocol):
    """What a liar knows of the run that it is in."""

    genesis: Genesis
    signers: list[Signer]
    clients: Clients

    @property
    def protocol(self) -> type[Consensus]: ...

    @property
    def draw(self) -> Random: ...


class Liar:
    """An honest replica what leaves which is changed, or joined by something else."""

    def __init__(self, machine: Machine, world: World, me: int, tricks: tuple[str, ...]) -> None:
        self._machine = machine
        self.me = me
        self.genesis = world.genesis
        self.signers = world.signers
        self.protocol = world.protocol
        self.draw = world.draw
        self.clients = world.clients
        self._share = self.draw.choice((0.5, 0.5, 1.0))
        """Of its frames, how many it may do something with."""
        self._tricks = [TRICKS[name] for name in tricks]
        self._kinds: dict[int, type[Message]] = {m.KIND: m for m in self.protocol.MESSAGES}
        self.old_batches: list[Batch] = []
        """Batches that were seen, oldest first, as many as a liar needs."""

    def step(self, now: Now, event: HostEvent) -> Step:
        is_batch = isinstance(event, FrameArrived) and event.payload[2:3] == _BATCH
        if is_batch and len(self.old_batches) < SEEN_MAX:
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
        self.old_batches.append(batch)

    def _lie(self, output: SendFrame) -> list[SendFrame]:
        if self.draw.random() >= self._share:
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
        signature = self.signers[who].statements.sign(statement.signed_bytes())
        return SignedPacket(who, message.KIND, encode(message.row()), signature)


Trick = Callable[[Liar, Packet], list[Packet | bytes] | None]
"""What goes out instead of a packet; None where the trick is about others."""


def _other_log(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Signs a log that nobody has, or signs wrongly."""
    if not isinstance(packet, CheckpointSignature):
        return None
    root, size = liar.draw.randbytes(32), packet.size + liar.draw.choice((0, 0, 1))
    text = checkpoint_message(bytes(32), liar.genesis.origin, size, root)
    right = liar.signers[liar.me].checkpoints.sign(text)
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
    signature = liar.signers[liar.me].statements.sign(statement.signed_bytes())
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
    old = tuple(batch.digest for batch in liar.old_batches[:1])
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
    held = liar.old_batches or [batch]
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
        signature = liar.signers[liar.me].statements.sign(other.statement().signed_bytes())
        made.append(BatchPacket(other.raw, signature))
    return made


def _odd_transactions(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Makes batches of what no door would let in, signed by members who lie with it.

    Each has sender and nonce of something that a client wants, so that it can take its place.
    """
    wanted = [key for key, wish in liar.clients.wishes.items() if wish.height is None]
    if not isinstance(packet, BatchPacket) or not wanted:
        return None
    height = parse_batch(packet.batch, liar.genesis.limits).height
    transactions = tuple(
        _odd_transaction(liar, height, wanted) for _ in range(liar.draw.choice((1, 3)))
    )
    other = make_batch(
        network=liar.genesis.network,
        epoch=liar.genesis.epoch.id,
        creator=liar.me,
        sequence=2_000_000 + liar.draw.randrange(1_000_000),
        height=height,
        transactions=transactions,
    )
    signature = liar.signers[liar.me].statements.sign(other.statement().signed_bytes())
    return [packet, BatchPacket(other.raw, signature)]


def _odd_transaction(liar: Liar, height: int, wanted: list[tuple[bytes, int]]) -> Transaction:
    """One of a member's that is too old, lives too long, or asks for what cannot be done."""
    draw = liar.draw
    sender, nonce = draw.choice(wanted)
    member = next(one for one in liar.clients.members if one.public_key == sender)
    window = liar.genesis.limits.replay_window
    record = make_record("odd", content=draw.randbytes(8))
    unknown = Operation("nothing", 1, b"")
    malformed = replace(record, body=b"malformed")
    operations = draw.choice(([record], [unknown], [record, malformed], [record, unknown]))
    expiry = draw.choice((height + 1, height + window, height + window + 3, INTEGER_MAX))
    return make_transaction(member, liar.genesis.network, operations, nonce=nonce, expiry=expiry)


def _second_encoding(liar: Liar, packet: Packet) -> list[Packet | bytes] | None:
    """Says the same with the version number in its longer form."""
    payload = encode_packet(packet, liar.genesis.epoch.number)
    return [payload[:1] + b"\xcc" + payload[1:]]


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
    "odd-transactions": _odd_transactions,
    "second-encoding": _second_encoding,
}
"""What a liar may be at, by name."""
