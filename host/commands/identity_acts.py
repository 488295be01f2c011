"""`identity add`, `approve`, `rotate` and the others that change something."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import trio

from api.client import LedgerClient, Outcome
from host.commands.options import Target, network_options, parse_id, parse_public_key, shown_briefly
from host.commands.submit import say
from host.home import read_private, write_private
from host.state_facts import state_facts
from ledger.applications import identity_body
from ledger.applications.identity_body import Act, Body, make_act, make_rotation, proposal_id
from ledger.applications.identity_state import proposal_key
from ledger.errors import Fault, UnreachableError, UserError
from ledger.genesis import ROLES
from ledger.keys import SEED_BYTES
from ledger.light import VerifiedState

F = TypeVar("F", bound=Callable[..., Any])
CATCH_UP_S = 10.0
"""How long to wait for a node whose certificate covers what was just confirmed."""


def acting_options(function: F) -> F:
    """Adds the network's options, --key and --json."""

    @click.option(
        "--key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Who acts; DIR/member.key unless given.",
    )
    @network_options
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


role_option = click.option(
    "--role",
    "given",
    multiple=True,
    type=click.Choice(ROLES),
    help="May be given more than once; submitter unless given.",
)


@click.command(
    "add", epilog="Example: python node.py identity add bob KEY --role submitter --network mynet"
)
@click.argument("name")
@click.argument("public_key", metavar="KEY")
@role_option
@acting_options
def add(
    name: str,
    public_key: str,
    given: tuple[str, ...],
    key: Path | None,
    target: Target,
    as_json: bool,
) -> int:
    """Propose NAME as a member, with KEY, a public key as `keys new` prints it.

    Takes effect with as many approvals of administrators as the genesis asks for; the proposal is
    the first.
    """
    body = Body(Act.ADD, name, _public_key(public_key), _ordered(given))
    return _propose(body, key, target, as_json=as_json)


@click.command("remove", epilog="Example: python node.py identity remove bob --network mynet")
@click.argument("name")
@acting_options
def remove(name: str, key: Path | None, target: Target, as_json: bool) -> int:
    """Propose that NAME is a member no more: its key dies, and the name is never used again."""
    return _propose(Body(Act.REMOVE, name), key, target, as_json=as_json)


@click.command(
    "roles", epilog="Example: python node.py identity roles bob --role auditor --network mynet"
)
@click.argument("name")
@role_option
@acting_options
def roles(
    name: str, given: tuple[str, ...], key: Path | None, target: Target, as_json: bool
) -> int:
    """Propose that NAME has these roles and no others."""
    return _propose(Body(Act.ROLES, name, roles=_ordered(given)), key, target, as_json=as_json)


@click.command("replace", epilog="Example: python node.py identity replace bob KEY --network mynet")
@click.argument("name")
@click.argument("public_key", metavar="KEY")
@acting_options
def replace(name: str, public_key: str, key: Path | None, target: Target, as_json: bool) -> int:
    """Propose another KEY for NAME, whose own is lost or revoked.

    Whoever still has the old key rotates it alone: `identity rotate`.
    """
    body = Body(Act.REPLACE, name, _public_key(public_key))
    return _propose(body, key, target, as_json=as_json)


@click.command(
    "approve", epilog="Example: python node.py identity approve PROPOSAL --key ada.key --network n"
)
@click.argument("proposal")
@acting_options
def approve(proposal: str, key: Path | None, target: Target, as_json: bool) -> int:
    """Approve a PROPOSAL, after it was read with a proof and shown on standard error.

    `identity show` lists the open ones.
    """
    identity = _proposal_of(proposal)

    async def act() -> tuple[Outcome, VerifiedState | None]:
        async with target.client(key=key, sign=True) as client:
            _, found = await client.state(identity_body.NAME, proposal_key(identity))
            facts = state_facts(client.genesis, found)
            if "change" not in facts:
                raise Fault("identity.no-proposal", f"{proposal} after block {found.height}")
            click.echo(f"approving {_sentence(facts['change'])}", err=True)
            outcome = await client.submit([make_act(Body(Act.APPROVE, proposal=identity))])
            return outcome, await _followed(client, outcome, identity)

    outcome, state = trio.run(act)
    return _say(target, outcome, identity, state, as_json=as_json)


@click.command(
    "withdraw", epilog="Example: python node.py identity withdraw PROPOSAL --network mynet"
)
@click.argument("proposal")
@acting_options
def withdraw(proposal: str, key: Path | None, target: Target, as_json: bool) -> int:
    """Take back one's own approval of a PROPOSAL; without any, it is gone."""
    body = Body(Act.WITHDRAW, proposal=_proposal_of(proposal))
    outcome = _submitted(target, key, body)
    say(outcome, as_json=as_json)
    return 0 if outcome.status == "applied" else 1


@click.command(
    "rotate",
    epilog="Example: python node.py identity rotate --new new.key --key bob.key --network n",
)
@click.option(
    "--new",
    "new",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The new key; made where there is no such file.",
)
@acting_options
def rotate(new: Path, key: Path | None, target: Target, as_json: bool) -> int:
    """Put a new key in the place of one's own, which is never valid again."""
    scheme = target.genesis().suite.members
    if not new.exists():
        write_private(new, secrets.token_bytes(SEED_BYTES))
    signer = scheme.signer(read_private(new))
    old = target.signer(key).public_key
    operation = make_rotation(target.genesis().network, old, signer)

    async def act() -> Outcome:
        async with target.client(key=key, sign=True) as client:
            return await client.submit([operation])

    outcome = trio.run(act)
    say(outcome, as_json=as_json)
    return 0 if outcome.status == "applied" else 1


@click.command("revoke", epilog="Example: python node.py identity revoke --key bob.key --network n")
@click.confirmation_option(
    "--yes", prompt="Nobody can undo this: only administrators can give you another key.  Revoke?"
)
@acting_options
def revoke(key: Path | None, target: Target, as_json: bool) -> int:
    """Revoke one's own key, such as one that was stolen; administrators can `replace` it."""
    outcome = _submitted(target, key, Body(Act.REVOKE))
    say(outcome, as_json=as_json)
    return 0 if outcome.status == "applied" else 1


# --- parts ----------------------------------------------------------------------------------------


def _ordered(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(role for role in ROLES if role in (given or ("submitter",)))


def _public_key(text: str) -> bytes:
    """The key that a person names.  Raises UserError."""
    public_key = parse_public_key(text)
    if public_key is None:
        raise UserError(
            f"{shown_briefly(text)} is no public key: that is what `keys new` and `keys show` print"
        )
    return public_key


def _check_key(public_key: bytes, target: Target) -> None:
    """Raise UserError unless it may be a key of this network."""
    scheme = target.genesis().suite.members
    try:
        scheme.check_public_key(public_key)
    except Fault:
        raise UserError(
            f"{public_key.hex()[:16]}... is no public key of {scheme.name}, by which members of "
            f"this network sign: `keys new -o FILE --scheme {scheme.name}` makes one"
        ) from None


def _proposal_of(text: str) -> bytes:
    identity = parse_id(text)
    if identity is None:
        raise UserError(f"{text} is no proposal: that is 64 hexadecimal digits")
    return identity


def _submitted(target: Target, key: Path | None, body: Body) -> Outcome:
    operation = _operation(body)

    async def act() -> Outcome:
        async with target.client(key=key, sign=True) as client:
            return await client.submit([operation])

    return trio.run(act)


def _operation(body: Body) -> Any:
    try:
        return make_act(body)
    except Fault as fault:
        raise UserError(str(fault)) from None


def _propose(body: Body, key: Path | None, target: Target, *, as_json: bool) -> int:
    operation = _operation(body)
    if body.key:
        _check_key(body.key, target)

    async def act() -> tuple[Outcome, VerifiedState | None]:
        async with target.client(key=key, sign=True) as client:
            outcome = await client.submit([operation])
            return outcome, await _followed(client, outcome, proposal_id(outcome.id, 0))

    outcome, state = trio.run(act)
    return _say(target, outcome, proposal_id(outcome.id, 0), state, as_json=as_json)


async def _followed(
    client: LedgerClient, outcome: Outcome, identity: bytes
) -> VerifiedState | None:
    """The proposal after the outcome's block, proved; None where the outcome is no success."""
    if outcome.status != "applied":
        return None
    with trio.move_on_after(CATCH_UP_S):
        while True:
            _, found = await client.state(identity_body.NAME, proposal_key(identity))
            if found.height >= (outcome.height or 0):
                return found
            await trio.sleep(0.1)
    raise UnreachableError(f"no node has certified block {outcome.height} yet; ask again: show")


def _say(
    target: Target, outcome: Outcome, identity: bytes, state: VerifiedState | None, *, as_json: bool
) -> int:
    """How a proposal or an approval ended, and whether the change is made."""
    if state is None:
        say(outcome, as_json=as_json)
        return 1
    facts = state_facts(target.genesis(), state)
    approvals = facts.get("approvals", [])
    assert isinstance(approvals, list)
    if as_json:
        line = {
            "id": outcome.id.hex(),
            "status": outcome.status,
            "height": outcome.height,
            "proposal": identity.hex(),
            "made": "change" not in facts,
            "approvals": len(approvals),
        }
        click.echo(json.dumps(line))
    elif "change" in facts:
        click.echo(
            f"{identity.hex()}  proposed: {len(approvals)} of {facts['needed']} approvals, "
            f"after block {state.height}"
        )
    else:
        click.echo(f"{identity.hex()}  done, after block {state.height}")
    return 0


def _sentence(change: object) -> str:
    """A change in one line for people."""
    assert isinstance(change, dict)
    parts = [change["act"], change["name"]]
    if "key" in change:
        parts += ["with key", change["key"]]
    if "roles" in change:
        parts += ["as", ", ".join(change["roles"])]
    return " ".join(parts)
