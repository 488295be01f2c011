"""Wire vectors: messages as bytes, kept in a file, so that a changed format is noticed.

A file is text.  Its first line names protocol and version; each other line is a message:

    KIND NAME PHASE SLOT VALUE ROW

with the slot as numbers between dots, and the statement's value and the encoded row in hex ("-" for
none).  The file stands by itself: what it holds must decode to the same statement and encode to the
same bytes, whatever the plugin would say today.
"""

from __future__ import annotations

from consensus.interface import Consensus, Message
from ledger import encoding
from ledger.errors import Fault

FORMS_A_KIND = 4
"""Messages of one kind that differ in which of their fields are empty."""


def encoded(message: Message) -> bytes:
    """A message's bytes on the wire."""
    return encoding.encode(message.row())


def decoded(kind: type[Message], raw: bytes) -> Message:
    """The message of these bytes.  Raises Fault."""
    return kind.from_row(encoding.decode(raw, kind.SHAPE, size_max=len(raw), what="message"))


def write_vectors(protocol: type[Consensus], messages: list[Message]) -> str:
    """The file's text: for every kind its messages of different form, the earliest said first."""
    lines = [f"{protocol.name} {protocol.version}"]
    for kind in sorted(protocol.MESSAGES, key=lambda each: each.KIND):
        forms: dict[object, Message] = {}
        for message in messages:
            if type(message) is kind:
                forms.setdefault(_form(message.row()), message)
        lines += [_line(message) for message in list(forms.values())[:FORMS_A_KIND]]
    return "\n".join(lines) + "\n"


def _line(message: Message) -> str:
    phase, slot, value = message.statement()
    place = ".".join(map(str, slot))
    words = (message.KIND, type(message).__name__, phase, place, value.hex() or "-")
    return " ".join([*map(str, words), encoded(message).hex()])


def _form(field: object) -> object:
    """Which fields are there and which are not."""
    if isinstance(field, tuple):
        return tuple(_form(each) for each in field[:3])
    return bool(field) if isinstance(field, int) else field is not None and field != b""


def compare_vectors(protocol: type[Consensus], text: str) -> list[str]:
    """How the plugin differs from the recorded format; empty where it does not."""
    head, *lines = text.splitlines() or [""]
    wrong = []
    if head != f"{protocol.name} {protocol.version}":
        wrong.append(f"the file is of {head}, the plugin is {protocol.name} {protocol.version}")
    kinds = {kind.KIND: kind for kind in protocol.MESSAGES}
    recorded = {line.partition(" ")[0] for line in lines}
    wrong += [f"{kind.__name__} has no vector" for number, kind in kinds.items()
              if str(number) not in recorded]  # fmt: skip
    for line in lines:
        wrong += _differences(kinds, line)
    return wrong


def _differences(kinds: dict[int, type[Message]], line: str) -> list[str]:
    words = line.split()
    if len(words) != 6 or not words[0].isdigit():
        return [f"not a vector: {line[:60]}"]
    kind = kinds.get(int(words[0]))
    if kind is None:
        return [f"no message has kind {words[0]}, which was {words[1]}"]
    try:
        message = decoded(kind, bytes.fromhex(words[5]))
    except (Fault, ValueError) as fault:
        return [f"{words[1]} {words[5][:24]}... is refused: {fault}"]
    if _line(message) != line:
        return [f"{words[1]} {words[5][:24]}... was {line[:100]}, is {_line(message)[:100]}"]
    return []
