"""Shrinking: what is left still breaks the same rule, and hardly anything is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from ledger.errors import UserError
from sim import faults
from sim.plugin_scenario import Round
from sim.plugins import Crash, Partition, Pause, PluginScenario
from sim.scenario import Incident, Scenario
from sim.scenario_file import AnyScenario, check_scenario
from sim.search import Hunt, draw, play
from sim.shrink import Size, shrink, size_of, without_seat, without_station
from tests.consensus.mutants_tendermint import QuorumOfTwoThirds

BUSY = PluginScenario(
    Jolteon,
    seed=5,
    nodes=7,
    twins=(2, 6),
    attacks=((2, "silent"), (5, "delaying")),
    payloads=12,
    loss=100,
    split=300,
    mutate=50,
    crashes=(Crash(0, 5, 90), Crash(8, 10, 40), Crash(3, 20, 500), Crash(4, 30, None)),
    pauses=(Pause(7, 100, 900),),
    partitions=(Partition(5, 800, ((0, 1, 7), (2, 3, 8))),),
    rounds=(Round(6, ((0, 1, 2), (3, 4, 5, 6, 7, 8)), ((1, ((0, 8),)),)), Round(1, ((0, 1),))),
    stable_ms=1_000,
)


def test_whatever_does_not_matter_goes_away() -> None:
    def is_broken(scenario: AnyScenario) -> bool:
        assert isinstance(scenario, PluginScenario)
        check_scenario(scenario, Jolteon)
        return any(crash.until_ms and crash.until_ms > 200 for crash in scenario.crashes)

    shrunk = shrink(BUSY, is_broken, runs_max=10_000)

    assert isinstance(shrunk.scenario, PluginScenario)
    (crash,) = shrunk.scenario.crashes
    assert 200 < (crash.until_ms or 0) < 250
    assert size_of(shrunk.scenario) == Size(1, 1, 1, shrunk.scenario.stable_ms)
    assert shrunk.scenario.stable_ms < 250
    assert shrunk.scenario.rounds == ()


def test_whatever_matters_stays() -> None:
    def is_broken(scenario: AnyScenario) -> bool:
        assert isinstance(scenario, PluginScenario)
        leaders = {one.leader for one in scenario.rounds}
        return bool(scenario.twins and scenario.loss and leaders & set(scenario.twins))

    shrunk = shrink(BUSY, is_broken, runs_max=10_000).scenario

    assert isinstance(shrunk, PluginScenario)
    assert len(shrunk.twins) == 1
    assert shrunk.nodes == 1
    assert shrunk.loss == 100
    assert [one.leader for one in shrunk.rounds] == [0]
    assert size_of(shrunk).faults == 3


def test_no_more_runs_than_allowed_and_nothing_lost_by_it() -> None:
    calls: list[AnyScenario] = []

    def never(scenario: AnyScenario) -> bool:
        calls.append(scenario)
        return False

    shrunk = shrink(BUSY, never, runs_max=30)

    assert len(calls) == shrunk.runs == 30
    assert shrunk.scenario == BUSY


def test_a_candidate_is_tried_with_more_than_one_seed() -> None:
    def is_broken(scenario: AnyScenario) -> bool:
        return scenario.seed % 3 == 0

    shrunk = shrink(replace(BUSY, seed=3), is_broken, runs_max=10_000, seeds_tried=3)

    assert size_of(shrunk.scenario) == Size(0, 1, 1, 0)
    assert (
        shrink(replace(BUSY, seed=3), lambda one: one.seed == 4, seeds_tried=1).scenario.seed == 3
    )


def test_a_seat_less_moves_up_the_others() -> None:
    less = without_seat(BUSY, 4)

    assert (less.nodes, less.twins) == (6, (2, 5))
    assert less.attacks == ((2, "silent"), (4, "delaying"))
    assert less.crashes == (Crash(0, 5, 90), Crash(7, 10, 40), Crash(3, 20, 500))
    assert less.pauses == (Pause(6, 100, 900),)
    assert less.partitions[0].groups == ((0, 1, 6), (2, 3, 7))
    assert less.rounds[0] == Round(5, ((0, 1, 2), (3, 4, 5, 6, 7)), ((1, ((0, 7),)),))
    assert without_seat(BUSY, 7).twins == (6,)
    assert without_seat(BUSY, 1).rounds[1].leader is None


def test_whole_replicas_are_made_small_in_the_same_way() -> None:
    scenario = faults.draw_scenario(11, "jolteon", 7)
    scenario = replace(
        scenario, incidents=(*scenario.incidents, Incident("pause", 100, 3_000, (2, 5)))
    )

    def is_broken(one: AnyScenario) -> bool:
        assert isinstance(one, Scenario)
        check_scenario(one, Jolteon)
        return any(incident.kind == "pause" for incident in one.incidents)

    shrunk = shrink(scenario, is_broken, runs_max=10_000).scenario

    assert isinstance(shrunk, Scenario)
    assert size_of(shrunk).faults == 1
    assert (shrunk.nodes, shrunk.load.transactions, shrunk.load.members) == (1, 1, 1)
    assert shrunk.weather == shrunk.calm
    assert shrunk.limits == ()


WHOLE = Scenario(
    seed=1,
    protocol="jolteon",
    nodes=5,
    incidents=(Incident("crash", 5, 90, (2, 6)), Incident("pause", 10, 40, (3,))),
    attacks=((0, "silent"), (4, "delaying")),
    twins=(1, 4),
    sides=((0, (0, 1, 0, 1, 0)), (50, (1, 1, 0, 0, 1))),
    stable_ms=100,
)


def test_a_station_less_moves_up_the_others() -> None:
    less = without_station(WHOLE, 3)

    assert (less.nodes, less.twins) == (4, (1, 3))
    assert less.attacks == ((0, "silent"), (3, "delaying"))
    assert less.incidents == (Incident("crash", 5, 90, (2, 5)),)
    assert less.sides == ((0, (0, 1, 0, 0)), (50, (1, 1, 0, 1)))
    assert without_station(WHOLE, 0).attacks == ((3, "delaying"),)


def test_a_twin_less_leaves_its_validator() -> None:
    less = without_station(WHOLE, 5)

    assert (less.nodes, less.twins, less.sides) == (5, (4,), WHOLE.sides)
    assert less.attacks == WHOLE.attacks
    assert less.incidents[0].nodes == (2, 5)
    assert without_station(less, 5).sides == ()


def test_the_links_of_a_node_less_go_with_it_or_it_stays() -> None:
    links = "0-1 1-2 2-3 3-4"
    lined = replace(WHOLE, incidents=(), twins=(), sides=(), topology=links)

    def is_broken(one: AnyScenario) -> bool:
        """As long as both ends of the line attack: no node between them can go."""
        check_scenario(one, Jolteon)
        assert isinstance(one, Scenario)
        return len(one.attacks) == 2

    assert without_station(lined, 2).topology == "0-1 2-3"
    assert without_station(lined, 0).topology == "0-1 1-2 2-3"
    assert shrink(lined, is_broken, runs_max=1_000).scenario.nodes == 5


def test_twins_of_whole_replicas_go_away_where_they_do_not_matter() -> None:
    def is_broken(one: AnyScenario) -> bool:
        assert isinstance(one, Scenario)
        check_scenario(one, Jolteon)
        return any(name == "delaying" for _, name in one.attacks)

    shrunk = shrink(WHOLE, is_broken, runs_max=1_000).scenario

    assert isinstance(shrunk, Scenario)
    assert (shrunk.nodes, shrunk.twins, shrunk.attacks) == (1, (), ((0, "delaying"),))
    assert size_of(WHOLE).faults == 6
    assert size_of(shrunk).faults == 1


def test_a_mutants_scenario_becomes_small_and_stays_its_own() -> None:
    hunt = Hunt("", ("twins",), None, 1)
    scenarios = (draw(hunt, QuorumOfTwoThirds, "twins", number) for number in range(24))
    found = next(one for one in scenarios if play(one, QuorumOfTwoThirds).broken == "agreement")

    def is_broken(scenario: AnyScenario) -> bool:
        return play(scenario, QuorumOfTwoThirds).broken == "agreement"

    first, again = (shrink(found, is_broken, runs_max=60) for _ in range(2))

    assert first == again
    assert is_broken(first.scenario)
    assert size_of(first.scenario).faults <= size_of(found).faults // 2
    assert size_of(first.scenario).stable_ms <= size_of(found).stable_ms
    assert isinstance(first.scenario, PluginScenario)
    assert not play(replace(first.scenario, protocol=Tendermint), Tendermint).broken


def test_a_scenario_with_nonsense_is_no_candidate() -> None:
    with pytest.raises(UserError, match="no seat 9"):
        check_scenario(replace(BUSY, crashes=(Crash(9, 1, 2),)), Jolteon)
