from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import UserError
from p2p.topology import Topology, from_text, full, random_k, ring


def check_graph(topology: Topology) -> None:
    """Symmetric, loopless, sorted; and connected, found by spreading rather than by searching."""
    for node, row in enumerate(topology.neighbours):
        assert list(row) == sorted(set(row))
        assert node not in row
        assert all(node in topology.neighbours[other] for other in row)
    reached = {0}
    for _ in range(topology.size):
        reached |= {other for node in reached for other in topology.neighbours[node]}
    assert len(reached) == topology.size


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 31])
def test_full_and_ring_are_what_they_say(size: int) -> None:
    check_graph(full(size))
    check_graph(ring(size))

    assert full(size).is_full
    assert all(len(row) == min(2, size - 1) for row in ring(size).neighbours)
    assert ring(size).is_full == (size <= 3)


@given(st.integers(1, 40), st.integers(2, 8), st.integers(0, 2**32))
def test_random_k_is_connected_and_gives_every_node_k_links(size: int, k: int, seed: int) -> None:
    topology = random_k(size, k, seed=seed)

    check_graph(topology)
    assert all(len(row) >= min(k, size - 1) for row in topology.neighbours)
    assert topology == random_k(size, k, seed=seed)


def test_the_seed_decides() -> None:
    assert random_k(20, 3, seed=1) != random_k(20, 3, seed=2)


def test_random_k_is_the_same_on_every_machine() -> None:
    expected = ((2, 3), (2, 5), (0, 1), (0, 4), (3, 5), (1, 4))

    assert random_k(6, 2, seed=7).neighbours == expected


def test_a_text_file_of_edges() -> None:
    text = "# a star\n0 1\n0 2   # twice\n\n2 0\n  0\t3\n"

    assert from_text(text, size=4).neighbours == ((1, 2, 3), (0,), (0,), (0,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n2\n", "line 2"),
        ("0 1 2", "line 1"),
        ("0 -1", "line 1"),
        ("0 ²", "line 1"),
        ("0 x", "line 1"),
        ("0 4", "numbered 0 to 3"),
        ("0 99999999999999999999", "numbered 0 to 3"),
        ("1 1", "itself"),
        ("0 1\n2 3", "no path from node 0 to node 2"),
        ("", "no path from node 0 to node 1"),
    ],
)
def test_a_bad_file_is_refused_in_plain_words(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_text(text, size=4)


def test_too_few_links_or_nodes_are_refused() -> None:
    with pytest.raises(UserError):
        random_k(5, 1, seed=0)
    with pytest.raises(UserError):
        full(0)
