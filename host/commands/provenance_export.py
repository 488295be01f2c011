"""`provenance export`: the ledger's statements as a PROV document."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

from host.commands.options import Target, network_options
from host.importers.prov_document import WRITERS
from host.questions import read_sayings
from ledger.applications.provenance import Statement
from ledger.errors import UserError


@click.command(
    "export",
    epilog="Example: python node.py provenance export --network mynet --format json -o all.json",
)
@click.argument("things", nargs=-1, metavar="[ENTITY]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write; standard output unless given.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(WRITERS)),
    help="By the name of FILE unless given, else provn.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON about what was written.")
def command(
    things: tuple[str, ...],
    output: Path | None,
    form: str | None,
    target: Target,
    as_json: bool,
) -> int:
    """Write every statement of the ledger, or those about the ENTITIES, as a PROV document.

    An ENTITY, activity or agent is given by its qualified name or its URI.  What two members said
    in the same words is written once.  A document is one node's word; a receipt is a proof.
    """
    if as_json and output is None:
        raise UserError("--json says what was written to a file: give one with -o FILE")
    chosen = form or _form_of(output)
    statements = read_sayings(target, hidden=as_json or output is None).statements()
    if things:
        statements = [each for each in statements if _is_about(each, set(things))]
        if not statements:
            click.echo(f"error: the ledger has nothing about {', '.join(things)}", err=True)
            return 1
    text = WRITERS[chosen](statements)
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    kinds = Counter(statement.kind for statement in statements)
    if as_json:
        told = {"file": str(output), "format": chosen, "statements": len(statements)}
        click.echo(json.dumps({**told, "kinds": dict(sorted(kinds.items()))}))
    else:
        click.echo(f"{output}: {len(statements):,} statements as {chosen}")
    return 0


def _is_about(statement: Statement, wanted: set[str]) -> bool:
    return any(name in wanted or statement.expand(name) in wanted for name in statement.things())


def _form_of(output: Path | None) -> str:
    """By the file's suffix; PROV-N for standard output.  Raises UserError."""
    if output is None:
        return "provn"
    suffixes = {"pn": "provn", "provx": "xml", "gv": "dot", **{form: form for form in WRITERS}}
    form = suffixes.get(output.suffix.lower().removeprefix("."))
    if form is None:
        known = ", ".join(f".{suffix}" for suffix in sorted(suffixes))
        raise UserError(f"{output}: say which --format, or end the name with one of {known}")
    return form
