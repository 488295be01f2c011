"""Each condition of Tendermint alone, at its bounds; lines are those of Algorithm 1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_log import MessageLog
from consensus.protocols.tendermint_messages import (
    NIL,
    NO_ROUND,
    PRECOMMIT,
    PREVOTE,
    Precommit,
    Prevote,
    Proposal,
)
from consensus.protocols.tendermint_record import Lock
from consensus.protocols.tendermint_state import INSTANCES_AHEAD, ROUNDS_AHEAD, Stage
from consensus.tally import Tally
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.value import Value
from tests.consensus.jolteon_bench import BLANK
from tests.consensus.tendermint_bench import Bench, commit_of, value_of

ROUND, WINDOW = 3, 100
X = value_of(1, 1)
Y = value_of(1, 2, mark=1)
FAR = ROUND + WINDOW


def certificate(phase: str, round_: int, value: bytes = X.digest, instance: int = 1) -> Certificate:
    signatures = tuple((index, BLANK) for index in range(3))
    return Certificate(phase, (instance, round_), value, signatures)


def again(value: Value, valid_round: int, round_: int = ROUND) -> Proposal:
    """A value proposed again by the polka of a round."""
    return Proposal(
        value, round_, valid_round, certificate(PREVOTE, valid_round, value.digest)
    )  # fmt: skip


def in_round(round_: int) -> Bench:
    """A validator that two others took to a round."""
    bench = Bench(Tendermint)
    for sender in (1, 2) if round_ else ():
        bench.hear(sender, Prevote(1, round_, NIL))
    assert bench.plugin.slot == (1, round_)
    return bench


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "may"),
    [(Lock(), True), (Lock(1, X), False), (Lock(1, Y), True), (Lock(0, X), False)],
)
def test_a_fresh_value_is_prevoted_without_another_lock(lock: Lock, may: bool) -> None:
    """L23: lockedRound = -1 or lockedValue = v."""
    plugin = Bench(Tendermint).plugin
    plugin.lock = lock

    assert plugin.may_prevote_fresh(Proposal(Y, 0, NO_ROUND, None)) is may


@pytest.mark.parametrize(
    ("lock", "may"),
    [
        (Lock(), True),
        (Lock(0, X), True),
        (Lock(1, X), True),
        (Lock(2, X), False),
        (Lock(2, Y), True),
    ],
)
def test_a_polka_opens_a_lock_that_is_no_newer(lock: Lock, may: bool) -> None:
    """L29: lockedRound <= vr or lockedValue = v."""
    plugin = Bench(Tendermint).plugin
    plugin.lock = lock

    assert plugin.may_prevote_again(again(Y, 1)) is may


# --- quorums --------------------------------------------------------------------------------------


def test_a_decision_of_a_peer_has_a_commit_of_its_own() -> None:
    plugin, commit = Bench(Tendermint).plugin, commit_of(X)

    assert plugin.is_commit(X, commit)
    assert plugin.is_commit(X, replace(commit, slot=(1, 7)))
    for wrong in (
        replace(commit, phase=PREVOTE),
        replace(commit, slot=(2, 0)),
        replace(commit, slot=(1,)),
        replace(commit, slot=(1, 0, 0)),
        replace(commit, value=Y.digest),
    ):
        assert not plugin.is_commit(X, wrong)


def test_one_who_speaks_of_a_later_round_moves_nobody_and_two_do() -> None:
    """L55: f+1."""
    bench = Bench(Tendermint)
    bench.hear(1, Prevote(1, 2, NIL))
    bench.hear(2, Prevote(1, 1, NIL))
    assert bench.plugin.slot == (1, 0)

    bench.hear(2, Prevote(1, 2, NIL))

    assert bench.plugin.slot == (1, 2)


def test_what_ended_the_round_before_is_why_a_validator_is_in_its_own() -> None:
    assert in_round(0).plugin.reason_for_round() is None
    bench = in_round(1)
    bench.plugin.log.learn_certificate(TimeoutCertificate(PRECOMMIT, (1, 0), ((1, NIL, BLANK),)))
    bench.plugin.log.learn_certificate(TimeoutCertificate(PRECOMMIT, (1, 1), ((2, NIL, BLANK),)))

    reason = bench.plugin.reason_for_round()

    assert reason is not None
    assert reason.slot == (1, 0)


def test_a_quorum_voted_where_a_certificate_says_so_or_three_did() -> None:
    """L34, L47: whatever for."""
    log = MessageLog(Tally(), 3)
    for slot in ((1, 0), (1, 1)):
        assert not log.has_quorum(PREVOTE, slot)
        assert not log.has_quorum(PRECOMMIT, slot)

    log.learn_certificate(certificate(PREVOTE, 0))
    log.learn_certificate(TimeoutCertificate(PRECOMMIT, (1, 1), ((0, NIL, BLANK),)))

    has = [log.has_quorum(phase, (1, round_)) for phase in (PREVOTE, PRECOMMIT)
           for round_ in (0, 1)]  # fmt: skip
    assert has == [True, False, False, True]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_three_votes_of_a_round_are_a_quorum_whatever_they_are_for(count: int) -> None:
    bench = Bench(Tendermint)
    for sender in range(count):
        bench.hear(sender, Precommit(1, 5, bytes([sender]) * 32))

    assert bench.plugin.log.has_quorum(PRECOMMIT, (1, 5)) is (count >= 3)


def test_the_highest_later_round_of_the_instance_counts() -> None:
    """L55, as the log tells it."""
    log = MessageLog(Tally(), 3)
    for instance, round_ in ((1, 1), (1, 4), (1, 2), (2, 9)):
        log.learn_certificate(certificate(PREVOTE, round_, instance=instance))

    assert log.later_round((1, 0), 3) == 4
    assert log.later_round((1, 0), 4) is None
    assert log.later_round((1, 3), 3) == 4
    assert log.later_round((1, 4), 3) is None
    assert log.later_round((2, 0), 3) == 9
    assert log.later_round((3, 0), 3) is None


# --- what is counted at all -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slot", "near"),
    [
        ((1, 0), True),
        ((1, FAR), True),
        ((1, FAR + 1), False),
        ((0, 0), False),
        ((2, 0), True),
        ((2, ROUNDS_AHEAD), True),
        ((2, ROUNDS_AHEAD + 1), False),
        ((1 + INSTANCES_AHEAD, 0), True),
        ((2 + INSTANCES_AHEAD, 0), False),
    ],
)
def test_what_is_near_is_counted(slot: tuple[int, int], near: bool) -> None:
    plugin = in_round(ROUND).plugin

    assert plugin._is_near(slot) is near


@pytest.mark.parametrize(
    ("stage", "may"), [(Stage.PROPOSE, True), (Stage.PREVOTE, False), (Stage.PRECOMMIT, False)]
)
def test_the_propose_timeout_counts_in_step_propose(stage: Stage, may: bool) -> None:
    """L58."""
    plugin = Bench(Tendermint).plugin
    plugin.stage = stage

    assert plugin.may_give_up_proposer() is may


def test_timeouts_grow_with_the_round_up_to_a_limit() -> None:
    base, delta, most = (
        Tendermint.PARAMETERS[f"timeout_{name}_ms"] for name in ("propose", "delta", "max")
    )

    assert [in_round(round_).plugin.timeout_ms("propose") for round_ in (0, 1, 3)] == [
        base, base + delta, base + 3 * delta
    ]  # fmt: skip
    assert in_round(most // delta).plugin.timeout_ms("propose") == most


# --- what a proposal must be ----------------------------------------------------------------------


FRESH = Proposal(replace(X, slot=(5, 4)), 4, NO_ROUND, None)
COMMIT = certificate(PRECOMMIT, 1, instance=4)
AGAIN = Proposal(replace(X, slot=(5, 1)), 4, 2, None)
AGAIN = replace(AGAIN, proof=certificate(PREVOTE, 2, AGAIN.value.digest, instance=5))


def of_slot(proposal: Proposal, slot: tuple[int, ...], valid_round: int) -> Proposal:
    """The same of a value of this slot, with the polka that it has then."""
    value = replace(proposal.value, slot=slot)
    polka = certificate(PREVOTE, valid_round, value.digest, instance=slot[0])
    return replace(proposal, value=value, valid_round=valid_round, proof=polka)


@pytest.mark.parametrize(
    "right",
    [
        FRESH,
        replace(FRESH, proof=COMMIT),
        AGAIN,
        of_slot(AGAIN, (5, 2), 2),
        of_slot(AGAIN, (5, 0), 3),
        of_slot(AGAIN, (1, 0), 0),
        replace(FRESH, value=replace(X, slot=(1, 4))),
    ],
)
def test_a_proposal_is_of_a_fresh_value_or_has_its_polka(right: Proposal) -> None:
    assert right.is_coherent()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FRESH, value=replace(X, slot=(5,))),
        replace(FRESH, value=replace(X, slot=(5, 4, 0))),
        replace(FRESH, value=replace(X, slot=(0, 4))),
        replace(FRESH, value=replace(X, slot=(5, 4), parent=X.digest)),
        replace(FRESH, value=replace(X, slot=(5, 3))),
        replace(FRESH, proof=replace(COMMIT, phase=PREVOTE)),
        replace(FRESH, proof=replace(COMMIT, slot=(5, 1))),
        replace(FRESH, proof=replace(COMMIT, slot=(3, 1))),
        replace(FRESH, proof=replace(COMMIT, slot=(4,))),
        replace(FRESH, proof=replace(COMMIT, slot=(4, 1, 0))),
        replace(FRESH, proof=replace(COMMIT, value=NIL)),
        replace(AGAIN, proof=None),
        replace(AGAIN, round=2),
        of_slot(AGAIN, (5, 3), 2),
        of_slot(AGAIN, (5, 1), 4),
        replace(AGAIN, proof=certificate(PRECOMMIT, 2, AGAIN.value.digest, instance=5)),
        replace(AGAIN, proof=certificate(PREVOTE, 1, AGAIN.value.digest, instance=5)),
        replace(AGAIN, proof=certificate(PREVOTE, 2, AGAIN.value.digest, instance=4)),
        replace(AGAIN, proof=certificate(PREVOTE, 2, Y.digest, instance=5)),
    ],
)
def test_a_proposal_that_contradicts_itself_is_none(wrong: Proposal) -> None:
    assert not wrong.is_coherent()


# --- who proposes ---------------------------------------------------------------------------------


def test_only_the_proposer_of_its_own_round_makes_a_fresh_value() -> None:
    """Round robin: 1 leads (1, 0), 2 leads (1, 1)."""
    plugin = Bench(Tendermint).plugin
    mine, second = value_of(1, 1), value_of(1, 2, round_=1)
    borrowed = replace(mine, proposer=2)

    assert plugin.may_come_from(1, Proposal(mine, 0, NO_ROUND, None))
    assert plugin.may_come_from(2, Proposal(second, 1, NO_ROUND, None))
    assert plugin.may_come_from(2, again(mine, 0, round_=1))
    for sender, wrong in (
        (2, Proposal(mine, 0, NO_ROUND, None)),
        (1, Proposal(borrowed, 0, NO_ROUND, None)),
        (1, again(mine, 0, round_=1)),
        (2, again(borrowed, 0, round_=1)),
    ):
        assert not plugin.may_come_from(sender, wrong)
