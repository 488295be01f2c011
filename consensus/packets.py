"""What replicas say to each other: one packet a frame, (version, kind, epoch number, ...).

Signed protocol messages travel as bytes inside a packet, so that their decoder is the plugin's own.
Everything else is unsigned and authenticated by the link it came over, or proves itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar

from consensus.interface import (
    MESSAGE_BYTES_MAX,
    AnyCertificate,
    DecisionProof,
    Message,
    Signed,
)
from consensus.io import Channel
from ledger import encoding
from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.certified import NOTE_BYTES_MAX
from ledger.errors import DecodeFault
from ledger.evidence import PIECE_BYTES_MAX
from ledger.limits import VALIDATORS_MAX
from ledger.statement import Slot, phase_shape, value_shape
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 1
_KIND_AT = 2
"""Where a packet says what it is: behind the header of the array and the version."""
DIGESTS_MAX = 1_024
VALUES_MAX = 256
SIGNED_MAX = 4_096
"""Signed messages of a decision's proof: the blocks of a few rounds of every validator."""
BLOCKS_MAX = 1_024
SIZE_MAX = {
    Channel.PROTOCOL: 1024 * 1024,
    Channel.DISSEMINATION: 8 * 1024 * 1024,
    Channel.CHECKPOINT: 1024 * 1024 + 64,
    Channel.SYNC: 32 * 1024 * 1024,
}

_digests = encoding.array(encoding.digest, DIGESTS_MAX, low=1)
_value = encoding.blob(VALUE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class SignedPacket:
    """A plugin's message with its sender's signature over the statement it makes."""

    KIND: ClassVar[int] = 1
    CHANNEL: ClassVar[Channel] = Channel.PROTOCOL
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.uint(VALIDATORS_MAX - 1),
        encoding.uint(63, low=1),
        encoding.blob(MESSAGE_BYTES_MAX),
        encoding.statement_signature,
    )
    sender: int
    kind: int
    """The plugin's KIND of the message."""
    body: bytes
    """Its encoded row."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class CertificatePacket:
    """A certificate by itself."""

    KIND: ClassVar[int] = 2
    CHANNEL: ClassVar[Channel] = Channel.PROTOCOL
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.optional(certificate_shape),
        encoding.optional(timeout_certificate_shape),
    )
    vote: Any
    """Row of a certificate, or None."""
    timeout: Any
    """Row of a timeout certificate, or None."""

    @classmethod
    def of(cls, certificate: AnyCertificate) -> CertificatePacket:
        if isinstance(certificate, Certificate):
            return cls(certificate.row(), None)
        return cls(None, certificate.row())

    def certificate(self) -> AnyCertificate:
        """The one certificate inside.  Raises DecodeFault unless there is exactly one."""
        if (self.vote is None) == (self.timeout is None):
            raise DecodeFault("packet.certificate", "not exactly one certificate")
        if self.vote is not None:
            return Certificate.from_row(self.vote)
        return TimeoutCertificate.from_row(self.timeout)


@dataclass(frozen=True, slots=True)
class TellPacket:
    """A plugin's unsigned hint."""

    KIND: ClassVar[int] = 3
    CHANNEL: ClassVar[Channel] = Channel.PROTOCOL
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (encoding.blob(4096),)
    hint: bytes


@dataclass(frozen=True, slots=True)
class WantValue:
    """Please send the value with this digest."""

    KIND: ClassVar[int] = 4
    CHANNEL: ClassVar[Channel] = Channel.PROTOCOL
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (encoding.digest,)
    digest: bytes


@dataclass(frozen=True, slots=True)
class ValuePacket:
    """A value that was asked for; its digest proves it."""

    KIND: ClassVar[int] = 5
    CHANNEL: ClassVar[Channel] = Channel.PROTOCOL
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (_value,)
    value: bytes


@dataclass(frozen=True, slots=True)
class DecisionPacket:
    """Decided values that no checkpoint certificate covers yet, with their proof."""

    KIND: ClassVar[int] = 6
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.array(_value, VALUES_MAX, low=1),
        encoding.array(certificate_shape, 4),
        encoding.array(_value, 4),
        encoding.array(encoding.row(*SignedPacket.SHAPE), SIGNED_MAX),
    )
    values: tuple[bytes, ...]
    certificates: tuple[Any, ...]
    proof_values: tuple[bytes, ...]
    signed: tuple[Any, ...]
    """Rows of signed messages."""

    @classmethod
    def of(cls, values: tuple[Value, ...], proof: DecisionProof) -> DecisionPacket:
        return cls(
            tuple(value.raw for value in values),
            tuple(certificate.row() for certificate in proof.certificates),
            tuple(value.raw for value in proof.values),
            tuple(
                (
                    each.sender,
                    each.message.KIND,
                    encoding.encode(each.message.row()),
                    each.signature,
                )
                for each in proof.signed
            ),
        )

    def parse(
        self, message: Callable[[SignedPacket], Message]
    ) -> tuple[tuple[Value, ...], DecisionProof]:
        """(values, proof); certificates not checked yet, signed messages as `message` does it.

        Raises DecodeFault, and what `message` raises.
        """
        packets = [SignedPacket(*row) for row in self.signed]
        return tuple(parse_value(raw) for raw in self.values), DecisionProof(
            tuple(Certificate.from_row(row) for row in self.certificates),
            tuple(parse_value(raw) for raw in self.proof_values),
            tuple(Signed(each.sender, message(each), each.signature) for each in packets),
        )


@dataclass(frozen=True, slots=True)
class BatchPacket:
    """A batch and its creator's signature."""

    KIND: ClassVar[int] = 16
    CHANNEL: ClassVar[Channel] = Channel.DISSEMINATION
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.blob(8 * 1024 * 1024),
        encoding.statement_signature,
    )
    batch: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Have:
    """I hold these batches."""

    KIND: ClassVar[int] = 17
    CHANNEL: ClassVar[Channel] = Channel.DISSEMINATION
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (_digests,)
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WantBatches:
    """Please send these batches."""

    KIND: ClassVar[int] = 18
    CHANNEL: ClassVar[Channel] = Channel.DISSEMINATION
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (_digests,)
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CheckpointSignature:
    """A validator's note signature over the log as of the end of block `height`."""

    KIND: ClassVar[int] = 32
    CHANNEL: ClassVar[Channel] = Channel.CHECKPOINT
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.uint(VALIDATORS_MAX - 1),
        encoding.uint(low=1),
        encoding.uint(low=1),
        encoding.digest,
        encoding.signature,
    )
    signer: int
    height: int
    size: int
    root: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class CheckpointCertified:
    """A checkpoint certificate; which height it covers is a claim until one knows the log."""

    KIND: ClassVar[int] = 33
    CHANNEL: ClassVar[Channel] = Channel.CHECKPOINT
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.uint(low=1),
        encoding.blob(NOTE_BYTES_MAX),
    )
    height: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """Where I stand: certified height, decided height, slot of the last decided value."""

    KIND: ClassVar[int] = 48
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.uint(),
        encoding.uint(),
        encoding.slot,
        encoding.boolean(),
        encoding.blob(32),
    )
    certified: int
    decided: int
    slot: Slot
    reply: bool
    """Whether an answer is wanted."""
    root: bytes = b""
    """Of the log at the certified height; empty before the first certificate."""


@dataclass(frozen=True, slots=True)
class WantBlocks:
    """Please send certified blocks from this height on."""

    KIND: ClassVar[int] = 49
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (encoding.uint(low=1),)
    first: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """Consecutive blocks' leaves and batches, and a certificate over the log up to the last."""

    KIND: ClassVar[int] = 50
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.uint(low=1),
        encoding.array(encoding.blob(SIZE_MAX[Channel.SYNC]), BLOCKS_MAX, low=1),
        encoding.array(encoding.blob(SIZE_MAX[Channel.SYNC]), BLOCKS_MAX * 4),
        encoding.blob(NOTE_BYTES_MAX),
    )
    first: int
    blocks: tuple[bytes, ...]
    """Each the stored block entry: (first leaf index, leaves)."""
    batches: tuple[bytes, ...]
    """The batches that the blocks name, in order, each behind its creator's signature."""
    note: bytes


@dataclass(frozen=True, slots=True)
class ForkFound:
    """Evidence that quorums have certified two pasts."""

    KIND: ClassVar[int] = 53
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (encoding.blob(PIECE_BYTES_MAX),)
    piece: bytes
    """An encoded `ledger.evidence.Fork`."""


@dataclass(frozen=True, slots=True)
class WhatDidISay:
    """A validator that starts asks what it may have forgotten."""

    KIND: ClassVar[int] = 51
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (encoding.uint(),)
    salt: int


@dataclass(frozen=True, slots=True)
class YouSaid:
    """The highest statement of each phase that I have from you, and your highest checkpoint."""

    KIND: ClassVar[int] = 52
    CHANNEL: ClassVar[Channel] = Channel.SYNC
    SHAPE: ClassVar[tuple[encoding.Shape, ...]] = (
        encoding.uint(),
        encoding.array(
            encoding.row(phase_shape, encoding.slot, value_shape, encoding.statement_signature),
            16,
        ),
        encoding.optional(
            encoding.row(
                encoding.uint(low=1), encoding.uint(low=1), encoding.digest, encoding.signature
            )
        ),
    )
    salt: int
    statements: tuple[tuple[str, Slot, bytes, bytes], ...]
    """(phase, slot, value, your signature)."""
    checkpoint: tuple[int, int, bytes, bytes] | None
    """(height, size, root, your signature)."""


Packet = (
    SignedPacket
    | CertificatePacket
    | TellPacket
    | WantValue
    | ValuePacket
    | DecisionPacket
    | BatchPacket
    | Have
    | WantBatches
    | CheckpointSignature
    | CheckpointCertified
    | Status
    | WantBlocks
    | Blocks
    | WhatDidISay
    | YouSaid
    | ForkFound
)

RELAYED = frozenset(
    kind.KIND
    for kind in (
        SignedPacket,
        CertificatePacket,
        BatchPacket,
        CheckpointSignature,
        CheckpointCertified,
        DecisionPacket,
    )
)
"""Kinds that prove themselves, whoever brings them: what is relayed where links are few."""


def proves_itself(packet: bytes) -> bool:
    """Whether a packet is of a kind that means the same whoever brings it."""
    return len(packet) > _KIND_AT and packet[_KIND_AT] in RELAYED


def asks_everyone(packet: bytes) -> bool:
    """Whether a packet to everyone wants answers of a quorum, of those without a link as well."""
    return len(packet) > _KIND_AT and packet[_KIND_AT] == WhatDidISay.KIND


_TYPES: dict[int, Any] = {kind.KIND: kind for kind in Packet.__args__}
_SHAPES = {
    kind.KIND: encoding.row(
        encoding.exactly(VERSION), encoding.exactly(kind.KIND), encoding.uint(), *kind.SHAPE
    )
    for kind in _TYPES.values()
}
_ROWS: dict[int, Callable[[Any], Any]] = {
    kind.KIND: attrgetter(*(field.name for field in fields(kind))) for kind in _TYPES.values()
}
"""By kind, what takes the fields of a packet all at once; the lone field of one by itself."""
_LONE = {kind.KIND for kind in _TYPES.values() if len(fields(kind)) == 1}


def encode_packet(packet: Packet, epoch: int) -> bytes:
    """The frame payload of a packet, sent in this epoch (its number)."""
    kind = packet.KIND
    row = _ROWS[kind](packet)
    if kind in _LONE:
        return encoding.encode((VERSION, kind, epoch, row))
    return encoding.encode((VERSION, kind, epoch, *row))


def decode_packet(channel: Channel, payload: bytes) -> tuple[int, Packet]:
    """(epoch number, packet) of a frame.  Raises DecodeFault."""
    kind = payload[_KIND_AT] if len(payload) > _KIND_AT else 0
    packet_type = _TYPES.get(kind)
    if packet_type is None or channel != packet_type.CHANNEL:
        raise DecodeFault("packet.kind", f"kind {kind} is unknown on this channel")
    row = encoding.decode(payload, _SHAPES[kind], size_max=SIZE_MAX[channel], what="packet")
    return row[2], packet_type(*row[3:])
