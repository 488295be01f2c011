"""Messages by their rows: what an attacker changes without knowing the protocol."""

from __future__ import annotations

from typing import Any

from consensus.interface import Message
from ledger import encoding
from ledger.errors import DecodeFault

DIGEST_BYTES = 32


def rebuilt(message: Message, row: tuple[Any, ...]) -> Message | None:
    """The message of the same kind with this row, where the strict decoder lets it pass."""
    raw = encoding.encode(row)
    try:
        fields = encoding.decode(raw, message.SHAPE, size_max=len(raw), what="message")
        return type(message).from_row(fields)
    except DecodeFault:
        return None


def replaced(field: Any, old: Any, new: Any) -> Any:
    """The field with a part replaced wherever it stands in it."""
    if field == old:
        return new
    if type(field) is tuple:
        return tuple(replaced(part, old, new) for part in field)
    return field
