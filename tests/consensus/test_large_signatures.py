"""What holds certificates has room for the largest signatures, in networks that `init` makes.

Nothing is signed here: what counts is how long it is.
"""

from __future__ import annotations

import pytest

from consensus import pacemaker_messages as paced
from consensus.inspector import decode_message
from consensus.interface import Message
from consensus.protocols import pbft_messages as pbft
from consensus.protocols import simplex_messages as simplex
from consensus.protocols import streamlet_messages as streamlet
from consensus.protocols import tendermint_messages as tendermint
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_messages import PARENTS_MAX
from consensus.protocols.pbft import Pbft
from consensus.protocols.tendermint_record import Lock, Record, Valid, parse_record
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.keys import REAL_SCHEMES, suite_named
from ledger.limits import (
    EXTRA_BYTES_MAX,
    ML_DSA_65_SIGNATURE_BYTES,
    SIGNATURE_BYTES,
    VALIDATORS_MAX,
)
from ledger.statement import Slot
from ledger.validators import QuorumRule, quorum_size
from ledger.value import PAYLOAD_MAX, Value

SIGNATURE = bytes(ML_DSA_65_SIGNATURE_BYTES)
INIT_MAX = 100
"""Validators of the largest network that `init` makes."""
PBFT_MAX = 25
"""Of PBFT by default, whose new views hold a certificate for every number of the window."""


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


def notarized(propose: type[simplex.Propose | streamlet.Propose], phase: str) -> Message:
    """With the notarization of the parent."""
    parent = certificate(INIT_MAX, phase, (2**40,), bytes(32))
    return propose(largest_value((2**40 + 1,), parent.value), parent)


def new_view(validators: int) -> Message:
    return pbft.longest_message(validators, Pbft.PARAMETERS["window"], len(SIGNATURE))


def read(message: Message) -> Message:
    """What others make of its bytes.  Raises DecodeFault."""
    kinds: dict[int, type[Message]] = {message.KIND: type(message)}
    return decode_message(kinds, message.KIND, encode(message.row()))


@pytest.mark.parametrize(
    "message",
    [
        chained(),
        locked(),
        notarized(simplex.Propose, simplex.VOTE),
        notarized(streamlet.Propose, streamlet.VOTE),
        new_view(PBFT_MAX),
    ],
)
def test_the_largest_messages_are_read(message: Message) -> None:
    assert read(message) == message


@pytest.mark.parametrize("window", [1, 8, 64])
@pytest.mark.parametrize("scheme", REAL_SCHEMES)
def test_pbft_is_for_as_many_validators_as_its_longest_new_view_has_room_for(
    scheme: str, window: int
) -> None:
    signature_bytes = suite_named(scheme).statements.signature_bytes
    most = Pbft.validators_max({**Pbft.PARAMETERS, "window": window}, signature_bytes)

    longest = pbft.longest_message(most, window, signature_bytes)
    assert read(longest) == longest
    if most < VALIDATORS_MAX:
        with pytest.raises(DecodeFault, match=r"encoding\.size"):
            read(pbft.longest_message(most + 1, window, signature_bytes))


def test_the_longest_new_view_is_the_one_that_says_most() -> None:
    """Every number of the window is prepared, by proofs of a quorum, as a quorum reports."""
    window, quorum = Pbft.PARAMETERS["window"], quorum_size(PBFT_MAX, QuorumRule.BYZANTINE)
    message = pbft.longest_message(PBFT_MAX, window, len(SIGNATURE))

    assert [len(proof.signatures) for proof in message.proofs] == [quorum] * window
    assert [len(report.claims) for report in message.reports] == [window] * quorum
    assert len(message.asked.entries) == quorum


def test_pbft_has_a_largest_window() -> None:
    parameters = {**Pbft.PARAMETERS, "window": pbft.WINDOW_MAX + 1}

    assert Pbft.validators_max(parameters, SIGNATURE_BYTES) == 0


def test_mysticeti_is_for_as_many_validators_as_a_block_refers_to_a_quorum_of() -> None:
    most = Mysticeti.validators_max(Mysticeti.PARAMETERS, len(SIGNATURE))

    assert quorum_size(most, QuorumRule.BYZANTINE) == PARENTS_MAX
    assert quorum_size(most + 1, QuorumRule.BYZANTINE) > PARENTS_MAX


def test_tendermint_remembers_the_largest_polka() -> None:
    value = largest_value((2**40, 0), b"")
    polka = certificate(VALIDATORS_MAX, tendermint.PREVOTE, (2**40, 6), value.digest)
    record = Record(2**40, 7, Lock(6, value), Valid(value, polka))

    assert parse_record(record.encode()) == record
