"""Every accident known to cost a LevelDB user data: refused, with the tables left alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import StorageError
from storage import leveldb
from storage.home import Store, open_store
from storage.leveldb import LevelDbEngine
from storage.leveldb_files import HEADER_SIZE, check_files, log_names

pytest.importorskip("plyvel", exc_type=ImportError)

ROOT = Path(__file__).parents[2]
Read = Callable[[Store], dict[bytes, bytes]]


def only(home: Path, pattern: str) -> Path:
    """The last file of the database that fits."""
    return sorted((home / "database").glob(pattern))[-1]


def refused(home: Path) -> str:
    """The line with which a home is refused; its tables and logs are as they were."""
    before = sorted((home / "database").glob("*.l[do][bg]"))
    with pytest.raises(StorageError) as raised, open_store(home):
        pass
    assert sorted((home / "database").glob("*.l[do][bg]")) == before
    assert "\n" not in str(raised.value)
    return str(raised.value)


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def flip(path: Path, position: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def record_offsets(log: bytes) -> list[int]:
    """Where the records of a log of less than one block begin."""
    offsets, offset = [], 0
    while offset + HEADER_SIZE <= len(log):
        offsets.append(offset)
        offset += HEADER_SIZE + int.from_bytes(log[offset + 4 : offset + 6], "little")
    return offsets


GROWER = """
import os, signal, sys
from pathlib import Path
from storage.home import create, open_store
from storage.leveldb_files import log_names
home = Path(sys.argv[1])
create(home, "leveldb", network=bytes(range(32))).close()
store = open_store(home)
first_log = log_names(home / "database")[0]
count = 0
while first_log in log_names(home / "database"):  # until all of it stands in a table
    store.write([(b"more/%05d" % count, b"%d" % count * 40_000)], sync=True)
    count += 1
store.write([(b"vote", b"newest"), (b"count", b"%d" % count)], sync=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as a crash left it after a log had been moved into a table while it ran."""
    home = tmp_path_factory.mktemp("grown") / "home"
    command = [sys.executable, "-c", GROWER, str(home)]
    assert subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode == -9
    return home


@pytest.fixture
def grown_home(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "grown"))


def test_a_home_that_a_crash_left_opens_whole(level_homes: Any, read_content: Read) -> None:
    with open_store(level_homes.copy("crashed")) as store:
        assert read_content(store) == level_homes.crashed_records


def test_current_missing_is_refused(level_homes: Any) -> None:
    home = level_homes.copy()
    (home / "database" / "CURRENT").unlink()

    assert "CURRENT is missing" in refused(home)


@pytest.mark.parametrize("content", [b"", b"MANIFEST-000002", b"nonsense\n", b"\xff\xfe\n"])
def test_current_that_names_no_manifest_is_refused(level_homes: Any, content: bytes) -> None:
    home = level_homes.copy()
    (home / "database" / "CURRENT").write_bytes(content)

    assert "CURRENT names no MANIFEST" in refused(home)


def test_the_manifest_missing_is_refused(level_homes: Any) -> None:
    home = level_homes.copy()
    only(home, "MANIFEST-*").unlink()

    assert "MANIFEST-" in refused(home)


@pytest.mark.parametrize("which", ["closed", "crashed"])
def test_the_manifest_cut_anywhere_is_refused_or_costs_nothing(
    level_homes: Any, read_content: Read, which: str
) -> None:
    records = level_homes.records if which == "closed" else level_homes.crashed_records
    size = only(level_homes.copy(which), "MANIFEST-*").stat().st_size
    refusals = 0
    for length in range(0, size, 7):
        home = level_homes.copy(which)
        cut(only(home, "MANIFEST-*"), length)
        try:
            with open_store(home) as store:
                assert read_content(store) == records
        except StorageError:
            refusals += 1
    assert refusals > 0


def test_the_manifest_cut_to_its_first_state_does_not_forget_tables(grown_home: Path) -> None:
    """The newest record is in the log, so the running number alone would not notice."""
    check_files(grown_home / "database")
    manifest = only(grown_home, "MANIFEST-*")
    cut(manifest, record_offsets(manifest.read_bytes())[2])  # what it said when it was opened

    assert "MANIFEST cut short" in refused(grown_home)


def test_without_the_check_of_its_files_leveldb_does_forget_them(grown_home: Path) -> None:
    """The accident of the test above is real: should LevelDB mend its ways, this test says so."""
    manifest = only(grown_home, "MANIFEST-*")
    cut(manifest, record_offsets(manifest.read_bytes())[2])

    engine = LevelDbEngine(grown_home / "database", create=False)
    assert engine.get(b"vote") == b"newest"
    assert len(list(engine.scan(b"more/", b"more0"))) < int(engine.get(b"count") or 0)
    engine.close()


def test_the_manifest_cut_to_half_is_refused(level_homes: Any) -> None:
    home = level_homes.copy()
    manifest = only(home, "MANIFEST-*")
    cut(manifest, manifest.stat().st_size // 2)

    refused(home)


def test_every_flipped_byte_of_the_manifest_is_refused(
    level_homes: Any, read_content: Read
) -> None:
    size = only(level_homes.copy(), "MANIFEST-*").stat().st_size
    for position in range(0, size, 5):
        home = level_homes.copy()
        flip(only(home, "MANIFEST-*"), position, 0x20)
        with pytest.raises(StorageError):
            open_store(home)


def test_a_table_missing_is_refused(level_homes: Any) -> None:
    home = level_homes.copy()
    only(home, "*.ldb").unlink()

    assert ".ldb missing" in refused(home)


def test_the_log_missing_is_refused(level_homes: Any) -> None:
    home = level_homes.copy("crashed")
    only(home, "*.log").unlink()

    assert ".log missing" in refused(home)


def test_the_log_cut_by_a_hundred_bytes_or_to_half_or_to_nothing_is_refused(
    level_homes: Any,
) -> None:
    size = only(level_homes.copy("crashed"), "*.log").stat().st_size
    for length in (size - 100, size // 2, 0):
        home = level_homes.copy("crashed")
        cut(only(home, "*.log"), length)
        assert "lost its newest records" in refused_by_number(home)


def test_the_second_half_of_the_log_zeroed_is_refused(level_homes: Any) -> None:
    home = level_homes.copy("crashed")
    log = only(home, "*.log")
    size = log.stat().st_size
    log.write_bytes(log.read_bytes()[: size // 2].ljust(size, b"\0"))

    with pytest.raises(StorageError):
        open_store(home)


def refused_by_number(home: Path) -> str:
    with pytest.raises(StorageError) as raised, open_store(home):
        pass
    return str(raised.value)


def test_a_torn_unsynced_batch_at_the_end_of_the_log_is_dropped_and_no_more(
    level_homes: Any, tmp_path: Path, read_content: Read
) -> None:
    home = level_homes.copy()
    with open_store(home) as store:
        store.write([(b"promise", b"kept")], sync=True)
        size = only(home, "*.log").stat().st_size
        store.write([(b"unsynced", b"x" * 500)], sync=False)
        shutil.copytree(home, tmp_path / "crashed")
    full = only(tmp_path / "crashed", "*.log").stat().st_size
    for length in (size, size + 3, size + HEADER_SIZE, full - 1, full):
        torn = Path(shutil.copytree(tmp_path / "crashed", tmp_path / str(length)))
        cut(only(torn, "*.log"), length)
        with open_store(torn) as store:
            found = read_content(store)
        assert found.pop(b"unsynced", None) == (b"x" * 500 if length == full else None)
        assert found == {**level_homes.records, b"promise": b"kept"}


@pytest.mark.parametrize("byte", [4, 5])
def test_a_flipped_length_in_the_log_is_refused_before_leveldb_drops_the_tail(
    level_homes: Any, byte: int
) -> None:
    log = only(level_homes.copy("crashed"), "*.log")
    offsets = record_offsets(log.read_bytes())
    assert len(offsets) >= 40
    for offset in (offsets[0], offsets[20], offsets[-1]):
        home = level_homes.copy("crashed")
        flip(only(home, "*.log"), offset + byte, 0x40)
        reaches_past_the_end = byte == 5 or offset == offsets[-1]
        expected = "wrong record length" if reaches_past_the_end else "checksum mismatch"
        assert expected in refused(home)


def test_a_flipped_length_of_an_unsynced_batch_is_refused_too(
    level_homes: Any, tmp_path: Path
) -> None:
    """The running number does not see it: only the check of the files does."""
    home = level_homes.copy()
    with open_store(home) as store:
        store.write([(b"unsynced", b"x")], sync=False)
        shutil.copytree(home, tmp_path / "crashed")
    log = only(tmp_path / "crashed", "*.log")
    flip(log, record_offsets(log.read_bytes())[-1] + 5, 1)

    assert "wrong record length" in refused(tmp_path / "crashed")


def test_every_kind_of_flip_in_a_log_record_is_refused(level_homes: Any) -> None:
    log = only(level_homes.copy("crashed"), "*.log")
    offset = record_offsets(log.read_bytes())[-1]
    for byte in range(HEADER_SIZE + 12):
        for mask in (1, 0x80):
            home = level_homes.copy("crashed")
            flip(only(home, "*.log"), offset + byte, mask)
            with pytest.raises(StorageError):
                open_store(home)


def test_a_flipped_byte_in_a_table_is_found_by_scans_both_ways_and_by_get(
    level_homes: Any,
) -> None:
    home = level_homes.copy()
    table = max((home / "database").glob("*.ldb"), key=lambda path: path.stat().st_size)
    flip(table, table.stat().st_size // 2)

    with open_store(home) as store:
        with pytest.raises(StorageError, match="checksum"):
            store.verify_all()
        for reverse in (False, True):
            with pytest.raises(StorageError, match="checksum"):
                list(store.scan(b"record/", b"record0", reverse=reverse))
        with pytest.raises(StorageError, match="checksum"), store.snapshot() as view:
            list(view.scan(b"record/", b"record0"))
        failed = 0
        for key in level_homes.records:
            try:
                assert store.get(key) == level_homes.records[key]
            except StorageError:
                failed += 1
        assert failed > 0


def test_no_look_up_takes_a_damaged_record_for_an_absent_one(level_homes: Any) -> None:
    table = max((level_homes.copy() / "database").glob("*.ldb"), key=lambda p: p.stat().st_size)
    failed = 0
    for position in range(40, table.stat().st_size, 199):
        home = level_homes.copy()
        flip(home / "database" / table.name, position, 0x11)
        try:
            store = open_store(home)
        except StorageError:
            failed += 1
            continue
        with store:
            for key, value in level_homes.records.items():
                try:
                    assert store.get(key) == value
                except StorageError:
                    failed += 1
    assert failed > 0


def test_a_short_scan_beside_a_damaged_block_never_comes_back_silently_shorter(
    level_homes: Any,
) -> None:
    keys = sorted(key for key in level_homes.records if key.startswith(b"record/"))
    table = max((level_homes.copy() / "database").glob("*.ldb"), key=lambda p: p.stat().st_size)
    for position in range(0, table.stat().st_size, 1_500):
        home = level_homes.copy()
        flip(home / "database" / table.name, position)
        try:
            store = open_store(home)
        except StorageError:
            continue
        with store:
            for index in range(0, len(keys) - 3, 9):
                for reverse in (False, True):
                    wanted = keys[index : index + 3]
                    try:
                        found = list(store.scan(wanted[0], keys[index + 3], reverse=reverse))
                    except StorageError:
                        continue
                    assert sorted(found) == [(key, level_homes.records[key]) for key in wanted]


def test_creating_over_an_existing_database_is_refused(level_homes: Any) -> None:
    home = level_homes.copy()
    with pytest.raises(StorageError, match="exists"):
        LevelDbEngine.create(home / "database")
    open_store(home).close()


def test_opening_never_creates(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        LevelDbEngine.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_leveldb_itself_is_told_not_to_create(level_homes: Any) -> None:
    """Should CURRENT vanish between the check of the files and the opening."""
    home = level_homes.copy()
    (home / "database" / "CURRENT").unlink()
    tables = sorted((home / "database").glob("*.ldb"))

    with pytest.raises(StorageError, match="cannot be opened"):
        LevelDbEngine(home / "database", create=False)
    assert sorted((home / "database").glob("*.ldb")) == tables


def test_a_synced_batch_first_syncs_the_logs_that_hold_unsynced_ones(tmp_path: Path) -> None:
    """LevelDB syncs its newest log only; the one before it may hold what the batch relies on."""
    script = """
import sys
from pathlib import Path
from storage.leveldb import LevelDbEngine
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
engine = LevelDbEngine.create(Path(sys.argv[1]))
for data, expected in ((True, True), (False, False), (True, True)):
    if data:
        engine.write([(b"data", bytes(100))], sync=False)
    opened.clear()
    engine.write([(b"vote", bytes(100))], sync=True)
    assert any(name.endswith(".log") for name in opened) == expected, opened
engine.close()
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "database")],
        cwd=ROOT,
        check=True,
        timeout=60,
    )


def test_log_names_lists_logs_and_not_leveldbs_diary(level_homes: Any) -> None:
    home = level_homes.copy("crashed")
    (name,) = log_names(home / "database")
    assert name.endswith(".log")
    assert (home / "database" / "LOG").exists()


def test_a_home_that_was_written_with_compression_is_read_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        (b"\x10%05d" % number, b"the same text again and again " * 20) for number in range(2_000)
    ]

    def written(folder: str, compression: str | None) -> int:
        """The size of tables that hold all of this."""
        monkeypatch.setattr(leveldb, "COMPRESSION", compression)
        engine = LevelDbEngine.create(tmp_path / folder)
        engine.write(rows, sync=True)
        engine.close()
        # The log becomes a table when it is opened again.
        LevelDbEngine.open(tmp_path / folder).close()
        return sum(path.stat().st_size for path in (tmp_path / folder).glob("*.ldb"))

    assert written("plain", None) > 1_000_000 > written("packed", "snappy") > 0

    monkeypatch.undo()
    engine = LevelDbEngine.open(tmp_path / "packed")
    assert list(engine.scan(b"", b"\xff")) == rows
    engine.close()
