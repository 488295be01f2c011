"""What executing a stored ledger once more leads to, beside the store: the audit's own state."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from ledger import layout
from ledger.store import Reader

KINDS = (layout.STATE, layout.NONCE, layout.TILE, layout.TREE, layout.UNDO)
"""What changes as blocks are executed, and must be held until the last one."""


class Rows:
    """Keys and values of one kind; sorted only when someone asks for a range."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._order: list[bytes] = []
        """Keys ascending, among them some that are gone."""
        self._added: dict[bytes, None] = {}
        """Keys that the order lacks."""

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep a value, or forget the key for None."""
        if value is None:
            self.rows.pop(key, None)
            return
        if key not in self.rows:
            self._added[key] = None
        self.rows[key] = value

    def keys(self, start: bytes, stop: bytes) -> list[bytes]:
        """Keys with start <= key < stop, ascending."""
        if self._added:
            kept = [key for key in self._order if key in self.rows and key not in self._added]
            # Two sorted runs: the sort merges them in linear time.
            self._order = kept + sorted(key for key in self._added if key in self.rows)
            self._order.sort()
            self._added.clear()
        found = self._order[bisect_left(self._order, start) : bisect_left(self._order, stop)]
        return [key for key in found if key in self.rows]


class Recomputed:
    """A reader for the executor: state, nonces and tiles of its own, all else from the store."""

    def __init__(self, stored: Reader) -> None:
        self._stored = stored
        self.kinds = {kind: Rows() for kind in KINDS}

    def get(self, key: bytes) -> bytes | None:
        rows = self.kinds.get(key[:1])
        # Old blocks, whose nonces leave the state, were compared when they passed.
        return self._stored.get(key) if rows is None else rows.rows.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = self.kinds[start[:1]]
        keys = rows.keys(start, stop)
        for key in reversed(keys) if reverse else keys:
            yield key, rows.rows[key]
