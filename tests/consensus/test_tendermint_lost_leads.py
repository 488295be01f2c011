"""How a Tendermint leader that is dead, slow, or leaves something out loses the lead; and what
reputation writes into a value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.leaders import play
from consensus.interface import (
    PayloadReady,
    Pending,
)
from consensus.leaders import Reputation, Sticky
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import (
    NIL,
    NO_ROUND,
    PREVOTE,
    Prevote,
    Proposal,
)
from ledger.certificate import Certificate
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_scenario import PluginScenario
from sim.plugins import Script, draw_scenario, run
from tests.consensus.harness import PAYLOAD
from tests.consensus.jolteon_bench import BLANK
from tests.consensus.mutants_leaders import Stubborn, TakesTheWord
from tests.consensus.tendermint_bench import (
    REPUTATION,
    STICKY,
    Bench,
    commit_of,
    led_by,
    said_in,
    value_of,
)

# --- a leader that is dead, slow, or leaves something out -----------------------------------------

SLOW_MS = 150
"""A link so slow that at best 132 values a minute are decided, cheap to play."""


def blocks_a_minute(protocol: type[Tendermint]) -> float:
    return play(protocol, nodes=4, crashed=1, seconds=30, link_ms=SLOW_MS).per_minute


def test_a_dead_validator_costs_nothing_once_it_is_out_of_the_lead() -> None:
    up = play(STICKY, nodes=4, crashed=0, seconds=30, link_ms=SLOW_MS).per_minute

    assert blocks_a_minute(STICKY) > 0.95 * up
    assert blocks_a_minute(REPUTATION) > 0.95 * up
    assert blocks_a_minute(Tendermint) < 0.75 * up


def crash_of_the_leader(protocol: type[Tendermint]) -> tuple[list[Slot], tuple[str, ...], int]:
    """(slots of what was decided, promises broken, time of the last decision after the crash)."""
    script = Script(PluginScenario(protocol, payloads=0, payload_max=1))
    script.run_ms(5)
    script.submit(PAYLOAD)
    assert script.run_until(lambda: script.seats[0].durable, limit_ms=1_000)
    script.run_ms(50)
    leader = script.seats[0].log[-1].proposer
    script.crash(leader)
    crashed_ms = script.agenda.now_ms
    for number in range(4):
        script.submit(bytes([number]) * 32)
    report = script.run()
    finished_ms = report.finished_ms or 0
    return [value.slot for value in report.decided], report.properties, finished_ms - crashed_ms


def test_a_leader_that_crashes_is_waited_for_once() -> None:
    for policy in (Sticky, Reputation):
        slots, broken, took_ms = crash_of_the_leader(led_by(policy))

        assert broken == ()
        assert sum(round_ for _, round_ in slots) <= 1
        assert took_ms < 1_300  # One timeout of a second; then nobody waits any more.
    assert crash_of_the_leader(led_by(Stubborn))[1] == ("liveness",)


def test_a_leader_whose_last_round_failed_is_not_waited_for_again() -> None:
    """Round 0 of instance 2 fails here, yet the value of its leader is decided in the end."""
    patient, left = Bench(STICKY), Bench(STICKY)
    for bench in (patient, left):
        bench.decide(value_of(1, 3))
    for sender in (1, 2):
        left.hear(sender, Prevote(2, 1, NIL))
    for bench in (patient, left):
        bench.decide(value_of(2, 3), round_=1)
        assert bench.leaders(1) == [3]

    said = [said_in(bench.take(Pending(0)), Prevote) for bench in (patient, left)]

    assert said == [[], [Prevote(3, 0, NIL)]]
    assert said_in(left.propose(value_of(3, 3)), Prevote) == []
    left.decide(value_of(3, 0, round_=1), round_=1)
    assert said_in(left.take(Pending(0)), Prevote) == []  # Another leads now.


def test_a_leader_that_leaves_a_batch_out_is_prevoted_nil() -> None:
    def after(protocol: type[Tendermint], age: int, heights: int) -> list[Prevote]:
        """What is said where a batch waited so long, and one led for so many heights."""
        bench = Bench(protocol)
        extra = encode(((), ())) if protocol is REPUTATION else b""
        for instance in range(1, heights + 2):
            bench.decide(value_of(instance, 3, extra=extra))
        return said_in(bench.take(Pending(age)), Prevote)

    assert after(STICKY, 31, 40) == after(STICKY, 40, 31) == []
    assert after(STICKY, 32, 32) == [Prevote(34, 0, NIL)]
    assert after(Tendermint, 32, 32) == after(REPUTATION, 32, 32) == []


def test_a_leader_does_not_distrust_itself() -> None:
    for me, distrusts in ((3, False), (0, True)):
        bench = Bench(STICKY, me)
        for instance in range(1, 35):
            bench.decide(value_of(instance, 3))

        assert (said_in(bench.take(Pending(33)), Prevote) == [Prevote(35, 0, NIL)]) is distrusts


def test_an_idle_ledger_stays_quiet_where_its_leader_is_distrusted() -> None:
    bench = Bench(STICKY)
    for instance in range(1, 35):
        bench.decide(value_of(instance, 3))
    bench.take(Pending(33))

    said = len(bench.effects)
    bench.decide(value_of(35, 3))

    assert said_in(bench.effects[said:], Prevote) == []
    assert said_in(bench.take(Pending(33)), Prevote) == [Prevote(36, 0, NIL)]


# --- what reputation writes into a value ----------------------------------------------------------


def told(bench: Bench, value: Value, commit: Certificate | None = None) -> bytes:
    """What is prevoted where this is proposed."""
    (prevote,) = said_in(bench.propose(value, commit), Prevote)
    return prevote.value


def second_of(protocol: type[Tendermint], me: int = 0) -> tuple[Bench, Value, int]:
    """A bench in instance 2, the value before that, and who leads."""
    bench, first = Bench(protocol, me), value_of(1, 1, extra=encode(((), ())))
    bench.decide(first)
    leader = bench.leaders(1)[0]
    assert leader is not None
    return bench, first, leader


def test_a_fresh_value_names_the_signers_of_the_commit_before_it() -> None:
    extra = encode(((0, 1, 3), ()))
    for signers, wanted in (((0, 1, 3), True), ((0, 1, 2), False)):
        bench, first, leader = second_of(REPUTATION)
        value = value_of(2, leader, extra=extra)
        said = told(bench, value, commit_of(first, signers=signers))
        assert said == (value.digest if wanted else NIL)
    bench, _, leader = second_of(REPUTATION)
    assert told(bench, value_of(2, leader, extra=extra)) == NIL  # It names them without a proof.
    bench, _, leader = second_of(TakesTheWord)
    value = value_of(2, leader, extra=extra)
    assert told(bench, value) == value.digest


def test_a_commit_of_another_value_proves_nothing() -> None:
    bench, _, leader = second_of(REPUTATION)
    value = value_of(2, leader, extra=encode(((0, 1, 3), ())))

    assert told(bench, value, commit_of(value_of(1, 2), signers=(0, 1, 3))) == NIL


def test_who_has_no_commit_names_no_signers() -> None:
    bench, _, leader = second_of(REPUTATION)
    value = value_of(2, leader, extra=encode(((), ())))

    assert told(bench, value) == value.digest
    bench.decide(value)
    assert bench.leaders(1) == [3]  # By turns.


def test_the_proposer_shows_the_commit_that_it_names() -> None:
    leader = second_of(REPUTATION)[2]
    bench, first, _ = second_of(REPUTATION, leader)
    bench.take(Pending(0))

    (proposal,) = said_in(bench.take(PayloadReady((2, 0), (PAYLOAD,))), Proposal)

    assert proposal.commit == commit_of(first)
    assert proposal.value.extra == encode(((0, 1, 2), ()))
    assert Proposal.from_row(proposal.row()) == proposal
    assert proposal.certificates() == (commit_of(first),)


def test_a_value_proposed_again_needs_no_commit() -> None:
    bench, _, leader = second_of(REPUTATION)
    value = value_of(2, leader, extra=encode(((0, 1, 2), ())))
    for sender in (1, 2):
        bench.hear(sender, Prevote(2, 2, NIL))
    polka = Certificate(PREVOTE, (2, 0), value.digest, tuple((index, BLANK) for index in range(3)))

    said = bench.hear((2 + 2) % 4, Proposal(value, 2, 0, polka))

    assert said_in(said, Prevote) == [Prevote(2, 2, value.digest)]


def test_what_no_policy_reads_is_refused() -> None:
    bench = Bench(Tendermint)
    bench.decide(value_of(1, 1))

    for value, commit in (
        (value_of(2, 2, extra=b"\x01"), None),
        (value_of(2, 2), commit_of(value_of(1, 1))),
    ):
        assert bench.propose(value, commit) == []
        assert bench.plugin.log.proposal((2, 0), None) is None


@pytest.mark.parametrize(
    "commit",
    [
        replace(commit_of(value_of(1, 1)), phase=PREVOTE),
        replace(commit_of(value_of(1, 1)), value=NIL),
        replace(commit_of(value_of(1, 1)), slot=(1,)),
        commit_of(value_of(2, 1)),
    ],
)
def test_a_commit_that_is_none_of_the_instance_before_is_refused(commit: Certificate) -> None:
    wrong = Proposal(value_of(2, 2), 0, NO_ROUND, commit)

    with pytest.raises(DecodeFault, match="tendermint"):
        Proposal.from_row(wrong.row())


def test_equal_seeds_make_equal_runs() -> None:
    for protocol in (STICKY, REPUTATION):
        once, twice = (run(draw_scenario(protocol, 5)).trace_hash for _ in range(2))
        assert once == twice
