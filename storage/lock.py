"""One process a home: an exclusive flock on HOME/lock, taken before any engine opens.

SQLite lets a second process in, and LevelDB's own lock is lost after a refused second opening in
the same process.  The kernel drops a flock with its process, so no stale lock outlives a crash.
The file is never deleted and its content means nothing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from ledger.errors import StorageError, UserError

LOCK_NAME = "lock"


class HomeLock:
    """The right to use a home, held until `release`."""

    def __init__(self, home: Path) -> None:
        """Take the lock.  Raises UserError if anyone, this process included, holds it."""
        try:
            descriptor = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"cannot lock the home {home}: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise UserError(f"home {home} is in use by another process") from error
            raise StorageError(f"cannot lock the home {home}: {error}") from error
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let others in; releasing twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
