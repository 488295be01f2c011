"""Questions about lineage as the commands ask them: what nodes say, and bundles that prove it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import click
import trio

from host.commands.options import Target
from host.ledger_statements import (
    Said,
    all_statements,
    distinct,
    lineage_statements,
    uri_of,
)
from host.progress import Bar
from ledger.applications.provenance import Statement, parse_statement
from ledger.bundle import Bundle, BundleJudge, VerifiedBundle
from ledger.errors import DecodeFault, Fault, ProofFault, UserError
from ledger.genesis import Genesis
from ledger.joint_receipt import SHOWN_MAX, JointReceipt, Proven
from ledger.lineage import Lineage
from ledger.lineage_question import Question, settle

Asked: TypeAlias = tuple[str, str, int | None]
Joint: TypeAlias = tuple[JointReceipt, tuple[Proven, ...]]
bundle_option = click.option(
    "--bundle",
    "bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a file that proves every statement of the answer, for `verify`.",
)


@dataclass(frozen=True, slots=True)
class Sayings:
    """What nodes say that the ledger holds, in its order."""

    said: Sequence[Said]
    uris: dict[str, str] = field(default_factory=dict)
    """What nodes say that names mean; the others are looked for in the statements."""

    def named(self, name: str) -> str:
        """The URI of a name, or the name where nodes did not say."""
        return self.uris.get(name, name)

    def statements(self) -> list[Statement]:
        """Each once, where it came first."""
        return distinct([each.statement for each in self.said])

    def lineage(self) -> Lineage:
        """All of it, indexed."""
        return Lineage(self.statements())

    def places(self) -> dict[Statement, Said]:
        """Where each statement stands first."""
        found: dict[Statement, Said] = {}
        for each in self.said:
            found.setdefault(each.statement, each)
        return found


def read_sayings(target: Target, *, hidden: bool) -> Sayings:
    """Every statement of a network's ledger.  Raises UnreachableError."""

    async def read() -> Sayings:
        async with target.client() as client:
            height = await client.certified_height()
            found: list[Said] = []
            with Bar("reading the ledger", height, hidden=hidden) as bar:
                reached = 0
                async for page in all_statements(client):
                    found += page
                    if page:
                        bar.advance(page[-1].height - reached)
                        reached = page[-1].height
            return Sayings(found)

    return trio.run(read)


def read_for(target: Target, asked: Sequence[Asked], *, agent: str = "", hidden: bool) -> Sayings:
    """What some questions need, each (word, name of a thing, depth), by a node's index.

    With an agent, also what says whose the things in the answer to the first question are.
    Where no node has an index, or an answer is too much for it, every statement.  Raises
    UnreachableError; Fault("lineage.unknown") and Fault("lineage.ambiguous").
    """

    needed: list[str] = []

    async def read() -> Sayings:
        async with target.client() as client:
            found: dict[tuple[int, int, int], Said] = {}
            uris = {}
            for number, (word, name, depth) in enumerate(asked):
                with_agents = bool(agent) and number == 0
                uris[name], several = await lineage_statements(
                    client, word, name, depth, agents=with_agents
                )
                found |= {each.place: each for each in several}
            needed.extend(uris.values())
            if agent:
                uris[agent] = await uri_of(client, agent)
            return Sayings([found[place] for place in sorted(found)], uris)

    try:
        sayings = trio.run(read)
    except Fault as fault:
        if fault.reason in ("lineage.unknown", "lineage.ambiguous"):
            raise
        return read_sayings(target, hidden=hidden)
    nodes = sayings.lineage().nodes
    if any(uri not in nodes for uri in needed):
        # Named, but nowhere where it matters to the question.
        return read_sayings(target, hidden=hidden)
    return sayings


def write_bundle(
    target: Target, sayings: Sayings, question: Question, file: Path, *, hidden: bool
) -> int:
    """Write the bundle that answers a question, and say so on standard error; the exit code.

    It is 1 where some statement of the answer has no proof.  Raises UnreachableError, UserError,
    and ProofFault where what nodes send proves something else than they say.
    """
    genesis = target.genesis()
    places = sayings.places()
    _, used = settle(places, question)
    if not used:
        raise UserError("the answer rests on no statement: there is nothing to prove")
    if len(used) > SHOWN_MAX:
        raise UserError(f"{len(used):,} statements; a bundle holds {SHOWN_MAX:,}: give a --depth")
    receipt, shown = _prove(target, [places[each] for each in used], hidden=hidden)
    bundle = Bundle(question, receipt, _unproven(used, places, shown))
    raw = bundle.encode()
    verified = _judged(genesis, raw)
    try:
        file.write_bytes(raw)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    proven = len(used) - len(verified.unsigned)
    click.echo(f"{file}: {len(raw):,} bytes prove {proven} of {len(used)} statements", err=True)
    if verified.unsigned:
        click.echo("error: nodes say what they cannot prove; `verify` names it", err=True)
    return 1 if verified.unsigned else 0


def _prove(target: Target, said: Sequence[Said], *, hidden: bool) -> Joint:
    wanted: dict[bytes, list[int]] = {}
    for each in said:
        with _sensible():
            identity = bytes.fromhex(each.transaction)
        wanted.setdefault(identity, []).append(each.operation)
    height = max(each.height for each in said)

    async def ask() -> Joint:
        async with target.client() as client:
            with Bar("proving it", len(wanted), hidden=hidden) as bar:
                return await client.joint_receipt(
                    list(wanted.items()), height, progress=bar.advance
                )

    return trio.run(ask)


def _unproven(
    used: Sequence[Statement], places: dict[Statement, Said], shown: Sequence[Proven]
) -> tuple[bytes, ...]:
    """The bodies of what is said and not proven.  Raises ProofFault where other is proven."""
    proven = {(each.transaction.hex(), each.number): each.body for each in shown}
    missing = []
    for statement in used:
        said = places[statement]
        body = proven.get((said.transaction, said.operation))
        if body is None:
            missing.append(statement.operation().body)
        elif parse_statement(body) != statement:
            raise ProofFault("bundle.other", "a node says another statement than it proves")
    return tuple(sorted(missing))


def _judged(genesis: Genesis, raw: bytes) -> VerifiedBundle:
    """What is written is what anyone can check: nobody gets a file that was not."""
    return BundleJudge(genesis).check(raw)


@contextmanager
def _sensible() -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise DecodeFault("api.malformed", "the node sends no transaction id") from None
