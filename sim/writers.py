"""What a load with documents adds: members who write, give away and end documents.

They know what the blocks that are confirmed say, as clients do, and are often late: others write to
the same few names.  Some ask for what is never allowed.
"""

from __future__ import annotations

from random import Random

from ledger.applications.documents import (
    NAME,
    Act,
    Body,
    Document,
    document_key,
    make_act,
    parse_document,
)
from ledger.layout import state_key
from ledger.store import Reader
from ledger.transaction import Operation

OPEN = 4
"""Names that are written to at one time."""
CLASSES = ("", "project", "tax")
KEPT_MS_MAX = 3_000
"""So long is a version kept at most: a run has time for what comes after."""


class Writers:
    """Draws the operations, and keeps what the ledger was seen to hold."""

    def __init__(self, keys: list[bytes], draw: Random) -> None:
        self._keys = keys
        self._draw = draw
        self._first = 0
        """Of the names that are open; those before it mostly have tombstones."""
        self._seen: dict[str, Document] = {}
        self._commitments: list[bytes] = [b""]
        """All that anybody ever made."""

    def look(self, reader: Reader) -> None:
        """See what a node holds."""
        for number in range(self._first, self._first + OPEN):
            raw = reader.get(state_key(NAME, document_key(f"paper{number}")))
            if raw is not None:
                self._seen[f"paper{number}"] = parse_document(raw)
        gone = self._seen.get(f"paper{self._first}")
        if gone is not None and gone.is_gone:
            self._first += 1

    def operation(self, sender: bytes, now_ms: int) -> Operation:
        """What one of them wants; now_ms is about the time of the next block."""
        draw = self._draw
        # Once in a while even what has a tombstone.
        low = max(0, self._first - (draw.randrange(8) == 0))
        names = [f"paper{number}" for number in range(low, self._first + OPEN)]
        own = [name for name in names if self._owner(name) in (b"", sender)]
        name = draw.choice(own if own and draw.randrange(4) else names)
        known = self._seen.get(name)
        act = draw.choice((Act.PUT, Act.PUT, Act.PUT, Act.PUT, Act.GIVE, Act.TOMBSTONE))
        if act is Act.GIVE:
            return make_act(Body(act, name, key=draw.choice(self._keys)))
        if act is Act.TOMBSTONE:
            return make_act(Body(act, name, reason=draw.choice(("", "contract ended"))))
        latest = b"" if known is None else known.commitment
        previous = latest if draw.randrange(5) else draw.choice(self._commitments)
        kept = 0 if known is None else known.keep_until_ms
        until = draw.choice((kept, kept, 0, now_ms + draw.randrange(KEPT_MS_MAX)))
        made = draw.randbytes(32)
        self._commitments.append(made)
        return make_act(Body(act, name, made, previous, draw.choice(CLASSES), keep_until_ms=until))

    def _owner(self, name: str) -> bytes:
        known = self._seen.get(name)
        return b"" if known is None else known.owner
