"""Places to keep an engine, and homes with something in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.contract import Engine
from storage.faulty import DiskFault, FaultyEngine
from storage.home import ENGINES, Store, create, open_store
from storage.leveldb import is_available
from storage.memory import MemoryDisk

NETWORK = bytes(range(32))
ALL_ENGINES = ("memory", "leveldb", "sqlite", "faulty")
DISK_ENGINES = ("leveldb", "sqlite")
RECORD_COUNT = 400


class Place:
    """Where one engine lives across openings."""

    def __init__(self, engine: str, directory: Path) -> None:
        self.engine = engine
        self._directory = directory
        self._disk = MemoryDisk()

    def create(self) -> Engine:
        if self.engine in ("memory", "faulty"):
            return self.open()
        return ENGINES[self.engine].create(self._directory)

    def open(self) -> Engine:
        if self.engine == "memory":
            return self._disk.open()
        if self.engine == "faulty":
            return FaultyEngine(self._disk.open(), lambda _: DiskFault(), lambda _: None)
        return ENGINES[self.engine].open(self._directory)


def skip_without_plyvel(engine: str) -> None:
    if engine == "leveldb" and not is_available():
        pytest.skip("plyvel is not installed here")


@pytest.fixture(params=ALL_ENGINES)
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """A factory of empty places, one engine after the other."""
    skip_without_plyvel(request.param)
    count = 0

    def make() -> Place:
        nonlocal count
        count += 1
        return Place(request.param, tmp_path / str(count))

    return make


@pytest.fixture(params=DISK_ENGINES)
def disk_engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine that has files."""
    skip_without_plyvel(request.param)
    name: str = request.param
    return name


def content(store: Store) -> dict[bytes, bytes]:
    """All that a store holds, read record by record after a full check."""
    count = store.verify_all()
    records = dict(store.scan(b"", b"\xff" * 8))
    assert len(records) == count
    return records


def fill(home: Path, engine: str) -> dict[bytes, bytes]:
    """Make a home with several openings' worth of records, and return them."""
    records: dict[bytes, bytes] = {}
    create(home, engine, network=NETWORK).close()
    for opening in range(4):
        with open_store(home) as store:
            for index in range(opening, RECORD_COUNT, 4):
                records[b"record/%05d" % index] = b"value %d " % (index * index) * 5
                records[b"vote"] = b"%d" % index
                store.write(
                    [(key, records[key]) for key in (b"record/%05d" % index, b"vote")],
                    sync=index % 3 == 0,
                    certified_height=opening,
                )
            store.write([], sync=True)
    return records


class Homes:
    """One filled home, closed, and one as a crash left it; copies of both to do harm to."""

    def __init__(self, directory: Path, engine: str) -> None:
        self.engine = engine
        self._directory = directory
        self._copies = 0
        self.records = fill(directory / "closed", engine)
        shutil.copytree(directory / "closed", directory / "running")
        self.crashed_records = dict(self.records)
        with open_store(directory / "running") as store:
            for index in range(40):
                self.crashed_records[b"late/%d" % index] = b"late value %d" % index * 9
                record = (b"late/%d" % index, self.crashed_records[b"late/%d" % index])
                store.write([record], sync=index % 2 == 1)
            # The files of a process that was killed now: all is written, nothing was closed.
            shutil.copytree(directory / "running", directory / "crashed")

    def copy(self, which: str = "closed") -> Path:
        """A fresh copy of the home, "closed" or "crashed"."""
        self._copies += 1
        return Path(shutil.copytree(self._directory / which, self._directory / str(self._copies)))


def make_homes(factory: pytest.TempPathFactory, engine: str) -> Homes:
    skip_without_plyvel(engine)
    return Homes(factory.mktemp(engine), engine)


@pytest.fixture(scope="module", params=DISK_ENGINES)
def homes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Filled homes of either engine."""
    return make_homes(tmp_path_factory, request.param)


@pytest.fixture(scope="module")
def level_homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Filled homes of LevelDB."""
    return make_homes(tmp_path_factory, "leveldb")


@pytest.fixture(scope="module")
def sqlite_homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Filled homes of SQLite."""
    return make_homes(tmp_path_factory, "sqlite")


@pytest.fixture(scope="session")
def read_content() -> Callable[[Store], dict[bytes, bytes]]:
    """`content`, for tests: they cannot import this file."""
    return content
