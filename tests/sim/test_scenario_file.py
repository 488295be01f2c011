"""Scenario files: what is written is read again, and what is wrong is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.protocols.jolteon import Jolteon
from ledger.errors import UserError
from ledger.validators import QuorumRule
from sim import faults, plugins
from sim.plugins import Crash, Partition, Pause, PluginScenario
from sim.scenario import Incident, Scenario
from sim.scenario_file import ScenarioFile, read_scenario, write_scenario

SEEDS = st.integers(0, 1 << 40)
TIMES = st.integers(0, 10_000)
PARAMETERS = st.permutations(sorted(Jolteon.PARAMETERS.items())).flatmap(
    lambda pairs: st.integers(0, len(pairs)).map(lambda count: tuple(pairs[:count]))
)
NOTES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)


@st.composite
def plugin_scenarios(draw: st.DrawFn) -> PluginScenario:
    scenario = plugins.draw_scenario(Jolteon, draw(SEEDS), nodes=draw(st.integers(4, 7)))
    times = draw(st.lists(st.tuples(TIMES, TIMES).map(sorted), max_size=3))
    return replace(
        scenario,
        rule=draw(st.sampled_from(QuorumRule)),
        parameters=draw(PARAMETERS),
        codec=draw(st.booleans()),
        crashes=(*scenario.crashes, *(Crash(0, first, None) for first, _ in times)),
        pauses=tuple(Pause(1, first, last) for first, last in times),
        partitions=tuple(Partition(first, last, ((0, 1), (), (2,))) for first, last in times),
    )


@st.composite
def replica_scenarios(draw: st.DrawFn) -> Scenario:
    scenario = faults.draw_scenario(draw(SEEDS), "jolteon", draw(st.integers(4, 7)))
    return replace(scenario, parameters=draw(PARAMETERS), crash_only=draw(st.booleans()))


@given(plugin_scenarios() | replica_scenarios(), NOTES, st.sampled_from(["", "agreement"]))
@settings(max_examples=40)
def test_what_is_written_is_read_again(
    scenario: PluginScenario | Scenario, note: str, expect: str
) -> None:
    file = ScenarioFile(scenario, "jolteon", expect, note=note)

    assert read_scenario(write_scenario(file)) == file


def test_a_file_reads_well() -> None:
    scenario = PluginScenario(
        Jolteon,
        seed=7,
        rule=QuorumRule.CRASH,
        parameters=(("timeout_ms", 15),),
        crashes=(Crash(1, 40, 60, "amid"), Crash(2, 50, None)),
        partitions=(Partition(5, 9, ((0, 1), (2, 3))),),
    )

    text = write_scenario(ScenarioFile(scenario, "jolteon", "agreement", "", "Twice.\nSo it is."))

    assert text == TEXT


TEXT = """\
# Twice.
# So it is.
mode = "plugins"
protocol = "jolteon"
expect = "agreement"

seed = 7
rule = "crash"

[parameters]
timeout_ms = 15

[[crashes]]
seat = 1
at_ms = 40
until_ms = 60
boundary = "amid"

[[crashes]]
seat = 2
at_ms = 50

[[partitions]]
at_ms = 5
until_ms = 9
groups = [[0, 1], [2, 3]]
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 7", "sede = 7", "^sede: unknown key; known are seed, "),
        ("seed = 7", "seed = true", "^seed: expected a whole number"),
        ("seed = 7", "seed = 7.0", "^seed: expected a whole number"),
        ("seed = 7", "seed = -7", "^seed: expected 0 or more"),
        ("seed = 7", "seed = ", "^this is not a scenario: .*line 7"),
        ("seed = 7", "nodes = 0", "^nodes: expected 1 to 100"),
        ("seed = 7", "loss = 1001", "^loss: expected 0 to 1000"),
        ("seed = 7", "interval_ms = 0", "^interval_ms: expected 1 or more"),
        ("seed = 7", "twins = [4]", "^twins: there is no validator 4"),
        ("seed = 7", "twins = 4", "^twins: expected an array"),
        ("seed = 7", "protocol = 7", "^this is not a scenario"),
        ('mode = "plugins"', 'mode = "plugin"', "mode must be"),
        ('"plugins"', '"replicas"', "^rule: unknown key"),
        ('protocol = "jolteon"', "", "protocol is missing"),
        ('"jolteon"', '"nonsense"', "there is no protocol nonsense"),
        ('"jolteon"', '"nonsense:Nonsense"', "cannot import 'nonsense'"),
        ('"jolteon"', '"consensus.tally:Tally"', "holds no Consensus class Tally"),
        ('"jolteon"', '":"', "cannot import"),
        ('"agreement"', "1", "^expect: expected a name"),
        ('rule = "crash"', 'rule = "luck"', "^rule: expected one of byzantine, crash"),
        ("timeout_ms = 15", "timeout = 15", "^parameters.timeout: known are timeout_ms, "),
        ("timeout_ms = 15", 'timeout_ms = "x"', "^parameters.timeout_ms: expected a whole"),
        ("[parameters]\ntimeout_ms = 15", "parameters = 1", "^parameters: expected a table"),
        ("seat = 1", "seat = 4", r"^crashes\[0\].seat: there is no seat 4"),
        ("seat = 2", "at = 2", r"^crashes\[1\].at: unknown key"),
        ("seat = 2", "", r"^crashes\[1\].seat: this key is missing"),
        ('"amid"', '"soon"', r"^crashes\[0\].boundary: known are now, "),
        ("until_ms = 60", "until_ms = 6", r"^crashes\[0\].until_ms: it ends before it begins"),
        ("[2, 3]]", "2]", r"^partitions\[0\].groups\[1\]: expected an array"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, words: str) -> None:
    assert old in TEXT

    with pytest.raises(UserError, match=words):
        read_scenario(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("incident", "words"),
    [
        (Incident("quake", 1, 2, (0,)), r"^incidents\[0\].kind: known are partition, "),
        (Incident("crash", 1, 2, (4,)), r"^incidents\[0\].nodes: there is no node 4"),
        (Incident("crash", 2, 1, (0,)), r"^incidents\[0\].until_ms"),
    ],
)
def test_an_incident_that_cannot_be_is_named(incident: Incident, words: str) -> None:
    scenario = Scenario(1, "jolteon", 4, incidents=(incident,))

    with pytest.raises(UserError, match=words):
        read_scenario(write_scenario(ScenarioFile(scenario, "jolteon")))


def test_a_limit_that_is_none_is_named() -> None:
    scenario = Scenario(1, "jolteon", 4, limits=(("luck", 1),))

    with pytest.raises(UserError, match=r"^limits\.luck"):
        read_scenario(write_scenario(ScenarioFile(scenario, "jolteon")))
