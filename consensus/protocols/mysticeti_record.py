"""What a validator of Mysticeti must not forget beside what it said: the blocks it refers to."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.interface import Signed
from consensus.protocols.mysticeti_messages import Block
from ledger import encoding
from ledger.limits import VALIDATORS_MAX
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 2
ITEMS_MAX = 1 << 20
RECORD_BYTES_MAX = 1 << 30
"""Our own record; the bounds only keep its decoder in shape."""

_value = encoding.blob(VALUE_BYTES_MAX)
_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.blob(32),
    encoding.array(_value, ITEMS_MAX),
    encoding.array(
        encoding.row(encoding.uint(VALIDATORS_MAX - 1), _value, encoding.statement_signature),
        ITEMS_MAX,
    ),
)


Row = tuple[int, bytes, bytes]
"""A block as it is kept: its author, value and signature."""


def row_of(signed: Signed) -> Row:
    """What is kept of a block."""
    return signed.sender, signed.message.row()[0], signed.signature


@dataclass(frozen=True, slots=True)
class Record:
    """The durable part of the state."""

    certified: bytes
    """Digest of the last certified value; empty before the first."""
    past: tuple[Value, ...]
    """The last decided values, oldest first."""
    blocks: tuple[Row, ...]
    """Accepted blocks that no certified value makes superfluous, parents before children."""

    def encode(self) -> bytes:
        past = tuple(value.raw for value in self.past)
        return encoding.encode((VERSION, self.certified, past, self.blocks))

    def signed(self) -> list[Signed]:
        """The blocks.  Raises DecodeFault."""
        return [Signed(sender, Block.from_row((body,)), sign) for sender, body, sign in self.blocks]


def parse_record(raw: bytes) -> Record:
    """The record that these bytes encode.  Raises DecodeFault."""
    _, certified, past, blocks = encoding.decode(
        raw, _shape, size_max=RECORD_BYTES_MAX, what="mysticeti record"
    )
    return Record(
        certified,
        tuple(parse_value(value) for value in past),
        tuple(blocks),
    )
