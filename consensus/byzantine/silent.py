"""Silent: follows the protocol and tells nobody, as one that crashed seen from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from consensus.byzantine.attacker import Attacker, Word
from consensus.interface import Effect


class Silent(Attacker):
    """Nothing leaves."""

    name: ClassVar[str] = "silent"

    def say(self, word: Word) -> Iterable[Effect]:
        return ()
