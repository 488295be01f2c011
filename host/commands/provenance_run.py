"""`provenance run`: a command runs, and the ledger learns what it read and what it made."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import trio

from host.commands.options import Target, network_options
from host.importers.files import (
    NAMESPACES,
    Content,
    content_statement,
    read_content,
)
from host.ingest import Ingest, Report
from ledger.applications.provenance import STRING, Statement, make_statement
from ledger.errors import Fault, UnreachableError, UserError

RUN_NAMESPACES = {**NAMESPACES, "run": "urn:x-run:", "member": "urn:x-member:"}
NOT_STARTED = 127
"""Exit code where the command cannot be started, as a shell has it."""
SIGNALLED = 128
"""Added to the number of the signal that ended a command, as a shell does."""


@dataclass(frozen=True, slots=True)
class Run:
    """What happened."""

    words: tuple[str, ...]
    """The command and its arguments."""
    started: datetime
    ended: datetime
    """Both by this machine's clock, in UTC."""
    exit_status: int
    """As a shell gives it."""
    inputs: tuple[Content, ...]
    """As they were before the command ran."""
    outputs: tuple[Content, ...]
    """Those that were there when it had ended."""


@click.command(
    "run",
    epilog="Example: python node.py provenance run --network mynet --input raw.csv "
    "--output clean.csv -- python clean.py raw.csv clean.csv",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that the command reads; digested before it runs.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that the command makes; digested when it has ended.",
)
@click.option("--label", help="What the run is, for people; the command's name unless given.")
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
    help="Seconds to wait for confirmation.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, on standard error.")
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND [ARGS]...")
def command(
    inputs: tuple[Path, ...],
    outputs: tuple[Path, ...],
    label: str | None,
    key: Path | None,
    timeout_s: float,
    target: Target,
    as_json: bool,
    words: tuple[str, ...],
) -> int:
    """Run COMMAND, and record it: its words, inputs, outputs, when, who, and its exit status.

    Files stay where they are; the ledger gets their SHA-256, names and sizes.  The exit code is the
    command's own, so that it can stand in a script in its place; 3 where the record could not be
    confirmed.  The command's words go onto the ledger: keep secrets out of them.
    """
    signer = target.signer(key)
    read = tuple(read_content(path) for path in inputs)
    trio.run(_reach, target)
    started = datetime.now(UTC)
    status = _run(words)
    ended = datetime.now(UTC)
    made, missing = _contents(outputs)
    run = Run(words, started, ended, status, read, made)
    name = f"run:{started.strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(8)}"
    member = f"member:{signer.public_key.hex()}"
    try:
        statements = list(run_statements(run, name, member, label or Path(words[0]).name))
    except Fault as fault:
        raise UserError(f"the run cannot be recorded: {fault}") from None

    async def put() -> Report:
        async with target.client() as client:
            ingest = Ingest(client, signer, deadline_s=timeout_s)
            return await ingest.put([[statement.operation() for statement in statements]])

    try:
        report = trio.run(put)
    except UnreachableError as error:
        raise UnreachableError(f"the command ended with {status}, not recorded: {error}") from None
    for path in missing:
        click.echo(f"warning: {path} was not made; it is not recorded", err=True)
    _say(run, name, report, as_json=as_json)
    return status


async def _reach(target: Target) -> None:
    """Nothing is run that nobody could record.  Raises UnreachableError."""
    async with target.client() as client:
        await client.certified_height()


def _run(words: Sequence[str]) -> int:
    try:
        with subprocess.Popen(words) as process:
            while True:
                try:
                    code = process.wait()
                    break
                except KeyboardInterrupt:
                    # The terminal has sent it to the command as well, which decides what it means.
                    continue
    except OSError as error:
        click.echo(f"error: {words[0]} does not start: {error.strerror}", err=True)
        return NOT_STARTED
    return SIGNALLED - code if code < 0 else code


def _contents(paths: Sequence[Path]) -> tuple[tuple[Content, ...], list[Path]]:
    """(what is there, what is not)."""
    missing = [path for path in paths if not path.is_file()]
    return tuple(read_content(path) for path in paths if path not in missing), missing


def run_statements(run: Run, name: str, member: str, label: str) -> Iterator[Statement]:
    """What the ledger is told of a run.  Raises Fault where it is too much for one statement."""
    started, ended = run.started.isoformat(), run.ended.isoformat()
    yield _make(
        "activity",
        name,
        {"startTime": started, "endTime": ended},
        [
            ("prov:label", label, STRING),
            ("run:command", shlex.join(run.words), STRING),
            ("run:exitStatus", str(run.exit_status), "xsd:long"),
        ],
    )
    yield _make("agent", member, {})
    yield _make("wasAssociatedWith", "", {"activity": name, "agent": member})
    for content in run.inputs:
        yield content_statement(content)
        yield _make("used", "", {"activity": name, "entity": content.name, "time": started})
    for content in run.outputs:
        yield content_statement(content)
        made = {"entity": content.name, "activity": name, "time": ended}
        yield _make("wasGeneratedBy", "", made)


def _make(
    kind: str, name: str, arguments: dict[str, str], attributes: Sequence[tuple[str, str, str]] = ()
) -> Statement:
    return make_statement(
        kind, name, namespaces=RUN_NAMESPACES, arguments=arguments, attributes=attributes
    )


def _say(run: Run, name: str, report: Report, *, as_json: bool) -> None:
    """On standard error: standard output is the command's."""
    if as_json:
        told = {
            "run": name,
            "exit_status": run.exit_status,
            "inputs": {content.path: content.name for content in run.inputs},
            "outputs": {content.path: content.name for content in run.outputs},
            "transactions": report.transactions,
            "height": report.height,
        }
        click.echo(json.dumps(told), err=True)
        return
    click.echo(
        f"recorded {name}: {len(run.inputs)} read, {len(run.outputs)} made, "
        f"exit status {run.exit_status}, block {report.height}",
        err=True,
    )
