"""A home's database: made once, opened by one process, and refused unless it is whole.

    HOME/lock        one process a home                     (storage/lock.py)
    HOME/tripwire    how far the database had come          (storage/tripwire.py)
    HOME/database/   the engine's files

Inside the database the reserved key "\\0home" says whose it is, and "\\0sync", part of every batch,
holds the running number of synced batches, the certified height and the count of all batches.
Keys that begin with a zero byte belong to this file; scans of a Store do not show them.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Self

from ledger.errors import StorageError, UserError
from ledger.store import Reader, Write
from storage.contract import Engine
from storage.leveldb import LevelDbEngine, is_available
from storage.lock import HomeLock
from storage.sqlite import SqliteEngine
from storage.tripwire import HOME_FORMAT, TRIPWIRE_NAME, Mark, Tripwire, sync_directory

DATABASE_NAME = "database"
ENGINES: dict[str, type[LevelDbEngine] | type[SqliteEngine]] = {
    LevelDbEngine.name: LevelDbEngine,
    SqliteEngine.name: SqliteEngine,
}
HOME_KEY = b"\0home"
SYNC_KEY = b"\0sync"
FIRST_KEY = b"\x01"  # the first key that is not reserved
AFTER_LAST_KEY = b"\xff" * 256  # beyond every key that anyone writes
_HOME_RECORD = struct.Struct(">H32s")  # home format, network id
_SYNC_RECORD = struct.Struct(">QQQ")  # number of synced batches, certified height, all batches
NETWORK_ID_SIZE = 32


def default_engine() -> str:
    """LevelDB where it can be imported, else SQLite."""
    return LevelDbEngine.name if is_available() else SqliteEngine.name


def create(home: Path, engine: str | None, *, network: bytes) -> Store:
    """Make the database of a new home and open it; engine None takes the default.

    Raises UserError if there is one already, or no such engine.  Only `init` may call this.
    """
    assert len(network) == NETWORK_ID_SIZE, "a network id has 32 bytes"
    name = default_engine() if engine is None else engine
    if name not in ENGINES:
        raise UserError(f"there is no storage engine {name!r}; choose from {', '.join(ENGINES)}")
    if name == LevelDbEngine.name and not is_available():
        raise UserError("the engine leveldb needs the package plyvel; choose the engine sqlite")
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"the home {home} cannot be made: {error}") from error
    with ExitStack() as cleanup:
        lock = cleanup.enter_context(HomeLock(home))
        for path in (home / DATABASE_NAME, home / TRIPWIRE_NAME):
            if path.exists():
                raise UserError(f"home {home} already has a {path.name}; choose another home")
        database = ENGINES[name].create(home / DATABASE_NAME)
        cleanup.callback(database.close)
        owner = (HOME_KEY, _HOME_RECORD.pack(HOME_FORMAT, network))
        database.write([owner, (SYNC_KEY, _SYNC_RECORD.pack(1, 0, 1))], sync=True)
        _sync_names(home)
        # Last, so that a home whose making was cut short is refused.
        tripwire = Tripwire.create(home / TRIPWIRE_NAME, Mark(name, network, 1, 0))
        cleanup.callback(tripwire.close)
        store = Store(database, tripwire, lock)
        cleanup.pop_all()
    return store


def open_store(
    home: Path,
    *,
    network: bytes | None = None,
    around: Callable[[Engine], Engine] = lambda engine: engine,
) -> Store:
    """Open a home's database; network, where given, is the id it must belong to; around may put
    another engine around its own (storage/faulty.py).

    Raises UserError if the home is missing or in use, StorageError if the database is missing,
    damaged, of another network or format, or behind the tripwire.  Never creates a database.
    """
    if not home.is_dir():
        raise UserError(f"there is no home {home}; `ledger-node init` makes one")
    with ExitStack() as cleanup:
        lock = cleanup.enter_context(HomeLock(home))
        tripwire = Tripwire.open(home / TRIPWIRE_NAME)
        cleanup.callback(tripwire.close)
        mark = tripwire.mark
        if network is not None and network != mark.network:
            raise StorageError(
                f"home {home} belongs to the network {mark.network.hex()[:16]}, "
                f"not to {network.hex()[:16]}"
            )
        if mark.engine not in ENGINES:
            raise StorageError(f"home {home} uses the engine {mark.engine!r}, unknown to this node")
        if not (home / DATABASE_NAME).is_dir():
            raise StorageError(f"the database of home {home} is missing")
        database = around(ENGINES[mark.engine].open(home / DATABASE_NAME))
        cleanup.callback(database.close)
        store = Store(database, tripwire, lock)
        cleanup.pop_all()
    return store


def verify_all(store: Store) -> int:
    """The count of records, each of which was read and fits its checksum.  Raises StorageError."""
    return store.verify_all()


class Store:
    """An engine, its running number and its tripwire.  Threads as in `storage/contract.py`."""

    def __init__(self, engine: Engine, tripwire: Tripwire, lock: HomeLock) -> None:
        """Take over all three.  Raises StorageError if the database is not the tripwire's."""
        self.engine = engine
        self._tripwire = tripwire
        self._lock = lock
        self._writing = threading.Lock()
        self._is_closed = False
        _check_owner(engine, tripwire.mark)
        record = engine.get(SYNC_KEY)
        if record is None or len(record) != _SYNC_RECORD.size:
            raise StorageError("the database has lost its running number")
        self._number: int
        self._certified_height: int
        self._batch_count: int
        self._number, self._certified_height, self._batch_count = _SYNC_RECORD.unpack(record)
        _check_not_behind(self._number, self._certified_height, tripwire.mark)

    @property
    def name(self) -> str:
        """The engine's name."""
        return self.engine.name

    @property
    def network(self) -> bytes:
        """Network id of the ledger kept here."""
        return self._tripwire.mark.network

    @property
    def number(self) -> int:
        """Number of the last synced batch."""
        return self._number

    @property
    def certified_height(self) -> int:
        """The certified height last given to `write`."""
        return self._certified_height

    @property
    def damage(self) -> str | None:
        """One line for the operator about damage that was survived when opening, or None."""
        return self._tripwire.damage

    def get(self, key: bytes) -> bytes | None:
        """The newest value under key, or None."""
        return self.engine.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As the engine's, without reserved keys."""
        return self.engine.scan(max(start, FIRST_KEY), stop, reverse=reverse)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """As the engine's, without reserved keys."""
        with self.engine.snapshot() as reader:
            yield _Unreserved(reader)

    def write(
        self, writes: Sequence[Write], *, sync: bool, certified_height: int | None = None
    ) -> None:
        """Write one batch; certified_height, where given, is the new certified height."""
        keys = map(itemgetter(0), writes)
        assert min(keys, default=FIRST_KEY) >= FIRST_KEY, "a key with a zero byte is reserved"
        with self._writing:
            number = self._number + 1 if sync else self._number
            height = self._certified_height if certified_height is None else certified_height
            assert height >= self._certified_height, "the certified height never falls"
            record = _SYNC_RECORD.pack(number, height, self._batch_count + 1)
            self.engine.write([*writes, (SYNC_KEY, record)], sync=sync)
            self._number, self._certified_height = number, height
            self._batch_count += 1
            if sync:
                self._advance_tripwire()

    def verify_all(self) -> int:
        """Check the files and every record; return the count of records, reserved ones apart."""
        self.engine.check()
        count = 0
        last = b""
        for key, _ in self.engine.scan(b"", AFTER_LAST_KEY):
            if key <= last:
                raise StorageError("the database is damaged: its keys are out of order")
            last = key
            count += key >= FIRST_KEY
        return count

    def close(self) -> None:
        """Close the engine, then the tripwire, then the lock.  Closing twice is fine."""
        if not self._is_closed:
            self._is_closed = True
            try:
                self.engine.close()
            finally:
                self._tripwire.close()
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _advance_tripwire(self) -> None:
        try:
            self._tripwire.advance(self._number, self._certified_height)
        except StorageError as error:
            self.engine.refuse(str(error))
            raise


class _Unreserved:
    """A snapshot's reader whose scans show no reserved keys."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.get = reader.get

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._reader.scan(max(start, FIRST_KEY), stop, reverse=reverse)


def _check_owner(engine: Engine, mark: Mark) -> None:
    record = engine.get(HOME_KEY)
    if record is None or len(record) != _HOME_RECORD.size:
        raise StorageError("the database is empty, or not the database of a ledger node")
    version, network = _HOME_RECORD.unpack(record)
    if version != HOME_FORMAT:
        raise StorageError(
            f"the database has format {version} and this node knows only format {HOME_FORMAT}; "
            "use the version of the node that wrote it"
        )
    if network != mark.network:
        raise StorageError(
            f"the database belongs to the network {network.hex()[:16]}, "
            f"but this home to {mark.network.hex()[:16]}"
        )


def _check_not_behind(number: int, certified_height: int, mark: Mark) -> None:
    if number < mark.number or certified_height < mark.certified_height:
        raise StorageError(
            f"the database ends with synced batch {number} (certified height {certified_height}), "
            f"but batch {mark.number} (certified height {mark.certified_height}) was written: "
            "it was rolled back or has lost its newest records; do not use it"
        )


def _sync_names(home: Path) -> None:
    """Make the names of a new database durable."""
    try:
        for directory in (home / DATABASE_NAME, home, home.resolve().parent):
            sync_directory(directory)
    except OSError as error:
        raise StorageError(f"the home {home} cannot be made durable: {error}") from error
