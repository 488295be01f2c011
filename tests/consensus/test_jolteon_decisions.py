"""Jolteon rule by rule: decisions of peers, and roots that a checkpoint certificate covers."""

from __future__ import annotations

import pytest

from consensus.interface import (
    Certified,
    Decide,
    DecisionProof,
    Fetch,
    RequestPayload,
    Root,
    Settle,
)
from consensus.pacemaker_messages import PROPOSAL, TIMEOUT, VOTE, Proposal, Vote
from ledger.certificate import Certificate
from ledger.value import Value
from tests.consensus.jolteon_bench import (
    BLANK,
    PAYLOAD,
    Bench,
    broadcasts,
    chain_of,
    feed,
    of,
    proof_of,
    qc_of,
    tc_of,
    value_at,
    votes_in,
)


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
