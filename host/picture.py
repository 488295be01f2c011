"""Pictures of a recorded run: the chart in colours, and the page in a file."""

from __future__ import annotations

from pathlib import Path

import click

from host.display import terminal_columns
from ledger.errors import UserError
from sim.chart import COLUMNS_MIN, chart
from sim.page import page
from sim.record import Recording

_STYLES: dict[str, dict[str, object]] = {
    "violated": {"fg": "red", "bold": True},
    "decided": {"fg": "green", "bold": True},
    "crashed": {"fg": "yellow"},
    "robbed": {"fg": "yellow"},
    "stopped": {"fg": "yellow"},
    "paused": {"fg": "yellow"},
    "fault": {"fg": "yellow"},
    "timeout": {"fg": "magenta"},
    "quorum": {"fg": "cyan"},
    "locked": {"fg": "cyan"},
    "head": {"bold": True},
    "elided": {"dim": True},
    "legend": {"dim": True},
}


def show_chart(recording: Recording) -> None:
    """Print the chart; in colours where the output is a terminal that has them."""
    for row in chart(recording, columns=max(COLUMNS_MIN, terminal_columns())):
        click.echo(click.style(row.text, **_STYLES.get(row.kind, {})))  # type: ignore[arg-type]


def write_page(recording: Recording, name: str) -> None:
    """Write the page of a recording.  Raises UserError where the file cannot be written."""
    try:
        Path(name).write_text(page(recording), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {name}: {error.strerror}") from None
    click.echo(f"picture: {name}", err=True)
