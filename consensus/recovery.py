"""What a replica starts from: the fixed setup of its network, and what its store remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.guard import (
    CHECKPOINT_PHASE,
    Guard,
    SignedCheckpoint,
    floors_shape,
    record_shape,
)
from consensus.inspector import Inspector, decode_message
from consensus.interface import Consensus, DecisionProof, Message, Root, Signed
from consensus.io import Channel
from consensus.packets import DecisionPacket, decode_packet, encode_packet
from ledger import encoding, layout, merkle
from ledger.applications.interface import Application
from ledger.batch import Batch, parse_batch
from ledger.batch_store import find_batch
from ledger.block import BlockHeader, parse_header
from ledger.chain import Tip, tip_of
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault, StorageError
from ledger.execution import Head, genesis_head, parse_block_entry, parse_head
from ledger.genesis import Genesis
from ledger.keys import ConsensusSigner, Suite
from ledger.statement import Slot
from ledger.store import Reader, Write, prefix_stop
from ledger.value import Value


@dataclass(frozen=True, slots=True)
class Setup:
    """What is fixed for the life of a replica."""

    genesis: Genesis
    me: int | None
    """Own validator index; None for an observer."""
    signer: ConsensusSigner | None
    """The consensus keys of a validator."""
    protocol: type[Consensus]
    applications: tuple[Application, ...]
    guard: type[Guard] = Guard
    """What stands between the plugin and the key; a looser one is for test networks alone."""
    inspector: Inspector | None = None
    """What decodes and checks, where replicas share one; else each makes its own."""

    counted: Suite | None = None
    """The suite of the genesis, where a host counts what is done with it."""

    @property
    def suite(self) -> Suite:
        return self.counted or self.genesis.suite

    def parameters(self) -> Mapping[str, int]:
        """The protocol's parameters: its defaults, overridden by the epoch record."""
        return {**self.protocol.PARAMETERS, **dict(self.genesis.epoch.parameters)}


@dataclass(frozen=True, slots=True)
class Decision:
    """A durable decision that no certificate covers yet."""

    ordinal: int
    """Of its first value in this node's own count."""
    values: tuple[Value, ...]
    proof: DecisionProof


@dataclass(frozen=True, slots=True)
class ExecutedLog:
    """The log at the end of an executed block that no certificate covers yet."""

    root: Root
    tip: Tip
    size: int
    hash: bytes
    """RFC 9162 root of its first `size` leaves."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the store remembers."""

    head: Head
    """As executed."""
    logs: tuple[ExecutedLog, ...]
    """Of the last blocks executed above the certified height, oldest first: peers may hold a
    certificate of any of them."""
    certified: int
    note: bytes | None
    """The certificate at that height: whoever is behind still asks for it."""
    decided: Root
    decided_ordinal: int
    decided_tip: Tip
    decisions: tuple[Decision, ...]
    record: bytes | None
    sent: tuple[Signed, ...]
    said: dict[tuple[str, Slot], tuple[bytes, bytes]]
    floors: dict[str, Slot]
    checkpoint: SignedCheckpoint | None
    sequence: int
    """First batch sequence number that was surely never used."""
    batches: tuple[tuple[Batch, bytes], ...]
    """Unordered batches that were held, with their signatures."""
    ordered: tuple[tuple[int, tuple[bytes, ...]], ...]
    """(height, payload) of the blocks inside twice the batch window."""
    positions: tuple[tuple[bytes, int], ...]
    """(digest, height) of the values that made those blocks."""
    evidence: tuple[tuple[bytes, bytes], ...] = ()
    """(key, piece) of what is held against validators."""


DECIDED_SHAPE = encoding.row(encoding.uint(), encoding.blob(32 * 1024 * 1024))
HEAD_SHAPE = encoding.row(
    encoding.uint(),
    encoding.uint(),
    encoding.digest,
    encoding.uint(),
    encoding.blob(32),
    encoding.slot,
)


def first_writes(genesis: Genesis) -> list[Write]:
    """What a new, empty store begins with."""
    return [(layout.GENESIS, genesis.canonical())]


def encode_decision(decision: Decision, epoch: int) -> bytes:
    packet = encode_packet(DecisionPacket.of(decision.values, decision.proof), epoch)
    return encode((decision.ordinal, packet))


def encode_decided_head(ordinal: int, tip: Tip, root: Root) -> bytes:
    return encode((ordinal, tip.height, tip.hash, tip.timestamp_ms, root.value, root.slot))


def recover(reader: Reader, setup: Setup) -> Recovered:
    """Read what a replica starts from.  Raises StorageError where the store contradicts itself."""
    stored = reader.get(layout.GENESIS)
    if stored != setup.genesis.canonical():
        raise StorageError("the database belongs to another genesis; point to the right home")
    try:
        return _recover(reader, setup)
    except DecodeFault as fault:
        raise StorageError(f"the database is damaged: {fault}") from fault


def _recover(reader: Reader, setup: Setup) -> Recovered:
    genesis = setup.genesis
    raw_head = reader.get(layout.EXECUTED)
    head = parse_head(raw_head) if raw_head is not None else genesis_head(genesis)
    raw_certified = reader.get(layout.CERTIFIED)
    certified = int.from_bytes(raw_certified, "big") if raw_certified is not None else 0
    ordinal, tip, root = _decided(reader, head)
    sent, said, checkpoint = _signed(reader, setup)
    raw_floors = reader.get(layout.FLOORS)
    floors = (
        dict(encoding.decode(raw_floors, floors_shape, size_max=65_536, what="floors"))
        if raw_floors is not None
        else {}
    )
    raw_sequence = reader.get(layout.SEQUENCES)
    headers = _headers(reader, setup, head.height)
    return Recovered(
        head=head,
        logs=_logs(reader, setup, head, certified),
        certified=certified,
        note=reader.get(layout.height_key(layout.CERT, certified)),
        decided=root,
        decided_ordinal=ordinal,
        decided_tip=tip,
        decisions=_decisions(reader, setup),
        record=reader.get(layout.PLUGIN),
        sent=sent,
        said=said,
        floors=floors,
        checkpoint=checkpoint,
        sequence=int.from_bytes(raw_sequence, "big") if raw_sequence is not None else 0,
        batches=_batches(reader, setup),
        ordered=tuple((header.height, header.payload) for header in headers),
        positions=tuple((header.value, header.height) for header in headers),
        evidence=tuple(reader.scan(layout.EVIDENCE, prefix_stop(layout.EVIDENCE))),
    )


def _decided(reader: Reader, head: Head) -> tuple[int, Tip, Root]:
    raw = reader.get(layout.DECISION_HEAD)
    if raw is not None:
        fields = encoding.decode(raw, HEAD_SHAPE, size_max=1024, what="decision head")
        ordinal, height, block, time, value, slot = fields
        if height >= head.height:
            return ordinal, Tip(height, block, time), Root(value, slot, height)
    else:
        ordinal = 0
    # Executed beyond the decisions: a certified range was being caught up with.
    return ordinal + 1, head.tip, Root(head.value, head.slot, head.height)


def _logs(reader: Reader, setup: Setup, head: Head, certified: int) -> tuple[ExecutedLog, ...]:
    found = []
    for height in range(max(certified, head.height - setup.genesis.limits.run_ahead), head.height):
        raw_header = reader.get(layout.height_key(layout.HEADER, height + 1))
        raw_entry = reader.get(layout.height_key(layout.BLOCK, height + 1))
        if raw_header is None or raw_entry is None:
            raise DecodeFault("block.missing", f"the executed block {height + 1} is not stored")
        header = parse_header(raw_header)
        first, leaves = parse_block_entry(raw_entry)
        size = first + len(leaves)
        root = Root(header.value, header.slot, header.height)
        found.append(ExecutedLog(root, tip_of(header), size, _root_at(reader, size)))
    return tuple(found)


def _root_at(reader: Reader, size: int) -> bytes:
    """The root of the log's first leaves, from its stored tiles."""
    tiles = merkle.TileReader(
        lambda level, index: reader.get(layout.tile_key(level, index)) or b"", size
    )
    subtrees, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            subtrees.append(tiles.hash_at(level, start >> level))
            start += 1 << level
    return merkle.Frontier(size, tuple(subtrees)).root()


def _decisions(reader: Reader, setup: Setup) -> tuple[Decision, ...]:
    found = []
    kinds: dict[int, type[Message]] = {kind.KIND: kind for kind in setup.protocol.MESSAGES}
    for _, raw in reader.scan(layout.DECIDED, prefix_stop(layout.DECIDED)):
        ordinal, packet_bytes = encoding.decode(
            raw, DECIDED_SHAPE, size_max=64 * 1024 * 1024, what="decision"
        )
        _, packet = decode_packet(Channel.SYNC, packet_bytes)
        if not isinstance(packet, DecisionPacket):
            raise DecodeFault("decision.kind", "not a decision")
        values, proof = packet.parse(lambda each: decode_message(kinds, each.kind, each.body))
        found.append(Decision(ordinal, values, proof))
    return tuple(found)


def _signed(
    reader: Reader, setup: Setup
) -> tuple[
    tuple[Signed, ...], dict[tuple[str, Slot], tuple[bytes, bytes]], SignedCheckpoint | None
]:
    sent: list[Signed] = []
    said: dict[tuple[str, Slot], tuple[bytes, bytes]] = {}
    checkpoint = None
    kinds: dict[int, type[Message]] = {kind.KIND: kind for kind in setup.protocol.MESSAGES}
    last_checkpoint = layout.signed_key(CHECKPOINT_PHASE, (0,))
    for key, raw in reader.scan(layout.SIGNED, prefix_stop(layout.SIGNED)):
        if key == last_checkpoint:
            shape = encoding.row(
                encoding.uint(), encoding.uint(), encoding.digest, encoding.signature
            )
            checkpoint = SignedCheckpoint(*encoding.decode(raw, shape, size_max=4096))
            continue
        kind, body, value, signature = encoding.decode(
            raw, record_shape, size_max=1024 * 1024, what="own statement"
        )
        message = decode_message(kinds, kind, body)
        phase, slot, said_value = message.statement()
        if said_value != value or key != layout.signed_key(phase, slot):
            raise DecodeFault("signed.mismatch", "an own statement is not under its key")
        said[phase, slot] = (value, signature)
        assert setup.me is not None
        sent.append(Signed(setup.me, message, signature))
    sent.sort(key=lambda signed: signed.message.statement()[1])
    return tuple(sent), said, checkpoint


def _batches(reader: Reader, setup: Setup) -> tuple[tuple[Batch, bytes], ...]:
    found = []
    for key, _ in reader.scan(layout.AGED, prefix_stop(layout.AGED)):
        stored = find_batch(reader, key[9:], setup.suite)
        if stored is None:
            raise DecodeFault("batch.missing", "an unordered batch is indexed but not stored")
        try:
            found.append((parse_batch(stored.read(), setup.genesis.limits), stored.signature))
        except Fault as fault:
            raise DecodeFault("batch.damaged", str(fault)) from fault
    return tuple(found)


def _headers(reader: Reader, setup: Setup, height: int) -> tuple[BlockHeader, ...]:
    """Of the executed blocks inside twice the batch window, oldest first."""
    first = max(1, height - 2 * setup.genesis.limits.batch_window)
    found = []
    for key, raw in reader.scan(
        layout.height_key(layout.HEADER, first), layout.height_key(layout.HEADER, height + 1)
    ):
        header = parse_header(raw)
        if header.height != int.from_bytes(key[1:], "big"):
            raise DecodeFault("header.key", "a header is not under its height")
        found.append(header)
    return tuple(found)
