"""`keys`: member keys."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import click

from host.home import read_private, write_private
from ledger.keys import REAL_SCHEMES, SEED_BYTES, short_key, suite_named

scheme_option = click.option(
    "--scheme",
    type=click.Choice(REAL_SCHEMES),
    default=REAL_SCHEMES[0],
    show_default=True,
    help="Signature scheme that the network was made with; a key file serves any.",
)


@click.group("keys")
def command() -> None:
    """Make and show the keys with which members sign transactions."""


@command.command("new", epilog="Example: python node.py keys new -o alice.key")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@scheme_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new(output: Path, scheme: str, as_json: bool) -> None:
    """Write a new private key to a file with mode 0600, and print the public key."""
    seed = secrets.token_bytes(SEED_BYTES)
    write_private(output, seed)
    _show(seed, scheme, as_json=as_json)


@command.command("show", epilog="Example: python node.py keys show alice.key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@scheme_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: Path, scheme: str, as_json: bool) -> None:
    """Print the public key of a key file."""
    _show(read_private(file), scheme, as_json=as_json)


def _show(seed: bytes, scheme: str, *, as_json: bool) -> None:
    public = suite_named(scheme).members.signer(seed).public_key
    if as_json:
        shown = {"scheme": scheme, "public_key": public.hex(), "account": short_key(public).hex()}
        click.echo(json.dumps(shown))
    else:
        click.echo(public.hex())
