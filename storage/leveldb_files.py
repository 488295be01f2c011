"""Reads LevelDB's CURRENT, MANIFEST and log files before LevelDB does, and refuses what it would
lose without a word.

LevelDB takes an incomplete record at the end of a file for a crash while writing, drops it and goes
on, paranoid_checks or not.  Three accidents look the same to it and cost data:

- a MANIFEST cut short: tables added since are forgotten and then deleted, and logs that are gone by
  now are not missed, because an absent log is taken for an empty one;
- a flipped byte in the length of a record near the end of a log or MANIFEST: it and everything
  after it in the file is dropped;
- CURRENT lost: with create_if_missing the database is begun anew and its tables deleted.

So before each opening: CURRENT names a MANIFEST; all tables and the log which the MANIFEST names
exist; and an incomplete last record is only accepted if it is not a whole one with a wrong length.
Nothing is changed on disk.  Sources: LevelDB's doc/log_format.md and doc/impl.md, and its
db/version_edit.cc for the tags.  All other damage LevelDB reports itself under paranoid_checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ledger.errors import StorageError

BLOCK_SIZE = 32_768
HEADER_SIZE = 7  # masked CRC-32C (4), length (2), type (1), all little-endian
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
CRC_MASK_DELTA = 0xA282EAD8
FIXED_TAGS = {2: "log number", 3: "next file number", 4: "last sequence", 9: "previous log number"}


@dataclass(frozen=True, slots=True)
class _Fragment:
    """One physical record of a log-format file."""

    kind: int
    """FULL, FIRST, MIDDLE or LAST."""
    payload: bytes
    """Its content."""


@dataclass(slots=True)
class _Version:
    """What a MANIFEST says after all of its edits."""

    log_number: int | None = None
    """The oldest log still needed."""
    tables: set[int] = field(default_factory=set)
    """Numbers of the live tables."""


def check_files(directory: Path) -> None:
    """Raise StorageError, and touch nothing, if LevelDB would open this directory with a loss."""
    try:
        names = sorted(entry.name for entry in directory.iterdir())
        manifest = _current_manifest(directory)
        version = _read_version(directory / manifest)
        _check_named_files(version, frozenset(names))
        oldest = version.log_number or 0
        for name in names:
            if name.endswith(".log") and name[:-4].isdigit() and int(name[:-4]) >= oldest:
                for _ in _fragments(directory / name):
                    pass
    except OSError as error:
        raise StorageError(f"the database cannot be read: {error}") from error


def log_names(directory: Path) -> list[str]:
    """The names of LevelDB's log files there: one, or two while a full one moves into a table."""
    return sorted(path.name for path in directory.iterdir() if path.name.endswith(".log"))


def _current_manifest(directory: Path) -> str:
    current = directory / "CURRENT"
    if not current.is_file():
        raise StorageError("the database is damaged: its file CURRENT is missing")
    content = current.read_bytes()
    name = content[:-1].decode("ascii", "replace")
    if not (content.endswith(b"\n") and name.startswith("MANIFEST-") and name[9:].isdigit()):
        raise StorageError("the database is damaged: its file CURRENT names no MANIFEST")
    if not (directory / name).is_file():
        raise StorageError(f"the database is damaged: its file {name} is missing")
    return name


def _check_named_files(version: _Version, names: frozenset[str]) -> None:
    if version.log_number is None:
        raise StorageError("the database is damaged: its MANIFEST is cut short")
    missing = [
        f"{number:06d}.ldb"
        for number in sorted(version.tables)
        if f"{number:06d}.ldb" not in names and f"{number:06d}.sst" not in names
    ]
    # LevelDB creates a log before the MANIFEST names it and deletes it after the MANIFEST names the
    # next one, so a named log that is gone means that the MANIFEST is older than the directory.
    log = f"{version.log_number:06d}.log"
    if log not in names:
        missing.append(log)
    if missing:
        raise StorageError(
            f"the database is damaged: {', '.join(missing[:3])} missing, or its MANIFEST cut short"
        )


def _fragments(path: Path) -> Iterator[_Fragment]:
    """The physical records of a file up to its end or a torn one.

    Raises StorageError if the last, incomplete record is a whole one whose length was changed.
    Checksums of whole records are left to LevelDB, which checks them.
    """
    content = path.read_bytes()
    offset = 0
    while offset < len(content):
        block_end = min(offset - offset % BLOCK_SIZE + BLOCK_SIZE, len(content))
        if block_end - offset < HEADER_SIZE:
            offset = block_end  # the zeros at the end of a block, or a torn header
            continue
        length = int.from_bytes(content[offset + 4 : offset + 6], "little")
        kind = content[offset + 6]
        begin = offset + HEADER_SIZE
        if begin + length > block_end:
            _check_torn(path, content[offset:block_end], length)
            return
        if kind != 0:
            yield _Fragment(kind, content[begin : begin + length])
        offset = begin + length


def _check_torn(path: Path, torn: bytes, length: int) -> None:
    """Refuse a record whose own checksum fits one of the lengths that differ by one byte."""
    stored = int.from_bytes(torn[:4], "little")
    rotated = (stored - CRC_MASK_DELTA) & 0xFFFFFFFF
    wanted = (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
    lengths = {length & 0xFF00 | low for low in range(256)}
    lengths |= {length & 0x00FF | high << 8 for high in range(256)}
    crc = 0xFFFFFFFF
    for count, byte in enumerate(torn[6:]):
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
        if crc ^ 0xFFFFFFFF == wanted and count in lengths:
            raise StorageError(f"the database is damaged: {path.name} has a wrong record length")


def _read_version(manifest: Path) -> _Version:
    version = _Version()
    parts: list[bytes] = []
    for fragment in _fragments(manifest):
        if fragment.kind in (FULL, FIRST):
            parts = []
        parts.append(fragment.payload)
        if fragment.kind in (FULL, LAST):
            try:
                _apply_edit(version, b"".join(parts))
            except (IndexError, ValueError) as error:
                raise StorageError(f"the database is damaged: {manifest.name}: {error}") from error
    return version


def _apply_edit(version: _Version, edit: bytes) -> None:
    """Apply one version edit.  Raises ValueError or IndexError if it is none."""
    offset = 0
    while offset < len(edit):
        tag, offset = _varint(edit, offset)
        if tag in FIXED_TAGS:
            number, offset = _varint(edit, offset)
            if tag == 2:
                version.log_number = number
        elif tag == 1:  # comparator name
            offset = _skip_bytes(edit, offset)
        elif tag == 5:  # compaction pointer: level, key
            _, offset = _varint(edit, offset)
            offset = _skip_bytes(edit, offset)
        elif tag == 6:  # deleted table: level, number
            _, offset = _varint(edit, offset)
            number, offset = _varint(edit, offset)
            version.tables.discard(number)
        elif tag == 7:  # new table: level, number, size, smallest key, largest key
            _, offset = _varint(edit, offset)
            number, offset = _varint(edit, offset)
            _, offset = _varint(edit, offset)
            offset = _skip_bytes(edit, _skip_bytes(edit, offset))
            version.tables.add(number)
        else:
            raise ValueError(f"unknown tag {tag} in a version edit")


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """A little-endian base-128 number and the offset after it."""
    number = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
        shift += 7


def _skip_bytes(data: bytes, offset: int) -> int:
    length, offset = _varint(data, offset)
    if offset + length > len(data):
        raise ValueError("a key runs past the end of a version edit")
    return offset + length


def _crc32c_table() -> tuple[int, ...]:
    """The table of CRC-32C (Castagnoli, RFC 3720 appendix B.4), reflected."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC32C = _crc32c_table()
