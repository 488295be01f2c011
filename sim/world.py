"""A world: nodes, links, disks and clocks in virtual time, from one scenario.

Nothing is shared between nodes but bytes on links.  All chance is drawn from the scenario's seed,
one stream a concern, so that a change in one leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from consensus.io import HostEvent
from ledger.store import Write
from p2p.topology import topology_named
from sim.adversary import TwinNetwork
from sim.agenda import MS, Agenda
from sim.injector import Injector
from sim.network import Network
from sim.node import Node
from sim.regions import latency_ms, placed
from sim.relay import Relay
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
        self.topology = topology_named(scenario.topology, scenario.nodes, scenario.seed)
        self.network = Network(
            scenario.nodes,
            self.agenda,
            self.stream("network"),
            weather=scenario.weather,
            neighbours=self.topology.neighbours,
            distance_us=_distances_us(scenario),
        )
        if scenario.twins:
            self.network = TwinNetwork(
                scenario, self.agenda, self.stream("network"), distance_us=_distances_us(scenario)
            )
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
        transport_keys: Sequence[bytes],
    ) -> None:
        """Make the nodes and plan their start, every incident, and the end of all of them."""
        scenario = self.scenario

        def make_relay(index: int, deliver: Callable[[HostEvent], None]) -> Relay:
            return Relay(index, self.topology, transport_keys, self.agenda, self.network, deliver)

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
                on_protocol_timer=self._protocol_timer_rang,
                make_relay=None if self.topology.is_full else make_relay,
            )
            for index in range(scenario.nodes + len(scenario.twins))
        ]
        self.network.attach(list(self.nodes))
        draw = self.stream("world")
        for node in self.nodes:
            node.engine.write(first_writes, sync=True)
            self.agenda.at(draw.randrange(_BOOT_MS_MAX * MS), self._boot, node)
        self.injector = Injector(self.agenda, self.network, self.nodes, leader, first_writes)
        self.injector.plan(scenario.incidents)
        self.agenda.at(scenario.stable_ms * MS, self._stabilise)

    def _protocol_timer_rang(self) -> None:
        self.injector.protocol_timer_rang()

    def _stabilise(self) -> None:
        """The global stabilisation time: all faults that end have ended; the weather is calm."""
        self.network.weather = self.scenario.calm
        for node in self.nodes:
            self._boot(node)

    def _boot(self, node: Node) -> None:
        """Start a node, unless an incident keeps it from that."""
        if node.index not in self.injector.down:
            node.boot()


def _distances_us(scenario: Scenario) -> list[list[int]] | None:
    """One way between each two nodes, from the regions in which they are."""
    if not scenario.regions:
        return None
    places = placed(scenario.regions, scenario.nodes)
    return [[latency_ms(one, other) * MS for other in places] for one in places]
