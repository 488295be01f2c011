"""Values that are valid, never valid, or not yet: what a validator takes, and what stops it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.confirmation import Confirmation
from consensus.dissemination import Dissemination
from consensus.interface import Decide, DecisionProof
from consensus.ordering import Ordering
from consensus.packets import DecisionPacket, SignedPacket
from consensus.protocols.solo import SEQUENCE, Sequenced
from consensus.protocols.tendermint_messages import (
    NO_ROUND,
    PRECOMMIT,
    Precommit,
    Prevote,
    Proposal,
)
from consensus.replica import Replica
from consensus.values import Judgement, Values
from ledger.certificate import Certificate
from ledger.statement import Statement
from ledger.value import Value
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage


class BelievesValues(Values):
    """Finds everything valid."""

    def judge(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        return Judgement.VALID


def bad_values(stage: Stage) -> dict[str, Value]:
    """Values of the sequencer's that no honest follower may take, the batches being here."""
    batches = []
    for number, height in enumerate((0, 0, 0, 7)):
        batch, packet = stage.batch(1, stage.transaction(number), sequence=number, height=height)
        batches.append(batch.digest)
        stage.inject(1, 3, packet)
    good, other, third, late = batches
    sound = Value(stage.genesis.epoch.id, b"", (1,), 0, 1_700_000_000_000, (good,))
    return {
        "sound": sound,
        "another epoch": replace(sound, epoch=bytes(32)),
        "a batch twice": replace(sound, payload=(good, good)),
        "a batch from the future": replace(sound, payload=(late,)),
        "too many batches": replace(sound, payload=(good, other, third)),
        "a batch that is not here": replace(sound, payload=(bytes(32),)),
    }


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("sound", True),
        ("another epoch", False),
        ("a batch twice", False),
        ("a batch from the future", False),
        ("too many batches", False),
        ("a batch that is not here", False),
    ],
)
def test_a_follower_takes_no_value_that_is_never_or_not_yet_valid(
    name: str, is_taken: bool
) -> None:
    def play(kind: Kind) -> bool:
        stage = Stage("solo", kind=kind, puppets=(0, 1, 2), limits={"block_batches": 2})
        stage.run_ms(200)
        value = bad_values(stage)[name]
        stage.run_ms(100)
        stage.inject(0, 3, stage.sign(0, Sequenced(value)))
        stage.run_ms(1_000)
        return stage.plugin(3).root.slot == (1,)

    assert play(Replica) is is_taken
    assert play(lacking("_ordering.values", BelievesValues))


def test_a_batch_is_not_ordered_twice_within_the_window() -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage("solo", kind=kind, puppets=(0, 1, 2))
        stage.run_ms(200)
        first = bad_values(stage)["sound"]
        stage.run_ms(100)
        for value in (first, replace(first, slot=(2,))):
            stage.inject(0, 3, stage.sign(0, Sequenced(value)))
            stage.run_ms(500)
        return stage

    assert play(Replica).plugin(3).root.slot == (1,)
    assert play(lacking("_ordering.values", BelievesValues)).plugin(3).root.slot == (2,)


def test_a_batch_of_an_undecided_ancestor_is_not_ordered_again() -> None:
    stage = Stage("jolteon", puppets=(0, 1, 2))
    stage.run_ms(200)
    parent = replace(bad_values(stage)["sound"], proposer=1)
    child = replace(parent, parent=parent.digest, slot=(2,), proposer=2)
    stage.run_ms(100)
    values, pool = stage.replica(3)._ordering.values, stage.replica(3)._ordering.pool

    assert values.judge(child, pool, child.timestamp_ms) is Judgement.NOT_YET
    values.learn(parent)

    assert values.judge(parent, pool, child.timestamp_ms) is Judgement.VALID
    assert values.judge(child, pool, child.timestamp_ms) is Judgement.NEVER
    empty = replace(child, payload=())
    assert values.judge(empty, pool, child.timestamp_ms) is Judgement.VALID


class ShrugsOff(Confirmation):
    """Takes whatever a quorum has decided."""

    def decide(self, ordering: Ordering, effect: Decide) -> None:
        for value in effect.values:
            self._append(ordering, value)


def test_a_quorum_for_what_is_never_valid_stops_the_node_loudly() -> None:
    # Three of four validators decide a value that names a batch twice.
    def play(kind: Kind) -> Stage:
        stage = Stage("tendermint", kind=kind, puppets=(0, 1, 2))
        stage.run_ms(200)
        sound = bad_values(stage)["sound"]
        value = replace(sound, slot=(1, 0), proposer=1, payload=sound.payload * 2)
        stage.run_ms(100)
        statement = Statement(
            stage.genesis.network, stage.genesis.epoch.id, PRECOMMIT, (1, 0), value.digest
        )
        signatures = tuple(
            (who, stage.signers[who].statements.sign(statement.signed_bytes())) for who in range(3)
        )
        proof = DecisionProof((Certificate(PRECOMMIT, (1, 0), value.digest, signatures),))
        stage.inject(0, 3, DecisionPacket.of((value,), proof))
        stage.run_ms(1_000)
        return stage

    stage = play(Replica)
    assert "invalid here" in stage.stopped[3]
    assert stage.said(SignedPacket, sender=3) == []

    stage = play(lacking("_confirmation", ShrugsOff))
    assert stage.stopped == {}
    assert stage.replica(3).status().decided == 1


def test_a_sequencers_signature_alone_decides_nothing_that_is_invalid() -> None:
    stage = Stage("solo", puppets=(0, 1, 2))
    stage.run_ms(200)
    value = bad_values(stage)["a batch twice"]
    stage.run_ms(100)
    packet = stage.sign(0, Sequenced(value))
    certificate = Certificate(SEQUENCE, (1,), value.digest, ((0, packet.signature),))

    stage.inject(0, 3, DecisionPacket.of((value,), DecisionProof((certificate,))))
    stage.run_ms(1_000)

    assert stage.plugin(3).root.slot == (0,)
    assert stage.stopped == {}


def test_only_precommits_are_a_reason_to_decide() -> None:
    stage = Stage("tendermint", puppets=(0, 1, 2))
    stage.run_ms(200)
    value = replace(bad_values(stage)["sound"], slot=(1, 0), proposer=1)
    for who in (0, 1, 2):
        stage.inject(who, 3, stage.sign(who, Prevote(1, 0, value.digest)))
    stage.run_ms(500)
    assert stage.plugin(3).root.slot == (0,)

    stage.inject(1, 3, stage.sign(1, Proposal(value, 0, NO_ROUND, None)))
    for who in (0, 1, 2):
        stage.inject(who, 3, stage.sign(who, Precommit(1, 0, value.digest)))

    assert stage.until(lambda: stage.plugin(3).root.slot == (1, 0))
