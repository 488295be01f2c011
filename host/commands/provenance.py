"""`provenance`: what goes onto the ledger about where data came from, and what comes off it."""

from __future__ import annotations

import click

from host.commands.lazy import LazyGroup

COMMANDS: dict[str, str | tuple[str, str]] = {
    "import": "Put a document, a git history, attestations, events or a folder on the ledger.",
    "export": "Write what the ledger says as a PROV document.",
    "run": "Run a command, and record what it read, what it made, who, when.",
    "check": "Judge statements by PROV-CONSTRAINTS, and name each rule that they break.",
    "trace": ("Show what led to a thing, or what came of it.", "trace"),
    "between": ("Show everything on some way from one thing to another.", "between"),
    "history": ("List the versions of a thing.", "history"),
    "who": ("Show who is responsible for a thing, and on whose behalf.", "who"),
    "diff": ("Show in what two runs differ.", "diff"),
}
"""Name of every command to its help, or to (help, module) for one that is not `provenance_NAME`."""


@click.command(
    "provenance",
    cls=LazyGroup,
    table=COMMANDS,
    prefix="provenance_",
    epilog="Example: python node.py provenance import --network mynet workflow.provn",
)
def command() -> None:
    """Where data came from: W3C PROV onto the ledger, and off it.

    docs/provenance.md walks through all of it.
    """
