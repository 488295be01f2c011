"""`balance`: what an account holds, with a proof of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.options import Target, network_options, parse_public_key, shown_briefly
from host.state_facts import state_facts
from ledger.applications import payments
from ledger.errors import UserError
from ledger.keys import short_key


@click.command(
    "balance", epilog="Example: python node.py balance --network mynet -o my.state-proof"
)
@click.argument("account", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the proof to a file, for `verify`.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Whose account it is where none is given; DIR/member.key unless given.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    account: str | None, output: Path | None, key: Path | None, target: Target, as_json: bool
) -> None:
    """Show the balance of ACCOUNT, a public key in hexadecimal digits, or of the member.

    The answer is checked against the genesis, like a receipt: no node can invent it.  It holds
    after the block that it names, which may be a little behind the newest.
    """
    owner = account_of(account) if account is not None else short_key(target.signer(key).public_key)
    verified = target.ask_state(payments.NAME, payments.account_key(owner), output)
    facts = state_facts(target.genesis(), verified)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo(f"{facts['balance']}  after block {verified.height}")


def account_of(text: str) -> bytes:
    """The account that a person names, by a key or its short form.  Raises UserError."""
    public_key = parse_public_key(text)
    if public_key is None:
        raise UserError(
            f"{shown_briefly(text)} is no account: that is a public key, as `keys show` prints it"
        )
    return short_key(public_key)
