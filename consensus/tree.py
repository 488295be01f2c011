"""The undecided values by digest, for protocols in which a value extends another.

    root <- b1 <- b2          everything here stands above the root, the last decided value
         \\- c1 <- ? <- c3     a fork; the parent of c3 has yet to be fetched

The tree knows no votes.  Parents may be missing, and every walk ends: no digest contains itself.
It remembers what was asked about its values, so that nothing is fetched or validated twice at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.interface import Root
from ledger.statement import Slot
from ledger.value import Value

VALUES_A_SLOT = 2
"""How many values of one slot are kept unasked, as many as a tally keeps of one signer."""


class Tree:
    """Values above the root, some of them not yet connected to it."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._values: dict[bytes, Value] = {}
        self._verdicts: dict[bytes, bool | None] = {}
        """Whether a value is valid; None while it is being asked."""
        self._fetching: dict[bytes, None] = {}
        self._lines: dict[bytes, tuple[tuple[Value, ...], bytes]] = {}
        """What `_line` found since the tree last changed: a protocol asks after every message."""

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, digest: bytes) -> Value | None:
        """The value with this digest, unless it is unknown or decided."""
        return self._values.get(digest)

    def slot_of(self, digest: bytes) -> Slot | None:
        """Slot of a value of the tree or of the root; None for any other."""
        value = self._values.get(digest)
        if value is None:
            return self._root.slot if digest == self._root.value else None
        return value.slot

    def add(self, value: Value) -> bool:
        """Keep a value that was asked for; False if it stands below the root or its parent."""
        parent = self.slot_of(value.parent)
        if value.slot <= self._root.slot or (parent is not None and parent >= value.slot):
            return False
        self._values[value.digest] = value
        self._lines.clear()
        return True

    def offer(self, value: Value) -> bool:
        """Keep a value that nobody asked for, unless its slot has enough; whether it is here."""
        siblings = sum(1 for each in self._values.values() if each.slot == value.slot)
        if value.digest in self._values:
            return True
        return (siblings < VALUES_A_SLOT or value.digest in self._fetching) and self.add(value)

    # --- the way from the root to a tip -----------------------------------------------------------

    def path(self, tip: bytes) -> tuple[Value, ...] | None:
        """The values after the root up to and with tip, oldest first; None where one is missing."""
        line, below = self._line(tip)
        return line if below == self._root.value else None

    def known(self, tip: bytes) -> tuple[Value, ...]:
        """What is known of the way from the root to tip, oldest first."""
        return self._line(tip)[0]

    def has_payload(self, tip: bytes) -> bool:
        """Whether something is to be ordered on the way to tip, or parts of the way are unknown.

        Nothing is where a value on it was found invalid: no honest validator votes for it.
        """
        line, below = self._line(tip)
        has_payload = below != self._root.value
        for value in line:
            if self._verdicts.get(value.digest) is False:
                return False
            has_payload = has_payload or bool(value.payload)
        return has_payload

    def to_fetch(self, tip: bytes) -> bytes | None:
        """Digest of the first unknown value on the way to tip, once until `ask_again`."""
        _, below = self._line(tip)
        if below == self._root.value or below in self._fetching:
            return None
        self._fetching[below] = None
        return below

    def ask_again(self) -> None:
        """Forget what is being fetched."""
        self._fetching.clear()

    def to_validate(self, tip: bytes) -> Value | None:
        """The oldest value on a known way to tip that nobody judged, once; ancestors are valid."""
        for value in self.path(tip) or ():
            if value.digest not in self._verdicts:
                self._verdicts[value.digest] = None
                return value
            if not self._verdicts[value.digest]:
                return None
        return None

    def judge(self, digest: bytes, valid: bool) -> None:
        """Keep the verdict on a value of the tree."""
        if digest in self._values:
            self._verdicts[digest] = valid

    def is_valid(self, tip: bytes) -> bool:
        """Whether tip extends the root and was, like all on the way, found valid."""
        path = self.path(tip)
        return path is not None and all(self._verdicts.get(value.digest) for value in path)

    # --- what is forgotten ------------------------------------------------------------------------

    def move(self, root: Root) -> None:
        """Build on another root: drop what it covers, and the forks that it excludes."""
        excluded = {digest for digest, value in self._values.items() if value.slot <= root.slot}
        excluded.add(self._root.value)
        for value in sorted(self._values.values(), key=lambda value: value.slot):
            if value.parent in excluded and value.parent != root.value:
                excluded.add(value.digest)
        self._root = root
        self._lines.clear()
        self._keep(digest for digest in self._values if digest not in excluded)

    def prune(self, floor: Slot, tips: Iterable[bytes]) -> None:
        """Drop values below floor that are not on the way to one of the tips."""
        kept = {value.digest for tip in tips for value in self.known(tip)}
        self._keep(
            digest
            for digest, value in self._values.items()
            if digest in kept or value.slot >= floor
        )

    def _keep(self, digests: Iterable[bytes]) -> None:
        self._values = {digest: self._values[digest] for digest in list(digests)}
        self._lines.clear()
        self._verdicts = {
            digest: said for digest, said in self._verdicts.items() if digest in self._values
        }
        self._fetching.clear()

    def _line(self, tip: bytes) -> tuple[tuple[Value, ...], bytes]:
        """(known values up to tip, oldest first; digest of what is below the first of them)."""
        found = self._lines.get(tip)
        if found is None:
            line: list[Value] = []
            digest = tip
            while digest != self._root.value and digest in self._values:
                line.append(self._values[digest])
                digest = line[-1].parent
            found = self._lines[tip] = (tuple(reversed(line)), digest)
        return found
