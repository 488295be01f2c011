"""Jolteon goes on, and falls silent: schedules against its liveness, each with its mutant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.interface import Note
from consensus.pacemaker_messages import PROPOSAL, TIMEOUT
from consensus.protocols.jolteon import Jolteon
from sim.plugins import Crash, PluginScenario, Script, run
from tests.consensus import mutants_jolteon as mutants
from tests.consensus.jolteon_bench import Bench, of, tc_of
from tests.consensus.jolteon_stage import NOBODY, Stage, is_of

ENOUGH_MS = 20_000
"""Of virtual time, in which a live protocol decides many times over."""


def decides(stage: Stage, *seats: int) -> bool:
    """Whether all these seats decide something from now on."""
    before = [seat.durable for seat in stage.seats]
    return stage.run_until(
        lambda: all(stage.seats[seat].durable > before[seat] for seat in seats),
        limit_ms=ENOUGH_MS,
    )


def half_a_view_change(protocol: type[Jolteon]) -> bool:
    """L5: two validators have the tc of view 1; the other two lost the timeouts."""
    stage = Stage(protocol, {1: 0})
    stage.plan(PROPOSAL, (1,), *NOBODY)
    stage.plan(TIMEOUT, (1,), *NOBODY)
    stage.until(lambda: all(stage.jolteon(seat).said(TIMEOUT, (1,)) for seat in range(4)))
    stage.release(lambda s, receiver, p: receiver in (0, 1) and is_of(TIMEOUT, 1)(s, receiver, p))
    stage.until_view(2, 0, 1)
    assert [stage.jolteon(seat).view for seat in (2, 3)] == [1, 1]
    stage.heal()
    return decides(stage, 0, 1, 2, 3)


def child_before_parent(protocol: type[Jolteon]) -> bool:
    """L11: A, whose vote is needed, never got b1 and hears of b2."""
    stage = Stage(protocol, {view: view % 3 for view in range(1, 60)})
    stage.plan(PROPOSAL, (1,), (1, 2, 3))
    stage.plan(TIMEOUT, (1,), *NOBODY)
    stage.until_view(2, 2)
    stage.crash(3)
    return decides(stage, 0, 1, 2)


def slow_links(protocol: type[Jolteon]) -> bool:
    """L8: a message takes longer than the shortest view."""
    scenario = PluginScenario(
        protocol,
        parameters=(("timeout_max_ms", 1_000), ("timeout_ms", 20)),
        delay_us=30_000,
        payloads=1,
        bound_ms=4_000,
        quiet_ms=4_000,
    )
    report = run(scenario)
    assert report.properties in ((), ("liveness",))
    return not report.violations


LIVENESS: list[tuple[type[Jolteon], Callable[[type[Jolteon]], bool]]] = [
    (mutants.KeepsCertificates, half_a_view_change),
    (mutants.NeverFetches, child_before_parent),
    (mutants.NeverWaitsLonger, slow_links),
]


@pytest.mark.parametrize(
    ("mutant", "goes_on"), LIVENESS, ids=[mutant.__name__ for mutant, _ in LIVENESS]
)
def test_a_schedule_stops_its_mutant_and_not_the_protocol(
    mutant: type[Jolteon], goes_on: Callable[[type[Jolteon]], bool]
) -> None:
    assert goes_on(Jolteon)
    assert not goes_on(mutant)


def test_all_validators_come_back_into_a_view_that_only_tcs_led_to() -> None:
    stage = Stage(Jolteon, {})
    stage.plan(PROPOSAL, range(8), *NOBODY)
    stage.until(lambda: all(stage.jolteon(seat).said(TIMEOUT, (3,)) for seat in range(4)))
    for seat in range(4):
        stage.crash(seat)
    for seat in range(4):
        stage.restart(seat)
    stage.heal()

    assert min(stage.jolteon(seat).view for seat in range(4)) == 3
    assert decides(stage, 0, 1, 2, 3)


@pytest.mark.parametrize("crashed", range(4))
def test_a_crashed_leader_stops_nobody(crashed: int) -> None:
    report = run(PluginScenario(Jolteon, payloads=8, crashes=(Crash(crashed, 3, None),)))

    assert not report.violations
    assert len([value for value in report.decided if value.payload]) >= 4


def test_f_crashed_validators_of_seven_stop_nobody() -> None:
    crashes = (Crash(2, 3, None), Crash(4, 40, None))

    report = run(PluginScenario(Jolteon, nodes=7, payloads=8, crashes=crashes))

    assert not report.violations


def test_one_more_crash_than_tolerated_is_noticed() -> None:
    crashes = (Crash(1, 3, None), Crash(2, 3, None))

    report = run(PluginScenario(Jolteon, crashes=crashes, bound_ms=8_000, quiet_ms=1_000))

    assert report.properties == ("liveness",)


def test_a_healthy_network_orders_everything_without_a_timeout_and_speaks_little() -> None:
    script = Script(PluginScenario(Jolteon, payloads=0, payload_max=1))
    script.run_ms(5)
    payloads = [bytes([number]) * 32 for number in range(6)]
    for payload in payloads:
        script.submit(payload)

    everything = script.run_until(
        lambda: all(script.oracles.has_decided(payload) for payload in payloads), limit_ms=900
    )

    assert everything
    for seat in script.seats:
        assert isinstance(seat.plugin, Jolteon)
        assert not any(seat.plugin.said(TIMEOUT, (view,)) for view in range(20))
    # In each of eight views: a proposal to three, and at most one vote each to the next leader.
    assert script.messages <= 8 * (3 + 4)


def test_an_idle_network_is_silent_and_wakes_at_once() -> None:
    script = Script(PluginScenario(Jolteon, payloads=0))
    script.run_ms(5)
    script.submit(b"a" * 32)
    script.run_ms(3_000)
    messages, length = script.messages, script.seats[0].durable

    script.run_ms(600_000)
    assert script.messages == messages
    assert not any(seat.timers for seat in script.seats)

    script.submit(b"b" * 32)
    assert script.run_until(lambda: script.seats[3].durable > length, limit_ms=100)


def test_proposing_empty_values_for_ever_is_noticed() -> None:
    scenario = PluginScenario(mutants.NeverSleeps, payloads=1, bound_ms=1_000, quiet_ms=1_000)

    assert run(scenario).properties == ("silence",)


def test_a_power_cut_loses_no_undecided_value() -> None:
    stage = Stage(Jolteon, {1: 1, 2: 2})
    stage.plan(PROPOSAL, (2,), *NOBODY)
    stage.until_view(2, 2)
    b1 = stage.proposed(1, 1)
    for seat in range(4):
        stage.crash(seat)
    for seat in (0, 2, 3):
        stage.restart(seat)
    stage.heal()

    assert decides(stage, 0, 2, 3)
    assert stage.seats[0].log[0] == b1


def test_entering_a_view_is_noted_for_traces() -> None:
    effects = Bench(0).certify(tc_of(6, None, None, None))

    assert [note for note in of(effects, Note) if note.name == "entered"] == [
        Note("entered", (("view", 7),))
    ]
