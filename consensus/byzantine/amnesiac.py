"""Amnesiac: at drawn moments it forgets its state, its promises and what it said.

What a lost disk or a restored backup does to an honest validator: it votes against its own lock and
says a second thing where it has said one (the amnesia and flip-flop attacks of Tendermint's fork
accountability; real chains have double-signed this way).
"""

from __future__ import annotations

from typing import ClassVar

from consensus.byzantine.attacker import Attacker, Scene

RATES = (5, 20, 80)


class Amnesiac(Attacker):
    """Knows what is decided, and nothing else for sure."""

    name: ClassVar[str] = "amnesiac"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.rate = scene.draw.choice(RATES)
        """Steps after which everything is forgotten, per thousand."""

    def forgets(self) -> bool:
        return self.scene.draw.happens(self.rate)
