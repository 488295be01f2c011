"""Jolteon: HotStuff with a chain of two; a view change shows the best certificates of a quorum.

Source: Gelashvili, Kokoris-Kogias, Sonnino, Spiegelman, Xiang, "Jolteon and Ditto", Financial
Cryptography 2022 (arXiv 2106.10362), steady state and view change of Jolteon; DiemBFT v4 is the
same protocol, and its safety rules served as the second text.  The paper's round is our view.

    b0 <- qc0 b1 <- qc1        with b1.view == b0.view + 1: b0 and all its ancestors are decided

Upon entering view v as its leader: propose a value that extends the highest qc, with the tc of
    view v - 1 where that qc is older.                                                    (Propose)
Upon the first valid proposal of the current view by its leader, unless this view was voted in or
    left: if its qc is of view v - 1, or its tc is and its qc is at least as high as every qc that
    the tc names, vote to the leader of view v + 1.                                          (Vote)
Upon any valid qc: keep the highest.                                                         (Lock)
Upon a qc for b1 whose parent b0 is of the view before: decide b0 and its ancestors.       (Commit)
Upon the view's timer: vote no more in this view; broadcast a timeout with the highest qc and the
    certificate that led here, and the vote, if any; do so again while we wait. (Timer and Timeout)
Upon f + 1 timeouts of the current view: join them.
Upon a quorum of timeouts: form a tc, broadcast it with the highest qc.
Upon a qc or tc of view v - 1 or higher: enter the view after it.                   (Advance Round)
Upon a timeout of an earlier view: answer with the certificates that ended it.

Commit rule: `may_commit`; the proof is qc1 and b1, since b1's voters checked qc0.
Durable: at every vote and timeout, together: the view, the highest view voted in or left, the
    highest qc and tc, and the undecided values below the vote, which peers may have lost too.  A
    view entered or a certificate seen without a promise may be forgotten: it promised nothing.
Liveness: among 3f + 1 leaders in turn some three in a row are honest, which is what one decision
    takes.  Timers double with every view since the last decision, the same at all nodes.
What it shares with other chains of certified values, which is all but the rules of safety, is in
consensus/pacemaker.py.
Deviations:
* A tc names qcs by (view, digest) and carries none.  One that names a higher qc than we know counts
  only once that qc is here, as in DiemBFT, whose tc contains it; otherwise a liar's made-up entry
  would bar every honest leader from proposing.
* The timeout of f + 1 others is joined, and timeouts carry the certificate of entry (both DiemBFT).
* Votes go to the next leader, as in the paper; but once the timer has fired they go to everyone, so
  that a dead next leader costs time and no certificate.
* Of an equivocator's two values the one found valid first gets the vote, not the one seen first.
* Empty values are proposed only while a value with payload awaits its decision.  Then the leader
  broadcasts its qc by itself, every timer stops, and the view waits for `on_pending`.
"""

from __future__ import annotations

from typing import ClassVar

from consensus.leaders import Policy, RoundRobin
from consensus.pacemaker import Paced
from consensus.pacemaker_messages import Proposal, Vote
from consensus.protocols.jolteon_safety import Safety


class Jolteon(Paced):
    """One validator, or an observer, of one epoch."""

    name = "jolteon"
    VIEWS_A_DECISION = 2
    SAFETY: ClassVar[type[Safety]] = Safety
    LEADERS: ClassVar[type[Policy]] = RoundRobin
    safety: Safety

    def may_vote(self, proposal: Proposal) -> bool:
        """Vote."""
        return self.safety.may_vote(proposal, self.tree.slot_of(proposal.value.parent))

    def say_vote_again(self, vote: Vote) -> None:
        """Timer: the next leader may be dead."""
        self.broadcast(vote)
