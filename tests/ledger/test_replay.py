"""Replays: each (sender, nonce) takes effect once, and is forgotten when nothing can repeat it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import layout
from ledger.execution import NonceCache
from ledger.store import Overlay
from tests.ledger.builders import SMALL_WINDOW
from tests.ledger.counter import ADD, count_of, counts, new_chain, signed


def test_expiry_is_the_last_height_and_the_window_the_furthest() -> None:
    chain = new_chain()
    first = chain.block(signed("alice", 0, expiry=1), signed("alice", 1, expiry=6))
    second = chain.block(signed("alice", 2, expiry=1), signed("alice", 3, expiry=2))

    assert counts(first) == (2, 0, 0)
    assert counts(second) == (1, 0, 1)


@pytest.mark.parametrize("is_one_block", [True, False])
def test_one_nonce_signed_twice_takes_effect_once_and_the_first_wins(is_one_block: bool) -> None:
    chain = new_chain()
    first, second = signed("alice", 7, ADD), signed("alice", 7, ADD, ADD)

    if is_one_block:
        chain.execute(chain.batch([first]), chain.batch([second, first]))
    else:
        chain.block(first)
        chain.block(second)
        chain.block(first)

    assert count_of(chain) == b"1"
    assert chain.store.get(layout.TX + second.id) is None
    assert chain.store.get(layout.TX + first.id) is not None


def test_the_same_nonce_of_two_senders_is_two_nonces() -> None:
    chain = new_chain()

    assert counts(chain.block(signed("alice", 0, ADD), signed("bob", 0, ADD))) == (2, 0, 0)


def test_nonces_may_come_in_any_order() -> None:
    chain = new_chain()

    chain.block(signed("alice", 9, ADD))
    done = chain.block(signed("alice", 3, ADD), signed("alice", 9, ADD), signed("alice", 4, ADD))

    assert counts(done) == (2, 0, 1)


def test_nonces_leave_the_state_when_nothing_of_their_block_can_be_replayed() -> None:
    chain = new_chain()
    window = SMALL_WINDOW.replay_window
    old = signed("alice", 0, ADD, expiry=1 + window)
    key = layout.nonce_key(old.sender, 0)
    chain.block(old)

    for height in range(2, 2 + window):
        assert counts(chain.block(old, signed("bob", height, ADD, expiry=height)))[2] == 1
        assert chain.store.get(key) == b""
    done = chain.block(old, signed("bob", 99, ADD, expiry=2 + window))

    # Its nonce is gone at the very height from which its expiry keeps it out.
    assert counts(done) == (1, 0, 1)
    assert chain.store.get(key) is None
    again = signed("alice", 0, ADD, expiry=chain.head.height + 1)
    assert counts(chain.block(again)) == (1, 0, 0)


senders = st.sampled_from(("alice", "bob", "mallory"))
blocks = st.lists(
    st.lists(st.tuples(senders, st.integers(0, 3), st.integers(0, 14)), min_size=1, max_size=4),
    min_size=1,
    max_size=14,
)


@given(blocks)
def test_the_nonce_cache_changes_nothing_and_replays_follow_the_rule(
    plan: list[list[tuple[str, int, int]]],
) -> None:
    cached, uncached = new_chain(), new_chain(cached=False)
    window, used = SMALL_WINDOW.replay_window, dict[tuple[str, int], int]()

    for height, block in enumerate(plan, start=1):
        taken = set()
        for sender, nonce, expiry in block:
            is_new = (sender, nonce) not in taken and (sender, nonce) not in used
            if sender != "mallory" and height <= expiry <= height + window and is_new:
                taken.add((sender, nonce))
        transactions = [signed(sender, nonce, ADD, expiry=e) for sender, nonce, e in block]
        done = cached.block(*transactions)
        uncached.block(*transactions)

        assert done.applied == len(taken)
        assert cached.head == uncached.head
        used |= dict.fromkeys(taken, height)
        used = {pair: at for pair, at in used.items() if at + window >= height}
    assert cached.store.rows == uncached.store.rows


def test_a_cache_that_has_grown_too_large_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.execution.SENDERS_MAX", 1)
    chain = new_chain()
    chain.block(signed("alice", 5, ADD), signed("bob", 5, ADD))

    done = chain.block(signed("alice", 5, ADD), signed("alice", 6, ADD), signed("bob", 5, ADD))

    assert counts(done) == (1, 0, 2)


def test_the_cache_reads_the_highest_nonce_from_the_store_once() -> None:
    chain = new_chain()
    chain.block(signed("alice", 5, ADD), signed("alice", 2, ADD))
    alice = signed("alice", 0).sender
    cache = NonceCache()

    assert cache.is_used(Overlay(chain.store), alice, 5)
    assert cache.is_used(Overlay(chain.store), alice, 2)
    assert not cache.is_used(Overlay(chain.store), alice, 3)
    assert not cache.is_used(Overlay(chain.store), alice, 6)
    assert cache.highest == {alice: 5}
