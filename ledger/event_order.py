"""The order of events that PROV statements imply, and the cycles in it that cannot be.

    generation(e), invalidation(e), start(a), end(a)    one node each: all generations of an entity
                                                        happen at once (Constraints 39, 40, 31, 32)
    usage                                               a node each

Every constraint from 30 to 49 is an edge "precedes"; that of a derivation between the generations
of its entities (42) alone is strict.  An instance is valid unless a strict edge lies on a cycle.
Times are not compared: clocks differ, and the Recommendation leaves them out of the order.  An
event exists where a statement says or implies so: an entity has its generation and invalidation
(Inference 7), an activity its start and end (8); 9, 10, 11, 13 and 14 are applied too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger.unification import PLACEHOLDER, Fact, Instance, Term

Node = tuple[str, Term]
GENERATION, INVALIDATION, START, END, USAGE = "generation", "invalidation", "start", "end", "usage"


@dataclass(frozen=True, slots=True)
class Edge:
    """One event precedes another."""

    before: Node
    after: Node
    constraint: int
    is_strict: bool
    source: int
    """Index of the statement that says so; -1 for what holds of every entity and activity."""


@dataclass(slots=True)
class EventOrder:
    """The graph of one instance, whose facts have been merged."""

    instance: Instance
    nodes: dict[Node, int] = field(default_factory=dict)
    """Event to the statement from which it follows that it happened."""
    edges: list[Edge] = field(default_factory=list)

    @classmethod
    def of(cls, instance: Instance) -> EventOrder:
        order = cls(instance)
        for fact in instance.facts:
            for node in order._events(fact):
                order.nodes.setdefault(node, fact.source)
        for node in list(order.nodes):
            if node[0] == GENERATION:
                order._precedes(node, (INVALIDATION, node[1]), 36, -1)
            elif node[0] == START:
                order._precedes(node, (END, node[1]), 30, -1)
        for fact in instance.facts:
            for before, after, constraint in order._orderings(fact):
                order._precedes(before, after, constraint, fact.source)
        return order

    def _precedes(self, before: Node, after: Node, constraint: int, source: int) -> None:
        if before in self.nodes and after in self.nodes:
            self.edges.append(Edge(before, after, constraint, constraint == 42, source))

    def _events(self, fact: Fact) -> Iterator[Node]:
        value = self.instance.value
        match fact.kind:
            case "entity":
                yield (GENERATION, fact.id)
                yield (INVALIDATION, fact.id)
            case "activity":
                yield (START, fact.id)
                yield (END, fact.id)
            case "used":
                yield (USAGE, self.instance.terms.find(fact.id))
            case "wasGeneratedBy" | "wasAttributedTo":
                yield (GENERATION, value(fact, "entity"))
            case "wasInvalidatedBy":
                yield (INVALIDATION, value(fact, "entity"))
            case "wasStartedBy":
                yield (START, value(fact, "activity"))
                yield (GENERATION, value(fact, "trigger"))
            case "wasEndedBy":
                yield (END, value(fact, "activity"))
                yield (GENERATION, value(fact, "trigger"))

    def _orderings(self, fact: Fact) -> Iterator[tuple[Node, Node, int]]:
        """(before, after, constraint) of everything that a fact says about order."""

        def at(event: str, name: str) -> Node:
            return (event, self.instance.value(fact, name))

        match fact.kind:
            case "used":
                usage = (USAGE, self.instance.terms.find(fact.id))
                yield at(START, "activity"), usage, 33
                yield usage, at(END, "activity"), 33
                yield at(GENERATION, "entity"), usage, 37
                yield usage, at(INVALIDATION, "entity"), 38
            case "wasGeneratedBy":
                yield at(START, "activity"), at(GENERATION, "entity"), 34
                yield at(GENERATION, "entity"), at(END, "activity"), 34
            case "wasInformedBy":
                yield at(START, "informant"), at(END, "informed"), 35
            case "wasDerivedFrom":
                if fact.arguments["activity"] != PLACEHOLDER:
                    yield at(USAGE, "usage"), at(GENERATION, "generatedEntity"), 41
                yield at(GENERATION, "usedEntity"), at(GENERATION, "generatedEntity"), 42
            case "wasStartedBy":
                yield from self._triggered(fact, START, "starter", 43)
            case "wasEndedBy":
                yield from self._triggered(fact, END, "ender", 44)
            case "specializationOf" | "mentionOf":
                yield at(GENERATION, "generalEntity"), at(GENERATION, "specificEntity"), 45
                yield at(INVALIDATION, "specificEntity"), at(INVALIDATION, "generalEntity"), 46
            case "wasAssociatedWith":
                yield from self._associated(fact, "agent")
            case "wasAttributedTo":
                yield at(GENERATION, "agent"), at(GENERATION, "entity"), 48
                yield at(START, "agent"), at(GENERATION, "entity"), 48
            case "actedOnBehalfOf":
                yield at(GENERATION, "responsible"), at(INVALIDATION, "delegate"), 49
                yield at(START, "responsible"), at(END, "delegate"), 49
                # Inference 14: both are associated with the activity.
                yield from self._associated(fact, "delegate")
                yield from self._associated(fact, "responsible")

    def _triggered(
        self, fact: Fact, event: str, by: str, constraint: int
    ) -> Iterator[tuple[Node, Node, int]]:
        value = self.instance.value
        happened = (event, value(fact, "activity"))
        trigger, cause = value(fact, "trigger"), value(fact, by)
        yield (GENERATION, trigger), happened, constraint
        yield happened, (INVALIDATION, trigger), constraint
        # Inferences 9 and 10: that activity generated the trigger.
        yield (START, cause), (GENERATION, trigger), 34
        yield (GENERATION, trigger), (END, cause), 34

    def _associated(self, fact: Fact, name: str) -> Iterator[tuple[Node, Node, int]]:
        activity, agent = self.instance.value(fact, "activity"), self.instance.value(fact, name)
        yield (START, activity), (INVALIDATION, agent), 47
        yield (GENERATION, agent), (END, activity), 47
        yield (START, activity), (END, agent), 47
        yield (START, agent), (END, activity), 47

    def impossible(self) -> list[list[Edge]]:
        """A shortest cycle through a strict edge, of every knot of events that has one."""
        after: dict[Node, list[Edge]] = {}
        for edge in self.edges:
            after.setdefault(edge.before, []).append(edge)
        knots = knots_of({node: [edge.after for edge in edges] for node, edges in after.items()})
        found = []
        told: set[int] = set()
        for edge in self.edges:
            knot = knots.get(edge.before, -1)
            if not edge.is_strict or knots.get(edge.after, -2) != knot or knot in told:
                continue
            told.add(knot)
            found.append([edge, *_way(edge.after, edge.before, after)])
        return found


def knots_of(after: dict[Node, list[Node]]) -> dict[Node, int]:
    """The number of the strongly connected component of each node (Tarjan, SIAM J. Comput. 1972).

    Without recursion: a lineage may be deeper than the interpreter's stack.
    """
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    component: dict[Node, int] = {}
    open_nodes: list[Node] = []
    for root in after:
        if root in index:
            continue
        work = [(root, iter(after[root]))]
        index[root] = low[root] = len(index)
        open_nodes.append(root)
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    open_nodes.append(successor)
                    work.append((successor, iter(after.get(successor, ()))))
                    break
                if successor not in component:
                    low[node] = min(low[node], index[successor])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    number = index[node]
                    while True:
                        member = open_nodes.pop()
                        component[member] = number
                        if member == node:
                            break
    return component


def _way(start: Node, goal: Node, after: dict[Node, list[Edge]]) -> list[Edge]:
    """A shortest way; there is one."""
    if start == goal:
        return []
    came: dict[Node, Edge | None] = {start: None}
    waiting = deque([start])
    while goal not in came:
        for edge in after.get(waiting.popleft(), ()):
            if edge.after not in came:
                came[edge.after] = edge
                waiting.append(edge.after)
    way: list[Edge] = []
    node = goal
    while (step := came[node]) is not None:
        way.append(step)
        node = step.before
    return way[::-1]
