"""`provenance check`: whether statements can be true together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from host.commands.options import Target
from host.importers.prov_document import read_document, statements_of, to_provn_line
from host.questions import read_sayings
from ledger.constraints import Violation, check_statements
from ledger.errors import UserError

SHOWN_MAX = 20
"""Violations told to a person; --json tells all."""


@click.command(
    "check",
    epilog="Example: python node.py provenance check workflow.provn",
)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--network",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Judge what this network's ledger holds, instead of a file.",
)
@click.option("--api", "urls", multiple=True, metavar="URL", help="The same, by a node's API.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path | None, folder: Path | None, urls: tuple[str, ...], as_json: bool) -> int:
    """Judge a PROV document, or a whole ledger, by PROV-CONSTRAINTS.

    Every rule that is broken is named by its number in the Recommendation, with the statements that
    break it.  Exit code 0 if none is, 1 if one is.
    """
    if (file is None) == (folder is None and not urls):
        raise UserError("say what to check: FILE, or --network DIR")
    if file is not None:
        statements = statements_of(read_document(file))
    else:
        statements = read_sayings(Target(folder, urls, None), hidden=as_json).statements()
    violations = check_statements(statements)
    if as_json:
        told = [_facts(violation) for violation in violations]
        valid = not violations
        click.echo(json.dumps({"valid": valid, "statements": len(statements), "violations": told}))
    else:
        tell(violations, len(statements))
    return 1 if violations else 0


def tell(violations: list[Violation], count: int) -> None:
    """For people: what is broken, and by what."""
    if not violations:
        click.echo(f"valid: {count:,} statements")
        return
    for violation in violations[:SHOWN_MAX]:
        where = f" in bundle {violation.bundle}" if violation.bundle else ""
        click.echo(f"constraint {violation.constraint} ({violation.name}){where}")
        click.echo(f"  {violation.detail}")
        for statement in violation.statements:
            click.echo(f"    {to_provn_line(statement)}")
    if len(violations) > SHOWN_MAX:
        click.echo(f"and {len(violations) - SHOWN_MAX:,} more; --json tells all")
    click.echo(f"invalid: {len(violations):,} violations in {count:,} statements")


def _facts(violation: Violation) -> dict[str, Any]:
    return {
        "constraint": violation.constraint,
        "name": violation.name,
        "bundle": violation.bundle,
        "detail": violation.detail,
        "statements": [to_provn_line(statement) for statement in violation.statements],
    }
