"""`get`: a transaction, or what the ledger says of an identifier."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click
import trio

from host.commands.document import show_chain
from host.commands.options import Target, network_options, parse_id
from host.document_chain import Chain, read_chain
from ledger.applications import documents
from ledger.errors import Fault


@click.command("get", epilog="Example: python node.py get --network mynet ID")
@click.argument("id_", metavar="ID")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(id_: str, target: Target, as_json: bool) -> int:
    """Show the transaction with this id; the records of the data with this SHA-256; or, for any
    other identifier, the provenance statements about it, else the document of this name with the
    chain of its versions, each proved."""
    identity = parse_id(id_)

    async def ask() -> dict[str, Any]:
        async with target.client() as client:
            if identity is None:
                return await client.get_json(f"/v1/statements?identifier={quote(id_, safe='')}")
            try:
                return await client.get_json(f"/v1/transactions/{identity.hex()}")
            except Fault:
                return await client.get_json(f"/v1/records/{identity.hex()}")

    found = trio.run(ask)
    rows = found.get("statements", found.get("records"))
    if rows == [] and identity is None and documents.NAME in dict(target.genesis().applications):
        chain = trio.run(_chain, target, id_)
        if chain.document is not None:
            show_chain(target, chain, as_json=as_json)
            return 0
    if rows is not None and not rows:
        click.echo(f"error: the ledger has nothing about {id_}", err=True)
        return 1
    if as_json:
        click.echo(json.dumps(found))
        return 0
    for row in rows if rows is not None else [found]:
        _show(row)
    return 0


async def _chain(target: Target, name: str) -> Chain:
    async with target.client() as client:
        return await read_chain(client, name)


def _show(row: dict[str, Any]) -> None:
    for key, value in row.items():
        if key == "operations":
            for number, operation in enumerate(value):
                click.echo(f"operation {number}")
                for name, part in operation.items():
                    click.echo(f"  {name:<14}{_text(part)}")
        elif value != "":
            click.echo(f"{key:<16}{_text(value)}")
    click.echo("")


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else "?" for character in text)
