"""A batch: transactions that travel ahead of consensus, named by their digest, stored once.

    (version, network, epoch id, creator, sequence, made at height, transactions)

The creator signs a statement (phase "batch", slot (sequence,), value the digest), so that a batch
that wastes its checkers' time can be attributed.  It may be ordered within `batch_window` heights
of its making; then every node drops it, and the nodes that took its transactions batch those that
are still pending anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgpack

from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.keys import Suite
from ledger.limits import INTEGER_MAX, VALIDATORS_MAX, Limits
from ledger.statement import Statement
from ledger.transaction import Transaction, parse_transactions

VERSION = 1
PHASE = "batch"


@dataclass(frozen=True, slots=True)
class Batch:
    """A well-formed batch and its parsed transactions."""

    raw: bytes
    digest: bytes
    network: bytes
    epoch: bytes
    creator: int
    """Index of the validator that made it."""
    sequence: int
    height: int
    """The decided height at which it was made."""
    transactions: tuple[Transaction, ...]

    def statement(self) -> Statement:
        """What the creator signs."""
        return Statement(self.network, self.epoch, PHASE, (self.sequence,), self.digest)


def make_batch(
    *,
    network: bytes,
    epoch: bytes,
    creator: int,
    sequence: int,
    height: int,
    transactions: tuple[Transaction, ...],
) -> Batch:
    """A batch of these transactions, in this order."""
    rows = tuple(transaction.raw for transaction in transactions)
    raw = encode((VERSION, network, epoch, creator, sequence, height, rows))
    digest = hashlib.sha256(raw).digest()
    return Batch(raw, digest, network, epoch, creator, sequence, height, transactions)


def parse_batch(raw: bytes, limits: Limits) -> Batch:
    """The batch that these bytes encode, every transaction parsed.  Raises DecodeFault."""
    network, epoch, creator, sequence, height, rows = split_batch(raw, limits)
    transactions = parse_transactions(rows)
    if {transaction.network for transaction in transactions} != {network}:
        raise DecodeFault("batch.network", "a transaction of another network")
    digest = hashlib.sha256(raw).digest()
    return Batch(raw, digest, network, epoch, creator, sequence, height, transactions)


def split_signed_batch(signed: bytes, suite: Suite) -> tuple[bytes, bytes]:
    """(batch bytes, creator's signature) of a batch behind its signature, as a range carries it."""
    size = suite.statements.signature_bytes
    return signed[size:], signed[:size]


def split_batch(raw: bytes, limits: Limits) -> tuple[bytes, bytes, int, int, int, tuple[Any, ...]]:
    """(network, epoch, creator, sequence, height, raw transactions).  Raises DecodeFault."""
    if len(raw) > limits.batch_bytes:
        raise DecodeFault("batch.size", f"{len(raw)} bytes, {limits.batch_bytes} allowed")
    width = max(7, limits.batch_transactions)
    left = 2

    def count(items: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise DecodeFault("batch.malformed", "nested too deep")
        return items

    try:
        fields = msgpack.unpackb(
            raw,
            raw=False,
            use_list=False,
            list_hook=count,
            max_array_len=width,
            max_map_len=0,
            max_ext_len=0,
        )
    except DecodeFault:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeFault("batch.malformed", type(error).__name__) from error
    if type(fields) is not tuple or len(fields) != 7:
        raise DecodeFault("batch.malformed", "not an array of 7")
    version, network, epoch, creator, sequence, height, rows = fields
    if type(version) is not int or version != VERSION:
        raise DecodeFault("batch.version", "only version 1 is known")
    if any(type(value) is not bytes or len(value) != 32 for value in (network, epoch)):
        raise DecodeFault("batch.malformed", "network or epoch")
    if any(type(v) is not int or not 0 <= v <= INTEGER_MAX for v in (creator, sequence, height)):
        raise DecodeFault("batch.malformed", "creator, sequence or height")
    if creator >= VALIDATORS_MAX:
        raise DecodeFault("batch.malformed", "creator")
    if type(rows) is not tuple or not 1 <= len(rows) <= limits.batch_transactions:
        raise DecodeFault("batch.transactions", "wrong number of transactions")
    if any(type(row) is not bytes for row in rows):
        raise DecodeFault("batch.malformed", "a transaction is not a byte string")
    if encode(fields) != raw:
        raise DecodeFault("batch.not-canonical")
    return network, epoch, creator, sequence, height, rows
