"""`run`: one node from its home."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import click
import trio

from consensus.io import Report
from host.home import read_home
from host.serve import serve
from ledger.errors import LedgerError

QUIET = frozenset({"executed", "decided", "certified"})
"""Facts of every block: counted, and printed only with --verbose."""


@click.command("run", epilog="Example: python node.py run mynet/node0")
@click.argument("home", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print facts as JSON lines.")
@click.option("--verbose", is_flag=True, help="Print the facts of every block, too.")
@click.option("--parent", type=int, default=None, hidden=True)
def command(home: Path, as_json: bool, verbose: bool, parent: int | None) -> None:
    """Run the node whose home is HOME until Ctrl-C or SIGTERM."""
    loaded = read_home(home)

    def say(name: str, **fields: object) -> None:
        if as_json:
            click.echo(json.dumps({"time_ms": time.time_ns() // 1_000_000, "fact": name, **fields}))
            return
        details = " ".join(f"{key}={_plain(value)}" for key, value in fields.items())
        click.echo(f"{time.strftime('%H:%M:%S')} {name} {details}".rstrip())

    def report(fact: Report) -> None:
        if verbose or fact.name not in QUIET:
            say(fact.name, **{key: _plain(value) for key, value in fact.fields})

    def ready() -> None:
        say(
            "ready",
            name=loaded.config.name,
            api=f"http://{loaded.config.api}",
            links=str(loaded.config.listen),
        )

    with _one_error():
        trio.run(_run_until_stopped, loaded, report, ready, parent)
    say("stopped")


async def _run_until_stopped(
    loaded: object, report: object, ready: object, parent: int | None
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_signals, nursery.cancel_scope)
        if parent is not None:
            nursery.start_soon(_watch_parent, parent, nursery.cancel_scope)

        async def serve_node() -> None:
            await serve(loaded, report, ready=ready)  # type: ignore[arg-type]

        nursery.start_soon(serve_node)


async def _watch_signals(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def _watch_parent(parent: int, scope: trio.CancelScope) -> None:
    """Stop when the process that started this one is gone, however it went."""
    while os.getppid() == parent:
        await trio.sleep(0.5)
    scope.cancel()


@contextlib.contextmanager
def _one_error() -> object:  # type: ignore[misc]
    """Of a group of errors of this project, the first: one line for the user."""
    try:
        yield
    except BaseExceptionGroup as group:
        known, other = group.split(LedgerError)
        if known is None or other is not None:
            raise
        while isinstance(known, BaseExceptionGroup):
            known = known.exceptions[0]  # type: ignore[assignment]
        raise known from None


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        # A peer's words end up here: nothing of them may reach the terminal as control codes.
        return "".join(c if c.isprintable() else "?" for c in value)[:300]
    return value
