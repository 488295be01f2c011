"""Execution: all or nothing, logged, and alike on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ledger import layout, merkle
from ledger.applications.records import make_record
from ledger.block import BlockLeaf, OutcomeLeaf, TransactionLeaf, parse_leaf
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.execution import (
    Execution,
    Executor,
    genesis_head,
    parse_block_entry,
    parse_head,
)
from ledger.transaction import Operation, Transaction
from tests.ledger.builders import Chain, make_genesis, make_signed
from tests.ledger.counter import (
    ADD,
    FAIL,
    GENESIS,
    Counter,
    count_of,
    counts,
    new_chain,
    signed,
    varied_chain,
)

ROOT = Path(__file__).parents[2]


def results(done: Execution) -> list[TransactionLeaf]:
    leaves = [parse_leaf(leaf) for leaf in done.leaves]
    assert isinstance(leaves[0], BlockLeaf)
    assert isinstance(leaves[-1], OutcomeLeaf)
    return [leaf for leaf in leaves[1:-1] if isinstance(leaf, TransactionLeaf)]


def test_a_transaction_is_applied_and_logged() -> None:
    chain = new_chain()
    transaction = signed("alice", 0, ADD, ADD)

    done = chain.block(transaction)

    assert counts(done) == (1, 0, 0)
    assert count_of(chain) == b"2"
    (leaf,) = results(done)
    assert leaf == TransactionLeaf(1, 0, 0, "", transaction.header, transaction.signature)
    assert chain.store.get(layout.nonce_key(transaction.sender, 0)) == b""
    entry = chain.store.get(layout.TX + transaction.id)
    assert entry == encode((1, 1, 0, 0))


@pytest.mark.parametrize(
    "other",
    [
        make_signed(GENESIS, "mallory", 0),
        make_signed(GENESIS, "alice", 0, network=bytes(32)),
        signed("alice", 0, expiry=0),
        signed("alice", 0, expiry=7),
    ],
    ids=["unknown sender", "another network", "expired", "expires beyond the window"],
)
def test_what_may_not_be_executed_leaves_no_trace(other: Transaction) -> None:
    chain, empty = new_chain(), new_chain()
    kept = signed("bob", 0, ADD)

    done = chain.block(other, kept)
    empty.block(kept)

    assert counts(done) == (1, 0, 1)
    assert [leaf.position for leaf in results(done)] == [1]
    assert chain.store.get(layout.nonce_key(other.sender, 0)) is None
    assert chain.store.get(layout.TX + other.id) is None
    assert chain.head.size == empty.head.size


def test_a_failed_transaction_uses_its_nonce_and_changes_nothing_else() -> None:
    chain = new_chain()
    chain.block(signed("alice", 0, ADD))
    before = dict(chain.store.rows)
    failing = signed("alice", 1, ADD, make_record("r", b"", b"x"), FAIL)

    done = chain.block(failing)

    assert counts(done) == (0, 1, 0)
    (leaf,) = results(done)
    assert (leaf.result, leaf.reason) == (1, "counter.refused")
    kinds = (layout.STATE, layout.NONCE)
    changed = {
        key
        for key, value in chain.store.rows.items()
        if key[:1] in kinds and before.get(key) != value
    }
    assert changed == {layout.nonce_key(failing.sender, 1)}
    assert counts(chain.block(signed("alice", 1, ADD))) == (0, 0, 1)
    assert count_of(chain) == b"1"


def test_an_unknown_application_or_version_is_a_failed_transaction() -> None:
    chain = new_chain()
    strange = signed("alice", 0, ADD, Operation("unheard-of", 1, b""))
    newer = signed("alice", 1, Operation("counter", 2, b"add"))

    done = chain.block(strange, newer, signed("alice", 2, ADD))

    assert counts(done) == (1, 2, 0)
    assert {leaf.reason for leaf in results(done)} == {"", "operation.unknown-application"}
    assert count_of(chain) == b"1"


def test_a_malformed_body_is_a_failed_transaction() -> None:
    chain = new_chain()

    done = chain.block(signed("alice", 0, Operation("records", 1, b"\xc1")))

    assert [leaf.reason for leaf in results(done)] == ["record.malformed"]


def test_a_later_transaction_of_a_block_sees_the_earlier_ones() -> None:
    chain = new_chain()

    chain.block(*(signed("alice", nonce, ADD) for nonce in range(5)))

    assert count_of(chain) == b"5"


def test_the_log_and_the_head_are_what_the_leaves_say() -> None:
    chain = new_chain()
    every: list[bytes] = []

    for height in range(1, 8):
        done = chain.block(signed("alice", height, ADD, expiry=height), signed("mallory", 0))
        stored = chain.store.get(layout.height_key(layout.BLOCK, height))
        assert stored is not None
        assert parse_block_entry(stored) == (len(every), done.leaves)
        assert chain.store.get(layout.height_key(layout.HEADER, height)) == done.header.raw
        every += done.leaves
        root = merkle.root_of([merkle.leaf_hash(leaf) for leaf in every])
        assert (chain.head.size, chain.head.root()) == (len(every), root)
        assert chain.store.get(layout.EXECUTED) == chain.head.encode()
        assert parse_head(chain.head.encode()) == chain.head
    tiles = merkle.TileReader(
        lambda level, index: chain.store.get(layout.tile_key(level, index)) or b"", len(every)
    )
    for index, leaf in enumerate(every):
        path = merkle.inclusion_path(index, len(every), tiles.hash_at)
        merkle.check_inclusion(
            merkle.leaf_hash(leaf), path, index=index, size=len(every), root=root
        )


def test_the_outcome_binds_block_count_and_state() -> None:
    chain = new_chain()
    before = chain.head.state_hash

    done = chain.block(signed("alice", 0, ADD), signed("alice", 1, FAIL), signed("mallory", 0))

    assert parse_leaf(done.leaves[-1]) == done.outcome
    assert done.outcome.block_hash == done.header.hash
    assert done.outcome.entry_count == 2
    assert done.outcome.state_hash == chain.head.state_hash != before
    assert done.outcome.epoch == done.outcome.next_epoch == GENESIS.epoch.id


def test_the_state_hash_covers_every_write_and_the_hash_before() -> None:
    chain = new_chain()
    head = chain.head

    done = chain.block(signed("alice", 0, ADD))

    alice = signed("alice", 0).sender
    writes = ((layout.state_key("counter", b"count"), b"1"), (layout.nonce_key(alice, 0), b""))
    expected = merkle.sha256(b"ledger state\x00" + head.state_hash + encode(writes)).digest()
    assert done.head.state_hash == expected
    other = new_chain()
    other.head = replace(head, state_hash=bytes(32))
    assert other.block(signed("alice", 0, ADD)).head.state_hash != expected


@pytest.mark.parametrize("change", ["height", "previous", "payload"])
def test_a_block_that_does_not_follow_is_our_own_bug(change: str) -> None:
    chain = new_chain()
    batch = chain.batch([signed("alice", 0, ADD)])
    header = chain.header([batch])
    wrong = {
        "height": replace(header, height=2),
        "previous": replace(header, previous_hash=b"\x01" * 32),
        "payload": replace(header, payload=(bytes(32),)),
    }[change]
    executor = Executor(GENESIS, chain.applications)

    with pytest.raises(AssertionError):
        executor.execute(chain.store, chain.head, wrong, [batch])


def test_a_missing_application_is_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="application"):
        Executor(GENESIS, [Counter()])


def test_the_door_asks_what_execution_would_ask_of_sender_and_operations() -> None:
    executor = Executor(GENESIS, new_chain().applications)
    alice = signed("alice", 0, ADD)

    members = executor.members(new_chain().store)
    assert members.standing(alice.sender).may_submit
    assert not members.standing(signed("mallory", 0).sender).may_submit
    executor.check_operations(alice)
    for operation, reason in (
        (Operation("counter", 1, b"?"), r"counter\.body"),
        (Operation("counter", 2, b"add"), r"operation\.unknown-application"),
        (Operation("records", 1, b""), r"record\.malformed"),
    ):
        with pytest.raises(Fault, match=reason):
            executor.check_operations(signed("alice", 0, operation))


def test_an_open_network_takes_anyone() -> None:
    genesis = make_genesis(policy="open", scheme="keyed-hash")
    chain = Chain(genesis)

    assert counts(chain.block(make_signed(genesis, "mallory", 0))) == (1, 0, 0)


def test_a_member_without_the_role_may_not_submit() -> None:
    auditor = replace(GENESIS.members[0], roles=("auditor",))
    genesis = replace(GENESIS, members=(auditor, GENESIS.members[1]))
    chain = Chain(genesis, [Counter()])
    made = [make_signed(genesis, name, 0, operations=[ADD]) for name in ("alice", "bob")]

    assert counts(chain.block(*made)) == (1, 0, 1)


SCRIPT = """
from tests.ledger.counter import varied_chain
head = varied_chain().head
print(head.root().hex(), head.state_hash.hex())
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_with_another_hash_seed_comes_to_the_same_result(hash_seed: str) -> None:
    head = varied_chain().head

    said = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.split() == [head.root().hex(), head.state_hash.hex()]


def test_the_first_head_follows_from_the_genesis() -> None:
    head = genesis_head(GENESIS)

    assert (head.height, head.size, head.root()) == (0, 0, merkle.EMPTY_ROOT)
    assert head.state_hash == GENESIS.network
    assert parse_head(head.encode()) == head
