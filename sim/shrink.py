"""Making a scenario that breaks something smaller, as long as it breaks the same thing.

Greedy delta debugging (Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
IEEE TSE 2002) over the parts of a scenario, in this order: fewer faults, fewer rounds, fewer
nodes, faults that end earlier.  What is left out changes what is drawn afterwards, so every
candidate is tried with a few seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from ledger.errors import UserError
from p2p.topology import topology_named
from sim.plugin_scenario import Clock, Crash, Pause, PluginScenario, Round, Stumble
from sim.scenario import Scenario
from sim.scenario_file import AnyScenario

RUNS_MAX = 400
"""Runs after which the smallest scenario so far is good enough."""
SEEDS_TRIED = 4
"""Seeds with which a candidate may show that it still breaks the property."""
_RATES = (
    "loss", "duplicate", "replay", "split", "late", "withhold", "mutate", "bad", "splice", "hoard",
    "slow_us", "reorder",
)  # fmt: skip
_ITEMS = ("crashes", "stumbles", "pauses", "partitions", "clocks", "attacks", "incidents", "limits")
"""Tuples of faults that do not depend on one another."""
Judge = Callable[[AnyScenario], bool]
"""Whether a run of the scenario breaks the property."""
Pass = Callable[[Any], Iterator[Any]]
"""From a scenario, smaller ones, the smallest first."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to understand in a scenario."""

    faults: int
    rounds: int
    """Payloads or transactions that clients submit."""
    nodes: int
    stable_ms: int


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest scenario that was found."""

    scenario: AnyScenario
    runs: int
    """Runs that it took."""


def size_of(scenario: AnyScenario) -> Size:
    """The size of a scenario."""
    faults = sum(len(getattr(scenario, name, ())) for name in _ITEMS if name != "limits")
    faults += len(scenario.twins)
    if isinstance(scenario, Scenario):
        faults += sum(getattr(scenario.weather, name, 0) > 0 for name in _RATES)
        return Size(faults, scenario.load.transactions, scenario.nodes, scenario.stable_ms)
    faults += sum(getattr(scenario, name, 0) > 0 for name in _RATES)
    faults += sum(not _is_calm(scenario, one) for one in scenario.rounds)
    return Size(faults, scenario.payloads, scenario.nodes, scenario.stable_ms)


def shrink(
    scenario: AnyScenario,
    is_broken: Judge,
    *,
    runs_max: int = RUNS_MAX,
    seeds_tried: int = SEEDS_TRIED,
) -> Shrunk:
    """A smaller scenario that still breaks the property; the same one where there is none.

    The scenario itself is known to break it.  At most `runs_max` runs.
    """
    return _Search(is_broken, runs_max, seeds_tried).shrink(scenario)


class _Search:
    """One search for something smaller, and how many runs it may still take."""

    def __init__(self, is_broken: Judge, runs_max: int, seeds_tried: int) -> None:
        self._is_broken = is_broken
        self._runs_max = runs_max
        self._seeds_tried = seeds_tried
        self._runs = 0
        self._refused: set[AnyScenario] = set()

    def shrink(self, scenario: AnyScenario) -> Shrunk:
        before = None
        while scenario != before and self._runs < self._runs_max:
            before = scenario
            for smaller in (_fewer_faults, _fewer_rounds, _fewer_nodes, _earlier_ends):
                scenario = self._go_through(scenario, smaller)
        return Shrunk(scenario, self._runs)

    def _go_through(self, scenario: AnyScenario, smaller: Pass) -> AnyScenario:
        """Take each candidate that is still broken, and go on from it."""
        found: AnyScenario | None = scenario
        while found is not None:
            scenario = found
            tried = map(self._try, smaller(scenario))
            found = next((one for one in tried if one is not None), None)
        return scenario

    def _try(self, candidate: AnyScenario) -> AnyScenario | None:
        if candidate in self._refused:
            return None
        for offset in range(self._seeds_tried):
            if self._runs >= self._runs_max:
                return None
            self._runs += 1
            seeded = replace(candidate, seed=candidate.seed + offset)
            if self._is_broken(seeded):
                return seeded
        self._refused.add(candidate)
        return None


# --- what may be left out -------------------------------------------------------------------------


def _fewer_faults(scenario: Any) -> Iterator[AnyScenario]:
    for name in _ITEMS:
        items = getattr(scenario, name, ())
        yield from (replace(scenario, **{name: some}) for some in _subsets(items))
    if isinstance(scenario, Scenario):
        if scenario.weather != scenario.calm:
            yield replace(scenario, weather=scenario.calm)
        for weather in _without_rates(scenario.weather):
            yield replace(scenario, weather=weather)
        for place in range(len(scenario.twins) - 1, -1, -1):
            yield without_station(scenario, scenario.nodes + place)
        return
    for seat in range(len(scenario.seats) - 1, scenario.nodes - 1, -1):
        yield without_seat(scenario, seat)
    yield from _without_rates(scenario)
    for place, one in enumerate(scenario.rounds):
        rounds = scenario.rounds
        for simpler in _simpler_rounds(scenario, one):
            yield replace(scenario, rounds=(*rounds[:place], simpler, *rounds[place + 1 :]))


def _without_rates(value: Any) -> Iterator[Any]:
    for field in fields(value):
        if field.name in _RATES and getattr(value, field.name) > 0:
            yield replace(value, **{field.name: 0})


def _subsets(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """None, then the items without a half, without a quarter, ... without a single one."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2


def _is_calm(scenario: PluginScenario, one: Round) -> bool:
    return one == _calm_round(scenario)


def _calm_round(scenario: PluginScenario) -> Round:
    return Round(None, (tuple(range(len(scenario.seats))),))


def _simpler_rounds(scenario: PluginScenario, one: Round) -> Iterator[Round]:
    calm = _calm_round(scenario)
    if one == calm:
        return
    yield calm
    if one.groups != calm.groups:
        yield replace(one, groups=calm.groups)
    if one.leader is not None:
        yield replace(one, leader=None)
    for kinds in _subsets(one.kinds):
        yield replace(one, kinds=kinds)
    for deaf in _subsets(one.deaf):
        yield replace(one, deaf=deaf)


def _fewer_rounds(scenario: AnyScenario) -> Iterator[AnyScenario]:
    if isinstance(scenario, Scenario):
        load = scenario.load
        for count in _fewer(load.transactions, least=1):
            yield replace(scenario, load=replace(load, transactions=count))
        for count in _fewer(load.members, least=1):
            yield replace(scenario, load=replace(load, members=count))
    else:
        for count in _fewer(len(scenario.rounds), least=0):
            yield replace(scenario, rounds=scenario.rounds[:count])
        for count in _fewer(scenario.payloads, least=1):
            yield replace(scenario, payloads=count)
    for stable_ms in _fewer(scenario.stable_ms, least=0):
        yield _stable_from(scenario, stable_ms)


def _fewer(count: int, *, least: int) -> Iterator[int]:
    """Smaller numbers, the smallest first, and few of them where the number is large."""
    seen = {count}
    for smaller in (least, count // 8, count // 4, count // 2, count * 3 // 4, count * 7 // 8):
        if least <= smaller < count and smaller not in seen:
            seen.add(smaller)
            yield smaller
    if count - 1 not in seen and count - 1 >= least and count <= 16:
        yield count - 1


def _stable_from(scenario: AnyScenario, stable_ms: int) -> AnyScenario:
    """Every fault has ended by then."""
    changed: dict[str, Any] = {}
    for name, items in _timed(scenario):
        changed[name] = tuple(
            _ending(item, min(item.until_ms, stable_ms))
            for item in items
            if item.until_ms is not None and item.at_ms < stable_ms
        )
    return replace(scenario, stable_ms=stable_ms, **changed)


def _fewer_nodes(scenario: AnyScenario) -> Iterator[AnyScenario]:
    for index in range(scenario.nodes - 1, -1, -1):
        if scenario.nodes == 1:
            return
        if index in scenario.twins:
            continue
        if isinstance(scenario, PluginScenario):
            yield without_seat(scenario, index)
        elif _has_links(smaller := without_station(scenario, index)):
            yield smaller


def _has_links(scenario: Scenario) -> bool:
    """Whether its nodes still make a network of the topology that is named."""
    try:
        topology_named(scenario.topology, scenario.nodes, scenario.seed)
    except UserError:
        return False
    return True


def _earlier_ends(scenario: Any) -> Iterator[AnyScenario]:
    for name, items in _timed(scenario):
        for place, item in enumerate(items):
            if item.until_ms is None:
                continue
            for length_ms in _fewer(item.until_ms - item.at_ms, least=1):
                earlier = _ending(item, item.at_ms + length_ms)
                yield replace(scenario, **{name: (*items[:place], earlier, *items[place + 1 :])})


def _timed(scenario: AnyScenario) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(name, items) of every tuple of things that begin and end."""
    for name in _ITEMS:
        items = getattr(scenario, name, ())
        if items and hasattr(items[0], "until_ms"):
            yield name, items


def _ending(item: Any, until_ms: int) -> Any:
    return replace(item, until_ms=until_ms)


# --- with one node less ---------------------------------------------------------------------------


def without_station(scenario: Scenario, station: int) -> Scenario:
    """The scenario of whole replicas without a station and what befalls it; later ones move up.

    Station i < n is validator i, which is gone then.  Its twin must be gone before.
    """
    is_validator = station < scenario.nodes
    twins, attacks, sides = list(scenario.twins), scenario.attacks, scenario.sides
    if is_validator:
        assert station not in twins, station
        twins = [twin - (twin > station) for twin in twins]
        attacks = tuple((one - (one > station), name) for one, name in attacks if one != station)
        sides = tuple((ms, (*seen[:station], *seen[station + 1 :])) for ms, seen in sides)
    else:
        del twins[station - scenario.nodes]
    incidents = tuple(
        replace(incident, nodes=_moved(incident.nodes, station))
        for incident in scenario.incidents
        if not incident.nodes or _moved(incident.nodes, station)
    )
    return replace(
        scenario,
        nodes=scenario.nodes - is_validator,
        incidents=incidents,
        topology=_topology_without(scenario.topology, station),
        attacks=attacks,
        twins=tuple(twins),
        sides=sides if twins else (),
    )


def _topology_without(topology: str, node: int) -> str:
    """The same links but those of a node, where the topology names each."""
    pairs = [pair.split("-") for pair in topology.split()]
    if not all(end.isdigit() for pair in pairs for end in pair):
        return topology
    left = (_moved(tuple(map(int, pair)), node) for pair in pairs)
    return " ".join(f"{ends[0]}-{ends[1]}" for ends in left if len(ends) == 2)


def without_seat(scenario: PluginScenario, seat: int) -> PluginScenario:
    """The scenario without a seat and what befalls it; the seats after it move up.

    Seat i < n is validator i, which is gone then.  Its twin must be gone before.
    """
    is_validator = seat < scenario.nodes

    def groups(before: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(_moved(group, seat) for group in before)

    def round_(one: Round) -> Round:
        leader = one.leader
        if is_validator and leader is not None:
            leader = None if leader == seat else leader - (leader > seat)
        kinds = tuple((kind, groups(each)) for kind, each in one.kinds)
        deaf = tuple((kind, _moved(each, seat)) for kind, each in one.deaf)
        return Round(leader, groups(one.groups), kinds, deaf)

    twins, attacks = list(scenario.twins), scenario.attacks
    if is_validator:
        assert seat not in twins, seat
        twins = [twin - (twin > seat) for twin in twins]
        attacks = tuple((one - (one > seat), name) for one, name in attacks if one != seat)
    else:
        del twins[seat - scenario.nodes]
    crashes: tuple[Crash, ...] = _moved_items(scenario.crashes, seat)
    stumbles: tuple[Stumble, ...] = _moved_items(scenario.stumbles, seat)
    pauses: tuple[Pause, ...] = _moved_items(scenario.pauses, seat)
    clocks: tuple[Clock, ...] = _moved_items(scenario.clocks, seat)
    return replace(
        scenario,
        nodes=scenario.nodes - is_validator,
        twins=tuple(twins),
        attacks=attacks,
        crashes=crashes,
        stumbles=stumbles,
        pauses=pauses,
        clocks=clocks,
        partitions=tuple(replace(one, groups=groups(one.groups)) for one in scenario.partitions),
        rounds=tuple(map(round_, scenario.rounds)),
    )


def _moved(seats: tuple[int, ...], gone: int) -> tuple[int, ...]:
    return tuple(seat - (seat > gone) for seat in seats if seat != gone)


def _moved_items(items: tuple[Any, ...], gone: int) -> tuple[Any, ...]:
    return tuple(
        replace(item, seat=item.seat - (item.seat > gone)) for item in items if item.seat != gone
    )
