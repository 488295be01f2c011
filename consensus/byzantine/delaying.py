"""Delaying: holds its words back just below the protocol's patience.

The performance attack of a leader that is never late enough to be replaced (Amir et al., "Prime:
Byzantine Replication under Attack", 2011).  Patience is measured, not known: it is the shortest
timer that the honest plugin has running, or had running last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from consensus.byzantine.attacker import Attacker, Scene, Word
from consensus.interface import Effect

SHARES = (300, 600, 800, 950)
"""Of the shortest timer, per thousand."""
RATES = (300, 1_000)


class Delaying(Attacker):
    """What it says comes late; the order may change."""

    name: ClassVar[str] = "delaying"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.share = scene.draw.choice(SHARES)
        """How long a word is held, of the shortest timer, per thousand."""
        self.rate = scene.draw.choice(RATES)
        """How many of the words are held, per thousand."""
        self._patience_ms = 0
        self._held: dict[int, Word] = {}

    def say(self, word: Word) -> Iterable[Effect]:
        if self.scene.timers:
            self._patience_ms = min(self.scene.timers.values())
        delay_ms = self._patience_ms * self.share // 1_000
        if not delay_ms or not self.scene.draw.happens(self.rate):
            return (word,)
        number, timer = self.wait(delay_ms)
        self._held[number] = word
        return (timer,)

    def on_timer(self, number: int) -> Iterable[Effect]:
        word = self._held.pop(number, None)
        return (word,) if word is not None else ()
