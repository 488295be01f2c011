"""`between`: everything on some way from one thing to another."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.options import Target, network_options
from host.commands.trace import INCOMPLETE
from host.lineage import as_document, as_text
from host.questions import bundle_option, read_for, write_bundle
from ledger.lineage_question import BETWEEN, UPSTREAM, Question


@click.command("between", epilog="Example: python node.py between pc1:e28 pc1:e11 --network mynet")
@click.argument("first")
@click.argument("second")
@bundle_option
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: str, second: str, bundle: Path | None, target: Target, as_json: bool) -> int:
    """Show all that lies between FIRST and SECOND, whichever of them came first.

    Both are given by qualified name or URI.  Exit code 1 where neither led to the other.
    """
    asked = [(UPSTREAM, name, None) for name in (first, second)]
    sayings = read_for(target, asked, hidden=as_json)
    lineage = sayings.lineage()
    one, other = (lineage.find(sayings.named(name)).uri for name in (first, second))
    answer = lineage.between(one, other)
    if as_json:
        click.echo(json.dumps(as_document(answer, note=INCOMPLETE)))
    elif answer.nodes:
        for line in as_text(answer, upstream=True):
            click.echo(line)
    if not answer.nodes and not as_json:
        click.echo(f"nothing is recorded that leads from {first} to {second} or back", err=True)
    if bundle is None or not answer.nodes:
        return 0 if answer.nodes else 1
    question = Question(BETWEEN, (one, other))
    return write_bundle(target, sayings, question, bundle, hidden=as_json)
