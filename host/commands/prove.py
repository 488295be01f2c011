"""`prove`: one value of an application's state, or that there is none, with the proof of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.options import Target, network_options
from host.state_facts import shown, state_facts
from ledger.errors import UserError
from ledger.state_proof import KEY_BYTES_MAX


@click.command(
    "prove", epilog="Example: python node.py prove payments total --network mynet -o t.state-proof"
)
@click.argument("application")
@click.argument("key")
@click.option("--hex", "as_hex", is_flag=True, help="KEY is in hexadecimal, not text.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the proof to a file, for `verify`.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    application: str, key: str, as_hex: bool, output: Path | None, target: Target, as_json: bool
) -> None:
    """Prove what the state of APPLICATION holds under KEY, or that it holds nothing.

    Keys are those of docs/format.md.  The answer is checked against the genesis, like a receipt,
    and holds after the block that it names.
    """
    wanted = _key(key, as_hex=as_hex)
    verified = target.ask_state(application, wanted, output)
    facts = state_facts(target.genesis(), verified)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for line in shown(facts):
        click.echo(line)


def _key(text: str, *, as_hex: bool) -> bytes:
    try:
        key = bytes.fromhex(text) if as_hex else text.encode()
    except ValueError:
        raise UserError(f"{text} is not hexadecimal: two digits a byte") from None
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise UserError(f"a key has 1 to {KEY_BYTES_MAX} bytes")
    return key
