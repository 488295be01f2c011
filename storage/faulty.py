"""An engine whose disk is slow, full or fails to sync, for test networks: the faults are made here,
above a sound disk, and so need no rights.

What a failing sync leaves on the disk is unknown (Rebello et al., "Can Applications Recover from
fsync Failures?", USENIX ATC 2020), so both are made, in turn: after an odd number of synced batches
the failing one is written, after an even number it is lost.  A full disk takes nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from ledger.errors import StorageError
from ledger.store import Reader, Write
from storage.contract import Engine


@dataclass(frozen=True, slots=True)
class DiskFault:
    """What is wrong with a disk now."""

    delay_ms: float = 0.0
    """How much longer each synced batch takes."""
    fails: bool = False
    """The next synced batch fails."""
    full: bool = False
    """There is no room: every batch fails, synced or not."""


class FaultyEngine(Engine):
    """Another engine on a disk that is ill as `fault` says, asked before each batch."""

    name: ClassVar[str] = "faulty"

    def __init__(
        self, below: Engine, fault: Callable[[int], DiskFault], sleep: Callable[[float], object]
    ) -> None:
        """Take over an engine; fault is given the synced batches so far, sleep takes seconds."""
        super().__init__()
        self._below = below
        self._fault = fault
        self._sleep = sleep
        self._synced = 0

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._below.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        return self._below.scan(start, stop, reverse=reverse)

    def snapshot(self) -> AbstractContextManager[Reader]:
        self._check_open()
        return self._below.snapshot()

    def check(self) -> None:
        self._check_open()
        self._below.check()

    def _write_batch(self, writes: Sequence[Write], sync: bool) -> None:
        fault = self._fault(self._synced)
        if fault.full:
            raise StorageError(
                f"the database cannot be written: {os.strerror(errno.ENOSPC)} (as ordered); "
                "restart the node once there is room"
            )
        if not sync:
            self._below.write(writes, sync=False)
            return
        if fault.delay_ms:
            self._sleep(fault.delay_ms / 1000)
        if fault.fails:
            if self._synced % 2:
                self._below.write(writes, sync=True)
            raise StorageError(
                "the disk failed to sync (as ordered), and the state of that write is unknown; "
                "restart the node"
            )
        self._below.write(writes, sync=True)
        self._synced += 1

    def _release(self) -> None:
        self._below.close()
