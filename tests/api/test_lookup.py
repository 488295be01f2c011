"""Many questions to one view are answered as one question at a time would be."""

from __future__ import annotations

import pytest

from api import describe
from api.limits import RECEIPTS_BYTES_MAX
from api.lookup import KEPT_MAX, Lookup
from ledger import layout, queries
from ledger.encoding import encode
from ledger.errors import StorageError
from ledger.transaction import Operation
from tests.ledger.builders import make_signed
from tests.ledger.proven import Store, records, small_store

BLOCKS = KEPT_MAX + 3
STORE = small_store(BLOCKS)
GENESIS = STORE.genesis
ALL = [each for height in range(1, BLOCKS + 1) for each in records(GENESIS, height)]


def lookup_of(store: Store = STORE) -> Lookup:
    return Lookup(store.store, store.genesis)


def test_transactions_are_those_of_the_queries_across_more_blocks_than_are_kept() -> None:
    lookup = lookup_of()

    for each in [*ALL, *reversed(ALL)]:
        place = lookup.find(each.id)
        assert place is not None
        assert lookup.executed(place) == queries.transaction(STORE.store, GENESIS, each.id)


def test_receipts_are_those_of_the_queries_without_an_operation() -> None:
    lookup = lookup_of()

    for each in ALL:
        place = lookup.find(each.id)
        assert place is not None
        expected = queries.receipt(STORE.store, GENESIS, each.id, operation=None)
        assert expected is not None
        assert lookup.receipt(place) == expected


def test_what_is_executed_and_not_confirmed_has_no_receipt() -> None:
    store = small_store(2)
    waiting = records(store.genesis, 2)[0]
    lookup = lookup_of(store)

    place = lookup.find(waiting.id)

    assert place is not None
    assert lookup.receipt(place) is None
    assert describe.receipts(lookup, [waiting.id, bytes(32)]) == [
        ("executed", None),
        ("unknown", None),
    ]


def test_a_position_is_found_behind_transactions_that_were_skipped() -> None:
    store = Store(GENESIS)
    twice = make_signed(GENESIS, "alice", 1)
    failed = make_signed(GENESIS, "bob", 2, operations=[Operation("unknown", 1, b"")])
    after = make_signed(GENESIS, "bob", 3)
    store.execute(store.batch([twice, twice], sequence=1), store.batch([failed, after], sequence=2))

    found = lookup_of(store).executed_at(1, 3)

    assert found.transaction == after
    assert found.leaf.position == 3
    with pytest.raises(StorageError, match="no transaction at position 1"):
        lookup_of(store).executed_at(1, 1)


def test_receipts_beyond_the_room_of_an_answer_are_left_out() -> None:
    lookup = lookup_of()
    size = len(queries.receipt(STORE.store, GENESIS, ALL[0].id, operation=None) or b"")
    ids = [ALL[0].id] * (RECEIPTS_BYTES_MAX // size + 2)

    rows = describe.receipts(lookup, ids)

    assert {word for word, _ in rows} == {"confirmed"}
    assert rows[0][1] is not None
    assert rows[-1][1] is None
    assert sum(len(raw or b"") for _, raw in rows) < RECEIPTS_BYTES_MAX + size


@pytest.mark.parametrize("kind", ["block", "batch", "header", "certificate", "place"])
def test_damage_is_the_stores_and_not_the_clients(kind: str) -> None:
    store = small_store(1)
    each = records(store.genesis, 1)[0]
    header = queries.header(store.store, 1)
    assert header is not None
    damaged: dict[str, tuple[bytes, bytes | None]] = {
        "block": (layout.height_key(layout.BLOCK, 1), b"\xc1"),
        "batch": (layout.BATCH + header.payload[0], bytes(70)),
        "header": (layout.height_key(layout.HEADER, 1), None),
        "place": (layout.TX + each.id, encode((1, 1, 0, 2))),
        "certificate": (layout.height_key(layout.CERT, 1), None),
    }
    store.store.write([damaged[kind]])
    lookup = lookup_of(store)
    place = lookup.find(each.id)
    assert place is not None

    with pytest.raises(StorageError):
        lookup.receipt(place) if kind == "certificate" else lookup.executed(place)
