"""Blocks a minute by protocol and leader policy, while all is well and with crashed validators.

Bare plugins in virtual time, so the numbers are the same on every machine: links of 50 ms, four
validators unless told otherwise, always something to order, one payload a block.  The last
validators crash and stay down; after half a minute, in which back-off may grow, blocks are counted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import click

from consensus.interface import Consensus
from consensus.registry import leaders_of, protocol_named
from host.progress import Bar
from sim.plugin_scenario import Crash, PluginScenario
from sim.plugins import Script

PROTOCOLS = ("tendermint", "jolteon", "hotstuff")
LINK_MS = 50
SETTLE_MS = 30_000
CRASH_MS = 2_000
PENDING = 16
"""So many payloads always wait to be ordered."""
STEP_MS = 100


@dataclass(frozen=True, slots=True)
class Cell:
    """What one protocol did under one policy."""

    blocks: int
    """Decided at the slowest live validator in the time that was counted."""
    views: int
    """Views that passed there meanwhile; rounds, where a value takes one or more of its own."""
    seconds: int
    """How long was counted."""

    @property
    def per_minute(self) -> float:
        return self.blocks * 60 / self.seconds


def play(
    protocol: type[Consensus], *, nodes: int, crashed: int, seconds: int, link_ms: int = LINK_MS
) -> Cell:
    """Run a protocol whose last validators crash, and count the blocks after that."""
    crashes = tuple(Crash(nodes - 1 - each, CRASH_MS, None) for each in range(crashed))
    script = Script(
        PluginScenario(
            protocol,
            nodes=nodes,
            payloads=0,
            payload_max=1,
            delay_us=link_ms * 1_000,
            jitter_us=500,
            crashes=crashes,
        )
    )
    count = 0
    for end_ms in (SETTLE_MS, seconds * 1_000):
        before = _blocks(script, nodes - crashed)
        views = _views(script)
        for _ in range(end_ms // STEP_MS):
            while count < max(_blocks(script, 1), 0) + PENDING:
                count += 1
                script.submit(hashlib.sha256(b"payload %d" % count).digest())
            script.run_ms(STEP_MS)
    return Cell(_blocks(script, nodes - crashed) - before, _views(script) - views, seconds)


def _blocks(script: Script, live: int) -> int:
    """Values with payload that the slowest of the first so many validators decided."""
    return min(
        sum(1 for value in seat.log[: seat.durable] if value.payload)
        for seat in script.seats[:live]
    )


def _views(script: Script) -> int:
    """The view that the first validator is in, or how many rounds its decided values took."""
    seat = script.seats[0]
    view = getattr(seat.plugin, "view", None)
    return view if isinstance(view, int) else sum(value.slot[1] + 1 for value in seat.log)


def table(
    protocols: tuple[str, ...],
    *,
    nodes: int,
    crashed: int,
    seconds: int,
    link_ms: int,
    hidden: bool = False,
) -> dict[str, dict[str, tuple[Cell, Cell]]]:
    """protocol -> policy -> (all up, some crashed)."""
    names = {protocol: leaders_of(protocol_named(protocol)) for protocol in protocols}
    with Bar("playing", 2 * sum(map(len, names.values())), hidden=hidden) as bar:
        rows: dict[str, dict[str, tuple[Cell, Cell]]] = {}
        for protocol in protocols:
            for leaders in names[protocol]:
                plugin = protocol_named(f"{protocol}+{leaders}")
                cells = []
                for down in (0, crashed):
                    cells.append(
                        play(plugin, nodes=nodes, crashed=down, seconds=seconds, link_ms=link_ms)
                    )
                    bar.advance()
                rows.setdefault(protocol, {})[leaders] = (cells[0], cells[1])
    return rows


@click.command()
@click.option(
    "--protocol", "protocols", multiple=True, default=PROTOCOLS, show_default=True, metavar="NAME",
    help="A protocol that rotates by a policy; may be given more than once.",
)  # fmt: skip
@click.option("--nodes", type=click.IntRange(1, 100), default=4, show_default=True)
@click.option("--crashed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=120, show_default=True)
@click.option(
    "--link-ms", type=click.IntRange(1), default=LINK_MS, show_default=True, help="A message takes."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def leaders(
    protocols: tuple[str, ...],
    nodes: int,
    crashed: int,
    seconds: int,
    link_ms: int,
    as_json: bool,
) -> None:
    """Blocks a minute by protocol and leader policy, in virtual time.

    Example: python -m benchmarks leaders --seconds 60
    """
    rows = table(
        protocols,
        nodes=nodes,
        crashed=crashed,
        seconds=seconds,
        link_ms=link_ms,
        hidden=as_json,
    )
    if as_json:
        click.echo(json.dumps(_document(rows, nodes, crashed, seconds, link_ms)))
        return
    click.echo(f"{nodes} validators, links of {link_ms} ms, {seconds} s of virtual time")
    click.echo(
        f"{'protocol':<12}{'leaders':<14}{'all up':>10}{f'{crashed} crashed':>12}{'views':>8}"
    )
    for protocol, policies in rows.items():
        for name, (calm, rough) in policies.items():
            click.echo(
                f"{protocol:<12}{name:<14}{calm.per_minute:>10.0f}{rough.per_minute:>12.1f}"
                f"{rough.views:>8}"
            )
    click.echo("blocks a minute; views that passed while some were down")


def _document(
    rows: dict[str, dict[str, tuple[Cell, Cell]]],
    nodes: int,
    crashed: int,
    seconds: int,
    link_ms: int,
) -> dict[str, object]:
    return {
        "nodes": nodes,
        "crashed": crashed,
        "seconds": seconds,
        "link_ms": link_ms,
        "blocks_per_minute": {
            protocol: {
                name: {"all_up": calm.per_minute, "crashed": rough.per_minute}
                for name, (calm, rough) in policies.items()
            }
            for protocol, policies in rows.items()
        },
    }
