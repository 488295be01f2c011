"""`verify`: a receipt, a bundle, a state proof or evidence checked offline, trusting no node."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.bundle_data import compare, named_contents
from host.bundle_facts import Judged, bundle_facts, show_bundle
from host.commands.submit import file_digest
from host.home import read_genesis
from host.state_facts import shown, state_facts
from ledger.bundle import BUNDLE_BYTES_MAX, BundleJudge, is_bundle
from ledger.bundle import DOMAIN as BUNDLE_DOMAIN
from ledger.certified import TreeHead
from ledger.errors import Fault, UserError
from ledger.evidence import DOMAIN, EVIDENCE_BYTES_MAX, Conviction, Equivocation, Judge, is_evidence
from ledger.genesis import Genesis
from ledger.keys import REAL_SCHEMES
from ledger.light import LightClient, Verified
from ledger.limits import RECEIPT_BYTES_MAX
from ledger.state_proof import is_state_proof

LARGE = (
    (is_evidence, EVIDENCE_BYTES_MAX + len(DOMAIN), "evidence"),
    (is_bundle, BUNDLE_BYTES_MAX + len(BUNDLE_DOMAIN), "bundle"),
)
"""Kinds of file that may be larger than a receipt, and how large."""
SHOWN_MAX = 20
"""Pieces of evidence told one by one to a person."""


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
    type=click.Path(path_type=Path),
    help="The file that the record must be about; of a bundle, the file or folder that it names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, genesis_file: Path, data: Path | None, as_json: bool) -> int:
    """Check FILE without any node: a receipt, a bundle, a state proof, or evidence.

    A receipt shows that a transaction is in the ledger.  A bundle shows it of every statement of an
    answer about lineage, and with --data which files are those that it names.  A state proof shows
    a balance, a member, or another value of an application, or that there is none.  Evidence names
    the validators that signed what no honest one signs.  Exit code 0 if all of it holds, 1 if not.
    """
    genesis = read_genesis(genesis_file)
    if genesis.scheme not in REAL_SCHEMES:
        raise UserError(f"{genesis_file}: signatures of the scheme {genesis.scheme} prove nothing")
    raw = _read(file)
    if is_bundle(raw):
        return _verify_bundle(genesis, raw, data, as_json=as_json)
    if data is not None and (is_evidence(raw) or is_state_proof(raw)):
        what = "evidence" if is_evidence(raw) else "a state proof"
        raise UserError(f"{file} is {what}, not a receipt: leave out --data")
    digest = file_digest(data) if data else None
    try:
        facts = _judge(genesis, raw, digest)
    except Fault as fault:
        return _refuse(fault, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"valid": True, **facts}))
    elif is_evidence(raw):
        _show_evidence(facts)
    else:
        click.echo("valid")
        for line in shown(facts):
            click.echo(f"  {line}")
    return 0


def _refuse(fault: Fault, *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"valid": False, "reason": fault.reason, "detail": fault.detail}))
    click.echo(f"refused: {fault}", err=True)
    return 1


def _verify_bundle(genesis: Genesis, raw: bytes, data: Path | None, *, as_json: bool) -> int:
    try:
        verified = BundleJudge(genesis).check(raw)
    except Fault as fault:
        return _refuse(fault, as_json=as_json)
    named = named_contents(verified.statements)
    compared = compare(named, data, hidden=as_json) if data is not None else None
    judged = Judged(verified, genesis, compared)
    if as_json:
        click.echo(json.dumps(bundle_facts(judged)))
    else:
        show_bundle(judged)
    return 1 if judged.faults else 0


def _read(file: Path) -> bytes:
    """The whole file, unless it is too large for what it says it is.  Raises UserError."""
    try:
        with file.open("rb") as source:
            raw = source.read(RECEIPT_BYTES_MAX + 1)
            for is_kind, size, kind in LARGE:
                if is_kind(raw):
                    raw += source.read(size + 1 - len(raw))
                    if len(raw) > size:
                        raise UserError(f"{file} is no {kind}: it is too large")
                    return raw
            if len(raw) > RECEIPT_BYTES_MAX:
                raise UserError(f"{file} is no receipt: it is too large")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    return raw


def _judge(genesis: Genesis, raw: bytes, digest: bytes | None) -> dict[str, object]:
    """What the file proves.  Raises Fault unless all of it holds."""
    if is_evidence(raw):
        return _evidence_facts(genesis, Judge(genesis).check(raw))
    if is_state_proof(raw):
        return state_facts(genesis, LightClient(genesis).check_state(raw))
    verified = LightClient(genesis).check_receipt(raw)
    if digest is not None:
        verified.check_data(digest)
    return _receipt_facts(verified, with_data=digest is not None)


def _receipt_facts(verified: Verified, *, with_data: bool) -> dict[str, object]:
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
    if not verified.is_signed:
        facts["signature"] = "none: on this open test network nobody has to sign"
    if verified.application:
        facts["application"] = verified.application
    if verified.operation is not None and verified.operations > 1:
        salt = "salted" if verified.operation.operation[0] else "not salted"
        facts["operation"] = f"{verified.operation.index} of {verified.operations}, {salt}"
    if with_data:
        facts["data"] = "the record is of this file"
    return facts


# --- evidence -------------------------------------------------------------------------------------


def _evidence_facts(genesis: Genesis, convictions: tuple[Conviction, ...]) -> dict[str, object]:
    """Every piece, and whom all of them name; validators are those of the latest epoch named."""
    epoch = max((each.epoch for each in convictions), key=lambda epoch: epoch.number)
    culprits = {name: None for each in convictions for name in each.names}
    return {
        "network": genesis.name,
        "culprits": sorted(culprits),
        "validators": epoch.validators.size,
        "tolerated": epoch.validators.faults,
        "evidence": [_piece_facts(each) for each in convictions],
    }


def _piece_facts(conviction: Conviction) -> dict[str, object]:
    piece = conviction.piece
    facts: dict[str, object] = {
        "kind": type(piece).__name__.lower(),
        "epoch": conviction.epoch.number,
        "culprits": list(conviction.names),
    }
    if isinstance(piece, Equivocation):
        facts |= {
            "phase": piece.phase,
            "slot": list(piece.slot),
            "values": [piece.first[0].hex(), piece.second[0].hex()],
        }
    else:
        facts["logs"] = [{"size": head.size, "root": head.root.hex()} for head in conviction.heads]
    facts["sentence"] = _sentence(conviction)
    return facts


def _sentence(conviction: Conviction) -> str:
    """What the culprits did, in one line for people."""
    piece, who = conviction.piece, ", ".join(conviction.names)
    if isinstance(piece, Equivocation):
        slot = ", ".join(map(str, piece.slot))
        first, second = (_short(value) for value, _ in (piece.first, piece.second))
        return f"{who} signed {first} and {second} for {piece.phase} ({slot})"
    one, two = (_log(head) for head in conviction.heads)
    return f"{who} signed two pasts: {one}, and {two}"


def _short(value: bytes) -> str:
    return value.hex()[:12] if value else "nil"


def _log(head: TreeHead) -> str:
    return f"a log of {head.size} leaves with root {_short(head.root)}"


def _show_evidence(facts: dict[str, object]) -> None:
    culprits, pieces = facts["culprits"], facts["evidence"]
    assert isinstance(culprits, list)
    assert isinstance(pieces, list)
    click.echo("valid evidence")
    click.echo(f"  {'network':<13}{facts['network']}")
    click.echo(f"  {'culprits':<13}{', '.join(culprits)}")
    click.echo(
        f"  {'named':<13}{len(culprits)} of {facts['validators']} validators, "
        f"where {facts['tolerated']} may be faulty"
    )
    for piece in pieces[:SHOWN_MAX]:
        click.echo(f"  {piece['kind']:<13}{piece['sentence']}")
    if len(pieces) > SHOWN_MAX:
        click.echo(f"  and {len(pieces) - SHOWN_MAX} more")
