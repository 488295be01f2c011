"""Small-scope mutation: a Byzantine message with one field changed, rightly signed.

The change is small on purpose (a neighbouring number, an earlier value): far-off ones are refused
at the door and find nothing (Winter et al., "Randomized Testing of Byzantine Fault Tolerant
Algorithms", OOPSLA 2023).
"""

from __future__ import annotations

from random import Random
from typing import Any

from consensus.interface import Message
from ledger import encoding
from ledger.errors import DecodeFault

_DIGEST_BYTES = 32


def mutated(message: Message, draw: Random, digests: list[bytes]) -> Message:
    """The message with one field of its row changed, where that gives a message at all."""
    row = list(message.row())
    place = draw.randrange(len(row))
    row[place] = _changed(row[place], draw, digests)
    raw = encoding.encode(tuple(row))
    try:
        fields = encoding.decode(raw, message.SHAPE, size_max=len(raw), what="message")
        return type(message).from_row(fields)
    except DecodeFault:
        return message


def _changed(field: Any, draw: Random, digests: list[bytes]) -> Any:
    if type(field) is int:
        return max(0, field + draw.choice((-1, 1)))
    if type(field) is bytes and len(field) in (0, _DIGEST_BYTES):
        return draw.choice([b"", *digests[-3:]])
    if type(field) is tuple and field:
        place = draw.randrange(len(field))
        return (*field[:place], _changed(field[place], draw, digests), *field[place + 1 :])
    return None
