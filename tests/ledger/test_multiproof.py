"""Many leaves of one tree proved together: against the paths of each, and against damage."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from ledger import merkle, multiproof
from ledger.errors import Fault, ProofFault

LEAVES = [merkle.leaf_hash(b"leaf %d" % index) for index in range(40)]


def hash_at(level: int, index: int) -> bytes:
    return merkle.root_of(LEAVES[index << level : (index + 1) << level])


def proof_of(indexes: tuple[int, ...], size: int) -> tuple[bytes, ...]:
    return multiproof.prove(indexes, size, hash_at)


def root_shown(indexes: tuple[int, ...], proof: tuple[bytes, ...], size: int) -> bytes:
    leaves = {index: LEAVES[index] for index in indexes}
    return multiproof.check(leaves, proof, size=size)[0]


def test_every_set_of_leaves_of_every_small_tree_leads_to_its_root() -> None:
    for size in range(1, 9):
        for count in range(1, size + 1):
            for indexes in combinations(range(size), count):
                proof = proof_of(indexes, size)
                assert root_shown(indexes, proof, size) == merkle.root_of(LEAVES[:size])


def test_the_proof_of_one_leaf_is_its_path_and_that_of_all_is_empty() -> None:
    for size in (1, 2, 7, 32, 33, 40):
        for index in range(size):
            path = merkle.inclusion_path(index, size, hash_at)
            assert sorted(proof_of((index,), size)) == sorted(path)
        assert proof_of(tuple(range(size)), size) == ()


def test_what_the_paths_share_stands_once_and_what_follows_from_the_leaves_not_at_all() -> None:
    draw = Random("shared")
    for _ in range(50):
        indexes = tuple(sorted(draw.sample(range(40), draw.randint(2, 20))))
        paths = [merkle.inclusion_path(index, 40, hash_at) for index in indexes]
        proof = proof_of(indexes, 40)
        assert set(proof) < {node for path in paths for node in path}
        assert len(proof) == len(set(proof))


def test_another_number_or_order_of_hashes_never_leads_to_the_root() -> None:
    indexes, size = (3, 4, 17), 40
    root, proof = merkle.root_of(LEAVES), proof_of(indexes, size)

    with pytest.raises(ProofFault, match=r"merkle\.path: the proof is too short"):
        root_shown(indexes, proof[:-1], size)
    with pytest.raises(ProofFault, match=r"merkle\.path: the proof is too long"):
        root_shown(indexes, (*proof, proof[0]), size)
    with pytest.raises(ProofFault, match=r"merkle\.length"):
        root_shown(indexes, (proof[0][:31], *proof[1:]), size)
    for place in range(len(proof) - 1):
        swapped = list(proof)
        swapped[place : place + 2] = reversed(proof[place : place + 2])
        assert root_shown(indexes, tuple(swapped), size) != root
    moved = {4: LEAVES[3], 3: LEAVES[4], 17: LEAVES[17]}
    assert multiproof.check(moved, proof, size=size)[0] != root


@pytest.mark.parametrize("indexes", [(), (40,), (-1, 3)])
def test_leaves_that_are_not_there_are_refused(indexes: tuple[int, ...]) -> None:
    with pytest.raises(Fault, match=r"merkle\.range"):
        proof_of(indexes, 40)
    with pytest.raises(ProofFault, match=r"merkle\.index"):
        multiproof.check(dict.fromkeys(indexes, LEAVES[0]), (), size=40)


def test_what_proofs_have_shown_makes_the_proof_of_all_their_leaves() -> None:
    draw = Random("joined")
    for size in (2, 9, 31, 40):
        for _ in range(20):
            groups = [
                tuple(sorted(draw.sample(range(size), draw.randint(1, size // 2))))
                for _ in range(3)
            ]
            known: dict[multiproof.Range, bytes] = {}
            for indexes in groups:
                leaves = {index: LEAVES[index] for index in indexes}
                known |= multiproof.check(leaves, proof_of(indexes, size), size=size)[1]
            union = tuple(sorted({index for indexes in groups for index in indexes}))

            joined = multiproof.collect(union, size, lambda start, stop: known[start, stop])  # noqa: B023

            assert joined == proof_of(union, size)
