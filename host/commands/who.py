"""`who`: who is responsible for a thing."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.options import Target, network_options
from host.lineage import as_document, as_tree
from host.questions import bundle_option, read_for, write_bundle
from ledger.lineage_question import WHO, Question


@click.command("who", epilog="Example: python node.py who ex:report --network mynet")
@click.argument("entity")
@bundle_option
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(entity: str, bundle: Path | None, target: Target, as_json: bool) -> int:
    """Show the agents that ENTITY is attributed to, who took part in what made it, and on whose
    behalf they acted.

    An attribution is what its sender says; whether the agent says so too, a receipt does not show.
    """
    sayings = read_for(target, [(WHO, entity, None)], hidden=as_json)
    answer = sayings.lineage().who(sayings.named(entity))
    if as_json:
        click.echo(json.dumps(as_document(answer)))
    else:
        for line in as_tree(answer, upstream=True):
            click.echo(line)
    if bundle is None:
        return 0
    question = Question(WHO, (answer.start.uri,))
    return write_bundle(target, sayings, question, bundle, hidden=as_json)
