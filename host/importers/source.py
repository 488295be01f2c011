"""What an importer makes of a source: parts, each of which goes into transactions of its own.

What is on the ledger already is found by comparing whole transactions (`host/ingest.py`), so that a
source should come in the same parts again whatever is added to it.  A commit, an attestation or an
event is such a part by nature.  A document is cut where its statements themselves say so: a change
in one place moves no cut elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.transaction import Operation

CUT_ONE_IN = 256
"""Statements between two cuts on average: about as many as fit into a transaction."""


@dataclass(frozen=True, slots=True)
class Source:
    """Statements on their way to the ledger."""

    kind: str
    """The word for --from."""
    title: str
    """What it is, for people."""
    parts: Iterable[list[Operation]]
    """Made while they are read, where there may be many."""
    total: int = 0
    """Statements; 0 where nobody knows before the end."""
    steps: int = 0
    """Parts, where making them takes the time and the statements are not counted."""
    left_out: int = 0
    """Things of the source that are no statements, and are not imported."""


def in_parts(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """The operations in their order, cut after each whose hash is one of a few."""
    part: list[Operation] = []
    for operation in operations:
        part.append(operation)
        mark = hashlib.sha256(operation.body).digest()
        if int.from_bytes(mark[:4], "big") % CUT_ONE_IN == 0:
            yield part
            part = []
    if part:
        yield part
