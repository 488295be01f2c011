"""What execution adds for applications whose keys are in the authenticated tree.

The tree is stored as it is after the last executed block, but a proof rests on a certificate, which
may be a few blocks behind.  So each block also stores what its changes replaced, for the blocks
that may still be uncertified and a few more; `at_height` reads the tree as it was.

    state hash of kind 2   SHA-256("ledger state tree" || 0x00 || (running hash, root, names))
    UNDO                   (running hash, names, ((key, value before or nil), ...))

The names, ascending, are those of the applications in the tree: without them a proof could call
absent what was never in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger import encoding, layout
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault, StorageError
from ledger.limits import NAME_CHARS_MAX
from ledger.state_tree import Tree
from ledger.store import Overlay, Reader, Write

DOMAIN = b"ledger state tree\x00"
SPARE_HEIGHTS = 16
"""Blocks beyond the run-ahead window whose changes are kept: certificates arrive, reads take time.
"""
_CHANGES_MAX = 2**24
_ENTRY_BYTES_MAX = 2**31
_undo_shape = encoding.row(
    encoding.digest,
    encoding.array(encoding.text(NAME_CHARS_MAX, low=1), 1_000, low=1),
    encoding.array(
        encoding.row(encoding.blob(2**16), encoding.optional(encoding.blob(2**16))), _CHANGES_MAX
    ),
)


def state_hash(running: bytes, root: bytes, names: Sequence[str]) -> bytes:
    """The state hash of kind 2."""
    return sha256(DOMAIN + encode((running, root, tuple(names)))).digest()


@dataclass(frozen=True, slots=True)
class TreeStep:
    """What one block does to the tree."""

    state_hash: bytes
    writes: list[Write]


class Keys:
    """The applications whose keys are in the tree, and the step that a block makes."""

    def __init__(self, names: Sequence[str], run_ahead: int) -> None:
        self.names = tuple(sorted(names))
        self._prefixes = tuple(layout.state_key(name, b"") for name in self.names)
        self._kept = run_ahead + SPARE_HEIGHTS

    def step(
        self, reader: Reader, height: int, running: bytes, changes: Sequence[Write]
    ) -> TreeStep:
        """The tree after the block at `height`, whose writes are `changes` over `reader`."""
        own = [write for write in changes if write[0].startswith(self._prefixes)]
        tree = Tree(reader.get)
        tree.change(
            [
                # A database key is one byte of kind, then exactly what the tree's path hashes.
                (sha256(key[1:]).digest(), None if value is None else sha256(value).digest())
                for key, value in own
            ]
        )
        nodes = sorted(tree.writes.items())
        replaced = [(key, reader.get(key)) for key, _ in (*own, *nodes)]
        undo = encode((running, self.names, tuple(replaced)))
        writes: list[Write] = [*nodes, (layout.height_key(layout.UNDO, height), undo)]
        if height > self._kept:
            writes.append((layout.height_key(layout.UNDO, height - self._kept), None))
        return TreeStep(state_hash(running, tree.root(), self.names), writes)


@dataclass(frozen=True, slots=True)
class Past:
    """The tree as one block left it."""

    reader: Reader
    """The store, with the tree and its keys as they were."""
    running: bytes
    """The block's running state hash."""
    names: tuple[str, ...]
    """Applications in the tree."""


def at_height(reader: Reader, executed: int, height: int) -> Past:
    """The tree as the block at `height` left it, where `executed` blocks are executed.

    Raises Fault("state.too-old") where what later blocks replaced is no longer kept.
    """
    view = Overlay(reader)
    for above in range(executed, height, -1):
        view.writes.update(_undo(reader, above)[2])
    running, names, _ = _undo(reader, height)
    return Past(view, running, names)


def _undo(reader: Reader, height: int) -> tuple[bytes, tuple[str, ...], tuple[Write, ...]]:
    raw = reader.get(layout.height_key(layout.UNDO, height))
    if raw is None:
        raise Fault("state.too-old", f"the tree of block {height} is not kept; ask again")
    try:
        running, names, changes = encoding.decode(
            raw, _undo_shape, size_max=_ENTRY_BYTES_MAX, what="changes of the tree"
        )
    except DecodeFault as fault:
        raise StorageError(f"changes of block {height} are damaged: {fault}; run an audit") from (
            fault
        )
    return running, names, changes
