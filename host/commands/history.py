"""`history`: the versions of a thing."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.options import Target, network_options
from host.lineage import node_document
from host.questions import bundle_option, read_for, write_bundle
from ledger.lineage_question import HISTORY, Question


@click.command("history", epilog="Example: python node.py history ex:report --network mynet")
@click.argument("entity")
@bundle_option
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(entity: str, bundle: Path | None, target: Target, as_json: bool) -> int:
    """List the versions of ENTITY, earlier ones first: revisions, specializations, alternates."""
    sayings = read_for(target, [(HISTORY, entity, None)], hidden=as_json)
    lineage = sayings.lineage()
    start = lineage.find(sayings.named(entity))
    versions = lineage.history(start.uri)
    if as_json:
        click.echo(json.dumps({"nodes": [node_document(node) for node in versions], "edges": []}))
    else:
        for node in versions:
            mark = "*" if node is start else " "
            click.echo(f"{mark} {node.name}{f'  {node.label!r}' if node.label else ''}")
    if bundle is None:
        return 0
    question = Question(HISTORY, (start.uri,))
    return write_bundle(target, sayings, question, bundle, hidden=as_json)
