"""Many leaves of one tree proved together: each hash that their paths share stands once.

What RFC 9162, 2.1.3 does for one leaf: walk the tree from its root, split every range at the
largest power of two below its size, and give the root of each range that holds none of the leaves
and whose neighbour holds one.  The order is that of the walk, left before right.  Leaves and size
say which hashes these are, so there is one proof for them, and it has no byte to spare.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ledger import merkle
from ledger.errors import Fault, ProofFault

Range: TypeAlias = tuple[int, int]
"""Leaves from the first to before the second, a range that the RFC's splits lead to."""


def prove(indexes: Iterable[int], size: int, hash_at: merkle.HashAt) -> tuple[bytes, ...]:
    """The proof of the leaves at these indexes in the tree of the first `size` leaves.

    Raises Fault("merkle.range") unless there is one, and each is below size.
    """
    return collect(indexes, size, lambda start, stop: merkle.range_root(start, stop, hash_at))


def collect(
    indexes: Iterable[int], size: int, root: Callable[[int, int], bytes]
) -> tuple[bytes, ...]:
    """`prove` over whatever gives the roots of ranges, such as what other proofs have shown."""
    ordered = sorted(set(indexes))
    if not ordered or ordered[0] < 0 or ordered[-1] >= size:
        raise Fault("merkle.range", f"no such leaves in a tree of {size}")
    return tuple([root(*empty) for empty in _empty_ranges(ordered, size)])


def _empty_ranges(ordered: Sequence[int], size: int) -> Iterator[Range]:
    """The ranges whose roots a proof gives, from left to right."""
    waiting = [(0, size)]
    while waiting:
        start, stop = waiting.pop()
        if _holds(ordered, start, stop):
            if stop - start > 1:
                middle = start + merkle.split(stop - start)
                waiting += ((middle, stop), (start, middle))
        else:
            yield start, stop


def _holds(ordered: Sequence[int], start: int, stop: int) -> bool:
    place = bisect_left(ordered, start)
    return place < len(ordered) and ordered[place] < stop


def check(
    leaf_hashes: Mapping[int, bytes], proof: Sequence[bytes], *, size: int
) -> tuple[bytes, dict[Range, bytes]]:
    """(root, root of every range on the way) that leaf hashes by index and a proof lead to.

    As with one leaf, take size and root from one signed checkpoint and compare.  Raises ProofFault:
    merkle.index for no leaf or one outside the tree, merkle.path for another number of hashes,
    merkle.length.
    """
    ordered = sorted(leaf_hashes)
    if not ordered or ordered[0] < 0 or ordered[-1] >= size:
        raise ProofFault("merkle.index", f"no such leaves in a tree of {size}")
    merkle.check_lengths((*leaf_hashes.values(), *proof))
    known: dict[Range, bytes] = {}
    given = iter(proof)
    for empty in _empty_ranges(ordered, size):
        found = next(given, None)
        if found is None:
            raise ProofFault("merkle.path", "the proof is too short")
        known[empty] = found
    if next(given, None) is not None:
        raise ProofFault("merkle.path", "the proof is too long")
    known |= {(index, index + 1): leaf_hashes[index] for index in ordered}
    return _root(0, size, known), known


def _root(start: int, stop: int, known: dict[Range, bytes]) -> bytes:
    """The root of a range; what it is built of is known, or becomes so.  At most 63 deep."""
    if (start, stop) not in known:
        middle = start + merkle.split(stop - start)
        left, right = _root(start, middle, known), _root(middle, stop, known)
        known[start, stop] = merkle.node_hash(left, right)
    return known[start, stop]
