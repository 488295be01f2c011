"""Questions about lineage, and the statements that an answer rests on.

A question is the same words for a person, a node and a proof.  Its answer rests on the statements
that say what its things are and that link two of them; asked of these alone, the question has the
same answer.  `settle` finds them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ledger import encoding
from ledger.applications.provenance import ELEMENTS, QUALIFIED_NAME_CHARS_MAX, Statement
from ledger.applications.provenance_index import LINKS, is_revision
from ledger.lineage import SAME, Answer, Lineage

UPSTREAM, DOWNSTREAM, BETWEEN, HISTORY, WHO = "upstream", "downstream", "between", "history", "who"
WORDS = {UPSTREAM: 1, DOWNSTREAM: 1, BETWEEN: 2, HISTORY: 1, WHO: 1}
"""What can be asked -> of how many things."""
WORD_CHARS_MAX = 16
DEPTH_MAX = 2**31
_uri = encoding.text(2 * QUALIFIED_NAME_CHARS_MAX, low=1)
shape = encoding.row(
    encoding.text(WORD_CHARS_MAX, low=1),
    encoding.array(_uri, 2, low=1),
    encoding.optional(encoding.uint(DEPTH_MAX, low=1)),
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of which things."""

    word: str
    """One of WORDS."""
    things: tuple[str, ...]
    """By URI."""
    depth: int | None = None
    """Relations upstream or downstream at most; None for as far as it goes."""

    def row(self) -> tuple[object, ...]:
        """What is encoded."""
        return (self.word, self.things, self.depth)

    def answer(self, lineage: Lineage) -> Answer:
        """What these statements say.  Raises Fault("lineage.unknown") for a thing that none names.

        The other versions of a history stand in their order.
        """
        first = self.things[0]
        if self.word == BETWEEN:
            return lineage.between(first, self.things[1])
        if self.word == WHO:
            return lineage.who(first)
        if self.word == HISTORY:
            start = lineage.find(first)
            versions = lineage.history(first)
            return Answer(start, tuple(node for node in versions if node is not start), ())
        return lineage.trace(first, upstream=self.word == UPSTREAM, depth=self.depth)


class Link(NamedTuple):
    """That one thing rests on another, or is the same as another, by URI."""

    effect: str
    kind: str
    cause: str


def links(statement: Statement) -> list[Link]:
    """Every link that a statement makes."""
    arguments = dict(statement.arguments)
    effect, causes = LINKS.get(statement.kind, ("", ()))
    if effect not in arguments:
        return []
    source = statement.expand(arguments[effect])
    return [
        Link(source, statement.kind, statement.expand(arguments[cause]))
        for cause in causes
        if cause in arguments
    ]


def links_inside(question: Question, things: Collection[str], statement: Statement) -> list[Link]:
    """The links of a statement between two of these things that matter to the question."""
    found = links(statement)
    if question.word == HISTORY:
        if is_revision(statement):
            # From the later version to the earlier one, not to the activity between them.
            found = found[:1]
        elif statement.kind not in (*SAME, "alternateOf"):
            return []
    elif statement.kind == "alternateOf":
        return []
    return [link for link in found if link.effect in things and link.cause in things]


def settle(
    statements: Iterable[Statement], question: Question
) -> tuple[Answer, tuple[Statement, ...]]:
    """The answer, and the statements that it rests on, each once and in their order.

    There are none where a thing is named only in places that say nothing of it.  Raises Fault as
    `Lineage.find` does.
    """
    kept = tuple(dict.fromkeys(statements))
    while True:
        answer = question.answer(Lineage(kept))
        things = {answer.start.uri, *(node.uri for node in answer.nodes)}
        used = tuple(each for each in kept if _is_used(question, things, each))
        # Nearly always at once.  What a thing is goes by what is said of it first, and where
        # statements contradict each other, those left may say something else.
        if used == kept or not used:
            return answer, used
        kept = used


def _is_used(question: Question, things: Collection[str], statement: Statement) -> bool:
    if statement.kind in ELEMENTS:
        return statement.expand(statement.identifier) in things
    return bool(links_inside(question, things, statement))
