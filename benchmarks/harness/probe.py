"""What this machine can be made to suffer, and how: native, emulated, or not possible.

A suite that needs what is not possible is refused before anything runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from benchmarks.harness.disks import can_mount
from benchmarks.harness.suite import Suite
from ledger.errors import UserError

NATIVE, EMULATED, IMPOSSIBLE = "native", "emulated", "not possible"


@dataclass(frozen=True, slots=True)
class Ability:
    """One kind of trouble."""

    name: str
    kinds: tuple[str, ...]
    """Events of suites that need it."""
    how: str
    """native, emulated, or not possible."""
    why: str


def abilities() -> list[Ability]:
    """Everything that is known of, tried where that does no harm."""
    links = ("partition", "one-way", "loss", "delay", "bandwidth", "reset")
    disk = can_mount()
    return [
        Ability("crash, pause, restart", ("kill", "pause", "rolling"), NATIVE, "signals"),
        Ability("bad links", links, EMULATED, "a relay in user space between every two nodes"),
        Ability("flooding client", ("flood",), NATIVE, "a process of its own"),
        Ability("Byzantine validators", (), NATIVE, "processes on a network made for tests"),
        Ability("clock skew", (), EMULATED, "the node adds it to the clock that it reads"),
        Ability(
            "full disk",
            ("full-disk",),
            NATIVE if disk else IMPOSSIBLE,
            "a small tmpfs, filled" if disk else "mounting a tmpfs takes root",
        ),
        Ability("slow disk, failing sync", (), IMPOSSIBLE, "only the simulator has them"),
        Ability("network namespaces, tc", (), IMPOSSIBLE, "not used: the relays need no rights"),
    ]


def check_possible(suite: Suite, found: Sequence[Ability] | None = None) -> None:
    """Raise UserError where a suite needs what cannot be done here, or by these abilities."""
    used = {name for one in suite.experiments for name in one.scenarios}
    needed = {
        event.kind
        for scenario in suite.scenarios
        if scenario.name in used
        for event in scenario.events
    }
    for ability in abilities() if found is None else found:
        lacking = sorted(needed & set(ability.kinds))
        if ability.how == IMPOSSIBLE and lacking:
            raise UserError(f"the suite needs {lacking[0]}, which is not possible: {ability.why}")


@click.command("probe", epilog="Example: python -m benchmarks probe")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show which faults this machine can be made to suffer, and how."""
    found = abilities()
    if as_json:
        click.echo(json.dumps([asdict(ability) for ability in found]))
        return
    for ability in found:
        click.echo(f"{ability.name:<26}{ability.how:<14}{ability.why}")
