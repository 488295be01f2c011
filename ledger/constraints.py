"""Whether PROV statements can be true together: PROV-CONSTRAINTS, rule by rule.

Source: Constraints of the PROV Data Model, W3C Recommendation of 30 April 2013.  Bundles are judged
apart from each other and from what is outside of them (section 7.2).  What is checked:

    22 to 29    merging by keys, `ledger/unification.py`
    30 to 49    the order of events, `ledger/event_order.py`
    50 to 56    types and impossibilities, here

Inferences are applied as far as they can make something invalid; the others (12, 15 to 18) only add
statements that no constraint forbids.  mentionOf counts as specializationOf (PROV-Links).

An application does not refuse what breaks these rules: two members may contradict each other, and
the ledger then holds what both said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ledger.applications.provenance import PREDEFINED, QUALIFIED_NAME, Statement
from ledger.event_order import Edge, EventOrder, Node, knots_of
from ledger.unification import IDENTIFIED, PLACEHOLDER, Fact, Instance

NAMES = {
    22: "key-object",
    23: "key-properties",
    24: "unique-generation",
    25: "unique-invalidation",
    26: "unique-wasStartedBy",
    27: "unique-wasEndedBy",
    28: "unique-startTime",
    29: "unique-endTime",
    30: "start-precedes-end",
    33: "usage-within-activity",
    34: "generation-within-activity",
    35: "wasInformedBy-ordering",
    36: "generation-precedes-invalidation",
    37: "generation-precedes-usage",
    38: "usage-precedes-invalidation",
    41: "derivation-usage-generation-ordering",
    42: "derivation-generation-generation-ordering",
    43: "wasStartedBy-ordering",
    44: "wasEndedBy-ordering",
    45: "specialization-generation-ordering",
    46: "specialization-invalidation-ordering",
    47: "wasAssociatedWith-ordering",
    48: "wasAttributedTo-ordering",
    49: "actedOnBehalfOf-ordering",
    51: "impossible-unspecified-derivation-generation-use",
    52: "impossible-specialization-reflexive",
    53: "impossible-property-overlap",
    54: "impossible-object-property-overlap",
    55: "entity-activity-disjoint",
    56: "membership-empty-collection",
}
"""The constraints' names in the Recommendation; 31, 32, 39, 40 and 50 are part of others here."""
DISJOINT = IDENTIFIED[:9]
"""Relations of which two never share an identifier: all but derivation and influence (53)."""
EMPTY_COLLECTION = PREDEFINED["prov"] + "EmptyCollection"
ROLES: dict[str, dict[str, str]] = {
    "used": {"activity": "activity", "entity": "entity"},
    "wasGeneratedBy": {"entity": "entity", "activity": "activity"},
    "wasInformedBy": {"informed": "activity", "informant": "activity"},
    "wasStartedBy": {"activity": "activity", "trigger": "entity", "starter": "activity"},
    "wasEndedBy": {"activity": "activity", "trigger": "entity", "ender": "activity"},
    "wasInvalidatedBy": {"entity": "entity", "activity": "activity"},
    "wasDerivedFrom": {
        "generatedEntity": "entity",
        "usedEntity": "entity",
        "activity": "activity",
    },
    "wasAttributedTo": {"entity": "entity"},
    "wasAssociatedWith": {"activity": "activity", "plan": "entity"},
    "actedOnBehalfOf": {"activity": "activity"},
    "specializationOf": {"specificEntity": "entity", "generalEntity": "entity"},
    "alternateOf": {"alternate1": "entity", "alternate2": "entity"},
    "hadMember": {"collection": "entity", "entity": "entity"},
    "mentionOf": {"specificEntity": "entity", "generalEntity": "entity"},
}
"""Which arguments of a relation must be entities, and which activities (Constraint 50)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that is broken, and by what."""

    constraint: int
    """Its number in the Recommendation."""
    bundle: str
    """URI of the bundle; empty outside of bundles."""
    detail: str
    """What is wrong, for people."""
    statements: tuple[Statement, ...]
    """Those that cannot be true together, in the order given; of a cycle, in its order."""

    @property
    def name(self) -> str:
        """The constraint's name in the Recommendation."""
        return NAMES[self.constraint]


def check_statements(statements: Iterable[Statement]) -> list[Violation]:
    """Every rule that the statements break; empty where they are valid."""
    bundles: dict[str, list[Statement]] = {}
    for statement in statements:
        uri = statement.expand(statement.bundle) if statement.bundle else ""
        bundles.setdefault(uri, []).append(statement)
    return [found for uri, own in bundles.items() for found in _check_instance(uri, own)]


def _check_instance(bundle: str, statements: Sequence[Statement]) -> list[Violation]:
    instance = Instance(statements)
    names = _names(statements)

    def violation(constraint: int, detail: str, *sources: int) -> Violation:
        own = dict.fromkeys(source for source in sources if source >= 0)
        told = tuple(statements[source] for source in own)
        return Violation(constraint, bundle, detail, told)

    found = [
        violation(clash.constraint, f"two values for {clash.what}", clash.first, clash.second)
        for clash in instance.merge()
    ]
    for constraint, detail, sources in _impossible(instance, names):
        found.append(violation(constraint, detail, *sources))
    order = EventOrder.of(instance)
    for cycle in order.impossible():
        said = [edge.source for edge in cycle]
        # What holds of every activity and entity is shown by a statement that names one.
        said += [order.nodes[edge.before] for edge in cycle if edge.source < 0]
        found.append(violation(cycle[0].constraint, _told(cycle, names), *said))
    return found


def _names(statements: Sequence[Statement]) -> dict[str, str]:
    """A qualified name, for people, of every thing."""
    names: dict[str, str] = {}
    for statement in statements:
        for name in statement.things():
            names.setdefault(statement.expand(name), name.removeprefix(":"))
    return names


def _told(cycle: list[Edge], names: dict[str, str]) -> str:
    """ "generation of e1 before generation of e2 (42), not after ..., again"."""

    def shown(node: Node) -> str:
        event, term = node
        return f"{event} of {names.get(term, term) if isinstance(term, str) else 'something'}"

    words = [shown(cycle[0].before)]
    for edge in cycle:
        sign = "<" if edge.is_strict else "<="
        words.append(f"{sign} {shown(edge.after)} ({edge.constraint})")
    return "events in a circle: " + " ".join(words)


Found = Iterator[tuple[int, str, tuple[int, ...]]]
"""(constraint, detail, indexes of statements)."""


def _impossible(instance: Instance, names: dict[str, str]) -> Found:
    yield from _unspecified_derivations(instance)
    yield from _reflexive_specializations(instance)
    yield from _overlaps(instance, names)
    yield from _types(instance, names)
    yield from _empty_collections(instance, names)


def _unspecified_derivations(instance: Instance) -> Found:
    """Constraint 51."""
    for fact in instance.facts:
        if fact.kind != "wasDerivedFrom" or fact.arguments["activity"] != PLACEHOLDER:
            continue
        given = [n for n in ("generation", "usage") if fact.arguments[n] != PLACEHOLDER]
        if given:
            yield 51, f"a {given[0]} without the activity", (fact.source,)


def _specializations(instance: Instance) -> Iterator[tuple[str, str, Fact]]:
    """(specific, general, the fact)."""
    for fact in instance.facts:
        if fact.kind in ("specializationOf", "mentionOf"):
            specific, general = fact.arguments["specificEntity"], fact.arguments["generalEntity"]
            yield str(specific), str(general), fact


def _reflexive_specializations(instance: Instance) -> Found:
    """Constraint 52, with Inference 19: specialization is transitive."""
    after: dict[Node, list[Node]] = {}
    for specific, general, _ in _specializations(instance):
        after.setdefault(("entity", specific), []).append(("entity", general))
    knots = knots_of(after)
    members: dict[int, list[int]] = {}
    for specific, general, fact in _specializations(instance):
        knot = knots[("entity", specific)]
        if knot == knots[("entity", general)]:
            members.setdefault(knot, []).append(fact.source)
    for sources in members.values():
        yield 52, "an entity that specializes itself", tuple(sources)


def _overlaps(instance: Instance, names: dict[str, str]) -> Found:
    """Constraints 53 and 54: what an identifier names is one thing."""
    objects: dict[str, int] = {}
    relations: dict[str, Fact] = {}
    for fact in instance.facts:
        if fact.kind in ("entity", "activity", "agent"):
            objects.setdefault(str(fact.id), fact.source)
    for fact in instance.facts:
        identity = instance.terms.find(fact.id)
        if fact.kind not in IDENTIFIED or not isinstance(identity, str):
            continue
        if identity in objects:
            detail = f"{names[identity]} is both an element and a relation"
            yield 54, detail, (objects[identity], fact.source)
        if fact.kind in DISJOINT:
            first = relations.setdefault(identity, fact)
            if first.kind != fact.kind:
                detail = f"{names[identity]} is both {first.kind} and {fact.kind}"
                yield 53, detail, (first.source, fact.source)


def _types(instance: Instance, names: dict[str, str]) -> Found:
    """Constraint 55, by the types that Constraint 50 gives."""
    types: dict[str, dict[str, int]] = {}
    for fact in instance.facts:
        if fact.kind in ("entity", "activity"):
            types.setdefault(str(fact.id), {}).setdefault(fact.kind, fact.source)
        for name, type_ in ROLES.get(fact.kind, {}).items():
            term = instance.value(fact, name)
            if isinstance(term, str) and term != PLACEHOLDER:
                types.setdefault(term, {}).setdefault(type_, fact.source)
    for uri, sources in types.items():
        if len(sources) == 2:
            yield 55, f"{names[uri]} is both an entity and an activity", tuple(sources.values())


def _empty_collections(instance: Instance, names: dict[str, str]) -> Found:
    """Constraint 56, with Inference 21: what specializes a thing has its attributes."""
    empty: dict[str, int] = {}
    for fact in instance.facts:
        if fact.kind == "entity" and _is_empty_collection(instance.statements[fact.source]):
            empty.setdefault(str(fact.id), fact.source)
    below: dict[str, list[str]] = {}
    for specific, general, _ in _specializations(instance):
        below.setdefault(general, []).append(specific)
    waiting = list(empty)
    while waiting:
        general = waiting.pop()
        for specific in below.get(general, ()):
            if specific not in empty:
                empty[specific] = empty[general]
                waiting.append(specific)
    for fact in instance.facts:
        if fact.kind == "hadMember" and (collection := str(fact.arguments["collection"])) in empty:
            detail = f"{names[collection]} is empty and has a member"
            yield 56, detail, (empty[collection], fact.source)


def _is_empty_collection(statement: Statement) -> bool:
    return any(
        datatype == QUALIFIED_NAME
        and statement.expand(name) == PREDEFINED["prov"] + "type"
        and statement.expand(value) == EMPTY_COLLECTION
        for name, value, datatype in statement.attributes
    )
