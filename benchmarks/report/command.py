"""`python -m benchmarks report DIR [DIR...]`: draws the report of runs from their samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.errors import UserError

if TYPE_CHECKING:
    from benchmarks.report.tables import Change


@click.command("report", epilog="Example: python -m benchmarks report smoke-results")
@click.argument(
    "folders",
    metavar="DIR...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, file_okay=False),
    help="A run to compare with: what is over 10 % worse is a regression, and the exit code 1.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write; the first DIR unless given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folders: tuple[Path, ...], baseline: Path | None, out: Path | None, as_json: bool
) -> int:
    """Draw the report of one run again, or of several runs beside each other."""
    target = out or folders[0]
    found, changes = draw(folders, target, baseline)
    worse = [change for change in changes if change.is_regression and not change.is_within_noise]
    if as_json:
        told = {"report": str(found), "compared": len(changes), "regressions": len(worse)}
        click.echo(json.dumps(told))
    else:
        for change in worse:
            click.echo(f"regression: {change.text}")
        click.echo(f"report: {found}")
    return 1 if worse else 0


def draw(
    folders: Sequence[Path], target: Path, baseline: Path | None = None
) -> tuple[Path, list[Change]]:
    """Write a report; (the page, what was compared).

    Raises UserError where there is no run, or where what draws is not installed.
    """
    try:
        from benchmarks.report.write import write_report
    except ImportError as error:
        raise UserError(
            f"a report needs {error.name}: pip install 'ledger-node[bench]'; what was measured is "
            "kept, and `python -m benchmarks report DIR` draws it then"
        ) from None
    return write_report(folders, target, baseline)
