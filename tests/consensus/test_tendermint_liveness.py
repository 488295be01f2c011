"""Schedules that stop Tendermint for ever with one rule missing, and only delay it as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.interface import Timer, TimerFired
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NIL, Precommit, Prevote
from sim.plugins import (
    Crash,
    Partition,
    PluginReport,
    PluginScenario,
    Script,
    draw_scenario,
    run,
)
from tests.consensus import mutants_tendermint as mutants
from tests.consensus.harness import HEALED_MS, PAYLOAD, Stage
from tests.consensus.tendermint_bench import Bench, said_in

Play = Callable[[type[Tendermint]], PluginReport]
LOCKED_APART = {
    "proposal 0": "AC<Z",
    "prevote 0": "A<CZ B<AC C<AB z<AB",
    "precommit 0": "A<BC B<AC C<AB z<AB",
    "proposal 1": "BC<z",
    "prevote 1": "A<BC B<Cz C<AB",
    "precommit 1": "A<BC B<AC C<AB",
}
"""A is locked on X of round 0, B on Y of round 1, both by the liar's votes; C on nothing."""


def locked_apart(protocol: type[Tendermint]) -> Stage:
    """Both locks are in place, and the liar is silent from now on."""
    stage = Stage(protocol, "Zz", LOCKED_APART)
    stage.until_round(2, "ABC")
    stage.crash(3)
    stage.crash(4)
    stage.run_ms(10)
    assert stage.plugin("A").lock.round == 0
    assert stage.plugin("B").lock.round == 1
    return stage


def two_locks(protocol: type[Tendermint]) -> PluginReport:
    """L1: only a proposal of the newer valid value can unlock A."""
    return locked_apart(protocol).heal()


def two_locks_and_a_restart(protocol: type[Tendermint]) -> PluginReport:
    """L1 when the only validator that has the newer valid value starts again."""
    stage = locked_apart(protocol)
    stage.crash(1)
    stage.run_ms(10)
    stage.restart(1)
    return stage.heal()


def left_behind(protocol: type[Tendermint]) -> PluginReport:
    """L2: three leave round after round without the fourth; then one of them dies."""
    rounds = {f"{phase} {n}": "ABC" for n in range(9) for phase in ("prevote", "precommit")}
    stage = Stage(protocol, "", rounds, PluginScenario(protocol))
    stage.until_round(3, "AB")
    stage.crash(2)
    assert stage.plugin("Z").round == 0
    return stage.heal()


def one_ahead(protocol: type[Tendermint]) -> PluginReport:
    """A alone hears enough precommits to enter round 1; the fourth validator is dead."""
    plan = {"prevote 0": "ABC", "precommit 0": "A<BC B<C C<B"}
    stage = Stage(protocol, "", plan, PluginScenario(protocol))
    stage.crash(3)
    stage.until_round(1, "A")
    stage.run_ms(3_000)
    assert stage.plugin("B").round == stage.plugin("C").round == 0
    return stage.heal()


def split_over_rounds(protocol: type[Tendermint]) -> PluginReport:
    """A is in round 2, B in round 1, C in round 0 and the fourth dead; A and B start again, so that
    nobody can prove any more why they left the earlier rounds."""
    plan = {
        "prevote 0": "ABCZ",
        "precommit 0": "A<BCZ B<ACZ Z<ABC",
        "prevote 1": "ABZ",
        "precommit 1": "A<BZ",
    }
    stage = Stage(protocol, "", plan, PluginScenario(protocol))
    stage.until_round(2, "A")
    stage.crash(3)
    for seat in (0, 1):
        stage.crash(seat)
        stage.restart(seat)
    stage.run_ms(10)
    assert [stage.plugin(name).round for name in "ABC"] == [2, 1, 0]
    return stage.heal()


def all_lost_once(protocol: type[Tendermint]) -> PluginReport:
    """L3: everything that was said before the network heals is lost."""
    return Stage(protocol, "", {}, PluginScenario(protocol)).heal()


def slow_links(protocol: type[Tendermint]) -> PluginReport:
    """L8: messages take longer than the first timeouts."""
    script = Script(
        PluginScenario(protocol, payloads=0, delay_us=1_500_000, jitter_us=0, bound_ms=60_000)
    )
    script.run_ms(5)
    script.submit(PAYLOAD)
    return script.run()


def dead_proposer(protocol: type[Tendermint]) -> PluginReport:
    """The proposer of the first round never speaks."""
    script = Script(PluginScenario(protocol, payloads=0))
    script.run_ms(5)
    script.crash(1)
    script.submit(PAYLOAD)
    return script.run()


SCHEDULES: list[tuple[Play, type[Tendermint]]] = [
    (two_locks, mutants.NeverProposesAgain),
    (two_locks, mutants.NeverUnlocks),
    (two_locks_and_a_restart, mutants.ForgetsValidValue),
    (left_behind, mutants.NeverSkips),
    (one_ahead, mutants.NeverSaysWhy),
    (split_over_rounds, mutants.NeverSendsEarlierVotes),
    (all_lost_once, mutants.NeverSendsAgain),
    (slow_links, mutants.NeverGrows),
    (dead_proposer, mutants.MisreadsLine58),
]


@pytest.mark.parametrize(
    ("play", "mutant"),
    SCHEDULES,
    ids=[f"{play.__name__}-{mutant.__name__}" for play, mutant in SCHEDULES],
)
def test_the_schedule_stops_the_mutant_and_not_the_protocol(
    play: Play, mutant: type[Tendermint]
) -> None:
    assert play(mutant).properties == ("liveness",)

    report = play(Tendermint)

    assert report.violations == ()
    assert PAYLOAD in {payload for value in report.decided for payload in value.payload}


def test_a_dead_proposer_costs_one_propose_timeout() -> None:
    report = dead_proposer(Tendermint)

    assert [value.slot for value in report.decided] == [(1, 1)]
    assert report.finished_ms is not None
    assert 1_000 < report.finished_ms < 1_200


def test_without_faults_each_value_takes_one_round_and_nine_broadcasts() -> None:
    report = run(
        PluginScenario(Tendermint, payloads=5, payload_max=5, interval_ms=100, jitter_us=0)
    )

    assert {value.slot[1] for value in report.decided} == {0}
    assert report.messages == len(report.decided) * 9 * 3


def test_an_idle_ledger_is_quiet() -> None:
    report = run(PluginScenario(Tendermint, payloads=0))

    assert report.messages == 0
    assert report.events == 5, "one start each, and no payload for the first proposer"


def test_silence_returns_after_the_last_value() -> None:
    script = Script(PluginScenario(Tendermint, payloads=3))

    report = script.run()

    assert report.violations == ()
    assert report.finished_ms is not None
    assert [seat.timers for seat in script.seats] == [()] * 4
    assert script.agenda.now_ms < report.finished_ms + 5_000


def test_a_partition_that_heals_is_followed_by_decisions() -> None:
    apart = Partition(0, 20_000, ((0, 1), (2, 3)))

    report = run(PluginScenario(Tendermint, partitions=(apart,), stable_ms=20_000))

    assert report.violations == ()
    assert report.finished_ms is not None
    assert 20_000 < report.finished_ms < 30_000


def test_the_cut_off_minority_follows_when_it_is_back() -> None:
    apart = Partition(0, 5_000, ((0, 1, 2), (3,)))

    report = run(PluginScenario(Tendermint, partitions=(apart,), stable_ms=5_000))

    assert report.violations == ()
    assert len(set(report.lengths)) == 1


def test_one_dead_validator_of_four_stops_nothing() -> None:
    for seat in range(4):
        crash = Crash(seat, 40, None)
        report = run(PluginScenario(Tendermint, seed=seat, crashes=(crash,), stable_ms=50))
        assert report.violations == ()


def test_crashes_at_every_boundary_of_a_write_lose_nothing() -> None:
    for seed in range(300, 340):
        report = run(draw_scenario(Tendermint, seed, faults=("crash", "loss")))
        assert report.violations == (), f"seed {seed}: {report.violations}"


def test_a_node_that_missed_the_proposal_fetches_the_value() -> None:
    votes = {"prevote 0": "ABCZ", "precommit 0": "ABCZ"}
    stage = Stage(
        Tendermint, "", {**votes, "proposal 0": "ACZ<B"}, PluginScenario(Tendermint, exchange_ms=0)
    )
    stage.until(lambda: stage.seat("A").durable)
    missed = Stage(
        Tendermint, "", {**votes, "proposal 0": "AZ<B"}, PluginScenario(Tendermint, exchange_ms=0)
    )

    missed.until(lambda: missed.seat("C").durable)

    assert missed.agenda.now_ms < HEALED_MS
    assert missed.seat("C").log == missed.seat("A").log


def test_votes_of_an_earlier_round_are_sent_to_who_is_there_and_not_to_who_only_repeats_them() -> (
    None
):
    """Otherwise two validators would answer each other's repetitions for ever."""

    def resends(*heard: int) -> set[int]:
        bench = Bench(Tendermint)
        for round_ in (0, 1):
            for sender in (1, 2):
                bench.hear(sender, Prevote(1, round_, NIL))
            bench.take(TimerFired(Timer("propose", (1, round_))))
            for sender in (0, 1, 2):
                bench.hear(sender, Precommit(1, round_, NIL))
        assert bench.plugin.slot == (1, 2)
        bench.take(TimerFired(Timer("retry", (1, 2))))
        for round_ in heard:
            bench.hear(3, Prevote(1, round_, NIL))
        again = said_in(bench.take(TimerFired(Timer("retry", (1, 2)))), Prevote)
        return {vote.round for vote in again}

    assert resends() == set()
    assert resends(0) == {0, 1}
    assert resends(0, 1) == {1}
    assert resends(2, 0, 1) == set()
    assert resends(0, 1, 2, 0, 1) == set()
