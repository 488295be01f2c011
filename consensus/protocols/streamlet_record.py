"""What Streamlet must not forget beside its votes: what it saw notarized."""

from __future__ import annotations

from dataclasses import dataclass

from ledger import encoding
from ledger.certificate import Certificate, certificate_shape
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 1
_ITEMS_MAX = 1 << 20
_BYTES_MAX = 1 << 30
"""Our own record; the bounds only keep its decoder in shape."""

_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.array(certificate_shape, _ITEMS_MAX),
    encoding.array(encoding.blob(VALUE_BYTES_MAX), _ITEMS_MAX),
)


@dataclass(frozen=True, slots=True)
class Record:
    """The durable part of the state."""

    notarizations: tuple[Certificate, ...]
    """Of all blocks above the root that were seen notarized."""
    values: tuple[Value, ...]
    """The undecided blocks on the way to these, and to the one that is voted for."""

    def encode(self) -> bytes:
        rows = tuple(certificate.row() for certificate in self.notarizations)
        return encoding.encode((VERSION, rows, tuple(value.raw for value in self.values)))


def parse_record(raw: bytes) -> Record:
    """The record that these bytes encode.  Raises DecodeFault."""
    _, rows, values = encoding.decode(raw, _shape, size_max=_BYTES_MAX, what="streamlet record")
    return Record(
        tuple(Certificate.from_row(row) for row in rows),
        tuple(parse_value(value) for value in values),
    )
