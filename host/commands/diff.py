"""`diff`: in what two activities differ."""

from __future__ import annotations

import json

import click

from host.commands.options import Target, network_options
from host.lineage import edge_document
from host.questions import read_for
from ledger.lineage import Edge
from ledger.lineage_question import DOWNSTREAM, UPSTREAM


@click.command("diff", epilog="Example: python node.py diff ex:run1 ex:run2 --network mynet")
@click.argument("first")
@click.argument("second")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: str, second: str, target: Target, as_json: bool) -> int:
    """Show in what the runs FIRST and SECOND differ: inputs, outputs, plans, agents.

    Lines with - are of FIRST alone, those with + of SECOND alone.  Exit code 0 whether or not there
    are any.
    """
    asked = [(way, name, 1) for name in (first, second) for way in (UPSTREAM, DOWNSTREAM)]
    sayings = read_for(target, asked, hidden=as_json)
    lineage = sayings.lineage()
    one, other = (lineage.find(sayings.named(name)).uri for name in (first, second))
    found = lineage.difference(one, other)
    names = {uri: node.name for uri, node in lineage.nodes.items()}
    if as_json:
        rows = [
            {"of": of, **edge_document(edge, names)}
            for ours, theirs in found.values()
            for of, edges in (("first", ours), ("second", theirs))
            for edge in edges
        ]
        click.echo(json.dumps({"differences": rows}))
        return 0
    for kind, (ours, theirs) in found.items():
        for mark, me, edges in (("-", one, ours), ("+", other, theirs)):
            for edge in edges:
                click.echo(f"{mark} {kind}  {_other_end(edge, me, names)}")
    if not found:
        click.echo("no difference is recorded")
    return 0


def _other_end(edge: Edge, me: str, names: dict[str, str]) -> str:
    role = f" as {edge.role}" if edge.role else ""
    return names[edge.cause if edge.effect == me else edge.effect] + role
