"""`verify`: a receipt checked offline, trusting no node."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.commands.submit import file_digest
from host.home import read_genesis
from ledger.errors import Fault, UserError
from ledger.light import LightClient, Verified
from ledger.limits import RECEIPT_BYTES_MAX


@click.command(
    "verify",
    epilog="Example: python node.py verify a.receipt --genesis genesis.json --data data.csv",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--genesis",
    "genesis_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The network's genesis: the only thing that is trusted.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that the record must be about.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, genesis_file: Path, data: Path | None, as_json: bool) -> int:
    """Check that the transaction in FILE is in the ledger.  Needs no node and no network."""
    genesis = read_genesis(genesis_file)
    if genesis.scheme != "ed25519":
        raise UserError(f"{genesis_file}: signatures of the scheme {genesis.scheme} prove nothing")
    try:
        if file.stat().st_size > RECEIPT_BYTES_MAX:
            raise UserError(f"{file} is no receipt: it is too large")
        raw = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    digest = file_digest(data) if data else None
    try:
        verified = LightClient(genesis).check_receipt(raw)
        if digest is not None:
            verified.check_data(digest)
    except Fault as fault:
        if as_json:
            click.echo(json.dumps({"valid": False, "reason": fault.reason, "detail": fault.detail}))
        click.echo(f"refused: {fault}", err=True)
        return 1
    facts = _facts(verified, with_data=data is not None)
    if as_json:
        click.echo(json.dumps({"valid": True, **facts}))
    else:
        click.echo("valid")
        for name, value in facts.items():
            click.echo(f"  {name:<13}{value}")
    return 0


def _facts(verified: Verified, *, with_data: bool) -> dict[str, object]:
    validators = verified.log.epoch.validators
    facts: dict[str, object] = {
        "transaction": verified.transaction.hex(),
        "sender": verified.sender.hex(),
        "height": verified.height,
        "result": verified.result.name.lower()
        + (f": {verified.reason}" if verified.reason else ""),
        "leaf": f"{verified.index} of {verified.log.head.size}",
        "signed_by": f"{len(verified.log.signers)} of {validators.size} validators",
        "rests_on": verified.fault_model,
    }
    if verified.application:
        facts["application"] = verified.application
    if with_data:
        facts["data"] = "the record is of this file"
    return facts
