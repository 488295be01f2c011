"""Block headers and the leaves of the log.

A block is built from the decided sequence, never proposed.  Its header carries the cryptographic
link (ISO 22739) to the block before.  Tree root and state hash stay out of the header: the outcome
leaf and the certified tree head bind height, block, state and validator set.

    header        (version, network, epoch id, height, previous hash, value digest, slot, proposer,
                   timestamp, payload)
    block leaf    (version, 1, header bytes)
    transaction   (version, 2, height, position, result, reason, transaction header, signature)
    outcome       (version, 3, height, block hash, entry count, state hash kind, state hash,
                   epoch id, next epoch id)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ledger import encoding
from ledger.errors import DecodeFault
from ledger.limits import REASON_CHARS_MAX, TRANSACTION_HEADER_BYTES_MAX, VALIDATORS_MAX
from ledger.statement import Slot
from ledger.value import PAYLOAD_MAX

VERSION = 1
HEADER_BYTES_MAX = 64 * 1024
LEAF_BYTES_MAX = HEADER_BYTES_MAX + 64
NO_BLOCK = bytes(32)
"""Previous hash of the first block: the network id binds it to its genesis instead."""


class LeafKind(IntEnum):
    """What a leaf of the log records."""

    BLOCK = 1
    TRANSACTION = 2
    OUTCOME = 3


class Result(IntEnum):
    """How an executed transaction ended; a skipped one has no leaf."""

    APPLIED = 0
    FAILED = 1


class StateHashKind(IntEnum):
    """What the state hash of an outcome is."""

    RUNNING = 1
    """SHA-256 over the previous one and the block's writes in key order."""
    TREE = 2
    """SHA-256 over the running hash and the root of the authenticated tree
    (`ledger.authenticated`); the next running hash takes it in."""


header_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.digest,
    encoding.digest,
    encoding.uint(low=1),
    encoding.digest,
    encoding.digest,
    encoding.slot,
    encoding.uint(VALIDATORS_MAX - 1),
    encoding.uint(),
    encoding.array(encoding.digest, PAYLOAD_MAX, low=1),
)


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """Structured data with the cryptographic link to the block before."""

    network: bytes
    epoch: bytes
    height: int
    previous_hash: bytes
    value: bytes
    """Digest of the decided value."""
    slot: Slot
    proposer: int
    timestamp_ms: int
    """max(previous + 1 ms, the value's timestamp)."""
    payload: tuple[bytes, ...]
    raw: bytes = field(init=False, compare=False, repr=False)
    hash: bytes = field(init=False, compare=False)
    """SHA-256 of the encoding."""

    def __post_init__(self) -> None:
        raw = encoding.encode(
            (
                VERSION,
                self.network,
                self.epoch,
                self.height,
                self.previous_hash,
                self.value,
                self.slot,
                self.proposer,
                self.timestamp_ms,
                self.payload,
            )
        )
        object.__setattr__(self, "raw", raw)
        object.__setattr__(self, "hash", hashlib.sha256(raw).digest())


def parse_header(raw: bytes) -> BlockHeader:
    """The header that these bytes encode.  Raises DecodeFault."""
    fields = encoding.decode(raw, header_shape, size_max=HEADER_BYTES_MAX, what="block header")
    return BlockHeader(*fields[1:])


@dataclass(frozen=True, slots=True)
class BlockLeaf:
    """The first leaf of a block."""

    header: bytes

    def encode(self) -> bytes:
        return encoding.encode((VERSION, LeafKind.BLOCK, self.header))


@dataclass(frozen=True, slots=True)
class TransactionLeaf:
    """One executed transaction."""

    height: int
    position: int
    """Place among the transactions of the block's batches, skipped ones counted."""
    result: int
    reason: str
    """Empty when applied."""
    header: bytes
    """The transaction's header; its SHA-256 is the transaction's id."""
    signature: bytes
    """The sender's; empty where nobody signed."""

    def encode(self) -> bytes:
        return encoding.encode(
            (
                VERSION,
                LeafKind.TRANSACTION,
                self.height,
                self.position,
                self.result,
                self.reason,
                self.header,
                self.signature,
            )
        )


@dataclass(frozen=True, slots=True)
class OutcomeLeaf:
    """The last leaf of a block: what executing it led to."""

    height: int
    block_hash: bytes
    entry_count: int
    """Transaction leaves of this block."""
    state_hash_kind: int
    state_hash: bytes
    epoch: bytes
    next_epoch: bytes
    """Epoch id of the next height; another one is the only door into the next epoch."""

    def encode(self) -> bytes:
        return encoding.encode(
            (
                VERSION,
                LeafKind.OUTCOME,
                self.height,
                self.block_hash,
                self.entry_count,
                self.state_hash_kind,
                self.state_hash,
                self.epoch,
                self.next_epoch,
            )
        )


Leaf = BlockLeaf | TransactionLeaf | OutcomeLeaf

_leaf_shapes: dict[int, encoding.Shape] = {
    LeafKind.BLOCK: encoding.row(
        encoding.exactly(VERSION), encoding.exactly(1), encoding.blob(HEADER_BYTES_MAX)
    ),
    LeafKind.TRANSACTION: encoding.row(
        encoding.exactly(VERSION),
        encoding.exactly(2),
        encoding.uint(low=1),
        encoding.uint(),
        encoding.uint(1),
        encoding.text(REASON_CHARS_MAX),
        encoding.blob(TRANSACTION_HEADER_BYTES_MAX),
        encoding.sender_signature,
    ),
    LeafKind.OUTCOME: encoding.row(
        encoding.exactly(VERSION),
        encoding.exactly(3),
        encoding.uint(low=1),
        encoding.digest,
        encoding.uint(),
        encoding.uint(StateHashKind.TREE, low=StateHashKind.RUNNING),
        encoding.digest,
        encoding.digest,
        encoding.digest,
    ),
}


def parse_leaf(raw: bytes) -> Leaf:
    """The leaf that these bytes encode.  Raises DecodeFault."""
    # The kind is the third byte of every leaf: array header, version, kind.
    kind = raw[2] if len(raw) > 2 else 0
    if kind not in _leaf_shapes:
        raise DecodeFault("leaf.kind", "no leaf of a known kind")
    fields: Any = encoding.decode(raw, _leaf_shapes[kind], size_max=LEAF_BYTES_MAX, what="leaf")
    if kind == LeafKind.BLOCK:
        return BlockLeaf(fields[2])
    if kind == LeafKind.TRANSACTION:
        leaf = TransactionLeaf(*fields[2:])
        if (leaf.result == Result.APPLIED) != (leaf.reason == ""):
            raise DecodeFault("leaf.reason", "a reason stands exactly where a transaction failed")
        return leaf
    return OutcomeLeaf(*fields[2:])
