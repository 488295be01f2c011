"""Whole replicas of a protocol that lacks a rule of liveness, and one node that is dead for good.

Bare plugins hear of every payload in the end and share one clock.  Rules about what gets lost and
what time it is show only in whole replicas: their clocks leap, disks are lost with what was on
them, and few transactions come.  A network that has nobody to spare meanwhile must still confirm
everything, and then fall silent (P10).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random

from consensus.interface import Consensus
from sim.faults import ROBBERIES, draw_scenario, kill_for_good
from sim.run import Run
from sim.scenario import Scenario
from tests.zoo.model import Mutant, Verdict, judge

KINDS = ("clock", "isolate", "crash", "partition", "slow-jobs", "lost-disk")
"""Of these some are drawn; disks are lost only where nobody is dead."""
NODES = 4
TRANSACTIONS_MAX = 12
DEAD = 0.7
"""Share of the scenarios in which a node is dead from some time on."""


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One scenario with a mutant, and where it is found out, without the mutation."""
    return judge(mutant, partial(broken, number=number), f"whole {number}"), 1


def broken(protocol: type[Consensus], number: int) -> tuple[str, ...]:
    """The properties that a protocol breaks in the scenario of this number."""
    report = Run(drawn(protocol, number), protocol).lead()
    return tuple(dict.fromkeys(violation.property for violation in report.violations))


def drawn(protocol: type[Consensus], number: int) -> Scenario:
    """A scenario with some of the kinds of fault."""
    draw = Random(f"whole {number}")
    is_dead = draw.random() < DEAD
    kinds = tuple(kind for kind in KINDS if not (is_dead and kind in ROBBERIES))
    kinds = tuple(kind for kind in kinds if draw.random() < 0.5) or ("clock",)
    crash_only = protocol.fault_model == "crash"
    # Mutants of one protocol bear one name, which the leaders are drawn from.
    scenario = draw_scenario(number, protocol.name, NODES, faults=kinds, crash_only=crash_only)
    if crash_only:
        scenario = with_one_clock(scenario)
    transactions = min(scenario.load.transactions, TRANSACTIONS_MAX)
    scenario = replace(scenario, load=replace(scenario.load, transactions=transactions))
    return kill_for_good(scenario) if is_dead else scenario


def with_one_clock(scenario: Scenario) -> Scenario:
    """The same in which the clocks of all nodes but one are right: more would be an excuse."""
    wrong = [one for one in scenario.incidents if one.kind == "clock"]
    kept = tuple(
        one for one in scenario.incidents if one.kind != "clock" or one.nodes == wrong[0].nodes
    )
    return replace(scenario, incidents=kept)
