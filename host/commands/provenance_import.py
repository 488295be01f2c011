"""`provenance import`: a source of statements, put on the ledger once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import trio

from host.commands.options import Target, network_options
from host.commands.provenance_check import tell
from host.display import is_able_terminal
from host.importers.guess import FORMS, Choices, read_source
from host.importers.source import Source
from host.ingest import Ingest, Report
from host.progress import Bar
from host.salting import salted_parts
from host.signals import one_error, until_stopped
from ledger.applications.provenance import parse_statement
from ledger.constraints import check_statements
from ledger.errors import UnreachableError
from ledger.keys import Signer
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
    "--check",
    "is_checked",
    is_flag=True,
    help="Send nothing, exit code 1, if the source by itself breaks PROV-CONSTRAINTS.",
)
@click.option(
    "--salted",
    is_flag=True,
    help="Salt each statement, so that one can be shown without the others.",
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
    is_checked: bool,
    salted: bool,
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
    if is_checked:
        found = replace(found, parts=list(found.parts))
        if not _is_valid(found):
            return 1
    if salted:
        found = replace(found, parts=salted_parts(found.parts, signer, target.genesis().network))
    began = time.monotonic()
    report = Report()
    with Bar(found.title, found.steps or found.total, hidden=as_json) as bar:
        is_done = _put(found, target, signer, timeout_s=timeout_s, report=report, bar=bar)
    if not is_done:
        click.echo(f"interrupted: {_so_far(report)}", err=True)
        return 130
    _say(found, report, time.monotonic() - began, as_json=as_json)
    return 0


def _is_valid(source: Source) -> bool:
    statements = [parse_statement(each.body) for part in source.parts for each in part]
    violations = check_statements(statements)
    if violations:
        tell(violations, len(statements))
    return not violations


def _put(
    source: Source, target: Target, signer: Signer, *, timeout_s: float, report: Report, bar: Bar
) -> bool:
    """Whether it came to its end, without an interruption.  Raises UnreachableError, Fault."""
    progress = _nothing if source.steps else bar.advance
    parts = _counted(source.parts, bar) if source.steps else source.parts

    async def put() -> bool:
        async with target.client() as client:
            ingest = Ingest(client, signer, deadline_s=timeout_s, progress=progress, report=report)
            await ingest.put(parts)
            return True

    try:
        with one_error():
            return bool(trio.run(until_stopped, put))
    except UnreachableError as error:
        raise UnreachableError(f"{error}; {_so_far(report)}") from None
    except KeyboardInterrupt:
        return False


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
