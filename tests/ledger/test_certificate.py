"""Certificates count exactly a quorum, and quorums are what their rule says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.encoding import decode, encode
from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.keys import Ed25519
from ledger.statement import Statement
from ledger.validators import QuorumRule, ValidatorSet, faults_tolerated, quorum_size
from tests.ledger.builders import loose_encodings, signer_of, validator_of

NETWORK, EPOCH, VALUE = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
VALIDATORS = ValidatorSet(tuple(validator_of(f"node{n}") for n in range(4)), QuorumRule.BYZANTINE)
SIGNERS = [signer_of(f"node{n} consensus") for n in range(4)]

BYZANTINE = [1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 15]
CRASH = [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11]
"""Quorums of 1 to 21 validators, counted by hand."""


def certificate(*indexes: int, value: bytes = VALUE) -> Certificate:
    message = Statement(NETWORK, EPOCH, "prevote", (7, 0), value).signed_bytes()
    return Certificate(
        "prevote", (7, 0), value, tuple((index, SIGNERS[index].sign(message)) for index in indexes)
    )


def timeout(*entries: tuple[int, bytes]) -> TimeoutCertificate:
    rows = [
        (index, value, SIGNERS[index].sign(_message("timeout", (9,), value)))
        for index, value in entries
    ]
    return TimeoutCertificate("timeout", (9,), tuple(rows))


def _message(phase: str, slot: tuple[int, ...], value: bytes) -> bytes:
    return Statement(NETWORK, EPOCH, phase, slot, value).signed_bytes()


def check(proof: Certificate | TimeoutCertificate, *, network: bytes = NETWORK) -> None:
    proof.check(network, EPOCH, VALIDATORS, Ed25519().verify, quorum=VALIDATORS.quorum)


def reason_of(proof: Certificate | TimeoutCertificate) -> str:
    with pytest.raises(ProofFault) as caught:
        check(proof)
    return caught.value.reason


@pytest.mark.parametrize(("count", "quorum"), list(enumerate(BYZANTINE, start=1)))
def test_byzantine_quorums_share_an_honest_validator(count: int, quorum: int) -> None:
    faults = faults_tolerated(count, QuorumRule.BYZANTINE)

    assert quorum_size(count, QuorumRule.BYZANTINE) == quorum
    assert 2 * quorum - count > faults
    assert quorum <= count - faults


@pytest.mark.parametrize(("count", "quorum"), list(enumerate(CRASH, start=1)))
def test_crash_quorums_share_a_validator(count: int, quorum: int) -> None:
    assert quorum_size(count, QuorumRule.CRASH) == quorum
    assert 2 * quorum > count
    assert quorum == count - faults_tolerated(count, QuorumRule.CRASH)


def test_a_validator_set_knows_its_numbers_and_its_keys() -> None:
    assert (VALIDATORS.size, VALIDATORS.quorum, VALIDATORS.faults) == (4, 3, 1)
    assert VALIDATORS.statement_key(3) == VALIDATORS.checkpoint_key(3) == SIGNERS[3].public_key
    assert list(VALIDATORS.others(1)) == [0, 2, 3]
    assert list(VALIDATORS.others(None)) == [0, 1, 2, 3]
    for index in (-1, 4):
        with pytest.raises(Fault, match=r"validator\.unknown-index"):
            VALIDATORS.statement_key(index)
        with pytest.raises(Fault, match=r"validator\.unknown-index"):
            VALIDATORS.checkpoint_key(index)


@pytest.mark.parametrize("indexes", [(0, 1, 2), (0, 1, 3), (1, 2, 3)])
def test_any_quorum_makes_a_certificate(indexes: tuple[int, ...]) -> None:
    check(certificate(*indexes))


@pytest.mark.parametrize(
    ("indexes", "reason"),
    [
        ((0, 1), "certificate.quorum"),
        ((0, 1, 2, 3), "certificate.quorum"),
        ((), "certificate.quorum"),
        ((0, 2, 1), "certificate.order"),
        ((0, 1, 1), "certificate.order"),
    ],
)
def test_too_few_too_many_or_unordered_signers_are_refused(
    indexes: tuple[int, ...], reason: str
) -> None:
    assert reason_of(certificate(*indexes)) == reason


def test_a_signer_outside_the_set_is_refused() -> None:
    made = certificate(0, 1, 2)

    for first, last in ((0, 4), (-1, 2)):
        rows = ((first, made.signatures[0][1]), made.signatures[1], (last, made.signatures[2][1]))
        assert reason_of(replace(made, signatures=rows)) == "certificate.signer"


def test_a_wrong_signature_names_its_signer() -> None:
    made = certificate(0, 1, 2)
    forged = (*made.signatures[:1], (1, made.signatures[0][1]), *made.signatures[2:])

    with pytest.raises(ProofFault) as caught:
        check(replace(made, signatures=forged))

    assert caught.value.reason == "certificate.signature"
    assert caught.value.culprit == 1


def test_a_certificate_is_for_one_network_epoch_phase_slot_and_value() -> None:
    made = certificate(0, 1, 2)

    for other in (
        replace(made, phase="precommit"),
        replace(made, slot=(7, 1)),
        replace(made, value=b""),
    ):
        assert reason_of(other) == "certificate.signature"
    with pytest.raises(ProofFault):
        check(made, network=EPOCH)
    with pytest.raises(ProofFault):
        made.check(NETWORK, NETWORK, VALIDATORS, Ed25519().verify, quorum=3)


def test_a_timeout_certificate_holds_a_value_of_each_signer() -> None:
    made = timeout((0, b""), (2, b"high"), (3, b"higher"))

    check(made)

    swapped = (made.entries[0], (2, b"higher", made.entries[1][2]), made.entries[2])
    assert reason_of(replace(made, entries=swapped)) == "certificate.signature"
    assert reason_of(timeout((0, b""), (2, b""))) == "certificate.quorum"
    assert reason_of(timeout((0, b""), (2, b""), (2, b"x"))) == "certificate.order"


def test_certificates_have_one_encoding() -> None:
    made, left = certificate(0, 1, 3), timeout((0, b""), (1, b"x"), (2, b"y"))

    again = decode(encode(made.row()), certificate_shape, size_max=4_096)
    left_again = decode(encode(left.row()), timeout_certificate_shape, size_max=4_096)

    assert Certificate.from_row(again) == made
    assert TimeoutCertificate.from_row(left_again) == left
    for loose in loose_encodings(made.row()):
        with pytest.raises(DecodeFault):
            decode(loose, certificate_shape, size_max=4_096)
    for loose in loose_encodings(left.row()):
        with pytest.raises(DecodeFault):
            decode(loose, timeout_certificate_shape, size_max=4_096)
