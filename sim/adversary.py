"""Byzantine validators among whole replicas: attackers, and twins that pass for one validator.

An attacker is an honest replica whose plugin's words are changed on their way out
(`consensus.byzantine`), with a guard that signs anything.

A validator with a twin runs twice (Bano et al., "Twins: BFT Systems Made Robust", 2021): two honest
replicas, each with a disk of its own, under one key.  Each of the others is linked with one of the
two, as the scenario's sides say, and sees one validator.  Twins of different validators are linked
where they are on the same side.

The simulator speaks of *stations* here: node v is the first station of validator v, and the second
stations of those with twins follow behind the last validator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from consensus.byzantine import ATTACKS, attacked
from consensus.byzantine.guard import LooseGuard
from consensus.interface import Now
from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp, Step
from consensus.packets import YouSaid, decode_packet, encode_packet
from consensus.recovery import Setup
from ledger.errors import UserError
from sim.agenda import MS, Agenda
from sim.network import Network, Station
from sim.scenario import Incident, Scenario
from sim.watcher import Machine

_YOU_SAID = YouSaid.KIND
_ROBBERIES = ("lost-disk", "old-disk")
"""Faults after which a validator counts as one that may be faulty."""


def validator_at(scenario: Scenario, station: int) -> int:
    """The validator whose key a station holds."""
    behind = station - scenario.nodes
    return station if behind < 0 else scenario.twins[behind]


def byzantine_stations(scenario: Scenario) -> frozenset[int]:
    """The stations that are not judged: those of every validator that attacks or has a twin."""
    count = scenario.nodes + len(scenario.twins)
    liars = {*scenario.twins, *(who for who, _ in scenario.attacks)}
    return frozenset(place for place in range(count) if validator_at(scenario, place) in liars)


def armed(scenario: Scenario, setup: Setup) -> Setup:
    """The setup of a validator as the scenario has it: honest, or with an attacker behind it."""
    attack = next((what for who, what in scenario.attacks if who == setup.me), None)
    if attack is None:
        return setup
    return replace(
        setup, protocol=attacked(setup.protocol, attack, scenario.seed), guard=LooseGuard
    )


def with_attackers(scenario: Scenario, count: int) -> Scenario:
    """The scenario with so many validators that attack, each by one or two ways drawn for it."""
    draw = Random(f"{scenario.seed} attackers")
    chosen = _suspects(scenario, draw)[:count]
    names = list(ATTACKS)
    return replace(
        scenario,
        attacks=tuple(
            (who, "+".join(draw.sample(names, draw.choice((1, 1, 2))))) for who in sorted(chosen)
        ),
    )


def _suspects(scenario: Scenario, draw: Random) -> list[int]:
    """Every validator in a drawn order; one that loses its disk counts as faulty, and is first."""
    robbed = {n for incident in scenario.incidents if incident.kind in _ROBBERIES
              for n in incident.nodes}  # fmt: skip
    others = [index for index in range(scenario.nodes) if index not in robbed]
    return sorted(robbed) + draw.sample(others, len(others))


def with_twins(scenario: Scenario, count: int, *, interval_ms: int = 1_500) -> Scenario:
    """The scenario with so many validators that have twins, and sides that change as time goes.

    Whom it befalls and who is linked with whom is drawn from the scenario's seed.
    """
    draw = Random(f"{scenario.seed} adversary")
    chosen = _suspects(scenario, draw)[:count]
    times = range(0, scenario.stable_ms + interval_ms, interval_ms)
    sides = tuple(
        (time_ms, tuple(draw.randrange(2) for _ in range(scenario.nodes))) for time_ms in times
    )
    return replace(scenario, twins=tuple(sorted(chosen)), sides=sides)


def deliberate_fork(scenario: Scenario, *, until_ms: int) -> Scenario:
    """The scenario with f+1 twins, each half of the network with one of each until they meet.

    Both halves are a quorum and confirm what they are given.  That is one more than the quorum rule
    tolerates, so agreement may break: what must hold then is that the culprits are named.
    """
    faults = (scenario.nodes - 1) // 3
    draw = Random(f"{scenario.seed} fork")
    order = draw.sample(range(scenario.nodes), scenario.nodes)
    twins, honest = sorted(order[: faults + 1]), sorted(order[faults + 1 :])
    first = honest[: len(honest) // 2]
    sides = tuple(int(index not in first) for index in range(scenario.nodes))
    halves = Incident("partition", 0, until_ms, (*first, *twins), 1)
    return replace(
        scenario,
        faults=("partition",),
        incidents=(halves,),
        twins=tuple(twins),
        sides=((0, sides),),
        stable_ms=until_ms,
    )


class TwinNetwork(Network):
    """A network of stations in which the twins of a validator pass for one."""

    def __init__(
        self,
        scenario: Scenario,
        agenda: Agenda,
        draw: Random,
        *,
        distance_us: Sequence[Sequence[int]] | None = None,
    ) -> None:
        if not set(scenario.twins) <= set(range(scenario.nodes)):
            raise UserError("a twin must be of one of the validators")
        if scenario.topology != "full":
            raise UserError("twins need links between all nodes: leave the topology full")
        count = scenario.nodes + len(scenario.twins)
        names = self._names = [validator_at(scenario, station) for station in range(count)]
        apart = distance_us and [[distance_us[one][two] for two in names] for one in names]
        super().__init__(count, agenda, draw, weather=scenario.weather, distance_us=apart)
        self._first = scenario.nodes
        self._twins = scenario.twins
        self._plan = scenario.sides
        self._time = agenda
        self._sides: Sequence[int] = [0] * scenario.nodes
        self._parted: dict[tuple[int, int], None] = {}
        self._ears: list[_Ear] = []

    def attach(self, stations: list[Station]) -> None:
        self._ears = [_Ear(station, self._names) for station in stations]
        super().attach(list(self._ears))
        self._turn(self._sides)
        for time_ms, sides in self._plan:
            self._time.at(time_ms * MS, self._turn, sides)

    def send(self, source: int, peer: int | None, channel: Channel, payload: bytes) -> None:
        to = None if peer is None else self._station_of(source, peer)
        if to != source:
            super().send(source, to, channel, payload)

    def crashed(self, node: int) -> None:
        self._ears[node].forget()
        super().crashed(node)

    # --- who sees which twin ----------------------------------------------------------------------

    def _side(self, station: int) -> int:
        """The side of a twin is fixed; that of the others is the schedule's."""
        name = self._names[station]
        if name in self._twins:
            return int(station >= self._first)
        return self._sides[name]

    def _station_of(self, source: int, validator: int) -> int:
        """The station that a node means by a validator's index."""
        if validator not in self._twins or not self._side(source):
            return validator
        return self._first + self._twins.index(validator)

    def _may_link(self, one: int, two: int) -> bool:
        names = self._names
        if names[one] == names[two]:
            return False
        has_twin = names[one] in self._twins or names[two] in self._twins
        return not has_twin or self._side(one) == self._side(two)

    def _turn(self, sides: Sequence[int]) -> None:
        """From now on each node is linked with the twins of its side."""
        self._sides = sides
        for one, two in self._ends():
            is_parted = (one, two) in self._parted
            if self._may_link(one, two):
                if is_parted:
                    del self._parted[one, two]
                    self.mend(one, two)
                    self.mend(two, one)
            elif not is_parted:
                self._parted[one, two] = None
                self.cut(one, two)
                self.cut(two, one)
                self.disconnect(one, two)

    def _ends(self) -> Iterator[tuple[int, int]]:
        count = len(self._names)
        return ((one, two) for two in range(count) for one in range(two))


class _Ear(Station):
    """What a station hears, under the validators' indexes and over one link for each."""

    def __init__(self, station: Station, names: list[int]) -> None:
        self._station = station
        self._names = names
        self._linked: dict[int, int] = {}
        """Validator -> the station that stands for it just now."""

    @property
    def is_reachable(self) -> bool:
        return self._station.is_reachable

    def forget(self) -> None:
        """The process ended, and knows of no link."""
        self._linked.clear()

    def receive(self, event: HostEvent) -> None:
        if not isinstance(event, FrameArrived | PeerUp | PeerDown):
            self._station.receive(event)
            return
        name = self._names[event.peer]
        if isinstance(event, PeerUp):
            if self._linked.get(name, event.peer) != event.peer:
                # The other twin's link is broken, and nobody has noticed yet.
                self._station.receive(PeerDown(name))
            self._linked[name] = event.peer
        elif self._linked.get(name) != event.peer:
            return
        elif isinstance(event, PeerDown):
            del self._linked[name]
        self._station.receive(replace(event, peer=name))


class Shameless:
    """A Byzantine validator's replica: it asks nobody what it said before it speaks again."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def step(self, now: Now, event: HostEvent) -> Step:
        if isinstance(event, FrameArrived) and event.payload[2:3] == bytes([_YOU_SAID]):
            epoch, packet = decode_packet(event.channel, event.payload)
            assert isinstance(packet, YouSaid)
            nothing = encode_packet(YouSaid(packet.salt, (), None), epoch)
            event = replace(event, payload=nothing)
        return self._machine.step(now, event)
