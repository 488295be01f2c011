"""The tripwire: a small file beside the database that remembers how far the database had come.

An engine that lost its newest records, or all of them, often opens without complaint.  After each
synced batch one of two fixed slots, in turn, takes the number of that batch and the certified
height.  It is written after the sync and not synced itself, so it never runs ahead of the database;
after a power cut it may be behind by any number.  A database behind it has lost promises.

    file  = slot 0, zeros to offset 4096, slot 1          (one torn page takes one slot)
    slot  = "LDGRWIRE", format u16, engine 16 bytes, network id 32 bytes,
            sync number u64, certified height u64, zeros to 120, BLAKE2b-64 of all before it
            (integers big-endian; magic, format, slot size and checksum stay in all later formats)
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from ledger.errors import StorageError

TRIPWIRE_NAME = "tripwire"
HOME_FORMAT = 2
"""Of the whole home.  1 kept every batch in one record; 2 keeps large ones in parts."""
MAGIC = b"LDGRWIRE"
SLOT_SIZE = 128
SLOT_OFFSETS = (0, 4096)
FILE_SIZE = SLOT_OFFSETS[1] + SLOT_SIZE
CHECKSUM_SIZE = 8
_LAYOUT = struct.Struct(">8sH16s32sQQ")


@dataclass(frozen=True, slots=True)
class Mark:
    """What one slot says."""

    engine: str
    """Name of the engine that wrote the database, at most 16 ASCII characters."""
    network: bytes
    """Network id, 32 bytes."""
    number: int
    """Number of the last synced batch."""
    certified_height: int
    """Certified height as of that batch."""


class Tripwire:
    """The open file; `mark` is the newest mark in it."""

    def __init__(self, descriptor: int, mark: Mark, *, damage: str | None) -> None:
        self.mark = mark
        self.damage = damage
        """One line about a slot that was found damaged when opening, or None."""
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, mark: Mark) -> Tripwire:
        """A new file, durable, with `mark` in both slots."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            for offset in SLOT_OFFSETS:
                os.pwrite(descriptor, encode_mark(mark), offset)
            os.fsync(descriptor)
            sync_directory(path.parent)
        except OSError as error:
            raise StorageError(f"the tripwire file {path} cannot be created: {error}") from error
        return cls(descriptor, mark, damage=None)

    @classmethod
    def open(cls, path: Path) -> Tripwire:
        """The file as found.  Raises StorageError if it is missing or says nothing for certain."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise StorageError(
                f"the tripwire file {path} cannot be read ({error.strerror}), so nobody can tell "
                "whether the database is whole"
            ) from error
        try:
            content = os.pread(descriptor, FILE_SIZE, 0)
            mark, damage = _newest(path, content)
        except (OSError, StorageError) as error:
            os.close(descriptor)
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"the tripwire file {path} cannot be read: {error}") from error
        return cls(descriptor, mark, damage=damage)

    def advance(self, number: int, certified_height: int) -> None:
        """Remember that the synced batch `number` is durable.  About 5 microseconds."""
        mark = replace(self.mark, number=number, certified_height=certified_height)
        try:
            os.pwrite(self._descriptor, encode_mark(mark), SLOT_OFFSETS[number % 2])
        except OSError as error:
            raise StorageError(f"the tripwire file could not be written: {error}") from error
        self.mark = mark

    def close(self) -> None:
        os.close(self._descriptor)


def encode_mark(mark: Mark) -> bytes:
    """The SLOT_SIZE bytes of one slot."""
    body = _LAYOUT.pack(
        MAGIC,
        HOME_FORMAT,
        mark.engine.encode("ascii"),
        mark.network,
        mark.number,
        mark.certified_height,
    ).ljust(SLOT_SIZE - CHECKSUM_SIZE, b"\0")
    return body + _checksum(body)


def decode_mark(slot: bytes) -> Mark | None:
    """The mark in a slot, or None if the slot is damaged.

    Raises StorageError for a sound slot of a format that this node does not know.
    """
    body, checksum = slot[:-CHECKSUM_SIZE], slot[-CHECKSUM_SIZE:]
    if len(slot) != SLOT_SIZE or not body.startswith(MAGIC) or checksum != _checksum(body):
        return None
    _, version, engine, network, number, certified_height = _LAYOUT.unpack_from(body)
    if version != HOME_FORMAT:
        raise StorageError(
            f"this home has format {version} and this node knows only format {HOME_FORMAT}; "
            "use the version of the node that wrote it"
        )
    return Mark(engine.rstrip(b"\0").decode("ascii"), network, number, certified_height)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable.  Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _newest(path: Path, content: bytes) -> tuple[Mark, str | None]:
    """The newest sound mark, and a line about the other slot if it is damaged."""
    found = [decode_mark(content[offset : offset + SLOT_SIZE]) for offset in SLOT_OFFSETS]
    marks = [mark for mark in found if mark is not None]
    if not marks:
        raise StorageError(
            f"the tripwire file {path} is damaged, so nobody can tell whether the database is whole"
        )
    if len({(mark.engine, mark.network) for mark in marks}) > 1:
        raise StorageError(f"the tripwire file {path} mixes two databases")
    damage = None
    if len(marks) < len(SLOT_OFFSETS):
        damage = f"one of two slots of the tripwire file {path} was damaged; the other one held"
    return max(marks, key=lambda mark: mark.number), damage


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=CHECKSUM_SIZE).digest()
