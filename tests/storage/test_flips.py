"""One changed byte anywhere in a home: refused, reported, or harmless; never silently less."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.errors import StorageError
from storage.home import Store, open_store
from storage.tripwire import FILE_SIZE, TRIPWIRE_NAME

FLIP_COUNT = 200
Read = Callable[[Store], dict[bytes, bytes]]


def flip_one(home: Path, draw: Random) -> str:
    """Change one byte of one file, a file as likely as its size; say where."""
    files = sorted(path for path in home.rglob("*") if path.is_file() and path.stat().st_size)
    small = draw.random() < 0.3  # else the small files, where a flip hurts most, are never hit
    weights = [1 if small else path.stat().st_size for path in files]
    (path,) = draw.choices(files, weights)
    content = bytearray(path.read_bytes())
    position = draw.randrange(len(content))
    content[position] ^= draw.randrange(1, 256)
    path.write_bytes(content)
    return f"{path.name} at {position}"


@pytest.mark.parametrize("which", ["closed", "crashed"])
def test_a_flipped_byte_never_costs_data_silently(
    homes: Any, which: str, read_content: Read
) -> None:
    records = homes.records if which == "closed" else homes.crashed_records
    outcomes: Counter[str] = Counter()
    for seed in range(FLIP_COUNT):
        home = homes.copy(which)
        where = flip_one(home, Random(f"{homes.engine} {which} {seed}"))
        outcome = "same"
        try:
            with open_store(home) as store:
                outcome = "refused by verify_all"
                found = read_content(store)
                outcome = "same"
            assert found == records, f"seed {seed}: {where}: the content changed silently"
        except StorageError:
            outcome = "refused at open" if outcome == "same" else outcome
        outcomes[outcome] += 1
        shutil.rmtree(home)

    assert outcomes.total() == FLIP_COUNT
    assert outcomes["refused at open"] + outcomes["refused by verify_all"] > FLIP_COUNT // 4


def test_a_flipped_byte_of_the_tripwire_is_reported_or_harmless(
    homes: Any, read_content: Read
) -> None:
    home = homes.copy()
    whole = (home / TRIPWIRE_NAME).read_bytes()
    assert len(whole) == FILE_SIZE
    for position in (*range(0, 128, 9), 500, 4095, *range(4096, FILE_SIZE, 9)):
        changed = bytearray(whole)
        changed[position] ^= 1
        (home / TRIPWIRE_NAME).write_bytes(changed)

        with open_store(home) as store:
            is_in_a_slot = position < 128 or position >= 4096
            assert (store.damage is not None) == is_in_a_slot
            assert read_content(store) == homes.records


def test_the_log_of_sqlite_damaged_anywhere_is_refused(sqlite_homes: Any) -> None:
    """SQLite ends its log at the first wrong frame without a word; the running number does not."""
    size = (sqlite_homes.copy("crashed") / "database" / "ledger.sqlite-wal").stat().st_size
    assert size > 40 * 4096
    for position in range(24, size, size // 40):
        home = sqlite_homes.copy("crashed")
        path = home / "database" / "ledger.sqlite-wal"
        content = bytearray(path.read_bytes())
        content[position] ^= 4
        path.write_bytes(content)
        with pytest.raises(StorageError, match="lost its newest records"):
            open_store(home)


def test_the_log_of_sqlite_missing_is_refused(sqlite_homes: Any) -> None:
    home = sqlite_homes.copy("crashed")
    (home / "database" / "ledger.sqlite-wal").unlink()

    with pytest.raises(StorageError, match="lost its newest records"):
        open_store(home)


def test_a_damaged_page_of_sqlite_that_hides_records_is_refused_at_open(sqlite_homes: Any) -> None:
    """A look-up in such a page would take a record for absent, and no checksum would be read."""
    home = sqlite_homes.copy()
    path = home / "database" / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    leaves = [start for start in range(4096, len(content), 4096) if content[start] == 10]
    count_at = leaves[-1] + 3  # cells on the page, two bytes (SQLite file format, section 1.6)
    cells = int.from_bytes(content[count_at : count_at + 2], "big")
    content[count_at : count_at + 2] = (cells - 1).to_bytes(2, "big")
    path.write_bytes(content)

    with pytest.raises(StorageError, match="the database is damaged"):
        open_store(home)
