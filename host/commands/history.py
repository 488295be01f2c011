"""`history`: the versions of a thing."""

from __future__ import annotations

import json

import click

from host.commands.options import Target, network_options
from host.commands.provenance_export import read_statements
from host.lineage import node_document
from ledger.lineage import Lineage


@click.command("history", epilog="Example: python node.py history ex:report --network mynet")
@click.argument("entity")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(entity: str, target: Target, as_json: bool) -> int:
    """List the versions of ENTITY, earlier ones first: revisions, specializations, alternates."""
    versions = Lineage(read_statements(target, hidden=as_json)).history(entity)
    if as_json:
        click.echo(json.dumps({"nodes": [node_document(node) for node in versions], "edges": []}))
        return 0
    for node in versions:
        mark = "*" if entity in (node.name, node.uri) else " "
        click.echo(f"{mark} {node.name}{f'  {node.label!r}' if node.label else ''}")
    return 0
