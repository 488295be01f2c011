"""Statements by their places: only what was asked for is decoded.

`api.lookup` decodes and checks the whole block and transaction around an operation.  A lineage
takes one or two operations of each of many transactions, so here a transaction is only taken apart,
which takes a tenth of the time.  It is as this node wrote it: each record has its checksum, and all
was judged when it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgpack

from api.statements import Place, row_of
from ledger import queries
from ledger.batch_store import StoredBatch
from ledger.block import BlockHeader
from ledger.errors import DecodeFault, StorageError
from ledger.genesis import Genesis
from ledger.store import Reader


class Contents:
    """Reads operations in the order of the ledger; keeps one block, batch and transaction."""

    def __init__(self, reader: Reader, genesis: Genesis) -> None:
        self._reader = reader
        self._genesis = genesis
        self._header: BlockHeader | None = None
        self._batches: Iterator[bytes] = iter(())
        """Digests of the block's batches that are still to come."""
        self._batch: StoredBatch | None = None
        self._first, self._end = 0, 0
        """Positions of the batch's transactions in the block."""
        self._at: tuple[int, int] = (0, 0)
        """(height, position) of the transaction that was taken apart last."""
        self._transaction: tuple[bytes, bytes, tuple[Any, ...]] = (b"", b"", ())

    def rows(self, places: Iterable[Place]) -> list[dict[str, Any]]:
        """A row of each statement, as `api.statements.page` has them; places ascend."""
        return [self._row(place) for place in places]

    def _row(self, place: Place) -> dict[str, Any]:
        height, position, number = place
        if (height, position) != self._at:
            self._transaction = self._apart(height, position)
            self._at = (height, position)
        assert self._header is not None
        identity, sender, operations = self._transaction
        try:
            body = operations[number][3]
            return row_of(identity, sender, place, self._header.timestamp_ms, body)
        except (IndexError, TypeError, DecodeFault) as error:
            raise _damaged(height, error) from error

    def _apart(self, height: int, position: int) -> tuple[bytes, bytes, tuple[Any, ...]]:
        if self._header is None or self._header.height != height or position < self._first:
            self._header = queries.header(self._reader, height)
            if self._header is None:
                raise StorageError(f"the header of block {height} is missing; run an audit")
            self._batches = iter(self._header.payload)
            self._batch, self._first, self._end = None, 0, 0
        try:
            while self._batch is None or position >= self._end:
                self._batch = self._next_batch(height)
                self._first, self._end = self._end, self._end + self._batch.count
            header, _, operations = _unpack(self._batch.transaction(position - self._first))
            return sha256(header).digest(), _unpack(header)[2], operations
        except (ValueError, TypeError, IndexError, DecodeFault) as error:
            raise _damaged(height, error) from error

    def _next_batch(self, height: int) -> StoredBatch:
        digest = next(self._batches, None)
        if digest is None:
            raise StorageError(f"block {height} has no transaction at its indexed place")
        return queries.stored_batch(self._reader, self._genesis, digest)


def _unpack(raw: bytes) -> Any:
    return msgpack.unpackb(raw, raw=False, use_list=False)


def _damaged(height: int, error: Exception) -> StorageError:
    return StorageError(f"block {height} is damaged ({error}); run an audit")
