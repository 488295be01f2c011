"""P10 and P11: the declared bound holds, bites, and excuses what cannot go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from consensus.interface import Consensus
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.pbft import Pbft
from consensus.protocols.raft import Raft
from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from ledger.validators import QuorumRule, Validator, ValidatorSet
from sim.faults import draw_scenario
from sim.liveness import Patience
from sim.plugins import PluginScenario
from sim.plugins import run as play
from sim.run import Run, SimReport, run
from sim.scenario import FOR_EVER_MS, Incident, Load, Scenario, Weather
from tests.consensus import mutants_tendermint
from tests.sim.kept import kept
from tests.sim.protocols import NAMES, plugin

PROTOCOLS: dict[str, type[Consensus]] = {name: plugin(name) for name in NAMES}
FEW = Load(transactions=6, interval_ms=200, unsound=0, duplicates=0, twice_signed=0)


def validators(count: int) -> ValidatorSet:
    return ValidatorSet((Validator("", b"", b"", b""),) * count, QuorumRule.BYZANTINE)


def bound(protocol: type[Consensus], *, nodes: int = 4, delay_ms: int = 50, chaos_ms: int) -> int:
    return protocol.recovery_bound_ms(
        protocol.PARAMETERS, validators(nodes), delay_ms=delay_ms, chaos_ms=chaos_ms
    )


def properties(report: SimReport) -> set[str]:
    return {violation.property for violation in report.violations}


# --- what protocols declare -----------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [Tendermint, Jolteon])
def test_a_bound_grows_with_chaos_distance_and_faulty_leaders(protocol: type[Consensus]) -> None:
    usual_ms = bound(protocol, chaos_ms=2_000)

    assert bound(protocol, chaos_ms=0) < usual_ms < bound(protocol, chaos_ms=4_000)
    assert usual_ms < bound(protocol, chaos_ms=2_000, delay_ms=1_000)
    assert usual_ms < bound(protocol, chaos_ms=2_000, nodes=7)
    assert usual_ms < 60_000


def test_a_bound_ends_even_where_timeouts_never_grow() -> None:
    parameters = {**Tendermint.PARAMETERS, "timeout_delta_ms": 0}

    assert Tendermint.recovery_bound_ms(
        parameters, validators(4), delay_ms=5_000, chaos_ms=60_000
    ) < bound(Tendermint, delay_ms=5_000, chaos_ms=60_000)


def test_a_protocol_that_declares_nothing_gets_a_minute() -> None:
    assert Consensus.recovery_bound_ms({}, validators(4), delay_ms=0, chaos_ms=0) == 60_000


# --- it bites -------------------------------------------------------------------------------------


class Impatient(Solo):
    """Declares what nobody can keep."""

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        return -30_000


def test_a_bound_that_is_too_small_is_found_out() -> None:
    slow = Weather(delay_us=900_000, jitter_us=0)
    scenario = Scenario(3, "solo", 4, weather=slow, calm=slow, load=FEW)

    assert properties(run(scenario, Impatient)) == {"P10"}
    assert run(scenario, Solo).violations == ()


def test_timeouts_that_never_grow_miss_the_bound_on_slow_links() -> None:
    # The wish reaches all others before its block does: their patience ends on the way.
    slow = Weather(delay_us=400_000, jitter_us=0)
    parameters = tuple((f"timeout_{name}_ms", 150) for name in ("precommit", "prevote", "propose"))
    scenario = Scenario(
        4, "tendermint", 4, parameters=parameters, weather=slow, calm=slow,
        load=replace(FEW, transactions=1),
    )  # fmt: skip

    report = run(scenario, mutants_tendermint.NeverGrows)

    assert properties(report) == {"P10"}
    assert "the declared bound" in report.violations[0].sentence
    assert run(scenario, Tendermint).violations == ()


def test_plugins_are_held_to_their_declared_bound_too() -> None:
    scenario = PluginScenario(Solo, payloads=4, delay_us=400_000, jitter_us=0, exchange_ms=50)

    assert play(scenario).properties == ()
    assert play(replace(scenario, protocol=Impatient)).properties == ("liveness",)


def test_patience_begins_anew_with_progress_and_waits_for_nothing_while_idle() -> None:
    patience = Patience(100)

    assert [patience.is_out(ms, (1,), False) for ms in (0, 60, 99)] == [False] * 3
    assert not patience.is_out(100, (2,), False)
    assert not patience.is_out(199, (2,), False)
    assert patience.is_out(200, (2,), False)
    assert not patience.is_out(900, (2,), True)
    assert patience.longest_ms == 100


# --- it holds -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("base", range(0, 4_000, 20))
def test_no_swarm_of_faults_breaks_the_declared_bound(name: str, base: int) -> None:
    for seed in range(base, base + 20):
        report = run(draw_scenario(seed, name, 4 if seed % 5 else 7), plugin(name))
        assert report.violations == (), report.replay
        assert report.longest_ms < report.bound_ms
        assert not report.excused


# --- it excuses -----------------------------------------------------------------------------------


def for_ever(kind: str, *nodes: int, at_ms: int = 500) -> Incident:
    return Incident(kind, at_ms, FOR_EVER_MS, nodes)


@pytest.mark.parametrize(
    ("incidents", "words"),
    [
        ((for_ever("crash", 1, 2),), "2 validators are down for ever, of which 1 may be"),
        ((for_ever("partition", 0, 1),), "links stay cut: 0 validators reach a quorum of 3"),
        (
            tuple(Incident("lost-disk", 700, 900, (node,)) for node in (1, 2)),
            "2 validators lost their disks, of which 1 may",
        ),
    ],
)
def test_a_run_without_a_quorum_for_ever_is_excused_and_not_passed(
    incidents: tuple[Incident, ...], words: str
) -> None:
    scenario = Scenario(
        3, "tendermint", 4, load=FEW, incidents=incidents, stable_ms=1_500, bound_ms=9_000
    )

    report = run(scenario, Tendermint)

    assert report.violations == ()
    assert report.excused == words
    assert report.confirmed < report.wishes
    assert not report.is_passed


def test_a_sequencer_that_is_down_excuses_a_protocol_without_fault_tolerance() -> None:
    scenario = Scenario(
        3, "solo", 4, load=FEW, incidents=(for_ever("crash", 0),), stable_ms=1_500, bound_ms=9_000
    )

    assert "the protocol tolerates no fault" in run(scenario, Solo).excused


TWO_CLOCKS = "scenarios/raft-two-leapt-clocks.toml"


def test_two_clocks_that_ran_ahead_excuse_a_protocol_that_bears_one_crash() -> None:
    """One leaps as soon as the other is right again."""
    scenario = kept(TWO_CLOCKS)
    first, second = scenario.incidents

    report = run(replace(scenario, incidents=(first, replace(second, at_ms=6_303))), Raft)

    assert report.excused == "2 clocks ran ahead, of which 1 may"
    assert report.confirmed < report.wishes
    assert run(replace(scenario, incidents=(first,)), Raft).is_passed


def test_a_question_outlives_the_certificate_of_what_was_decided_before_it() -> None:
    assert run(kept("scenarios/pbft-question-forgotten.toml"), Pbft).is_passed


def test_one_clock_that_runs_ahead_excuses_nobody() -> None:
    scenario = kept(TWO_CLOCKS)

    stalled = Run(replace(scenario, incidents=scenario.incidents[:1], bound_ms=1), Raft).lead()

    assert stalled.excused == ""
    assert [one.property for one in stalled.violations] == ["P10"]


def test_clocks_excuse_no_protocol_that_bears_liars() -> None:
    ahead = tuple(Incident("clock", 500, 1_000, (node,), 2_000_000) for node in (1, 2))
    scenario = Scenario(3, "tendermint", 4, load=FEW, incidents=ahead, stable_ms=1_500)

    report = run(scenario, Tendermint)

    assert report.is_passed


@pytest.mark.parametrize("incident", [for_ever("crash", 2), for_ever("isolate", 2)])
def test_one_validator_that_is_gone_for_ever_excuses_nobody_else(incident: Incident) -> None:
    scenario = Scenario(3, "tendermint", 4, load=FEW, incidents=(incident,), stable_ms=1_500)

    world = Run(scenario, Tendermint)
    report = world.lead()

    assert report.violations == ()
    assert report.excused == ""
    assert report.is_passed
    assert report.confirmed == report.wishes
    assert report.certified[2] < max(report.certified)
