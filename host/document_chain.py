"""A document with all its versions, each proved against a certificate."""

from __future__ import annotations

from dataclasses import dataclass

from api.client import LedgerClient
from ledger.applications import documents
from ledger.applications.documents import (
    Document,
    Version,
    document_key,
    parse_document,
    parse_version,
    version_key,
)
from ledger.errors import ProofFault
from ledger.light import VerifiedState

SHOWN_MAX = 100
"""Versions read at once, the latest ones: each takes a request and a proof."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What is proved of a document."""

    state: VerifiedState
    raw: bytes
    """The state proof of the document."""
    document: Document | None
    """None where there has never been one of this name."""
    versions: tuple[tuple[int, Version], ...]
    """(number, version), the oldest first; each supersedes the one before."""


async def read_chain(client: LedgerClient, name: str) -> Chain:
    """The document and its latest versions.

    Raises UnreachableError; Fault where no node can prove them; ProofFault where what is proved
    does not hang together.
    """
    raw, state = await client.state(documents.NAME, document_key(name))
    if state.value is None:
        return Chain(state, raw, None, ())
    document = parse_document(state.value)
    versions: list[tuple[int, Version]] = []
    wanted = document.commitment
    for number in range(document.versions, max(0, document.versions - SHOWN_MAX), -1):
        _, found = await client.state(documents.NAME, version_key(name, number))
        version = None if found.value is None else parse_version(found.value)
        if version is None or version.commitment != wanted:
            raise ProofFault("document.chain", f"version {number} is not the one superseded")
        versions.insert(0, (number, version))
        wanted = version.previous
    return Chain(state, raw, document, tuple(versions))
