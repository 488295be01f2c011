"""`status`: where the nodes of a network stand."""

from __future__ import annotations

import json
from typing import Any

import click
import trio

from host.commands.options import Target, network_options
from host.display import status_table
from ledger.errors import UnreachableError


@click.command("status", epilog="Example: python node.py status --network mynet")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: Target, as_json: bool) -> None:
    """Show height, slot, leader, confirmed transactions and peers of every node."""

    async def ask() -> list[dict[str, Any] | None]:
        async with target.client() as client:
            return await client.statuses()

    statuses = trio.run(ask)
    if not any(statuses):
        raise UnreachableError(f"no node answers at {', '.join(target.urls)}")
    if as_json:
        nodes = [
            {"api": url, "reachable": status is not None, **(status or {})}
            for url, status in zip(target.urls, statuses, strict=True)
        ]
        click.echo(json.dumps({"nodes": nodes}))
        return
    status_table(target.urls, statuses)
