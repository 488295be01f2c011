"""The authenticated tree over the keys of the applications that ask for one.

A binary trie over paths of 256 bits: the path of a key is the SHA-256 of its application and key,
so nobody chooses the shape of the tree, and the same keys and values give the same root whatever
the order in which they came.  A subtree with one key is that key's leaf, wherever it hangs, so that
the tree is about as deep as the logarithm of its keys (the shape of the Jellyfish Merkle tree: Gao,
Hu and Wu, 2021).  Nodes are stored by their place; a changed key costs the nodes on its path.

    path        SHA-256(application || 0x00 || key)
    leaf        0x00 || path || SHA-256(value)
    inner node  0x01 || hash of the left subtree || hash of the right subtree
    hash        SHA-256 of a leaf or an inner node; 32 zero bytes of a subtree without keys

A proof is the hashes beside the path, from the root downwards, and what the path ends in: the
key's own leaf shows its value; another key's leaf, or nothing, shows that the key is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from ledger import layout
from ledger.errors import ProofFault

HASH_BYTES = 32
DEPTH_MAX = 8 * HASH_BYTES
EMPTY = bytes(HASH_BYTES)
"""Hash of a subtree without keys."""
_LEAF, _INNER = b"\x00", b"\x01"

Get: TypeAlias = Callable[[bytes], bytes | None]
"""Gives the stored value of a key of the database."""
Change: TypeAlias = tuple[bytes, bytes | None]
"""A path, and the SHA-256 of its new value, or None where the key is deleted."""


@dataclass(frozen=True, slots=True)
class Path:
    """What the tree shows of one path."""

    siblings: tuple[bytes, ...]
    """Hashes beside the path, from the root downwards."""
    end: tuple[bytes, bytes] | None
    """(path, SHA-256 of the value) of the leaf at its end; None where there is none."""


def path_of(application: str, key: bytes) -> bytes:
    """Where the tree holds this key of an application (whose name has no zero byte)."""
    return sha256(application.encode("ascii") + b"\x00" + key).digest()


def leaf_hash(path: bytes, value_hash: bytes) -> bytes:
    """The hash of the leaf that says so."""
    return sha256(_LEAF + path + value_hash).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the inner node over two subtrees."""
    return sha256(_INNER + left + right).digest()


class Tree:
    """The tree as `get` gives it, with changes on top; `writes` is what has to be stored.

    It belongs to one execution.  Only `change` writes, and what it wrote is seen by what follows.
    """

    def __init__(self, get: Get) -> None:
        self._get = get
        self.writes: dict[bytes, bytes | None] = {}
        """Changed nodes by their database key; None where one is gone."""

    def root(self) -> bytes:
        """The hash of the whole tree; `EMPTY` where it has no keys."""
        return _hash(self._node(0, 0))

    def change(self, changes: Sequence[Change]) -> None:
        """Apply the changes; of a path that stands there twice, the last one counts."""
        ordered = sorted({int.from_bytes(path, "big"): value for path, value in changes}.items())
        if ordered:
            self._change(0, 0, ordered)

    def path(self, path: bytes) -> Path:
        """What the tree shows of this path: its value, or that it is absent."""
        position = int.from_bytes(path, "big")
        siblings: list[bytes] = []
        while True:
            depth = len(siblings)
            node = self._node(depth, position >> (DEPTH_MAX - depth))
            if node is None:
                return Path(tuple(siblings), None)
            first, second = node[1 : 1 + HASH_BYTES], node[1 + HASH_BYTES :]
            if node[:1] == _LEAF:
                return Path(tuple(siblings), (first, second))
            siblings.append(first if _bit(position, depth) else second)

    def _node(self, depth: int, prefix: int) -> bytes | None:
        key = layout.tree_key(depth, prefix)
        return self.writes[key] if key in self.writes else self._get(key)

    def _put(self, depth: int, prefix: int, node: bytes | None) -> bytes | None:
        self.writes[layout.tree_key(depth, prefix)] = node
        return node

    def _change(
        self, depth: int, prefix: int, changes: list[tuple[int, bytes | None]]
    ) -> bytes | None:
        """The new node at this place, stored; its subtree takes in the changes, in path order."""
        node = self._node(depth, prefix)
        if node is None or node[:1] == _LEAF:
            return self._build(depth, prefix, _with_leaf(node, changes))
        middle = _middle(depth, changes)
        halves = changes[:middle], changes[middle:]
        hashes = [node[1 : 1 + HASH_BYTES], node[1 + HASH_BYTES :]]
        for side in (0, 1):
            if halves[side]:
                hashes[side] = _hash(self._change(depth + 1, 2 * prefix + side, halves[side]))
        if EMPTY in hashes:
            return self._shrink(depth, prefix, hashes)
        return self._put(depth, prefix, _INNER + hashes[0] + hashes[1])

    def _shrink(self, depth: int, prefix: int, hashes: list[bytes]) -> bytes | None:
        """The node over a subtree that ran empty: the other one's only leaf moves up here."""
        if hashes == [EMPTY, EMPTY]:
            return self._put(depth, prefix, None)
        side = 1 if hashes[0] == EMPTY else 0
        child = self._node(depth + 1, 2 * prefix + side)
        assert child is not None, "a subtree with a hash has a node"
        if child[:1] == _LEAF:
            self._put(depth + 1, 2 * prefix + side, None)
            return self._put(depth, prefix, child)
        return self._put(depth, prefix, _INNER + hashes[0] + hashes[1])

    def _build(self, depth: int, prefix: int, leaves: list[tuple[int, bytes]]) -> bytes | None:
        """The node over these leaves, where no nodes are below."""
        if not leaves:
            return self._put(depth, prefix, None)
        if len(leaves) == 1:
            path, value = leaves[0]
            return self._put(depth, prefix, _LEAF + path.to_bytes(HASH_BYTES, "big") + value)
        middle = _middle(depth, leaves)
        # Nothing is stored where nothing is: `_build` of no leaves would write a deletion.
        parts = [
            _hash(self._build(depth + 1, 2 * prefix + side, part)) if part else EMPTY
            for side, part in ((0, leaves[:middle]), (1, leaves[middle:]))
        ]
        return self._put(depth, prefix, _INNER + parts[0] + parts[1])


def _with_leaf(
    node: bytes | None, changes: list[tuple[int, bytes | None]]
) -> list[tuple[int, bytes]]:
    """The leaves that are left of one leaf, or none, after the changes; in path order."""
    leaves = {path: value for path, value in changes if value is not None}
    if node is not None:
        path = int.from_bytes(node[1 : 1 + HASH_BYTES], "big")
        if all(path != changed for changed, _ in changes):
            leaves[path] = node[1 + HASH_BYTES :]
    return sorted(leaves.items())


def _bit(position: int, depth: int) -> int:
    return position >> (DEPTH_MAX - 1 - depth) & 1


def _middle(depth: int, rows: Sequence[tuple[int, object]]) -> int:
    """How many of the rows, in path order and alike down to `depth`, go to the left."""
    return sum(1 for position, _ in rows if not _bit(position, depth))


def _hash(node: bytes | None) -> bytes:
    return EMPTY if node is None else sha256(node).digest()


def check_path(shown: Path, path: bytes, value: bytes | None, root: bytes) -> None:
    """Raise ProofFault unless the tree with this root holds the value at the path, or nothing.

    Reasons: those of `root_shown`, and state.root.
    """
    if root_shown(shown, path, value) != root:
        raise ProofFault("state.root", "the path leads to another root")


def root_shown(shown: Path, path: bytes, value: bytes | None) -> bytes:
    """The root of a tree that holds the value at the path, or nothing, if `shown` is of it.

    Raises ProofFault: state.path (too long), state.end (another key, or none, where a value is
    shown; a key where none should be, or one from another subtree).
    """
    depth = len(shown.siblings)
    if depth > DEPTH_MAX:
        raise ProofFault("state.path", "the path is too long")
    position = int.from_bytes(path, "big")
    if value is not None:
        if shown.end != (path, sha256(value).digest()):
            raise ProofFault("state.end", "the path does not end in the key with this value")
    elif shown.end is not None:
        other = int.from_bytes(shown.end[0], "big")
        if shown.end[0] == path:
            raise ProofFault("state.end", "the path ends in the key, which is not absent")
        if other >> (DEPTH_MAX - depth) != position >> (DEPTH_MAX - depth):
            raise ProofFault("state.end", "the path ends in a leaf of another subtree")
    computed = EMPTY if shown.end is None else leaf_hash(*shown.end)
    for level in reversed(range(depth)):
        sibling = shown.siblings[level]
        pair = (sibling, computed) if _bit(position, level) else (computed, sibling)
        computed = node_hash(*pair)
    return computed
