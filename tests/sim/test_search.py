"""The hunt: its scenarios follow from the seed, and what it finds breaks the rule it should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.interface import Context, Recovery
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.raft import Raft
from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from consensus.registry import protocol_named
from host.search import _chunks
from ledger.errors import UserError
from sim.plugin_scenario import Clock
from sim.plugins import Crash, Partition, Pause, PluginScenario, Round
from sim.scenario import FOR_EVER_MS, Incident, Scenario
from sim.scenario_file import ScenarioFile, read_scenario, write_scenario
from sim.search import (
    GUIDED,
    REPLICAS,
    STRATEGIES,
    Chunk,
    Finding,
    Hunt,
    chunk_size,
    draw,
    play,
    play_chunk,
    replay_whole,
)
from sim.translation import whole_replicas
from tests.consensus.mutants_tendermint import QuorumOfTwoThirds

DRAWN = tuple(name for name in STRATEGIES if name != GUIDED)
"""Strategies whose scenarios follow from their numbers alone, and not from those before."""
MUTANT = "tests.consensus.mutants_tendermint:QuorumOfTwoThirds"


@pytest.mark.parametrize("strategy", DRAWN)
def test_scenarios_follow_from_the_seed_alone(strategy: str) -> None:
    hunts = [Hunt("jolteon", (strategy,), None, seed) for seed in (1, 1, 2)]

    first, again, other = (
        [draw(hunt, Jolteon, strategy, number) for number in range(20)] for hunt in hunts
    )

    assert first == again
    assert not set(first) & set(other)
    assert len(set(first)) == 20


@pytest.mark.parametrize("strategy", DRAWN)
def test_whatever_is_drawn_can_be_written_and_read(strategy: str) -> None:
    hunt = Hunt("jolteon", (strategy,), None, 3)

    for number in range(20):
        file = ScenarioFile(draw(hunt, Jolteon, strategy, number), "jolteon")
        assert read_scenario(write_scenario(file)) == file


@pytest.mark.parametrize("strategy", DRAWN)
def test_protocols_that_bear_no_liars_meet_none(strategy: str) -> None:
    hunt = Hunt("solo", (strategy,), None, 1)

    for number in range(60):
        scenario = draw(hunt, Solo, strategy, number)
        if isinstance(scenario, PluginScenario):
            assert (scenario.byzantine, scenario.mutate, scenario.bad) == ((), 0, 0)
            assert all(crash.until_ms is not None for crash in scenario.crashes)
            read_scenario(write_scenario(ScenarioFile(scenario, "solo")))


def test_chunks_take_turns_and_leave_nothing_out() -> None:
    hunt = Hunt("jolteon", ("twins", REPLICAS), None, 1)

    chunks = [Chunk(hunt, number, chunk_size(hunt.strategies[number % 2])) for number in range(6)]

    assert [chunk.strategy for chunk in chunks] == ["twins", REPLICAS] * 3
    for strategy in hunt.strategies:
        numbers = [n for chunk in chunks if chunk.strategy == strategy for n in chunk.numbers]
        assert numbers == list(range(3 * chunk_size(strategy)))


def test_so_many_of_a_search_are_whole_replicas() -> None:
    """About half of the time, since one takes as long as ten others; the documents say how many."""
    chunks = list(_chunks(Hunt("jolteon", STRATEGIES, None, 1), 20_000))

    assert sum(chunk.size for chunk in chunks) == 20_000
    assert sum(chunk.size for chunk in chunks if chunk.strategy == REPLICAS) == 1_632


@pytest.mark.parametrize(("nodes", "topology"), [(None, "ring"), (7, "random-3")])
def test_a_quarter_of_the_whole_replicas_have_few_links_dead_nodes_or_not(
    nodes: int | None, topology: str
) -> None:
    hunt = Hunt("jolteon", STRATEGIES, nodes, 1)
    drawn = [draw(hunt, Jolteon, REPLICAS, number) for number in range(80)]

    few = [each for each in drawn if isinstance(each, Scenario) and each.topology != "full"]
    assert [each.topology for each in few] == [topology] * 20
    dead = [each for each in few if any(i.until_ms == FOR_EVER_MS for i in each.incidents)]
    assert 2 <= len(dead) <= 10


def test_a_chunk_reports_the_first_scenario_that_broke_each_property() -> None:
    chunk = Chunk(Hunt(MUTANT, ("twins",), None, 1), 0, 8)

    report = play_chunk(chunk, QuorumOfTwoThirds)

    outcomes = [
        play(draw(chunk.hunt, QuorumOfTwoThirds, "twins", number), QuorumOfTwoThirds)
        for number in range(8)
    ]
    assert report.runs == 8
    assert report.events == sum(outcome.events for outcome in outcomes)
    assert sum(count for _, count in report.broken) == sum(bool(one.broken) for one in outcomes)
    for finding in report.findings:
        firsts = [number for number in range(8) if outcomes[number].broken == finding.broken]
        assert finding.number == firsts[0]
        assert play(finding.scenario, QuorumOfTwoThirds).sentence == finding.sentence
    assert "agreement" in dict(report.broken)
    assert play_chunk(chunk, Tendermint).broken == ()


def test_a_guided_chunk_is_an_episode_that_can_be_played_again_from_its_numbers() -> None:
    hunt = Hunt(MUTANT, (GUIDED,), None, 1)
    chunk = Chunk(hunt, 2, 3)

    report = play_chunk(chunk, QuorumOfTwoThirds)

    plots = [draw(hunt, QuorumOfTwoThirds, GUIDED, number) for number in chunk.numbers]
    assert chunk.numbers.start == 2 * chunk_size(GUIDED)
    assert play_chunk(chunk, QuorumOfTwoThirds) == report
    for finding in report.findings:
        assert finding.scenario == plots[finding.number - chunk.numbers.start]
    assert report.events == sum(play(plot, QuorumOfTwoThirds).events for plot in plots)


def test_an_episode_for_a_protocol_that_bears_no_liars_has_none() -> None:
    plot = draw(Hunt("raft", (GUIDED,), None, 1), Raft, GUIDED, 3)

    assert isinstance(plot, PluginScenario)
    assert (plot.byzantine, plot.splice, plot.hoard, plot.hush) == ((), 0, 0, False)
    assert play(plot, Raft).broken == ""


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="no strategy luck; known are twins, "):
        draw(Hunt("jolteon", ("luck",), None, 1), Jolteon, "luck", 0)


def test_whole_replicas_get_the_same_faults_at_the_same_times() -> None:
    scenario = PluginScenario(
        Jolteon,
        seed=3,
        crashes=(Crash(1, 50, 90, "amid"),),
        pauses=(Pause(2, 10, 20),),
        partitions=(Partition(5, 60, ((0, 1), (2, 3))),),
        attacks=((3, "silent"),),
        loss=30,
        stable_ms=100,
    )

    whole = whole_replicas(scenario, "jolteon")

    assert whole.incidents == (
        Incident("partition", 5, 60, (0, 1)),
        Incident("pause", 10, 20, (2,)),
        Incident("crash", 50, 90, (1,), 3),
    )
    assert (whole.weather.loss, whole.calm.loss, whole.stable_ms) == (30, 0, 100)
    assert whole.attacks == scenario.attacks
    assert not play(whole, Jolteon).broken


def test_twins_stay_twins_and_each_validator_sees_the_one_in_its_group() -> None:
    scenario = PluginScenario(
        Jolteon,
        seed=3,
        twins=(2,),
        partitions=(Partition(5, 60, ((0, 2), (1, 3, 4)), is_one_way=True),),
        stable_ms=100,
    )

    whole = whole_replicas(scenario, "jolteon")

    assert whole.twins == (2,)
    assert whole.incidents == (Incident("one-way", 5, 60, (0, 2)),)
    assert dict(whole.sides)[5] == (0, 1, 0, 1)
    assert {sides for _, sides in whole.sides} > {(0, 1, 0, 1)}
    assert not play(whole, Jolteon).broken


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"twins": (3,), "rounds": (Round(0, ()),), "split": 5}, "cannot be told: rounds, split"),
        ({"clocks": (Clock(0, 5, 100),)}, "cannot be told: clocks"),
        (
            {"partitions": (Partition(1, 2, ((0,), (1, 2, 3)), flap_ms=5),)},
            "cannot be told: partitions that flap",
        ),
        ({"crashes": (Crash(1, 5, None),)}, "cannot be told: crashes for ever"),
        ({"partitions": (Partition(1, 2, ((0,),)),)}, "partitions into other than two groups"),
    ],
)
def test_what_whole_replicas_cannot_be_told_is_said(changes: dict[str, object], words: str) -> None:
    scenario: PluginScenario = replace(PluginScenario(Jolteon), **changes)  # type: ignore[arg-type]

    with pytest.raises(UserError, match=words):
        whole_replicas(scenario, "jolteon")

    finding = Finding("twins", 1, "agreement", "", 0, scenario)
    found, sentence = replay_whole(finding, "jolteon", Jolteon)
    assert found is None
    assert "not replayed" in sentence


class FailsToRecover(Tendermint):
    """Breaks down when it is started again after it has signed something."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self._has_signed = bool(recovery.sent)

    def on_start(self) -> None:
        assert not self._has_signed, "it knows not what to do"
        super().on_start()


@pytest.mark.parametrize("twins", [(), (3,)])
def test_a_finding_is_shown_to_whole_replicas(twins: tuple[int, ...]) -> None:
    scenario = PluginScenario(
        FailsToRecover,
        twins=twins,
        crashes=(Crash(1, 400, 600),),
        payloads=8,
        stable_ms=1_000,
    )
    assert play(scenario, FailsToRecover).broken == "breakdown"
    finding = Finding("random", 1, "breakdown", "", 0, scenario)

    whole, words = replay_whole(finding, "tendermint", FailsToRecover)

    assert isinstance(whole, Scenario)
    assert whole.twins == twins
    assert words.startswith("P19 is broken there too: ")
    assert play(whole, FailsToRecover).broken == "P19"
    assert play(whole, Tendermint).broken == ""


def test_a_finding_that_whole_replicas_do_not_share_says_so() -> None:
    # Bare plugins are given payloads; replicas name a batch only once a quorum holds it.
    scenario = PluginScenario(
        QuorumOfTwoThirds,
        partitions=(Partition(0, 2_000, ((0, 1), (2, 3))),),
        payloads=4,
        payload_max=1,
        interval_ms=50,
        stable_ms=2_500,
    )
    assert play(scenario, QuorumOfTwoThirds).broken == "agreement"
    finding = Finding("random", 1, "agreement", "", 0, scenario)

    whole, words = replay_whole(finding, MUTANT, QuorumOfTwoThirds)

    assert whole is None
    assert words == "not reproduced there in 3 runs with the same faults"


@pytest.mark.parametrize(("protocol", "is_deadly"), [("tendermint", True), ("solo", False)])
def test_every_other_scenario_of_whole_replicas_has_nobody_to_spare(
    protocol: str, is_deadly: bool
) -> None:
    hunt = Hunt(protocol, (REPLICAS,), None, 1)
    plugin = protocol_named(protocol)
    deadly = [
        any(one.until_ms == FOR_EVER_MS for one in scenario.incidents)
        for scenario in (draw(hunt, plugin, REPLICAS, number) for number in range(30))
        if isinstance(scenario, Scenario)
    ]

    assert not any(deadly[::2])
    assert any(deadly[1::2]) == is_deadly
