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
from sim.faults import draw_scenario
from sim.run import Run
from sim.scenario import FOR_EVER_MS, Incident, Scenario
from tests.zoo.healing import fits
from tests.zoo.model import Mutant, Verdict, judge

__all__ = ["attempt", "broken", "fits"]

KINDS = ("clock", "isolate", "crash", "partition", "slow-jobs", "lost-disk")
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
    # Whoever lost its disk is one who is not to be spared, too.
    kinds = KINDS[:-1] if is_dead else KINDS
    kinds = tuple(kind for kind in kinds if draw.random() < 0.5) or ("clock",)
    crash_only = protocol.fault_model == "crash"
    # Mutants of one protocol bear one name, which the leaders are drawn from.
    scenario = draw_scenario(number, protocol.name, NODES, faults=kinds, crash_only=crash_only)
    incidents = list(scenario.incidents)
    if is_dead:
        who = draw.randrange(NODES)
        incidents = [one for one in incidents if one.nodes != (who,)]
        at_ms = draw.randint(0, scenario.stable_ms - 100)
        incidents.append(Incident("crash", at_ms, FOR_EVER_MS, (who,)))
    transactions = min(scenario.load.transactions, TRANSACTIONS_MAX)
    return replace(
        scenario,
        incidents=tuple(incidents),
        load=replace(scenario.load, transactions=transactions),
    )
