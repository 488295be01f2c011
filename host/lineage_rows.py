"""A large answer about lineage as rows: a line a thing, with lanes to what it rests on, as
`git log --graph` and gitk show a history.

A picture of boxes is wider than any screen when a hundred things stand one behind another, and a
tree of text runs out of its margin.  Rows keep their words readable however many there are.  What
makes them few: an activity and what it made are one row, what somebody only took part in says so
in its row, and no lane is drawn where a longer way shows the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import networkx

from ledger.lineage import Answer, Edge, Node

LARGE = 60
"""Things beyond which an answer is told and drawn in rows."""
THINGS_MAX = 4_000
"""Nearest things of an answer that have a row; of a larger one, `--json` tells all."""
WORDS_MAX = 72
"""Characters of a label in a row."""
MADE_MAX = 3
"""Things that an activity made, named in its row."""
DIGITS = re.compile(r"[0-9a-f]{32,}")
"""Names of commits and contents."""
Ways: TypeAlias = dict[str, dict[str, Counter[str]]]
"""Row above -> row below -> kinds of relation between the two, counted; by the heads' URIs."""
_BEHIND_DIGITS = re.compile(r"^.*[0-9a-f]{32,}/")


@dataclass(slots=True)
class Row:
    """One line: a thing, or an activity with what it made."""

    head: Node
    made: tuple[Node, ...]
    line: tuple[Node, ...]
    """Those of the row that stand in one line of derivations with the start."""
    agents: tuple[Node, ...]
    """Who had a part in it and has a row without lanes."""
    parts: int = 0
    """Of an agent with a row without lanes, in how many rows it had a part."""
    lane: int = 0
    """The column of its dot."""
    ways: tuple[tuple[int, int, str], ...] = ()
    """(lane, row, relations) of each row further down that it is drawn to."""
    passing: tuple[int, ...] = ()
    """Lanes that lead past it or on from it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer laid out."""

    rows: tuple[Row, ...]
    """The start's first."""
    implied: int
    """Ways that are not drawn because longer ones show them."""
    backward: int
    """Ways that are not drawn because they close a circle."""
    left_out: int
    """Things further away than those that have a row."""


def is_large(answer: Answer) -> bool:
    """Whether rows tell more than a tree or a picture of boxes."""
    return len(answer.nodes) > LARGE


def lay_out(answer: Answer, *, upstream: bool) -> Rows:
    """The rows of an answer, so that every lane leads downwards from the start."""
    nodes = {node.uri: node for node in (answer.start, *answer.nodes[:THINGS_MAX])}
    edges = [e for e in answer.edges if e.effect in nodes and e.cause in nodes]
    aside = _aside(answer.start, nodes, edges) if upstream else {}
    head_of = _heads(nodes, edges)
    ways: Ways = {uri: {} for uri in head_of.values()}
    agents: dict[str, dict[str, Node]] = {uri: {} for uri in head_of.values()}
    for edge in edges:
        here, there = head_of[edge.effect], head_of[edge.cause]
        if edge.cause in aside:
            agents[here][edge.cause] = nodes[edge.cause]
        elif here != there:
            upper, lower = (here, there) if upstream else (there, here)
            ways[upper].setdefault(lower, Counter())[edge.kind] += 1
    order = [uri for uri in _in_order(ways) if uri not in aside] + list(aside)
    members: dict[str, list[Node]] = {}
    for uri, head in head_of.items():
        members.setdefault(head, []).append(nodes[uri])
    line = _line(answer.start.uri, edges, nodes, upstream=upstream)
    parts = Counter(agent for several in agents.values() for agent in several)
    rows = [
        Row(
            nodes[uri],
            tuple(node for node in members[uri] if node.uri != uri),
            tuple(node for node in members[uri] if node.uri in line),
            tuple(agents[uri].values()),
            parts[uri],
        )
        for uri in order
    ]
    place = {uri: number for number, uri in enumerate(order)}
    below = [sorted(place[other] for other in ways[uri] if place[other] > place[uri])
             for uri in order]  # fmt: skip
    drawn = _without_implied(below)
    _draw_lanes(rows, drawn, ways)
    forward = sum(map(len, below))
    return Rows(
        tuple(rows),
        implied=forward - sum(map(len, drawn)),
        backward=sum(map(len, ways.values())) - forward,
        left_out=len(answer.nodes) + 1 - len(nodes),
    )


def _aside(start: Node, nodes: dict[str, Node], edges: Iterable[Edge]) -> dict[str, Node]:
    """Agents that rest on nothing but agents: named where they had a part, told of at the end."""
    found = {uri: node for uri, node in nodes.items() if node.kind == "agent" and node is not start}
    for edge in edges:
        if edge.effect in found and nodes[edge.cause].kind != "agent":
            del found[edge.effect]
    return found


def _heads(nodes: dict[str, Node], edges: Iterable[Edge]) -> dict[str, str]:
    """By thing, whose row it stands in: that of the only activity that made it, or its own."""
    makers: dict[str, dict[str, None]] = {}
    for edge in edges:
        if edge.kind == "wasGeneratedBy" and nodes[edge.cause].kind == "activity":
            makers.setdefault(edge.effect, {})[edge.cause] = None
    return {
        uri: next(iter(made)) if len(made := makers.get(uri, {})) == 1 else uri for uri in nodes
    }


def _line(
    start: str, edges: Iterable[Edge], nodes: dict[str, Node], *, upstream: bool
) -> dict[str, None]:
    """The start, and the entities that derivations lead to from it."""
    near: dict[str, list[str]] = {}
    for edge in edges:
        if edge.kind == "wasDerivedFrom" and nodes[edge.cause].kind != "activity":
            here, there = (edge.effect, edge.cause) if upstream else (edge.cause, edge.effect)
            near.setdefault(here, []).append(there)
    found = {start: None}
    waiting = [start]
    while waiting:
        for uri in near.get(waiting.pop(), ()):
            if uri not in found:
                found[uri] = None
                waiting.append(uri)
    return found


def _in_order(ways: Ways) -> Iterator[str]:
    """Each row after all that lead to it, and those of one chain together, as git orders commits.

    What rests on itself, which statements may say, stands together.
    """
    graph = networkx.DiGraph()
    graph.add_nodes_from(ways)
    graph.add_edges_from((above, below) for above, several in ways.items() for below in several)
    whole = networkx.condensation(graph)
    place = {uri: number for number, uri in enumerate(ways)}
    missing = dict(whole.in_degree())

    def first(part: int) -> int:
        return min(place[uri] for uri in whole.nodes[part]["members"])

    ready = sorted((part for part in whole if not missing[part]), key=first, reverse=True)
    while ready:
        part = ready.pop()
        yield from sorted(whole.nodes[part]["members"], key=place.__getitem__)
        for other in sorted(whole.successors(part), key=first):
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)


def _draw_lanes(rows: list[Row], drawn: list[list[int]], ways: Ways) -> None:
    """Give each row its lanes; all ways to one row share one."""
    lanes: list[int | None] = []
    for number, row in enumerate(rows):
        row.lane = _lane_of(lanes, number)
        lanes[row.lane] = None
        found = []
        for target in drawn[number]:
            if target not in lanes:
                free = row.lane if lanes[row.lane] is None else _lane_of(lanes, None)
                lanes[free] = target
            told = ways[row.head.uri][rows[target].head.uri]
            kinds = ", ".join(f"{kind} ({count})" if count > 1 else kind
                              for kind, count in told.items())  # fmt: skip
            found.append((lanes.index(target), target, kinds))
        row.ways = tuple(found)
        row.passing = tuple(lane for lane, target in enumerate(lanes) if target is not None)


def _lane_of(lanes: list[int | None], target: int | None) -> int:
    """Where the lane to a row is; a free one where there is none."""
    for wanted in (target, None):
        if wanted in lanes:
            return lanes.index(wanted)
    lanes.append(None)
    return len(lanes) - 1


def _without_implied(below: list[list[int]]) -> list[list[int]]:
    """The transitive reduction, where every way leads to a higher number; nearest ones first."""
    reached = [0] * len(below)
    """By row, a bit for each that can be reached from it, and for itself."""
    drawn: list[list[int]] = [[] for _ in below]
    for number in reversed(range(len(below))):
        far = 0
        for target in below[number]:
            if not far >> target & 1:
                drawn[number].append(target)
                far |= reached[target]
        reached[number] = far | 1 << number
    return drawn


# --- words ----------------------------------------------------------------------------------------


def title(node: Node, length: int = WORDS_MAX) -> str:
    """The beginning of a label, which is a sentence; the end of a name, which is a path."""
    if node.label:
        words = node.label
        return words if len(words) <= length else f"{words[: length - 3]}..."
    words = DIGITS.sub(lambda found: found[0][:7], node.name)
    return words if len(words) <= length else f"...{words[3 - length :]}"


def _short(node: Node) -> str:
    """A name without the commit or content that it begins with, where the row names that."""
    path = _BEHIND_DIGITS.sub("", node.name)
    return node.label or (path if path and path != node.name else title(node))


class Words(NamedTuple):
    """What there is to say of a row."""

    line: str
    """Names of those in one line of derivations with the start, without the row's head."""
    head: str
    more: str


def words_of(row: Row, *, agents: bool) -> Words:
    """The words of a row; with agents, also who had a part in it."""
    more = []
    if row.head.times:
        more.append(row.head.times[-1][:19])
    if agents and row.agents:
        word = "for" if row.head.kind == "agent" else "by"
        more.append(f"{word} {_listed([title(agent) for agent in row.agents])}")
    if row.parts:
        more.append(f"in {row.parts:,} rows" if row.parts > 1 else "in 1 row")
    line = [node.uri for node in row.line]
    others = [_short(node) for node in row.made if node.uri not in line]
    if others:
        more.append(f"made {_listed(others)}")
    names = ", ".join(_short(node) for node in row.line if node.uri != row.head.uri)
    return Words(names, title(row.head), "  ".join(more))


def _listed(names: list[str]) -> str:
    rest = len(names) - MADE_MAX
    shown = ", ".join(names[:MADE_MAX])
    return f"{shown} and {rest} more" if rest > 0 else shown


def names_agents(rows: Rows) -> bool:
    """Whether rows say who had a part in them: not where that is one and the same everywhere."""
    named = {tuple(agent.uri for agent in row.agents)
             for row in rows.rows if row.agents and row.head.kind != "agent"}  # fmt: skip
    return len(named) > 1


def as_lines(rows: Rows) -> Iterator[str]:
    """The rows as text, the lanes in box-drawing characters."""
    agents = names_agents(rows)
    before: frozenset[int] = frozenset()
    for row in rows.rows:
        words = words_of(row, agents=agents)
        # By the label for people, and in full by the name that the next question takes.
        label = words.head if row.head.label else ""
        more = f"[{words.more}]" if words.more else ""
        told = (_graph(row, before), words.line, label, row.head.name, more)
        yield "  ".join(part for part in told if part)
        before = frozenset(row.passing)
    yield from notes(rows)


def notes(rows: Rows) -> Iterator[str]:
    """What the rows do not show."""
    if rows.implied:
        yield f"not drawn, since longer ways show the same: {rows.implied:,} links"
    if rows.backward:
        yield f"not drawn, since they close a circle: {rows.backward:,} links"
    if rows.left_out:
        yield f"left out, the furthest away: {rows.left_out:,} things"


_MARKS = {"entity": "o", "activity": "*", "agent": "@", "": "?"}


def _graph(row: Row, before: frozenset[int]) -> str:
    """The lanes of one row: which end here, pass by, and begin."""
    joined = {lane for lane, _, _ in row.ways} - {row.lane}
    low, high = min({row.lane, *joined}), max({row.lane, *joined})
    cells = []
    for lane in range(max({row.lane, *row.passing, *before}) + 1):
        if lane == row.lane:
            mark = _MARKS[row.head.kind]
        elif lane in joined:
            mark = _joint(is_old=lane in before, is_last=lane in (low, high), left=lane < row.lane)
        elif lane in row.passing:
            mark = "│"
        else:
            mark = "─" if low < lane < high else " "
        cells.append(mark + ("─" if low <= lane < high else " "))
    return "".join(cells).rstrip()


def _joint(*, is_old: bool, is_last: bool, left: bool) -> str:
    """Where a way meets its lane: one that was there, or one that begins."""
    if not is_last:
        return "┼" if is_old else "┬"
    if left:
        return "├" if is_old else "┌"
    return "┤" if is_old else "┐"
