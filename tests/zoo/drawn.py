"""Inputs drawn for one part of a node alone: the part with a rule missing, and as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.zoo.model import Mutant, Verdict, judged


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a node, and what shows that it keeps its promises."""

    name: str
    """Of the strategy that draws for it."""
    whole: type[Any]
    """The part as it is."""
    lacking: Mapping[str, type[Any]]
    """By the id of a mutant, the part that lacks its rule."""
    broken: Callable[[type[Any], int], tuple[str, ...]]
    """The properties that a part of this kind breaks over the inputs of a number."""

    def fits(self, mutant: Mutant) -> bool:
        """Whether it is this part that lacks the rule."""
        return mutant.protocol == "replica" and mutant.id in self.lacking

    def attempt(self, mutant: Mutant, number: int) -> tuple[Verdict, int]:
        """The inputs of one number."""
        found = self.broken(self.lacking[mutant.id], number)
        return judged(mutant, found, partial(self.broken, self.whole, number),
                      f"{self.name} {number}"), 1  # fmt: skip
