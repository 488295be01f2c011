"""What a node answers from its store: pure functions over a reader, for the API and the commands.

Everything here is about durable, executed blocks.  *Confirmed* means that a stored certificate
covers the block; what is only pending is not in the store, so that it is None here.  A record that
contradicts another one is a StorageError: the node wrote it itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgpack

from ledger import encoding, layout, merkle
from ledger.batch_store import StoredBatch, find_batch
from ledger.block import (
    BlockHeader,
    OutcomeLeaf,
    Result,
    TransactionLeaf,
    parse_header,
    parse_leaf,
)
from ledger.certified import stated_head
from ledger.chain import Tip
from ledger.errors import DecodeFault, Fault, StorageError
from ledger.execution import Head, genesis_head, parse_block_entry, parse_head
from ledger.genesis import Genesis
from ledger.receipt import make_receipt, prove_operation
from ledger.store import Reader, prefix_stop
from ledger.transaction import Transaction, parse_transaction

_place_shape = encoding.row(encoding.uint(low=1), encoding.uint(), encoding.uint(), encoding.uint())


_decision_shape = encoding.row(
    encoding.uint(),
    encoding.uint(),
    encoding.digest,
    encoding.uint(),
    encoding.blob(32),
    encoding.slot,
)


@dataclass(frozen=True, slots=True)
class Heights:
    """How far a node is: certified <= executed <= decided."""

    decided: int
    executed: int
    certified: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the log and the store hold an executed transaction."""

    height: int
    offset: int
    """Of its leaf among the block's leaves; the block leaf is 0."""
    ordinal: int
    """Of its batch in the block's payload."""
    place: int
    """In that batch."""


@dataclass(frozen=True, slots=True)
class Block:
    """An executed block."""

    header: BlockHeader
    first: int
    """Index of its first leaf in the log."""
    transactions: tuple[TransactionLeaf, ...]
    outcome: OutcomeLeaf

    @property
    def size(self) -> int:
        """Leaves in the log at its end."""
        return self.first + len(self.transactions) + 2


@dataclass(frozen=True, slots=True)
class Executed:
    """A transaction that was executed, applied or failed."""

    transaction: Transaction
    leaf: TransactionLeaf
    """Height, position and result."""
    index: int
    """Of its leaf in the log."""
    timestamp_ms: int
    """Of its block."""
    confirmed: bool
    """Whether a stored certificate covers its block."""

    @property
    def height(self) -> int:
        return self.leaf.height

    @property
    def status(self) -> str:
        """One word: executed until a certificate covers it, then confirmed or rejected."""
        if not self.confirmed:
            return "executed"
        return "confirmed" if self.leaf.result == Result.APPLIED else "rejected"


@dataclass(frozen=True, slots=True)
class Certified:
    """A stored certificate."""

    height: int
    """Of the block whose end it certifies."""
    size: int
    root: bytes
    note: bytes
    """C2SP signed note."""


def heights(reader: Reader, genesis: Genesis) -> Heights:
    """The three heights of this node."""
    executed = head(reader, genesis).height
    last = decided(reader)
    # A node that catches up executes what others decided.
    highest = executed if last is None else max(last.height, executed)
    return Heights(highest, executed, certified_height(reader))


def decided(reader: Reader) -> Tip | None:
    """The block that the last decision made or left in place; None before the first decision."""
    raw = reader.get(layout.DECISION_HEAD)
    if raw is None:
        return None
    try:
        fields = encoding.decode(raw, _decision_shape, size_max=1024, what="decision head")
    except DecodeFault as fault:
        raise _damaged("the decision head", fault) from fault
    _, height, block, timestamp_ms, _, _ = fields
    return Tip(height, block, timestamp_ms)


def head(reader: Reader, genesis: Genesis) -> Head:
    """The executed head: height, tip, log and state hash."""
    raw = reader.get(layout.EXECUTED)
    if raw is None:
        return genesis_head(genesis)
    try:
        return parse_head(raw)
    except DecodeFault as fault:
        raise _damaged("the executed head", fault) from fault


def certified_height(reader: Reader) -> int:
    """Height of the highest certified block; 0 before the first."""
    return int.from_bytes(reader.get(layout.CERTIFIED) or b"", "big")


def header(reader: Reader, height: int) -> BlockHeader | None:
    """The header of an executed block."""
    raw = _at_height(reader, layout.HEADER, height)
    if raw is None:
        return None
    try:
        found = parse_header(raw)
    except DecodeFault as fault:
        raise _damaged(f"the header of block {height}", fault) from fault
    if found.height != height:
        raise StorageError(f"the header of block {height} is that of block {found.height}")
    return found


def block(reader: Reader, height: int) -> Block | None:
    """An executed block with its transactions and their results."""
    raw = _at_height(reader, layout.BLOCK, height)
    found = header(reader, height)
    if raw is None or found is None:
        return None
    try:
        first, leaves = parse_block_entry(raw)
        parsed = [parse_leaf(leaf) for leaf in leaves[1:]]
    except DecodeFault as fault:
        raise _damaged(f"block {height}", fault) from fault
    transactions = tuple([leaf for leaf in parsed if isinstance(leaf, TransactionLeaf)])
    outcome = parsed[-1]
    if not isinstance(outcome, OutcomeLeaf) or len(transactions) != len(parsed) - 1:
        raise StorageError(f"block {height} has a leaf out of place; run an audit")
    return Block(found, first, transactions, outcome)


def transaction(reader: Reader, genesis: Genesis, identity: bytes) -> Executed | None:
    """An executed transaction by its id; None where it is unknown, pending or skipped."""
    place = find(reader, identity)
    return None if place is None else transaction_at(reader, genesis, place)


def find(reader: Reader, identity: bytes) -> Place | None:
    """Where an executed transaction is."""
    raw = reader.get(layout.TX + identity)
    if raw is None:
        return None
    try:
        return Place(*encoding.decode(raw, _place_shape, size_max=64, what="place"))
    except DecodeFault as fault:
        raise _damaged(f"the place of transaction {identity.hex()}", fault) from fault


def transaction_at(reader: Reader, genesis: Genesis, place: Place) -> Executed:
    """The executed transaction at a place.  Raises StorageError where nothing is there."""
    first, leaves = _entry(reader, place.height)
    found = header(reader, place.height)
    is_inside = 0 < place.offset < len(leaves) - 1
    if found is None or not is_inside or place.ordinal >= len(found.payload):
        raise StorageError(f"block {place.height} has no transaction at its indexed place")
    try:
        leaf = parse_leaf(leaves[place.offset])
    except DecodeFault as fault:
        raise _damaged(f"block {place.height}", fault) from fault
    read = batch_transaction(reader, genesis, found.payload[place.ordinal], place.place)
    if not isinstance(leaf, TransactionLeaf) or read.header != leaf.header:
        raise StorageError(f"block {place.height} has another transaction at its indexed place")
    return Executed(
        transaction=read,
        leaf=leaf,
        index=first + place.offset,
        timestamp_ms=found.timestamp_ms,
        confirmed=place.height <= certified_height(reader),
    )


def stored_batch(reader: Reader, genesis: Genesis, digest: bytes) -> StoredBatch:
    """A batch of an executed block, which is in the store."""
    try:
        found = find_batch(reader, digest, genesis.suite)
    except DecodeFault as fault:
        raise _damaged(f"batch {digest.hex()}", fault) from fault
    if found is None:
        raise StorageError(f"batch {digest.hex()} of an executed block is missing; run an audit")
    return found


def batch_transaction(reader: Reader, genesis: Genesis, digest: bytes, place: int) -> Transaction:
    """One transaction of a stored batch."""
    stored = stored_batch(reader, genesis, digest)
    try:
        if place >= stored.count:
            raise StorageError(f"batch {digest.hex()} has no transaction {place}")
        return parse_transaction(stored.transaction(place))
    except DecodeFault as fault:
        raise _damaged(f"batch {digest.hex()}", fault) from fault


def certificate_at_or_above(reader: Reader, genesis: Genesis, height: int) -> Certified | None:
    """The certificate of the lowest height that covers this one."""
    start = layout.height_key(layout.CERT, height)
    return _certificate(genesis, reader.scan(start, prefix_stop(layout.CERT)))


def latest_certificate(reader: Reader, genesis: Genesis) -> Certified | None:
    """The certificate of the highest height."""
    found = reader.scan(layout.CERT, prefix_stop(layout.CERT), reverse=True)
    return _certificate(genesis, found)


def receipt(
    reader: Reader, genesis: Genesis, identity: bytes, *, operation: int | None = 0
) -> bytes | None:
    """The receipt of a confirmed transaction, showing one of its operations, or none.

    It rests on the first certificate that covers the transaction, so that every node which has
    that certificate gives the same bytes.  None where the transaction is not confirmed here; Fault
    where it has no such operation.
    """
    executed = transaction(reader, genesis, identity)
    if executed is None or not executed.confirmed:
        return None
    certificate = certificate_at_or_above(reader, genesis, executed.height)
    if certificate is None:
        raise StorageError(f"no certificate covers height {executed.height}; run an audit")
    shown = None if operation is None else prove_operation(executed.transaction, operation)
    tiles = merkle.TileReader(tile_source(reader), certificate.size)
    made = make_receipt(
        executed.leaf,
        index=executed.index,
        size=certificate.size,
        hash_at=tiles.hash_at,
        certificate=certificate.note,
        operation=shown,
    )
    return made.encode()


def consistency(reader: Reader, genesis: Genesis, old: int, new: int) -> tuple[bytes, ...]:
    """The path from the log of size old to that of size new.  Raises Fault("merkle.range")."""
    size = head(reader, genesis).size
    if new > size:
        raise Fault("merkle.range", f"the log has {size} leaves")
    tiles = merkle.TileReader(tile_source(reader), new)
    return merkle.consistency_path(old, new, tiles.hash_at)


def tile_source(reader: Reader) -> merkle.ReadTile:
    """How `ledger.merkle` reads the stored tiles."""
    return lambda level, index: reader.get(layout.tile_key(level, index)) or b""


def tile(reader: Reader, level: int, index: int, width: int = merkle.TILE_WIDTH) -> bytes | None:
    """The first `width` hashes of a tile (C2SP tlog-tiles); None where the log is shorter.

    A partial tile is cut from what the tile has grown to, so that one asked for by an old
    checkpoint's size is always there.
    """
    stored = reader.get(layout.tile_key(level, index)) if _is_tile(level, index, width) else None
    size = width * merkle.HASH_BYTES
    return stored[:size] if stored is not None and len(stored) >= size else None


def _is_tile(level: int, index: int, width: int) -> bool:
    return 0 <= level < 8 and 0 <= index < 2**56 and 1 <= width <= merkle.TILE_WIDTH


def leaves(reader: Reader, genesis: Genesis, start: int, stop: int) -> Iterator[bytes]:
    """The log's leaves from start to stop, a range inside the executed log."""
    top = head(reader, genesis)
    if not 0 <= start <= stop <= top.size:
        raise Fault("merkle.range", f"the log has {top.size} leaves")
    if start == stop:
        return
    for height in range(_height_of(reader, start, top.height), top.height + 1):
        first, entry = _entry(reader, height)
        if first >= stop:
            return
        yield from entry[max(0, start - first) : stop - first]


def entries(
    reader: Reader, genesis: Genesis, index: int, width: int = merkle.TILE_WIDTH
) -> bytes | None:
    """An entry bundle (C2SP tlog-tiles): leaves, each after its length in two bytes."""
    start = index * merkle.TILE_WIDTH
    if not _is_tile(0, index, width) or start + width > head(reader, genesis).size:
        return None
    return b"".join(
        len(leaf).to_bytes(2, "big") + leaf
        for leaf in leaves(reader, genesis, start, start + width)
    )


def _height_of(reader: Reader, index: int, top: int) -> int:
    """The height of the block that holds a leaf: a binary search over the blocks' first leaves."""
    low, high = 1, top
    while low < high:
        middle = (low + high + 1) // 2
        if _first_leaf(reader, middle) <= index:
            low = middle
        else:
            high = middle - 1
    return low


def _first_leaf(reader: Reader, height: int) -> int:
    raw = reader.get(layout.height_key(layout.BLOCK, height))
    if raw is None:
        raise StorageError(f"block {height} is missing; run an audit")
    # Only the first of two fields: decoding every leaf of every block probed would be slow.
    unpacker = msgpack.Unpacker()
    unpacker.feed(raw[:16])
    try:
        width, first = unpacker.read_array_header(), unpacker.unpack()
    except (ValueError, msgpack.OutOfData) as error:
        raise StorageError(f"block {height} is damaged; run an audit") from error
    if width != 2 or type(first) is not int:
        raise StorageError(f"block {height} is damaged; run an audit")
    return first


def _entry(reader: Reader, height: int) -> tuple[int, tuple[bytes, ...]]:
    raw = _at_height(reader, layout.BLOCK, height)
    if raw is None:
        raise StorageError(f"block {height} is missing; run an audit")
    try:
        return parse_block_entry(raw)
    except DecodeFault as fault:
        raise _damaged(f"block {height}", fault) from fault


def _at_height(reader: Reader, kind: bytes, height: int) -> bytes | None:
    return reader.get(layout.height_key(kind, height)) if 0 <= height < 2**63 else None


def _certificate(genesis: Genesis, found: Iterator[tuple[bytes, bytes]]) -> Certified | None:
    for key, note in found:
        height = int.from_bytes(key[1:], "big")
        try:
            stated = stated_head(note, genesis.origin)
        except Fault as fault:
            raise _damaged(f"the certificate of height {height}", fault) from fault
        return Certified(height, stated.size, stated.root, note)
    return None


def _damaged(what: str, fault: Fault) -> StorageError:
    return StorageError(f"{what} is damaged ({fault}); run an audit")
