"""`document`: versions of what may have to be forgotten one day."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import trio

from api.client import Outcome
from host.commands.balance import account_of
from host.commands.identity_acts import acting_options
from host.commands.options import Target, network_options
from host.commands.submit import file_digest, say
from host.document_chain import Chain, read_chain
from host.document_store import DocumentStore, read_opening
from host.home import read_genesis
from host.state_facts import shown, state_facts
from ledger.applications.documents import Act, Body, make_act, version_facts
from ledger.errors import Fault, ProofFault, UserError
from ledger.light import LightClient
from ledger.limits import RECEIPT_BYTES_MAX
from ledger.transaction import Operation

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where contents are kept; DIR/documents of the network unless given.",
)


@click.group("document", epilog="Example: python node.py document put plan.txt --network mynet")
def command() -> None:
    """Versions of documents whose content is never on the ledger, and can be deleted.

    The network must run it: `init --application documents`.  docs/documents.md walks through it.
    """


@command.command(
    "put", epilog="Example: python node.py document put plan.txt --retention tax --network mynet"
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", help="The document's name; the file's unless given.")
@click.option("--retention", metavar="CLASS", help="Such as `tax`; as before unless given.")
@click.option(
    "--keep-until",
    "keep_until",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="UTC; no tombstone before this time; as before unless given.",
)
@store_option
@acting_options
def put(
    file: Path,
    name: str | None,
    retention: str | None,
    keep_until: datetime | None,
    store: Path | None,
    key: Path | None,
    target: Target,
    as_json: bool,
) -> int:
    """Record FILE as the first or next version of a document, and keep a copy of it in the store.

    The ledger gets a commitment: a hash over a random salt and the file's digest.
    """
    called = file.name if name is None else name
    contents = _store(store, target)
    file_digest(file)

    async def act() -> tuple[Outcome, bytes]:
        async with target.client(key=key, sign=True) as client:
            # A ledger without a certificate has no documents either.
            known = await client.certified_height() > 0
            before = (await read_chain(client, called)).document if known else None
            until_ms = before.keep_until_ms if before is not None else 0
            if keep_until is not None:
                until_ms = int(keep_until.replace(tzinfo=UTC).timestamp() * 1_000)
            body = Body(
                Act.PUT,
                called,
                bytes(32),
                before.commitment if before is not None else b"",
                (before.retention if before else "") if retention is None else retention,
                until_ms,
            )
            _operation(body)
            # Kept before it is named, so that no version of the ledger ever lacks its content.
            opening = contents.keep(file)
            operation = _operation(body._replace(commitment=opening.commitment))
            return await client.submit([operation]), opening.commitment

    outcome, made = trio.run(act)
    if outcome.status != "applied":
        contents.erase([made])
    say(outcome, as_json=as_json)
    return 0 if outcome.status == "applied" else 1


@command.command("show", epilog="Example: python node.py document show plan.txt --network mynet")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the proof of the latest version to a file, for `document check` and `verify`.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, output: Path | None, target: Target, as_json: bool) -> int:
    """Show a document and the chain of its versions, each proved.

    Exit code 1 where the proof shows that there was never such a document.
    """
    chain = _chain(target, name)
    if output is not None:
        try:
            output.write_bytes(chain.raw)
        except OSError as error:
            raise UserError(f"cannot write {output}: {error.strerror}") from None
    show_chain(target, chain, as_json=as_json)
    return 0 if chain.document is not None else 1


@command.command("give", epilog="Example: python node.py document give plan.txt KEY --network n")
@click.argument("name")
@click.argument("public_key", metavar="KEY")
@acting_options
def give(name: str, public_key: str, key: Path | None, target: Target, as_json: bool) -> int:
    """Make another KEY the owner: before rotating one's own, or for a successor."""
    outcome = _submitted(target, key, Body(Act.GIVE, name, key=account_of(public_key)))
    say(outcome, as_json=as_json)
    return 0 if outcome.status == "applied" else 1


@command.command(
    "tombstone", epilog="Example: python node.py document tombstone plan.txt --network mynet"
)
@click.argument("name")
@click.option("--reason", default="", help="Stays on the ledger: say nothing that must go.")
@store_option
@acting_options
def tombstone(
    name: str, reason: str, store: Path | None, key: Path | None, target: Target, as_json: bool
) -> int:
    """End a document, and delete every version's content and salt from the store.

    The ledger keeps the commitments, which tell nothing any more; every proof stays valid.  Refused
    before the document's time.
    """
    contents = _store(store, target)
    outcome = _submitted(target, key, Body(Act.TOMBSTONE, name, reason=reason))
    if outcome.status != "applied" and outcome.reason != "document.gone":
        say(outcome, as_json=as_json)
        return 1
    # Also where the tombstone was there: a store that was away then is cleared now.
    chain = _chain(target, name)
    erased = contents.erase([version.commitment for _, version in chain.versions])
    if as_json:
        line = {"id": outcome.id.hex(), "status": outcome.status, "erased": erased}
        click.echo(json.dumps(line))
    else:
        click.echo(f"{outcome.id.hex()}  {erased} versions deleted from {contents.folder}")
    return 0


@command.command(
    "check",
    epilog="Example: python node.py document check FILE --opening O --proof P --genesis G",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--opening", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--proof", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--genesis", "genesis_file", required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: Path, opening: Path, proof: Path, genesis_file: Path, as_json: bool) -> int:
    """Check offline that FILE is the version that a state proof shows, with its opening.

    Exit code 0 if it is, 1 if not.
    """
    genesis = read_genesis(genesis_file)
    shown_by = read_opening(opening)
    digest = file_digest(file)
    try:
        with proof.open("rb") as source:
            raw = source.read(RECEIPT_BYTES_MAX)
    except OSError as error:
        raise UserError(f"cannot read {proof}: {error.strerror}") from None
    try:
        facts = state_facts(genesis, LightClient(genesis).check_state(raw))
        if digest != shown_by.digest:
            raise ProofFault("document.data", "the opening is for other data")
        if facts.get("commitment") != shown_by.commitment.hex():
            raise ProofFault("document.commitment", "the proof is of another version")
    except Fault as fault:
        if as_json:
            click.echo(json.dumps({"valid": False, "reason": fault.reason, "detail": fault.detail}))
        click.echo(f"refused: {fault}", err=True)
        return 1
    if as_json:
        click.echo(json.dumps({"valid": True, **facts}))
    else:
        click.echo("valid")
        for line in shown(facts):
            click.echo(f"  {line}")
    return 0


# --- parts ----------------------------------------------------------------------------------------


def show_chain(target: Target, chain: Chain, *, as_json: bool) -> None:
    """Print a document and its versions."""
    facts = state_facts(target.genesis(), chain.state)
    rows = [{"number": number, **version_facts(version)} for number, version in chain.versions]
    if as_json:
        click.echo(json.dumps(facts | {"chain": rows}))
        return
    for line in shown(facts):
        click.echo(line)
    for row in rows:
        click.echo(
            f"version {row['number']:<5}{str(row['commitment'])[:16]}  block {row['recorded_at']}"
            f"  by {str(row['sender'])[:16]}  supersedes {str(row['supersedes'])[:16]}"
        )


def _store(store: Path | None, target: Target) -> DocumentStore:
    if store is None and target.folder is None:
        raise UserError("say where contents are kept: --store DIR")
    return DocumentStore(store if store is not None else (target.folder or Path()) / "documents")


def _chain(target: Target, name: str) -> Chain:
    async def ask() -> Chain:
        async with target.client() as client:
            return await read_chain(client, name)

    return trio.run(ask)


def _operation(body: Body) -> Operation:
    try:
        return make_act(body)
    except Fault as fault:
        raise UserError(str(fault)) from None


def _submitted(target: Target, key: Path | None, body: Body) -> Outcome:
    operation = _operation(body)

    async def act() -> Outcome:
        async with target.client(key=key, sign=True) as client:
            return await client.submit([operation])

    return trio.run(act)
