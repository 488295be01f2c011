"""The LevelDB engine (plyvel), the default where a wheel exists.  Only this file imports plyvel.

What LevelDB and plyvel do to the careless, and what is done about it here:

- Creating is `create` alone, with error_if_exists; `open` never creates, and reads the small files
  first (`leveldb_files.py`), since LevelDB forgets tables over a MANIFEST cut short.
- Every open has paranoid_checks and every read verify_checksums: else a flipped byte drops records.
- Scans use plyvel's raw iterators, which report the status after each move.  Its ordinary iterators
  end without a word where the next block is damaged, and backwards they miss a lone first key.
- A synced write syncs the newest log only.  Unsynced writes may still stand in the log before it,
  so what earlier batches left unsynced is synced first.
- A failed write fails all later ones in LevelDB too; the engine says so and refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

from ledger.errors import StorageError, UserError
from ledger.store import Reader, Write
from storage.checksum import CHECKSUM_SIZE, unseal
from storage.contract import Engine
from storage.leveldb_files import check_files, log_names

try:
    import plyvel

    DISK_ERRORS: tuple[type[Exception], ...] = (plyvel.Error, RuntimeError)
    # plyvel raises RuntimeError for a database closed under a reader.
except ImportError:  # no wheel for this machine: SQLite is used instead
    plyvel = None
    DISK_ERRORS = (RuntimeError,)

COMPRESSION = None  # ids, hashes and signatures do not shrink, and trying costs a third of a node
WRITE_BUFFER_SIZE = 8 << 20  # bytes of a table in memory, of which there are at most two
CACHE_SIZE = 32 << 20  # bytes of decompressed blocks
TABLE_SIZE = 8 << 20  # bytes: few files to open, and few to list
BLOOM_FILTER_BITS = 10  # a key that is absent costs no read in 99 of 100 look-ups

WRITE_ERRORS: tuple[type[Exception], ...] = (*DISK_ERRORS, OSError)  # OSError: syncing the logs


def is_available() -> bool:
    """True where plyvel is installed."""
    return plyvel is not None


class LevelDbEngine(Engine):
    """One LevelDB directory, open."""

    name: ClassVar[str] = "leveldb"

    def __init__(self, directory: Path, *, create: bool) -> None:
        super().__init__()
        if plyvel is None:
            raise UserError(
                "this database needs LevelDB: install the package plyvel, "
                "or make a new home with the engine sqlite"
            )
        self._directory = directory
        self._unsynced = False
        try:
            self._database: Any = plyvel.DB(
                str(directory),
                create_if_missing=create,
                error_if_exists=create,
                paranoid_checks=True,
                compression=COMPRESSION,
                write_buffer_size=WRITE_BUFFER_SIZE,
                lru_cache_size=CACHE_SIZE,
                max_file_size=TABLE_SIZE,
                bloom_filter_bits=BLOOM_FILTER_BITS,
            )
        except DISK_ERRORS as error:
            raise _refusal("cannot be opened", error) from error

    @classmethod
    def create(cls, directory: Path) -> LevelDbEngine:
        """A new, empty database in `directory`, which must not hold one."""
        return cls(directory, create=True)

    @classmethod
    def open(cls, directory: Path) -> LevelDbEngine:
        """The database in `directory`.  Raises StorageError if it is missing or damaged."""
        check_files(directory)
        return cls(directory, create=False)

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return _get(self._database, key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        return _scan(self._database, start, stop, reverse)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        self._check_open()
        snapshot = self._database.snapshot()
        try:
            yield _View(snapshot)
        finally:
            snapshot.close()

    def check(self) -> None:
        """Nothing beyond `open`: a full scan reads and checks every block of every table."""
        self._check_open()

    def _write_batch(self, writes: Sequence[Write], sync: bool) -> None:
        batch = self._database.write_batch(sync=sync)
        put, delete = batch.put, batch.delete
        for key, value in writes:
            if value is None:
                delete(key)
            else:
                # `seal` in line: the call would cost as much as the checksum.
                put(key, crc32(value, crc32(key)).to_bytes(CHECKSUM_SIZE, "big") + value)
        try:
            if sync and self._unsynced:
                _sync_logs(self._directory)
            batch.write()
        except WRITE_ERRORS as error:
            raise _refusal(
                "could not be written and the state of that write is unknown; restart the node",
                error,
            ) from error
        self._unsynced = not sync

    def _release(self) -> None:
        self._database.close()


class _View:
    """A snapshot as a Reader."""

    def __init__(self, snapshot: Any) -> None:
        self._snapshot = snapshot

    def get(self, key: bytes) -> bytes | None:
        return _get(self._snapshot, key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._snapshot, start, stop, reverse)


def _get(source: Any, key: bytes) -> bytes | None:
    try:
        stored = source.get(key, verify_checksums=True)
    except DISK_ERRORS as error:
        raise _refusal("cannot be read", error) from error
    return None if stored is None else unseal(key, stored)


def _scan(source: Any, start: bytes, stop: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
    try:
        cursor = source.raw_iterator(verify_checksums=True)
    except DISK_ERRORS as error:
        raise _refusal("cannot be read", error) from error
    return _backward(cursor, start, stop) if reverse else _forward(cursor, start, stop)


def _forward(cursor: Any, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    move, is_valid, item = cursor.next, cursor.valid, cursor.item
    try:
        cursor.seek(start)
        while is_valid():
            key, stored = item()
            if key >= stop:
                return
            yield key, unseal(key, stored)
            move()
    except DISK_ERRORS as error:
        raise _refusal("cannot be read", error) from error
    finally:
        cursor.close()


def _backward(cursor: Any, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    move, is_valid, item = cursor.prev, cursor.valid, cursor.item
    try:
        cursor.seek(stop)  # the first key outside the range, if there is one
        if is_valid():
            move()
        else:
            cursor.seek_to_last()
        while is_valid():
            key, stored = item()
            if key < start:
                return
            yield key, unseal(key, stored)
            move()
    except DISK_ERRORS as error:
        raise _refusal("cannot be read", error) from error
    finally:
        cursor.close()


def _sync_logs(directory: Path) -> None:
    """Make durable what stands in LevelDB's logs, the full one included that awaits its table."""
    for name in log_names(directory):
        try:
            descriptor = os.open(directory / name, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its content has just become a synced table
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refusal(what: str, error: Exception) -> StorageError:
    detail = error.args[0] if error.args else ""
    text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(error)
    return StorageError(f"the database {what}: {text}")
