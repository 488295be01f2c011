"""Where the content of documents lives: a folder of one's own, beside the ledger or anywhere.

    DIR/COMMITMENT/content         the version's bytes
    DIR/COMMITMENT/opening.json    the salt and the digest that make the commitment

The opening proves what a version's content is to whoever gets it; without it the commitment on the
ledger says nothing.  Both go when the document ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.applications.documents import SALT_BYTES, commitment
from ledger.errors import UserError

OPENING_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Opening:
    """What shows the content behind a commitment."""

    salt: bytes
    digest: bytes
    """SHA-256 of the content."""

    @property
    def commitment(self) -> bytes:
        return commitment(self.salt, self.digest)

    def to_json(self) -> str:
        document = {
            "commitment": self.commitment.hex(),
            "salt": self.salt.hex(),
            "sha256": self.digest.hex(),
        }
        return json.dumps(document, indent=2) + "\n"


def read_opening(path: Path) -> Opening:
    """The opening in a file.  Raises UserError where it is none, or not that of its commitment."""
    try:
        with path.open("rb") as file:
            document: Any = json.loads(file.read(OPENING_BYTES_MAX))
        salt, digest = bytes.fromhex(document["salt"]), bytes.fromhex(document["sha256"])
        named = bytes.fromhex(document["commitment"])
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no opening of a document") from None
    if len(salt) != SALT_BYTES or len(digest) != 32 or commitment(salt, digest) != named:
        raise UserError(f"{path} opens another commitment than it names")
    return Opening(salt, digest)


class DocumentStore:
    """One folder of contents and openings.  Raises UserError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, source: Path) -> Opening:
        """Copy a file in under a new commitment; whole or not at all."""
        partial = self.folder / f"partial-{secrets.token_hex(8)}"
        try:
            partial.mkdir(parents=True, mode=0o700)
            shutil.copyfile(source, partial / "content")
            with (partial / "content").open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
                os.fsync(file.fileno())
            opening = Opening(secrets.token_bytes(SALT_BYTES), digest)
            (partial / "opening.json").write_text(opening.to_json(), encoding="utf-8")
            partial.rename(self.folder / opening.commitment.hex())
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise UserError(f"cannot keep {source}: {error.strerror}") from None
        return opening

    def place(self, of: bytes) -> Path | None:
        """The folder of a commitment, if it is here."""
        place = self.folder / of.hex()
        return place if place.is_dir() else None

    def erase(self, commitments: Sequence[bytes]) -> int:
        """Delete contents and openings; how many were there."""
        count = 0
        for each in commitments:
            place = self.place(each)
            if place is None:
                continue
            try:
                shutil.rmtree(place)
            except OSError as error:
                raise UserError(f"cannot delete {place}: {error.strerror}") from None
            count += 1
        return count
