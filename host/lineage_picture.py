"""Pictures of answers about lineage: a small one in boxes, by Graphviz or in layers; a large one in
rows (`host.lineage_rows`)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path

import networkx

from host.lineage_rows import Row, Rows, is_large, lay_out, names_agents, notes, title, words_of
from ledger.errors import UserError
from ledger.lineage import Answer, Edge, Node

SHAPES = {"entity": "ellipse", "activity": "box", "agent": "house", "": "ellipse"}
COLOURS = {"entity": "#fffc87", "activity": "#9fb1fc", "agent": "#fed37f", "": "#e8e8e8"}
"""Those of the W3C's own PROV diagrams."""
WORDS_MAX = 40
"""Characters of a label in a picture."""
BOX_WORDS_MAX = 30
"""Of one in a box of the layered layout."""
_COLUMN, _ROW, _BOX_WIDTH, _BOX_HEIGHT = 250, 54, 190, 34
"""Pixels of the layered layout."""
_LANE, _LINE, _TOP, _LETTER = 14, 22, 52, 7
"""Pixels of the rows: between two lanes, between two rows, above the first, and of a letter."""
_LANE_COLOURS = ("#4269d0", "#c9660e", "#3ca951", "#ff5a6e", "#8a6fdf", "#2a9d9d", "#9c6b4e")
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    'width="{width}" height="{height}" role="img" font-family="sans-serif">'
)
_ARROW_HEAD = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#777777"/></marker></defs>'
)


def write_svg(answer: Answer, file: Path, *, upstream: bool) -> None:
    """Draw the answer: a large one in rows; else by Graphviz where it is installed, or in layers.

    Raises UserError.
    """
    if is_large(answer):
        text = in_rows(answer, upstream=upstream)
    else:
        text = _by_graphviz(as_dot(answer)) if shutil.which("dot") else in_layers(answer)
    write_text(file, text)


def write_text(file: Path, text: str) -> None:
    """Raises UserError where the file cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None


# --- Graphviz -------------------------------------------------------------------------------------


def as_dot(answer: Answer) -> str:
    """The answer for Graphviz; arrows lead from an effect, on the left, to what it rests on."""
    lines = ["digraph lineage {", '  rankdir="LR"; node [fontname="sans-serif", fontsize=11];']
    lines.append('  edge [fontname="sans-serif", fontsize=9, color="#555555"];')
    for node in (answer.start, *answer.nodes):
        width = 2 if node is answer.start else 1
        lines.append(
            f"  {_quoted(node.uri)} [label={_quoted(title(node, WORDS_MAX))}, style=filled, "
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


def _by_graphviz(dot: str) -> str:
    done = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dot could not draw it: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


# --- layers ---------------------------------------------------------------------------------------


def in_layers(answer: Answer) -> str:
    """A picture in layers: an effect stands to the left of what it rests on."""
    places = _places(answer)
    width = max(x for x, _ in places.values()) + _BOX_WIDTH + 20
    height = max(y for _, y in places.values()) + _BOX_HEIGHT + 20
    lines = [*_begin(answer, width, height), _ARROW_HEAD]
    lines += [_arrow(edge, places) for edge in answer.edges]
    for node in (answer.start, *answer.nodes):
        lines.append(_box(node, *places[node.uri], is_start=node is answer.start))
    return "\n".join([*lines, "</svg>", ""])


def _begin(answer: Answer, width: int, height: int) -> list[str]:
    return [
        _SVG.format(width=width, height=height),
        f"<title>{escape(f'lineage of {answer.start.name}')}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]


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
    return (
        f"<g><title>{escape(f'{node.kind} {node.name}')}</title>"
        f'<rect x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="{rounding}" '
        f'fill="{COLOURS[node.kind]}" stroke="#333333" stroke-width="{2 if is_start else 1}"/>'
        f'<text x="{x + _BOX_WIDTH // 2}" y="{y + 21}" font-size="11" text-anchor="middle">'
        f"{escape(title(node, BOX_WORDS_MAX))}</text></g>"
    )


# --- rows -----------------------------------------------------------------------------------------


def in_rows(answer: Answer, *, upstream: bool) -> str:
    """A picture in rows, the start's first, to be read at full size and scrolled through."""
    laid = lay_out(answer, upstream=upstream)
    agents = names_agents(laid)
    lines = []
    width = 900
    below: dict[int, tuple[int, int]] = {}
    """Lane -> (row that it leads to, row where it begins)."""
    for number, row in enumerate(laid.rows):
        for lane, target, kinds in row.ways:
            begins = below.get(lane, (-1, -1))[0] != target
            lines.append(_way(row.lane, lane, number, target if begins else number + 1, kinds))
            below[lane] = (target, number)
    edge = 0
    for number, row in enumerate(laid.rows):
        # A row's words begin right of the lanes that pass it, and of those that bend towards them.
        edge, here = max((row.lane, *row.passing)), max((edge, row.lane, *row.passing))
        words, end = _words(row, number, here, agents=agents)
        lines.append(words)
        width = max(width, end)
    height = _TOP + len(laid.rows) * _LINE + 20
    head = _head(answer, laid, upstream=upstream)
    return "\n".join([*_begin(answer, width, height), *head, *lines, "</svg>", ""])


def _head(answer: Answer, laid: Rows, *, upstream: bool) -> Iterator[str]:
    way = "led to" if upstream else "came of"
    count = f"{len(answer.nodes):,} things in {len(laid.rows):,} rows"
    first = f"What {way} {title(answer.start)}: {count}"
    hints = ("bold: in one line of derivations with it", "hover for names and relations")
    second = "; ".join((*hints, *notes(laid)))
    yield f'<text x="10" y="20" font-size="14" font-weight="bold">{escape(first)}</text>'
    yield f'<text x="10" y="38" font-size="11" fill="#666666">{escape(second)}</text>'


def _way(here: int, lane: int, row: int, target: int, kinds: str) -> str:
    """From a dot into a lane, and down it."""
    x1, x2 = _x(here), _x(lane)
    y1, y2, end = _y(row), _y(row + 1), _y(target)
    colour = _LANE_COLOURS[lane % len(_LANE_COLOURS)]
    bend = f"C{x1},{y1 + _LINE // 2} {x2},{y2 - _LINE // 2} {x2},{y2}" if x1 != x2 else ""
    return (
        f'<path d="M{x1},{y1} {bend} V{end}" fill="none" stroke="{colour}" stroke-width="1.5">'
        f"<title>{escape(kinds)}</title></path>"
    )


def _words(row: Row, number: int, edge: int, *, agents: bool) -> tuple[str, int]:
    """(the dot and the words of a row, where they end)."""
    said = words_of(row, agents=agents)
    told = "\n".join(f"{node.kind} {node.name}" for node in (row.head, *row.made))
    x, y, right = _x(row.lane), _y(number), _x(edge) + 14
    rounding = {"activity": 0, "agent": 2}.get(row.head.kind, 5)
    is_bold = any(node.uri == row.head.uri for node in row.line)
    spans = (
        (said.line, ' font-weight="bold"'),
        (said.head, ' font-weight="bold"' if is_bold else ""),
        (said.more, ' fill="#666666"'),
    )
    text = "".join(f'<tspan{look} dx="10">{escape(part)}</tspan>' for part, look in spans if part)
    length = sum(len(part) for part, _ in spans)
    return (
        f"<g><title>{escape(told)}</title>"
        f'<rect x="{x - 5}" y="{y - 5}" width="10" height="10" rx="{rounding}" '
        f'fill="{COLOURS[row.head.kind]}" stroke="#333333"/>'
        f'<text x="{right - 10}" y="{y + 4}" font-size="12">{text}</text></g>'
    ), right + length * _LETTER + 40


def _x(lane: int) -> int:
    return 16 + lane * _LANE


def _y(row: int) -> int:
    return _TOP + row * _LINE + _LINE // 2
