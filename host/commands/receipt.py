"""`receipt`: a transaction's receipt, in a file of its own."""

from __future__ import annotations

import json
from pathlib import Path

import click
import trio

from host.commands.options import Target, network_options, parse_id
from ledger.errors import UserError
from ledger.light import Verified


@click.command("receipt", epilog="Example: python node.py receipt --network mynet ID -o a.receipt")
@click.argument("id_", metavar="ID")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--operation",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which of the transaction's operations the receipt shows.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(id_: str, output: Path, operation: int, target: Target, as_json: bool) -> None:
    """Write the receipt of the transaction ID, checked against the genesis."""
    identity = parse_id(id_)
    if identity is None:
        raise UserError(f"{id_} is no transaction id: that is 64 hexadecimal digits")

    async def ask() -> tuple[bytes, Verified]:
        async with target.client() as client:
            return await client.receipt(identity, operation)

    raw, verified = trio.run(ask)
    try:
        output.write_bytes(raw)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    if as_json:
        click.echo(
            json.dumps(
                {"id": id_, "file": str(output), "bytes": len(raw), "height": verified.height}
            )
        )
    else:
        click.echo(f"{output}: {len(raw)} bytes, block {verified.height}")
