"""The memory engine: a disk that forgets on command what was not synced.

`MemoryDisk` is what survives a crash; `MemoryEngine` is one opening of it, dead after the crash.
Every fault is an order (`plan`, `crash`, `damage`), so the same orders give the same bytes.

What a crash may lose: any unsynced batch, whole, alone or with others (a page cache writes back in
any order).  `keep` says which survive; a batch is never torn, as no engine keeps torn batches.
Values carry no checksum here: only `damage` can change them, and it acts as one that fails.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from ledger.errors import StorageError
from ledger.store import Reader, Write
from storage.contract import Engine

SORT_ABOVE = 64  # changed keys above which sorting anew is cheaper than inserting one by one


class Accident(Enum):
    """What happens at a planned write."""

    CRASH_BEFORE = "crash before the write reached the disk"
    CRASH_AFTER = "crash after the write was complete, before anyone heard of it"
    WRITE_ERROR = "the disk reports an error; whether it kept the batch shows after the next crash"


class SimulatedCrash(StorageError):
    """The process is gone: its host must drop the engine, crash the disk and open it again."""


class _Table:
    """A dictionary that also knows its keys in order, sorted when somebody asks."""

    __slots__ = ("_changed", "keys", "readers", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []
        self.readers = 0  # scans and snapshots under way: they see this table, so it stays as it is
        self._changed: dict[bytes, None] = {}  # keys that came or went since `keys` was right

    def copy(self) -> _Table:
        twin = _Table()
        twin.values = self.values.copy()
        twin.keys = self.keys.copy()
        twin._changed = self._changed.copy()
        return twin

    def put(self, key: bytes, value: bytes | None) -> bytes | None:
        """Set or delete; return what was there."""
        old = self.values.get(key)
        if (old is None) != (value is None):
            self._changed[key] = None
        if value is not None:
            self.values[key] = value
        elif old is not None:
            del self.values[key]
        return old

    def settle(self) -> None:
        """Make `keys` right: all keys in order."""
        if len(self._changed) > SORT_ABOVE:
            self.keys = sorted(self.values)
        else:
            for key in self._changed:
                index = bisect_left(self.keys, key)
                is_listed = index < len(self.keys) and self.keys[index] == key
                if is_listed and key not in self.values:
                    del self.keys[index]
                elif not is_listed and key in self.values:
                    self.keys.insert(index, key)
        self._changed.clear()


@dataclass(frozen=True, slots=True)
class _Batch:
    """An unsynced batch."""

    writes: Sequence[Write]
    """What it wrote, to write it again if it survives."""
    before: Sequence[Write]
    """What stood there before, to take it back."""


class MemoryDisk:
    """What survives a crash, and the orders for the next accident."""

    def __init__(self) -> None:
        self.write_count = 0
        """Batches begun since the disk was made, failed ones included."""
        self._lock = threading.Lock()  # writes against the beginnings and ends of scans
        self._table = _Table()
        self._unsynced: list[_Batch] = []
        self._accidents: dict[int, Accident] = {}
        self._damaged: set[bytes] = set()
        self._engine: MemoryEngine | None = None

    @property
    def unsynced_count(self) -> int:
        """Batches that the next crash may lose."""
        return len(self._unsynced)

    def open(self) -> MemoryEngine:
        """Open the disk: one engine at a time, until it is closed or the disk has crashed."""
        if self._engine is not None:
            raise StorageError("the database is in use")
        self._engine = MemoryEngine(self)
        return self._engine

    def plan(self, write_number: int, accident: Accident) -> None:
        """Let `accident` happen at the batch `write_number`, counted from 1 for ever."""
        assert write_number > self.write_count, "that write is past"
        self._accidents[write_number] = accident

    def damage(self, key: bytes) -> None:
        """Let every read of key fail as if its checksum did, until it is written again."""
        self._damaged.add(key)

    def crash(self, *, keep: int | Sequence[int] | Random) -> int:
        """Lose unsynced batches and end the open engine; return how many were lost.

        keep: the length of the surviving prefix; or the indices of the batches that survive (0 is
        the oldest unsynced); or a generator that draws a prefix or a subset, each half of the time.
        A killed process, whose page cache lives on, is `keep=disk.unsynced_count`.
        """
        if self._engine is not None:
            self._engine.refuse("the process of this database has crashed")
            self._engine = None
        batches, self._unsynced = self._unsynced, []
        kept = _choose(keep, len(batches))
        if len(kept) < len(batches):
            for batch in reversed(batches):
                self._apply(batch.before[::-1])
            for index in kept:
                self._apply(batches[index].writes)
        return len(batches) - len(kept)

    # What follows is for the engine.

    def write(self, writes: Sequence[Write], *, sync: bool) -> None:
        """Apply a batch, unless the accident planned for it is in the way."""
        self.write_count += 1
        accident = self._accidents.pop(self.write_count, None)
        if accident is Accident.CRASH_BEFORE:
            raise SimulatedCrash(accident.value)
        before = self._apply(writes)
        if sync and accident is not Accident.WRITE_ERROR:
            self._unsynced.clear()
        else:
            self._unsynced.append(_Batch(tuple(writes), before))
        if accident is Accident.CRASH_AFTER:
            raise SimulatedCrash(accident.value)
        if accident is Accident.WRITE_ERROR:
            raise StorageError("the disk reports an input/output error")

    def read(self, key: bytes) -> bytes | None:
        """What stands under key now."""
        if self._damaged:
            self.check_sound(key)
        return self._table.values.get(key)

    def check_sound(self, key: bytes) -> None:
        """Raise StorageError if key is damaged."""
        if key in self._damaged:
            raise StorageError(f"the database record {key[:40].hex()} is damaged (wrong checksum)")

    def hold(self) -> _Table:
        """The table as it is now; no write changes it until it is given back to `release`."""
        with self._lock:
            self._table.settle()
            self._table.readers += 1
            return self._table

    def release(self, table: _Table) -> None:
        """The reader that held this table is done."""
        with self._lock:
            table.readers -= 1

    def detach(self, engine: MemoryEngine) -> None:
        """The engine was closed; what is unsynced stays so."""
        if self._engine is engine:  # not one that a crash had ended before
            self._engine = None

    def _apply(self, writes: Sequence[Write]) -> list[Write]:
        """Change the table; return what stood there, in the order of the writes."""
        with self._lock:
            if self._table.readers:
                self._table = self._table.copy()
            if self._damaged:
                self._damaged.difference_update(key for key, _ in writes)
            put = self._table.put
            return [(key, put(key, value)) for key, value in writes]


class MemoryEngine(Engine):
    """One opening of a MemoryDisk."""

    name: ClassVar[str] = "memory"

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__()
        self._disk = disk

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._disk.read(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        return self._scan(start, stop, reverse)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        self._check_open()
        table = self._disk.hold()
        try:
            yield _View(self._disk, table)
        finally:
            self._disk.release(table)

    def check(self) -> None:
        self._check_open()

    def _scan(self, start: bytes, stop: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        table = self._disk.hold()
        try:
            yield from _scan(self._disk, table, start, stop, reverse)
        finally:
            self._disk.release(table)

    def _write_batch(self, writes: Sequence[Write], sync: bool) -> None:
        self._disk.write(writes, sync=sync)

    def _release(self) -> None:
        self._disk.detach(self)


class _View:
    """A held table as a Reader."""

    def __init__(self, disk: MemoryDisk, table: _Table) -> None:
        self._disk = disk
        self._table = table

    def get(self, key: bytes) -> bytes | None:
        self._disk.check_sound(key)
        return self._table.values.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._disk, self._table, start, stop, reverse)


def _scan(
    disk: MemoryDisk, table: _Table, start: bytes, stop: bytes, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    keys, values = table.keys, table.values
    indices = range(bisect_left(keys, start), bisect_left(keys, stop))
    for index in reversed(indices) if reverse else indices:
        key = keys[index]
        disk.check_sound(key)
        yield key, values[key]


def _choose(keep: int | Sequence[int] | Random, count: int) -> Sequence[int]:
    """The indices of the batches that survive, ascending."""
    if isinstance(keep, Random):
        if keep.random() < 0.5:
            return range(keep.randrange(count + 1))
        return [index for index in range(count) if keep.random() < 0.5]
    kept = range(keep) if isinstance(keep, int) else sorted(keep)
    assert all(0 <= index < count for index in kept), "no such unsynced batch"
    return kept
