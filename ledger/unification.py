"""Merging what PROV statements say about one thing: terms, and the key constraints over them.

A term is a constant (a URI, a time, or "-" for what is said not to be there) or a variable: a
number that stands for something which must exist and is not named.  A variable is equal to whatever
a key constraint makes it; two different constants never are.  Source: PROV-CONSTRAINTS, W3C
Recommendation of 30 April 2013: Definitions 1 to 4, Constraints 22 to 29, and Inference 11.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.applications.provenance import KINDS, TIMES, Statement

Term = str | int
PLACEHOLDER = "-"
"""Says that there is none: the only absent arguments that stand for nothing (Definition 4)."""
IDENTIFIED = (
    "used",
    "wasGeneratedBy",
    "wasInvalidatedBy",
    "wasStartedBy",
    "wasEndedBy",
    "wasInformedBy",
    "wasAttributedTo",
    "wasAssociatedWith",
    "actedOnBehalfOf",
    "wasDerivedFrom",
    "wasInfluencedBy",
)
"""Relations that have an identifier, and are determined by it (Constraint 23)."""
UNIQUE = {
    "wasGeneratedBy": (24, "entity", "activity"),
    "wasInvalidatedBy": (25, "entity", "activity"),
    "wasStartedBy": (26, "activity", "starter"),
    "wasEndedBy": (27, "activity", "ender"),
}
"""Relation to (constraint, the two arguments of which one pair has one event)."""
TIMED = {"wasStartedBy": (28, "startTime"), "wasEndedBy": (29, "endTime")}
"""Event of an activity to (constraint, the argument of the activity that is its time)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement, or what a derivation implies, in terms."""

    kind: str
    id: Term
    arguments: dict[str, Term]
    source: int
    """Index of the statement that it is, or comes from."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Two statements that a key constraint makes one, and that cannot be one."""

    constraint: int
    first: int
    second: int
    what: str
    """The argument in which they differ."""


class Terms:
    """Variables, and what they have turned out to be."""

    def __init__(self) -> None:
        self._made = 0
        self._bound: dict[int, Term] = {}

    def new(self) -> int:
        self._made += 1
        return self._made

    def find(self, term: Term) -> Term:
        """The constant, or the variable that stands for all that are equal."""
        while isinstance(term, int) and term in self._bound:
            term = self._bound[term]
        return term

    @property
    def bindings(self) -> int:
        """How many merges there were."""
        return len(self._bound)

    def unify(self, one: Term, other: Term) -> bool:
        """Make them equal; False where they are two constants."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return True
        if isinstance(one, int):
            self._bound[one] = other
            return True
        if isinstance(other, int):
            self._bound[other] = one
            return True
        return False


class Instance:
    """The statements of one bundle, or of what is outside of all bundles."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.terms = Terms()
        self.facts: list[Fact] = []
        for source, statement in enumerate(statements):
            fact = self._fact(statement, source)
            self.facts.append(fact)
            if statement.kind == "wasDerivedFrom" and fact.arguments["activity"] != PLACEHOLDER:
                self.facts += self._implied(fact)

    def _fact(self, statement: Statement, source: int) -> Fact:
        """Definitions 1 to 4: what is left out is some unknown one, with the exceptions below."""
        given = dict(statement.arguments)
        arguments: dict[str, Term] = {}
        for name in KINDS[statement.kind].arguments:
            if name in given:
                value = given[name]
                arguments[name] = moment(value) if name in TIMES else statement.expand(value)
            elif self._is_none(statement.kind, name, given):
                arguments[name] = PLACEHOLDER
            else:
                arguments[name] = self.terms.new()
        identity: Term = (
            statement.expand(statement.identifier) if statement.identifier else self.terms.new()
        )
        return Fact(statement.kind, identity, arguments, source)

    @staticmethod
    def _is_none(kind: str, name: str, given: dict[str, str]) -> bool:
        if kind == "wasAssociatedWith":
            return name == "plan"
        if kind == "wasDerivedFrom":
            return name == "activity" or "activity" not in given
        return False

    def _implied(self, derivation: Fact) -> list[Fact]:
        """Inference 11: the usage and the generation of a derivation whose activity is known."""
        named, source = derivation.arguments, derivation.source
        used: dict[str, Term] = {
            "activity": named["activity"],
            "entity": named["usedEntity"],
            "time": self.terms.new(),
        }
        generated: dict[str, Term] = {
            "entity": named["generatedEntity"],
            "activity": named["activity"],
            "time": self.terms.new(),
        }
        return [
            Fact("used", named["usage"], used, source),
            Fact("wasGeneratedBy", named["generation"], generated, source),
        ]

    def value(self, fact: Fact, name: str) -> Term:
        """What an argument has turned out to be."""
        return self.terms.find(fact.arguments[name])

    def merge(self) -> list[Clash]:
        """Apply the key constraints until nothing changes; the pairs that cannot be merged."""
        clashes: dict[tuple[int, int], Clash] = {}
        before = -1
        while before != self.terms.bindings:
            before = self.terms.bindings
            for clash in (*self._by_identifier(), *self._by_pair(), *self._by_activity()):
                clashes.setdefault((clash.first, clash.second), clash)
        return list(clashes.values())

    def _by_identifier(self) -> Iterator[Clash]:
        """Constraints 22 and 23."""
        seen: dict[tuple[str, Term], Fact] = {}
        for fact in self.facts:
            if fact.kind == "activity":
                constraint = 22
            elif fact.kind in IDENTIFIED:
                constraint = 23
            else:
                continue
            first = seen.setdefault((fact.kind, self.terms.find(fact.id)), fact)
            if first is not fact and (what := self._differ(first, fact)):
                yield Clash(constraint, first.source, fact.source, what)

    def _by_pair(self) -> Iterator[Clash]:
        """Constraints 24 to 27."""
        seen: dict[tuple[str, Term, Term], Fact] = {}
        for fact in self.facts:
            if fact.kind not in UNIQUE:
                continue
            constraint, one, other = UNIQUE[fact.kind]
            key = (fact.kind, self.value(fact, one), self.value(fact, other))
            first = seen.setdefault(key, fact)
            if first is fact:
                continue
            if not self.terms.unify(first.id, fact.id):
                yield Clash(constraint, first.source, fact.source, "identifier")
            elif what := self._differ(first, fact):
                yield Clash(constraint, first.source, fact.source, what)

    def _by_activity(self) -> Iterator[Clash]:
        """Constraints 28 and 29."""
        activities: dict[Term, Fact] = {}
        for fact in self.facts:
            if fact.kind == "activity":
                activities.setdefault(self.terms.find(fact.id), fact)
        for fact in self.facts:
            if fact.kind not in TIMED:
                continue
            activity = activities.get(self.value(fact, "activity"))
            constraint, name = TIMED[fact.kind]
            if activity is not None and not self.terms.unify(
                activity.arguments[name], fact.arguments["time"]
            ):
                yield Clash(constraint, activity.source, fact.source, "time")

    def _differ(self, first: Fact, second: Fact) -> str:
        """The first argument in which they cannot be equal; those before it are made equal."""
        for name, term in first.arguments.items():
            if not self.terms.unify(term, second.arguments[name]):
                return name
        return ""


_date_time = re.compile(
    r"(-?\d+)-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:(Z)|([+-])(\d\d):(\d\d))?"
)


def moment(text: str) -> str:
    """An xsd:dateTime in one spelling: seconds of the Gregorian calendar, in UTC where known."""
    found = _date_time.fullmatch(text)
    assert found is not None, "a statement's times are checked when it is made"
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, zulu, sign, hours, minutes = found.groups()[6:]
    # Years from March on, so that the leap day is the last of its year.
    years = year - (month < 3)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = years * 365 + years // 4 - years // 100 + years // 400 + of_year
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * 60
        seconds -= offset if sign == "+" else -offset
    return f"{seconds}{(fraction or '').rstrip('0').rstrip('.')}{'Z' if zulu or sign else ''}"
