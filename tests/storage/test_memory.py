"""The memory engine's crashes: what may be lost is lost, what was promised is kept."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import StorageError
from storage.memory import Accident, MemoryDisk, SimulatedCrash

steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.none() | st.binary())),
        st.booleans(),
    ),
    max_size=12,
)


def holding(disk: MemoryDisk) -> dict[bytes, bytes]:
    engine = disk.open()
    found = dict(engine.scan(b"", b"\xff"))
    engine.close()
    return found


def replay(batches: list[list[tuple[bytes, bytes | None]]]) -> dict[bytes, bytes]:
    model: dict[bytes, bytes] = {}
    for batch in batches:
        for key, value in batch:
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
    return model


@given(steps=steps, data=st.data())
def test_a_crash_keeps_every_synced_batch_and_exactly_the_chosen_unsynced_ones(
    steps: list[tuple[list[tuple[bytes, bytes | None]], bool]], data: st.DataObject
) -> None:
    disk = MemoryDisk()
    engine = disk.open()
    for batch, sync in steps:
        engine.write(batch, sync=sync)
    durable = max((index + 1 for index, (_, sync) in enumerate(steps) if sync), default=0)
    count = len(steps) - durable
    assert disk.unsynced_count == count

    chosen = data.draw(st.sets(st.integers(0, count - 1)) if count else st.just(set()))
    lost = disk.crash(keep=sorted(chosen))

    assert lost == count - len(chosen)
    kept = [steps[durable + index][0] for index in sorted(chosen)]
    assert holding(disk) == replay([batch for batch, _ in steps[:durable]] + kept)


def test_a_prefix_of_the_unsynced_batches_survives_where_a_number_is_given() -> None:
    for kept in range(4):
        disk = MemoryDisk()
        engine = disk.open()
        engine.write([(b"0", b"x")], sync=True)
        for index in range(3):
            engine.write([(b"%d" % (index + 1), b"x")], sync=False)

        assert disk.crash(keep=kept) == 3 - kept
        assert sorted(holding(disk)) == [b"%d" % index for index in range(kept + 1)]


def test_a_drawn_crash_reaches_every_legal_outcome_and_repeats_by_seed() -> None:
    outcomes = {}
    for seed in range(300):
        disk = MemoryDisk()
        engine = disk.open()
        for index in range(3):
            engine.write([(b"%d" % index, b"x")], sync=False)
        disk.crash(keep=Random(seed))
        outcomes[seed] = tuple(sorted(holding(disk)))

        again = MemoryDisk()
        engine = again.open()
        for index in range(3):
            engine.write([(b"%d" % index, b"x")], sync=False)
        again.crash(keep=Random(seed))
        assert tuple(sorted(holding(again))) == outcomes[seed]

    subsets = {
        subset for size in range(4) for subset in itertools.combinations((b"0", b"1", b"2"), size)
    }
    assert set(outcomes.values()) == subsets


def test_a_later_synced_batch_makes_earlier_ones_durable() -> None:
    disk = MemoryDisk()
    engine = disk.open()
    engine.write([(b"data", b"1")], sync=False)
    engine.write([(b"vote", b"1")], sync=True)

    assert disk.crash(keep=0) == 0
    assert holding(disk) == {b"data": b"1", b"vote": b"1"}


@pytest.mark.parametrize(
    ("accident", "survives"),
    [(Accident.CRASH_BEFORE, False), (Accident.CRASH_AFTER, True)],
)
@pytest.mark.parametrize("sync", [False, True])
def test_a_planned_crash_strikes_at_its_write_and_no_other(
    accident: Accident, survives: bool, sync: bool
) -> None:
    disk = MemoryDisk()
    engine = disk.open()
    disk.plan(2, accident)
    engine.write([(b"1", b"x")], sync=True)

    with pytest.raises(SimulatedCrash):
        engine.write([(b"2", b"x")], sync=sync)
    with pytest.raises(StorageError, match="restart the node"):
        engine.get(b"1")
    disk.crash(keep=0)

    assert holding(disk) == ({b"1": b"x", b"2": b"x"} if survives and sync else {b"1": b"x"})
    engine = disk.open()
    engine.write([(b"3", b"x")], sync=True)
    assert engine.get(b"3") == b"x"


@pytest.mark.parametrize("kept", [0, 1])
def test_after_a_disk_error_the_batch_may_be_there_or_not(kept: int) -> None:
    disk = MemoryDisk()
    engine = disk.open()
    disk.plan(1, Accident.WRITE_ERROR)

    with pytest.raises(StorageError) as raised:
        engine.write([(b"vote", b"1")], sync=True)
    assert not isinstance(raised.value, SimulatedCrash)
    with pytest.raises(StorageError, match="unknown"):
        engine.write([(b"vote", b"2")], sync=True)

    assert disk.unsynced_count == 1
    disk.crash(keep=kept)
    assert holding(disk) == ({b"vote": b"1"} if kept else {})


def test_the_engine_of_a_crashed_process_is_dead_though_the_disk_lives_on() -> None:
    disk = MemoryDisk()
    old = disk.open()
    old.write([(b"a", b"1")], sync=True)
    disk.crash(keep=0)
    new = disk.open()

    with pytest.raises(StorageError, match="crashed"):
        old.write([(b"a", b"2")], sync=True)
    with pytest.raises(StorageError, match="crashed"):
        old.get(b"a")
    old.close()
    with pytest.raises(StorageError, match="in use"):
        disk.open()
    assert new.get(b"a") == b"1"


def test_a_clean_close_does_not_make_unsynced_batches_durable() -> None:
    disk = MemoryDisk()
    engine = disk.open()
    engine.write([(b"a", b"1")], sync=False)
    engine.close()
    assert holding(disk) == {b"a": b"1"}

    disk.crash(keep=0)
    assert holding(disk) == {}


def test_a_damaged_record_is_reported_until_it_is_written_again() -> None:
    disk = MemoryDisk()
    engine = disk.open()
    engine.write([(b"a", b"1"), (b"b", b"2")], sync=True)
    disk.damage(b"a")

    with pytest.raises(StorageError, match="damaged"):
        engine.get(b"a")
    with pytest.raises(StorageError, match="damaged"):
        list(engine.scan(b"", b"z"))
    with engine.snapshot() as view, pytest.raises(StorageError, match="damaged"):
        view.get(b"a")
    assert engine.get(b"b") == b"2"

    engine.write([(b"a", b"3")], sync=True)
    assert dict(engine.scan(b"", b"z")) == {b"a": b"3", b"b": b"2"}


def test_many_changes_between_scans_keep_the_order() -> None:
    draw = Random(5)
    disk = MemoryDisk()
    engine = disk.open()
    model: dict[bytes, bytes] = {}
    for size in (1, 5, 200, 3, 500, 64, 65, 2):
        batch = [
            (b"%04d" % draw.randrange(400), None if draw.random() < 0.4 else b"%d" % size)
            for _ in range(size)
        ]
        engine.write(batch, sync=False)
        for key, value in batch:
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
        assert list(engine.scan(b"", b"\xff")) == sorted(model.items())
