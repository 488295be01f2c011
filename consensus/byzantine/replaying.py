"""Replaying: what was said before is said again, by whomever it was.

Of the messages that the validator heard or said, an earlier one goes to a drawn receiver as it was
signed.  Counting messages where signers should be counted falls to nothing else (Winter et al.,
OOPSLA 2023; our own measurements agree).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from consensus.byzantine.attacker import Attacker, Scene, Word
from consensus.interface import Effect, Event, Forward, Received, Signed

REMEMBERED = 64
RATES = (50, 200, 500)


class Replaying(Attacker):
    """Beside what it says, something old."""

    name: ClassVar[str] = "replaying"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.rate = scene.draw.choice(RATES)
        """How many words something old comes with, per thousand."""
        self._heard: deque[Signed] = deque(maxlen=REMEMBERED)

    def hear(self, event: Event) -> None:
        if isinstance(event, Received):
            self._heard.append(event.signed)

    def say(self, word: Word) -> Iterable[Effect]:
        draw = self.scene.draw
        if not self._heard or not draw.happens(self.rate):
            return (word,)
        return (word, Forward(draw.choice(self.scene.others), draw.choice(self._heard)))
