"""What this machine can be made to suffer, and how: native, emulated, or not possible.

A suite that needs what is not possible is refused before anything runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from benchmarks.harness import native_disks, throttle
from benchmarks.harness.disks import can_mount
from benchmarks.harness.janitor import workspace
from benchmarks.harness.namespaces import lacking
from benchmarks.harness.suite import FULL_DISK, SMALL_DISK, Experiment, Suite, one_way_ms
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
    """What suites use unless they say `native = true`, tried where that does no harm."""
    links = ("partition", "one-way", "loss", "delay", "bandwidth", "reset")
    with workspace() as place:
        disk = can_mount(place)
    return [
        Ability("crash, pause, restart", ("kill", "pause", "rolling"), NATIVE, "signals"),
        Ability("bad links", links, EMULATED, "a relay in user space between every two nodes"),
        Ability("flooding client", ("flood",), NATIVE, "a process of its own"),
        Ability("Byzantine validators", (), NATIVE, "processes on a network made for tests"),
        Ability("clock skew", (), EMULATED, "the node adds it to the clock that it reads"),
        Ability("slow disk", ("slow-disk",), EMULATED, "the node waits before each synced write"),
        Ability(
            "failing sync", ("failing-sync",), EMULATED, "the node's engine says that it failed"
        ),
        Ability(
            "full disk", (FULL_DISK,), EMULATED, "the node's engine says that there is no room"
        ),
        Ability(
            SMALL_DISK,
            (SMALL_DISK,),
            NATIVE if disk else IMPOSSIBLE,
            "a small tmpfs, filled" if disk else "mounting a tmpfs takes root",
        ),
    ]


def native_abilities() -> list[Ability]:
    """What the kernel itself does here for suites that say `native = true`; all of it tried."""
    lacks = lacking()
    # Without these there is no network of namespaces to make anything bad in.
    none = lacks.get("namespaces") or lacks.get("bandwidth") or ""
    links = [
        ("network namespaces", (), "", "one a node, joined by a hub that routes"),
        ("partition", ("partition", "one-way"), "partition", "a rule of the hub's routing"),
        ("narrow links", ("bandwidth",), "bandwidth", "tc with htb"),
        ("slow, lossy links", ("delay", "loss"), "netem", "tc with netem"),
        ("resets", ("reset",), "reset", "ss -K"),
    ]
    found = [(name, kinds, none or lacks.get(key, ""), how) for name, kinds, key, how in links]
    with workspace() as place:
        slow, failing = throttle.complaint(place), native_disks.complaint(place)
    found.append(("slow disk", ("slow-disk",), slow, "control groups count the writes"))
    found.append(("failing sync", ("failing-sync",), failing, "ext4 on a file without room"))
    return [
        Ability(
            f"{NATIVE}: {name}", kinds, IMPOSSIBLE if why else NATIVE, f"{how}{why and ': '}{why}"
        )
        for name, kinds, why, how in found
    ]


def check_possible(
    suite: Suite,
    found: Sequence[Ability] | None = None,
    native: Sequence[Ability] | None = None,
) -> None:
    """Raise UserError where a suite needs what cannot be done here, or by these abilities."""
    for one in suite.experiments:
        needed = _needed(suite, one)
        if one.native:
            native = native_abilities() if native is None else native
            # The namespaces, and of the rest what the kernel has a way to do at all.
            _check({"", *needed}, native)
            needed -= {kind for ability in native for kind in ability.kinds}
        if needed:
            found = abilities() if found is None else found
            _check(needed, found)


def _needed(suite: Suite, one: Experiment) -> set[str]:
    """The kinds of trouble that an experiment makes."""
    used = [scenario for scenario in suite.scenarios if scenario.name in one.scenarios]
    kinds = {event.needs for scenario in used for event in scenario.events}
    if any(any(one_way_ms(link, 0, 1)) for link in one.links):
        kinds.add("delay")
    return kinds


def _check(needed: set[str], able: Sequence[Ability]) -> None:
    for ability in able:
        lacking_kinds = sorted(needed & set(ability.kinds or ("",)))
        if ability.how == IMPOSSIBLE and lacking_kinds:
            raise UserError(
                f"the suite needs {lacking_kinds[0] or ability.name}, which is not possible: "
                f"{ability.why}"
            )


@click.command("probe", epilog="Example: python -m benchmarks probe")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show which faults this machine can be made to suffer, and how."""
    found = [*abilities(), *native_abilities()]
    if as_json:
        click.echo(json.dumps([asdict(ability) for ability in found]))
        return
    for ability in found:
        click.echo(f"{ability.name:<28}{ability.how:<14}{ability.why}")
