"""All that the safety of Jolteon rests on: what one validator remembers, and when it may speak.

One page to be read against the paper (Gelashvili et al., arXiv 2106.10362) and against DiemBFT's
safety rules for a chain of two.  `Safety` sends nothing and knows no time; its whole state is one
record, which is durable before any vote or timeout leaves.
"""

from __future__ import annotations

from itertools import pairwise

from consensus.interface import DecisionProof
from consensus.protocols.jolteon_messages import (
    VOTE,
    Proposal,
    highest_known,
    qc_view,
)
from ledger import encoding
from ledger.certificate import (
    Certificate,
    TimeoutCertificate,
    certificate_shape,
    timeout_certificate_shape,
)
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 1
RECORD_VALUES_MAX = 4_096
RECORD_BYTES_MAX = 1 << 30
"""Our own record; the bounds only keep its decoder in shape."""

_record_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.uint(),
    encoding.uint(),
    encoding.optional(certificate_shape),
    encoding.optional(timeout_certificate_shape),
    encoding.array(encoding.blob(VALUE_BYTES_MAX), RECORD_VALUES_MAX),
)


class Safety:
    """The promises of one validator in one epoch."""

    def __init__(self) -> None:
        self.view = 1
        """The paper's r_cur."""
        self.last_voted = 0
        """The paper's r_vote: the highest view voted in, or left by a timeout."""
        self.high_qc: Certificate | None = None
        """The paper's qc_high."""
        self.high_tc: TimeoutCertificate | None = None
        """The last tc that led to a view."""

    def may_vote(self, proposal: Proposal, parent: Slot | None) -> bool:
        """Vote: r = r_cur, r > r_vote, and the proposal safely extends its parent, at that slot."""
        current = proposal.view == self.view
        return (
            current
            and self.is_unvoted(proposal.view)
            and self.is_certified(proposal, parent)
            and self.safe_to_extend(proposal.view, proposal.qc, proposal.tc)
        )

    def is_unvoted(self, view: int) -> bool:
        """Vote: r > r_vote."""
        return view > self.last_voted

    def is_certified(self, proposal: Proposal, parent: Slot | None) -> bool:
        """Whether the qc certifies the parent, which is known; the first root needs no votes."""
        return parent == (qc_view(proposal.qc),)

    def safe_to_extend(
        self, view: int, qc: Certificate | None, tc: TimeoutCertificate | None
    ) -> bool:
        """Vote: (1) r = qc.r + 1, or (2) r = tc.r + 1 and qc.r >= the highest qc in the tc."""
        after_qc = view == qc_view(qc) + 1
        after_tc = tc is not None and view == tc.slot[0] + 1 and self.covers(qc, tc)
        return after_qc or after_tc

    def covers(self, qc: Certificate | None, tc: TimeoutCertificate) -> bool:
        """Vote: qc.r >= max {qc_high.r | qc_high in tc}."""
        return qc_view(qc) >= highest_known(tc)

    def may_commit(self, b0: Value, b1: Value) -> bool:
        """Commit: two adjacent values of consecutive views, of which b1 is certified."""
        return b1.parent == b0.digest and b1.slot[0] == b0.slot[0] + 1

    def may_timeout(self) -> bool:
        """Timeout: r = r_cur >= r_vote, and r is the view after a qc or tc."""
        after_qc = self.view == qc_view(self.high_qc) + 1
        return self.view >= self.last_voted and (after_qc or self.entry_tc() is not None)

    def voted(self, view: int) -> None:
        """Vote: r_vote <- r."""
        self.last_voted = max(self.last_voted, view)

    def stop_voting(self, view: int) -> None:
        """Timeout: vote no more in r_cur."""
        self.last_voted = max(self.last_voted, view)

    def lock(self, qc: Certificate) -> bool:
        """Lock: qc_high <- max(qc_high, qc); whether it changed."""
        is_higher = qc_view(qc) > qc_view(self.high_qc)
        if is_higher:
            self.high_qc = qc
        return is_higher

    def known_qc(self) -> Certificate | None:
        """Timeout: the qc that a timeout names, qc_high."""
        return self.high_qc

    def entry_tc(self) -> TimeoutCertificate | None:
        """The tc that led to this view, unless the highest qc did."""
        tc = self.high_tc
        if tc is None or tc.slot[0] + 1 != self.view or qc_view(self.high_qc) + 1 == self.view:
            return None
        return tc

    def proves(self, values: tuple[Value, ...], proof: DecisionProof, epoch: bytes) -> bool:
        """The commit rule for a peer's decision: a chain, and the certified child of its last."""
        if not (values and len(proof.certificates) == len(proof.values) == 1):
            return False
        qc, b1 = proof.certificates[0], proof.values[0]
        chain = (*values, b1)
        if any(len(each.slot) != 1 or each.epoch != epoch for each in chain):
            return False
        linked = all(
            upper.parent == lower.digest and upper.slot > lower.slot
            for lower, upper in pairwise(chain)
        )
        certified = (qc.phase, qc.slot, qc.value) == (VOTE, b1.slot, b1.digest)
        return linked and certified and self.may_commit(values[-1], b1)

    # --- durability -------------------------------------------------------------------------------

    def record(self, values: tuple[Value, ...]) -> bytes:
        """The state, and the undecided values that the next promise rests on."""
        return encoding.encode(
            (
                VERSION,
                self.view,
                self.last_voted,
                self.high_qc.row() if self.high_qc is not None else None,
                self.high_tc.row() if self.high_tc is not None else None,
                tuple(value.raw for value in values[-RECORD_VALUES_MAX:]),
            )
        )

    def restore(self, record: bytes) -> tuple[Value, ...]:
        """Take over a record; the values in it.  Raises DecodeFault for what is none."""
        _, self.view, self.last_voted, qc, tc, values = encoding.decode(
            record, _record_shape, size_max=RECORD_BYTES_MAX, what="jolteon record"
        )
        self.high_qc = Certificate.from_row(qc) if qc is not None else None
        self.high_tc = TimeoutCertificate.from_row(tc) if tc is not None else None
        return tuple(parse_value(raw) for raw in values)
