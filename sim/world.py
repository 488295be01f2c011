"""A world: nodes, links, disks and clocks in virtual time, from one scenario.

Nothing is shared between nodes but bytes on links.  All chance is drawn from the scenario's seed,
one stream a concern, so that a change in one leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ledger.store import Write
from sim.adversary import TwinNetwork
from sim.agenda import MS, Agenda
from sim.faults import Injector
from sim.network import Network
from sim.node import Node
from sim.scenario import Scenario
from sim.trace import Trace
from sim.watcher import Open, Watcher

_BOOT_MS_MAX = 100
"""Within which all nodes start."""


class World:
    """Everything there is in one run, except the oracles and clients, which watch it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.trace = Trace()
        self.agenda = Agenda(self.stream("ties"))
        self.network = Network(
            scenario.nodes, self.agenda, self.stream("network"), weather=scenario.weather
        )
        if scenario.twins:
            self.network = TwinNetwork(scenario, self.agenda, self.stream("network"))
        self.nodes: list[Node] = []

    def stream(self, concern: str) -> Random:
        """The random numbers of one concern."""
        return Random(f"{self.scenario.seed} {concern}")

    def populate(
        self,
        open_machine: Open,
        watchers_of: Callable[[int], tuple[Watcher, ...]],
        *,
        leader: Callable[[], int],
        first_writes: list[Write],
    ) -> None:
        """Make the nodes and plan their start, every incident, and the end of all of them."""
        scenario = self.scenario
        self.nodes += [
            Node(
                index,
                self.agenda,
                self.network,
                self.trace,
                self.stream(f"node {index}"),
                pace=scenario.pace,
                open_machine=open_machine,
                watchers=watchers_of(index),
            )
            for index in range(scenario.nodes + len(scenario.twins))
        ]
        self.network.attach(list(self.nodes))
        draw = self.stream("world")
        for node in self.nodes:
            node.engine.write(first_writes, sync=True)
            self.agenda.at(draw.randrange(_BOOT_MS_MAX * MS), node.boot)
        injector = Injector(self.agenda, self.network, self.nodes, leader, first_writes)
        injector.plan(scenario.incidents)
        self.agenda.at(scenario.stable_ms * MS, self._stabilise)

    def _stabilise(self) -> None:
        """The global stabilisation time: all faults have ended, and the weather is calm."""
        self.network.weather = self.scenario.calm
        for node in self.nodes:
            node.boot()
