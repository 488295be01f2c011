"""The authenticated tree: one root for one set of keys, and proofs of what is and is not there."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.errors import ProofFault
from ledger.state_tree import (
    EMPTY,
    HASH_BYTES,
    Path,
    Tree,
    check_path,
    leaf_hash,
    node_hash,
    path_of,
)


class Stored:
    """A tree whose nodes are kept between changes, as a database keeps them."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.written = 0

    def tree(self) -> Tree:
        return Tree(self.rows.get)

    def change(self, changes: dict[bytes, bytes | None]) -> bytes:
        tree = self.tree()
        tree.change([(path, value and sha256(value).digest()) for path, value in changes.items()])
        self.written = len(tree.writes)
        for key, node in tree.writes.items():
            if node is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = node
        return tree.root()


def paths(count: int, seed: int = 1) -> list[bytes]:
    """Distinct paths; some share a long prefix, so that deep nodes come up."""
    draw = random.Random(seed)
    made = {draw.randbytes(HASH_BYTES): None for _ in range(count)}
    for path in list(made)[: count // 4]:
        number = int.from_bytes(path, "big") ^ 1 << draw.randrange(200)
        made[number.to_bytes(HASH_BYTES, "big")] = None
    return list(made)


def plain_root(rows: dict[bytes, bytes], depth: int = 0) -> bytes:
    """The root by its definition, with no stored nodes at all."""
    if not rows:
        return EMPTY
    if len(rows) == 1:
        ((path, value),) = rows.items()
        return leaf_hash(path, sha256(value).digest())
    halves: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
    for path, value in rows.items():
        halves[path[depth // 8] >> (7 - depth % 8) & 1][path] = value
    return node_hash(plain_root(halves[0], depth + 1), plain_root(halves[1], depth + 1))


@pytest.mark.parametrize("seed", range(12))
def test_the_root_follows_from_the_keys_alone_after_any_changes(seed: int) -> None:
    draw = random.Random(seed)
    stored, rows = Stored(), dict[bytes, bytes]()
    known = paths(40, seed)
    for _ in range(30):
        changes: dict[bytes, bytes | None] = {}
        for path in draw.sample(known, draw.randrange(1, 12)):
            changes[path] = None if draw.random() < 0.45 else draw.randbytes(3)
        root = stored.change(changes)
        for path, value in changes.items():
            rows.pop(path, None)
            if value is not None:
                rows[path] = value
        assert root == plain_root(rows)
    fresh = Stored()
    assert fresh.change(dict(rows)) == root
    # Nothing is left over of what was deleted.
    assert fresh.rows == stored.rows
    assert stored.change(dict.fromkeys(rows)) == EMPTY
    assert stored.rows == {}


def test_a_changed_key_costs_the_nodes_on_its_path() -> None:
    stored = Stored()
    draw = random.Random(3)
    known = [draw.randbytes(HASH_BYTES) for _ in range(4096)]
    stored.change(dict.fromkeys(known, b"1"))

    stored.change({known[7]: b"2"})

    assert stored.written < 12 + 14


def test_every_key_is_shown_and_every_other_is_shown_absent() -> None:
    stored = Stored()
    known = paths(60)
    root = stored.change({path: path[:2] for path in known})
    tree = stored.tree()

    for path in known:
        check_path(tree.path(path), path, path[:2], root)
        with pytest.raises(ProofFault, match=r"state\.end"):
            check_path(tree.path(path), path, None, root)
        with pytest.raises(ProofFault, match=r"state\.end"):
            check_path(tree.path(path), path, b"other", root)
    for path in paths(60, seed=2):
        check_path(tree.path(path), path, None, root)
        with pytest.raises(ProofFault, match=r"state\.end"):
            check_path(tree.path(path), path, b"1", root)


def test_an_empty_tree_shows_that_anything_is_absent() -> None:
    path = path_of("payments", b"key")

    check_path(Stored().tree().path(path), path, None, EMPTY)


def test_the_key_of_one_application_is_not_that_of_another() -> None:
    assert path_of("a", b"b") == sha256(b"a\x00b").digest() != path_of("ab", b"")


def test_a_proof_for_another_place_or_root_is_refused() -> None:
    stored = Stored()
    known = paths(60)
    root = stored.change(dict.fromkeys(known, b"1"))
    tree = stored.tree()
    shown = tree.path(known[0])
    absent = next(path for path in paths(60, seed=2) if tree.path(path).end is not None)

    forged: list[tuple[Path, bytes, bytes | None, str]] = [
        # The leaf of another key says nothing of this one, unless this one would hang there.
        (tree.path(known[1]), known[0], None, "state.end"),
        (replace(tree.path(absent), end=None), absent, None, "state.root"),
        (replace(shown, siblings=shown.siblings[1:]), known[0], b"1", "state.root"),
        (replace(shown, siblings=(*shown.siblings, EMPTY)), known[0], b"1", "state.root"),
        (replace(shown, siblings=(EMPTY,) * 257), known[0], b"1", "state.path"),
        (Path((), None), known[0], None, "state.root"),
    ]
    for path, where, value, reason in forged:
        with pytest.raises(ProofFault) as caught:
            check_path(path, where, value, root)
        assert caught.value.reason == reason


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    left, right = sha256(b"left").digest(), sha256(b"right").digest()

    with pytest.raises(ProofFault, match=r"state\.root"):
        check_path(Path((), (left, right)), EMPTY, None, node_hash(left, right))
