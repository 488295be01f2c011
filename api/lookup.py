"""Many questions to one view of the ledger: each block and batch is decoded once.

`ledger.queries` answers one question at a time and decodes a whole batch for each.  A client that
confirms hundreds of transactions of one block asks for all of them here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from ledger import layout, merkle, queries
from ledger.batch_store import StoredBatch
from ledger.block import TransactionLeaf, parse_leaf
from ledger.errors import DecodeFault, StorageError
from ledger.execution import parse_block_entry
from ledger.genesis import Genesis
from ledger.queries import Certified, Executed, Place
from ledger.receipt import make_receipt
from ledger.store import Reader
from ledger.transaction import parse_transaction

K = TypeVar("K")
V = TypeVar("V")
KEPT_MAX = 8
"""Decoded blocks, batches and certificates kept at once: the first take megabytes."""


class Lookup:
    """Answers about executed transactions.  Raises StorageError where the store is damaged."""

    def __init__(self, reader: Reader, genesis: Genesis) -> None:
        self._reader = reader
        self._genesis = genesis
        self.certified = queries.certified_height(reader)
        """Of this view."""
        self._blocks: dict[int, tuple[int, tuple[bytes, ...]]] = {}
        self._batches: dict[bytes, StoredBatch] = {}
        self._proofs: dict[int, tuple[Certified, merkle.TileReader]] = {}

    def find(self, identity: bytes) -> Place | None:
        """Where an executed transaction is; None where it is unknown, pending or skipped."""
        return queries.find(self._reader, identity)

    def is_confirmed(self, place: Place) -> bool:
        return place.height <= self.certified

    def leaf(self, place: Place) -> tuple[int, TransactionLeaf]:
        """The transaction's (index in the log, leaf)."""
        first, leaves = self._block(place.height)
        if not 0 < place.offset < len(leaves) - 1:
            raise StorageError(f"block {place.height} has no transaction at its indexed place")
        return first + place.offset, _transaction_leaf(leaves[place.offset], place.height)

    def timestamp_ms(self, height: int) -> int:
        """Of a stored block."""
        header = queries.header(self._reader, height)
        if header is None:
            raise StorageError(f"the header of block {height} is missing; run an audit")
        return header.timestamp_ms

    def executed(self, place: Place) -> Executed:
        """The executed transaction with its operations."""
        index, leaf = self.leaf(place)
        header = queries.header(self._reader, place.height)
        if header is None or place.ordinal >= len(header.payload):
            raise StorageError(f"block {place.height} has no transaction at its indexed place")
        batch = self._batch(header.payload[place.ordinal])
        try:
            transaction = parse_transaction(batch.transaction(place.place))
        except (DecodeFault, IndexError) as error:
            raise StorageError(f"block {place.height} names a damaged batch: {error}") from error
        if transaction.header != leaf.header:
            raise StorageError(f"block {place.height} has another transaction at its indexed place")
        confirmed = self.is_confirmed(place)
        return Executed(transaction, leaf, index, header.timestamp_ms, confirmed)

    def executed_at(self, height: int, position: int) -> Executed:
        """The executed transaction at a position of a block, as the applications index it."""
        _, leaves = self._block(height)
        # Skipped transactions have a position and no leaf, so that the leaf is here or before.
        for offset in range(min(position + 1, len(leaves) - 2), 0, -1):
            leaf = _transaction_leaf(leaves[offset], height)
            if leaf.position == position:
                place = self.find(hashlib.sha256(leaf.header).digest())
                if place is None:
                    break
                return self.executed(place)
        raise StorageError(f"block {height} has no transaction at position {position}")

    def receipt(self, place: Place) -> bytes | None:
        """The receipt, without an operation; None unless the transaction is confirmed."""
        if not self.is_confirmed(place):
            return None
        index, leaf = self.leaf(place)
        certificate, tiles = _kept(self._proofs, place.height, self._proof)
        made = make_receipt(
            leaf,
            index=index,
            size=certificate.size,
            hash_at=tiles.hash_at,
            certificate=certificate.note,
            operation=None,
        )
        return made.encode()

    def _proof(self, height: int) -> tuple[Certified, merkle.TileReader]:
        found = queries.certificate_at_or_above(self._reader, self._genesis, height)
        if found is None:
            raise StorageError(f"no certificate covers height {height}; run an audit")
        return found, merkle.TileReader(queries.tile_source(self._reader), found.size)

    def _block(self, height: int) -> tuple[int, tuple[bytes, ...]]:
        return _kept(self._blocks, height, self._read_block)

    def _read_block(self, height: int) -> tuple[int, tuple[bytes, ...]]:
        raw = self._reader.get(layout.height_key(layout.BLOCK, height))
        if raw is None:
            raise StorageError(f"block {height} is missing; run an audit")
        try:
            return parse_block_entry(raw)
        except DecodeFault as fault:
            raise StorageError(f"block {height} is damaged ({fault}); run an audit") from fault

    def _batch(self, digest: bytes) -> StoredBatch:
        return _kept(self._batches, digest, self._read_batch)

    def _read_batch(self, digest: bytes) -> StoredBatch:
        return queries.stored_batch(self._reader, self._genesis, digest)


def _transaction_leaf(raw: bytes, height: int) -> TransactionLeaf:
    try:
        leaf = parse_leaf(raw)
    except DecodeFault as fault:
        raise StorageError(f"block {height} is damaged ({fault}); run an audit") from fault
    if not isinstance(leaf, TransactionLeaf):
        raise StorageError(f"block {height} has a leaf out of place; run an audit")
    return leaf


def _kept(kept: dict[K, V], key: K, read: Callable[[K], V]) -> V:
    """kept[key], read where it is not there; the oldest makes room."""
    if key not in kept:
        if len(kept) >= KEPT_MAX:
            del kept[next(iter(kept))]
        kept[key] = read(key)
    return kept[key]
