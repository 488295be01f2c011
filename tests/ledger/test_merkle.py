"""The log's tree against the published vectors and against the RFC's own recursive definitions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Fault, ProofFault, StorageError
from ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    TILE_BYTES,
    TILE_WIDTH,
    Frontier,
    TileReader,
    check_consistency,
    check_inclusion,
    consistency_path,
    grown_tiles,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merkle.json").read_text())
REFERENCE_LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
REFERENCE_ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
GARBAGE = sha256(b"garbage").digest()

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(70_000)]


# The model: RFC 9162, 2.1.1, 2.1.3.1 and 2.1.4.1, written as the RFC writes it.


def model_split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


@cache
def model_root(start: int, stop: int) -> bytes:
    """MTH(D[start:stop])."""
    if start == stop:
        return sha256(b"").digest()
    if stop - start == 1:
        return LEAVES[start]
    middle = start + model_split(stop - start)
    return sha256(b"\x01" + model_root(start, middle) + model_root(middle, stop)).digest()


def model_path(index: int, start: int, stop: int) -> list[bytes]:
    """PATH(index, D[start:stop])."""
    if stop - start == 1:
        return []
    split = model_split(stop - start)
    middle = start + split
    if index < split:
        return [*model_path(index, start, middle), model_root(middle, stop)]
    return [*model_path(index - split, middle, stop), model_root(start, middle)]


def model_proof(count: int, start: int, stop: int, *, known: bool) -> list[bytes]:
    """SUBPROOF(count, D[start:stop], known)."""
    if count == stop - start:
        return [] if known else [model_root(start, stop)]
    split = model_split(stop - start)
    middle = start + split
    if count <= split:
        return [*model_proof(count, start, middle, known=known), model_root(middle, stop)]
    return [*model_proof(count - split, middle, stop, known=False), model_root(start, middle)]


def model_hash_at(level: int, index: int) -> bytes:
    return model_root(index << level, (index + 1) << level)


def inclusion_shape(index: int, size: int) -> list[str]:
    """On which side of the leaf each hash of its path stands, from the leaf upwards."""
    if size == 1:
        return []
    split = model_split(size)
    if index < split:
        return [*inclusion_shape(index, split), "right"]
    return [*inclusion_shape(index - split, size - split), "left"]


def consistency_shape(old: int, new: int, *, known: bool = True) -> list[str]:
    """Where a consistency proof begins, and on which side each of its hashes stands."""
    if old == new:
        return ["old root" if known else "in the path"]
    split = model_split(new)
    if old <= split:
        return [*consistency_shape(old, split, known=known), "right"]
    return [*consistency_shape(old - split, new - split, known=False), "left"]


class Tiles:
    """A log's tiles, kept as a store keeps them."""

    def __init__(self) -> None:
        self.size = 0
        self.stored: dict[tuple[int, int], bytes] = {}

    def read(self, level: int, index: int) -> bytes:
        return self.stored.get((level, index), b"")

    def grow(self, count: int) -> dict[tuple[int, int], bytes]:
        changed = grown_tiles(self.size, LEAVES[self.size : self.size + count], self.read)
        self.stored.update(changed)
        self.size += count
        return changed

    def reader(self) -> TileReader:
        return TileReader(self.read, self.size)


def model_tiles(size: int) -> dict[tuple[int, int], bytes]:
    """Every tile of a tree of this size, by the formula of C2SP tlog-tiles."""
    tiles = {}
    level = 0
    while count := size // 256**level:
        hashes = [model_root(i * 256**level, (i + 1) * 256**level) for i in range(count)]
        for first in range(0, count, 256):
            tiles[level, first // 256] = b"".join(hashes[first : first + 256])
        level += 1
    return tiles


def flipped(value: bytes) -> Iterator[bytes]:
    """The value with each one of its bits flipped."""
    for position in range(len(value) * 8):
        changed = bytearray(value)
        changed[position // 8] ^= 1 << position % 8
        yield bytes(changed)


def accepts(check: Callable[..., None], *args: Any, **kwargs: Any) -> bool:
    try:
        check(*args, **kwargs)
    except ProofFault:
        return False
    return True


# Hashes and roots


@pytest.mark.parametrize("case", VECTORS["hashes"], ids=lambda case: case["of"])
def test_leaves_and_nodes_hash_as_published(case: dict[str, Any]) -> None:
    hashed = {"leaf": leaf_hash, "node": node_hash}[case["of"]]

    assert hashed(*map(bytes.fromhex, case["input"])).hex() == case["hash"]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert REFERENCE_ROOTS[0] == EMPTY_ROOT
    assert root_of([]) == EMPTY_ROOT
    assert Frontier().root() == EMPTY_ROOT


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = LEAVES[:2]

    assert node_hash(left, right) != leaf_hash(left + right)
    assert node_hash(left, right) != node_hash(right, left)


@pytest.mark.parametrize("size", range(len(REFERENCE_ROOTS)))
def test_the_reference_tree_has_the_published_roots(size: int) -> None:
    frontier = Frontier()
    frontier.append(REFERENCE_LEAVES[:size])

    assert root_of(REFERENCE_LEAVES[:size]) == REFERENCE_ROOTS[size]
    assert frontier.root() == REFERENCE_ROOTS[size]


def test_roots_of_all_small_trees_match_the_model() -> None:
    frontier = Frontier()
    for size in range(1, 520):
        frontier.append([LEAVES[size - 1]])

        assert root_of(LEAVES[:size]) == model_root(0, size)
        assert frontier.root() == model_root(0, size)
        assert len(frontier.hashes) == size.bit_count()


def test_root_of_leaves_its_argument_alone() -> None:
    leaves = LEAVES[:7]
    root_of(leaves)

    assert leaves == LEAVES[:7]


@given(st.lists(st.integers(0, 700), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_frontier_does_not_depend_on_how_its_leaves_were_divided(counts: list[int]) -> None:
    frontier = Frontier()
    for count in counts:
        before = frontier.copy()
        frontier.append(LEAVES[frontier.size : frontier.size + count])

        assert Frontier(frontier.size, frontier.hashes).root() == model_root(0, frontier.size)
        assert before.root() == model_root(0, before.size)
    assert frontier.size == sum(counts)


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(0, 1), (1, 0), (4, 2), (7, 2), (-1, 1)],
)
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, hashes: int) -> None:
    with pytest.raises(ProofFault, match=r"merkle\.frontier"):
        Frontier(size, tuple(LEAVES[:hashes]))


def test_a_frontier_of_cut_hashes_is_refused() -> None:
    with pytest.raises(ProofFault, match=r"merkle\.length"):
        Frontier(1, (LEAVES[0][:-1],))


# Proofs


@pytest.mark.parametrize("case", VECTORS["inclusion"])
def test_published_inclusion_paths_are_made_and_accepted(case: dict[str, Any]) -> None:
    index, size = case["index"], case["size"]
    path = tuple(map(bytes.fromhex, case["path"]))

    def hash_at(level: int, number: int) -> bytes:
        return root_of(REFERENCE_LEAVES[number << level : (number + 1) << level])

    assert inclusion_path(index, size, hash_at) == path
    check_inclusion(
        REFERENCE_LEAVES[index], path, index=index, size=size, root=REFERENCE_ROOTS[size]
    )


@pytest.mark.parametrize("case", VECTORS["consistency"])
def test_published_consistency_paths_are_made_and_accepted(case: dict[str, Any]) -> None:
    old, new = case["old_size"], case["new_size"]
    path = tuple(map(bytes.fromhex, case["path"]))

    def hash_at(level: int, number: int) -> bytes:
        return root_of(REFERENCE_LEAVES[number << level : (number + 1) << level])

    assert consistency_path(old, new, hash_at) == path
    check_consistency(
        path,
        old_size=old,
        old_root=REFERENCE_ROOTS[old],
        new_size=new,
        new_root=REFERENCE_ROOTS[new],
    )


def test_all_inclusion_paths_of_small_trees_match_the_model_and_are_accepted() -> None:
    for size in range(1, 70):
        for index in range(size):
            path = inclusion_path(index, size, model_hash_at)

            assert list(path) == model_path(index, 0, size)
            check_inclusion(LEAVES[index], path, index=index, size=size, root=model_root(0, size))


def test_all_consistency_paths_of_small_trees_match_the_model_and_are_accepted() -> None:
    for new in range(1, 70):
        for old in range(1, new + 1):
            path = consistency_path(old, new, model_hash_at)

            assert list(path) == model_proof(old, 0, new, known=True)
            check_consistency(
                path,
                old_size=old,
                old_root=model_root(0, old),
                new_size=new,
                new_root=model_root(0, new),
            )


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (4, 3)])
def test_no_path_leads_to_a_leaf_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(Fault, match=r"merkle\.range"):
        inclusion_path(index, size, model_hash_at)
    with pytest.raises(ProofFault, match=r"merkle\.index"):
        check_inclusion(LEAVES[0], (), index=index, size=size, root=LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (6, 5), (-1, 5)])
def test_no_consistency_path_leads_from_nothing_or_backwards(old: int, new: int) -> None:
    with pytest.raises(Fault, match=r"merkle\.range"):
        consistency_path(old, new, model_hash_at)
    with pytest.raises(ProofFault, match=r"merkle\.size"):
        check_consistency((), old_size=old, old_root=EMPTY_ROOT, new_size=new, new_root=EMPTY_ROOT)


def test_any_flipped_bit_of_an_inclusion_proof_is_refused() -> None:
    for size in range(1, 10):
        for index in range(size):
            leaf, root, path = LEAVES[index], model_root(0, size), model_path(index, 0, size)
            where = {"index": index, "size": size}

            for changed in flipped(leaf):
                assert not accepts(check_inclusion, changed, path, root=root, **where)
            for changed in flipped(root):
                assert not accepts(check_inclusion, leaf, path, root=changed, **where)
            for place, sibling in enumerate(path):
                for changed in flipped(sibling):
                    mutated = [*path[:place], changed, *path[place + 1 :]]
                    assert not accepts(check_inclusion, leaf, mutated, root=root, **where)


def test_any_flipped_bit_of_a_consistency_proof_is_refused() -> None:
    for new in range(1, 9):
        for old in range(1, new + 1):
            path = model_proof(old, 0, new, known=True)
            roots = {"old_root": model_root(0, old), "new_root": model_root(0, new)}
            sizes = {"old_size": old, "new_size": new}

            for name, root in roots.items():
                for changed in flipped(root):
                    assert not accepts(check_consistency, path, **sizes, **{**roots, name: changed})
            for place, part in enumerate(path):
                for changed in flipped(part):
                    mutated = [*path[:place], changed, *path[place + 1 :]]
                    assert not accepts(check_consistency, mutated, **sizes, **roots)


def test_an_inclusion_proof_holds_for_no_other_index_or_shape_of_tree() -> None:
    for size in range(1, 20):
        for index in range(size):
            leaf, root, path = LEAVES[index], model_root(0, size), model_path(index, 0, size)
            shape = inclusion_shape(index, size)

            for other in range(-2, 40):
                accepted = accepts(check_inclusion, leaf, path, index=other, size=size, root=root)
                assert accepted == (other == index)
            for other in range(-2, 40):
                same = index < other and inclusion_shape(index, other) == shape
                accepted = accepts(check_inclusion, leaf, path, index=index, size=other, root=root)
                assert accepted == same


def test_a_consistency_proof_holds_for_no_other_shape_of_trees() -> None:
    shapes = {
        (old, new): consistency_shape(old, new) for new in range(1, 18) for old in range(1, new + 1)
    }
    for (old, new), shape in shapes.items():
        path = model_proof(old, 0, new, known=True)
        roots = {"old_root": model_root(0, old), "new_root": model_root(0, new)}

        for (other_old, other_new), other_shape in shapes.items():
            accepted = accepts(
                check_consistency, path, old_size=other_old, new_size=other_new, **roots
            )
            assert accepted == (other_shape == shape)


# The negative cases, by the names of the conformance set of transparency-dev/merkle

INCLUSION_PROBES = [(0, 1), (0, 8), (5, 8), (2, 3), (1, 5)]


def inclusion_cases(index: int, size: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, reason, what replaces the right argument) for each way to spoil this proof."""
    path, root = model_path(index, 0, size), model_root(0, size)
    yield "wrong-leaf", "merkle.root", {"leaf": GARBAGE}
    yield "empty-leaf", "merkle.length", {"leaf": b""}
    yield "empty-root", "merkle.length", {"root": b""}
    yield "empty-root-and-leaf", "merkle.length", {"root": b"", "leaf": b""}
    yield "empty-root-and-random-leaf", "merkle.length", {"root": b"", "leaf": GARBAGE}
    yield "root-of-the-empty-tree", "merkle.root", {"root": EMPTY_ROOT}
    yield "random-root", "merkle.root", {"root": GARBAGE}
    yield "leafIdx-plus-1", "", {"index": index + 1}
    yield "leafIdx-sub-1", "", {"index": index - 1}
    yield "leafIdx-XOR-2", "", {"index": index ^ 2}
    yield "treeSize-mul-2", "merkle.path", {"size": size * 2}
    yield "treeSize-div-2", "", {"size": size // 2}
    yield "preceding-garbage", "", {"path": [GARBAGE, *path]}
    yield "trailing-garbage", "merkle.path", {"path": [*path, GARBAGE]}
    yield "preceding-root", "", {"path": [root, *path]}
    yield "trailing-root", "merkle.path", {"path": [*path, root]}
    yield "short-component", "merkle.length", {"path": [*path, b""]}
    if path:
        yield "removed-component", "merkle.path", {"path": path[:-1]}
        yield "inserted-component", "", {"path": [path[0], GARBAGE, *path[1:]]}
        yield "swapped-sides", "merkle.root", {"leaf": path[0], "path": [LEAVES[index], *path[1:]]}


@pytest.mark.parametrize(("index", "size"), INCLUSION_PROBES)
def test_spoiled_inclusion_proofs_are_refused(index: int, size: int) -> None:
    right = {
        "leaf": LEAVES[index],
        "path": model_path(index, 0, size),
        "index": index,
        "size": size,
        "root": model_root(0, size),
    }
    check_inclusion(**right)

    for name, reason, spoiled in inclusion_cases(index, size):
        with pytest.raises(ProofFault) as caught:
            check_inclusion(**{**right, **spoiled})
        assert caught.value.reason.startswith(reason), name


CONSISTENCY_PROBES = [(1, 8), (6, 8), (2, 5), (6, 7)]


def consistency_cases(old: int, new: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    path = model_proof(old, 0, new, known=True)
    old_root, new_root = model_root(0, old), model_root(0, new)
    yield "empty-proof", "merkle.path", {"path": []}
    yield "truncated-proof", "merkle.path", {"path": path[:-1]}
    yield "swapped-roots", "merkle.root", {"old_root": new_root, "new_root": old_root}
    yield "wrong-root1", "merkle.root", {"old_root": GARBAGE}
    yield "wrong-root2", "merkle.root", {"new_root": GARBAGE}
    yield "empty-root1", "merkle.length", {"old_root": b""}
    yield "empty-root2", "merkle.length", {"new_root": b""}
    yield "size1-plus-1", "", {"old_size": old + 1}
    yield "size1-sub-1", "", {"old_size": old - 1}
    yield "size1-XOR-2", "", {"old_size": old ^ 2}
    yield "size2-mul-2", "", {"new_size": new * 2}
    yield "size2-div-2", "", {"new_size": new // 2}
    yield "preceding-garbage", "", {"path": [GARBAGE, *path]}
    yield "trailing-garbage", "merkle.path", {"path": [*path, GARBAGE]}
    yield "preceding-root1", "", {"path": [old_root, *path]}
    yield "trailing-root1", "merkle.path", {"path": [*path, old_root]}
    yield "preceding-root2", "", {"path": [new_root, *path]}
    yield "trailing-root2", "merkle.path", {"path": [*path, new_root]}
    yield "preceding-proof-0", "", {"path": [path[0], *path]}
    yield "short-component", "merkle.length", {"path": [*path[:-1], path[-1][:-1]]}


@pytest.mark.parametrize(("old", "new"), CONSISTENCY_PROBES)
def test_spoiled_consistency_proofs_are_refused(old: int, new: int) -> None:
    right = {
        "path": model_proof(old, 0, new, known=True),
        "old_size": old,
        "old_root": model_root(0, old),
        "new_size": new,
        "new_root": model_root(0, new),
    }
    check_consistency(**right)

    for name, reason, spoiled in consistency_cases(old, new):
        with pytest.raises(ProofFault) as caught:
            check_consistency(**{**right, **spoiled})
        assert caught.value.reason.startswith(reason), name


@pytest.mark.parametrize(
    ("name", "old", "new", "roots", "path", "reason"),
    [
        ("sizes-are-equal-zero-and-proof-is-empty", 0, 0, "same", [], "merkle.size"),
        ("sizes-are-equal-zero-but-roots-are-not", 0, 0, "other", [], "merkle.size"),
        ("sizes-match-but-proof-is-not-empty-zero", 0, 0, "same", [GARBAGE], "merkle.size"),
        ("size1-is-zero-and-size2-is-not-zero", 0, 5, "other", [], "merkle.size"),
        ("size1-is-zero-and-proof-is-not-empty", 0, 5, "other", [GARBAGE], "merkle.size"),
        ("size1-is-greater-than-size2", 3, 2, "other", [GARBAGE], "merkle.size"),
        ("size1-is-greater-than-zero-size2", 1, 0, "other", [], "merkle.size"),
        ("sizes-are-equal-one-but-roots-are-not", 1, 1, "other", [], "merkle.root"),
        ("sizes-match-but-proof-is-not-empty-one", 1, 1, "same", [GARBAGE], "merkle.path"),
        ("sizes-do-not-match-and-proof-is-empty", 1, 2, "other", [], "merkle.path"),
        ("sizes-do-not-match-but-roots-do", 1, 2, "same", [], "merkle.path"),
        ("sizes-are-equal-one-and-proof-is-empty", 1, 1, "same", [], None),
        ("sizes-are-equal-five-and-proof-is-empty", 5, 5, "same", [], None),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_consistency_at_the_edges(
    name: str, old: int, new: int, roots: str, path: list[bytes], reason: str | None
) -> None:
    new_root = LEAVES[0] if roots == "same" else LEAVES[1]
    proof = {"old_size": old, "old_root": LEAVES[0], "new_size": new, "new_root": new_root}

    if reason is None:
        check_consistency(path, **proof)
        return
    with pytest.raises(ProofFault) as caught:
        check_consistency(path, **proof)
    assert caught.value.reason == reason


def test_between_equal_sizes_even_a_path_that_leads_to_the_root_is_refused() -> None:
    path, root = [model_root(4, 6), model_root(0, 4)], model_root(0, 6)

    with pytest.raises(ProofFault, match=r"merkle\.path"):
        check_consistency(path, old_size=6, old_root=root, new_size=6, new_root=root)


# Tiles


@given(st.lists(st.integers(0, 600), max_size=5))
@settings(max_examples=25, deadline=None)
def test_growing_writes_exactly_the_tiles_that_change(counts: list[int]) -> None:
    tiles = Tiles()
    for count in counts:
        before = dict(tiles.stored)
        changed = tiles.grow(count)

        expected = model_tiles(tiles.size)
        assert tiles.stored == expected
        assert changed == {
            tile: data for tile, data in expected.items() if before.get(tile) != data
        }
        assert list(changed) == sorted(changed)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=4), st.data())
@settings(max_examples=40, deadline=None)
def test_proofs_out_of_tiles_match_the_model(counts: list[int], data: st.DataObject) -> None:
    tiles = Tiles()
    for count in counts:
        tiles.grow(count)
    # An older tree's proof comes out of tiles that have grown since.
    size = data.draw(st.integers(1, tiles.size))
    old, index = data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1))
    hash_at = tiles.reader().hash_at

    assert list(inclusion_path(index, size, hash_at)) == model_path(index, 0, size)
    assert list(consistency_path(old, size, hash_at)) == model_proof(old, 0, size, known=True)


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_worked_example() -> None:
    tiles = Tiles()
    for count in (1, 255, 44_000, 25_744):
        tiles.grow(count)
    widths: dict[int, list[int]] = {}
    for (level, _), data in sorted(tiles.stored.items()):
        widths.setdefault(level, []).append(len(data) // HASH_BYTES)

    assert tiles.size == 70_000
    assert widths == {0: [TILE_WIDTH] * 273 + [112], 1: [TILE_WIDTH, 17], 2: [1]}
    assert tiles.stored == model_tiles(70_000)


def test_a_tree_of_256_leaves_has_a_full_tile_and_one_hash_above() -> None:
    tiles = Tiles()
    tiles.grow(256)

    assert {tile: len(data) for tile, data in tiles.stored.items()} == {
        (0, 0): TILE_BYTES,
        (1, 0): HASH_BYTES,
    }
    assert tiles.read(1, 0) == model_root(0, 256)


def test_proofs_across_three_levels_of_tiles_are_accepted() -> None:
    tiles = Tiles()
    tiles.grow(70_000)
    frontier = Frontier()
    frontier.append(LEAVES)
    reader = tiles.reader()

    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999):
        path = inclusion_path(index, 70_000, reader.hash_at)
        check_inclusion(LEAVES[index], path, index=index, size=70_000, root=frontier.root())
    for old in (1, 256, 257, 65_535, 65_536, 65_537, 69_999):
        path = consistency_path(old, 70_000, reader.hash_at)
        check_consistency(
            path,
            old_size=old,
            old_root=model_root(0, old),
            new_size=70_000,
            new_root=frontier.root(),
        )


def test_a_reader_knows_the_end_of_the_log_from_a_damaged_tile() -> None:
    tiles = Tiles()
    tiles.grow(300)

    with pytest.raises(Fault, match=r"merkle\.range"):
        tiles.reader().hash_at(0, 300)
    with pytest.raises(Fault, match=r"merkle\.range"):
        tiles.reader().hash_at(9, 0)
    with pytest.raises(Fault, match=r"merkle\.range"):
        tiles.reader().hash_at(0, -1)

    tiles.stored[0, 1] = tiles.stored[0, 1][:-1]
    assert tiles.reader().hash_at(8, 0) == model_root(0, 256)
    with pytest.raises(StorageError, match="tile 1 of level 0"):
        tiles.reader().hash_at(0, 256)


@pytest.mark.parametrize("left", [0, 1, HASH_BYTES, 44 * HASH_BYTES - 1])
def test_a_log_does_not_grow_over_a_damaged_tile(left: int) -> None:
    tiles = Tiles()
    tiles.grow(300)
    tiles.stored[0, 1] = tiles.stored[0, 1][:left]

    with pytest.raises(StorageError, match=f"holds {left} bytes instead of {44 * HASH_BYTES}"):
        tiles.grow(1)


def test_growing_again_over_tiles_that_were_already_written_gives_the_same_tiles() -> None:
    tiles = Tiles()
    tiles.grow(300)
    first = tiles.grow(40)

    again = grown_tiles(300, LEAVES[300:340], tiles.read)

    assert again == first


def test_a_log_that_ends_at_the_edge_of_a_tile_grows_without_reading_there() -> None:
    reads: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return model_root(0, 256)

    grown = grown_tiles(256, LEAVES[256:257], read)

    assert grown == {(0, 1): LEAVES[256]}
    assert reads == []


def test_a_reader_reads_each_tile_once() -> None:
    tiles = Tiles()
    tiles.grow(1_000)
    reads: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return tiles.read(level, index)

    inclusion_path(300, 1_000, TileReader(read, 1_000).hash_at)

    assert sorted(reads) == [(0, 1), (0, 3), (1, 0)]
