"""Tables for a terminal; plain lines where there is none, or where it is narrow."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any, TextIO

import click

WIDE_COLUMNS = 80
COLUMNS = ("node", "height", "slot", "leader", "confirmed", "pending", "peers", "state")


def is_able_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal with a cursor and colours that nobody asked to spare."""
    return (
        stream.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and not os.environ.get("NO_COLOR")
    )


def is_rich_terminal() -> bool:
    """Whether the output is a terminal wide and able enough for tables that move."""
    return is_able_terminal(sys.stdout) and shutil.get_terminal_size().columns >= WIDE_COLUMNS


def status_row(url: str, status: dict[str, Any] | None) -> tuple[str, ...]:
    """One node's line, in the order of COLUMNS."""
    if status is None:
        return (url.removeprefix("http://"), "-", "-", "-", "-", "-", "-", "out of reach")
    connected = sum(1 for peer in status["peers"] if peer["connected"])
    state = "voting" if status["voting"] else "following"
    if status["catching_up"]:
        state = "catching up"
    if status["refusal"]:
        state = "refuses to vote"
    return (
        status["name"],
        str(status["certified"]),
        ".".join(str(part) for part in status["slot"]),
        status["leader"] or "-",
        str(status.get("confirmed", status["applied"])),
        str(status["pending"]),
        f"{connected}/{len(status['peers'])}",
        state,
    )


def status_lines(urls: list[str], statuses: list[dict[str, Any] | None]) -> list[str]:
    """A plain table."""
    rows = [COLUMNS, *(status_row(u, s) for u, s in zip(urls, statuses, strict=True))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def status_table(urls: list[str], statuses: list[dict[str, Any] | None]) -> None:
    """Print where the nodes stand."""
    if not is_rich_terminal():
        for line in status_lines(urls, statuses):
            click.echo(line)
        return
    from rich.console import Console

    Console().print(rich_table(urls, statuses))


def rich_table(urls: list[str], statuses: list[dict[str, Any] | None]) -> Any:
    """The same as a table of the rich library."""
    from rich.table import Table

    table = Table(expand=False)
    for column in COLUMNS:
        right = column in ("height", "confirmed", "pending", "peers")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for url, status in zip(urls, statuses, strict=True):
        style = None if status else "red"
        table.add_row(*status_row(url, status), style=style)
    return table
