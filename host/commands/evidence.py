"""`evidence`: what nodes hold against validators, and what their stores prove together."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import click
import httpx

from host.home import GENESIS_FILE, read_genesis
from host.network import homes_of
from ledger.errors import Fault, UnreachableError, UserError
from ledger.evidence import EVIDENCE_BYTES_MAX, Judge, encode_evidence
from ledger.forensics import gather_evidence
from ledger.genesis import Genesis
from ledger.store import Reader
from storage.home import open_store


@click.command(
    "evidence", epilog="Example: python node.py evidence --network mynet -o found.evidence"
)
@click.option(
    "--network",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder that init wrote; its nodes have stopped, unless --api is given.",
)
@click.option(
    "--api",
    "urls",
    multiple=True,
    metavar="URL",
    help="Ask these running nodes instead; may be given more than once.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folder: Path, urls: tuple[str, ...], output: Path, as_json: bool) -> None:
    """Collect the evidence of all nodes of a network in one file, and name the culprits.

    The stores of stopped nodes are also compared with each other: a fork that no node ever noticed
    shows there.  `verify` checks the file anywhere.
    """
    genesis = read_genesis(folder / GENESIS_FILE)
    pieces = _ask(genesis, urls) if urls else _read(genesis, homes_of(folder))
    judge = Judge(genesis)
    culprits = sorted({name for piece in pieces for name in judge.check_raw(piece).names})
    if pieces:
        try:
            output.write_bytes(encode_evidence(genesis.network, pieces))
        except OSError as error:
            raise UserError(f"cannot write {output}: {error.strerror}") from None
    if as_json:
        told = str(output) if pieces else None
        click.echo(json.dumps({"pieces": len(pieces), "culprits": culprits, "file": told}))
    elif pieces:
        click.echo(f"{output}: {len(pieces)} pieces against {', '.join(culprits)}")
    else:
        click.echo("nothing is held against any validator; no file is written")


def _read(genesis: Genesis, homes: list[Path]) -> tuple[bytes, ...]:
    """What the stores of stopped nodes hold and prove together."""
    with ExitStack() as stack:
        stores: list[Reader] = [
            stack.enter_context(
                stack.enter_context(open_store(home, network=genesis.network)).snapshot()
            )
            for home in homes
        ]
        return gather_evidence(genesis, stores)


def _ask(genesis: Genesis, urls: tuple[str, ...]) -> tuple[bytes, ...]:
    """What running nodes hold; nothing that does not hold is taken from them."""
    judge = Judge(genesis)
    pieces: dict[bytes, None] = {}
    for url in urls:
        try:
            answer = httpx.get(f"{url.rstrip('/')}/v1/evidence")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnreachableError(f"{url} does not answer: {error}") from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            continue
        try:
            if len(answer.content) > EVIDENCE_BYTES_MAX:
                raise Fault("evidence.size", f"{len(answer.content)} bytes")
            convictions = judge.check(answer.content)
        except Fault as fault:
            raise UnreachableError(f"{url} sends evidence that does not hold: {fault}") from None
        pieces.update((conviction.piece.encode(), None) for conviction in convictions)
    return tuple(pieces)
