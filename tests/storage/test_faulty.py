"""A disk that is made slow, full or failing: what it costs, and what a restart finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import StorageError
from storage.faulty import DiskFault, FaultyEngine
from storage.home import create, open_store
from storage.memory import MemoryDisk
from tests.storage.conftest import NETWORK


def test_a_slow_disk_takes_its_time_for_each_synced_write_alone() -> None:
    slept: list[float] = []
    engine = FaultyEngine(MemoryDisk().open(), lambda _: DiskFault(250), slept.append)

    engine.write([(b"a", b"1")], sync=True)
    engine.write([(b"b", b"1")], sync=False)
    engine.write([(b"c", b"1")], sync=True)

    assert slept == [0.25, 0.25]
    assert [key for key, _ in engine.scan(b"a", b"z")] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("synced", [2, 3])
def test_after_a_failing_sync_nothing_works_and_a_restart_finds_all_that_was_promised(
    synced: int, disk_engine: str, tmp_path: Path
) -> None:
    """Whether the write that failed is there is unknown: both happen."""
    create(tmp_path / "home", disk_engine, network=NETWORK).close()

    store = open_store(
        tmp_path / "home",
        around=lambda engine: FaultyEngine(
            engine, lambda count: DiskFault(fails=count == synced), lambda _: None
        ),
    )
    with store:
        for number in range(synced):
            store.write([(b"%d" % number, b"kept")], sync=True, certified_height=number)
        with pytest.raises(StorageError, match="failed to sync"):
            store.write([(b"%d" % synced, b"unknown")], sync=True)
        for refused in (lambda: store.get(b"0"), lambda: store.write([], sync=False)):
            with pytest.raises(StorageError, match="restart the node"):
                refused()

    with open_store(tmp_path / "home") as store:
        keys = [key for key, _ in store.scan(b"0", b"9")]
        assert keys[:synced] == [b"%d" % number for number in range(synced)]
        assert len(keys) == synced + synced % 2
        assert store.certified_height == synced - 1


@pytest.mark.parametrize("sync", [True, False])
def test_a_full_disk_takes_nothing_and_with_room_again_all_that_was_promised_is_there(
    sync: bool, disk_engine: str, tmp_path: Path
) -> None:
    create(tmp_path / "home", disk_engine, network=NETWORK).close()
    faults = [DiskFault(), DiskFault(full=True)]

    store = open_store(
        tmp_path / "home",
        around=lambda engine: FaultyEngine(engine, lambda _: faults[0], lambda _: None),
    )
    with store:
        store.write([(b"0", b"kept")], sync=True, certified_height=0)
        faults.pop(0)
        with pytest.raises(StorageError, match="No space left on device"):
            store.write([(b"1", b"lost")], sync=sync)
        with pytest.raises(StorageError, match="restart the node"):
            store.get(b"0")

    with open_store(tmp_path / "home") as store:
        assert [key for key, _ in store.scan(b"0", b"9")] == [b"0"]
        assert store.certified_height == 0
