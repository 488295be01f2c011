"""`init`: write a new network."""

from __future__ import annotations

import json
from pathlib import Path

import click

from consensus.registry import protocol_named
from host.commands.leaders import leaders_option
from host.home import CONTENTS
from host.network import Plan, create_network, homes_of
from host.progress import Bar
from ledger.errors import UserError
from ledger.keys import REAL_SCHEMES
from storage.content import ContentStore
from storage.home import default_engine


@click.command(
    "init",
    epilog="Example: python node.py init mynet --validators 4 --protocol tendermint",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--validators", type=click.IntRange(1, 100), default=4, show_default=True)
@click.option("--protocol", default="tendermint", show_default=True, help="Consensus plugin.")
@click.option(
    "--scheme",
    type=click.Choice(REAL_SCHEMES),
    default=REAL_SCHEMES[0],
    show_default=True,
    help="Signatures of validators and members; those of ml-dsa withstand quantum computers.",
)
@leaders_option
@click.option("--name", default="ledger", show_default=True, help="Name of the network.")
@click.option(
    "--storage",
    "engine",
    type=click.Choice(["leveldb", "sqlite"]),
    default=None,
    help="Database engine; the best that is installed unless given.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Where the nodes listen: once for all, or once a validator.  Free ports from 20000 to "
    "31999 unless given, or from those in LEDGER_PORTS=FROM-TO.",
)
@click.option(
    "--topology",
    default="full",
    show_default=True,
    metavar="NAME",
    help="Who has a link to whom: full, ring, random-K, pairs ('0-1 1-2 2-3'), or a file with a "
    "pair in each line.  Where that is not everybody, nodes pass messages on.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=INTEGER",
    help="A parameter of the protocol, such as timeout_propose_ms=500.",
)
@click.option(
    "--application",
    "applications",
    multiple=True,
    metavar="NAME",
    help="An application beside provenance and records: documents, identity, payments.",
)
@click.option(
    "--members",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Members, each with a key of its own: member.key, member1.key, ...",
)
@click.option(
    "--approvals",
    type=click.IntRange(0),
    help="Administrators who must approve a change of members; with identity, 1 unless given.",
)
@click.option("--test-network", is_flag=True, help="Allow what a real network refuses.")
@click.option(
    "--open",
    "open_policy",
    is_flag=True,
    help="Anyone may submit, nobody as well (docs/format.md, 4); needs --test-network.",
)
@click.option(
    "--store",
    "store_bytes",
    type=click.IntRange(1),
    metavar="BYTES",
    help="Keep files of members beside each node, so many bytes at most (docs/contents.md).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folder: Path,
    validators: int,
    protocol: str,
    scheme: str,
    name: str,
    engine: str | None,
    hosts: tuple[str, ...],
    topology: str,
    parameters: tuple[str, ...],
    applications: tuple[str, ...],
    members: int,
    approvals: int | None,
    test_network: bool,
    open_policy: bool,
    store_bytes: int | None,
    as_json: bool,
) -> None:
    """Write DIR/genesis.json, one home per validator (DIR/node0, ...) and DIR/member.key.

    Members may submit transactions; where there are payments or identity they are administrators,
    who issue amounts and approve changes of members.  Ports are taken below the ephemeral range.
    """
    chosen = engine or default_engine()
    plan = Plan(
        name=name,
        validators=validators,
        protocol=protocol_named(protocol),
        engine=chosen,
        hosts=hosts,
        topology=topology,
        parameters=tuple(_parameter(text) for text in parameters),
        test_network=test_network,
        scheme=scheme,
        applications=applications,
        members=members,
        approvals=int("identity" in applications) if approvals is None else approvals,
        policy="open" if open_policy else "members",
    )
    with Bar("making homes", validators, hidden=as_json) as bar:
        genesis = create_network(folder, plan, progress=bar.advance)
    for home in homes_of(folder) if store_bytes is not None else ():
        ContentStore.create(home / CONTENTS, store_bytes or 0)
    homes = [str(home) for home in homes_of(folder)]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "network": genesis.network.hex(),
                    "genesis": str(folder / "genesis.json"),
                    "homes": homes,
                    "member_key": str(folder / "member.key"),
                    "protocol": protocol,
                    "scheme": scheme,
                    "storage": chosen,
                }
            )
        )
        return
    click.echo(f"network   {genesis.name}  {genesis.network.hex()}")
    click.echo(f"protocol  {protocol}, {validators} validators, storage {chosen}")
    click.echo(
        f"homes     {homes[0]} ... {homes[-1]}" if len(homes) > 1 else f"home      {homes[0]}"
    )
    click.echo(f"next      python node.py cluster {folder}")


def _parameter(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not (equals and number.isdigit()):
        raise UserError(f"--parameter {text}: write NAME=INTEGER")
    return name, int(number)
