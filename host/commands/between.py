"""`between`: everything on some way from one thing to another."""

from __future__ import annotations

import json

import click

from host.commands.options import Target, network_options
from host.commands.provenance_export import read_statements
from host.commands.trace import INCOMPLETE
from host.lineage import as_document, as_tree
from ledger.lineage import Lineage


@click.command("between", epilog="Example: python node.py between pc1:e28 pc1:e11 --network mynet")
@click.argument("first")
@click.argument("second")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: str, second: str, target: Target, as_json: bool) -> int:
    """Show all that lies between FIRST and SECOND, whichever of them came first.

    Both are given by qualified name or URI.  Exit code 1 where neither led to the other.
    """
    answer = Lineage(read_statements(target, hidden=as_json)).between(first, second)
    if as_json:
        click.echo(json.dumps(as_document(answer, note=INCOMPLETE)))
    elif answer.nodes:
        for line in as_tree(answer, upstream=True):
            click.echo(line)
    if not answer.nodes and not as_json:
        click.echo(f"nothing is recorded that leads from {first} to {second} or back", err=True)
    return 0 if answer.nodes else 1
