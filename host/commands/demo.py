"""`demo`: four validators on this machine, real data, a proof, a crash, and what it all cost."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import trio

from consensus.registry import protocol_named
from host.commands.leaders import leaders_option
from host.demo.lead import Settings, run_demo
from host.demo.material import PROGRAM
from host.demo.screen import Screen
from host.network import Plan
from host.signals import one_error, until_stopped
from ledger.errors import UserError
from storage.home import default_engine

VALIDATORS = 4
INTERRUPTED = 130


@click.command("demo", epilog="Example: python node.py demo --protocol jolteon --stay")
@click.option("--protocol", default="tendermint", show_default=True, help="Consensus plugin.")
@leaders_option
@click.option(
    "--storage",
    "engine",
    type=click.Choice(["leveldb", "sqlite"]),
    default=None,
    help="Database engine; the best that is installed unless given.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Make the network here and keep it; else it is temporary.",
)
@click.option("--stay", is_flag=True, help="Keep the nodes running after the summary.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end.")
def command(
    protocol: str, engine: str | None, folder: Path | None, stay: bool, as_json: bool
) -> int:
    """Start four validators, record real data, prove it offline, kill one and bring it back.

    The data is the provenance of the git repository you stand in, else the W3C PROV primer.  Ends
    with a summary within two minutes: exit code 0 if everything that it shows is true.
    """
    plan = Plan(
        name="demo",
        validators=VALIDATORS,
        protocol=protocol_named(protocol),
        engine=engine or default_engine(),
        hosts=(),
    )
    screen = Screen(quiet=as_json)
    is_told = False
    with _folder(folder, keep=stay) as network, one_error():
        settings = Settings(
            folder=network,
            plan=plan,
            sources=(Path.cwd(), PROGRAM),
            stay=stay,
            keep=stay or folder is not None,
        )

        def sum_up() -> None:
            nonlocal is_told
            is_told = True
            if as_json:
                click.echo(json.dumps(_document(screen, plan)))
            else:
                screen.summary(settings.closing())

        trio.run(until_stopped, run_demo, settings, screen, sum_up)
    if not is_told:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    return 0 if screen.holds else 1


@contextmanager
def _folder(chosen: Path | None, *, keep: bool) -> Iterator[Path]:
    """The folder of the network; a temporary one is gone afterwards, unless it is to be kept."""
    if chosen is not None:
        yield chosen
        return
    try:
        made = Path(tempfile.mkdtemp(prefix="ledger-demo-"))
    except OSError as error:
        raise UserError(f"no temporary directory: {error}; use --dir DIR") from None
    try:
        yield made
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


def _document(screen: Screen, plan: Plan) -> dict[str, object]:
    return {
        "holds": screen.holds,
        "protocol": plan.protocol.name,
        "storage": plan.engine,
        "validators": plan.validators,
        "seconds": round(screen.seconds, 3),
        "facts": [
            {"name": fact.name, "holds": fact.holds, "text": fact.text, **fact.figures}
            for fact in screen.facts
        ],
    }
