"""Topologies as the command line takes them: a name, pairs, or a file with a pair in each line."""

from __future__ import annotations

from pathlib import Path

from ledger.errors import UserError
from p2p.topology import Topology, from_text, topology_named


def read_topology(text: str, size: int, seed: int) -> Topology:
    """Who has a link to whom.  Raises UserError."""
    path = Path(text)
    if not path.is_file():
        return topology_named(text, size, seed)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the topology {path}: {error}") from None
    return from_text(content, size=size)


def written_out(text: str, size: int, seed: int) -> str:
    """The same for a scenario file, which travels without other files: a file becomes its pairs.

    Raises UserError.
    """
    topology = read_topology(text, size, seed)
    if not Path(text).is_file():
        return text
    rows = enumerate(topology.neighbours)
    return " ".join(f"{one}-{other}" for one, row in rows for other in row if one < other)
