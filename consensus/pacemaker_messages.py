"""What protocols with this pacemaker say: proposals, votes and timeouts, and what they bind.

A view is the only part of a slot.  A quorum certificate (qc) is a `Certificate` of phase "vote"
whose value is the digest of the certified value; None stands for the certificate of the epoch's
first root, which has view 0 and needs no votes.  A timeout certificate (tc) is a
`TimeoutCertificate` of phase "timeout".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import AnyCertificate, Message, digest_of
from ledger import encoding
from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.encoding import Shape
from ledger.errors import DecodeFault
from ledger.statement import VALUE_BYTES_MAX as STATEMENT_VALUE_BYTES_MAX
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

PROPOSAL = "proposal"
VOTE = "vote"
TIMEOUT = "timeout"

_known_shape = encoding.row(encoding.uint(), encoding.blob(32))
"""What a timeout says: (view, value digest) of the highest qc that its sender knows."""


def qc_view(qc: Certificate | None) -> int:
    """The view that a quorum certificate certifies a value of."""
    return qc.slot[0] if qc is not None else 0


def highest_known(tc: TimeoutCertificate) -> int:
    """The highest qc view that an entry of a timeout certificate names.

    Raises DecodeFault where an entry says no such thing, or a view that is not below the tc's own.
    """
    views = [
        encoding.decode(said, _known_shape, size_max=STATEMENT_VALUE_BYTES_MAX, what="timeout")[0]
        for _, said, _ in tc.entries
    ]
    highest: int = max(views)
    if highest >= tc.slot[0]:
        raise DecodeFault("paced.timeout-certificate", f"qc view {highest} in view {tc.slot[0]}")
    return highest


def check_certificate(certificate: AnyCertificate) -> None:
    """Raise DecodeFault unless this can be the certificate of a value, or of a view that ended."""
    slot, phase = certificate.slot, certificate.phase
    if isinstance(certificate, TimeoutCertificate):
        if not (phase == TIMEOUT and len(slot) == 1):
            raise DecodeFault("paced.tc", f"{phase} {slot}")
        highest_known(certificate)
    elif not (phase == VOTE and len(slot) == 1 and len(certificate.value) == 32):
        raise DecodeFault("paced.qc", f"{phase} {slot}")


@dataclass(frozen=True, slots=True)
class Proposal(Message):
    """The leader's value for its view, and why it is safe to vote for it."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.blob(VALUE_BYTES_MAX),
        encoding.optional(certificate_shape),
        encoding.optional(timeout_certificate_shape),
    )
    value: Value
    qc: Certificate | None
    """Certifies the parent; None where the parent is the epoch's first root."""
    tc: TimeoutCertificate | None
    """Of the view before, where the parent is not of the view before."""

    @property
    def view(self) -> int:
        return self.value.slot[0]

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw, _row(self.qc), _row(self.tc))

    @classmethod
    def from_row(cls, row: Any) -> Proposal:
        qc, tc = _certificates(row[1], row[2])
        value = parse_value(row[0])
        if len(value.slot) != 1 or value.slot[0] <= qc_view(qc):
            raise DecodeFault("paced.proposal", f"slot {value.slot} after view {qc_view(qc)}")
        if qc is not None and value.parent != qc.value:
            raise DecodeFault("paced.proposal", "the qc certifies another value than the parent")
        if tc is not None and tc.slot[0] + 1 != value.slot[0]:
            raise DecodeFault("paced.proposal", f"tc of view {tc.slot[0]} in {value.slot}")
        return cls(value, qc, tc)

    def statement(self) -> tuple[str, Slot, bytes]:
        qc = (self.qc.slot, self.qc.value) if self.qc is not None else None
        return PROPOSAL, self.value.slot, digest_of(self.value.digest, qc, _row(self.tc))

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return tuple(each for each in (self.qc, self.tc) if each is not None)

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Vote(Message):
    """A vote for the value with this digest, proposed in this view."""

    KIND: ClassVar[int] = 2
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(), encoding.digest)
    view: int
    value: bytes
    """Digest."""

    def row(self) -> tuple[Any, ...]:
        return (self.view, self.value)

    @classmethod
    def from_row(cls, row: Any) -> Vote:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return VOTE, (self.view,), self.value


@dataclass(frozen=True, slots=True)
class Timeout(Message):
    """The sender votes no more in this view; the best that it knows, and why it is in the view."""

    KIND: ClassVar[int] = 3
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.uint(low=1),
        encoding.optional(certificate_shape),
        encoding.optional(timeout_certificate_shape),
    )
    view: int
    qc: Certificate | None
    """The highest that the sender knows."""
    tc: TimeoutCertificate | None
    """Of the view before, where the qc is of an earlier one."""

    def row(self) -> tuple[Any, ...]:
        return (self.view, _row(self.qc), _row(self.tc))

    @classmethod
    def from_row(cls, row: Any) -> Timeout:
        qc, tc = _certificates(row[1], row[2])
        if row[0] <= qc_view(qc) or (tc is not None and tc.slot[0] + 1 != row[0]):
            raise DecodeFault("paced.timeout", f"the certificates do not fit view {row[0]}")
        return cls(row[0], qc, tc)

    def statement(self) -> tuple[str, Slot, bytes]:
        known = (qc_view(self.qc), self.qc.value if self.qc is not None else b"")
        return TIMEOUT, (self.view,), encoding.encode(known)

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return tuple(each for each in (self.qc, self.tc) if each is not None)


def _row(certificate: AnyCertificate | None) -> tuple[object, ...] | None:
    return certificate.row() if certificate is not None else None


def _certificates(qc_row: Any, tc_row: Any) -> tuple[Certificate | None, TimeoutCertificate | None]:
    qc = Certificate.from_row(qc_row) if qc_row is not None else None
    tc = TimeoutCertificate.from_row(tc_row) if tc_row is not None else None
    for certificate in (qc, tc):
        if certificate is not None:
            check_certificate(certificate)
    return qc, tc
