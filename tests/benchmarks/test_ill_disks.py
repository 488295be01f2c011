"""Slow, failing and full disks, and links of the kernel, through the harness' own command: the
node stops in plain words, comes back, and nothing that was confirmed is lost.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness.probe import IMPOSSIBLE, Ability, abilities, native_abilities
from benchmarks.harness.suite import SMALL_DISK
from tests.benchmarks.program import call

FULL = '{ kind = "full-disk", at_s = 3.6, until_s = 4.4, nodes = "1", amount = 16.0 },'
NO_ROOM = '{ kind = "full-disk", at_s = 3.7, until_s = 5.0, nodes = "0" },'
FAILING = '{ kind = "failing-sync", at_s = 2.6, until_s = 3.3, nodes = "2" },'
FAILING_LONGER = '{ kind = "failing-sync", at_s = 2.6, until_s = 4.3, nodes = "2" },'
"""A timeout, after which the others go on without node 0, and its node writes again."""
SLOW = '{ kind = "slow-disk", at_s = 2.5, until_s = 3.4, nodes = "3", amount = 20.0 },'
LINKS = """
{ kind = "one-way", at_s = 2.6, until_s = 3.0, nodes = "0" },
{ kind = "bandwidth", at_s = 2.7, until_s = 3.4, nodes = "1", amount = 256.0 },
{ kind = "reset", at_s = 3.6, nodes = "0" },
"""


def suite(events: str, *, native: bool) -> str:
    return f"""
title = "Ill"
question = "Is anything lost?"

[[scenarios]]
name = "ill"
events = [{events}]

[[experiments]]
name = "ill"
native = {str(native).lower()}
scenarios = ["ill"]
rates_per_s = [30.0]
warmup_s = 0.5
measure_s = 4.9
recovery_s = 0.5
clients = 1
audits = 4
"""


def measure(place: Path, events: str, *, native: bool) -> list[str]:
    """What happened, once the verdict is good and every transaction is confirmed."""
    (place / "ill.toml").write_text(suite(events, native=native), encoding="utf-8")

    done = call("run", place / "ill.toml", "--out", place / "out", "--no-ceilings", "--json")

    done.check()
    load, verdict = [json.loads(line) for line in done.out.splitlines()]
    assert load["confirmed_share"] == 1
    assert verdict["sound"], verdict
    [head] = [json.loads(path.read_text()) for path in (place / "out" / "raw").glob("*.json")]
    return [what for _, what in head["events"]]


def test_nodes_survive_the_disks_that_they_make_ill_themselves(tmp_path: Path) -> None:
    can_fill = any(SMALL_DISK in one.kinds and one.how != IMPOSSIBLE for one in abilities())

    told = measure(tmp_path, SLOW + FAILING + NO_ROOM + (FULL if can_fill else ""), native=False)

    [failed] = [what for what in told if what.startswith("node2 had stopped")]
    assert "failed to sync (as ordered)" in failed
    [ordered] = [what for what in told if what.startswith("node0 had stopped")]
    assert "No space left on device (as ordered)" in ordered
    if can_fill:
        [full] = [what for what in told if what.startswith("node1 had stopped")]
        assert "No space left on device" in full
    assert "slow-disk of node3 ends" in told


@pytest.fixture(scope="module")
def native() -> list[Ability]:
    """What the kernel can do here, tried once."""
    return native_abilities()


def test_nodes_survive_what_the_kernel_does_to_them(native: list[Ability], tmp_path: Path) -> None:
    events = LINKS + SLOW + FAILING_LONGER
    if any(one.how == IMPOSSIBLE and "loss" not in one.kinds for one in native):
        (tmp_path / "ill.toml").write_text(suite(events, native=True), encoding="utf-8")
        refused = call("run", tmp_path / "ill.toml", "--no-ceilings")
        assert refused.code == 2
        assert "not possible" in refused.error_line()
        return

    told = measure(tmp_path, events, native=True)

    [failed] = [what for what in told if what.startswith("node2 had stopped")]
    assert "nput/output error" in failed
    assert {"one-way: node0", "bandwidth 256: node1", "reset: node0"} <= set(told)


def test_what_this_kernel_cannot_do_is_refused_before_anything_runs(
    native: list[Ability], tmp_path: Path
) -> None:
    [netem] = [one for one in native if "loss" in one.kinds]
    event = '{ kind = "loss", at_s = 2.6, until_s = 3.0, nodes = "0", amount = 5.0 }'
    if netem.how != IMPOSSIBLE:
        assert "loss 5: node0" in measure(tmp_path, event, native=True)
        return
    (tmp_path / "ill.toml").write_text(suite(event, native=True), encoding="utf-8")

    refused = call("run", tmp_path / "ill.toml", "--out", tmp_path / "out", "--no-ceilings")

    assert refused.code == 2
    assert "the suite needs loss, which is not possible" in refused.error_line()
    assert not (tmp_path / "out").exists()
