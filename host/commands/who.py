"""`who`: who is responsible for a thing."""

from __future__ import annotations

import json

import click

from host.commands.options import Target, network_options
from host.commands.provenance_export import read_statements
from host.lineage import as_document, as_tree
from ledger.lineage import Lineage


@click.command("who", epilog="Example: python node.py who ex:report --network mynet")
@click.argument("entity")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(entity: str, target: Target, as_json: bool) -> int:
    """Show the agents that ENTITY is attributed to, who took part in what made it, and on whose
    behalf they acted.

    An attribution is what its sender says; whether the agent says so too, a receipt does not show.
    """
    answer = Lineage(read_statements(target, hidden=as_json)).who(entity)
    if as_json:
        click.echo(json.dumps(as_document(answer)))
        return 0
    for line in as_tree(answer, upstream=True):
        click.echo(line)
    return 0
