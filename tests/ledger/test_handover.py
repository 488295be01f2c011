"""Receipts lead from the genesis to later validators through one handover for each epoch.

The epochs are made by hand: other validators, each announced by the outcome leaf of a block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ledger import merkle, queries
from ledger.block import parse_leaf
from ledger.errors import ProofFault
from ledger.genesis import EpochRecord
from ledger.light import LightClient
from ledger.receipt import Handover, Receipt
from ledger.validators import QuorumRule, ValidatorSet
from tests.ledger.builders import validator_of
from tests.ledger.proven import note_of, outcome_leaf, refused, small_store

LONG = small_store(5)
GENESIS = LONG.genesis
CLIENT = LightClient(GENESIS)


def epoch_after(epoch: EpochRecord, leaf_height: int, names: Sequence[str]) -> EpochRecord:
    return replace(
        epoch,
        number=epoch.number + 1,
        validators=ValidatorSet(tuple(map(validator_of, names)), QuorumRule.BYZANTINE),
        first_height=leaf_height + 1,
        previous_block=hashlib.sha256(b"block %d" % leaf_height).digest(),
    )


class Log:
    """A log made by hand: leaves, and certificates over what there is so far."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def hash_at(self, level: int, index: int) -> bytes:
        hashes = [merkle.leaf_hash(leaf) for leaf in self.leaves]
        return merkle.root_of(hashes[index << level : (index + 1) << level])

    def path(self, index: int) -> tuple[bytes, ...]:
        return merkle.inclusion_path(index, len(self.leaves), self.hash_at)

    def note(self, epoch: EpochRecord) -> bytes:
        root = merkle.root_of([merkle.leaf_hash(leaf) for leaf in self.leaves])
        return note_of(GENESIS, len(self.leaves), root, epoch)

    def hand_over(self, epoch: EpochRecord, height: int, names: Sequence[str]) -> Handover:
        """End the epoch with the block at height; the validators of the next one by name."""
        record = epoch_after(epoch, height, names)
        self.leaves.append(outcome_leaf(height, epoch.id, record.id))
        last = len(self.leaves) - 1
        return Handover(self.leaves[-1], self.path(last), self.note(epoch), record)


EPOCHS = (["node4", "node5"], ["node1", "node6", "node7", "node8", "node9"])


def handed_over(count: int = 2) -> tuple[Log, list[Handover]]:
    """A log of 25 leaves in epoch 0, and an end of each of `count` epochs."""
    log = Log()
    log.leaves = list(queries.leaves(LONG.store, GENESIS, 0, LONG.head.size))
    epoch, made = GENESIS.epoch, []
    for number in range(count):
        made.append(log.hand_over(epoch, 6 + number, EPOCHS[number]))
        epoch = made[-1].record
    log.leaves.append(b"more")
    return log, made


def handed_over_receipt(
    log: Log, handovers: Sequence[Handover], *, epoch: EpochRecord | None = None, index: int = 3
) -> bytes:
    note = log.note(epoch or (handovers[-1].record if handovers else GENESIS.epoch))
    return Receipt(log.leaves[index], index, log.path(index), note, None, tuple(handovers)).encode()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_handovers_lead_to_later_validators(count: int) -> None:
    log, handovers = handed_over(count)
    verified = CLIENT.check_receipt(handed_over_receipt(log, handovers))
    assert verified.log.epoch.number == count
    assert len(verified.log.signers) == verified.log.epoch.validators.quorum
    assert parse_leaf(log.leaves[3])
    assert verified.height == 1


def test_every_changed_byte_of_a_receipt_with_handovers_is_refused() -> None:
    raw = handed_over_receipt(*handed_over())
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1 << at % 6]) + raw[at + 1 :]
        assert refused(CLIENT, changed), at


def test_a_missing_surplus_or_misplaced_handover_is_refused() -> None:
    log, (first, second) = handed_over()
    for handovers in ([first], [second], [second, first], [first, first, second], []):
        raw = handed_over_receipt(log, handovers, epoch=second.record)
        assert refused(CLIENT, raw)


def test_validators_certify_nothing_beyond_the_end_of_their_epoch() -> None:
    log, (first, second) = handed_over()
    for handovers, epoch in (([first, second], first.record), ([first], GENESIS.epoch)):
        assert refused(CLIENT, handed_over_receipt(log, handovers, epoch=epoch))


def test_the_new_validators_certify_nothing_that_was_there_before_them() -> None:
    log, (first,) = handed_over(1)
    log.leaves.pop()
    raw = handed_over_receipt(log, [first])
    with pytest.raises(ProofFault, match=r"receipt\.handover"):
        CLIENT.check_receipt(raw)


def forged_handover(**changes: object) -> bytes:
    """A log that hands over to an epoch record changed in one field, correctly certified."""
    log = Log()
    log.leaves = list(queries.leaves(LONG.store, GENESIS, 0, LONG.head.size))
    record = replace(epoch_after(GENESIS.epoch, 6, EPOCHS[0]), **changes)  # type: ignore[arg-type]
    log.leaves.append(outcome_leaf(6, GENESIS.epoch.id, record.id))
    handover = Handover(log.leaves[-1], log.path(25), log.note(GENESIS.epoch), record)
    log.leaves.append(b"more")
    return handed_over_receipt(log, [handover])


def test_an_epoch_record_must_follow_the_block_that_ends_the_old_epoch() -> None:
    assert not refused(CLIENT, forged_handover())
    for changes in (
        {"number": 0},
        {"number": 2},
        {"first_height": 6},
        {"first_height": 8},
        {"previous_block": bytes(32)},
    ):
        with pytest.raises(ProofFault, match=r"handover\.record"):
            CLIENT.check_receipt(forged_handover(**changes))


def test_only_the_outcome_of_the_ending_epoch_hands_over() -> None:
    log, (first,) = handed_over(1)
    foreign = outcome_leaf(6, bytes(32), first.record.id)
    idle = outcome_leaf(6, GENESIS.epoch.id, GENESIS.epoch.id)
    for leaf in (foreign, idle, log.leaves[3]):
        made = Log()
        made.leaves = [*log.leaves[:25], leaf]
        handover = Handover(leaf, made.path(25), made.note(GENESIS.epoch), first.record)
        made.leaves.append(b"more")
        assert refused(CLIENT, handed_over_receipt(made, [handover]))


def test_an_epoch_does_not_end_before_it_begins() -> None:
    log, (first, second) = handed_over()
    short = Log()
    early = short.hand_over(first.record, 7, EPOCHS[1])
    for handover, is_refused in ((second, False), (early, True)):
        raw = handed_over_receipt(log, [first, handover])
        assert refused(CLIENT, raw) == is_refused


def test_the_last_leaf_alone_hands_over() -> None:
    log, (first,) = handed_over(1)
    early = Handover(first.leaf, log.path(25), log.note(GENESIS.epoch), first.record)
    log.leaves.append(b"even more")
    assert refused(CLIENT, handed_over_receipt(log, [early]))


def test_certificates_are_checked_by_the_validators_of_their_size() -> None:
    log, handovers = handed_over()
    latest = log.note(handovers[-1].record)

    assert CLIENT.check_certificate(LONG.notes[5]).epoch.number == 0
    assert CLIENT.check_certificate(LONG.notes[5], handovers=handovers).epoch.number == 0
    assert CLIENT.check_certificate(handovers[1].certificate, handovers=handovers).epoch.number == 1
    assert CLIENT.check_certificate(latest, handovers=handovers).epoch.number == 2
    with pytest.raises(ProofFault):
        CLIENT.check_certificate(latest)
    with pytest.raises(ProofFault):
        CLIENT.check_certificate(log.note(GENESIS.epoch), handovers=handovers)
