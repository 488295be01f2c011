"""Jolteon rule by rule: proposing, falling silent, waking up, and coming back from a crash."""

from __future__ import annotations

from typing import Any

from consensus.chained import NO_VIEW
from consensus.interface import (
    Broadcast,
    CancelTimer,
    PayloadReady,
    Persist,
    RequestPayload,
    SetTimer,
    Signed,
    Timer,
    Validate,
)
from consensus.pacemaker_messages import Proposal, Vote
from ledger.certificate import Certificate
from tests.consensus.jolteon_bench import (
    BLANK,
    PAYLOAD,
    Bench,
    broadcasts,
    chain_of,
    feed,
    of,
    qc_of,
    tc_of,
    value_at,
    votes_in,
)

# --- Propose, and silence -------------------------------------------------------------------------


def test_a_leader_proposes_on_the_highest_qc_when_there_is_something_to_order() -> None:
    b1 = value_at(1)
    bench = Bench(me=2)
    bench.propose(b1)
    effects = bench.certify(qc_of(b1))
    assert of(effects, RequestPayload) == [RequestPayload((2,), b1.digest)]

    proposals = broadcasts(bench.fill(2), Proposal)

    assert [proposal.value.payload for proposal in proposals] == [PAYLOAD]
    assert proposals[0].value.timestamp_ms == 9_000
    assert (proposals[0].qc, proposals[0].tc) == (qc_of(b1), None)
    assert not broadcasts(bench.fill(2, (b"q" * 32,)), Proposal)


def test_after_a_view_that_timed_out_the_proposal_carries_the_tc() -> None:
    b1 = value_at(1)
    tc = tc_of(2, qc_of(b1), None, None)
    bench = Bench(me=3)
    bench.propose(b1)
    bench.certify(qc_of(b1))

    bench.certify(tc)

    proposal = broadcasts(bench.fill(3), Proposal)[0]
    assert (proposal.qc, proposal.tc, proposal.view) == (qc_of(b1), tc, 3)


def test_a_payload_for_a_view_that_is_over_is_not_proposed() -> None:
    b1 = value_at(1)
    bench = Bench(me=1)
    bench.wake()

    bench.certify(qc_of(b1))

    assert not broadcasts(bench.take(PayloadReady((1,), PAYLOAD)), Proposal)


def test_empty_values_are_proposed_only_while_a_payload_awaits_its_decision() -> None:
    full, empty = value_at(1), value_at(1, payload=())
    busy, idle = Bench(me=2), Bench(me=2)
    busy.propose(full)
    idle.propose(empty)
    busy.certify(qc_of(full))
    idle.certify(qc_of(empty))
    idle.wake()

    assert broadcasts(busy.fill(2, ()), Proposal)
    assert not broadcasts(idle.fill(2, ()), Proposal)


def test_when_all_is_decided_the_leader_shows_its_qc_and_all_timers_stop() -> None:
    b1, b2 = value_at(1), value_at(2, value_at(1), ())
    leader, other = Bench(me=3), Bench(me=0)
    for bench in (leader, other):
        bench.wake()
        feed(bench, [b1, b2])
    for sender in (0, 1, 2):
        effects = leader.hear(sender, Vote(2, b2.digest))

    shown = broadcasts(effects, Certificate)
    heard = other.certify(shown[0])

    assert shown[0].value == b2.digest
    assert leader.decided == other.decided == [b1]
    for final in (effects, heard):
        assert of(final, CancelTimer) == [CancelTimer(Timer("view", (2,)))]
        assert not of(final, SetTimer)
        assert not of(final, RequestPayload)


def test_an_idle_leader_that_is_woken_proposes_on_the_highest_qc() -> None:
    b1, b2 = value_at(1), value_at(2, value_at(1), ())
    bench = Bench(me=3)
    feed(bench, [b1, b2])
    bench.certify(qc_of(b2))

    effects = bench.wake()

    assert of(effects, RequestPayload) == [RequestPayload((3,), b2.digest)]
    assert of(effects, SetTimer) == [SetTimer(Timer("view", (3,)), 1_000)]


def test_nothing_is_lost_that_comes_while_an_empty_payload_is_on_its_way() -> None:
    bench = Bench(me=1)
    bench.wake()
    bench.wake()

    effects = bench.fill(1, ())

    assert of(effects, RequestPayload) == [RequestPayload((1,), b"")]
    assert not of(bench.fill(1, ()), RequestPayload)


def test_what_was_to_be_ordered_may_expire_and_then_the_timer_stops() -> None:
    bench = Bench(me=0)
    bench.wake()

    effects = bench.ring(1)
    assert of(effects, RequestPayload) == [RequestPayload(NO_VIEW, b"")]
    assert of(effects, SetTimer) == [SetTimer(Timer("view", (1,)), 1_000)]

    assert not bench.take(PayloadReady(NO_VIEW, PAYLOAD))
    assert bench.take(PayloadReady(NO_VIEW, ())) == [CancelTimer(Timer("view", (1,)))]


def test_a_fresh_network_is_silent() -> None:
    assert not Bench(me=1).effects


# --- after a restart ------------------------------------------------------------------------------


def test_a_restarted_leader_says_the_same_proposal_again() -> None:
    bench = Bench(me=1)
    bench.wake()
    said = broadcasts(bench.fill(1), Proposal)

    restarted = bench.restart()
    restarted.wake()

    assert broadcasts(restarted.effects, Proposal) == said
    assert not of(restarted.effects, RequestPayload)


def test_a_restarted_validator_repeats_its_vote_and_casts_no_other() -> None:
    first, second = value_at(1), value_at(1, payload=(b"q" * 32,))
    bench = Bench(me=0)
    bench.propose(first)

    restarted = bench.restart()

    assert votes_in(restarted.effects) == [(2, Vote(1, first.digest))]
    assert not votes_in(restarted.propose(second))


def test_a_restart_keeps_the_lock_and_the_values_below_the_vote() -> None:
    b1, b3, b4 = chain = chain_of(1, 3, 4)
    bench = Bench(me=1)
    feed(bench, chain)

    restarted = bench.restart()

    assert restarted.plugin.view == 4
    assert restarted.plugin.safety.high_qc == qc_of(b3)
    assert restarted.plugin.tree.path(b4.digest) == (b1, b3, b4)
    assert of(restarted.effects, Validate) == [Validate(b1)]


def test_without_its_record_a_validator_still_knows_the_views_it_spoke_in() -> None:
    b1, b2 = chain_of(1, 2)
    bench = Bench(me=0)
    feed(bench, [b1, b2])

    restarted = Bench(me=0, sent=bench.sent)

    assert restarted.plugin.safety.last_voted == 2


def test_an_observer_follows_and_never_speaks() -> None:
    b1, b2 = chain_of(1, 2)
    bench = Bench(me=None)
    bench.wake()
    feed(bench, [b1, b2])
    bench.certify(qc_of(b2))
    bench.certify(tc_of(3, qc_of(b2), None, None))

    silent: tuple[type[Any], ...] = (Broadcast, SetTimer, Validate, RequestPayload, Persist)
    assert bench.decided == [b1]
    assert bench.plugin.view == 4
    assert not [effect for effect in bench.effects if isinstance(effect, silent)]


def test_a_second_copy_of_a_message_changes_nothing() -> None:
    b1 = value_at(1)
    bench = Bench(me=2)
    proposal = Signed(1, Proposal(b1, None, None), BLANK)
    bench.approve(bench.hear(1, proposal.message))

    assert not bench.hear(1, proposal.message)
    bench.hear(2, Vote(1, b1.digest))
    assert not bench.hear(2, Vote(1, b1.digest))
