"""The SQLite engine (standard library), for machines without a LevelDB wheel.

One table without row ids, in write-ahead mode.  `synchronous` is FULL for a synced batch and NORMAL
for others (NORMAL syncs the log before each checkpoint, so nothing is ever kept in part); fullfsync
and checkpoint_fullfsync ask a Mac's disk to empty its cache too.

SQLite has no checksums in its tables and ends its log silently at the first frame that is wrong.
Against these: each record has its own checksum; `open` runs quick_check over the whole file, since
a damaged page can hide records; and every synced batch changes a row of its own, so that even a
batch that changes nothing else reaches the disk.  The log's lost tail shows in the running number
(`storage/home.py`).  Checkpoints are run here, as SQLite's automatic ones swallow their errors.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from ledger.errors import StorageError
from ledger.store import Reader, Write
from storage.checksum import seal, unseal
from storage.contract import CLOSED, Engine

FILE_NAME = "ledger.sqlite"
APPLICATION_ID = 0x4C454447  # "LEDG", at offset 68 of the file (SQLite file format, section 1.3.17)
SCHEMA = (
    "CREATE TABLE record (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sync (number INTEGER NOT NULL)",
    "INSERT INTO sync VALUES (0)",
)
ROWS_A_FETCH = 256  # rows a scan takes from SQLite at once
CHECKPOINT_PAGES = 1_000  # changed pages after which the log moves into the table
CACHE_KIB = 16_384  # page cache of the writer
BUSY_TIMEOUT_S = 60.0  # only a checkpoint or a stray reader process can make us wait

GET = "SELECT value FROM record WHERE key = ?"
SCAN = "SELECT key, value FROM record WHERE key >= ? AND key < ? ORDER BY key"
PUT = "INSERT INTO record VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
DELETE = "DELETE FROM record WHERE key = ?"
COUNT_SYNC = "UPDATE sync SET number = number + 1"


class SqliteEngine(Engine):
    """One SQLite file, open: a connection that writes and a pool of connections that read."""

    name: ClassVar[str] = "sqlite"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._path = directory / FILE_NAME
        self._idle: deque[sqlite3.Connection] = deque()  # its append and pop are atomic
        self._writer = self._connect()
        self._full_sync = True
        self._pages_since_checkpoint = 0

    @classmethod
    def create(cls, directory: Path) -> SqliteEngine:
        """A new, empty database in `directory`, which must not hold one."""
        path = directory / FILE_NAME
        try:
            directory.mkdir(exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError as error:
            raise StorageError(f"the database {path} already exists") from error
        except OSError as error:
            raise StorageError(f"the database cannot be created: {error}") from error
        engine = cls(directory)
        engine._initialize()
        return engine

    @classmethod
    def open(cls, directory: Path) -> SqliteEngine:
        """The database in `directory`.  Raises StorageError if it is missing or damaged."""
        if not (directory / FILE_NAME).is_file():
            raise StorageError(f"the database is missing: no file {directory / FILE_NAME}")
        engine = cls(directory)
        try:
            engine._check_header()
            engine._check_pages("quick_check")
        except StorageError:
            engine.close()
            raise
        return engine

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        connection = self._borrow()
        try:
            return _get(connection, key)
        finally:
            self._give_back(connection)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        return self._scan(start, stop, reverse)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        self._check_open()
        connection = self._borrow()
        try:
            with _reported("cannot be read"):
                connection.execute("BEGIN")
                connection.execute("SELECT number FROM sync").fetchone()  # the view begins here
            try:
                yield _View(connection)
            finally:
                with _reported("cannot be read"):
                    connection.rollback()
        finally:
            self._give_back(connection)

    def check(self) -> None:
        """SQLite's integrity_check: every page in its place, every key in order."""
        self._check_open()
        self._check_pages("integrity_check")

    def _write_batch(self, writes: Sequence[Write], sync: bool) -> None:
        last = dict(writes)  # a key written twice keeps its last value
        puts = [(key, seal(key, last[key] or b"")) for key in last if last[key] is not None]
        puts.sort()  # neighbours in the tree, neighbours in time
        deletes = [(key,) for key in last if last[key] is None]
        with _reported(
            "could not be written and the state of that write is unknown; restart the node"
        ):
            if sync != self._full_sync:
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._full_sync = sync
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(PUT, puts)
            self._writer.executemany(DELETE, deletes)
            if sync:
                self._writer.execute(COUNT_SYNC)
            self._writer.execute("COMMIT")
            self._pages_since_checkpoint += len(last) + 1  # at most a page each, splits apart
            if self._pages_since_checkpoint >= CHECKPOINT_PAGES:
                self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._pages_since_checkpoint = 0

    def _release(self) -> None:
        with _reported("could not be closed"):
            while self._idle:
                self._idle.pop().close()
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        """A connection that never creates a file, in the modes this engine needs."""
        with _reported("cannot be opened"):
            connection = sqlite3.connect(
                f"file:{quote(str(self._path.resolve()))}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,  # the pool hands a connection to one thread at a time
                timeout=BUSY_TIMEOUT_S,
                cached_statements=16,
            )
            try:
                for pragma in (
                    "synchronous = FULL",
                    "fullfsync = 1",
                    "checkpoint_fullfsync = 1",
                    "cell_size_check = 1",
                    "trusted_schema = 0",
                    "wal_autocheckpoint = 0",
                    f"cache_size = -{CACHE_KIB}",
                ):
                    connection.execute(f"PRAGMA {pragma}")
            except sqlite3.Error:
                connection.close()
                raise
        return connection

    def _borrow(self) -> sqlite3.Connection:
        """An idle reading connection, or a new one: as many as threads ever read at once."""
        try:
            return self._idle.pop()
        except IndexError:
            connection = self._connect()
            with _reported("cannot be opened"):
                connection.execute("PRAGMA query_only = 1")
            return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if self._refusal == CLOSED:
            connection.close()
        else:
            self._idle.append(connection)

    def _scan(self, start: bytes, stop: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        connection = self._borrow()
        try:
            yield from _scan(connection, start, stop, reverse)
        finally:
            self._give_back(connection)

    def _initialize(self) -> None:
        with _reported("cannot be created"):
            self._writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._writer.execute("PRAGMA journal_mode = WAL")
            for statement in ("BEGIN IMMEDIATE", *SCHEMA, "COMMIT"):
                self._writer.execute(statement)

    def _check_header(self) -> None:
        with _reported("is damaged"):
            application_id = self._pragma("application_id")
            mode = self._pragma("journal_mode")
        if application_id != APPLICATION_ID or mode != "wal":
            raise StorageError(
                f"the database {self._path} is damaged, or not the database of a ledger node"
            )

    def _check_pages(self, pragma: str) -> None:
        with _reported("is damaged"):
            found = self._pragma(pragma)
        if found != "ok":
            first_line = str(found).splitlines()[-1]
            raise StorageError(f"the database is damaged: {first_line}")

    def _pragma(self, name: str) -> object:
        row = self._writer.execute(f"PRAGMA {name}").fetchone()
        return None if row is None else row[0]


class _View:
    """A connection inside a read transaction, as a Reader."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, key: bytes) -> bytes | None:
        return _get(self._connection, key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._connection, start, stop, reverse)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Turn SQLite's errors into a StorageError that says what could not be done."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"the database {what}: {error}") from error


def _get(connection: sqlite3.Connection, key: bytes) -> bytes | None:
    try:
        row = connection.execute(GET, (key,)).fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"the database cannot be read: {error}") from error
    return None if row is None else unseal(key, _stored(row[0]))


def _scan(
    connection: sqlite3.Connection, start: bytes, stop: bytes, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    try:
        cursor = connection.execute(SCAN + " DESC" if reverse else SCAN, (start, stop))
        try:
            while rows := cursor.fetchmany(ROWS_A_FETCH):
                for key, stored in rows:
                    yield key, unseal(key, _stored(stored))
        finally:
            cursor.close()  # ends its read transaction, also for a scan left half-way
    except sqlite3.Error as error:
        raise StorageError(f"the database cannot be read: {error}") from error


def _stored(value: object) -> bytes:
    """A column that damage has not turned into text or a number."""
    if not isinstance(value, bytes):
        raise StorageError("a database record is damaged (wrong type)")
    return value
