"""A content store: files by their SHA-256, in a folder beside the database, for those who want one.

DIRECTORY/limit          how many bytes it may hold, in decimal
DIRECTORY/ab/abcd...     the content with this SHA-256, in hexadecimal

It is no part of the ledger and of no other node's business.  Nothing is believed of the disk: every
content is digested again when it is read.  A content is written beside its place, synced and
renamed, so that a crash leaves the whole of it or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from threading import Lock

from ledger.errors import Fault, StorageError

LIMIT_FILE = "limit"
OVERHEAD_BYTES = 4_096
"""Charged for each content beside its bytes: a million small ones fill a disk, too."""
UNFINISHED = ".part"
"""Name ending of what is being written."""


class ContentStore:
    """Any number of threads may use it; one process does."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        self._directory = directory
        self._bytes_max = bytes_max
        self._writing = Lock()
        self._held = sum(_charge(path.stat().st_size) for path in self._files())

    @classmethod
    def create(cls, directory: Path, bytes_max: int) -> ContentStore:
        """A new, empty store.  Raises StorageError."""
        try:
            directory.mkdir()
            (directory / LIMIT_FILE).write_text(f"{bytes_max}\n", encoding="ascii")
        except OSError as error:
            raise StorageError(f"cannot make {directory}: {error.strerror}") from error
        return cls(directory, bytes_max)

    @classmethod
    def open(cls, directory: Path) -> ContentStore | None:
        """The store in a folder; None where there is none.  Raises StorageError."""
        file = directory / LIMIT_FILE
        if not file.is_file():
            return None
        try:
            text = file.read_text(encoding="ascii").strip()
            for path in directory.glob(f"*/*{UNFINISHED}"):
                path.unlink()
        except (OSError, ValueError) as error:
            raise StorageError(f"cannot open {directory}: {error}") from error
        if not text.isdecimal():
            raise StorageError(f"{file} holds no number of bytes")
        return cls(directory, int(text))

    @property
    def held(self) -> int:
        """Bytes in the store, with what each content costs beside its own."""
        return self._held

    def get(self, digest: bytes) -> bytes | None:
        """The content with this SHA-256, or None.  Raises StorageError where it is damaged."""
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        if sha256(content).digest() != digest:
            raise StorageError(f"{path} is damaged: it has another SHA-256")
        return content

    def put(self, digest: bytes, content: bytes) -> None:
        """Keep a content; keeping it again changes nothing, but mends a damaged one.

        Raises Fault("content.digest") where it has another SHA-256, Fault("content.full") where the
        store may not hold as much, and StorageError.
        """
        if sha256(content).digest() != digest:
            raise Fault("content.digest", "the content has another SHA-256")
        path = self._path(digest)
        with self._writing:
            known = _charge(path.stat().st_size) if path.is_file() else 0
            held = self._held - known + _charge(len(content))
            if held > self._bytes_max:
                raise Fault("content.full", f"the store holds {self._bytes_max} bytes at most")
            try:
                _write(path, content)
            except OSError as error:
                raise StorageError(f"cannot write {path}: {error.strerror}") from error
            self._held = held

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._directory / name[:2] / name

    def _files(self) -> Iterator[Path]:
        return (path for path in self._directory.glob("*/*") if path.is_file())


def _charge(size: int) -> int:
    return size + OVERHEAD_BYTES


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(path.name + UNFINISHED)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
