"""`identity show` and `identity resolve`: who the members are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import trio

from api.members import resolution
from host.commands.options import Target, network_options, parse_public_key
from host.state_facts import shown, state_facts
from ledger.applications import identity_body
from ledger.applications.identity_state import key_key, member_key, parse_member
from ledger.did import METHOD, parse_did
from ledger.errors import UserError


@click.command("show", epilog="Example: python node.py identity show bob --network mynet")
@click.argument("who", required=False, metavar="[NAME|KEY]")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(who: str | None, target: Target, as_json: bool) -> None:
    """Show a member by NAME, or whose KEY a public key is or was, proved against a certificate.

    Without either, list members and open proposals: one node's word.
    """
    if who is None:
        _show_all(_listed(target), as_json=as_json)
        return
    key = _key_of(who)
    verified = target.ask_state(identity_body.NAME, key)
    facts = state_facts(target.genesis(), verified)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for line in shown(facts):
        click.echo(line)


@click.command(
    "resolve", epilog="Example: python node.py identity resolve bob --network mynet -o bob.proof"
)
@click.argument("did", metavar="DID|NAME")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the proof to a file, for `verify`.",
)
@network_options
def resolve(did: str, output: Path | None, target: Target) -> int:
    """Print the DID resolution result of a member, checked against the genesis, as JSON.

    Exit code 1 where the proof shows that there was never such a member.
    """
    network = target.genesis().network
    name = did
    if did.startswith("did:"):
        asked, name = parse_did(did)
        if asked != network:
            raise UserError(f"{METHOD}{asked.hex()} is another network than {network.hex()}")
    verified = target.ask_state(identity_body.NAME, member_key(name), output)
    if verified.value is None:
        failed = {"error": "notFound", "errorMessage": f"proved after block {verified.height}"}
        result: dict[str, Any] = {
            "didDocument": None,
            "didDocumentMetadata": {},
            "didResolutionMetadata": failed,
        }
    else:
        result = resolution(network, name, parse_member(verified.value))
    click.echo(json.dumps(result, indent=2))
    return 0 if verified.value is not None else 1


def _key_of(who: str) -> bytes:
    """Where the state keeps a member, or a key in full or by its short form."""
    public_key = parse_public_key(who)
    return member_key(who) if public_key is None else key_key(public_key)


def _listed(target: Target) -> dict[str, Any]:
    """Every member and proposal, page after page."""

    async def ask() -> dict[str, Any]:
        async with target.client() as client:
            found = await client.get_json("/v1/members")
            while len(found["members"]) < found["total"]:
                more = await client.get_json(f"/v1/members?offset={len(found['members'])}")
                if not more["members"]:
                    break
                found["members"] += more["members"]
            return found

    return trio.run(ask)


def _show_all(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    for row in found["members"]:
        roles = ", ".join(row["roles"]) or row["status"]
        click.echo(f"{row['member']:<16}{row['key'][:16]:<18}{roles}")
    for row in found["proposals"]:
        change = row["change"]
        click.echo(
            f"open {row['id']}  {change['act']} {change['name']}: "
            f"{len(row['approvals'])} of {found['approvals']} approvals"
        )
