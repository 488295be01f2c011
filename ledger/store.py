"""All that pure code knows of disks: a reader, writes as data, and the order of bytes.

The engines are in `storage/`; what the keys mean is in `ledger/layout.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

Write: TypeAlias = tuple[bytes, bytes | None]
"""A key and its new value; None deletes the key."""


class Reader(Protocol):
    """A consistent view of the durable state."""

    def get(self, key: bytes) -> bytes | None:
        """The value stored under key, or None.  Raises StorageError on damage."""

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards.  Raises StorageError."""


class Overlay:
    """A reader that sees `writes` on top of another: what execution reads while it writes."""

    def __init__(self, base: Reader) -> None:
        self.base = base
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        if key in self.writes:
            return self.writes[key]
        return self.base.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        changed = {key: value for key, value in self.writes.items() if start <= key < stop}
        merged = {key: value for key, value in self.base.scan(start, stop) if key not in changed}
        merged.update({key: value for key, value in changed.items() if value is not None})
        yield from sorted(merged.items(), reverse=reverse)

    def put(self, key: bytes, value: bytes | None) -> None:
        self.writes[key] = value


def prefix_stop(prefix: bytes) -> bytes:
    """The first key after every key that begins with prefix (prefix must not be all 0xff)."""
    stripped = prefix.rstrip(b"\xff")
    assert stripped, "a prefix of only 0xff bytes has no successor"
    return stripped[:-1] + bytes([stripped[-1] + 1])


def sorted_writes(writes: dict[bytes, bytes | None]) -> tuple[Write, ...]:
    """The writes of one block in key order, as the running state hash takes them."""
    keys = sorted(writes)
    return tuple(zip(keys, map(writes.__getitem__, keys), strict=True))
