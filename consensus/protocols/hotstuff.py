"""HotStuff: a chain of three; a new leader needs to know the highest certificate, and no proof.

Source: Yin, Malkhi, Reiter, Golan Gueta, Abraham, "HotStuff: BFT Consensus in the Lens of
Blockchain", PODC 2019 (arXiv 1803.05069v6): Chained HotStuff (Algorithm 3) in the form of Algorithm
4, with a pacemaker for Algorithm 5.  relab/hotstuff's rules for a chain of three and Flow's notes
on its HotStuff served as second texts.  A value is the paper's node, its height is its view.

    b <- qc b' <- qc' b'' <- qc''     in views v, v + 1, v + 2: b and all its ancestors are decided

Upon entering view v as its leader: propose a value that extends the highest qc.         (onPropose)
Upon a valid proposal of the current view by its leader, unless this view was voted in or left: if
    the value extends the one we are locked on, or its qc is of a higher view than that, vote to the
    leader of view v + 1.                                                     (onReceiveProposal)
Upon a quorum of votes: form a qc.                                                (onReceiveVote)
Upon a qc for b'': keep the highest; lock on its parent b'; if b'' and b' are children of b' and b
    in consecutive views, decide b and its ancestors.                                    (update)
Upon the view's timer: broadcast a new-view (here: a timeout) with the highest qc and the
    certificate that led here; do so again while we wait.                        (onNextSyncView)
Upon a quorum of new-views: form a tc, and enter view v + 1 knowing the highest qc that they name.
                                                                               (onReceiveNewView)
Upon a qc or tc of view v - 1 or higher: enter the view after it.

Three phases: qc says that nobody can certify another value of the view; qc' that a quorum knows so,
and any leader will hear of it from a quorum; qc'' that a quorum is locked.  That middle phase is
what spares the leader a proof: Jolteon decides one phase earlier, and its votes need the tc.

Commit rule: `may_commit`; the proof is qc'', b' and b'', since the voters checked qc' and qc.
Durable: at every vote and timeout, together: the view, the highest view voted in or left, the lock,
    the highest qc and tc, and the undecided values below the vote, which peers may have lost too.
Liveness: four views in a row whose leaders are live, three to propose and the fourth to collect the
    last votes.  Which leader policy grants that is its matter: round robin of four validators with
    one of them crashed never does (docs/leaders.md), so the default is `reputation`.
Deviations:
* Heights are views, as in Algorithm 3; there are no blank nodes: consecutive views say the same.
* As in Algorithm 4 the lock moves also over a gap of views, and upon any qc, not only one that a
  proposal carries: sooner than in the paper, never later.
* New-views go to everyone, and a quorum of them is a certificate that can be passed on; the paper
  sends them to the next leader and leaves the synchronisation of views open.  So a view change
  costs n (n - 1) messages where the paper's bare count is n - 1; the good case stays linear.
* The leader proposes only with as high a qc as the new-views of the quorum name; in the paper it
  has collected them itself.  Voters do not ask for that.
* Of an equivocator's two values the one found valid first gets the vote, not the one seen first.
* Empty values are proposed only while a value with payload awaits its decision.  Then the leader
  broadcasts its qc by itself, every timer stops, and the view waits for `on_pending`.
"""

from __future__ import annotations

from typing import ClassVar

from consensus.leaders import Policy, Reputation
from consensus.pacemaker import Paced
from consensus.pacemaker_messages import Proposal, Vote
from consensus.protocols.hotstuff_safety import Safety
from ledger.certificate import Certificate


class HotStuff(Paced):
    """One validator, or an observer, of one epoch."""

    name = "hotstuff"
    VIEWS_A_DECISION = 3
    SAFETY: ClassVar[type[Safety]] = Safety
    LEADERS: ClassVar[type[Policy]] = Reputation
    safety: Safety

    def may_vote(self, proposal: Proposal) -> bool:
        """onReceiveProposal (A4 L16 to L19), with the lock that the proposal's own qc gives."""
        if proposal.qc is not None:
            self.update(proposal.qc)
        parent = self.tree.slot_of(proposal.value.parent)
        path = self.tree.path(proposal.value.digest) or ()
        _, digest = self.safety.lock
        # What is valid here extends the root, and so a lock that the root decided.
        extends_lock = digest == self.root.value or any(one.digest == digest for one in path)
        return self.safety.may_vote(proposal, parent, extends_lock=extends_lock)

    def update(self, qc: Certificate) -> None:
        """A4 L3 to L8: keep the highest qc, lock on the parent of what it certifies."""
        super().update(qc)
        certified = self.tree.get(qc.value)
        parent = self.tree.slot_of(certified.parent) if certified is not None else None
        if certified is None or parent is None or certified.slot != qc.slot:
            return
        if self.safety.lock_on(parent, certified.parent):
            self.note("locked", view=parent[0], value=certified.parent)

    def say_vote_again(self, vote: Vote) -> None:
        """onNextSyncView: votes are for the next leader alone, as in the paper."""
        self.say_vote(vote)
