"""What every engine promises: ordered bytes, atomic batches, and a loud end after a failed write.

An engine knows nothing of ledgers, homes or the tripwire; `storage/home.py` puts those around it.

Durability.  A batch written with sync is durable when `write` returns, and so is every batch
written before it.  A batch written without sync is visible at once and may be lost in a power cut,
alone or with others, until a later synced batch has returned.  A batch is never kept in part.

Threads.  One thread writes at a time (a lock holds the others back); any number read meanwhile.
`close` comes last: the caller sees to it that no thread still reads.

Failure.  After a write that did not return, nobody knows whether the disk holds that batch
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).  The engine then
refuses everything, reads too; opening the database again settles the question.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, final

from ledger.errors import StorageError
from ledger.store import Reader, Write

WRITE_FAILED = (
    "a write to the database failed and the state of that write is unknown; restart the node"
)
CLOSED = "the database is closed"


class Engine(ABC):
    """One open database.  Every method raises StorageError for what the disk does wrong."""

    name: ClassVar[str]
    """How the files of a home and the command line call this engine."""

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._refusal: str | None = None

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """The newest value under key, or None."""

    @abstractmethod
    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards, as of the first one taken."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """A reader that no later write changes, for use inside its `with` block."""

    @abstractmethod
    def check(self) -> None:
        """Check the structure of the files as far as the engine can; record checksums apart."""

    @final
    def write(self, writes: Sequence[Write], *, sync: bool) -> None:
        """Apply all of `writes` in order, or none; with sync, return only once it is durable."""
        with self._writing:
            self._check_open()
            written = False
            try:
                self._write_batch(writes, sync)
                written = True
            finally:
                if not written:
                    self.refuse(WRITE_FAILED)

    @final
    def close(self) -> None:
        """Release the files.  Closing twice is fine; anything else afterwards is refused."""
        with self._writing:
            if self._refusal != CLOSED:
                self._refusal = CLOSED
                self._release()

    @final
    def refuse(self, reason: str) -> None:
        """Refuse everything from now on, for a reason that the engine cannot see itself."""
        if self._refusal is None:
            self._refusal = reason

    def _check_open(self) -> None:
        """Raise StorageError after a failed write or a close; every read begins with it."""
        if self._refusal is not None:
            raise StorageError(self._refusal)

    @abstractmethod
    def _write_batch(self, writes: Sequence[Write], sync: bool) -> None:
        """Write one batch; raise StorageError unless it is known to have succeeded."""

    @abstractmethod
    def _release(self) -> None:
        """Close files and handles."""
