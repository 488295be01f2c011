"""Lineage by the index: which statements a question needs, without reading any statement.

What is found is every statement that the answer rests on, and perhaps a few more: the index holds
no attributes but that a derivation is a revision, and does not know what a thing in an argument is.
`ledger.lineage_question.settle` makes the answer of what these statements say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from ledger.applications.provenance_index import (
    CAUSE,
    EDGES,
    EFFECT,
    IS,
    LINKS,
    REVISED,
    Entry,
    Index,
    thing_key,
)
from ledger.errors import Fault
from ledger.lineage_question import DOWNSTREAM, HISTORY, UPSTREAM, WHO, Question

SCANNED_MAX = 100_000
"""Entries of the index that one walk looks at: a quarter of a second of a reader thread."""
Place: TypeAlias = tuple[int, int, int]
"""(height, position of the transaction, operation)."""

_TRACED = frozenset((*EDGES, REVISED))
_SAME = frozenset(("specializationOf", "mentionOf", "alternateOf", REVISED))
_MADE = frozenset(("wasGeneratedBy", "wasDerivedFrom", REVISED))
_CREDITED = frozenset(("wasAttributedTo", "wasAssociatedWith"))
_BEHALF = frozenset(("actedOnBehalfOf",))


@dataclass(frozen=True, slots=True)
class Found:
    """Statements that a question needs."""

    places: tuple[Place, ...]
    """In the order of the ledger, each statement once, where it came first."""
    things: int
    """That were met."""


@dataclass(slots=True)
class _Walk:
    index: Index
    height: int
    left: int
    """Entries that may still be looked at."""
    steps: dict[bytes, int] = field(default_factory=dict)
    """Edges from the start to each thing."""
    marks: dict[bytes, Place] = field(default_factory=dict)
    """Where each statement that is needed stands first."""
    read: dict[tuple[bytes, int], list[Entry]] = field(default_factory=dict)

    def entries(self, thing: bytes, role: int) -> list[Entry]:
        """What stands there of a thing, read once."""
        if (thing, role) not in self.read:
            found = list(islice(self.index.entries(thing, role), self.left + 1))
            if len(found) > self.left:
                raise Fault("lineage.too-much", f"more than {SCANNED_MAX:,} entries of the index")
            self.left -= len(found)
            self.read[thing, role] = [each for each in found if each.place[0] <= self.height]
        return self.read[thing, role]

    def keep(self, entry: Entry) -> None:
        """The statement is needed."""
        known = self.marks.get(entry.mark)
        if known is None or entry.place < known:
            self.marks[entry.mark] = entry.place

    def follow(
        self, start: bytes, roles: tuple[int, ...], kinds: frozenset[str], depth: int | None
    ) -> None:
        """Meet all that edges of these kinds lead to, nearest first."""
        self.steps.setdefault(start, 0)
        waiting = deque([start])
        while waiting:
            thing = waiting.popleft()
            if depth is not None and self.steps[thing] >= depth:
                continue
            for role in roles:
                for entry in self.entries(thing, role):
                    if entry.kind not in kinds:
                        continue
                    for other in _ends(entry, role, kinds):
                        if other not in self.steps:
                            self.steps[other] = self.steps[thing] + 1
                            waiting.append(other)

    def found(self, kinds: frozenset[str]) -> Found:
        """What says what the things are that were met, and what links two of them."""
        for thing in self.steps:
            for entry in self.entries(thing, IS):
                self.keep(entry)
            for entry in self.entries(thing, EFFECT):
                if entry.kind in kinds and any(other in self.steps for other in entry.others):
                    self.keep(entry)
        return Found(tuple(sorted(self.marks.values())), len(self.steps))


def _ends(entry: Entry, role: int, kinds: frozenset[str]) -> tuple[bytes, ...]:
    """Where an edge leads; to the earlier version, not to the activity between, where versions are
    all that is asked for."""
    if entry.kind == REVISED and role == EFFECT and kinds == _SAME:
        return entry.others[:1]
    return entry.others


def walk(index: Index, question: Question, height: int, *, agents: bool = False) -> Found:
    """The statements up to a height that a question about one thing needs.

    With agents, also who is credited with each thing that was met, and on whose behalf they acted.
    Raises Fault("lineage.too-much") where that is more than a node looks for at once.
    """
    going = _Walk(index, height, SCANNED_MAX)
    start = thing_key(question.things[0])
    ways: dict[str, Callable[[], None]] = {
        UPSTREAM: lambda: going.follow(start, (EFFECT,), _TRACED, question.depth),
        DOWNSTREAM: lambda: going.follow(start, (CAUSE,), _TRACED, question.depth),
        HISTORY: lambda: going.follow(start, (EFFECT, CAUSE), _SAME, None),
        WHO: lambda: _follow_credit(going, start),
    }
    if question.word not in ways:
        raise Fault("lineage.question", f"no walk answers {question.word}")
    ways[question.word]()
    if agents:
        _follow_agents(going)
    return going.found(frozenset((*LINKS, REVISED)))


def _follow_credit(going: _Walk, start: bytes) -> None:
    """What made the thing, who is credited with either, and on whose behalf they acted."""
    going.follow(start, (EFFECT,), _MADE, 1)
    _follow_agents(going)


def _follow_agents(going: _Walk) -> None:
    """Who is credited with anything that was met, and on whose behalf they acted."""
    for thing in tuple(going.steps):
        going.steps[thing] = 0
        going.follow(thing, (EFFECT,), _CREDITED, 1)
    for thing in tuple(going.steps):
        going.follow(thing, (EFFECT,), _BEHALF, None)
