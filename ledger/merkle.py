"""The Merkle tree of the log: roots, proofs and tiles over SHA-256.

The tree is that of RFC 9162, section 2.1 (unchanged from RFC 6962): a leaf's hash has the prefix
0x00 and a node's 0x01, so neither passes for the other, and n leaves split at the largest power of
two below n.  Tiles have the geometry of C2SP tlog-tiles: 256 hashes wide, 8 levels high.

A *complete subtree* at (level, index) covers the 2**level leaves from index * 2**level on.  Every
hash of a proof is built of complete subtrees, which never change once the log has grown past them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from ledger.errors import Fault, ProofFault, StorageError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162, 2.1.1)."""
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
"""Hashes of a full tile; a partial one has between 1 and 255."""
TILE_BYTES = TILE_WIDTH * HASH_BYTES

HashAt: TypeAlias = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree at (level, index)."""
ReadTile: TypeAlias = Callable[[int, int], bytes]
"""Gives the stored hashes, joined, of the full or partial tile at (level, index); b"" if none."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf: SHA-256(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes, all at hand; `Frontier` is for trees that grow.

    Works level by level: a node without a right neighbour moves up as it is, which is where the
    RFC's split at the largest power of two puts it.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    nodes = list(leaf_hashes)
    while len(nodes) > 1:
        parents = _parents(nodes)
        if len(nodes) & 1:
            parents.append(nodes[-1])
        nodes = parents
    return nodes[0]


def _parents(nodes: list[bytes]) -> list[bytes]:
    """The parents of neighbours 0 and 1, 2 and 3, and so on; an odd last node gets none."""
    pairs = zip(nodes[::2], nodes[1::2], strict=False)
    # Inlined node_hash: the call would cost a third of the hash.
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: all that is needed to append leaves and to know the root.

    (size, hashes) is its whole state, at most 64 hashes.  Raises ProofFault("merkle.frontier")
    when built of anything else than one hash for each one bit of the size.
    """

    size: int = 0
    """Leaves appended so far."""
    hashes: tuple[bytes, ...] = ()
    """Roots of the complete subtrees that make up the tree, from left to right, largest first."""

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ProofFault("merkle.frontier", f"{len(self.hashes)} hashes, size {self.size}")
        check_lengths(self.hashes)

    def append(self, leaf_hashes: Sequence[bytes]) -> None:
        """Add leaves at the right, at the price of one hash a leaf."""
        kept = list(self.hashes)
        fresh: list[bytes] = []
        nodes = list(leaf_hashes)
        position = self.size
        while nodes:
            if position & 1:
                nodes.insert(0, kept.pop())
            if len(nodes) & 1:
                fresh.append(nodes[-1])
            nodes = _parents(nodes)
            position >>= 1
        self.size += len(leaf_hashes)
        self.hashes = (*kept, *reversed(fresh))
        assert len(self.hashes) == self.size.bit_count()

    def root(self) -> bytes:
        """The root of the tree so far (RFC 9162, 2.1.1)."""
        return _join(self.hashes) if self.hashes else EMPTY_ROOT

    def copy(self) -> Frontier:
        """A frontier that grows on its own from here."""
        return Frontier(self.size, self.hashes)


def _join(subtrees: Sequence[bytes]) -> bytes:
    """The root over neighbouring complete subtrees that get smaller from left to right."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


# Proofs


def inclusion_path(index: int, size: int, hash_at: HashAt) -> tuple[bytes, ...]:
    """The path of leaf `index` in the tree of the first `size` leaves, from the leaf upwards.

    PATH(m, D[n]) of RFC 9162, 2.1.3.1.  Raises Fault("merkle.range") unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise Fault("merkle.range", f"no leaf {index} in a tree of {size}")
    path = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + split(stop - start)
        if index < middle:
            path.append(range_root(middle, stop, hash_at))
            stop = middle
        else:
            path.append(range_root(start, middle, hash_at))
            start = middle
    return tuple(reversed(path))


def consistency_path(old_size: int, new_size: int, hash_at: HashAt) -> tuple[bytes, ...]:
    """The proof that the first old_size leaves of the tree of new_size are the old tree.

    PROOF(m, D[n]) of RFC 9162, 2.1.4.1; empty between equal sizes.  Raises Fault("merkle.range")
    unless 0 < old_size <= new_size: every tree begins with the empty one, so that nothing proves.
    """
    if not 0 < old_size <= new_size:
        raise Fault("merkle.range", f"no proof leads from size {old_size} to {new_size}")
    path = []
    start, stop = 0, new_size
    while stop != old_size:
        middle = start + split(stop - start)
        if old_size <= middle:
            path.append(range_root(middle, stop, hash_at))
            stop = middle
        else:
            path.append(range_root(start, middle, hash_at))
            start = middle
    # Whoever checks knows the whole old tree's root, but not that of its last subtree.
    if start > 0:
        path.append(range_root(start, stop, hash_at))
    return tuple(reversed(path))


def root_at(size: int, hash_at: HashAt) -> bytes:
    """The root of a log's first `size` leaves, from its complete subtrees."""
    return range_root(0, size, hash_at) if size else EMPTY_ROOT


def split(count: int) -> int:
    """The largest power of two smaller than count, which is at least 2 (RFC 9162, 2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def range_root(start: int, stop: int, hash_at: HashAt) -> bytes:
    """The root over leaves start to stop, a range that the RFC's splits lead to."""
    subtrees = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        subtrees.append(hash_at(level, start >> level))
        start += 1 << level
    return _join(subtrees)


def check_inclusion(
    leaf: bytes, path: Sequence[bytes], *, index: int, size: int, root: bytes
) -> None:
    """Raise ProofFault unless the path leads from the leaf's hash at index to the root.

    RFC 9162, 2.1.3.2.  The path binds the index, but the size only as far as it shapes the path
    (leaf 0 has the same one in trees of 5 to 8 leaves), so take size and root from one signed
    checkpoint.  Reasons: merkle.length, merkle.index, merkle.path, merkle.root.
    """
    check_lengths((leaf, root, *path))
    if not 0 <= index < size:
        raise ProofFault("merkle.index", f"no leaf {index} in a tree of {size}")
    position, last = index, size - 1
    computed = leaf
    for sibling in path:
        if last == 0:
            raise ProofFault("merkle.path", "the path is too long")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofFault("merkle.path", "the path is too short")
    if computed != root:
        raise ProofFault("merkle.root", "the path leads to another root")


def check_consistency(
    path: Sequence[bytes], *, old_size: int, old_root: bytes, new_size: int, new_root: bytes
) -> None:
    """Raise ProofFault unless the new tree is the old one with leaves appended.

    RFC 9162, 2.1.4.2; between equal sizes the path is empty and the roots are equal.  An old size
    of zero always fails: whoever starts from the empty tree has nothing to check and must know it.
    Reasons: merkle.length, merkle.size, merkle.path, merkle.root.
    """
    check_lengths((old_root, new_root, *path))
    if not 0 < old_size <= new_size:
        raise ProofFault("merkle.size", f"nothing leads from size {old_size} to {new_size}")
    if (old_size == new_size) != (not path):
        raise ProofFault("merkle.path", "a path is empty exactly between equal sizes")
    # A complete old tree is itself the subtree at which the two roots part.
    old_is_complete = old_size & (old_size - 1) == 0
    if old_is_complete or not path:
        first, rest = old_root, path
    else:
        first, rest = path[0], path[1:]
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_computed = new_computed = first
    for sibling in rest:
        if last == 0:
            raise ProofFault("merkle.path", "the path is too long")
        if position & 1 or position == last:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_computed = node_hash(new_computed, sibling)
        position, last = position >> 1, last >> 1
    if path and last != 0:
        raise ProofFault("merkle.path", "the path is too short")
    if old_computed != old_root or new_computed != new_root:
        raise ProofFault("merkle.root", "the path leads to other roots")


def check_lengths(hashes: Iterable[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise ProofFault("merkle.length", f"a hash has {len(value)} bytes")


# Tiles


def grown_tiles(
    old_size: int, leaf_hashes: Sequence[bytes], read_tile: ReadTile
) -> dict[tuple[int, int], bytes]:
    """The new content of every tile that changes when a tree of old_size gets these leaves.

    Keys are (level, index), lowest level first and from left to right.  Only full tiles count at
    the level above (C2SP tlog-tiles, Partial Tiles), so each tile is hashed once, when it fills
    up.  Raises StorageError when a partial tile that a tree of old_size has cannot be read.
    """
    tiles: dict[tuple[int, int], bytes] = {}
    level, count, added = 0, old_size, list(leaf_hashes)
    while added:
        first, width = divmod(count, TILE_WIDTH)
        data = b"".join((_stored(read_tile, level, first, width), *added))
        for offset in range(0, len(data), TILE_BYTES):
            tile = (level, first + offset // TILE_BYTES)
            tiles[tile] = data[offset : offset + TILE_BYTES]
        added = _full_tile_roots(data)
        level, count = level + 1, first
    return tiles


def _stored(read_tile: ReadTile, level: int, index: int, width: int) -> bytes:
    """The first `width` hashes of a stored tile, joined.  Raises StorageError if it has fewer."""
    if width == 0:
        return b""
    data = read_tile(level, index)
    size = width * HASH_BYTES
    if len(data) < size:
        raise StorageError(
            f"tile {index} of level {level} of the log holds {len(data)} bytes instead of {size}"
        )
    return data[:size]


def _full_tile_roots(data: bytes) -> list[bytes]:
    """The roots of the full tiles at the start of these joined hashes."""
    stop = len(data) - len(data) % TILE_BYTES
    nodes = [data[start : start + HASH_BYTES] for start in range(0, stop, HASH_BYTES)]
    for _ in range(TILE_HEIGHT):
        nodes = _parents(nodes)
    return nodes


class TileReader:
    """Finds the hashes of complete subtrees in the tiles of a log of `size` leaves.

    Make one for each job: it keeps every tile that it has read.
    """

    def __init__(self, read_tile: ReadTile, size: int) -> None:
        self._read_tile = read_tile
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    def hash_at(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree at (level, index), at most 127 hashes' work.

        Raises Fault("merkle.range") when the log has not grown so far, and StorageError when it
        has, but the tile is missing or cut short.
        """
        if level < 0 or index < 0 or (index + 1) << level > self._size:
            raise Fault("merkle.range", f"no subtree {index} of level {level} in {self._size}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, offset = divmod(index << height, TILE_WIDTH)
        start, stop = offset * HASH_BYTES, (offset + (1 << height)) * HASH_BYTES
        data = self._tile(tile_level, tile_index)
        return root_of([data[at : at + HASH_BYTES] for at in range(start, stop, HASH_BYTES)])

    def _tile(self, level: int, index: int) -> bytes:
        """All hashes that a log of this size has in the tile, joined."""
        if (level, index) not in self._tiles:
            left = (self._size >> level * TILE_HEIGHT) - index * TILE_WIDTH
            width = min(left, TILE_WIDTH)
            self._tiles[level, index] = _stored(self._read_tile, level, index, width)
        return self._tiles[level, index]
