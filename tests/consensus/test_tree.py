"""The tree of undecided values."""

from __future__ import annotations

from consensus.interface import Root
from consensus.tree import VALUES_A_SLOT, Tree
from ledger.value import Value
from tests.consensus.jolteon_bench import GENESIS, chain_of, value_at


def tree_of(values: list[Value], root: Root = GENESIS) -> Tree:
    tree = Tree(root)
    for value in values:
        assert tree.add(value)
    return tree


def root_at(value: Value) -> Root:
    return Root(value.digest, value.slot, 1)


def test_a_path_runs_from_the_root_to_the_tip_oldest_first() -> None:
    chain = chain_of(1, 2, 5, 9)

    tree = tree_of(list(reversed(chain)))

    assert tree.path(chain[-1].digest) == tuple(chain)
    assert tree.path(chain[1].digest) == tuple(chain[:2])
    assert tree.path(GENESIS.value) == ()


def test_a_missing_ancestor_is_named_once_until_asked_again() -> None:
    b1, b2, b3, b4 = chain_of(1, 2, 3, 4)
    tree = tree_of([b1, b4])

    assert tree.path(b4.digest) is None
    assert tree.known(b4.digest) == (b4,)
    assert tree.to_fetch(b4.digest) == b3.digest
    assert tree.to_fetch(b4.digest) is None
    tree.ask_again()
    assert tree.to_fetch(b4.digest) == b3.digest
    tree.add(b3)
    assert tree.to_fetch(b4.digest) == b2.digest
    tree.add(b2)
    assert tree.to_fetch(b4.digest) is None
    assert tree.path(b4.digest) == (b1, b2, b3, b4)


def test_values_at_or_below_the_root_or_their_parent_are_refused() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    tree = tree_of([b3], root_at(b2))

    assert not tree.add(b1)
    assert not tree.add(b2)
    assert not tree.add(value_at(2, b3))
    assert not tree.add(value_at(3, b3))
    assert tree.add(value_at(4, b3))


def test_only_values_asked_for_exceed_what_one_slot_may_hold() -> None:
    forks = [value_at(1, payload=(bytes([i]) * 32,)) for i in range(VALUES_A_SLOT + 2)]
    child = value_at(2, forks[-1])
    tree = tree_of([child])

    accepted = [tree.offer(fork) for fork in forks[:-1]]

    assert accepted == [True, True, False]
    assert tree.offer(forks[0])
    assert not tree.offer(forks[-1])
    assert tree.to_fetch(child.digest) == forks[-1].digest
    assert tree.offer(forks[-1])


def test_moving_the_root_drops_what_it_covers_and_the_forks_it_excludes() -> None:
    b1, b2, b3 = chain_of(1, 2, 4)
    fork_of_root = value_at(3)
    fork_below = value_at(5, b1)
    fork_child = value_at(6, fork_below)
    orphan = value_at(9, value_at(8))
    tree = tree_of([b1, b2, b3, fork_of_root, fork_below, fork_child, orphan])

    tree.move(root_at(b2))

    assert [digest in tree for digest in (b1.digest, b2.digest)] == [False, False]
    assert tree.path(b3.digest) == (b3,)
    assert all(each.digest not in tree for each in (fork_of_root, fork_below, fork_child))
    assert orphan.digest in tree
    assert tree.slot_of(b2.digest) == (2,)
    assert tree.slot_of(b1.digest) is None


def test_moving_the_root_past_everything_empties_the_tree() -> None:
    tree = tree_of(chain_of(1, 2, 3))

    tree.move(Root(b"x" * 32, (7,), 3))

    assert len(tree) == 0


def test_pruning_keeps_the_ways_to_the_tips_and_what_is_recent() -> None:
    chain = chain_of(1, 2, 3)
    stale, recent = value_at(4, chain[0]), value_at(9, chain[0])
    tree = tree_of([*chain, stale, recent])

    tree.prune((8,), [chain[-1].digest])

    assert stale.digest not in tree
    assert recent.digest in tree
    assert tree.path(chain[-1].digest) == tuple(chain)


def test_values_are_validated_once_each_and_after_their_ancestors() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    tree = tree_of([b1, b3])

    assert tree.to_validate(b3.digest) is None
    tree.add(b2)
    assert tree.to_validate(b3.digest) == b1
    assert tree.to_validate(b3.digest) is None
    tree.judge(b1.digest, valid=True)
    assert tree.to_validate(b3.digest) == b2
    tree.judge(b2.digest, valid=False)
    assert tree.to_validate(b3.digest) is None
    assert tree.is_valid(b1.digest)
    assert not tree.is_valid(b2.digest)
    assert not tree.is_valid(b3.digest)


def test_an_unknown_way_may_hold_a_payload() -> None:
    empty = chain_of(1, 2, payload=())
    full = value_at(3, empty[-1])
    tree = tree_of([*empty, full])

    assert not tree.has_payload(empty[-1].digest)
    assert tree.has_payload(full.digest)
    assert tree.has_payload(value_at(5, value_at(4), ()).digest)


def test_nothing_is_to_be_ordered_on_a_way_that_nobody_votes_for() -> None:
    b1, b2 = chain_of(1, 2)
    tree = tree_of([b1, b2])

    tree.judge(b1.digest, valid=False)

    assert not tree.has_payload(b1.digest)
    assert not tree.has_payload(b2.digest)
