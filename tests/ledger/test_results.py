"""What a stream reads of a block is what a distrustful reader finds in it."""

from __future__ import annotations

import hashlib

from ledger import queries
from ledger.results import results
from ledger.transaction import Operation
from tests.ledger.counter import ADD, new_chain, signed


def test_the_results_of_a_block_are_those_of_its_leaves() -> None:
    chain = new_chain()
    refused = Operation("counter", 1, b"no such thing")
    chain.block(signed("alice", 1, ADD), signed("alice", 2, refused), signed("bob", 1, ADD))
    block = queries.block(chain.store, 1)
    assert block is not None

    found = results(chain.store, 1)

    assert found == [(hashlib.sha256(t.header).digest(), t.reason) for t in block.transactions]
    assert [bool(reason) for _, reason in found] == [False, True, False]


def test_a_block_that_is_not_there_has_no_results() -> None:
    assert results(new_chain().store, 1) == []
