"""Answers about lineage for people and programs: JSON, a tree of text, Graphviz, SVG."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import networkx

from ledger.errors import UserError
from ledger.lineage import Answer, Edge, Node

SHAPES = {"entity": "ellipse", "activity": "box", "agent": "house", "": "ellipse"}
COLOURS = {"entity": "#fffc87", "activity": "#9fb1fc", "agent": "#fed37f", "": "#e8e8e8"}
"""Those of the W3C's own PROV diagrams."""
WORDS_MAX = 40
"""Characters of a label in a picture."""
BOX_WORDS_MAX = 30
"""Of one in a box of the layered layout."""
_DIGITS = re.compile(r"[0-9a-f]{32,}")
"""Names of commits and contents: who wants all of it finds it in the tooltip."""
_COLUMN, _ROW, _BOX_WIDTH, _BOX_HEIGHT = 250, 54, 190, 34
"""Pixels of the layered layout."""
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    'width="{width}" height="{height}" role="img" font-family="sans-serif">'
)
_ARROW_HEAD = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#777777"/></marker></defs>'
)


def as_document(answer: Answer, *, note: str = "") -> dict[str, Any]:
    """{"start", "nodes", "edges"}, by qualified names; the start is not among the nodes."""
    names = {node.uri: node.name for node in (answer.start, *answer.nodes)}
    found: dict[str, Any] = {
        "start": node_document(answer.start),
        "nodes": [node_document(node) for node in answer.nodes],
        "edges": [edge_document(edge, names) for edge in answer.edges],
    }
    return {**found, "note": note} if note else found


def node_document(node: Node) -> dict[str, Any]:
    """One thing."""
    return {
        "id": node.name,
        "uri": node.uri,
        "kind": node.kind,
        "label": node.label,
        "types": list(node.types),
        "times": node.times,
    }


def edge_document(edge: Edge, names: dict[str, str]) -> dict[str, Any]:
    """One relation, from the effect to what it rests on."""
    return {
        "from": names[edge.effect],
        "kind": edge.kind,
        "to": names[edge.cause],
        "role": edge.role,
        "time": edge.time,
    }


# --- text -----------------------------------------------------------------------------------------


def as_tree(answer: Answer, *, upstream: bool) -> Iterator[str]:
    """A line a thing, below what led to it in the walk; what was told above is only named."""
    names = {node.uri: node for node in (answer.start, *answer.nodes)}
    following: dict[str, list[tuple[Edge, str]]] = {}
    for edge in answer.edges:
        here, there = (edge.effect, edge.cause) if upstream else (edge.cause, edge.effect)
        following.setdefault(here, []).append((edge, there))
    told = {answer.start.uri}
    yield _line(answer.start)
    # A stack of its own: a lineage may be deeper than Python's.
    stack = [(each, 1) for each in reversed(following.get(answer.start.uri, []))]
    while stack:
        (edge, uri), depth = stack.pop()
        role = f" as {edge.role}" if edge.role else ""
        again = " (above)" if uri in told and following.get(uri) else ""
        yield f"{'  ' * depth}{edge.kind}{role}  {_line(names[uri])}{again}"
        if uri not in told:
            told.add(uri)
            stack += [(each, depth + 1) for each in reversed(following.get(uri, []))]
    for node in answer.nodes:
        if node.uri not in told:
            yield f"  ...  {_line(node)}"


def _line(node: Node) -> str:
    label = f"  {node.label!r}" if node.label else ""
    return f"{node.name} ({node.kind or 'unknown'}){label}"


# --- pictures -------------------------------------------------------------------------------------


def as_dot(answer: Answer) -> str:
    """The answer for Graphviz; arrows lead from an effect to what it rests on."""
    lines = ["digraph lineage {", '  rankdir="RL"; node [fontname="sans-serif", fontsize=11];']
    lines.append('  edge [fontname="sans-serif", fontsize=9, color="#555555"];')
    for node in (answer.start, *answer.nodes):
        width = 2 if node is answer.start else 1
        lines.append(
            f"  {_quoted(node.uri)} [label={_quoted(_title(node))}, style=filled, "
            f"shape={SHAPES[node.kind]}, fillcolor={_quoted(COLOURS[node.kind])}, "
            f"penwidth={width}, tooltip={_quoted(node.uri)}];"
        )
    for edge in answer.edges:
        label = f"{edge.kind} as {edge.role}" if edge.role else edge.kind
        lines.append(f"  {_quoted(edge.effect)} -> {_quoted(edge.cause)} [label={_quoted(label)}];")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _title(node: Node, length: int = WORDS_MAX) -> str:
    """The beginning of a label, which is a sentence; the end of a name, which is a path."""
    if node.label:
        words = node.label
        return words if len(words) <= length else f"{words[: length - 3]}..."
    words = _DIGITS.sub(lambda found: found[0][:7], node.name)
    return words if len(words) <= length else f"...{words[3 - length :]}"


def write_svg(answer: Answer, file: Path) -> None:
    """Draw the answer: by Graphviz where it is installed, else in layers.  Raises UserError."""
    text = _by_graphviz(as_dot(answer)) if shutil.which("dot") else in_layers(answer)
    write_text(file, text)


def write_text(file: Path, text: str) -> None:
    """Raises UserError where the file cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None


def _by_graphviz(dot: str) -> str:
    done = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dot could not draw it: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def in_layers(answer: Answer) -> str:
    """A picture in layers: an effect stands to the left of what it rests on."""
    places = _places(answer)
    width = max(x for x, _ in places.values()) + _BOX_WIDTH + 20
    height = max(y for _, y in places.values()) + _BOX_HEIGHT + 20
    title = escape(f"lineage of {answer.start.name}")
    lines = [
        _SVG.format(width=width, height=height),
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _ARROW_HEAD,
    ]
    lines += [_arrow(edge, places) for edge in answer.edges]
    for node in (answer.start, *answer.nodes):
        lines.append(_box(node, *places[node.uri], is_start=node is answer.start))
    return "\n".join([*lines, "</svg>", ""])


def _places(answer: Answer) -> dict[str, tuple[int, int]]:
    """The upper left corner of each thing's box: columns by rank, rows near their neighbours."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(node.uri for node in (answer.start, *answer.nodes))
    graph.add_edges_from((edge.effect, edge.cause) for edge in answer.edges)
    # What rests on itself, which statements may say, counts as one rank.
    whole = networkx.condensation(graph)
    rank: dict[str, int] = {}
    for place, layer in enumerate(networkx.topological_generations(whole)):
        for part in layer:
            rank.update(dict.fromkeys(whole.nodes[part]["members"], place))
    columns: dict[int, list[str]] = {}
    for uri in graph:
        columns.setdefault(rank[uri], []).append(uri)
    tallest = max(map(len, columns.values()))
    row: dict[str, float] = {}
    for place in sorted(columns):

        def wanted(uri: str) -> float:
            near = [row[other] for other in graph.predecessors(uri) if other in row]
            return sum(near) / len(near) if near else 0.0

        ordered = sorted(columns[place], key=wanted)
        # Every column stands in the middle of the picture's height.
        top = (tallest - len(ordered)) / 2
        row.update({uri: top + number for number, uri in enumerate(ordered)})
    return {uri: (10 + rank[uri] * _COLUMN, 10 + int(row[uri] * _ROW)) for uri in graph}


def _arrow(edge: Edge, places: dict[str, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[edge.effect], places[edge.cause]
    begin_x, begin_y, end_x, end_y = x1 + _BOX_WIDTH, y1 + 17, x2, y2 + 17
    middle = (begin_x + end_x) // 2
    told = escape(f"{edge.kind} as {edge.role}" if edge.role else edge.kind)
    return (
        f'<path d="M{begin_x},{begin_y} C{middle},{begin_y} {middle},{end_y} {end_x},{end_y}" '
        f'fill="none" stroke="#777777" marker-end="url(#tip)"><title>{told}</title></path>'
    )


def _box(node: Node, x: int, y: int, *, is_start: bool) -> str:
    rounding = {"activity": 0, "agent": 6}.get(node.kind, 17)
    title = _title(node, BOX_WORDS_MAX)
    return (
        f"<g><title>{escape(f'{node.kind} {node.name}')}</title>"
        f'<rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="{rounding}" '
        f'fill="{COLOURS[node.kind]}" stroke="#333333" stroke-width="{2 if is_start else 1}"/>'
        f'<text x="{x + _BOX_WIDTH // 2}" y="{y + 21}" font-size="11" text-anchor="middle">'
        f"{escape(title)}</text></g>"
    )
