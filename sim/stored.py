"""What a node has stored, taken apart by hand: for oracles over blocks and applications.

Nothing here calls the code that wrote it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgpack

from ledger import layout
from ledger.store import Reader
from sim.signed import STATEMENT_SIGNATURE_BYTES


def operations_of(payload: Any, reader: Reader, scheme: str) -> Iterator[tuple[bytes, Any]]:
    """(header, operations) of every transaction of the batches; the first of a header counts."""
    seen = set()
    for digest in payload:
        batch = batch_of(digest, reader, scheme)
        if hashlib.sha256(batch).digest() != digest:
            continue
        for raw in _unpack(batch)[6]:
            header, _, operations = _unpack(raw)
            if header not in seen:
                seen.add(header)
                yield header, operations


def batch_of(digest: bytes, reader: Reader, scheme: str) -> bytes:
    """The bytes of a batch, put together where the store keeps it in parts; b"" without it.

    Its creator's signature stands before it.
    """
    body = (reader.get(layout.BATCH + digest) or b"")[STATEMENT_SIGNATURE_BYTES[scheme] :]
    if body[:1] != b"\x92":
        return body
    parts = [part for _, part in reader.scan(b"\x16" + digest, b"\x16" + digest + b"\xff" * 5)]
    return b"".join([_unpack(body)[0], *parts])


def executed_height(reader: Reader) -> int:
    """The height that a store calls executed."""
    raw = reader.get(layout.EXECUTED)
    return int(_unpack(raw)[0]) if raw is not None else 0


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)
