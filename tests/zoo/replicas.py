"""Whole replicas with a mutated part, under the drawn faults of the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from random import Random
from unittest.mock import patch

from consensus.interface import Consensus
from consensus.recovery import Setup
from consensus.replica import Replica
from ledger.applications.records import Records
from ledger.store import Reader
from sim.faults import draw_scenario
from sim.run import Run
from sim.scenario import Load, Scenario
from sim.watcher import Machine, Watcher
from tests.sim.protocols import plugin
from tests.zoo.model import Mutant, Verdict, judged

HOMES = ("tendermint", "solo", "jolteon", "tendermint")
"""The plugins that a mutated replica runs, in turn."""


class MutatedRun(Run):
    """A run in which some replicas lack a rule."""

    def __init__(
        self,
        scenario: Scenario,
        protocol: type[Consensus],
        kind: type[Replica],
        nodes: tuple[int, ...] | None,
        *,
        liars: frozenset[int] = frozenset(),
        watchers: tuple[Watcher, ...] = (),
    ) -> None:
        self._kind = kind
        self._mutated = nodes
        super().__init__(scenario, protocol, liars=liars, watchers=watchers)

    def _open(self, index: int, reader: Reader) -> Machine:
        setup = Setup(self.genesis, index, self.signers[index], self._protocol, (Records(),))
        is_mutated = index not in self.liars and index in (self._mutated or (index,))
        kind = self._kind if is_mutated else Replica
        return kind(setup, self.remember(reader, setup))


def fits(mutant: Mutant) -> bool:
    """Whether a mutant can live in whole replicas."""
    return mutant.replica is not None or bool(mutant.patches)


@contextmanager
def patching(mutant: Mutant) -> Iterator[None]:
    """While a mutant runs that replaces something in a module."""
    with ExitStack() as stack:
        for module, name, changed in mutant.patches:
            stack.enter_context(patch.object(module, name, changed))
        yield


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One drawn network."""
    home = mutant.plugin.name if mutant.plugin else HOMES[number % len(HOMES)]
    scenario = drawn(mutant, home, number)
    protocol = plugin(home)

    def broken(kind: type[Replica], protocol: type[Consensus]) -> tuple[str, ...]:
        report = MutatedRun(scenario, protocol, kind, mutant.nodes).lead()
        return tuple(dict.fromkeys(violation.property for violation in report.violations))

    with patching(mutant):
        found = broken(mutant.replica or Replica, mutant.plugin or protocol)
    whole = partial(broken, Replica, mutant.base or protocol)
    return judged(mutant, found, whole, f"replicas {number}"), 1


def drawn(mutant: Mutant, home: str, number: int) -> Scenario:
    """A scenario of the simulator, made short, and with the limits that the mutant needs."""
    draw = Random(f"replicas {number}")
    scenario = draw_scenario(number, home, 4)
    transactions = draw.choice((6, 12, 20))
    limits = dict(scenario.limits) | dict(mutant.limits)
    return replace(
        scenario,
        load=Load(
            transactions=transactions,
            interval_ms=max(1, 2 * scenario.stable_ms // transactions),
            timeout_ms=1_500,
            duplicates=300,
            twice_signed=300,
        ),
        limits=tuple(sorted(limits.items())),
        bound_ms=40_000,
        quiet_ms=10_000,
    )
