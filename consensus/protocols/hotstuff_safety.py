"""The rules that the safety of HotStuff rests on: when to vote, what to lock on, what is decided.

One page to be read against Algorithms 1, 4 and 5 of the paper (Yin et al., arXiv 1803.05069v6).

    b <- qc b' <- qc' b'' <- qc''        seen qc'': locked on b'; where the views of b, b' and b''
                                         are consecutive, b and all its ancestors are decided
"""

from __future__ import annotations

from consensus.pacemaker_messages import Proposal, qc_view
from consensus.promises import Promises
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.value import Value


class Safety(Promises):
    """The promises of one validator in one epoch.

    The paper's vheight is `last_voted`, its qc_high (genericQC) `high_qc`, its b_lock `lock`.
    """

    CHAIN = 3

    def may_vote(self, proposal: Proposal, parent: Slot | None, *, extends_lock: bool) -> bool:
        """A4 L17: of the current view, which is unvoted, a child of what its qc certifies, safe."""
        return (
            proposal.view == self.view
            and self.is_unvoted(proposal.view)
            and self.is_certified(proposal, parent)
            and self.safe_node(proposal.qc, extends_lock=extends_lock)
        )

    def safe_node(self, qc: Certificate | None, *, extends_lock: bool) -> bool:
        """safeNode (A1, A4 L17): it extends the lock (safety), or its qc is higher (liveness)."""
        return extends_lock or qc_view(qc) > self.lock[0]

    def lock_on(self, value: Slot, digest: bytes) -> bool:
        """A4 L7: b_lock <- b', the parent of a certified value; whether the lock moved."""
        is_higher = value[0] > self.lock[0]
        if is_higher:
            self.lock = (value[0], digest)
        return is_higher

    def may_commit(self, *chain: Value) -> bool:
        """A4 L9: b'' is certified, b''.parent = b' and b'.parent = b, without a gap of views."""
        b, b1, b2 = chain
        linked = b2.parent == b1.digest and b1.parent == b.digest
        return linked and b2.slot[0] == b1.slot[0] + 1 == b.slot[0] + 2
