"""How a store keeps batches: small ones in one record, large ones in parts.

    BATCH digest          signature || batch, up to WHOLE_BYTES
                          signature || (beginning, (0, bound, ..., count)) above
    PART  digest, number  transactions from one bound up to the next, as they stand in the batch

The beginning and the parts, one after another, are the batch.  So one transaction of a batch of a
megabyte costs the reading of one part, which the lineage of a thing does fifty times: it is said in
many batches, a few hundred bytes in each.  All records of a batch are written at once, each with a
checksum of its own; an audit compares them with what the batch leads to.

The signature stands first, since its length is known.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import msgpack

from ledger import encoding, layout
from ledger.batch import Batch
from ledger.encoding import blob_size, encode
from ledger.errors import DecodeFault, StorageError
from ledger.keys import Suite
from ledger.store import Reader, Write

WHOLE_BYTES = 65_536
"""A batch up to this size is one record: it is read at once as fast as in parts."""
PART_BYTES = 32_768
"""A part ends with the transaction that reaches this size."""
_ARRAY_OF_TWO = b"\x92"
"""What follows the signature where there are parts; a batch is an array of seven."""
_BOUNDS_MAX = 65_536
_head = encoding.row(encoding.blob(256), encoding.array(encoding.uint(), _BOUNDS_MAX, low=2))


def batch_writes(batch: Batch, signature: bytes) -> list[Write]:
    """Everything that the store keeps of a batch."""
    key, raw = layout.BATCH + batch.digest, batch.raw
    if len(raw) <= WHOLE_BYTES:
        return [(key, signature + raw)]
    sizes = [blob_size(len(each.raw)) for each in batch.transactions]
    start = at = len(raw) - sum(sizes)
    beginning, bounds, parts = raw[:at], [0], list[Write]()
    for number, size in enumerate(sizes, 1):
        at += size
        if at - start >= PART_BYTES or number == len(sizes):
            parts.append((layout.part_key(batch.digest, len(parts)), raw[start:at]))
            bounds.append(number)
            start = at
    return [(key, signature + encode((beginning, tuple(bounds)))), *parts]


def batch_removal(batch: Batch) -> list[Write]:
    """Removes everything that the store keeps of a batch."""
    return [(key, None) for key, _ in batch_writes(batch, b"")]


def find_batch(reader: Reader, digest: bytes, suite: Suite) -> StoredBatch | None:
    """The batch of this name, read no further than its first record; None if it is not here.

    Raises DecodeFault where that record is damaged.
    """
    stored = reader.get(layout.BATCH + digest)
    return None if stored is None else StoredBatch(reader, digest, stored, suite)


class StoredBatch:
    """A batch in the store, read as far as it is needed; the part that was read last is kept."""

    def __init__(self, reader: Reader, digest: bytes, stored: bytes, suite: Suite) -> None:
        size = suite.statements.signature_bytes
        self.digest = digest
        self.signature = stored[:size]
        self._reader = reader
        self._body = stored[size:]
        self._rows: tuple[int, tuple[Any, ...]] | None = None
        """Number of a part, and its transactions."""
        self.bounds: tuple[int, ...] = ()
        """Of the parts: the first transaction of each, and how many there are.  Empty: no parts."""
        if self._body[:1] == _ARRAY_OF_TWO:
            self._body, self.bounds = encoding.decode(
                self._body, _head, size_max=8 * _BOUNDS_MAX, what="head of a batch"
            )
            if self.bounds[0] or list(self.bounds) != sorted(set(self.bounds)):
                raise DecodeFault("batch.parts", f"batch {digest.hex()} has parts out of order")

    @property
    def count(self) -> int:
        """How many transactions it has.  Raises DecodeFault."""
        return self.bounds[-1] if self.bounds else len(self._part(0))

    def read(self) -> bytes:
        """All of the batch.  Raises StorageError where a part is missing."""
        return b"".join([self._body, *map(self._part_bytes, range(len(self.bounds) - 1))])

    def transaction(self, place: int) -> bytes:
        """The bytes of one transaction of at least `place` + 1, as this node wrote them.

        Raises DecodeFault for a record that is no batch, StorageError where a part is missing.
        """
        number = bisect_right(self.bounds, place) - 1 if self.bounds else 0
        first = self.bounds[number] if self.bounds else 0
        found = self._part(number)[place - first]
        if type(found) is not bytes:
            raise DecodeFault("batch.malformed", "a transaction is not a byte string")
        return found

    def _part(self, number: int) -> tuple[Any, ...]:
        if self._rows is None or self._rows[0] != number:
            self._rows = number, self._unpacked(number)
        return self._rows[1]

    def _unpacked(self, number: int) -> tuple[Any, ...]:
        try:
            if not self.bounds:
                return tuple(msgpack.unpackb(self._body, raw=False, use_list=False)[6])
            part = self._part_bytes(number)
            unpacker = msgpack.Unpacker(raw=False, use_list=False, max_buffer_size=len(part))
            unpacker.feed(part)
            found = tuple(unpacker)
        except (ValueError, TypeError, IndexError) as error:
            raise DecodeFault("batch.malformed", type(error).__name__) from error
        if len(found) != self.bounds[number + 1] - self.bounds[number]:
            raise DecodeFault("batch.parts", f"part {number} has {len(found)} transactions")
        return found

    def _part_bytes(self, number: int) -> bytes:
        found = self._reader.get(layout.part_key(self.digest, number))
        if found is None:
            raise StorageError(
                f"part {number} of batch {self.digest.hex()} is missing; run an audit"
            )
        return found
