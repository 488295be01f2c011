"""What a machine can be made to suffer is told before anything runs, and small disks fill up."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from benchmarks.harness.disks import FILLER, can_mount, fill, small_disk
from benchmarks.harness.probe import (
    EMULATED,
    IMPOSSIBLE,
    NATIVE,
    Ability,
    abilities,
    check_possible,
    native_abilities,
)
from benchmarks.harness.suite import (
    DISK_KINDS,
    FULL_DISK,
    KINDS,
    LINK_KINDS,
    SMALL_DISK,
    Event,
    Experiment,
    Scenario,
    Suite,
)
from ledger.errors import UnreachableError, UserError


def suite(
    kind: str, *, native: bool = False, link: str = "loopback", amount: float = 16.0
) -> Suite:
    scenario = Scenario("trouble", (Event(kind, 5.0, 6.0, "1", amount),))
    one = Experiment("e", scenarios=("trouble",), native=native, links=(link,))
    return Suite("T", "Q?", scenarios=(scenario,), experiments=(one,))


def without(kind: str, found: list[Ability]) -> list[Ability]:
    """The same machine, but for one kind; "" for what all native links need."""
    return [
        replace(one, how=IMPOSSIBLE, why="no root") if kind in (one.kinds or ("",)) else one
        for one in found
    ]


ALL_NATIVE = [
    Ability("spaces", (), NATIVE, ""),
    Ability("links", ("partition", "delay"), NATIVE, ""),
    Ability("disks", ("slow-disk",), NATIVE, ""),
]


def test_every_kind_of_event_is_some_ability_and_no_ability_needs_more() -> None:
    found = [kind for ability in abilities() for kind in ability.kinds]

    assert sorted(found) == sorted([*KINDS, SMALL_DISK])


def test_what_the_kernel_does_is_some_of_it() -> None:
    found = [kind for ability in native_abilities() for kind in ability.kinds]

    assert sorted(found) == sorted((LINK_KINDS | DISK_KINDS) - {FULL_DISK})


def test_the_command_tells_of_every_ability() -> None:
    told = json.loads(CliRunner().invoke(benchmarks, ["probe", "--json"]).output)

    assert {row["how"] for row in told} <= {NATIVE, EMULATED, IMPOSSIBLE}
    assert all(row["why"] for row in told)
    lines = CliRunner().invoke(benchmarks, ["probe"]).output.splitlines()
    assert len(lines) == len(told)


def test_a_suite_that_needs_what_is_not_possible_is_refused() -> None:
    poor = without(SMALL_DISK, abilities())

    check_possible(suite("kill"), poor)
    check_possible(suite("full-disk", amount=0.0), poor)
    with pytest.raises(UserError, match="full-disk of a size.*no root"):
        check_possible(suite("full-disk"), poor)


def test_a_suite_that_wants_the_kernel_gets_nothing_else() -> None:
    usual = without("partition", abilities())

    check_possible(suite("partition", native=True), usual, ALL_NATIVE)
    check_possible(suite("kill", native=True), usual, without("partition", ALL_NATIVE))
    with pytest.raises(UserError, match="partition.*no root"):
        check_possible(suite("partition", native=True), usual, without("partition", ALL_NATIVE))
    with pytest.raises(UserError, match="spaces.*no root"):
        check_possible(suite("kill", native=True), usual, without("", ALL_NATIVE))


def test_links_that_are_slow_by_themselves_need_a_kernel_that_can_delay() -> None:
    poor = without("delay", ALL_NATIVE)

    check_possible(suite("kill", link="25ms"), None, poor)
    with pytest.raises(UserError, match="delay.*no root"):
        check_possible(suite("kill", link="25ms", native=True), None, poor)


def test_a_small_disk_holds_a_home_fills_up_and_goes(tmp_path: Path) -> None:
    home = tmp_path / "node1"
    home.mkdir()
    (home / "config.toml").write_text("x", encoding="utf-8")
    if not can_mount(home):
        with pytest.raises(UnreachableError, match="tmpfs"), small_disk(home, 2):
            pass
        return

    with small_disk(home, 2):
        assert (home / "config.toml").read_text() == "x"
        fill([home])
        with pytest.raises(OSError, match="No space") as full:
            (home / "more").write_bytes(bytes(10_000))
        assert full.value.errno == errno.ENOSPC
        (home / FILLER).unlink()
        (home / "more").write_bytes(bytes(10_000))

    assert list(home.iterdir()) == []
