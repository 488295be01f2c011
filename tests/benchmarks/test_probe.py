"""What a machine can be made to suffer is told before anything runs, and small disks fill up."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from benchmarks.harness.disks import FILLER, can_mount, fill, small_disk
from benchmarks.harness.probe import EMULATED, IMPOSSIBLE, NATIVE, abilities, check_possible
from benchmarks.harness.suite import KINDS, Event, Experiment, Scenario, Suite
from ledger.errors import UnreachableError, UserError


def suite(kind: str) -> Suite:
    scenario = Scenario("trouble", (Event(kind, 5.0, 6.0, "1", 16.0),))
    return Suite(
        "T", "Q?", scenarios=(scenario,), experiments=(Experiment("e", scenarios=("trouble",)),)
    )


def test_every_kind_of_event_is_some_ability_and_no_ability_needs_more() -> None:
    found = [kind for ability in abilities() for kind in ability.kinds]

    assert sorted(found) == sorted(KINDS)


def test_the_command_tells_of_every_ability() -> None:
    told = json.loads(CliRunner().invoke(benchmarks, ["probe", "--json"]).output)

    assert {row["how"] for row in told} <= {NATIVE, EMULATED, IMPOSSIBLE}
    lines = CliRunner().invoke(benchmarks, ["probe"]).output.splitlines()
    assert len(lines) == len(told)


def test_a_suite_that_needs_what_is_not_possible_is_refused() -> None:
    poor = [
        type(one)(
            one.name, one.kinds, IMPOSSIBLE if "full-disk" in one.kinds else one.how, "no root"
        )
        for one in abilities()
    ]

    check_possible(suite("kill"), poor)
    with pytest.raises(UserError, match="full-disk.*no root"):
        check_possible(suite("full-disk"), poor)


def test_a_small_disk_holds_a_home_fills_up_and_goes(tmp_path: Path) -> None:
    home = tmp_path / "node1"
    home.mkdir()
    (home / "config.toml").write_text("x", encoding="utf-8")
    if not can_mount():
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
