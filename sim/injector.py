"""Making the incidents of a scenario happen, and knowing which of them never end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.store import Write
from sim.agenda import MS, Agenda
from sim.faults import CUTS
from sim.network import Network
from sim.node import Node
from sim.scenario import Incident
from sim.watcher import Boundary

Cuts = list[tuple[int, int]]


@dataclass(slots=True)
class Injector:
    """Makes the incidents of a scenario happen to nodes and network."""

    agenda: Agenda
    network: Network
    nodes: list[Node]
    leader: Callable[[], int]
    """The node that proposed last, as far as one can see on the wire."""
    first_writes: list[Write]
    """What a new disk begins with."""
    down: dict[int, int] = field(default_factory=dict)
    """How many incidents keep a node from starting, of those that any does."""
    _open: list[Cuts] = field(default_factory=list)
    """Partitions that the next timer of a protocol ends."""

    def plan(self, incidents: tuple[Incident, ...]) -> None:
        """Put every incident on the agenda."""
        for incident in incidents:
            self.agenda.at(incident.at_ms * MS, self._begin, incident)

    def _begin(self, incident: Incident) -> None:
        length_us = max(0, incident.until_ms * MS - self.agenda.now_us)
        whom = [self.nodes[index] for index in incident.nodes]
        match incident.kind:
            case kind if kind in CUTS:
                cuts = self._cut(incident)
                self.agenda.after(length_us, self._mend, cuts)
            case "view-partition":
                cuts = self._cut(incident)
                self._open.append(cuts)
                self.agenda.after(length_us, self._heal, cuts)
            case "flap":
                if len(incident.nodes) == 2:
                    self._flap(incident, False)
            case "disconnect":
                if len(incident.nodes) == 2:
                    self.network.disconnect(*incident.nodes)
            case "crash":
                for node in whom:
                    self._take_down(node)
                    node.crash_at(Boundary(incident.amount))
                    self.agenda.after(length_us, self._restart, node)
            case "pause":
                for node in whom:
                    node.pause()
                    self.agenda.after(length_us, node.resume)
            case "clock":
                for node in whom:
                    node.clock.step(incident.amount)
                    self.agenda.after(length_us, node.clock.set_right)
            case "drift":
                for node in whom:
                    node.clock.run_at(incident.amount, self.agenda.now_ms)
                    self.agenda.after(length_us, node.clock.set_right)
            case "lost-disk":
                for node in whom:
                    self._take_down(node)
                    node.restore(list(self.first_writes))
                    self.agenda.after(length_us, self._restart, node)
            case "old-disk":
                for node in whom:
                    self.agenda.after(length_us, self._turn_back, node, node.back_up())
            case "slow-disk":
                for node in whom:
                    node.sync_factor = incident.amount
                    self.agenda.after(length_us, self._speed_up, node)
            case "slow-jobs":
                for node in whom:
                    node.job_factor = incident.amount
                    self.agenda.after(length_us, self._speed_up, node)
            case "slow-node":
                for node in whom:
                    node.factor = incident.amount
                    self.agenda.after(length_us, self._speed_up, node)
            case _:
                raise AssertionError(f"unknown incident {incident.kind}")

    def protocol_timer_rang(self) -> None:
        """A view is about to change somewhere: what was to end with that ends."""
        for cuts in list(self._open):
            self._heal(cuts)

    def _heal(self, cuts: Cuts) -> None:
        if any(cuts is one for one in self._open):
            self._open = [one for one in self._open if one is not cuts]
            self._mend(cuts)

    def _flap(self, incident: Incident, is_cut: bool) -> None:
        """Cut both directions between two nodes, or mend them, until the time is over."""
        one, other = incident.nodes
        cuts = [(one, other), (other, one)]
        if is_cut:
            self._mend(cuts)
        else:
            for source, dest in cuts:
                self.network.cut(source, dest)
        left_us = incident.until_ms * MS - self.agenda.now_us
        if left_us > 0 or not is_cut:
            period_us = max(1, min(incident.amount * MS, left_us))
            self.agenda.after(period_us, self._flap, incident, not is_cut)

    def _cut(self, incident: Incident) -> Cuts:
        """Cut what an incident cuts, and break the connections where it does that, too."""
        cuts = self._cuts(incident)
        for source, dest in cuts:
            self.network.cut(source, dest)
            if incident.amount:
                self.network.disconnect(source, dest)
        return cuts

    def _cuts(self, incident: Incident) -> Cuts:
        """The directions that an incident cuts."""
        everyone = range(len(self.nodes))
        if incident.kind == "ring":
            return _ring_cuts(len(self.nodes))
        group = (self.leader(),) if incident.kind == "leader" else incident.nodes
        outward = [(a, b) for a in everyone for b in everyone if a in group and b not in group]
        if incident.kind == "one-way":
            return outward
        return outward + [(b, a) for a, b in outward]

    def _mend(self, cuts: Cuts) -> None:
        for source, dest in cuts:
            self.network.mend(source, dest)

    def _take_down(self, node: Node) -> None:
        self.down[node.index] = self.down.get(node.index, 0) + 1

    def _restart(self, node: Node) -> None:
        self.down[node.index] -= 1
        if self.down[node.index]:
            return
        del self.down[node.index]
        # A crash that waited for a write which never came strikes now, so that all end in time.
        if node.is_doomed:
            node.crash()
        node.boot()

    def _turn_back(self, node: Node, backup: list[Write]) -> None:
        node.restore(backup)
        node.boot()

    def _speed_up(self, node: Node) -> None:
        node.sync_factor = node.job_factor = node.factor = 1


def _ring_cuts(size: int) -> list[tuple[int, int]]:
    """All but a band around the diagonal: every node sees a majority, no two the same one."""
    reach = (size // 2 + 1) // 2
    return [
        (a, b)
        for a in range(size)
        for b in range(size)
        if a != b and min((a - b) % size, (b - a) % size) > reach
    ]
