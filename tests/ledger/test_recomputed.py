"""The audit's own state answers like a sorted dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger import layout
from ledger.recomputed import Recomputed, Rows
from ledger.store import prefix_stop
from tests.ledger.builders import MapReader

keys = st.binary(min_size=1, max_size=2)
steps = st.lists(st.tuples(keys, st.none() | st.binary(max_size=1), st.booleans()), max_size=30)


@given(steps, keys, keys)
def test_rows_are_a_sorted_dictionary(
    changes: list[tuple[bytes, bytes | None, bool]], start: bytes, stop: bytes
) -> None:
    rows, model = Rows(), {}
    for key, value, is_asked in changes:
        rows.put(key, value)
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
        if is_asked:
            rows.keys(b"", b"\xff" * 3)
    assert rows.rows == model
    assert rows.keys(start, stop) == sorted(key for key in model if start <= key < stop)


def test_a_row_that_was_forgotten_and_came_back_is_listed_once() -> None:
    rows = Rows()
    rows.put(b"a", b"1")
    assert rows.keys(b"", b"z") == [b"a"]
    rows.put(b"a", None)
    assert rows.keys(b"", b"z") == []
    rows.put(b"a", b"2")
    assert rows.keys(b"", b"z") == [b"a"]


def test_the_stored_state_is_never_read() -> None:
    stored = MapReader()
    block, nonce = layout.height_key(layout.BLOCK, 1), layout.nonce_key(bytes(32), 1)
    stored.write([(block, b"stored"), (nonce, b""), (layout.state_key("a", b""), b"stored")])
    view = Recomputed(stored)

    assert view.get(block) == b"stored"
    assert view.get(nonce) is None
    assert view.get(layout.state_key("a", b"")) is None
    assert list(view.scan(layout.NONCE, prefix_stop(layout.NONCE))) == []

    later = layout.nonce_key(bytes(32), 2)
    for key in (later, nonce):
        view.kinds[layout.NONCE].put(key, b"")
    found = view.scan(layout.NONCE, prefix_stop(layout.NONCE), reverse=True)
    assert [key for key, _ in found] == [later, nonce]
