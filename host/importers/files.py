"""Files as provenance: a thing is its content, named by its SHA-256.

    content             entity sha256:<hex>, with names, size and media type
    folder              entity folder:<SHA-256 of the list of its files>, a prov:Collection
    file in the folder  hadMember

Two files with the same bytes are one entity with two names, wherever they are and whoever records
them: what one run made is what another run read.  Only digests, names and sizes go onto the ledger.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host.importers.source import Source, in_parts
from host.progress import Bar
from ledger.applications.provenance import QUALIFIED_NAME, STRING, Statement, make_statement
from ledger.errors import Fault, UserError

NAMESPACES = {
    "sha256": "urn:x-sha256:",
    "folder": "urn:x-folder:",
    "data": "urn:x-data:",
}
SKIPPED = frozenset({".git"})
"""Folders that are not data."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one file, and where they were found."""

    path: str
    """For people: relative, with slashes."""
    digest: str
    """SHA-256 in hexadecimal."""
    size: int

    @property
    def name(self) -> str:
        return content_name(self.digest)


def content_name(digest: str) -> str:
    """The name of the entity with this SHA-256 in hexadecimal."""
    return f"sha256:{digest}"


def read_content(path: Path, *, shown: str | None = None) -> Content:
    """Digest a file of any size.  Raises UserError."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return Content(shown or path.as_posix(), digest, size)


def content_statement(content: Content) -> Statement:
    """The entity that the content is.  Raises UserError for a name that the ledger cannot hold."""
    attributes = [
        ("data:path", content.path, STRING),
        ("data:sha256", content.digest, STRING),
        ("data:size", str(content.size), "xsd:long"),
    ]
    media_type, _ = mimetypes.guess_type(content.path)
    if media_type:
        attributes.append(("data:mediaType", media_type, STRING))
    try:
        return make_statement("entity", content.name, namespaces=NAMESPACES, attributes=attributes)
    except Fault as fault:
        raise UserError(f"cannot name {content.path!r} on the ledger: {fault}") from None


def folder_source(folder: Path) -> Source:
    """Every file below a folder, links not followed.  Raises UserError."""
    paths = list(files_below(folder))
    if not paths:
        raise UserError(f"{folder} holds no file")

    contents = []
    with Bar(f"reading {len(paths)} files", len(paths)) as bar:
        for path in paths:
            contents.append(read_content(path, shown=_shown(path, folder)))
            bar.advance()
    statements = [content_statement(content) for content in contents]
    statements += _collection(folder, contents)
    title = f"{len(paths)} files of {folder.resolve().name}"
    parts = in_parts(statement.operation() for statement in statements)
    return Source("directory", title, parts, total=len(statements))


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order, links not followed.  Raises UserError."""

    def fail(error: OSError) -> None:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from None

    for where, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _shown(path: Path, folder: Path) -> str:
    """The relative path; a name that is no UTF-8 is shown with replacement characters."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "replace")


def _collection(folder: Path, contents: list[Content]) -> list[Statement]:
    listing = "".join(f"{content.digest}  {content.path}\n" for content in contents)
    name = f"folder:{hashlib.sha256(listing.encode()).hexdigest()}"
    attributes = [
        ("prov:label", _shown(folder.resolve(), folder.resolve().parent), STRING),
        ("prov:type", "prov:Collection", QUALIFIED_NAME),
    ]
    made = [make_statement("entity", name, namespaces=NAMESPACES, attributes=attributes)]
    for content in contents:
        arguments = {"collection": name, "entity": content.name}
        made.append(make_statement("hadMember", namespaces=NAMESPACES, arguments=arguments))
    return made
