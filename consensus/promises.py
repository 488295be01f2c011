"""What one validator promises in a chain of certified values, and remembers across restarts.

All that safety rests on in a protocol with the pacemaker of this folder, but for the protocol's own
rules: when a value may be voted for, and when one is decided.  `Promises` sends nothing and knows
no time; its whole state is one record, which is durable before any vote or timeout leaves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any, ClassVar

from consensus.interface import DecisionProof
from consensus.leaders import Agreed, Decided
from consensus.pacemaker_messages import VOTE, Proposal, highest_known, qc_view
from ledger import encoding
from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.limits import EXTRA_BYTES_MAX, VALIDATORS_MAX
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 2
RECORD_VALUES_MAX = 4_096
RECORD_BYTES_MAX = 1 << 30
"""Our own record; the bounds only keep its decoder in shape."""

_agreed_shape = encoding.row(
    encoding.uint(),
    encoding.optional(encoding.uint(VALIDATORS_MAX - 1)),
    encoding.blob(EXTRA_BYTES_MAX),
)
_lock_shape = encoding.row(encoding.uint(), encoding.blob(32))
_record_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.uint(),
    encoding.uint(),
    encoding.optional(certificate_shape),
    encoding.optional(timeout_certificate_shape),
    _lock_shape,
    encoding.array(encoding.blob(VALUE_BYTES_MAX), RECORD_VALUES_MAX),
    encoding.array(_agreed_shape, RECORD_VALUES_MAX),
)


class Promises(ABC):
    """The promises of one validator in one epoch."""

    CHAIN: ClassVar[int]
    """How many values of consecutive views, each certified, decide the first of them."""

    def __init__(self) -> None:
        self.view = 1
        """The current view."""
        self.last_voted = 0
        """The highest view voted in, or left by a timeout."""
        self.high_qc: Certificate | None = None
        """The highest qc that was seen."""
        self.high_tc: TimeoutCertificate | None = None
        """The last tc that led to a view."""
        self.lock: tuple[int, bytes] = (0, b"")
        """(view, digest) of the value that this validator is locked on, in protocols that lock on
        another value than that of the highest qc; the epoch's first root at first."""

    @abstractmethod
    def may_commit(self, *chain: Value) -> bool:
        """Whether CHAIN values, of which the last is certified, decide the first."""

    def is_unvoted(self, view: int) -> bool:
        """Whether this validator has neither voted in this view nor left it."""
        return view > self.last_voted

    def is_certified(self, proposal: Proposal, parent: Slot | None) -> bool:
        """Whether the qc certifies the parent, which is known; the first root needs no votes."""
        return parent == (qc_view(proposal.qc),)

    def follows(self, view: int, qc: Certificate | None, tc: TimeoutCertificate | None) -> bool:
        """Whether this qc is of the view before, or as high as a quorum knew that left it."""
        after_qc = view == qc_view(qc) + 1
        after_tc = tc is not None and view == tc.slot[0] + 1 and self.covers(qc, tc)
        return after_qc or after_tc

    def may_propose(self, view: int, qc: Certificate | None, tc: TimeoutCertificate | None) -> bool:
        """Whether the leader knows as high a qc as it must to be voted for."""
        return self.follows(view, qc, tc)

    def covers(self, qc: Certificate | None, tc: TimeoutCertificate) -> bool:
        """Whether the qc is as high as every one that the tc names."""
        return qc_view(qc) >= highest_known(tc)

    def may_timeout(self) -> bool:
        """Whether this view may be left: it is the last one voted in, and a certificate led here"""
        after_qc = self.view == qc_view(self.high_qc) + 1
        return self.view >= self.last_voted and (after_qc or self.entry_tc() is not None)

    def voted(self, view: int) -> None:
        """Vote in this view and none before it again."""
        self.last_voted = max(self.last_voted, view)

    def stop_voting(self, view: int) -> None:
        """Leave this view: vote no more in it."""
        self.last_voted = max(self.last_voted, view)

    def keep(self, qc: Certificate) -> bool:
        """Keep the highest qc; whether it changed."""
        is_higher = qc_view(qc) > qc_view(self.high_qc)
        if is_higher:
            self.high_qc = qc
        return is_higher

    def known_qc(self) -> Certificate | None:
        """The qc that a timeout names."""
        return self.high_qc

    def entry_tc(self) -> TimeoutCertificate | None:
        """The tc that led to this view, unless the highest qc did."""
        tc = self.high_tc
        if tc is None or tc.slot[0] + 1 != self.view or qc_view(self.high_qc) + 1 == self.view:
            return None
        return tc

    def proves(self, values: tuple[Value, ...], proof: DecisionProof, epoch: bytes) -> bool:
        """The commit rule for a peer's decision: a chain, and what certifies the end of it.

        The voters of the last value checked the certificates of those before it.
        """
        if not values or len(proof.certificates) != 1 or len(proof.values) != self.CHAIN - 1:
            return False
        qc, chain = proof.certificates[0], (*values, *proof.values)
        if any(len(each.slot) != 1 or each.epoch != epoch for each in chain):
            return False
        linked = all(
            upper.parent == lower.digest and upper.slot > lower.slot
            for lower, upper in pairwise(chain)
        )
        certified = (qc.phase, qc.slot, qc.value) == (VOTE, chain[-1].slot, chain[-1].digest)
        return linked and certified and self.may_commit(values[-1], *proof.values)

    # --- durability -------------------------------------------------------------------------------

    def record(self, values: tuple[Value, ...], agreed: Agreed) -> bytes:
        """The state, the undecided values that the next promise rests on, and what is agreed on."""
        return encoding.encode(
            (
                VERSION,
                self.view,
                self.last_voted,
                self.high_qc.row() if self.high_qc is not None else None,
                self.high_tc.row() if self.high_tc is not None else None,
                self.lock,
                tuple(value.raw for value in values[-RECORD_VALUES_MAX:]),
                agreed.rows()[-RECORD_VALUES_MAX:],
            )
        )

    def restore(self, record: bytes) -> tuple[tuple[Value, ...], tuple[Decided, ...]]:
        """Take over a record; the values in it, and what is agreed on.

        Raises DecodeFault for what is none.
        """
        row: Any = encoding.decode(
            record, _record_shape, size_max=RECORD_BYTES_MAX, what="record of promises"
        )
        _, self.view, self.last_voted, qc, tc, lock, values, agreed = row
        self.high_qc = Certificate.from_row(qc) if qc is not None else None
        self.high_tc = TimeoutCertificate.from_row(tc) if tc is not None else None
        self.lock = (lock[0], lock[1])
        return tuple(parse_value(raw) for raw in values), tuple(Decided(*each) for each in agreed)
