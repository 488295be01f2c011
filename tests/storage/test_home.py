"""A home's database is made once, opened by one, and refused in plain words unless it is whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import StorageError, UserError
from storage.home import HOME_KEY, Store, create, default_engine, open_store, verify_all
from storage.leveldb import is_available
from storage.lock import HomeLock
from storage.tripwire import (
    FILE_SIZE,
    HOME_FORMAT,
    SLOT_OFFSETS,
    SLOT_SIZE,
    TRIPWIRE_NAME,
    Mark,
    Tripwire,
    decode_mark,
    encode_mark,
)

ROOT = Path(__file__).parents[2]
NETWORK = bytes(range(32))
OTHER_NETWORK = bytes(32)
MARK = Mark("sqlite", NETWORK, 7, 3)

Read = Callable[[Store], dict[bytes, bytes]]


def refusal(home: Path, **options: Any) -> str:
    """The one line with which a home is refused."""
    with pytest.raises(StorageError) as raised:
        open_store(home, **options)
    line = str(raised.value)
    assert "\n" not in line
    HomeLock(home).release()  # a refused opening leaves no lock behind
    return line


def test_a_new_home_holds_what_is_written_to_it(tmp_path: Path, disk_engine: str) -> None:
    home = tmp_path / "new" / "home"
    with create(home, disk_engine, network=NETWORK) as store:
        assert (store.name, store.network, store.number) == (disk_engine, NETWORK, 1)
        store.write([(b"a", b"1")], sync=False)
        store.write([(b"b", b"2")], sync=True, certified_height=5)
        store.write([(b"c", b"3")], sync=True)

    with open_store(home, network=NETWORK) as store:
        assert (store.name, store.number, store.certified_height) == (disk_engine, 3, 5)
        assert store.damage is None
        assert dict(store.scan(b"", b"z")) == {b"a": b"1", b"b": b"2", b"c": b"3"}
        with store.snapshot() as view:
            assert list(view.scan(b"", b"z", reverse=True))[-1] == (b"a", b"1")
            assert view.get(b"b") == b"2"
        assert verify_all(store) == 3


def test_the_default_engine_is_leveldb_where_it_can_be_imported(tmp_path: Path) -> None:
    assert default_engine() == ("leveldb" if is_available() else "sqlite")
    with create(tmp_path, None, network=NETWORK) as store:
        assert store.name == default_engine()


def test_without_plyvel_sqlite_is_the_default_and_leveldb_says_what_is_missing(
    tmp_path: Path,
) -> None:
    script = """
import sys
from pathlib import Path
sys.modules["plyvel"] = None  # as where no wheel exists: importing it fails
from ledger.errors import UserError
from storage.home import create, default_engine
from storage.leveldb import LevelDbEngine
assert default_engine() == "sqlite"
create(Path(sys.argv[1]) / "home", None, network=bytes(32)).close()
for attempt in (
    lambda: create(Path(sys.argv[1]) / "other", "leveldb", network=bytes(32)),
    lambda: LevelDbEngine(Path(sys.argv[1]) / "other", create=True),
):
    try:
        attempt()
    except UserError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("plyvel" in line and "sqlite" in line for line in lines)


def test_a_second_init_of_a_home_is_refused(tmp_path: Path, disk_engine: str) -> None:
    with create(tmp_path, disk_engine, network=NETWORK) as store:
        store.write([(b"a", b"1")], sync=True)

    with pytest.raises(UserError, match="already has a database"):
        create(tmp_path, disk_engine, network=NETWORK)
    with open_store(tmp_path) as store:
        assert store.get(b"a") == b"1"


def test_an_unknown_engine_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'memory'"):
        create(tmp_path / "home", "memory", network=NETWORK)
    assert not (tmp_path / "home").exists()


def test_a_missing_home_is_the_users_mistake_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no home"):
        open_store(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_key_with_a_zero_byte_is_reserved(tmp_path: Path) -> None:
    with create(tmp_path, "sqlite", network=NETWORK) as store:
        with pytest.raises(AssertionError):
            store.write([(b"\0sync", b"1")], sync=True)
        store.write([(b"\x01", b"first")], sync=True)
        assert list(store.scan(b"", b"\xff")) == [(b"\x01", b"first")]


def test_the_certified_height_never_falls(tmp_path: Path) -> None:
    with create(tmp_path, "sqlite", network=NETWORK) as store:
        store.write([], sync=True, certified_height=4)
        with pytest.raises(AssertionError):
            store.write([], sync=True, certified_height=3)


# --- the lock ---


def test_a_second_opening_in_the_same_process_is_refused(tmp_path: Path, disk_engine: str) -> None:
    with create(tmp_path, disk_engine, network=NETWORK) as store:
        for _ in range(3):
            with pytest.raises(UserError, match="in use by another process"):
                open_store(tmp_path)
        store.write([(b"a", b"1")], sync=True)
    with open_store(tmp_path) as store:
        assert store.get(b"a") == b"1"


def test_a_second_process_is_refused_until_the_first_is_gone(
    tmp_path: Path, disk_engine: str
) -> None:
    create(tmp_path, disk_engine, network=NETWORK).close()
    script = (
        "import sys; from pathlib import Path; from storage.home import open_store; "
        "store = open_store(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(UserError, match=f"home {tmp_path} is in use by another process"):
            open_store(tmp_path)
        holder.kill()
    open_store(tmp_path).close()


def test_whatever_stands_in_the_lock_file_is_harmless(tmp_path: Path) -> None:
    create(tmp_path, "sqlite", network=NETWORK).close()
    (tmp_path / "lock").write_bytes(b"\xff" * 100)
    open_store(tmp_path).close()
    (tmp_path / "lock").unlink()
    open_store(tmp_path).close()


# --- what is not ours ---


def test_a_home_of_another_network_is_refused(homes: Any) -> None:
    assert "belongs to the network" in refusal(homes.copy(), network=OTHER_NETWORK)


def test_the_database_of_another_network_is_refused(homes: Any, tmp_path: Path) -> None:
    home = homes.copy()
    create(tmp_path / "other", homes.engine, network=OTHER_NETWORK).close()
    (home / "database").rename(tmp_path / "kept")
    (tmp_path / "other" / "database").rename(home / "database")

    assert "the database belongs to the network 0000000000000000" in refusal(home)


def test_an_older_copy_of_the_database_is_refused(homes: Any, tmp_path: Path) -> None:
    home, older = homes.copy("crashed"), homes.copy("closed")
    (home / "database").rename(tmp_path / "newer")
    (older / "database").rename(home / "database")

    assert "rolled back or has lost its newest records" in refusal(home)


def test_an_older_copy_of_the_whole_home_cannot_be_told_from_the_home(homes: Any) -> None:
    """Why a validator asks a quorum for its own newest slot before it signs after a restart."""
    with open_store(homes.copy("closed")) as store:
        assert store.get(b"vote") is not None


def test_a_missing_database_is_refused_and_not_made_anew(homes: Any, tmp_path: Path) -> None:
    home = homes.copy()
    (home / "database").rename(tmp_path / "gone")

    assert "is missing" in refusal(home)
    assert not (home / "database").exists()


def test_an_emptied_database_directory_is_refused_and_stays_empty(homes: Any) -> None:
    home = homes.copy()
    for path in (home / "database").iterdir():
        path.unlink()

    assert "missing" in refusal(home)
    assert list((home / "database").iterdir()) == []


def test_a_fresh_database_in_place_of_the_old_one_is_refused(homes: Any, tmp_path: Path) -> None:
    home = homes.copy()
    create(tmp_path / "fresh", homes.engine, network=NETWORK).close()
    (home / "database").rename(tmp_path / "kept")
    (tmp_path / "fresh" / "database").rename(home / "database")

    assert "the database ends with synced batch 1 " in refusal(home)


def test_a_database_that_was_never_a_nodes_is_refused(homes: Any) -> None:
    home = homes.copy()
    with open_store(home) as store:
        store.engine.write([(HOME_KEY, None)], sync=True)

    assert "not the database of a ledger node" in refusal(home)


@pytest.mark.parametrize("other", [HOME_FORMAT - 1, HOME_FORMAT + 1])
def test_a_database_of_another_format_is_refused(homes: Any, other: int) -> None:
    home = homes.copy()
    with open_store(home) as store:
        store.engine.write([(HOME_KEY, other.to_bytes(2, "big") + NETWORK)], sync=True)

    assert f"format {other} and this node knows only format {HOME_FORMAT}" in refusal(home)


@pytest.mark.parametrize("other", [HOME_FORMAT - 1, HOME_FORMAT + 1])
def test_a_home_of_another_format_is_refused(homes: Any, other: int) -> None:
    home = homes.copy()
    slot = bytearray(encode_mark(MARK))
    slot[8:10] = other.to_bytes(2, "big")
    slot[-8:] = _checksum_of(bytes(slot[:-8]))
    (home / TRIPWIRE_NAME).write_bytes(bytes(slot).ljust(SLOT_OFFSETS[1], b"\0") + bytes(slot))

    assert f"format {other} and this node knows only format {HOME_FORMAT}" in refusal(home)


# --- the tripwire ---


def test_a_missing_tripwire_is_refused(homes: Any) -> None:
    home = homes.copy()
    (home / TRIPWIRE_NAME).unlink()

    assert "nobody can tell whether the database is whole" in refusal(home)
    assert not (home / TRIPWIRE_NAME).exists()


@pytest.mark.parametrize("rubbish", [b"", b"\0" * FILE_SIZE, b"\xff" * FILE_SIZE, b"LDGRWIRE"])
def test_a_tripwire_of_rubbish_is_refused(homes: Any, rubbish: bytes) -> None:
    home = homes.copy()
    (home / TRIPWIRE_NAME).write_bytes(rubbish)

    assert "nobody can tell whether the database is whole" in refusal(home)


def test_a_tripwire_that_mixes_two_databases_is_refused(homes: Any) -> None:
    home = homes.copy()
    other = encode_mark(replace(MARK, network=OTHER_NETWORK))
    content = encode_mark(MARK).ljust(SLOT_OFFSETS[1], b"\0") + other
    (home / TRIPWIRE_NAME).write_bytes(content)

    assert "mixes two databases" in refusal(home)


def test_one_damaged_slot_is_survived_reported_and_mended(homes: Any, read_content: Read) -> None:
    for slot in (0, 1):
        home = homes.copy()
        content = bytearray((home / TRIPWIRE_NAME).read_bytes())
        content[SLOT_OFFSETS[slot] + 60] ^= 0x10
        (home / TRIPWIRE_NAME).write_bytes(content)

        with open_store(home) as store:
            assert store.damage is not None
            assert "damaged" in store.damage
            assert read_content(store) == homes.records
            store.write([], sync=True)
            store.write([], sync=True)
        with open_store(home) as store:
            assert store.damage is None


def test_a_database_ahead_of_the_tripwire_is_accepted(homes: Any, read_content: Read) -> None:
    """The tripwire is not synced: after a power cut it may be as old as the page cache was."""
    home = homes.copy("crashed")
    older = (homes.copy("closed") / TRIPWIRE_NAME).read_bytes()
    (home / TRIPWIRE_NAME).write_bytes(older)

    with open_store(home) as store:
        assert read_content(store) == homes.crashed_records


def test_the_tripwire_remembers_each_synced_batch_and_only_those(homes: Any) -> None:
    home = homes.copy()
    with open_store(home) as store:
        number = store.number
        for step in range(1, 6):
            store.write([(b"x", b"%d" % step)], sync=True, certified_height=100 + step)
            store.write([(b"y", b"%d" % step)], sync=False, certified_height=100 + step)
            tripwire = Tripwire.open(home / TRIPWIRE_NAME)
            mark = tripwire.mark
            tripwire.close()
            assert (mark.number, mark.certified_height) == (number + step, 100 + step)
        assert store.number == number + 5


def test_every_changed_byte_of_a_slot_is_seen() -> None:
    slot = encode_mark(MARK)
    assert decode_mark(slot) == MARK
    assert len(slot) == SLOT_SIZE
    for position in range(SLOT_SIZE):
        for bit in range(8):
            flipped = bytearray(slot)
            flipped[position] ^= 1 << bit
            assert decode_mark(bytes(flipped)) is None


def test_a_tripwire_that_cannot_be_written_ends_the_store(homes: Any) -> None:
    home = homes.copy()
    store = open_store(home)
    store._tripwire.close()  # every write to it fails from now on

    with pytest.raises(StorageError, match="tripwire file could not be written"):
        store.write([], sync=True)
    with pytest.raises(StorageError, match="tripwire file could not be written"):
        store.get(b"vote")
    store._tripwire = Tripwire.open(home / TRIPWIRE_NAME)
    store.close()


def _checksum_of(body: bytes) -> bytes:
    return blake2b(body, digest_size=8).digest()
