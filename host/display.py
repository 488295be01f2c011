"""Tables for a terminal; plain lines where there is none, or where it is narrow."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.table import Table

WIDE_COLUMNS = 80
COLUMNS = ("node", "height", "slot", "leader", "confirmed", "pending", "peers", "state")
LEFT = frozenset({"node", "slot", "leader", "state"})
"""Columns of words; the others are numbers."""
SPARED_FIRST = ("pending", "leader", "slot", "peers", "latency", "confirmed")
"""Columns that a narrow terminal does without, in this order."""
DEAD = frozenset({"out of reach", "killed", "refuses to vote"})
"""States that no node should be in for long."""

Row = Sequence[str]


def is_able_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal with a cursor and colours that nobody asked to spare."""
    return (
        stream.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and not os.environ.get("NO_COLOR")
    )


def is_rich_terminal() -> bool:
    """Whether the output is a terminal wide and able enough for tables that move."""
    return is_able_terminal(sys.stdout) and terminal_columns() >= WIDE_COLUMNS


def terminal_columns() -> int:
    """How wide a line may be."""
    return shutil.get_terminal_size().columns


def status_row(url: str, status: dict[str, Any] | None) -> Row:
    """One node's line, in the order of COLUMNS."""
    if status is None:
        return (url.removeprefix("http://"), "-", "-", "-", "-", "-", "-", "out of reach")
    return (
        status["name"],
        str(status["certified"]),
        slot_text(status),
        status["leader"] or "-",
        str(status.get("confirmed", status["applied"])),
        str(status["pending"]),
        peers_text(status),
        state_text(status),
    )


def ended_row(index: int, reason: str) -> Row:
    """The line of a node whose process has ended."""
    return (f"node{index}", "-", "-", "-", "-", "-", "-", f"ended: {reason}")


def slot_text(status: dict[str, Any]) -> str:
    """The slot of the last decided value, such as 17.0."""
    return ".".join(str(part) for part in status["slot"]) or "-"


def peers_text(status: dict[str, Any]) -> str:
    """Connected peers out of all."""
    connected = sum(1 for peer in status["peers"] if peer["connected"])
    return f"{connected}/{len(status['peers'])}"


def state_text(status: dict[str, Any]) -> str:
    """What the node is doing, in a word or three."""
    if status["refusal"]:
        return "refuses to vote"
    if status["catching_up"]:
        return "catching up"
    return "voting" if status["voting"] else "following"


def status_table(urls: list[str], statuses: list[dict[str, Any] | None]) -> None:
    """Print where the nodes stand."""
    rows = [status_row(url, status) for url, status in zip(urls, statuses, strict=True)]
    if not is_rich_terminal():
        for line in table_lines(COLUMNS, rows):
            click.echo(line)
        return
    from rich.console import Console

    Console().print(rich_table(COLUMNS, rows))


def table_lines(columns: Row, rows: Sequence[Row], *, width: int | None = None) -> list[str]:
    """A plain table, without the columns that do not fit the width."""
    limit = width or terminal_columns()
    kept = list(range(len(columns)))
    spared = list(SPARED_FIRST)
    while True:
        widths = [max(len(row[column]) for row in (columns, *rows)) for column in kept]
        gone = [name for name in spared if name in (columns[column] for column in kept)]
        if sum(widths) + 2 * (len(kept) - 1) <= limit or not gone:
            break
        kept = [column for column in kept if columns[column] != gone[0]]
    return [
        "  ".join(
            row[column].ljust(cell) if columns[column] in LEFT else row[column].rjust(cell)
            for column, cell in zip(kept, widths, strict=True)
        ).rstrip()
        for row in (columns, *rows)
    ]


def rich_table(columns: Row, rows: Sequence[Row]) -> Table:
    """The same as a table of the rich library; within 80 columns."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row, style="red" if row[-1] in DEAD else None)
    return table
