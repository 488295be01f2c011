"""The contract of attackers: what they see, and what they may let leave instead.

An attacker stands behind an honest plugin.  It hears every event, and each word that a step says to
another validator is handed to it, one receiver at a time: a message (which will be signed with the
validator's own key), a certificate, a hint, or somebody's signed message passed on.  It answers
with what leaves instead.  What the validator says to itself is out of its reach, so the plugin goes
on as if its words had been heard.  It waits by timers of its own, which the plugin never sees.

Randomness is hashed from the seed: the same seed, epoch and validator give the same attack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeVar

from consensus.interface import Effect, Event, Forward, Send, SetTimer, Tell, Timer
from ledger.encoding import encode

Word = Send | Forward | Tell
"""Something for one other validator."""
TIMER = "attack"
"""Name of the timers of attackers; their slot is (place in the combination, number)."""
Item = TypeVar("Item")


class Chance(Protocol):
    """Where small decisions come from: a `Draw`, or the simulator's own generator."""

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to stop - 1."""

    def choice(self, items: Sequence[Item], /) -> Item:
        """One of the items."""


class Draw:
    """Chance hashed from a name: the n-th number of a name is always the same."""

    def __init__(self, *name: int | bytes | str) -> None:
        self._name = hashlib.sha256(encode(name)).digest()
        self._count = 0

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to stop - 1; far more even than an attack has use for."""
        self._count += 1
        raw = hashlib.sha256(self._name + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(raw[:8], "big") % stop

    def choice(self, items: Sequence[Item], /) -> Item:
        """One of the items."""
        return items[self.randrange(len(items))]

    def happens(self, rate: int) -> bool:
        """Whether something of this rate per thousand happens now."""
        return self.randrange(1_000) < rate

    def subset(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Some of the items, at least one and, where there are two, not all."""
        whole = (1 << len(items)) - 1
        mask = 1 + self.randrange(whole - 1) if whole > 1 else whole
        return tuple(item for place, item in enumerate(items) if mask >> place & 1)

    def named(self, *name: int | bytes | str) -> Draw:
        """A stream of its own, which does not move this one."""
        return Draw(self._name, *name)


@dataclass(slots=True)
class Scene:
    """What an attacker knows beside the words."""

    me: int
    others: tuple[int, ...]
    """The other validators."""
    draw: Draw
    """Of this attacker alone: from seed, epoch, validator and place in the combination."""
    shared: Draw
    """From seed and epoch: attackers who share the seed need not speak to agree."""
    place: int
    """In the combination, from 0."""
    timers: dict[Timer, int]
    """The timers of the honest plugin that run, with their delays in milliseconds."""
    held: int = field(default=0)
    """How many timers of its own the attacker has set."""


class Attacker:
    """One behaviour.  As it stands here it lets everything pass."""

    name: ClassVar[str]
    """What a combination calls it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def hear(self, event: Event) -> None:
        """Something happens to the honest plugin, which has not seen it yet."""

    def say(self, word: Word) -> Iterable[Effect]:
        """What leaves instead of this word; the next attacker of a combination gets it."""
        return (word,)

    def on_timer(self, number: int) -> Iterable[Effect]:
        """The own timer of this number fired: what leaves now."""
        return ()

    def forgets(self) -> bool:
        """Whether the honest plugin loses its memory after this step."""
        return False

    def wait(self, delay_ms: int) -> tuple[int, SetTimer]:
        """(number, effect) of a new timer of its own."""
        self.scene.held += 1
        timer = Timer(TIMER, (self.scene.place, self.scene.held))
        return self.scene.held, SetTimer(timer, delay_ms)
