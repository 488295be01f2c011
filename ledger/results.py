"""What became of the transactions of a block, for those who read every block: streams, monitors.

It believes the leaves that execution itself wrote and the database's checksums, and so takes a
fraction of the time of `ledger.queries.block`, which reads as if a stranger had written them.
"""

from __future__ import annotations

from hashlib import sha256

import msgpack

from ledger import layout
from ledger.block import LeafKind
from ledger.errors import DecodeFault, StorageError
from ledger.execution import parse_block_entry
from ledger.store import Reader


def results(reader: Reader, height: int) -> list[tuple[bytes, str]]:
    """(id, reason) of each transaction of an executed block; no reason where it was applied."""
    raw = reader.get(layout.height_key(layout.BLOCK, height))
    if raw is None:
        return []
    try:
        _, leaves = parse_block_entry(raw)
    except DecodeFault as fault:
        raise StorageError(f"block {height} is damaged: {fault}; run an audit") from fault
    rows = [msgpack.unpackb(leaf, use_list=False) for leaf in leaves[1:-1]]
    assert {row[1] for row in rows} <= {LeafKind.TRANSACTION}, "a leaf out of place"
    return [(sha256(row[6]).digest(), row[5]) for row in rows]
