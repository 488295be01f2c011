"""The receipt: one file that proves, offline, that a transaction is in the ledger.

It is a C2SP transparency log proof (c2sp.org/tlog-proof), written in one way only:

    c2sp.org/tlog-proof@v1
    extra <base64>
    index <index of the leaf>
    <base64 of one hash of the path>       none or more lines, from the leaf's sibling upwards

    <the checkpoint certificate, a signed note>

    extra       (version, transaction leaf, operation or nil, handovers)
    operation   (index, (salt, application, version, body), path in the tree of operations)
    handover    (outcome leaf, path, certificate, epoch record that it leads to)

A handover stands for every epoch between the genesis and the certificate's epoch, oldest first: the
last leaf under the old validators' last certificate names the epoch that follows.  This module
reads and writes; what a receipt proves is judged by `ledger.light`.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from dataclasses import dataclass
from typing import Any

from ledger import encoding, merkle
from ledger.block import LEAF_BYTES_MAX, TransactionLeaf
from ledger.certified import NOTE_BYTES_MAX
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.genesis import EpochRecord, epoch_from_row, epoch_shape
from ledger.limits import (
    INTEGER_MAX,
    NAME_CHARS_MAX,
    OPERATIONS_MAX,
    RECEIPT_BYTES_MAX,
    SALT_BYTES_MAX,
    TRANSACTION_BYTES_MAX,
)
from ledger.transaction import Transaction

VERSION = 1
MAGIC = b"c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
"""Name ending of a receipt's file."""
PATH_MAX = 63
"""Hashes on a path: the log has fewer than 2^63 leaves."""
OPERATION_PATH_MAX = 10
"""Hashes on the path of one of at most 1,024 operations."""
HANDOVERS_MAX = 256
"""Changes of epoch since genesis; a receipt of 1 MiB has room for about as many."""
INDEX_DIGITS_MAX = len(str(INTEGER_MAX))

_operation_shape = encoding.row(
    encoding.uint(OPERATIONS_MAX - 1),
    encoding.row(
        encoding.blob(SALT_BYTES_MAX),
        encoding.text(NAME_CHARS_MAX, low=1),
        encoding.uint(),
        encoding.blob(TRANSACTION_BYTES_MAX),
    ),
    encoding.array(encoding.digest, OPERATION_PATH_MAX),
)
handover_shape = encoding.row(
    encoding.blob(LEAF_BYTES_MAX),
    encoding.array(encoding.digest, PATH_MAX),
    encoding.blob(NOTE_BYTES_MAX),
    epoch_shape,
)
extra_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.blob(LEAF_BYTES_MAX),
    encoding.optional(_operation_shape),
    encoding.array(handover_shape, HANDOVERS_MAX),
)


@dataclass(frozen=True, slots=True)
class OperationProof:
    """One operation of the transaction, shown without the others."""

    index: int
    """Among the transaction's operations."""
    operation: tuple[bytes, str, int, bytes]
    """(salt, application, version, body)."""
    path: tuple[bytes, ...]
    """In the tree of the transaction's operations."""

    def row(self) -> tuple[object, ...]:
        return (self.index, self.operation, self.path)


@dataclass(frozen=True, slots=True)
class Handover:
    """How one epoch led to the next: the last thing that its validators certified."""

    leaf: bytes
    """Outcome leaf of the epoch's last block, the last leaf under the certificate."""
    path: tuple[bytes, ...]
    certificate: bytes
    """Signed note of the epoch that ends."""
    record: EpochRecord
    """The epoch that begins."""

    def row(self) -> tuple[object, ...]:
        return (self.leaf, self.path, self.certificate, self.record.row())


@dataclass(frozen=True, slots=True)
class Receipt:
    """A well-formed receipt; nothing in it is checked yet."""

    leaf: bytes
    """Encoded transaction leaf."""
    index: int
    """Of the leaf in the log."""
    path: tuple[bytes, ...]
    """From the leaf's sibling up to a child of the root."""
    certificate: bytes
    """The checkpoint certificate: a signed note."""
    operation: OperationProof | None
    handovers: tuple[Handover, ...] = ()

    def encode(self) -> bytes:
        """The one file of this receipt."""
        extra = encode(
            (
                VERSION,
                self.leaf,
                None if self.operation is None else self.operation.row(),
                tuple(handover.row() for handover in self.handovers),
            )
        )
        lines = [MAGIC, b"extra " + b64encode(extra), b"index %d" % self.index]
        lines.extend(b64encode(node) for node in self.path)
        return b"\n".join(lines) + b"\n\n" + self.certificate


def make_receipt(
    leaf: TransactionLeaf,
    *,
    index: int,
    size: int,
    hash_at: merkle.HashAt,
    certificate: bytes,
    operation: OperationProof | None,
    handovers: tuple[Handover, ...] = (),
) -> Receipt:
    """The receipt of the leaf at index, against the certificate of a log of size leaves.

    hash_at gives the hashes of that log's complete subtrees.
    """
    path = merkle.inclusion_path(index, size, hash_at)
    return Receipt(leaf.encode(), index, path, certificate, operation, handovers)


def prove_operation(transaction: Transaction, index: int) -> OperationProof:
    """What shows one operation of a transaction alone.  Raises Fault for a wrong index."""
    rows = transaction.operations
    if not 0 <= index < len(rows):
        raise Fault("receipt.operation", f"the transaction has {len(rows)} operations")
    hashes = [merkle.leaf_hash(encode(row)) for row in rows]

    def hash_at(level: int, number: int) -> bytes:
        return merkle.root_of(hashes[number << level : (number + 1) << level])

    return OperationProof(index, rows[index], merkle.inclusion_path(index, len(rows), hash_at))


def parse_receipt(raw: bytes) -> Receipt:
    """The receipt in this file.  Raises DecodeFault for anything but the one way of writing it."""
    if len(raw) > RECEIPT_BYTES_MAX:
        raise DecodeFault("receipt.size", f"{len(raw)} bytes, {RECEIPT_BYTES_MAX} allowed")
    proof, blank, certificate = raw.partition(b"\n\n")
    lines = proof.split(b"\n")
    if not blank or lines[0] != MAGIC:
        raise DecodeFault("receipt.malformed", f"not a {MAGIC.decode()} file")
    if not 3 <= len(lines) <= 3 + PATH_MAX:
        raise DecodeFault("receipt.malformed", "wrong number of lines")
    extra = _decode_base64(_after(lines[1], b"extra "))
    digits = _after(lines[2], b"index ")
    if not (digits.isdigit() and len(digits) <= INDEX_DIGITS_MAX and int(digits) <= INTEGER_MAX):
        raise DecodeFault("receipt.malformed", "the index is not a number in range")
    path = tuple(_decode_base64(line) for line in lines[3:])
    if any(len(node) != merkle.HASH_BYTES for node in path):
        raise DecodeFault("receipt.malformed", "a hash of the path has another length")
    leaf, operation, handovers = _parse_extra(extra)
    receipt = Receipt(leaf, int(digits), path, certificate, operation, handovers)
    if receipt.encode() != raw:
        raise DecodeFault("receipt.not-canonical")
    return receipt


def _parse_extra(raw: bytes) -> tuple[bytes, OperationProof | None, tuple[Handover, ...]]:
    fields: Any = encoding.decode(raw, extra_shape, size_max=RECEIPT_BYTES_MAX, what="receipt")
    _, leaf, operation, rows = fields
    return leaf, None if operation is None else OperationProof(*operation), handovers_of(rows)


def handovers_of(rows: Any) -> tuple[Handover, ...]:
    """The handovers of decoded rows, oldest first.  Raises DecodeFault."""
    handovers = []
    for last, path, certificate, record in rows:
        try:
            epoch = epoch_from_row(record)
        except DecodeFault:
            raise
        except Fault as fault:
            raise DecodeFault("receipt.epoch", str(fault)) from fault
        handovers.append(Handover(last, path, certificate, epoch))
    return tuple(handovers)


def _after(line: bytes, prefix: bytes) -> bytes:
    if not line.startswith(prefix):
        raise DecodeFault("receipt.malformed", f"no line {prefix.decode().strip()}")
    return line[len(prefix) :]


def _decode_base64(data: bytes) -> bytes:
    """Strict, but for unused bits: those are met by comparing the re-encoded file."""
    try:
        return a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise DecodeFault("receipt.base64", str(error)) from error
