"""Lineage: what led to a thing, and what came of it, asked of PROV statements.

An *edge* leads from an effect to what it rests on, in the words of PROV-DM (W3C Recommendation of
30 April 2013, section 5):

    wasGeneratedBy     entity -> activity        used               activity -> entity
    wasDerivedFrom     entity -> entity          wasInformedBy      activity -> activity
    wasStartedBy       activity -> trigger, starter                 the same for wasEndedBy
    wasAttributedTo    entity -> agent           wasAssociatedWith  activity -> agent, plan
    actedOnBehalfOf    delegate -> responsible   wasInfluencedBy    influencee -> influencer
    hadMember          collection -> member      specializationOf, mentionOf   specific -> general

Where PROV leaves a choice: what invalidated a thing did not lead to it, and alternates are neither
cause nor effect of one another, so both stand in `history` and not in `trace`.  The activity that a
derivation names is an edge of its own from the generated entity.  Statements in bundles count like
all others.  Nothing here is a proof: a list of statements cannot show that it is complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.applications.provenance import ELEMENTS, QUALIFIED_NAME, Statement
from ledger.applications.provenance_index import EDGES as EDGES
from ledger.applications.provenance_index import REVISION as REVISION
from ledger.applications.provenance_index import is_revision
from ledger.errors import Fault

ARGUMENT_KINDS = {
    "activity": "activity", "informed": "activity", "informant": "activity",
    "starter": "activity", "ender": "activity", "agent": "agent", "delegate": "agent",
    "responsible": "agent", "influencee": "", "influencer": "", "generation": "", "usage": "",
}  # fmt: skip
"""What a thing in this argument is, where it is no entity; "" where PROV does not say."""
SAME = ("specializationOf", "mentionOf")
"""Kinds of edge between two views of one thing."""
PROV = "http://www.w3.org/ns/prov#"


class Edge(NamedTuple):
    """One relation, from an effect to what it rests on, by URI."""

    effect: str
    kind: str
    cause: str
    role: str
    """Its prov:role, as it was written; empty without one."""
    time: str
    """When it happened, as it was written; empty where it is not said."""


@dataclass(slots=True)
class Node:
    """A thing that statements speak of."""

    uri: str
    name: str
    """Qualified name, as it was written first."""
    kind: str = ""
    """entity, activity or agent; empty where nobody says."""
    label: str = ""
    types: dict[str, None] = field(default_factory=dict)
    """Its prov:type values, as they were written and as URIs."""
    times: list[str] = field(default_factory=list)
    """startTime and endTime of an activity, as far as they are said."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which nodes of an answer are shown; the walk goes through the others all the same."""

    types: tuple[str, ...] = ()
    """entity, activity, agent, or a prov:type by its name or URI: any of these."""
    role: str = ""
    """Shown is what stands in this role to something, or has something in it."""
    agent: str = ""
    """By URI: shown is what this agent, or who acted for it, was associated with or credited."""
    after: str = ""
    before: str = ""
    """Shown is what has a time in this range (ISO 8601; what has no time is not shown)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Some nodes, and the edges between them."""

    start: Node
    nodes: tuple[Node, ...]
    """In the order in which the walk found them, the start not among them."""
    edges: tuple[Edge, ...]
    """Between nodes of the answer and the start."""


class Lineage:
    """All that some statements say, indexed both ways."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.nodes: dict[str, Node] = {}
        self._by_name: dict[str, dict[str, None]] = {}
        self._causes: dict[str, list[Edge]] = {}
        self._effects: dict[str, list[Edge]] = {}
        self._edges: dict[Edge, None] = {}
        self._alternates: dict[str, dict[str, None]] = {}
        self._older: dict[str, dict[str, None]] = {}
        """What a thing is a revision of."""
        self._newer: dict[str, dict[str, None]] = {}
        for statement in statements:
            self._add(statement)

    # --- building ---------------------------------------------------------------------------------

    def _add(self, statement: Statement) -> None:
        if statement.kind in ELEMENTS:
            self._element(statement)
            return
        arguments = dict(statement.arguments)
        ends = {name: self._node(statement, value, ARGUMENT_KINDS.get(name, "entity")).uri
                for name, value in arguments.items() if _is_thing(name)}  # fmt: skip
        if statement.kind == "alternateOf":
            one, other = ends["alternate1"], ends["alternate2"]
            self._alternates.setdefault(one, {})[other] = None
            self._alternates.setdefault(other, {})[one] = None
        effect, causes = EDGES.get(statement.kind, ("", ()))
        if effect not in ends:
            return
        role = _attribute(statement, "role")
        time = arguments.get("time", "")
        for cause in causes:
            if cause in ends:
                self._edge(Edge(ends[effect], statement.kind, ends[cause], role, time))
        if is_revision(statement):
            new, old = ends["generatedEntity"], ends["usedEntity"]
            self._older.setdefault(new, {})[old] = None
            self._newer.setdefault(old, {})[new] = None

    def _edge(self, edge: Edge) -> None:
        if edge not in self._edges:
            self._edges[edge] = None
            self._causes.setdefault(edge.effect, []).append(edge)
            self._effects.setdefault(edge.cause, []).append(edge)

    def _element(self, statement: Statement) -> None:
        node = self._node(statement, statement.identifier, statement.kind)
        node.types.update(dict.fromkeys(_types(statement)))
        node.label = node.label or _attribute(statement, "label")
        node.times += [value for name, value in statement.arguments if name.endswith("Time")]

    def _node(self, statement: Statement, name: str, kind: str) -> Node:
        uri = statement.expand(name)
        node = self.nodes.setdefault(uri, Node(uri, name))
        node.kind = node.kind or kind
        self._by_name.setdefault(name, {})[uri] = None
        return node

    # --- asking -----------------------------------------------------------------------------------

    def find(self, name: str) -> Node:
        """The thing with this qualified name or URI.

        Raises Fault("lineage.unknown") where nothing is said of it, and Fault("lineage.ambiguous")
        where the name stands for several things.
        """
        if name in self.nodes:
            return self.nodes[name]
        found = list(self._by_name.get(name, ()))
        if not found:
            raise Fault("lineage.unknown", f"no statement names {name}")
        if len(found) > 1:
            raise Fault("lineage.ambiguous", f"{name} may be {' or '.join(found)}: give the URI")
        return self.nodes[found[0]]

    def trace(
        self,
        name: str,
        *,
        upstream: bool = True,
        depth: int | None = None,
        until: Sequence[str] = (),
        shown: Filter = Filter(),
    ) -> Answer:
        """What led to a thing, or with upstream False what came of it, nearest first.

        The walk takes at most `depth` edges.  Of the things in `until` nothing is shown that lies
        beyond them, whichever way leads there.  Raises Fault as `find` does.
        """
        start = self.find(name)
        beyond: dict[str, int] = {}
        for each in until:
            end = self.find(each).uri
            beyond |= {uri: 0 for uri in self._walk(end, upstream=upstream) if uri != end}
        steps = self._walk(start.uri, upstream=upstream, depth=depth, closed=beyond)
        return self._answer(start, steps, shown)

    def _walk(
        self, start: str, *, upstream: bool, depth: int | None = None, closed: Container[str] = ()
    ) -> dict[str, int]:
        """Everything within reach, nearest first, with the edges that it takes to get there."""
        steps = {start: 0}
        waiting = deque([start])
        while waiting:
            uri = waiting.popleft()
            if depth is not None and steps[uri] >= depth:
                continue
            for edge in (self._causes if upstream else self._effects).get(uri, ()):
                following = edge.cause if upstream else edge.effect
                if following not in steps and following not in closed:
                    steps[following] = steps[uri] + 1
                    waiting.append(following)
        return steps

    def between(self, first: str, second: str) -> Answer:
        """Everything on some way from one thing to the other, whichever of them came first."""
        one, other = self.find(first), self.find(second)
        for late, early in ((one, other), (other, one)):
            above = self.trace(late.uri)
            if any(node.uri == early.uri for node in above.nodes):
                below = {node.uri for node in self.trace(early.uri, upstream=False).nodes}
                way = [node.uri for node in above.nodes if node.uri in below or node is early]
                return self._answer(late, dict.fromkeys((late.uri, *way), 0), Filter())
        return Answer(one, (), ())

    def history(self, name: str) -> tuple[Node, ...]:
        """The versions of a thing, it included, earlier ones first.

        Versions are what revisions (wasDerivedFrom of type prov:Revision), specializations and
        alternates connect.  Versions of which none came before the other keep the ledger's order.
        """
        start = self.find(name)
        group = {start.uri: None}
        waiting = [start.uri]
        while waiting:
            for near in self._versions_near(waiting.pop()):
                if near not in group:
                    group[near] = None
                    waiting.append(near)
        order = {uri: place for place, uri in enumerate(self.nodes)}
        rank = self._ranks(group)
        return tuple(self.nodes[uri] for uri in sorted(group, key=lambda u: (rank[u], order[u])))

    def _ranks(self, group: Iterable[str]) -> dict[str, int]:
        """By version, the most revisions in a row that lead to it; of circles, an end is made."""
        rank = dict.fromkeys(group, 0)
        for _ in rank:  # As many rounds as there can be revisions in a row.
            before = rank.copy()
            for old in rank:
                for new in self._newer.get(old, ()):
                    rank[new] = min(max(rank[new], rank[old] + 1), len(rank))
            if rank == before:
                break
        return rank

    def _versions_near(self, uri: str) -> list[str]:
        near = list(self._alternates.get(uri, ()))
        near += [edge.cause for edge in self._causes.get(uri, ()) if edge.kind in SAME]
        near += [edge.effect for edge in self._effects.get(uri, ()) if edge.kind in SAME]
        return [*near, *self._older.get(uri, ()), *self._newer.get(uri, ())]

    def who(self, name: str) -> Answer:
        """Who is responsible: agents credited with a thing or with what made it, and on whose
        behalf they acted."""
        start = self.find(name)
        steps = {start.uri: 0}
        makers = [e for e in self._causes.get(start.uri, ()) if e.kind in _MADE]
        for edge in makers:
            if self.nodes[edge.cause].kind == "activity":
                steps[edge.cause] = 1
        for uri in list(steps):
            for edge in self._causes.get(uri, ()):
                if edge.kind in _CREDITED and self.nodes[edge.cause].kind == "agent":
                    steps.setdefault(edge.cause, 2)
        for uri in steps.copy():
            if self.nodes[uri].kind == "agent":
                for node in self._on_behalf_of(uri):
                    steps.setdefault(node, 3)
        return self._answer(start, steps, Filter())

    def _on_behalf_of(self, agent: str) -> list[str]:
        found = {agent: None}
        waiting = [agent]
        while waiting:
            for edge in self._causes.get(waiting.pop(), ()):
                if edge.kind == "actedOnBehalfOf" and edge.cause not in found:
                    found[edge.cause] = None
                    waiting.append(edge.cause)
        return list(found)

    def difference(self, first: str, second: str) -> dict[str, tuple[list[Edge], list[Edge]]]:
        """By kind of edge, what stands at the first thing alone, and at the second alone.

        Meant for two activities: what they used, who took part, which plan; and what they made.
        """
        one, other = self._around(first), self._around(second)
        kinds = dict.fromkeys((*one, *other))
        found = {}
        for kind in kinds:
            ours, theirs = one.get(kind, {}), other.get(kind, {})
            alone = [edge for key, edge in ours.items() if key not in theirs]
            others = [edge for key, edge in theirs.items() if key not in ours]
            if alone or others:
                found[kind] = (alone, others)
        return found

    def _around(self, name: str) -> dict[str, dict[tuple[str, str], Edge]]:
        uri = self.find(name).uri
        around: dict[str, dict[tuple[str, str], Edge]] = {}
        for edge in self._causes.get(uri, ()):
            around.setdefault(edge.kind, {})[edge.cause, edge.role] = edge
        for edge in self._effects.get(uri, ()):
            around.setdefault(edge.kind, {})[edge.effect, edge.role] = edge
        return around

    # --- answers ----------------------------------------------------------------------------------

    def _answer(self, start: Node, steps: dict[str, int], shown: Filter) -> Answer:
        inside = [edge for edge in self._edges if edge.effect in steps and edge.cause in steps]
        keep = {uri for uri in steps if uri == start.uri or self._is_shown(uri, inside, shown)}
        return Answer(
            start,
            tuple(self.nodes[uri] for uri in steps if uri in keep and uri != start.uri),
            tuple(edge for edge in inside if edge.effect in keep and edge.cause in keep),
        )

    def _is_shown(self, uri: str, inside: list[Edge], shown: Filter) -> bool:
        if shown == Filter():
            return True
        node = self.nodes[uri]
        touching = [edge for edge in inside if uri in (edge.effect, edge.cause)]
        if shown.types and not {node.kind, *node.types} & set(shown.types):
            return False
        if shown.role and shown.role not in {edge.role for edge in touching}:
            return False
        if shown.agent and not self._is_of(uri, shown.agent):
            return False
        if not (shown.after or shown.before):
            return True
        times = [*node.times, *(edge.time for edge in touching if edge.time)]
        return any((not shown.after or time >= shown.after)
                   and (not shown.before or time <= shown.before) for time in times)  # fmt: skip

    def _is_of(self, uri: str, agent: str) -> bool:
        """Whether this agent, or one that acted on its behalf, was credited with a thing."""
        credited = [e.cause for e in self._causes.get(uri, ()) if e.kind in _CREDITED]
        return uri == agent or any(agent in self._on_behalf_of(each) for each in credited)


_MADE = ("wasGeneratedBy", "wasDerivedFrom")
_CREDITED = ("wasAttributedTo", "wasAssociatedWith")


def _is_thing(argument: str) -> bool:
    return not argument.lower().endswith("time")


def _attribute(statement: Statement, local: str) -> str:
    for name, value, _ in statement.attributes:
        if statement.expand(name) == PROV + local:
            return value
    return ""


def _types(statement: Statement) -> list[str]:
    """Its prov:type values, as written, and as URIs where they are names."""
    found = []
    for name, value, datatype in statement.attributes:
        if statement.expand(name) == PROV + "type":
            found.append(value)
            if datatype == QUALIFIED_NAME:
                found.append(statement.expand(value))
    return found
