"""The undecided values by digest, for protocols in which a value extends another.

    root <- b1 <- b2          everything here stands above the root, the last decided value
         \\- c1 <- ? <- c3     a fork; the parent of c3 has yet to be fetched

The tree knows no votes.  Parents may be missing, and every walk ends: no digest contains itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.interface import Root
from ledger.statement import Slot
from ledger.value import Value


class Tree:
    """Values above the root, some of them not yet connected to it."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._values: dict[bytes, Value] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._values

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: Value) -> bool:
        """Keep a value; False for one that cannot stand above the root or above its parent."""
        parent = self._values.get(value.parent)
        if value.slot <= self._root.slot or (parent is not None and parent.slot >= value.slot):
            return False
        self._values[value.digest] = value
        return True

    def get(self, digest: bytes) -> Value | None:
        """The value with this digest, unless it is unknown or decided."""
        return self._values.get(digest)

    def at(self, slot: Slot) -> list[Value]:
        """The values of one slot: more than one only after an equivocation."""
        return [value for value in self._values.values() if value.slot == slot]

    def path(self, tip: bytes) -> tuple[Value, ...] | None:
        """The values after the root up to and with tip, oldest first; None unless tip extends it."""
        line, below = self._descend(tip)
        return tuple(reversed(line)) if below == self._root.value else None

    def missing(self, tip: bytes) -> bytes | None:
        """Digest of the first unknown value on the way from tip to the root; None if connected."""
        _, below = self._descend(tip)
        return below if below != self._root.value else None

    def known(self, tip: bytes) -> tuple[Value, ...]:
        """What is known of the way from the root to tip, oldest first."""
        line, _ = self._descend(tip)
        return tuple(reversed(line))

    def move(self, root: Root) -> None:
        """Build on another root: drop what it covers, and the forks that it excludes."""
        excluded = {digest for digest, value in self._values.items() if value.slot <= root.slot}
        excluded.add(self._root.value)
        excluded.discard(root.value)
        self._root = root
        for value in sorted(self._values.values(), key=lambda value: value.slot):
            if value.parent in excluded:
                excluded.add(value.digest)
        excluded.add(root.value)
        self._values = {
            digest: value for digest, value in self._values.items() if digest not in excluded
        }

    def prune(self, floor: Slot, tips: Iterable[bytes]) -> None:
        """Drop values below floor that are not on the way to one of the tips."""
        kept = {value.digest for tip in tips for value in self.known(tip)}
        self._values = {
            digest: value
            for digest, value in self._values.items()
            if digest in kept or value.slot >= floor
        }

    def _descend(self, tip: bytes) -> tuple[list[Value], bytes]:
        """(known values from tip downwards, digest of what is below the last of them)."""
        line: list[Value] = []
        digest = tip
        while digest != self._root.value and digest in self._values:
            line.append(self._values[digest])
            digest = line[-1].parent
        return line, digest
