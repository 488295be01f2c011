"""`provenance import`: a source of statements, put on the ledger once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import trio

from host.commands.options import Target, network_options
from host.display import is_able_terminal
from host.importers.guess import FORMS, Choices, read_source
from host.importers.source import Source
from host.ingest import Ingest, Report
from host.progress import Bar
from host.signals import one_error, until_stopped
from ledger.errors import UnreachableError
from ledger.transaction import Operation

LARGE_BYTES = 200_000
"""Of a document that takes more than a moment to read, during which there is no bar."""


@click.command(
    "import",
    epilog="Example: python node.py provenance import --network mynet workflow.provn",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "form",
    type=click.Choice(FORMS),
    help="What SOURCE is; guessed from it unless given.",
)
@click.option(
    "--signer",
    "signers",
    multiple=True,
    metavar="PUBLIC_KEY",
    help="Whose attestations count: 64 hexadecimal digits or a PEM file; more than once for more.",
)
@click.option(
    "--commits",
    "commits_max",
    type=click.IntRange(1),
    help="Only the last commits of a git history; all unless given.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The member's key; DIR/member.key unless given.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    help="Seconds to wait for a group of transactions to be confirmed.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    source: Path,
    form: str | None,
    signers: tuple[str, ...],
    commits_max: int | None,
    key: Path | None,
    timeout_s: float,
    target: Target,
    as_json: bool,
) -> int:
    """Put what SOURCE says about where data came from on the ledger, confirmed.

    SOURCE is a PROV document (PROV-N, PROV-JSON, PROV-XML), a git repository, a file of signed
    in-toto attestations, a file of OpenLineage events, or a folder of files.  What is there already
    is not sent again: a second import changes nothing, and an interrupted one goes on.
    """
    signer = target.signer(key)
    if is_able_terminal(sys.stderr) and source.is_file() and source.stat().st_size > LARGE_BYTES:
        click.echo(f"reading {source} ...", err=True)
    found = read_source(source, Choices(form, signers, commits_max))
    began = time.monotonic()
    report = Report()
    with Bar(found.title, found.steps or found.total, hidden=as_json) as bar:
        progress = _nothing if found.steps else bar.advance
        parts = _counted(found.parts, bar) if found.steps else found.parts

        async def put() -> bool:
            async with target.client() as client:
                ingest = Ingest(
                    client, signer, deadline_s=timeout_s, progress=progress, report=report
                )
                await ingest.put(parts)
                return True

        try:
            with one_error():
                is_done = trio.run(until_stopped, put)
        except UnreachableError as error:
            raise UnreachableError(f"{error}; {_so_far(report)}") from None
        except KeyboardInterrupt:
            is_done = False
    if not is_done:
        click.echo(f"interrupted: {_so_far(report)}", err=True)
        return 130
    _say(found, report, time.monotonic() - began, as_json=as_json)
    return 0


def _nothing(count: int) -> None:
    """The bar counts parts, not statements."""


def _counted(parts: Iterable[list[Operation]], bar: Bar) -> Iterator[list[Operation]]:
    for part in parts:
        yield part
        bar.advance()


def _so_far(report: Report) -> str:
    done = report.said + report.known
    return f"{done:,} statements are on the ledger; the same command goes on from there"


def _say(source: Source, report: Report, seconds: float, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "source": source.kind,
                    "said": report.said,
                    "known": report.known,
                    "left_out": source.left_out,
                    "transactions": report.transactions,
                    "height": report.height,
                    "seconds": round(seconds, 3),
                }
            )
        )
        return
    click.echo(
        f"{source.title}: {report.said:,} statements put on the ledger in "
        f"{len(report.transactions):,} transactions, {report.known:,} were there; {seconds:.1f} s"
    )
    if source.left_out:
        click.echo(f"left out: {source.left_out:,} without a run or a data set")
