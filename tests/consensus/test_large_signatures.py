"""What holds certificates has room for the largest signatures, in networks that `init` makes.

Nothing is signed here: what counts is how long it is.
"""

from __future__ import annotations

import pytest

from consensus import pacemaker_messages as paced
from consensus.inspector import decode_message
from consensus.interface import Message
from consensus.protocols import pbft_messages as pbft
from consensus.protocols import tendermint_messages as tendermint
from consensus.protocols.pbft import Pbft
from consensus.protocols.tendermint_record import Lock, Record, Valid, parse_record
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.limits import EXTRA_BYTES_MAX, ML_DSA_65_SIGNATURE_BYTES, VALIDATORS_MAX
from ledger.statement import Slot
from ledger.validators import QuorumRule, quorum_size
from ledger.value import PAYLOAD_MAX, Value

SIGNATURE = bytes(ML_DSA_65_SIGNATURE_BYTES)
INIT_MAX = 100
"""Validators of the largest network that `init` makes."""
PBFT_MAX = 25
"""Of PBFT, whose new views hold a certificate for every number of the window; see decision 0018."""


def signers(validators: int) -> range:
    """A quorum of those whose indexes take the most bytes."""
    return range(validators - quorum_size(validators, QuorumRule.BYZANTINE), validators)


def certificate(validators: int, phase: str, slot: Slot, value: bytes) -> Certificate:
    return Certificate(phase, slot, value, tuple((n, SIGNATURE) for n in signers(validators)))


def largest_value(slot: Slot, parent: bytes) -> Value:
    payload = tuple(number.to_bytes(32, "big") for number in range(PAYLOAD_MAX))
    return Value(bytes(32), parent, slot, INIT_MAX - 1, 2**42, payload, bytes(EXTRA_BYTES_MAX))


def chained() -> Message:
    """After views without a leader, with the largest value."""
    known = encode((2**40, bytes(32)))
    entries = tuple((n, known, SIGNATURE) for n in signers(INIT_MAX))
    tc = TimeoutCertificate(paced.TIMEOUT, (2**40 + 7,), entries)
    qc = certificate(INIT_MAX, paced.VOTE, (2**40,), bytes(32))
    return paced.Proposal(largest_value((2**40 + 8,), qc.value), qc, tc)


def locked() -> Message:
    """A value of an earlier round, with its polka."""
    value = largest_value((2**40, 0), b"")
    polka = certificate(INIT_MAX, tendermint.PREVOTE, (2**40, 6), value.digest)
    return tendermint.Proposal(value, 7, 6, polka)


def new_view(validators: int) -> Message:
    """Of a window of which every number was prepared."""
    window = Pbft.PARAMETERS["window"]
    proofs = tuple(
        certificate(validators, pbft.PREPARE, (2**40 + number, 6), bytes(32))
        for number in range(window)
    )
    report = pbft.Report(2**40 - 1, tuple((*proof.slot, proof.value) for proof in proofs))  # type: ignore[misc]
    entries = tuple((n, report.digest, SIGNATURE) for n in signers(validators))
    asked = TimeoutCertificate(pbft.VIEW_CHANGE, (7,), entries)
    return pbft.NewView(7, asked, (report,) * len(entries), proofs)


@pytest.mark.parametrize("message", [chained(), locked(), new_view(PBFT_MAX)])
def test_the_largest_messages_are_read(message: Message) -> None:
    kinds: dict[int, type[Message]] = {message.KIND: type(message)}

    assert decode_message(kinds, message.KIND, encode(message.row())) == message


def test_a_new_view_of_more_validators_is_too_long() -> None:
    message = new_view(PBFT_MAX + 2)

    with pytest.raises(DecodeFault, match=r"encoding\.size"):
        decode_message({message.KIND: type(message)}, message.KIND, encode(message.row()))


def test_tendermint_remembers_the_largest_polka() -> None:
    value = largest_value((2**40, 0), b"")
    polka = certificate(VALIDATORS_MAX, tendermint.PREVOTE, (2**40, 6), value.digest)
    record = Record(2**40, 7, Lock(6, value), Valid(value, polka))

    assert parse_record(record.encode()) == record
