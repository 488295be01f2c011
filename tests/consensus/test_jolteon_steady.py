"""Jolteon rule by rule: proposing, voting, deciding and falling silent, one step at a time."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.chained import NO_VIEW
from consensus.interface import (
    Accuse,
    Broadcast,
    CancelTimer,
    Certified,
    Decide,
    DecisionProof,
    Fetch,
    PayloadReady,
    Persist,
    RequestPayload,
    Root,
    SetTimer,
    Settle,
    Signed,
    Timer,
    Validate,
    Verdict,
)
from consensus.protocols.jolteon_messages import PROPOSAL, TIMEOUT, VOTE, Proposal, Vote
from ledger.certificate import Certificate
from ledger.value import Value
from tests.consensus.jolteon_bench import (
    BLANK,
    EPOCH,
    PAYLOAD,
    Bench,
    broadcasts,
    chain_of,
    of,
    proof_of,
    qc_of,
    tc_of,
    value_at,
    votes_in,
)


def feed(bench: Bench, chain: list[Value]) -> None:
    """The proposals of a chain arrive, after gaps with the tc that explains them."""
    for parent, value in zip([None, *chain], chain, strict=False):
        qc = qc_of(parent) if parent is not None else None
        view = value.slot[0]
        late = view > (parent.slot[0] if parent is not None else 0) + 1
        bench.propose(value, qc, tc_of(view - 1, qc, None, None) if late else None)


# --- Vote -----------------------------------------------------------------------------------------


def test_a_valid_proposal_gets_a_vote_to_the_next_leader_after_the_promise_is_durable() -> None:
    bench = Bench(me=0)
    b1 = value_at(1)

    effects = bench.propose(b1)

    assert votes_in(effects) == [(2, Vote(1, b1.digest))]
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds.index("Persist") < kinds.index("Send")


def test_a_proposal_is_not_voted_for_before_its_value_is_found_valid() -> None:
    bench = Bench(me=0)
    b1 = value_at(1)

    asked = bench.hear(1, Proposal(b1, None, None))

    assert of(asked, Validate) == [Validate(b1)]
    assert not votes_in(asked)
    assert not votes_in(bench.take(Verdict(b1, False)))


def test_only_the_leader_of_the_view_proposes() -> None:
    b1 = value_at(1)
    wrong_proposer = Value(EPOCH, b"", (1,), 2, 1_001, PAYLOAD)
    wrong_epoch = Value(b"f" * 32, b"", (1,), 1, 1_001, PAYLOAD)

    assert not of(Bench().hear(2, Proposal(b1, None, None)), Validate)
    assert not of(Bench().hear(1, Proposal(wrong_proposer, None, None)), Validate)
    assert not of(Bench().hear(1, Proposal(wrong_epoch, None, None)), Validate)


def test_of_two_proposals_of_one_view_one_gets_a_vote_and_the_leader_is_accused() -> None:
    bench = Bench(me=0)
    first, second = value_at(1), value_at(1, payload=(b"q" * 32,))

    effects = bench.propose(first) + bench.propose(second)

    assert votes_in(effects) == [(2, Vote(1, first.digest))]
    accusation = of(effects, Accuse)
    assert len(accusation) == 1
    assert accusation[0].first.message == Proposal(first, None, None)
    assert accusation[0].second.message == Proposal(second, None, None)


def test_a_stale_qc_without_a_tc_gets_no_vote() -> None:
    b1, b2 = chain_of(1, 2)
    fork = value_at(3, b1)
    bench = Bench(me=0)
    feed(bench, [b1, b2])
    bench.certify(qc_of(b2))

    assert not votes_in(bench.propose(fork, qc_of(b1)))


def test_a_tc_allows_extending_the_highest_qc_that_it_names_and_no_lower_one() -> None:
    b1, b2 = chain_of(1, 2)
    low, high = value_at(4, b1), value_at(4, b2)
    tc = tc_of(3, qc_of(b1), qc_of(b2), None)
    stale, fresh = Bench(me=1), Bench(me=1)
    for bench in (stale, fresh):
        feed(bench, [b1, b2])
        bench.certify(qc_of(b2))

    assert not votes_in(stale.propose(low, qc_of(b1), tc))
    assert votes_in(fresh.propose(high, qc_of(b2), tc)) == [(1, Vote(4, high.digest))]


def test_the_first_root_needs_no_certificate_and_nothing_else_goes_without() -> None:
    b1, b2 = chain_of(1, 2)
    orphaned = value_at(2, b1, (b"q" * 32,))
    bench = Bench(me=0)
    bench.propose(b1)

    effects = bench.hear(2, Proposal(orphaned, None, tc_of(1, None, None, None)))

    assert not votes_in(effects + bench.approve(effects))
    assert votes_in(bench.propose(b2, qc_of(b1))) == [(3, Vote(2, b2.digest))]


def test_a_qc_that_certifies_the_parent_at_another_view_gets_no_vote() -> None:
    b1 = value_at(1)
    b3 = value_at(3, b1)
    lying = Certificate(VOTE, (2,), b1.digest, qc_of(b1).signatures)
    bench = Bench(me=0)
    bench.propose(b1)

    assert not votes_in(bench.propose(b3, lying))


def test_nobody_votes_for_an_earlier_view_than_the_current_one() -> None:
    b1, b2 = chain_of(1, 2)
    bench = Bench(me=0)

    bench.certify(qc_of(b1))

    assert not votes_in(bench.propose(b1))
    assert votes_in(bench.propose(b2, qc_of(b1))) == [(3, Vote(2, b2.digest))]


def test_an_unknown_parent_is_fetched_and_the_vote_follows() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    bench = Bench(me=1)

    assert of(bench.propose(b3, qc_of(b2)), Fetch) == [Fetch(b2.digest)]
    assert of(bench.give(b2), Fetch) == [Fetch(b1.digest)]
    effects = bench.give(b1)

    assert bench.decided == [b1]
    assert of(effects, Validate) == [Validate(b2)]
    answers = bench.approve(effects)
    assert of(answers, Validate) == [Validate(b3)]
    assert votes_in(answers) == [(0, Vote(3, b3.digest))]


# --- Commit ---------------------------------------------------------------------------------------


def test_two_certified_values_of_consecutive_views_decide_the_first() -> None:
    b1, b2 = chain_of(1, 2)
    bench = Bench(me=0)
    feed(bench, [b1, b2])

    effects = bench.certify(qc_of(b2))

    assert of(effects, Decide) == [Decide((b1,), DecisionProof((qc_of(b2),), (b2,)))]


def test_all_undecided_ancestors_are_decided_oldest_first() -> None:
    chain = chain_of(1, 3, 5, 7, 9, 10)
    bench = Bench(me=0)
    feed(bench, chain)
    assert not bench.decided

    bench.certify(qc_of(chain[-1]))

    assert bench.decided == chain[:-1]


def test_a_gap_after_a_decision_decides_nothing_twice() -> None:
    b1, b2, b3, b6, b7 = chain = chain_of(1, 2, 3, 6, 7)
    bench = Bench(me=0)
    feed(bench, chain)
    assert bench.decided == [b1, b2]

    bench.certify(qc_of(b7))

    assert bench.decided == [b1, b2, b3, b6]


def test_views_with_a_gap_decide_nothing() -> None:
    b1, b3 = chain_of(1, 3)
    bench = Bench(me=0)
    feed(bench, [b1, b3])

    assert not of(bench.certify(qc_of(b3)), Decide)


def test_a_certificate_for_an_unknown_value_is_followed_by_fetches_and_the_decision() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    bench = Bench(me=0)

    assert of(bench.certify(qc_of(b3)), Fetch) == [Fetch(b3.digest)]
    assert of(bench.give(b3), Fetch) == [Fetch(b2.digest)]
    assert of(bench.give(b2), Fetch) == [Fetch(b1.digest)]
    bench.give(b1)

    assert bench.decided == [b1, b2]


def test_the_next_leader_forms_the_certificate_and_decides() -> None:
    b1, b2 = chain_of(1, 2)
    bench = Bench(me=3)
    feed(bench, [b1, b2])

    for sender in (0, 1, 1, 0):
        assert not of(bench.hear(sender, Vote(2, b2.digest)), Decide)
    bench.hear(2, Vote(2, b2.digest))

    assert bench.decided == [b1]
    assert bench.plugin.view == 3


def test_an_equivocating_voter_is_accused_and_still_counted() -> None:
    b1, other = value_at(1), value_at(1, payload=(b"q" * 32,))
    bench = Bench(me=2)
    bench.hear(0, Vote(1, other.digest))

    effects = bench.hear(0, Vote(1, b1.digest))
    bench.hear(1, Vote(1, b1.digest))
    bench.hear(3, Vote(1, b1.digest))

    assert [each.first.sender for each in of(effects, Accuse)] == [0]
    assert bench.plugin.view == 2


def test_votes_beyond_the_slot_window_are_not_counted() -> None:
    bench = Bench(me=0)

    for sender in (1, 2, 3):
        bench.hear(sender, Vote(500, b"x" * 32))

    assert bench.plugin.view == 1


# --- decisions of peers, checkpoint certificates --------------------------------------------------


def test_a_peers_decision_is_taken_over_and_trimmed_to_what_is_new() -> None:
    b1, b2, b3, b4 = chain_of(1, 2, 3, 4)
    bench = Bench(me=0)
    bench.hear_decision([b1], proof_of(b2))

    effects = bench.hear_decision([b1, b2, b3], proof_of(b4))

    assert bench.decided == [b1, b2, b3]
    assert of(effects, Decide) == [Decide((b2, b3), proof_of(b4))]
    assert bench.plugin.view == 5


def test_a_decision_that_starts_above_the_own_root_waits_for_the_older_ones() -> None:
    b1, b2, b3, b4 = chain_of(1, 2, 3, 4)
    bench = Bench(me=0)

    assert not of(bench.hear_decision([b3], proof_of(b4)), Decide)
    bench.hear_decision([b1, b2], proof_of(b3))
    bench.hear_decision([b3], proof_of(b4))

    assert bench.decided == [b1, b2, b3]


def test_an_old_decision_changes_nothing() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    bench = Bench(me=0)
    bench.hear_decision([b1, b2], proof_of(b3))

    assert not of(bench.hear_decision([b1], proof_of(b2)), Decide)
    assert bench.plugin.root.slot == (2,)


B1, B2, B3 = chain_of(1, 2, 3)
GAP = value_at(3, B1)
OTHER = value_at(2, payload=(b"q" * 32,))
FOREIGN = Value(b"f" * 32, B1.digest, (2,), 2, 1_002, PAYLOAD)


@pytest.mark.parametrize(
    ("values", "proof"),
    [
        pytest.param([B1], proof_of(GAP), id="views with a gap"),
        pytest.param([B1], proof_of(B3), id="not its child"),
        pytest.param([B1], DecisionProof((qc_of(B1),), (B2,)), id="child not certified"),
        pytest.param([B1], DecisionProof((qc_of(B2),), ()), id="child missing"),
        pytest.param([B1], DecisionProof((), (B2,)), id="certificate missing"),
        pytest.param([B1], DecisionProof((qc_of(B2), qc_of(B2)), (B2,)), id="two certificates"),
        pytest.param([], proof_of(B2), id="nothing"),
        pytest.param([B2, B1], proof_of(B2), id="wrong order"),
        pytest.param([OTHER, B2], proof_of(B3), id="not a chain"),
        pytest.param([B1], proof_of(FOREIGN), id="another epoch"),
        pytest.param(
            [B1],
            DecisionProof((Certificate(TIMEOUT, (2,), B2.digest, ((0, BLANK),)),), (B2,)),
            id="another phase",
        ),
        pytest.param(
            [B1],
            DecisionProof((Certificate(VOTE, (3,), B2.digest, ((0, BLANK),)),), (B2,)),
            id="another view",
        ),
    ],
)
def test_a_decision_that_the_commit_rule_does_not_prove_is_refused(
    values: list[Value], proof: DecisionProof
) -> None:
    bench = Bench(me=0)

    assert not of(bench.hear_decision(values, proof), Decide)
    assert not bench.decided


def test_a_certified_root_ahead_is_adopted_and_what_it_covers_is_settled() -> None:
    b1, b2, b3, b4 = chain_of(1, 2, 3, 4)
    bench = Bench(me=0)
    bench.propose(b1)

    effects = bench.take(Certified(Root(b2.digest, (2,), 2)))

    assert of(effects, Settle) == [Settle(phase, (2,)) for phase in (PROPOSAL, VOTE, TIMEOUT)]
    assert bench.plugin.view == 3
    assert not bench.decided
    assert votes_in(bench.propose(b3, qc_of(b2))) == [(0, Vote(3, b3.digest))]
    bench.propose(b4, qc_of(b3))
    bench.certify(qc_of(b4))
    assert bench.decided == [b3]


def test_a_certified_root_that_is_not_ahead_only_settles() -> None:
    b1, b2, b3 = chain_of(1, 2, 3)
    bench = Bench(me=0)
    feed(bench, [b1, b2, b3])
    bench.certify(qc_of(b3))

    effects = bench.take(Certified(Root(b1.digest, (1,), 1)))

    assert bench.plugin.root.value == b2.digest
    assert {effect.floor for effect in of(effects, Settle)} == {(1,)}


def test_a_leader_that_only_has_the_root_learns_the_qc_before_it_proposes() -> None:
    _, b2 = chain_of(1, 2)
    bench = Bench(me=3)
    bench.take(Certified(Root(b2.digest, (2,), 2)))

    assert not of(bench.wake(), RequestPayload)
    effects = bench.certify(qc_of(b2))

    assert of(effects, RequestPayload) == [RequestPayload((3,), b2.digest)]
    proposal = broadcasts(bench.fill(3), Proposal)[0]
    assert (proposal.value.parent, proposal.qc) == (b2.digest, qc_of(b2))


def test_a_proposal_below_the_root_is_neither_followed_nor_fetched() -> None:
    b1, b2 = chain_of(1, 2)
    fork = value_at(5, b1)
    bench = Bench(me=0)
    bench.take(Certified(Root(b2.digest, (2,), 2)))

    effects = bench.propose(fork, qc_of(b1), tc_of(4, qc_of(b1), None, None))

    assert not of(effects, Fetch)
    assert not votes_in(effects)


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
