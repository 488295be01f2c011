"""`submit`: a file's digest, or many operations, confirmed."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import click
import msgpack
import trio

from api.client import Outcome
from host import salting
from host.commands.options import Target, network_options
from ledger.applications.records import make_record
from ledger.errors import Fault, UnreachableError, UserError
from ledger.transaction import Operation, grouped


@click.command(
    "submit",
    epilog="Example: python node.py submit --network mynet --record data.csv",
)
@click.argument("source", required=False, type=click.Choice(["-"]))
@click.option(
    "--record",
    "records",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Record this file's name and SHA-256; the file itself stays where it is.  May be given "
    "more than once.",
)
@click.option(
    "--operations",
    "operations",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Operations as JSON or msgpack; - reads them from standard input.",
)
@click.option(
    "--salted",
    is_flag=True,
    help="Salt each operation, so that one can be shown without the others.",
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
    help="Seconds to wait for confirmation.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    source: str | None,
    records: tuple[Path, ...],
    operations: Path | None,
    salted: bool,
    key: Path | None,
    timeout_s: float,
    target: Target,
    as_json: bool,
) -> int:
    """Submit, wait until it is confirmed, and print the transaction's id.

    Operations are a list of {"application", "version", "body"} with a body in base64, or for
    records {"application": "records", "name", "digest"|"content"}.  All go into one transaction
    where there is room; docs/disclosure.md shows how to prove one without showing the others.
    """
    if sum(map(bool, (source, records, operations))) != 1:
        raise UserError("say what to submit: --record FILE, --operations FILE, or -")
    if records:
        found = [_record_of(path) for path in records]
    else:
        raw = (
            sys.stdin.buffer.read()
            if operations is None or str(operations) == "-"
            else (_read(operations))
        )
        found = parse_operations(raw)
    if salted:
        found = salting.salted(found)
    else:
        _warn(found, [path.stat().st_size for path in records])
    parts = list(grouped(found))
    ended: list[Outcome] = []

    async def submit() -> list[Outcome]:
        async with target.client(key=key, sign=True) as client:
            height = await client.certified_height()
            transactions = [client.sign(part, height=height) for part in parts]
            with click.progressbar(
                length=len(parts),
                label="submitting",
                file=sys.stderr,
                hidden=len(parts) < 8 or as_json,
            ) as bar:

                def note(outcome: Outcome) -> None:
                    ended.append(outcome)
                    bar.update(1)

                return await client.submit_many(transactions, progress=note, deadline_s=timeout_s)

    try:
        outcomes = trio.run(submit)
    except UnreachableError:
        # What has ended stays so, and its ids are worth having.
        for outcome in ended:
            say(outcome, as_json=as_json)
        raise
    for outcome in outcomes:
        say(outcome, as_json=as_json)
    return 0 if all(outcome.status == "applied" for outcome in outcomes) else 1


def say(outcome: Outcome, *, as_json: bool) -> None:
    """Print how a transaction ended: its id, or why it did not apply."""
    if as_json:
        line = {"id": outcome.id.hex(), "status": outcome.status, "height": outcome.height}
        if outcome.reason:
            line["reason"] = outcome.reason
        click.echo(json.dumps(line))
    elif outcome.status == "applied":
        click.echo(outcome.id.hex())
    else:
        click.echo(f"error: {outcome.id.hex()} {outcome.status}: {outcome.reason}", err=True)


def _warn(operations: list[Operation], sizes: list[int]) -> None:
    """Say so where receipts of single operations would give others away.

    `sizes` are those of recorded files: the digest of a short one is as easily guessed as the file.
    """
    if len(operations) < 2:
        return
    guessable = sum(map(salting.is_guessable, operations))
    guessable += sum(size < salting.GUESSABLE_BYTES for size in sizes)
    if guessable:
        click.echo(salting.warning(guessable, len(operations)), err=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file of any size.  Raises UserError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _record_of(path: Path) -> Operation:
    digest = file_digest(path)
    try:
        return make_record(path.name, digest)
    except Fault as fault:
        raise UserError(f"{path}: {fault}") from None


def parse_operations(raw: bytes) -> list[Operation]:
    """Operations of a JSON or msgpack document.  Raises UserError."""
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError):
        try:
            document = msgpack.unpackb(raw)
        except (ValueError, TypeError, RecursionError):
            raise UserError("the operations are neither JSON nor msgpack") from None
    if isinstance(document, dict):
        document = document.get("operations")
    if not isinstance(document, list) or not document:
        raise UserError("the operations must be a list that is not empty")
    return [_operation(item, number) for number, item in enumerate(document)]


def _operation(item: Any, number: int) -> Operation:
    try:
        application = item["application"]
        if application == "records" and "body" not in item:
            content = _bytes(item.get("content", b""))
            digest = item.get("digest", b"")
            digest = bytes.fromhex(digest) if isinstance(digest, str) else digest
            return make_record(item.get("name", ""), digest, content)
        salt = _bytes(item.get("salt", b""))
        return Operation(str(application), int(item["version"]), _bytes(item["body"]), salt)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"operation {number} is malformed: {error!r}") from None
    except Fault as fault:
        raise UserError(f"operation {number}: {fault}") from None


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
