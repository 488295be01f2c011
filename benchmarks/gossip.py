"""`python -m benchmarks gossip`: how fast gossip spreads a message, and how often it carries it.

The real gossip over simulated links in virtual time (`benchmarks/spreading.py`), so the numbers are
the same on every machine.  Votes and batches are measured apart; there is one random graph for each
n and k.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.spreading import KEPT_MS, LINKS, MESSAGES, Link, Spread, spread
from ledger.errors import UserError
from p2p.topology import Topology, topology_named

NODES = "4,7,16,31,64,100"
TOPOLOGIES = "full,ring,random-3,random-6"
NODES_MAX = 100
MESSAGES_MAX = 1_000


@click.command(
    epilog="Example: python -m benchmarks gossip --nodes 4,16 --links 25ms,100mbit --messages 5"
)
@click.option("--nodes", default=NODES, show_default=True, help="Sizes of the network.")
@click.option(
    "--topologies", default=TOPOLOGIES, show_default=True, help="full, ring, random-K, or pairs."
)
@click.option("--links", default=",".join(LINKS), show_default=True, help="Which, by name.")
@click.option(
    "--messages", type=int, default=50, show_default=True, help="Votes, and as many batches."
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there."
)
def gossip(
    nodes: str, topologies: str, links: str, messages: int, seed: int, json_file: Path | None
) -> None:
    """How fast and how often gossip carries a vote and a batch, by links, topology and n."""
    chosen = _links(links)
    graphs = _graphs(topologies, _sizes(nodes), seed)
    if not 1 <= messages <= MESSAGES_MAX:
        raise UserError(f"--messages: from 1 to {MESSAGES_MAX}, not {messages}")
    if json_file is not None and not json_file.parent.is_dir():
        raise UserError(f"--json: there is no folder {json_file.parent}")
    click.echo(
        "simulated links, real gossip; nothing takes processor time; "
        f"{messages} messages a row, seed {seed}\n{LEGEND}"
    )
    rows: list[dict[str, object]] = []
    for name, link in chosen.items():
        for kind in MESSAGES:
            rows += _show(name, link, kind, graphs, messages=messages, seed=seed)
    if json_file is not None:
        head = {"simulated_links": True, "messages": messages, "seed": seed, "kept_ms": KEPT_MS}
        document = {**head, "rows": rows}
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _sizes(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and len(word) < 9 for word in words):
        raise UserError(f"--nodes: sizes with commas between them, not {text!r}")
    sizes = [int(word) for word in words]
    if not all(2 <= size <= NODES_MAX for size in sizes):
        raise UserError(f"--nodes: from 2 to {NODES_MAX} nodes, not {text}")
    return sizes


def _links(text: str) -> dict[str, Link]:
    for name in text.split(","):
        if name not in LINKS:
            raise UserError(f"--links: there is no {name!r}; known are {', '.join(LINKS)}")
    return {name: LINKS[name] for name in text.split(",")}


def _graphs(text: str, sizes: list[int], seed: int) -> list[tuple[str, Topology]]:
    graphs = []
    for name in text.split(","):
        for size in sizes:
            try:
                graphs.append((name, topology_named(name, size, seed)))
            except UserError as error:
                raise UserError(f"--topologies: {name!r} of {size} nodes: {error}") from None
    return graphs


# --- the table ------------------------------------------------------------------------------------

HEAD = (
    f"{'topology':<14}{'n':>4}{'degree':>7}{'half_ms':>8}{'half_max_ms':>12}{'all_ms':>8}"
    f"{'all_max_ms':>11}{'copies':>7}{'own':>6}{'payload_B':>10}{'control_B':>10}{'missing':>8}"
    f"{'lacks_%':>8}"
)
LEGEND = f"""\
degree: links of a node, on average; half_ms, all_ms: until half of the nodes, and all, had a
message, median and slowest; copies: payloads received a node and message, where 1 would do; own:
payloads that the publisher sent itself; payload_B, control_B: bytes on all links a node and
message, control being offers, wants and haves; missing: messages that did not reach every node in
{KEPT_MS // 1_000} s; lacks_%: of all deliveries.
The publisher needs no copy, and counts as a node in half_ms and all_ms alone."""


def _show(
    name: str,
    link: Link,
    kind: str,
    graphs: list[tuple[str, Topology]],
    *,
    messages: int,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Measure and print the rows of one kind of message on one kind of links."""
    for at, (topology_name, topology) in enumerate(graphs):
        found = spread(topology, link, kind, messages=messages, seed=seed)
        if not at:
            click.echo(f"\n{name}: {link.title}; {kind}: each needs {found.floor_bytes:,} bytes")
            click.echo(HEAD)
        degree = sum(map(len, topology.neighbours)) / topology.size
        title = topology_name
        if topology.is_full and topology_name != "full":
            title += "=full"
        click.echo(_line(title, topology.size, degree, found))
        yield {
            "links": name, "message": kind, "topology": topology_name, "nodes": topology.size,
            "is_full": topology.is_full, "links_per_node": degree, **asdict(found),
        }  # fmt: skip


def _line(title: str, size: int, degree: float, found: Spread) -> str:
    times = (found.half_p50_ms, found.half_max_ms, found.all_p50_ms, found.all_max_ms)
    return (
        f"{title:<14}{size:>4}{degree:>7.1f}"
        + "".join(
            f"{'never' if time is None else f'{time:,.0f}':>{width}}"
            for time, width in zip(times, (8, 12, 8, 11), strict=True)
        )
        + f"{found.copies:>7.2f}{found.own_copies:>6.1f}"
        f"{found.payload_bytes:>10,.0f}{found.control_bytes:>10,.0f}"
        f"{found.missing_messages:>8}{100 * found.missing_share:>8.1f}"
    )
