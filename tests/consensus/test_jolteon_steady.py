"""Jolteon rule by rule: voting and deciding, one step at a time."""

from __future__ import annotations

from consensus.interface import (
    Accuse,
    Decide,
    DecisionProof,
    Fetch,
    Validate,
    Verdict,
)
from consensus.pacemaker_messages import VOTE, Proposal, Vote
from ledger.certificate import Certificate
from ledger.value import Value
from tests.consensus.jolteon_bench import (
    EPOCH,
    PAYLOAD,
    Bench,
    chain_of,
    feed,
    of,
    qc_of,
    tc_of,
    value_at,
    votes_in,
)

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
