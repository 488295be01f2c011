"""Mutating: a message with one field changed a little, rightly signed.

Small-scope mutation: a neighbouring number, an earlier value.  Far-off ones are refused at the door
and find nothing (Winter et al., "Randomized Testing of Byzantine Fault Tolerant Algorithms",
OOPSLA 2023).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from consensus.byzantine.attacker import Attacker, Chance, Scene, Word
from consensus.byzantine.rows import DIGEST_BYTES, rebuilt
from consensus.interface import AnyCertificate, Effect, Event, Message, Received, Send
from ledger.errors import DecodeFault
from ledger.value import Value, parse_value

RATES = (50, 200, 500)
REMEMBERED = 3
"""Earlier values, of which one takes the place of another."""


class Mutating(Attacker):
    """Each receiver may hear something else."""

    name: ClassVar[str] = "mutating"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.rate = scene.draw.choice(RATES)
        """How many messages are changed, per thousand."""
        self._digests: deque[bytes] = deque(maxlen=REMEMBERED)

    def hear(self, event: Event) -> None:
        if isinstance(event, Received):
            for value in event.signed.message.values():
                if value.digest not in self._digests:
                    self._digests.append(value.digest)

    def say(self, word: Word) -> Iterable[Effect]:
        draw = self.scene.draw
        if not isinstance(word, Send) or isinstance(word.what, AnyCertificate):
            return (word,)
        if not draw.happens(self.rate):
            return (word,)
        return (Send(word.to, mutated(word.what, draw, tuple(self._digests))),)


def mutated(message: Message, chance: Chance, digests: Sequence[bytes]) -> Message:
    """The message with one field of its row changed, where that gives a message at all.

    `digests` names earlier values, of which the last ones are used.
    """
    row = list(message.row())
    place = chance.randrange(len(row))
    row[place] = _changed(row[place], chance, digests)
    return rebuilt(message, tuple(row)) or message


def _changed(field: Any, chance: Chance, digests: Sequence[bytes]) -> Any:
    """A neighbour of a field; None, no neighbour of most, where none is known."""
    if type(field) is int:
        return _neighbour(field, chance)
    if type(field) is bytes and len(field) in (0, DIGEST_BYTES):
        return chance.choice([b"", *digests[-REMEMBERED:]])
    if type(field) is bytes:
        return _changed_value(field, chance, digests)
    if type(field) is tuple and field:
        place = chance.randrange(len(field))
        changed = _changed(field[place], chance, digests)
        return (*field[:place], changed, *field[place + 1 :])
    return None


def _neighbour(number: int, chance: Chance) -> int:
    return max(0, number + chance.choice((-1, 1)))


def _changed_value(raw: bytes, chance: Chance, digests: Sequence[bytes]) -> bytes | None:
    """An encoded value with one of its fields changed."""
    try:
        value = parse_value(raw)
    except DecodeFault:
        return None
    changes: tuple[Value, ...] = (
        replace(value, slot=tuple(_neighbour(number, chance) for number in value.slot)),
        replace(value, parent=chance.choice([b"", *digests[-REMEMBERED:]])),
        replace(value, proposer=_neighbour(value.proposer, chance)),
        replace(value, timestamp_ms=_neighbour(value.timestamp_ms, chance)),
        replace(value, payload=value.payload[:-1]),
        replace(value, payload=value.payload + value.payload[:1]),
    )
    return chance.choice(changes).raw
