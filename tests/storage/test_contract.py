"""What storage/contract.py promises, against all three engines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import StorageError
from ledger.store import Reader, Write
from storage.contract import Engine

MakePlace = Callable[[], Any]

keys = st.binary(max_size=3) | st.sampled_from([b"a", b"b", b"a\x00", b"\xff", b"\xff\xff"])
batches = st.lists(st.tuples(keys, st.none() | st.binary(max_size=40)), max_size=8)
operations = st.lists(
    st.tuples(st.just("write"), batches, st.booleans())
    | st.tuples(st.just("scan"), st.tuples(keys, keys), st.booleans())
    | st.tuples(st.just("reopen"), st.none(), st.none()),
    min_size=1,
    max_size=14,
)


def expected(model: dict[bytes, bytes], start: bytes, stop: bytes, *, reverse: bool) -> list[Any]:
    return sorted(
        ((key, value) for key, value in model.items() if start <= key < stop), reverse=reverse
    )


def apply(model: dict[bytes, bytes], writes: Sequence[Write]) -> None:
    for key, value in writes:
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


def everything(reader: Reader) -> dict[bytes, bytes]:
    return dict(reader.scan(b"", b"\xff" * 9))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations=operations)
def test_an_engine_behaves_like_a_sorted_dictionary(
    make_place: MakePlace, operations: list[tuple[str, Any, Any]]
) -> None:
    place = make_place()
    engine: Engine = place.create()
    model: dict[bytes, bytes] = {}
    for name, argument, flag in operations:
        if name == "write":
            with engine.snapshot() as before:
                old = dict(model)
                engine.write(argument, sync=flag)
                apply(model, argument)
                assert everything(before) == old
            assert all(engine.get(key) == model.get(key) for key, _ in argument)
        elif name == "scan":
            start, stop = argument
            found = list(engine.scan(start, stop, reverse=flag))
            assert found == expected(model, start, stop, reverse=flag)
        else:
            engine.close()
            engine = place.open()
    assert everything(engine) == model
    engine.check()
    engine.close()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_of_one_key_is_found_from_both_ends(make_place: MakePlace, reverse: bool) -> None:
    engine = make_place().create()
    engine.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")], sync=True)

    assert list(engine.scan(b"b", b"c", reverse=reverse)) == [(b"b", b"2")]
    assert list(engine.scan(b"c", b"d", reverse=reverse)) == [(b"c", b"3")]
    assert list(engine.scan(b"a", b"b", reverse=reverse)) == [(b"a", b"1")]
    assert list(engine.scan(b"c", b"a", reverse=reverse)) == []
    engine.close()


def test_the_last_write_to_a_key_within_a_batch_counts(make_place: MakePlace) -> None:
    engine = make_place().create()
    engine.write([(b"a", b"1"), (b"a", None), (b"b", b"1"), (b"b", b"2")], sync=True)
    engine.write([(b"c", None), (b"c", b"")], sync=False)

    assert everything(engine) == {b"b": b"2", b"c": b""}
    engine.close()


def test_a_scan_is_not_disturbed_by_writes_during_it(make_place: MakePlace) -> None:
    engine = make_place().create()
    engine.write([(b"%03d" % index, b"old") for index in range(600)], sync=True)

    scan = engine.scan(b"", b"\xff")
    seen = [next(scan)]
    engine.write([(b"%03d" % index, None) for index in range(0, 600, 2)], sync=True)
    engine.write([(b"%03d" % index, b"new") for index in range(1, 900, 2)], sync=True)
    seen += scan

    assert seen == [(b"%03d" % index, b"old") for index in range(600)]
    assert len(everything(engine)) == 450
    engine.close()


def test_a_scan_left_half_way_holds_nothing_up(make_place: MakePlace) -> None:
    place = make_place()
    engine = place.create()
    engine.write([(b"%03d" % index, b"v") for index in range(600)], sync=True)
    next(engine.scan(b"", b"\xff"))
    with engine.snapshot() as view:
        next(view.scan(b"", b"\xff", reverse=True))
    engine.write([(b"000", None)], sync=True)
    engine.close()

    engine = place.open()
    assert len(everything(engine)) == 599
    engine.close()


def test_readers_in_threads_never_see_half_a_batch(make_place: MakePlace) -> None:
    engine = make_place().create()
    engine.write([(b"left", b"0"), (b"right", b"0")], sync=True)
    is_over = threading.Event()
    torn: list[object] = []
    views: list[int] = []

    def read() -> None:
        count = 0
        while not is_over.is_set() or count == 0:
            with engine.snapshot() as view:
                pair = (view.get(b"left"), view.get(b"right"))
                scanned = tuple(value for _, value in view.scan(b"l", b"s"))
            newest = engine.get(b"left")
            in_order = newest is not None and pair[0] is not None and int(newest) >= int(pair[0])
            if pair[0] != pair[1] or scanned != pair or not in_order:
                torn.append((pair, scanned, newest))
            count += 1
        views.append(count)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for index in range(1, 200):
        value = b"%d" % index
        engine.write([(b"left", value), (b"right", value)], sync=index % 20 == 0)
    is_over.set()
    for thread in threads:
        thread.join()

    assert torn == []
    assert len(views) == 4
    engine.close()


def test_a_batch_that_fails_while_it_is_made_is_not_kept_and_ends_the_engine(
    make_place: MakePlace,
) -> None:
    place = make_place()
    engine = place.create()
    engine.write([(b"a", b"1")], sync=True)

    wrong: Any = [(b"a", b"2"), (b"b", 7)]  # our own mistake, found while the batch is made
    if place.engine in ("memory", "faulty"):
        wrong = [(b"a", b"2"), b"b"]
    with pytest.raises((TypeError, ValueError)):
        engine.write(wrong, sync=True)

    for refused in (
        lambda: engine.get(b"a"),
        lambda: list(engine.scan(b"", b"z")),
        lambda: engine.write([(b"c", b"3")], sync=True),
        lambda: engine.snapshot().__enter__(),
        engine.check,
    ):
        with pytest.raises(StorageError, match="state of that write is unknown; restart the node"):
            refused()
    engine.close()
    if place.engine not in ("memory", "faulty"):  # whose accidents are in test_memory.py
        engine = place.open()
        assert everything(engine) == {b"a": b"1"}
        engine.close()


def test_a_closed_engine_refuses_and_closing_twice_is_fine(make_place: MakePlace) -> None:
    engine = make_place().create()
    engine.close()
    engine.close()

    with pytest.raises(StorageError, match="closed"):
        engine.get(b"a")
    with pytest.raises(StorageError, match="closed"):
        engine.write([], sync=False)
    with pytest.raises(StorageError, match="closed"):
        engine.scan(b"", b"a")


def test_an_empty_synced_batch_is_a_barrier_that_works(make_place: MakePlace) -> None:
    place = make_place()
    engine = place.create()
    engine.write([(b"a", b"1")], sync=False)
    engine.write([], sync=True)
    engine.close()

    engine = place.open()
    assert engine.get(b"a") == b"1"
    engine.close()
