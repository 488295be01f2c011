"""The rules that the safety of Jolteon rests on: when to vote, and when a value is decided.

One page to be read against the paper (Gelashvili et al., arXiv 2106.10362) and against DiemBFT's
safety rules for a chain of two.
"""

from __future__ import annotations

from consensus.pacemaker_messages import Proposal
from consensus.promises import Promises
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.value import Value


class Safety(Promises):
    """The promises of one validator in one epoch.

    The paper's r_cur is `view`, its r_vote `last_voted`, its qc_high `high_qc`: the lock.
    """

    CHAIN = 2

    def may_vote(self, proposal: Proposal, parent: Slot | None) -> bool:
        """Vote: r = r_cur, r > r_vote, and the proposal safely extends its parent, at that slot."""
        current = proposal.view == self.view
        return (
            current
            and self.is_unvoted(proposal.view)
            and self.is_certified(proposal, parent)
            and self.safe_to_extend(proposal.view, proposal.qc, proposal.tc)
        )

    def safe_to_extend(
        self, view: int, qc: Certificate | None, tc: TimeoutCertificate | None
    ) -> bool:
        """Vote: (1) r = qc.r + 1, or (2) r = tc.r + 1 and qc.r >= the highest qc in the tc."""
        return self.follows(view, qc, tc)

    def may_propose(self, view: int, qc: Certificate | None, tc: TimeoutCertificate | None) -> bool:
        """Propose: what may be voted for."""
        return self.safe_to_extend(view, qc, tc)

    def may_commit(self, *chain: Value) -> bool:
        """Commit: two adjacent values of consecutive views, of which b1 is certified."""
        b0, b1 = chain
        return b1.parent == b0.digest and b1.slot[0] == b0.slot[0] + 1
