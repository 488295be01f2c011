"""What a node answers from its store is what was executed, and nothing else."""

from __future__ import annotations

import pytest

from ledger import layout, merkle, queries
from ledger.block import BlockLeaf, OutcomeLeaf, Result, TransactionLeaf, parse_leaf
from ledger.certified import parse_certificate
from ledger.errors import Fault, StorageError
from ledger.light import LightClient
from ledger.transaction import Operation
from tests.ledger.builders import make_genesis, make_signed
from tests.ledger.proven import Store, records, small_store

STORE = small_store(5)
READER = STORE.store
GENESIS = STORE.genesis


def test_an_empty_ledger_answers_with_nothing() -> None:
    empty = Store(make_genesis())

    assert queries.heights(empty.store, GENESIS) == queries.Heights(0, 0, 0)
    assert queries.head(empty.store, GENESIS).size == 0
    assert queries.block(empty.store, 1) is None
    assert queries.header(empty.store, 1) is None
    assert queries.transaction(empty.store, GENESIS, bytes(32)) is None
    assert queries.receipt(empty.store, GENESIS, bytes(32)) is None
    assert queries.latest_certificate(empty.store, GENESIS) is None
    assert queries.decided(empty.store) is None
    assert queries.tile(empty.store, 0, 0, 1) is None
    assert queries.entries(empty.store, GENESIS, 0, 1) is None
    assert list(queries.leaves(empty.store, GENESIS, 0, 0)) == []


def test_the_three_heights_are_those_of_the_records() -> None:
    made = small_store(4)
    assert queries.heights(made.store, GENESIS) == queries.Heights(4, 4, 3)
    made.certify()
    assert queries.heights(made.store, GENESIS) == queries.Heights(4, 4, 4)


def test_a_block_is_read_as_it_was_executed() -> None:
    blocks = [queries.block(READER, height) for height in range(1, 6)]

    previous, size = bytes(32), 0
    for height, block in enumerate(blocks, 1):
        assert block is not None
        assert block.header == queries.header(READER, height)
        assert (block.header.previous_hash, block.first) == (previous, size)
        assert [leaf.header for leaf in block.transactions] == [
            each.header for each in records(GENESIS, height)
        ]
        assert block.outcome.block_hash == block.header.hash
        previous, size = block.header.hash, block.size
    assert size == queries.head(READER, GENESIS).size == 25


@pytest.mark.parametrize("height", [0, 6, -1, 2**63])
def test_a_height_without_a_block_has_none(height: int) -> None:
    assert queries.block(READER, height) is None
    assert queries.header(READER, height) is None


def test_a_transaction_is_executed_first_and_confirmed_once_a_certificate_covers_it() -> None:
    made = Store(GENESIS)
    good = make_signed(GENESIS, "alice", 1)
    bad = make_signed(GENESIS, "bob", 1, operations=[Operation("unknown", 1, b"")])
    assert queries.transaction(made.store, GENESIS, good.id) is None
    made.block(good, bad)

    states = [queries.transaction(made.store, GENESIS, each.id) for each in (good, bad)]
    assert [state and state.status for state in states] == ["executed", "executed"]
    assert queries.receipt(made.store, GENESIS, good.id) is None

    made.certify()

    states = [queries.transaction(made.store, GENESIS, each.id) for each in (good, bad)]
    assert [state and state.status for state in states] == ["confirmed", "rejected"]
    applied, failed = states
    assert applied is not None
    assert failed is not None
    assert (applied.transaction, applied.index, applied.timestamp_ms) == (good, 1, 1_000)
    assert (applied.height, applied.leaf.position) == (1, 0)
    assert failed.leaf.result == Result.FAILED
    assert failed.leaf.reason == "operation.unknown-application"
    assert failed.transaction == bad


def test_a_transaction_is_found_in_the_right_batch_past_skipped_ones() -> None:
    made = Store(GENESIS)
    twice, late = make_signed(GENESIS, "alice", 1), make_signed(GENESIS, "alice", 2)
    made.execute(made.batch([twice]), made.batch([twice, late], sequence=1))
    made.certify()

    place = queries.find(made.store, late.id)
    found = queries.transaction(made.store, GENESIS, late.id)

    assert place == queries.Place(1, 2, 1, 1)
    assert found is not None
    assert found.transaction == late
    assert found.leaf.position == 2


def test_a_lower_height_is_covered_by_the_next_certificate() -> None:
    sizes = {height: 5 * height for height in range(1, 6)}
    for height, covering in ((1, 1), (2, 3), (3, 3), (4, 5), (5, 5)):
        found = queries.certificate_at_or_above(READER, GENESIS, height)
        assert found is not None
        assert (found.height, found.size) == (covering, sizes[covering])
        assert found.note == STORE.notes[covering]
        parsed = parse_certificate(found.note, GENESIS.origin, GENESIS.epoch.validators)
        assert parsed.root == found.root
    assert queries.certificate_at_or_above(READER, GENESIS, 6) is None
    assert queries.latest_certificate(READER, GENESIS) == found


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5])
def test_every_transaction_gets_a_receipt_that_holds(height: int) -> None:
    client = LightClient(GENESIS)
    for position, each in enumerate(records(GENESIS, height)):
        raw = queries.receipt(READER, GENESIS, each.id)
        assert raw is not None
        verified = client.check_receipt(raw)
        assert (verified.transaction, verified.height) == (each.id, height)
        assert (verified.position, verified.body) == (position, each.operations[0][3])


def test_a_receipt_stays_the_same_while_the_ledger_grows() -> None:
    transaction = records(GENESIS, 2)[0].id
    assert queries.receipt(small_store(3).store, GENESIS, transaction) == queries.receipt(
        READER, GENESIS, transaction
    )


def test_a_receipt_of_an_operation_that_does_not_exist_is_a_fault() -> None:
    with pytest.raises(Fault, match=r"receipt\.operation"):
        queries.receipt(READER, GENESIS, records(GENESIS, 1)[0].id, operation=1)


def test_consistency_is_proved_between_any_two_sizes_of_the_log() -> None:
    roots = {}
    frontier = merkle.Frontier()
    for leaf in queries.leaves(READER, GENESIS, 0, 25):
        frontier.append([merkle.leaf_hash(leaf)])
        roots[frontier.size] = frontier.root()
    for new in range(1, 26):
        for old in range(1, new + 1):
            merkle.check_consistency(
                queries.consistency(READER, GENESIS, old, new),
                old_size=old,
                old_root=roots[old],
                new_size=new,
                new_root=roots[new],
            )
    for old, new in ((0, 5), (6, 5), (5, 26)):
        with pytest.raises(Fault, match=r"merkle\.range"):
            queries.consistency(READER, GENESIS, old, new)


def test_leaves_are_the_log_in_order() -> None:
    every = list(queries.leaves(READER, GENESIS, 0, 25))
    kinds = [type(parse_leaf(leaf)) for leaf in every]

    assert kinds == [BlockLeaf, *[TransactionLeaf] * 3, OutcomeLeaf] * 5
    for start in range(26):
        for stop in range(start, 26):
            assert list(queries.leaves(READER, GENESIS, start, stop)) == every[start:stop]
    for start, stop in ((-1, 3), (0, 26), (3, 2)):
        with pytest.raises(Fault, match=r"merkle\.range"):
            list(queries.leaves(READER, GENESIS, start, stop))


@pytest.fixture(scope="module")
def wide() -> Store:
    """A log of more than two full tiles."""
    made = Store(make_genesis(scheme="keyed-hash"))
    for height in range(1, 4):
        made.block(*records(made.genesis, height, 199))
    made.certify()
    return made


def test_tiles_and_entries_are_those_of_c2sp(wide: Store) -> None:
    size = wide.head.size
    assert size == 603
    hashes = [merkle.leaf_hash(leaf) for leaf in queries.leaves(wide.store, wide.genesis, 0, size)]

    for index, width in ((0, 256), (0, 7), (1, 256), (2, 91), (2, 1)):
        tile = queries.tile(wide.store, 0, index, width)
        assert tile == b"".join(hashes[256 * index : 256 * index + width])
        bundle = queries.entries(wide.store, wide.genesis, index, width)
        assert bundle is not None
        assert [merkle.leaf_hash(leaf) for leaf in split_bundle(bundle)] == [
            hashes[256 * index + offset] for offset in range(width)
        ]
    assert queries.tile(wide.store, 1, 0, 2) == merkle.root_of(hashes[:256]) + merkle.root_of(
        hashes[256:512]
    )


def split_bundle(bundle: bytes) -> list[bytes]:
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [
        *((0, 2, 92), (0, 2, 256), (0, 3, 1), (1, 0, 3), (2, 0, 1), (-1, 0, 1), (64, 0, 1)),
        *((0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 2**64, 1)),
    ],
)
def test_a_tile_that_the_log_does_not_have_is_none(
    wide: Store, level: int, index: int, width: int
) -> None:
    assert queries.tile(wide.store, level, index, width) is None
    if level == 0:
        assert queries.entries(wide.store, wide.genesis, index, width) is None


def test_receipts_of_a_large_log_hold(wide: Store) -> None:
    client = LightClient(wide.genesis)
    for each in records(wide.genesis, 2, 199)[::20]:
        raw = queries.receipt(wide.store, wide.genesis, each.id)
        assert raw is not None
        assert client.check_receipt(raw).transaction == each.id


@pytest.mark.parametrize(
    "key",
    [
        layout.EXECUTED,
        layout.DECISION_HEAD,
        layout.height_key(layout.BLOCK, 2),
        layout.height_key(layout.HEADER, 2),
        layout.height_key(layout.CERT, 3),
        layout.TX + records(GENESIS, 2)[0].id,
        layout.BATCH + (queries.header(READER, 2) or pytest.fail("no block")).payload[0],
        layout.tile_key(0, 0),
    ],
)
def test_a_damaged_record_is_a_storage_error_and_never_an_answer(key: bytes) -> None:
    made = small_store(3)
    made.store.write([(key, b"\xc1 damaged")])
    with pytest.raises(StorageError):
        ask_everything(made)


@pytest.mark.parametrize(
    "key",
    [
        layout.height_key(layout.BLOCK, 2),
        layout.height_key(layout.CERT, 3),
        layout.BATCH + (queries.header(READER, 2) or pytest.fail("no block")).payload[0],
        layout.tile_key(0, 0),
    ],
)
def test_a_missing_record_is_a_storage_error_and_never_an_answer(key: bytes) -> None:
    made = small_store(3)
    made.store.write([(key, None)])
    with pytest.raises(StorageError):
        ask_everything(made)


def ask_everything(made: Store) -> None:
    queries.heights(made.store, GENESIS)
    queries.block(made.store, 2)
    queries.receipt(made.store, GENESIS, records(GENESIS, 2)[0].id)
    list(queries.leaves(made.store, GENESIS, 0, 15))
