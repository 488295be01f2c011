"""`audit`: everything in a stopped home, re-hashed and re-verified from the genesis."""

from __future__ import annotations

import json
from pathlib import Path

import click

from host.home import GENESIS_FILE, read_genesis
from host.progress import Bar
from ledger import queries
from ledger.applications import ALL
from ledger.audit import Audited, audit
from ledger.errors import Fault, StorageError, UserError
from ledger.genesis import Genesis
from storage.home import Store, open_store, verify_all


@click.command("audit", epilog="Example: python node.py audit mynet/node0")
@click.argument("home", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(home: Path, as_json: bool) -> int:
    """Check everything that the stopped node with this HOME has stored, from the genesis on.

    Every record is read and compared with its checksum; every block is linked, checked and executed
    again; every signature and certificate is verified.
    """
    if not home.is_dir():
        raise UserError(f"there is no home {home}; `init DIR` makes one (DIR/node0, ...)")
    genesis = read_genesis(home / GENESIS_FILE)
    try:
        with open_store(home, network=genesis.network) as store:
            records = verify_all(store)
            audited = _audit(store, genesis, as_json=as_json)
            survived = store.damage
    except (StorageError, Fault) as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "detail": str(error)}))
        click.echo(f"damaged: {error}", err=True)
        return 1
    facts = _facts(genesis, audited, records)
    if survived:
        facts["survived"] = survived
    if as_json:
        click.echo(json.dumps({"valid": True, **facts}))
    else:
        click.echo("valid")
        for name, value in facts.items():
            click.echo(f"  {name:<14}{value}")
    return 0


def _audit(store: Store, genesis: Genesis, *, as_json: bool) -> Audited:
    with store.snapshot() as reader:
        steps = audit(reader, genesis.network, ALL)
        with Bar("auditing", queries.head(reader, genesis).height, hidden=as_json) as bar:
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    found: Audited = end.value
                    return found
                bar.advance()


def _facts(genesis: Genesis, audited: Audited, records: int) -> dict[str, object]:
    return {
        "network": genesis.network.hex(),
        "height": audited.height,
        "certified": audited.certified,
        "certificates": audited.certificates,
        "transactions": audited.transactions,
        "batches": audited.batches,
        "leaves": audited.size,
        "root": audited.root.hex(),
        "state_hash": audited.state_hash.hex(),
        "records": records,
    }
