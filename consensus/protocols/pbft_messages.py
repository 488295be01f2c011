"""What PBFT's validators say: five signed messages.

A primary's pre-prepare is the statement of a prepare: so it counts as the primary's own, and no
validator can be led to sign both for different values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from consensus.interface import AnyCertificate, Message
from ledger import encoding
from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.encoding import Shape
from ledger.errors import DecodeFault
from ledger.limits import INTEGER_MAX, VALIDATORS_MAX
from ledger.statement import Slot
from ledger.validators import QuorumRule, quorum_size
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

PREPARE, COMMIT, VIEW_CHANGE, NEW_VIEW = "prepare", "commit", "view-change", "new-view"
NULL = b""
"""What is voted for where a new view fills a gap: the paper's null request."""
WINDOW_MAX = 256
"""Sequence numbers in flight at most, whatever a network's parameter says."""


def null_value(epoch: bytes, sequence: int, parent: bytes) -> Value:
    """What a sequence number without a request amounts to, the same everywhere: it orders nothing.

    It is never sent, since whoever knows the value before it can make it.
    """
    return Value(epoch, parent, (sequence, 0), 0, 0, (), b"null")


def is_request(value: Value) -> bool:
    """Whether a primary may assign a sequence number to this value: it orders something."""
    return len(value.slot) == 2 and value.slot[0] >= 1 and bool(value.payload) and not value.extra


@dataclass(frozen=True, slots=True)
class PrePrepare(Message):
    """The primary of a view assigns a sequence number to a value, which bears both."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(encoding.blob(VALUE_BYTES_MAX))
    value: Value

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw,)

    @classmethod
    def from_row(cls, row: Any) -> PrePrepare:
        value = parse_value(row[0])
        if not is_request(value):
            raise DecodeFault("pbft.request", f"a value of slot {value.slot}")
        return cls(value)

    def statement(self) -> tuple[str, Slot, bytes]:
        return PREPARE, self.value.slot, self.value.digest

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class _Vote(Message):
    """A vote for what a sequence number is assigned to in one view."""

    PHASE: ClassVar[str]
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1), encoding.uint(), encoding.blob(32))
    sequence: int
    view: int
    value: bytes
    """Digest, or NULL."""

    def row(self) -> tuple[Any, ...]:
        return (self.sequence, self.view, self.value)

    @classmethod
    def from_row(cls, row: Any) -> _Vote:
        if len(row[2]) not in (0, 32):
            raise DecodeFault("pbft.vote", f"for {len(row[2])} bytes")
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return self.PHASE, (self.sequence, self.view), self.value


@dataclass(frozen=True, slots=True)
class Prepare(_Vote):
    """The signer accepted this assignment, and no other of this view."""

    KIND: ClassVar[int] = 2
    PHASE: ClassVar[str] = PREPARE


@dataclass(frozen=True, slots=True)
class Commit(_Vote):
    """The signer holds a quorum's prepares for it."""

    KIND: ClassVar[int] = 3
    PHASE: ClassVar[str] = COMMIT


@dataclass(frozen=True, slots=True)
class Report:
    """What a view change states: the paper's n, and what its set P proves."""

    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.uint(),
        encoding.array(
            encoding.row(encoding.uint(low=1), encoding.uint(), encoding.blob(32)), WINDOW_MAX
        ),
    )
    base: int
    """The signer has decided all sequence numbers up to this one."""
    claims: tuple[tuple[int, int, bytes], ...]
    """(sequence, view, digest) of the last that it prepared for each number beyond, ascending."""

    def row(self) -> tuple[Any, ...]:
        return (self.base, self.claims)

    @classmethod
    def from_row(cls, row: Any) -> Report:
        base, claims = row
        numbers = [base, *(sequence for sequence, _, _ in claims)]
        if any(left >= right for left, right in pairwise(numbers)):
            raise DecodeFault("pbft.report", "sequence numbers do not ascend")
        return cls(base, claims)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(encoding.encode(self.row())).digest()


@dataclass(frozen=True, slots=True)
class ViewChange(Message):
    """The signer asks for a view, and prepares and commits nothing in earlier ones any more."""

    KIND: ClassVar[int] = 4
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.uint(low=1), encoding.uint(), encoding.array(certificate_shape, WINDOW_MAX)
    )
    view: int
    base: int
    prepared: tuple[Certificate, ...]
    """The paper's P: the proof of each claim."""

    @property
    def report(self) -> Report:
        claims = tuple((*proof.slot, proof.value) for proof in self.prepared)
        return Report(self.base, claims)  # type: ignore[arg-type]

    def row(self) -> tuple[Any, ...]:
        return (self.view, self.base, tuple(proof.row() for proof in self.prepared))

    @classmethod
    def from_row(cls, row: Any) -> ViewChange:
        view, base, rows = row
        prepared = tuple(Certificate.from_row(each) for each in rows)
        for proof in prepared:
            check_prepared(proof, view)
        change = cls(view, base, prepared)
        Report.from_row(change.report.row())
        return change

    def statement(self) -> tuple[str, Slot, bytes]:
        return VIEW_CHANGE, (self.view,), self.report.digest

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return self.prepared


def check_prepared(proof: Certificate, view: int) -> None:
    """Raise DecodeFault unless this proves that something was prepared before a view."""
    is_prepared = proof.phase == PREPARE and len(proof.slot) == 2 and len(proof.value) in (0, 32)
    if not (is_prepared and proof.slot[0] >= 1 and proof.slot[1] < view):
        raise DecodeFault("pbft.prepared", f"{proof.phase} {proof.slot} for view {view}")


@dataclass(frozen=True, slots=True)
class NewView(Message):
    """The primary of a view opens it: what is assigned again follows from the reports (O)."""

    KIND: ClassVar[int] = 5
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.uint(low=1),
        timeout_certificate_shape,
        encoding.array(Report.SHAPE, VALIDATORS_MAX, low=1),
        encoding.array(certificate_shape, WINDOW_MAX),
    )
    view: int
    asked: TimeoutCertificate
    """A quorum's view changes: the paper's V."""
    reports: tuple[Report, ...]
    """What each of them states, in the same order."""
    proofs: tuple[Certificate, ...]
    """What proves the claims that are chosen, ascending."""

    def row(self) -> tuple[Any, ...]:
        reports = tuple(report.row() for report in self.reports)
        return (self.view, self.asked.row(), reports, tuple(proof.row() for proof in self.proofs))

    @classmethod
    def from_row(cls, row: Any) -> NewView:
        view, asked = row[0], TimeoutCertificate.from_row(row[1])
        reports = tuple(Report.from_row(each) for each in row[2])
        proofs = tuple(Certificate.from_row(each) for each in row[3])
        digests = [value for _, value, _ in asked.entries]
        if (asked.phase, asked.slot) != (VIEW_CHANGE, (view,)):
            raise DecodeFault("pbft.new-view", f"view {view} after {asked.phase} {asked.slot}")
        if digests != [report.digest for report in reports]:
            raise DecodeFault("pbft.new-view", "the reports are not those that were signed")
        for proof in proofs:
            check_prepared(proof, view)
        return cls(view, asked, reports, proofs)

    def statement(self) -> tuple[str, Slot, bytes]:
        said = encoding.encode(tuple(report.row() for report in self.reports))
        return NEW_VIEW, (self.view,), hashlib.sha256(said).digest()

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return (self.asked, *self.proofs)


def longest_message(validators: int, window: int, signature_bytes: int) -> NewView:
    """The new view after which every number of the window is prepared again, as all report."""
    numbers = range(INTEGER_MAX - window, INTEGER_MAX)
    quorum = quorum_size(validators, QuorumRule.BYZANTINE)
    signers = range(validators - quorum, validators)
    signatures = tuple((signer, bytes(signature_bytes)) for signer in signers)
    proofs = tuple(
        Certificate(PREPARE, (number, INTEGER_MAX - 1), bytes(32), signatures) for number in numbers
    )
    claims = tuple((number, INTEGER_MAX - 1, bytes(32)) for number in numbers)
    report = Report(numbers.start - 1, claims)
    entries = tuple((signer, report.digest, signature) for signer, signature in signatures)
    asked = TimeoutCertificate(VIEW_CHANGE, (INTEGER_MAX,), entries)
    return NewView(INTEGER_MAX, asked, (report,) * quorum, proofs)
