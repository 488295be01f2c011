"""Words for what plugins say: any message class, read by its fields; values get short names.

A value is called #1, #2, ... in the order in which values appear in a run: hexadecimal digits tell
nobody at a glance that two things are the same.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from consensus.interface import AnyCertificate, Message
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.value import Value

_NAME_HEX = 8


class Names:
    """The short names of values."""

    def __init__(self) -> None:
        self.values: list[str] = []
        """What each value is, in words."""
        self._numbers: dict[bytes, int] = {}
        self._heads: dict[str, int] = {}

    def learn(self, value: Value) -> int:
        """The number of a value, from 0; a new one is named now."""
        if value.digest not in self._numbers:
            self._numbers[value.digest] = len(self.values)
            self._heads[value.digest.hex()[:_NAME_HEX]] = len(self.values)
            payload = ", ".join(one.hex()[:_NAME_HEX] for one in value.payload) or "nothing"
            parent = f", on top of {self.of(value.parent)}" if value.parent else ""
            self.values.append(
                f"{value.digest.hex()[:_NAME_HEX]}, first proposed by v{value.proposer} in slot "
                f"{slot_text(value.slot)}{parent}, ordering {payload}"
            )
        return self._numbers[value.digest]

    def number(self, digest: bytes) -> int | None:
        """The number of the value with this digest, if it is one."""
        return self._numbers.get(digest)

    def is_name(self, said: bytes) -> bool:
        """Whether these bytes name a value, or nil."""
        return not said or said in self._numbers

    def of(self, digest: bytes) -> str:
        """A value's name by its digest."""
        if not digest:
            return "nil"
        number = self._numbers.get(digest)
        return f"#{number + 1}" if number is not None else digest.hex()[:_NAME_HEX]

    def put_into(self, words: str) -> str:
        """The words with the short name of a value wherever its digest begins one."""
        parts = words.split(" ")
        for place, part in enumerate(parts):
            number = self._heads.get(part[:_NAME_HEX]) if len(part) >= _NAME_HEX else None
            if number is not None:
                parts[place] = f"#{number + 1}{part[_NAME_HEX:]}"
        return " ".join(parts)

    def told(self, value: object) -> str:
        """Anything that a field may hold, in words."""
        if isinstance(value, bytes):
            return self.of(value)
        if isinstance(value, Value):
            return self.of(value.digest)
        if isinstance(value, Certificate | TimeoutCertificate):
            return describe_certificate(self, value)
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.told, value)) + ")"
        return "none" if value in (None, -1) else str(value)


def slot_text(slot: Slot) -> str:
    """A slot as people write it: 7, or 1/0."""
    return "/".join(map(str, slot))


def label_of(names: Names, message: Message) -> str:
    """A message in two or three words."""
    phase, slot, said = message.statement()
    values = message.values()
    label = f"{phase} {slot_text(slot)}"
    if values:
        return f"{label} {names.of(values[0].digest)}"
    return f"{label} {names.of(said)}" if names.is_name(said) else label


def describe(names: Names, message: Message) -> str:
    """A message with every field."""
    phase, slot, _ = message.statement()
    head = f"{phase} {slot_text(slot)}"
    if not is_dataclass(message):
        return head
    told = [_field(names, each.name, getattr(message, each.name)) for each in fields(message)]
    return f"{head}: {', '.join(told)}" if told else head


def _field(names: Names, name: str, value: object) -> str:
    word = name.replace("_", " ")
    if value is None or value == -1:
        return f"no {word}"
    if isinstance(value, Value):
        number = names.number(value.digest)
        known = names.values[number] if number is not None else "unknown"
        return f"{word} {names.of(value.digest)} ({known})"
    if isinstance(value, tuple) and not value:
        return f"no {word}"
    return f"{word} {names.told(value)}"


def describe_certificate(names: Names, certificate: AnyCertificate) -> str:
    """What a certificate proves, and who signed it."""
    where = f"{certificate.phase} {slot_text(certificate.slot)}"
    if isinstance(certificate, Certificate):
        who = [signer for signer, _ in certificate.signatures]
        what = f" for {names.of(certificate.value)}" if names.is_name(certificate.value) else ""
    else:
        who, what = [signer for signer, _, _ in certificate.entries], ""
    return f"certificate of {where}{what} by {', '.join(f'v{signer}' for signer in who)}"
