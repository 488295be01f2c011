"""How a schedule gets replicas that lack one rule."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from consensus.recovery import Recovered, Setup
from consensus.replica import Replica

Kind = type[Replica]
"""A replica, or one that lacks a rule."""


def become(part: Any, kind: type[Any]) -> None:
    """Let a part of a replica live on as one of another kind, which lacks a rule."""
    assert issubclass(kind, type(part))
    part.__class__ = kind


def lacking(part: str, kind: type[Any], base: Kind = Replica) -> Kind:
    """A replica one part of which, named by its path, is of a kind that lacks a rule."""

    class Mutant(base):  # type: ignore[valid-type, misc]
        def __init__(self, setup: Setup, recovered: Recovered) -> None:
            super().__init__(setup, recovered)
            become(attrgetter(part)(self), kind)

    Mutant.__name__ = kind.__name__
    return Mutant
