"""Which importer a source is for, and what that one makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host.importers import files, git, in_toto, openlineage, prov_document
from host.importers.json_lines import read_objects
from host.importers.source import Source, in_parts
from ledger.errors import UserError

FORMS = ("prov", "git", "in-toto", "openlineage", "directory")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user said about the source."""

    form: str | None = None
    """One of FORMS; guessed where it is None."""
    signers: Sequence[str] = ()
    """Public keys whose signatures make an attestation count."""
    commits_max: int | None = None
    """Only the last commits of a git history."""


def read_source(path: Path, choices: Choices) -> Source:
    """The statements of a source.  Raises UserError."""
    if not path.exists():
        raise UserError(f"there is no {path}")
    form = choices.form or guess(path)
    if form != "in-toto" and choices.signers:
        raise UserError(f"--signer is for attestations; {path} is read as {form}")
    if form != "git" and choices.commits_max is not None:
        raise UserError(f"--commits is for a git repository; {path} is read as {form}")
    if form == "git":
        return git.source(path, commits_max=choices.commits_max)
    if form == "directory":
        if not path.is_dir():
            raise UserError(f"{path} is no directory")
        return files.folder_source(path)
    if form == "in-toto":
        return in_toto.source(path, choices.signers)
    if form == "openlineage":
        return openlineage.source(path)
    assert form == "prov"
    operations = prov_document.to_operations(prov_document.read_document(path))
    return Source("prov", f"the document {path.name}", in_parts(operations), len(operations))


def guess(path: Path) -> str:
    """The form of a source, by its kind, its suffix and, for JSON, its first object."""
    if path.is_dir():
        is_repository = (path / ".git").exists() or (path / "HEAD").is_file()
        return "git" if is_repository else "directory"
    if path.suffix.lower() not in JSON_SUFFIXES:
        return "prov"
    for item in read_objects(path):
        if {"payload", "payloadType"} & set(item) or str(item.get("_type", "")).startswith(
            "https://in-toto.io/"
        ):
            return "in-toto"
        if "eventTime" in item:
            return "openlineage"
        break
    return "prov"
