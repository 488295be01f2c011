"""Selective: speaks to some only.

A drawn subset of the others hears nothing at all, and by a drawn rate the rest misses all that is
said in a slot ("omission to a subset" of Winter et al., OOPSLA 2023).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from consensus.byzantine.attacker import Attacker, Scene, Word
from consensus.interface import AnyCertificate, Effect, Forward, Send
from ledger.statement import Slot

SHUN_RATES = (0, 500, 1_000)
OMISSION_RATES = (0, 100, 300, 600)


class Selective(Attacker):
    """Some hear it, some do not; who they are is partly fixed, partly drawn for every slot."""

    name: ClassVar[str] = "selective"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        draw = scene.draw
        shuns = draw.happens(draw.choice(SHUN_RATES))
        self.shunned = draw.subset(scene.others) if shuns and len(scene.others) > 1 else ()
        """Who never hears anything."""
        self.omission = draw.choice(OMISSION_RATES if self.shunned else OMISSION_RATES[1:])
        """Pairs of receiver and slot, per thousand, in which the receiver hears nothing."""

    def say(self, word: Word) -> Iterable[Effect]:
        slot = _slot(word)
        if word.to in self.shunned or (slot is not None and self._omits(word.to, slot)):
            return ()
        return (word,)

    def _omits(self, to: int, slot: Slot) -> bool:
        return self.scene.draw.named(to, *slot).happens(self.omission)


def _slot(word: Word) -> Slot | None:
    """The slot that a word speaks of; None for a hint."""
    if isinstance(word, Forward):
        return word.signed.message.statement()[1]
    if isinstance(word, Send):
        what = word.what
        return what.slot if isinstance(what, AnyCertificate) else what.statement()[1]
    return None
