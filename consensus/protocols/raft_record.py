"""What a Raft server must not forget beside what it said: its term, and its undecided entries."""

from __future__ import annotations

from dataclasses import dataclass

from ledger import encoding
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 1
ENTRIES_MAX = 4_096
RECORD_BYTES_MAX = 1 << 30
"""Our own record; the bounds only keep its decoder in shape."""

_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.uint(),
    encoding.array(encoding.blob(VALUE_BYTES_MAX), ENTRIES_MAX),
)


@dataclass(frozen=True, slots=True)
class Record:
    """The durable part of the state."""

    term: int
    """The paper's currentTerm, as of the last acceptance."""
    entries: tuple[Value, ...]
    """Of the log, those above the last decided one, oldest first."""

    def encode(self) -> bytes:
        return encoding.encode((VERSION, self.term, tuple(entry.raw for entry in self.entries)))


def parse_record(raw: bytes) -> Record:
    """The record that these bytes encode.  Raises DecodeFault."""
    _, term, entries = encoding.decode(raw, _shape, size_max=RECORD_BYTES_MAX, what="raft record")
    return Record(term, tuple(parse_value(entry) for entry in entries))
