"""Files beside a bundle: which are those that its statements name by their SHA-256.

A thing names content where its URI is urn:x-sha256:<hex>, or where it has an attribute whose name
ends in sha256 and whose value is 64 hexadecimal digits.  A name for people is its attribute `path`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from host.importers.files import Content, files_below, read_content
from host.progress import Bar
from ledger.applications.provenance import Statement

CONTENT = "urn:x-sha256:"
_hex = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Named:
    """Content that statements name."""

    digest: str
    """SHA-256 in hexadecimal."""
    things: dict[str, None] = field(default_factory=dict)
    """Qualified names of the things that are or have it."""
    paths: dict[str, None] = field(default_factory=dict)
    """Where it was when it was recorded."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is in a folder, beside what statements name."""

    same: tuple[tuple[str, Named], ...]
    """(file, content) of every file that is named."""
    changed: tuple[tuple[str, Named], ...]
    """(file, content) where a file stands under the recorded name and has other bytes."""
    absent: tuple[Named, ...]
    """Neither there nor anything else under the name."""
    unnamed: tuple[str, ...]
    """Files of which no statement speaks."""


def named_contents(statements: Iterable[Statement]) -> dict[str, Named]:
    """By SHA-256, all content that these statements name."""
    found: dict[str, Named] = {}
    for statement in statements:
        digests = set()
        for name in statement.things():
            uri = statement.expand(name)
            if uri.startswith(CONTENT) and _hex.fullmatch(uri[len(CONTENT) :]):
                digest = uri[len(CONTENT) :]
                found.setdefault(digest, Named(digest)).things[name] = None
        if not statement.identifier or statement.kind != "entity":
            continue
        if statement.expand(statement.identifier).startswith(CONTENT):
            digests.add(statement.expand(statement.identifier)[len(CONTENT) :])
        digests |= {value for name, value, _ in statement.attributes if name.endswith("sha256")}
        for digest in sorted(filter(_hex.fullmatch, digests)):
            entry = found.setdefault(digest, Named(digest))
            entry.things[statement.identifier] = None
            for name, value, _ in statement.attributes:
                if name.rpartition(":")[2] == "path":
                    entry.paths[value] = None
    return found


def compare(named: dict[str, Named], data: Path, *, hidden: bool) -> Comparison:
    """Digest a file, or all below a folder, and compare.  Raises UserError."""
    contents = _read(data, hidden=hidden)
    there = {content.digest for content in contents}
    same = [(each.path, named[each.digest]) for each in contents if each.digest in named]
    changed, unnamed = [], []
    by_path: dict[str, list[Named]] = {}
    for entry in named.values():
        for path in (*entry.paths, entry.digest):
            for suffix in _suffixes(path):
                by_path.setdefault(suffix, []).append(entry)
    told: set[str] = set()
    for content in contents:
        if content.digest in named:
            continue
        # A content store names its files by their digests, in folders of its own.
        name = PurePosixPath(content.path).name
        entries = by_path.get(name if _hex.fullmatch(name) else content.path, [])
        lost = [entry for entry in entries if entry.digest not in there]
        if lost:
            changed += [(content.path, entry) for entry in lost[:1]]
            told |= {entry.digest for entry in lost}
        else:
            unnamed.append(content.path)
    gone = there | told
    absent = [entry for entry in named.values() if entry.digest not in gone]
    return Comparison(tuple(same), tuple(changed), tuple(absent), tuple(unnamed))


def _suffixes(path: str) -> list[str]:
    """The path, and what is left of it in each folder on its way."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _read(data: Path, *, hidden: bool) -> list[Content]:
    if not data.is_dir():
        return [read_content(data, shown=data.name)]
    paths = list(files_below(data))
    contents = []
    with Bar(f"reading {len(paths)} files", len(paths), hidden=hidden) as bar:
        for path in paths:
            contents.append(read_content(path, shown=path.relative_to(data).as_posix()))
            bar.advance()
    return contents
