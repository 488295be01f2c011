"""A recording tells what happened, and changes nothing of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from consensus.interface import Consensus
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from ledger.value import Value
from sim.faults import draw_scenario as draw_replicas
from sim.plugins import Pause, PluginScenario, Script, draw_scenario, run
from sim.record import Fate, Recording
from sim.record_plugins import DOWN, LATE, WITHHELD, PluginRecorder
from sim.record_replicas import record
from sim.record_words import Names, describe, label_of
from sim.run import run as run_replicas
from tests.consensus.harness import Stage
from tests.consensus.mutants_tendermint import IgnoresLock
from tests.consensus.test_tendermint_safety import LOCKED_BY_TWO


def locked(protocol: type[Tendermint]) -> Recording:
    """The schedule against the lock, to its end."""
    recorder = PluginRecorder()
    Stage(protocol, "Zz", LOCKED_BY_TWO, recorder=recorder).heal()
    return recorder.recording()


def check_sound(recording: Recording) -> None:
    """What holds in any recording: time goes on, and what arrives was sent before."""
    times = [fact.at_us for fact in recording.facts]
    assert times == sorted(times)
    for passage in recording.passages:
        saying = recording.sayings[passage.saying]
        assert saying.at_us <= passage.sent_us <= (passage.ended_us or recording.end_us)
        assert passage.receiver != saying.line
        assert (passage.ended_us is None) == (passage.fate is Fate.UNDER_WAY)
        assert bool(passage.why) or passage.fate is not Fate.LOST


@pytest.mark.parametrize("protocol", [Tendermint, Jolteon])
def test_recording_bare_plugins_changes_nothing(protocol: type[Consensus]) -> None:
    for seed in range(8):
        scenario = draw_scenario(protocol, seed)
        recorder = PluginRecorder()

        assert run(scenario, recorder) == run(scenario)

        check_sound(recorder.recording())


@pytest.mark.parametrize("protocol", [Tendermint, Jolteon])
def test_recording_whole_replicas_changes_nothing(protocol: type[Consensus]) -> None:
    drawn = draw_replicas(5, protocol.name, 4)
    scenario = replace(drawn, load=replace(drawn.load, transactions=8))

    report, recording = record(scenario, protocol)

    assert report == run_replicas(scenario, protocol)
    check_sound(recording)
    confirmed = [0] * scenario.nodes
    for fact in recording.facts:
        if fact.kind == "certified" and fact.line is not None:
            confirmed[fact.line] = int(fact.words.split()[-1])
    assert tuple(confirmed) == report.certified
    assert [span.kind for span in recording.spans] == sorted(
        (incident.kind for incident in scenario.incidents),
        key=[span.kind for span in recording.spans].index,
    )


def test_every_node_decides_the_same_value_as_each_number() -> None:
    drawn = draw_replicas(3, "tendermint", 4, faults=())
    scenario = replace(drawn, load=replace(drawn.load, transactions=8))
    _, recording = record(scenario, Tendermint)

    decided = [
        (fact.fields[0][1], fact.value) for fact in recording.facts if fact.kind == "decided"
    ]

    assert decided
    assert set(Counter(decided).values()) == {4}
    assert len({number for number, _ in decided}) == len(set(decided))


def test_a_fork_is_recorded_with_both_values_and_the_violation() -> None:
    recording = locked(IgnoresLock)

    decided = [fact for fact in recording.facts if fact.kind == "decided"]
    assert {(fact.line, fact.value) for fact in decided} == {(0, 0), (2, 2), (4, 2), (1, 2)}
    assert recording.violations[0].words.startswith(
        "agreement is violated: validator 2 decided value #3"
    )
    (lock,) = [fact for fact in recording.facts if (fact.kind, fact.line) == ("locked", 1)][:1]
    assert (lock.value, dict(lock.fields)["round"]) == (0, "0")
    assert [line.role for line in recording.lines] == ["", "", "", "twin", "twin"]


def test_with_the_rule_in_place_everyone_decides_one_value() -> None:
    recording = locked(Tendermint)

    decided = {fact.value for fact in recording.facts if fact.kind == "decided" and fact.line != 3}
    assert recording.violations == ()
    assert decided == {0}


def test_a_quorum_is_told_when_its_last_vote_is_heard_and_once() -> None:
    recording = locked(Tendermint)

    told = [fact for fact in recording.facts if (fact.kind, fact.line) == ("quorum", 0)]
    first = told[0]
    votes = [
        passage.ended_us
        for passage in recording.passages
        if passage.receiver == 0
        and recording.sayings[passage.saying].label == "prevote 1/0 #1"
        and passage.fate is Fate.ARRIVED
        and not recording.sayings[passage.saying].is_again
    ]
    assert first.words == "has a quorum of prevote 1/0 #1: v0 v1 v3"
    assert first.at_us == max(time for time in votes if time is not None)
    assert len({fact.words for fact in told}) == len(told)


def test_what_a_schedule_withholds_is_lost_until_it_is_released() -> None:
    recorder = PluginRecorder()
    script = Script(PluginScenario(Tendermint, payloads=0, exchange_ms=0), recorder)
    script.allow = lambda sender, receiver, packet: receiver != 0
    script.run_ms(5)
    script.submit(b"\x11" * 32)
    script.run_ms(20)
    to_first = [one for one in recorder.recording().passages if one.receiver == 0]
    assert {one.why for one in to_first} == {WITHHELD}

    count = script.release(lambda sender, receiver, packet: True)
    script.run_ms(20)

    late = [one for one in recorder.recording().passages if one.why == LATE]
    assert count == len(late) == len(to_first)
    assert all(one.fate is Fate.ARRIVED for one in late)


def test_a_message_to_a_stopped_validator_is_lost() -> None:
    recorder = PluginRecorder()
    script = Script(PluginScenario(Tendermint, payloads=0), recorder)
    script.run_ms(5)
    script.crash(0)
    script.submit(b"\x11" * 32)
    script.run_ms(50)

    recording = recorder.recording()

    assert ("crashed", 0) in [(fact.kind, fact.line) for fact in recording.facts]
    assert {one.why for one in recording.passages if one.receiver == 0} == {DOWN}


def test_lives_are_recorded() -> None:
    recorder = PluginRecorder()
    scenario = replace(
        draw_scenario(Tendermint, 1, faults=()), pauses=(Pause(2, 50, 90),), stable_ms=1_500
    )
    run(scenario, recorder)

    told = [(f.at_us // 1_000, f.kind) for f in recorder.recording().facts if f.line == 2]

    assert (50, "paused") in told
    assert (90, "resumed") in told


def test_repeats_are_marked_as_such() -> None:
    recording = locked(Tendermint)

    firsts = Counter((s.line, s.words) for s in recording.sayings if not s.is_again)

    assert set(firsts.values()) == {1}
    assert any(saying.is_again for saying in recording.sayings)


def test_values_have_short_names_and_messages_are_told_field_by_field() -> None:
    names = Names()
    value = Value(b"\x01" * 32, b"", (1, 0), 3, 1_234, (b"\x11" * 32,))
    from consensus.protocols.tendermint_messages import NO_ROUND, Prevote, Proposal

    names.learn(value)

    assert label_of(names, Prevote(1, 0, value.digest)) == "prevote 1/0 #1"
    assert label_of(names, Prevote(1, 0, b"")) == "prevote 1/0 nil"
    assert describe(names, Prevote(1, 0, b"")) == "prevote 1/0: instance 1, round 0, value nil"
    assert describe(names, Proposal(value, 0, NO_ROUND, None)) == (
        f"proposal 1/0: value #1 ({value.digest.hex()[:8]}, first proposed by v3 in slot 1/0, "
        "ordering 11111111), round 0, no valid round, no proof"
    )


def test_twins_and_attackers_among_whole_replicas_have_their_lines() -> None:
    drawn = draw_replicas(3, "tendermint", 4, faults=())
    load = replace(drawn.load, transactions=4)
    scenario = replace(drawn, load=load, twins=(3,))

    report, recording = record(scenario, Tendermint)

    assert report == run_replicas(scenario, Tendermint)
    assert [line.name for line in recording.lines] == ["v0", "v1", "v2", "v3", "v3'"]
    assert [line.role for line in recording.lines] == ["", "", "", "twin", "twin"]
    assert {saying.line for saying in recording.sayings} >= {0, 1, 2, 3}
    check_sound(recording)
