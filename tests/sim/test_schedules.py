"""Schedules that once broke a ledger, or would: each rule of the design that one of them closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from consensus.interface import Now
from consensus.io import Channel, FrameArrived, HostEvent, Step
from sim.run import Wrap, run
from sim.scenario import Incident, Load, Scenario
from sim.watcher import Machine
from tests.sim.protocols import NAMES, OTHERS, plugin


@dataclass
class Deaf:
    """A replica to which some frames never come."""

    machine: Machine
    is_lost: Callable[[FrameArrived], bool]

    def step(self, now: Now, event: HostEvent) -> Step:
        if isinstance(event, FrameArrived) and self.is_lost(event):
            return Step()
        return self.machine.step(now, event)


def deaf_in_its_first_life(index: int, is_lost: Callable[[FrameArrived], bool]) -> Wrap:
    lives = [0]

    def wrap(node: int, machine: Machine) -> Machine:
        if node != index:
            return machine
        lives[0] += 1
        return Deaf(machine, is_lost) if lives[0] == 1 else machine

    return wrap


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_a_certificate_outlives_the_restart_of_all_who_hold_it(name: str) -> None:
    # Node 3 decides and executes everything, but hears no word about checkpoints.  Then nothing
    # is left to order, and every node restarts: the others must still hand it the certificate.
    scenario = Scenario(
        seed=1,
        protocol=name,
        nodes=4,
        load=Load(transactions=6, interval_ms=150),
        incidents=(Incident("crash", 5_000, 5_500, (0, 1, 2, 3)),),
        stable_ms=6_000,
        bound_ms=20_000,
    )

    report = run(
        scenario,
        plugin(name),
        wrap=deaf_in_its_first_life(3, lambda frame: frame.channel is Channel.CHECKPOINT),
    )

    assert report.violations == ()


@pytest.mark.parametrize("name", [*NAMES, *(name for name in OTHERS if name != "mysticeti")])
def test_a_batch_that_the_leader_never_heard_of_is_announced_again(name: str) -> None:
    # No word about a batch reaches node 0 in time, although no link of it ever breaks: neither the
    # batches nor who holds them.  Where node 0 leads they stay unordered until named again; where
    # all propose, whoever holds them names them, and node 0 does not need to hear of them.
    heard = [0]

    def is_lost(frame: FrameArrived) -> bool:
        heard[0] += frame.channel is Channel.DISSEMINATION
        return frame.channel is Channel.DISSEMINATION and heard[0] < 60

    scenario = Scenario(
        seed=2,
        protocol=name,
        nodes=4,
        load=Load(transactions=6, interval_ms=100, timeout_ms=60_000),
        stable_ms=1_000,
        bound_ms=20_000,
    )

    report = run(scenario, plugin(name), wrap=deaf_in_its_first_life(0, is_lost))

    assert report.violations == ()
    assert heard[0] >= 60
