"""The light client believes a receipt exactly when every link from the genesis to it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ledger import merkle, queries
from ledger.applications.records import make_record
from ledger.block import Result, TransactionLeaf
from ledger.errors import Fault, ProofFault
from ledger.genesis import Genesis
from ledger.light import LightClient, Verified
from ledger.receipt import OperationProof, Receipt, parse_receipt, prove_operation
from ledger.transaction import Operation
from ledger.validators import QuorumRule, ValidatorSet
from tests.ledger.builders import make_genesis, make_signed, validator_of
from tests.ledger.proven import Store, note_of, outcome_leaf, refused, small_store

FILE = b"the file whose existence is recorded"
OPERATIONS = [
    make_record("a file", hashlib.sha256(FILE).digest()),
    make_record("a note", b"", b"content in the ledger"),
    replace(make_record("salted", b"", b"guessable"), salt=b"s" * 32),
]
PAYMENT = make_signed(make_genesis(), "alice", 7, expiry=9, operations=OPERATIONS)
FAILED = make_signed(
    make_genesis(), "bob", 8, expiry=9, operations=[Operation("no such application", 1, b"")]
)


def store_of(genesis: Genesis | None = None) -> Store:
    """Three blocks; the second holds the two transactions that the tests ask for."""
    made = small_store(1, genesis=genesis)
    made.block(PAYMENT, FAILED)
    made.block(make_signed(made.genesis, "alice", 900))
    made.certify()
    return made


STORE = store_of()
GENESIS = STORE.genesis
CLIENT = LightClient(GENESIS)


def receipt_of(operation: int | None = 0, *, transaction: bytes = PAYMENT.id) -> bytes:
    raw = queries.receipt(STORE.store, GENESIS, transaction, operation=operation)
    assert raw is not None
    return raw


def forged(**changes: object) -> bytes:
    """The receipt with some parts replaced."""
    return replace(parse_receipt(receipt_of()), **changes).encode()  # type: ignore[arg-type]


def test_a_receipt_proves_its_transaction_with_the_genesis_alone() -> None:
    verified = LightClient(make_genesis()).check_receipt(receipt_of())

    assert verified == Verified(
        transaction=PAYMENT.id,
        sender=PAYMENT.sender,
        is_signed=True,
        nonce=7,
        height=2,
        position=0,
        result=Result.APPLIED,
        reason="",
        index=6,
        operation=prove_operation(PAYMENT, 0),
        operations=len(OPERATIONS),
        log=verified.log,
    )
    assert verified.log.head.size == STORE.head.size
    assert verified.log.head.root == STORE.head.root()
    assert verified.log.signers == (0, 1, 2)
    assert verified.log.epoch == GENESIS.epoch
    assert verified.fault_model == "Byzantine: holds if at most 1 of 4 validators lie"


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_each_operation_can_be_shown_without_the_others(number: int) -> None:
    raw = receipt_of(number)
    verified = CLIENT.check_receipt(raw)

    assert verified.operation == prove_operation(PAYMENT, number)
    assert verified.application == "records"
    assert verified.body == OPERATIONS[number].body
    extra = parse_receipt(raw)
    others = [each.body for index, each in enumerate(OPERATIONS) if index != number]
    assert not any(body in extra.leaf + repr(extra.operation).encode() for body in others)


def test_a_receipt_need_not_show_an_operation() -> None:
    verified = CLIENT.check_receipt(receipt_of(None))
    assert (verified.operation, verified.application, verified.body) == (None, None, None)
    with pytest.raises(ProofFault, match=r"receipt\.no-record"):
        verified.check_data(hashlib.sha256(FILE).digest())


def test_a_failed_transaction_is_proved_as_failed() -> None:
    verified = CLIENT.check_receipt(receipt_of(transaction=FAILED.id))
    assert verified.result is Result.FAILED
    assert verified.reason == "operation.unknown-application"
    with pytest.raises(ProofFault):
        verified.check_data(hashlib.sha256(FILE).digest())


def test_data_is_compared_with_the_record_that_is_shown() -> None:
    by_digest = CLIENT.check_receipt(receipt_of(0))
    by_content = CLIENT.check_receipt(receipt_of(1))

    by_digest.check_data(hashlib.sha256(FILE).digest())
    by_content.check_data(hashlib.sha256(b"content in the ledger").digest())
    with pytest.raises(ProofFault, match=r"receipt\.data"):
        by_digest.check_data(hashlib.sha256(FILE + b".").digest())
    with pytest.raises(ProofFault, match=r"receipt\.data"):
        by_content.check_data(hashlib.sha256(FILE).digest())


def test_a_crash_only_network_says_what_its_receipts_rest_on() -> None:
    genesis = make_genesis(rule=QuorumRule.CRASH)
    made = Store(genesis)
    transaction = make_signed(genesis, "alice", 1)
    made.block(transaction)
    made.certify()

    raw = queries.receipt(made.store, genesis, transaction.id)
    assert raw is not None
    verified = LightClient(genesis).check_receipt(raw)

    assert verified.fault_model == "crash-only: holds if none of the 4 validators lies"
    assert verified.log.signers == (0, 1, 2)


def mutations(raw: bytes) -> Iterator[bytes]:
    """Every bit flipped, every byte lost, every byte doubled where that changes anything."""
    for at in range(len(raw)):
        for bit in range(8):
            yield raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
        yield raw[:at] + raw[at + 1 :]
        yield raw[:at] + raw[at : at + 1] + raw[at:]


@pytest.mark.parametrize("operation", [None, 2])
def test_every_changed_byte_of_a_receipt_is_refused(operation: int | None) -> None:
    raw = receipt_of(operation)
    passed = [changed for changed in mutations(raw) if not refused(CLIENT, changed)]
    assert passed == []


def test_every_changed_byte_inside_extra_is_refused() -> None:
    """The same below the base64: bytes of the leaf, the operation, its salt and its path."""
    receipt = parse_receipt(receipt_of(2))
    assert receipt.operation is not None
    salt, name, version, body = receipt.operation.operation
    for leaf in mutations(receipt.leaf):
        assert refused(CLIENT, replace(receipt, leaf=leaf).encode())
    for other in [
        *((each, name, version, body) for each in (b"", b"s" * 31, b"t" + b"s" * 31)),
        *((salt, name, version, each) for each in mutations(body)),
        (salt, "record", version, body),
        (salt, name, 2, body),
    ]:
        shown = OperationProof(2, other, receipt.operation.path)
        assert refused(CLIENT, replace(receipt, operation=shown).encode())


def test_a_receipt_of_another_network_is_refused() -> None:
    other = LightClient(make_genesis(members=("carol",)))
    with pytest.raises(ProofFault, match=r"checkpoint\.origin"):
        other.check_receipt(receipt_of())


def test_a_transaction_of_another_network_in_the_log_is_refused() -> None:
    stranger = make_signed(GENESIS, "alice", 1, network=bytes(32))
    leaf = TransactionLeaf(1, 0, 0, "", stranger.header, stranger.signature).encode()
    with pytest.raises(ProofFault, match=r"receipt\.network"):
        CLIENT.check_receipt(one_leaf_receipt(leaf))


def test_a_transaction_that_nobody_signed_is_refused() -> None:
    made = make_signed(GENESIS, "alice", 1)
    leaf = TransactionLeaf(1, 0, 0, "", made.header, bytes(64)).encode()
    with pytest.raises(ProofFault, match=r"receipt\.signature"):
        CLIENT.check_receipt(one_leaf_receipt(leaf))


def test_a_leaf_of_another_kind_is_no_receipt() -> None:
    with pytest.raises(ProofFault, match=r"receipt\.leaf"):
        CLIENT.check_receipt(one_leaf_receipt(outcome_leaf(1, GENESIS.epoch.id, bytes(32))))


def one_leaf_receipt(leaf: bytes) -> bytes:
    """A receipt from a log of one leaf that a quorum certified: its validators lie."""
    note = note_of(GENESIS, 1, merkle.leaf_hash(leaf), GENESIS.epoch)
    return Receipt(leaf, 0, (), note, None).encode()


def test_too_few_or_strange_signers_are_refused() -> None:
    head = STORE.head
    strangers = replace(
        GENESIS.epoch,
        validators=ValidatorSet(
            tuple(validator_of(f"stranger{index}") for index in range(4)), QuorumRule.BYZANTINE
        ),
    )
    two = ValidatorSet(GENESIS.epoch.validators.members[:2], QuorumRule.BYZANTINE)
    weaker = replace(GENESIS.epoch, validators=two)
    for epoch in (strangers, weaker):
        with pytest.raises(ProofFault):
            CLIENT.check_receipt(
                forged(certificate=note_of(GENESIS, head.size, head.root(), epoch))
            )


def test_a_right_certificate_of_another_size_is_refused() -> None:
    older = STORE.notes[1]
    with pytest.raises(ProofFault, match=r"merkle\."):
        CLIENT.check_receipt(forged(certificate=older))


# Consistency.

LONG = small_store(5)


@pytest.mark.parametrize(("old", "new"), [(1, 3), (1, 5), (3, 5), (5, 5)])
def test_a_later_log_is_shown_to_extend_an_earlier_one(old: int, new: int) -> None:
    heads = [CLIENT.check_certificate(LONG.notes[height]).head for height in (old, new)]
    path = queries.consistency(LONG.store, GENESIS, heads[0].size, heads[1].size)

    before, after = CLIENT.check_consistency(LONG.notes[old], LONG.notes[new], path)

    assert [before.head, after.head] == heads


def test_a_log_that_was_changed_after_its_certificate_is_refused() -> None:
    head = LONG.head
    other = note_of(GENESIS, head.size, bytes(32), GENESIS.epoch)
    path = queries.consistency(LONG.store, GENESIS, 5, head.size)
    for new, proof in ((other, path), (LONG.notes[5], path[:-1]), (LONG.notes[5], path[::-1])):
        with pytest.raises(ProofFault, match=r"merkle\."):
            CLIENT.check_consistency(LONG.notes[1], new, proof)
    with pytest.raises(Fault):
        CLIENT.check_consistency(LONG.notes[5], LONG.notes[1], path)
