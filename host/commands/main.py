"""The command line: one command a file, imported when it is asked for.

Exit codes: 0 done, 1 the check failed, 2 wrong usage, 3 node or network out of reach or refused to
start, 130 interrupted.  Every error is one line on standard error.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import click

from host.commands.lazy import LazyGroup
from ledger.errors import Fault, LedgerError, StorageError, UnreachableError, UserError

COMMANDS = {
    "demo": "Start four validators, record real data, prove it, break things.",
    "init": "Write a new network: genesis, homes, keys.",
    "run": "Run one node from its home.",
    "cluster": "Run all nodes of a network on this machine, with a live status.",
    "status": "Show where the nodes of a network stand.",
    "submit": "Submit a file's digest, or many operations, and wait for confirmation.",
    "get": "Show a transaction, or the provenance statements about an identifier.",
    "provenance": "Put where data came from on the ledger, take it off, judge it.",
    "trace": "Show what led to a thing, or what came of it.",
    "between": "Show everything on some way from one thing to another.",
    "history": "List the versions of a thing.",
    "who": "Show who is responsible for a thing, and on whose behalf.",
    "diff": "Show in what two runs differ.",
    "pay": "Issue, transfer or redeem an amount, and wait for confirmation.",
    "balance": "Show an account's balance, proved against a certificate.",
    "document": "Versions of documents whose content can be deleted, each proved.",
    "identity": "Change and show members, their roles and their keys.",
    "prove": "Prove what an application's state holds under a key, or that it holds nothing.",
    "content": "Keep a file in the nodes' content stores, or get one from there.",
    "receipt": "Write a transaction's receipt to a file.",
    "evidence": "Collect what nodes hold against validators in a file.",
    "fork": "Fork a simulated ledger on purpose, and write the evidence.",
    "verify": "Check a receipt, a bundle, a state proof, or evidence, without any node.",
    "audit": "Re-hash and re-verify everything in a stopped home.",
    "keys": "Make and show member keys.",
    "sim": "Run the same replicas in virtual time, with faults drawn from a seed.",
    "search": "Hunt for a scenario that breaks a protocol, and make it small.",
}
"""Name and help of every command, so that listing them imports none."""


@click.command(
    cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
def cli() -> None:
    """A distributed ledger node: pluggable BFT consensus, proofs anyone can check offline.

    Begin with `python node.py demo`.  Every command has --help with an example.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    # What is imported stays: looking through it for garbage meanwhile is a tenth of the start.
    gc.set_threshold(50_000, 10, 10)
    sys.exit(run(arguments))


def run(
    arguments: list[str] | None = None, *, command: click.Command = cli, name: str = "node.py"
) -> int:
    """Run one command; its exit code."""
    try:
        result: Any = command.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return 130
    except BaseExceptionGroup as group:
        # Ctrl-C while several tasks run arrives in a group of its own.
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except LedgerError as error:
        click.echo(f"error: {error}", err=True)
        return _code_of(error)
    return result if isinstance(result, int) else 0


def _code_of(error: LedgerError) -> int:
    if isinstance(error, UserError):
        return 2
    if isinstance(error, (UnreachableError, StorageError)):
        return 3
    assert isinstance(error, Fault)
    return 1
