"""`run`: one node from its home."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import trio

from consensus.byzantine import ATTACKS, attackers_named
from consensus.io import Report
from host.home import CONFIG_FILE, read_home
from host.ill_disk import IllDisk
from host.serve import check_test_network, serve, setup_of
from host.signals import one_error, until_stopped, watch_parent
from ledger.errors import UnreachableError, UserError

LOUD = frozenset({"link refused", "refused", "refused to vote", "accused", "dropped batch"})
"""What an operator should see; the facts of every block are counted, and printed if --verbose."""


@click.command("run", epilog="Example: python node.py run mynet/node0")
@click.argument("home", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print facts as JSON lines.")
@click.option("--verbose", is_flag=True, help="Print the facts of every block, too.")
@click.option("--parent", type=int, default=None, hidden=True)
@click.option(
    "--byzantine",
    default="",
    metavar="NAME",
    help="Attack instead of following the protocol; on test networks alone.  One of "
    f"{', '.join(ATTACKS)}, or several joined by +.",
)
@click.option("--byzantine-seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--clock-skew-ms",
    type=int,
    default=0,
    metavar="N",
    help="Run with a clock so far ahead; on test networks alone.",
)
@click.option(
    "--disk-delay-ms",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Let each synced write take so much longer; on test networks alone.",
)
@click.option(
    "--fail-sync-after",
    type=click.IntRange(0),
    default=None,
    metavar="N",
    help="Let the sync after so many fail, which stops the node; on test networks alone.",
)
@click.option(
    "--disk-orders",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    hidden=True,
)
def command(
    home: Path,
    as_json: bool,
    verbose: bool,
    parent: int | None,
    byzantine: str,
    byzantine_seed: int,
    clock_skew_ms: int,
    disk_delay_ms: int,
    fail_sync_after: int | None,
    disk_orders: Path | None,
) -> None:
    """Run the node whose home is HOME until Ctrl-C or SIGTERM."""
    if byzantine:
        attackers_named(byzantine)
    if not (home / CONFIG_FILE).is_file():
        raise UserError(f"{home} is no home of a node; `init DIR` makes one (DIR/node0, ...)")
    with refusing_to_start():
        loaded = read_home(home)
        setup = setup_of(loaded, attack=byzantine, attack_seed=byzantine_seed)
        disk = IllDisk(disk_delay_ms, fail_sync_after, disk_orders)
        if clock_skew_ms or disk.is_ill:
            check_test_network(loaded.genesis)

    def say(fact: str, /, **fields: object) -> None:
        if as_json:
            line = {"time_ms": time.time_ns() // 1_000_000, "fact": fact, **fields}
            click.echo(json.dumps(line))
            return
        details = " ".join(f"{key}={value}" for key, value in fields.items())
        click.echo(f"{time.strftime('%H:%M:%S')} {fact} {details}".rstrip())

    def report(fact: Report) -> None:
        if verbose or fact.name in LOUD:
            say(fact.name, **{key: _plain(value) for key, value in fact.fields})

    def ready() -> None:
        config = loaded.config
        liar = {"byzantine": byzantine} if byzantine else {}
        say("ready", name=config.name, api=f"http://{config.api}", links=str(config.listen), **liar)

    serving = partial(
        serve,
        loaded,
        report,
        ready=ready,
        setup=setup,
        clock_skew_ms=clock_skew_ms,
        ill_disk=disk.around(),
    )
    with refusing_to_start(), one_error():
        trio.run(until_stopped, _run, serving, parent)
    say("stopped")


@contextmanager
def refusing_to_start() -> Iterator[None]:
    """What is wrong with a home is no wrong usage: the node refuses to start."""
    try:
        yield
    except UserError as error:
        raise UnreachableError(str(error)) from None


async def _run(serving: Callable[[], Awaitable[None]], parent: int | None) -> None:
    async with trio.open_nursery() as nursery:
        if parent is not None:
            nursery.start_soon(watch_parent, parent, nursery.cancel_scope)
        await serving()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        # A peer's words end up here: nothing of them may reach the terminal as control codes.
        return "".join(c if c.isprintable() else "?" for c in value)[:300]
    return value
