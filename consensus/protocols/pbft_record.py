"""What PBFT must not forget: its view, what it prepared, and the values it voted for."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.interface import Signed
from consensus.protocols.pbft_messages import WINDOW_MAX, NewView
from ledger import encoding
from ledger.certificate import Certificate, certificate_shape
from ledger.limits import VALIDATORS_MAX
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VALUES_A_SEQUENCE = 4
"""Values of one number that are kept, the latest: one a view in which it was voted for."""
_RECORD_BYTES_MAX = 64 * 1024 * 1024
_shape = encoding.row(
    encoding.optional(
        encoding.row(encoding.uint(VALIDATORS_MAX - 1), NewView.SHAPE, encoding.statement_signature)
    ),
    encoding.array(certificate_shape, WINDOW_MAX),
    encoding.array(encoding.blob(VALUE_BYTES_MAX), WINDOW_MAX * VALUES_A_SEQUENCE),
)


@dataclass(frozen=True, slots=True)
class Record:
    """The durable part of the state."""

    new_view: Signed | None
    """What opened the current view; None in view 0."""
    prepared: tuple[Certificate, ...]
    """Of each undecided sequence number, the last that was prepared here."""
    values: tuple[Value, ...]
    """Undecided values that were voted for here: they may be lost everywhere else."""

    def encode(self) -> bytes:
        opened = self.new_view
        row = None
        if opened is not None:
            row = (opened.sender, opened.message.row(), opened.signature)
        prepared = tuple(proof.row() for proof in self.prepared)
        return encoding.encode((row, prepared, tuple(value.raw for value in self.values)))


def parse_record(raw: bytes) -> Record:
    """The record that these bytes encode.  Raises DecodeFault."""
    row, prepared, values = encoding.decode(
        raw, _shape, size_max=_RECORD_BYTES_MAX, what="pbft record"
    )
    return Record(
        Signed(row[0], NewView.from_row(row[1]), row[2]) if row is not None else None,
        tuple(Certificate.from_row(each) for each in prepared),
        tuple(parse_value(each) for each in values),
    )
