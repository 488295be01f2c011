"""Who is whose neighbour: the graph over which messages are relayed.

A topology is agreed for a whole network, since in a full mesh nobody relays: a hub that sees all
nodes must still know that the others do not.  Any connected, symmetric graph works.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import UserError


@dataclass(frozen=True, slots=True)
class Topology:
    """A connected undirected graph over the nodes 0 to n-1."""

    neighbours: tuple[tuple[int, ...], ...]
    """For each node the nodes it has a link to, ascending."""

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.neighbours)

    @property
    def is_full(self) -> bool:
        """Whether every node has a link to every other, so that relaying is needless."""
        return all(len(row) == self.size - 1 for row in self.neighbours)


def topology_named(name: str, size: int, seed: int) -> Topology:
    """full, ring, random-K, or pairs such as "0-1 1-2".  Raises UserError."""
    if name == "full":
        return full(size)
    if name == "ring":
        return ring(size)
    kind, _, degree = name.partition("-")
    if kind == "random" and degree.isdigit():
        return random_k(size, int(degree), seed=seed)
    pairs = "\n".join(pair.replace("-", " ") for pair in name.split())
    return from_text(pairs, size=size)


def full(size: int) -> Topology:
    """Every node linked to every other."""
    return _from_pairs(size, ((a, b) for a in range(size) for b in range(a)))


def ring(size: int) -> Topology:
    """Every node linked to the next, and the last to the first."""
    return _from_pairs(size, ((node, (node + 1) % size) for node in range(size)))


def random_k(size: int, k: int, *, seed: int) -> Topology:
    """At least k links a node (or all, in a small network), the same on every machine for a seed.

    A ring in random order makes the graph connected; then each node that has fewer than k links
    takes the nodes that its hashes put first.
    """
    if k < 2:
        raise UserError(f"a random topology needs at least 2 links a node, not {k}")
    order = sorted(range(size), key=lambda node: _rank(seed, node, node))
    pairs = {_pair(order[place - 1], order[place]) for place in range(size)}
    degrees = [sum(node in pair for pair in pairs if pair[0] != pair[1]) for node in range(size)]
    for node in range(size):
        others = (other for other in range(size) if _pair(node, other) not in pairs)
        ranked = sorted(others, key=lambda other, node=node: _rank(seed, node, other))  # type: ignore[misc]
        for other in ranked:
            if degrees[node] >= k:
                break
            if other != node:
                pairs.add(_pair(node, other))
                degrees[node] += 1
                degrees[other] += 1
    return _from_pairs(size, pairs)


def from_text(text: str, *, size: int) -> Topology:
    """The topology of a text file: one edge a line, `0 3`; `#` begins a comment.

    Raises UserError, naming the line, for anything else and for a graph that is not connected.
    """
    pairs: list[tuple[int, int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
            raise UserError(f"topology, line {number}: write two node numbers, such as 0 3")
        if any(len(word) > 9 or int(word) >= size for word in words):
            raise UserError(f"topology, line {number}: nodes are numbered 0 to {size - 1}")
        if int(words[0]) == int(words[1]):
            raise UserError(f"topology, line {number}: node {int(words[0])} is linked to itself")
        pairs.append((int(words[0]), int(words[1])))
    return _from_pairs(size, pairs)


def _from_pairs(size: int, pairs: Iterable[tuple[int, int]]) -> Topology:
    if size < 1:
        raise UserError("a topology needs at least one node")
    rows: list[set[int]] = [set() for _ in range(size)]
    for a, b in pairs:
        if a != b:
            rows[a].add(b)
            rows[b].add(a)
    neighbours = tuple(tuple(sorted(row)) for row in rows)
    cut_off = _first_unreached(neighbours)
    if cut_off is not None:
        raise UserError(f"the topology is not connected: no path from node 0 to node {cut_off}")
    return Topology(neighbours)


def _first_unreached(neighbours: tuple[tuple[int, ...], ...]) -> int | None:
    """The lowest node without a path from node 0, or None."""
    reached = [False] * len(neighbours)
    reached[0] = True
    waiting = [0]
    while waiting:
        for node in neighbours[waiting.pop()]:
            if not reached[node]:
                reached[node] = True
                waiting.append(node)
    return reached.index(False) if False in reached else None


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _rank(seed: int, node: int, other: int) -> bytes:
    """A pseudo-random sort key; the same for a seed everywhere."""
    return sha256(b"topology|%d|%d|%d" % (seed, node, other)).digest()
