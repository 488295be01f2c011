"""`cluster`: all nodes of a network on this machine, with a live status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import trio

from api.client import LedgerClient
from host.cluster import Cluster, open_cluster
from host.display import (
    COLUMNS,
    Row,
    ended_row,
    is_rich_terminal,
    rich_table,
    status_row,
    table_lines,
)
from host.home import read_genesis
from host.signals import one_error, until_stopped

REFRESH_S = 0.5
PLAIN_REFRESH_S = 5.0


@click.command("cluster", epilog="Example: python node.py cluster mynet")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print a status a second as JSON lines.")
def command(folder: Path, as_json: bool) -> None:
    """Run every node of the network in DIR as a process of its own until Ctrl-C or SIGTERM."""
    with one_error():
        trio.run(until_stopped, run_cluster, folder, as_json)
    if not as_json:
        click.echo("stopped")


async def run_cluster(folder: Path, as_json: bool) -> None:
    """Start the nodes and show their status until cancelled."""
    async with open_cluster(folder) as cluster:
        await cluster.start()
        if not as_json:
            click.echo(f"{len(cluster.nodes)} nodes run; Ctrl-C stops them")
            click.echo(f"submit with: python node.py submit --network {folder} --record FILE")
        async with LedgerClient(cluster.urls, read_genesis(folder / "genesis.json")) as client:
            await _show(cluster, client, as_json=as_json)


async def _show(cluster: Cluster, client: LedgerClient, *, as_json: bool) -> None:
    if as_json or not is_rich_terminal():
        shown: list[str] = []
        while True:
            statuses = await client.statuses()
            if as_json:
                click.echo(json.dumps({"nodes": _named(cluster, statuses)}))
            else:
                lines = table_lines(COLUMNS, _rows(cluster, statuses))
                if lines != shown:
                    click.echo("\n".join(lines))
                shown = lines
            await trio.sleep(1.0 if as_json else PLAIN_REFRESH_S)
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            rows = _rows(cluster, await client.statuses())
            live.update(rich_table(COLUMNS, rows), refresh=True)
            await trio.sleep(REFRESH_S)


def _rows(cluster: Cluster, statuses: list[dict[str, Any] | None]) -> list[Row]:
    return [
        status_row(node.url, status) if node.is_running else ended_row(node.index, node.last_words)
        for node, status in zip(cluster.nodes, statuses, strict=True)
    ]


def _named(cluster: Cluster, statuses: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
    rows = []
    for node, status in zip(cluster.nodes, statuses, strict=True):
        ended = {} if node.is_running else {"ended": node.last_words}
        rows.append({"api": node.url, "reachable": status is not None, **ended, **(status or {})})
    return rows
