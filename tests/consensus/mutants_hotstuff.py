"""HotStuff with one rule broken, each in one place: what the tests of safety must kill.

All have a leader policy that writes nothing into values, since liars make some by hand, and with
which three of four go on.
"""

from __future__ import annotations

from consensus.interface import Context, Recovery
from consensus.leaders import Decided, Policy, Sticky
from consensus.pacemaker_messages import Proposal
from consensus.protocols.hotstuff import HotStuff
from consensus.protocols.hotstuff_safety import Safety
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value
from tests.consensus.mutants_jolteon import _MessageTally


class Plain(HotStuff):
    """HotStuff itself, with a sticky leader."""

    LEADERS: type[Policy] = Sticky


class SmallQuorum(Plain):
    """Z1: 2f signatures make a certificate, not 2f + 1."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class CountsMessages(Plain):
    """Z2: votes are counted, not voters."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tally = _MessageTally()


class _AnyNode(Safety):
    def safe_node(self, qc: Certificate | None, *, extends_lock: bool) -> bool:
        return True


class IgnoresLock(Plain):
    """safeNode: votes for whatever extends something certified."""

    SAFETY = _AnyNode


class _NeverLocks(Safety):
    def lock_on(self, value: Slot, digest: bytes) -> bool:
        return False


class NeverLocks(Plain):
    """update: b_lock stays where it was."""

    SAFETY = _NeverLocks


class _OldQc(Safety):
    def safe_node(self, qc: Certificate | None, *, extends_lock: bool) -> bool:
        return super().safe_node(qc, extends_lock=extends_lock) or qc is not None


class UnlocksByOldQc(Plain):
    """safeNode: any qc opens the lock, also one that is not higher."""

    SAFETY = _OldQc


class _NeverUnlocks(Safety):
    def safe_node(self, qc: Certificate | None, *, extends_lock: bool) -> bool:
        return extends_lock


class NeverUnlocks(Plain):
    """safeNode without its liveness rule: a lock that nobody else has is for ever."""

    SAFETY = _NeverUnlocks


class _TwoChain(Safety):
    CHAIN = 2

    def may_commit(self, *chain: Value) -> bool:
        b0, b1 = chain
        return b1.parent == b0.digest and b1.slot[0] == b0.slot[0] + 1


class CommitsTwoChains(Plain):
    """update: two values of consecutive views decide the first, as in Jolteon."""

    SAFETY = _TwoChain


class _AnyGap(Safety):
    def may_commit(self, *chain: Value) -> bool:
        return True


class CommitsOverGaps(Plain):
    """update: the three views need not be consecutive."""

    SAFETY = _AnyGap


class _Revotes(Safety):
    def may_vote(self, proposal: Proposal, parent: Slot | None, *, extends_lock: bool) -> bool:
        self.last_voted = 0
        may = super().may_vote(proposal, parent, extends_lock=extends_lock)
        return may and self.is_new(proposal.value.digest)

    def is_new(self, digest: bytes) -> bool:
        voted = self.__dict__.setdefault("voted_for", {})
        return voted.setdefault(digest, len(voted)) == len(voted) - 1


class VotesTwice(Plain):
    """onReceiveProposal: no b_new.height > vheight."""

    SAFETY = _Revotes


class _ForgetsLock(Safety):
    def restore(self, record: bytes) -> tuple[tuple[Value, ...], tuple[Decided, ...]]:
        found = super().restore(record)
        self.lock = (0, b"")
        return found


class ForgetsLock(Plain):
    """A restart loses b_lock."""

    SAFETY = _ForgetsLock


class _ForgetsVotes(Safety):
    def restore(self, record: bytes) -> tuple[tuple[Value, ...], tuple[Decided, ...]]:
        found = super().restore(record)
        self.last_voted = 0
        return found


class ForgetsVotes(Plain):
    """A restart loses vheight."""

    SAFETY = _ForgetsVotes

    def _recover(self, recovery: Recovery) -> None:
        super()._recover(Recovery(recovery.root, recovery.record, ()))


class WaitsBelowRoot(Plain):
    """Goes on waiting for what a liar proposed below a value that is decided meanwhile."""

    def _root_moved(self) -> None:
        self.tree.move(self.root)
        self.pending = False


class BelievesDecisions(Plain):
    """Takes any certificate for the reason of a peer's decision."""

    SAFETY = type("_AnyProof", (Safety,), {"proves": lambda *_: True})


class NeverValidates(Plain):
    """Takes every proposed value for valid."""

    def on_verdict(self, value: Value, valid: bool) -> None:
        super().on_verdict(value, True)
