"""`content`: files in the content stores beside nodes."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from pathlib import Path

import click
import httpx

from host.commands.options import Target, network_options, parse_id
from ledger.content import GET, PUT, access_bytes
from ledger.errors import Fault, UnreachableError, UserError
from ledger.genesis import Genesis
from ledger.keys import Signer

VALID_MS = 60_000
"""For which a request is signed."""
TIMEOUT_S = 60.0


@click.command("content", epilog="Example: python node.py content put raw.csv --network mynet")
@click.argument("act", type=click.Choice([PUT, GET]))
@click.argument("what", metavar="FILE|SHA256")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The member's key; DIR/member.key unless given.",
)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    act: str, what: str, output: Path | None, key: Path | None, target: Target, as_json: bool
) -> int:
    """Put FILE into the content store of every node that keeps one, or get the content SHA256.

    Nothing goes onto the ledger: there, statements and records name contents by their SHA-256.
    """
    signer, genesis = target.signer(key), target.genesis()
    if act == PUT:
        content = _read(Path(what))
        digest = sha256(content).digest()
        told: dict[str, object] = {"stores": _put(target, genesis, signer, digest, content)}
    else:
        digest = parse_id(what) or b""
        if not digest or output is None:
            raise UserError("say which and where: content get SHA256 -o FILE")
        content = _get(target, genesis, signer, digest)
        try:
            output.write_bytes(content)
        except OSError as error:
            raise UserError(f"cannot write {output}: {error.strerror}") from None
        told = {"file": str(output)}
    told = {"sha256": digest.hex(), "bytes": len(content), **told}
    if as_json:
        click.echo(json.dumps(told))
    elif act == PUT:
        click.echo(f"{digest.hex()}  {len(content):,} bytes, kept by {told['stores']} nodes")
    else:
        click.echo(f"{output}: {len(content):,} bytes, as its SHA-256 says")
    return 0


def _put(target: Target, genesis: Genesis, signer: Signer, digest: bytes, content: bytes) -> int:
    """How many nodes keep it now.  Raises Fault where none does, UnreachableError."""
    kept, refusals = 0, []
    for url in target.urls:
        answer = _ask("PUT", url, genesis, signer, digest, content=content)
        if answer is not None and answer.status_code == 201:
            kept += 1
        elif answer is not None:
            refusals.append(_error(answer))
    if not kept:
        raise _refusal(target, refusals)
    return kept


def _get(target: Target, genesis: Genesis, signer: Signer, digest: bytes) -> bytes:
    """The content of the first node that has it whole.  Raises Fault, UnreachableError."""
    refusals = []
    for url in target.urls:
        answer = _ask("GET", url, genesis, signer, digest)
        if answer is None:
            continue
        if answer.status_code == 200 and sha256(answer.content).digest() == digest:
            return answer.content
        refusals.append("another content" if answer.status_code == 200 else _error(answer))
    raise _refusal(target, refusals)


def _ask(
    method: str,
    url: str,
    genesis: Genesis,
    signer: Signer,
    digest: bytes,
    *,
    content: bytes | None = None,
) -> httpx.Response | None:
    """What a node answers; None where it does not."""
    expires_ms = time.time_ns() // 1_000_000 + VALID_MS
    act = PUT if method == "PUT" else GET
    signature = signer.sign(access_bytes(genesis.network, act, digest, expires_ms))
    words = f"Ledger {signer.public_key.hex()} {expires_ms} {signature.hex()}"
    try:
        return httpx.request(
            method,
            f"{url}/v1/contents/{digest.hex()}",
            headers={"authorization": words},
            content=content,
            timeout=TIMEOUT_S,
        )
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def _refusal(target: Target, refusals: list[str]) -> Fault | UnreachableError:
    if not refusals:
        return UnreachableError(f"no node answers at {', '.join(target.urls)}")
    return Fault("content.refused", refusals[0])


def _error(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
