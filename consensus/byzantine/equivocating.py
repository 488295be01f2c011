"""Equivocating: one thing to the one half, another to the other, in the same phase and slot.

The other message is rightly signed and of the same kind: for a proposal another value, for a vote
the other value or nil, found by changing the fields of its row until one gives a different
statement.  A value and its *rival* differ in the last bit of the timestamp, and the deceived half
hears of the odd one.  So equivocators who share a seed, and with it the halves, say the same to
each half without a word between them: f+1 of them fork a ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any, ClassVar

from consensus.byzantine.attacker import Attacker, Scene, Word
from consensus.byzantine.rows import DIGEST_BYTES, rebuilt, replaced
from consensus.interface import AnyCertificate, Effect, Event, Message, Received, Send
from ledger.statement import Slot
from ledger.value import Value

RATES = (300, 700, 1_000)
CARELESS_RATES = (0, 0, 100)
REMEMBERED = 256
"""Second messages, and rivals, that are kept."""
_Key = tuple[str, Slot, bytes]


class Equivocating(Attacker):
    """Two rightly signed statements where an honest validator makes one."""

    name: ClassVar[str] = "equivocating"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.rate = scene.shared.named("rate").choice(RATES)
        """Slots in which it equivocates, per thousand."""
        self.carelessness = scene.draw.choice(CARELESS_RATES)
        """Words, per thousand, with which the receiver hears the other thing as well."""
        self._rivals: dict[bytes, tuple[bytes, bool]] = {}
        """Digest of a value -> (digest of its rival, whether the value is the odd one)."""
        self._seconds: dict[_Key, Message | None] = {}

    def hear(self, event: Event) -> None:
        if isinstance(event, Received):
            for value in event.signed.message.values():
                self._pair(value)

    def say(self, word: Word) -> Iterable[Effect]:
        if not isinstance(word, Send) or isinstance(word.what, AnyCertificate):
            return (word,)
        deceived = self.deceived(word.what.statement()[1])
        if deceived is None:
            return (word,)
        second = self._second(word.what)
        if second is None:
            return (word,)
        other = Send(word.to, second)
        if self.scene.draw.happens(self.carelessness):
            return (word, other)
        return (word,) if (word.to in deceived) == self._is_odd(word.what) else (other,)

    def deceived(self, slot: Slot) -> tuple[int, ...] | None:
        """Who hears of the odd value in this slot; None where nobody is deceived."""
        draw = self.scene.shared.named(*slot)
        if not draw.happens(self.rate):
            return None
        everyone = sorted((self.scene.me, *self.scene.others))
        return tuple(everyone[place] for place in draw.subset(range(len(everyone))))

    def _is_odd(self, message: Message) -> bool:
        """Whether a message speaks of the odd one of two rivals."""
        for value in message.values():
            return bool(value.timestamp_ms & 1)
        fields = [field for field in message.row() if type(field) is bytes]
        return any(self._rivals[field][1] for field in fields if field in self._rivals)

    def _second(self, message: Message) -> Message | None:
        """Another message for the same phase and slot; None where none can be made."""
        key = message.statement()
        if key not in self._seconds:
            for value in message.values():
                self._pair(value)
            made = (rebuilt(message, row) for row in self._rows(message))
            self._seconds[key] = next((one for one in made if one and _differs(one, key)), None)
            _trim(self._seconds)
        return self._seconds[key]

    def _pair(self, value: Value) -> None:
        other = rival(value)
        is_odd = bool(value.timestamp_ms & 1)
        self._rivals[value.digest] = (other.digest, is_odd)
        self._rivals[other.digest] = (value.digest, not is_odd)
        _trim(self._rivals)

    def _rows(self, message: Message) -> Iterator[tuple[Any, ...]]:
        """Changed rows, those first that look most like another honest message."""
        row = message.row()
        for value in message.values():
            yield replaced(row, value.raw, rival(value).raw)
        for place, field in enumerate(row):
            for other in self._others(field):
                yield (*row[:place], other, *row[place + 1 :])

    def _others(self, field: Any) -> Iterator[Any]:
        if type(field) is bytes and len(field) in (0, DIGEST_BYTES):
            if field in self._rivals:
                yield self._rivals[field][0]
            yield b""
            yield from reversed(self._rivals)
            yield sha256(field).digest()
        elif type(field) is int:
            yield from (field + 1, max(0, field - 1))
        elif type(field) is tuple:
            yield None


def rival(value: Value) -> Value:
    """The value that differs in the last bit of its timestamp; its rival is the value itself."""
    return replace(value, timestamp_ms=value.timestamp_ms ^ 1)


def _differs(message: Message, key: _Key) -> bool:
    """Whether the message contradicts the statement."""
    phase, slot, value = message.statement()
    return (phase, slot) == key[:2] and value != key[2]


def _trim(memory: dict[Any, Any]) -> None:
    while len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
