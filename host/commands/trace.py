"""`trace`: what led to a thing, or what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.options import Target, network_options
from host.lineage import as_document, as_text
from host.lineage_picture import as_dot, write_svg, write_text
from host.lineage_rows import is_large
from host.questions import bundle_option, read_for, write_bundle
from ledger.lineage import Filter
from ledger.lineage_question import DOWNSTREAM, UPSTREAM, Question

INCOMPLETE = "one node's word, and of what was recorded alone: no answer shows that it is complete"


@click.command(
    "trace", epilog="Example: python node.py trace pc1:e28 --upstream --network mynet --svg e28.svg"
)
@click.argument("entity")
@click.option("--upstream", "way", flag_value=UPSTREAM, default=True, help="What led to it.")
@click.option("--downstream", "way", flag_value=DOWNSTREAM, help="What came of it.")
@click.option("--depth", type=click.IntRange(1), help="At most so many relations away.")
@click.option("--until", multiple=True, metavar="NAME", help="Show nothing beyond this thing.")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE",
    help="Show these only: entity, activity, agent, or a prov:type.",
)  # fmt: skip
@click.option("--role", default="", metavar="ROLE", help="Show what has this prov:role only.")
@click.option("--agent", default="", metavar="NAME", help="Show what is this agent's only.")
@click.option("--after", default="", metavar="TIME", help="Show what has a time from then on only.")
@click.option("--before", default="", metavar="TIME", help="Show what has a time up to then only.")
@click.option(
    "--dot", type=click.Path(path_type=Path, dir_okay=False), help="Write it for Graphviz."
)
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Draw it.")
@bundle_option
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    entity: str,
    way: str,
    depth: int | None,
    until: tuple[str, ...],
    types: tuple[str, ...],
    role: str,
    agent: str,
    after: str,
    before: str,
    dot: Path | None,
    svg: Path | None,
    bundle: Path | None,
    target: Target,
    as_json: bool,
) -> int:
    """Follow the statements of the ledger from ENTITY: upstream to what led to it, or downstream.

    ENTITY is an entity, activity or agent, by its qualified name or its URI.  In JSON the start is
    not among the nodes.  Filters hide nodes; they do not stop the walk, and a bundle proves the
    whole of it.
    """
    asked = [(way, entity, depth), *[(way, name, None) for name in until]]
    sayings = read_for(target, asked, agent=agent, hidden=as_json)
    lineage = sayings.lineage()
    whose = sayings.uris.get(agent) or (lineage.find(agent).uri if agent else "")
    shown = Filter(types, role, whose, after, before)
    is_up = way == UPSTREAM
    entity, until = sayings.named(entity), tuple(map(sayings.named, until))
    answer = lineage.trace(entity, upstream=is_up, depth=depth, until=until, shown=shown)
    if dot is not None:
        write_text(dot, as_dot(answer))
    if svg is not None:
        write_svg(answer, svg, upstream=is_up)
    if as_json:
        click.echo(json.dumps(as_document(answer, note=INCOMPLETE)))
    else:
        for line in as_text(answer, upstream=is_up):
            click.echo(line)
        words = "led to it" if is_up else "came of it"
        click.echo(f"{len(answer.nodes)} things {words}: {INCOMPLETE}")
        if is_large(answer) and depth is None:
            click.echo("less of it with --depth N, or with filters such as --type entity")
    if bundle is None:
        return 0
    question = Question(way, (answer.start.uri,), depth)
    return write_bundle(target, sayings, question, bundle, hidden=as_json)
