"""Answers about lineage for people and programs: JSON and text; a large answer in rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from host.lineage_rows import as_lines, is_large, lay_out
from ledger.lineage import Answer, Edge, Node


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


def as_text(answer: Answer, *, upstream: bool) -> Iterator[str]:
    """A tree, or rows where it would be too deep to read."""
    if is_large(answer):
        return as_lines(lay_out(answer, upstream=upstream))
    return as_tree(answer, upstream=upstream)


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
