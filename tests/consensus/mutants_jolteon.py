"""Jolteon with one rule broken, each in one place: what the tests of safety and liveness must kill.

The ids are those of the literature on such bugs as this project numbers them: Z for safety, L for
liveness.
"""

from __future__ import annotations

from collections import defaultdict

from consensus.interface import (
    AnyCertificate,
    Context,
    DecisionProof,
    Message,
    Recovery,
    Signed,
)
from consensus.leaders import Decided
from consensus.pacemaker_messages import TIMEOUT, VOTE, Proposal, Timeout, qc_view
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.jolteon_safety import Safety
from consensus.tally import Tally
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value


class SmallQuorum(Jolteon):
    """Z1: 2f signatures make a certificate, not 2f + 1."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class CountsMessages(Jolteon):
    """Z2: votes are counted, not voters."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tally = _MessageTally()


class _MessageTally(Tally):
    """Counts a second copy as a second vote."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: defaultdict[tuple[str, Slot, bytes], list[tuple[int, bytes]]]
        self._heard = defaultdict(list)

    def add(self, signed: Signed) -> Signed | None:
        self._heard[signed.message.statement()].append((signed.sender, signed.signature))
        return super().add(signed)

    def certificate(self, phase: str, slot: Slot, value: bytes, quorum: int) -> Certificate | None:
        heard = self._heard[phase, slot, value]
        if len(heard) < quorum:
            return None
        return Certificate(phase, slot, value, tuple(sorted(heard)[:quorum]))


class _AnyExtension(Safety):
    def safe_to_extend(
        self, view: int, qc: Certificate | None, tc: TimeoutCertificate | None
    ) -> bool:
        return True


class VotesForStale(Jolteon):
    """Z8: votes whatever qc and tc a proposal has."""

    SAFETY = _AnyExtension


class _AnyTc(Safety):
    def covers(self, qc: Certificate | None, tc: TimeoutCertificate) -> bool:
        return True


class IgnoresTcEntries(Jolteon):
    """Z8: a tc allows extending any qc, however high the ones it names."""

    SAFETY = _AnyTc


class _Revotes(Safety):
    def __init__(self) -> None:
        super().__init__()
        self._voted_for: dict[bytes, None] = {}

    def may_vote(self, proposal: Proposal, parent: Slot | None) -> bool:
        if not super().may_vote(proposal, parent) or proposal.value.digest in self._voted_for:
            return False
        self._voted_for[proposal.value.digest] = None
        return True

    def is_unvoted(self, view: int) -> bool:
        return True


class VotesTwice(Jolteon):
    """Z9: no r > r_vote."""

    SAFETY = _Revotes


class _AnyParent(Safety):
    def may_commit(self, *chain: Value) -> bool:
        b0, b1 = chain
        return b1.parent == b0.digest


class CommitsOverGaps(Jolteon):
    """Z10: the two views need not be consecutive."""

    SAFETY = _AnyParent


class _Lingers(Safety):
    def stop_voting(self, view: int) -> None:
        pass


class VotesAfterTimeout(Jolteon):
    """Z12: goes on voting in a view after its timeout."""

    SAFETY = _Lingers


class _ForgetsVotes(Safety):
    def restore(self, record: bytes) -> tuple[tuple[Value, ...], tuple[Decided, ...]]:
        found = super().restore(record)
        self.last_voted = 0
        self.view = qc_view(self.high_qc) + 1
        return found


class ForgetsVotes(Jolteon):
    """Z13: a restart loses r_vote, and with it every view since the highest qc."""

    SAFETY = _ForgetsVotes

    def _recover(self, recovery: Recovery) -> None:
        super()._recover(Recovery(recovery.root, recovery.record, ()))


class _ForgetsLock(Safety):
    def restore(self, record: bytes) -> tuple[tuple[Value, ...], tuple[Decided, ...]]:
        found = super().restore(record)
        self.high_qc = None
        return found


class ForgetsLock(Jolteon):
    """A restart loses qc_high."""

    SAFETY = _ForgetsLock


class _HidesLock(Safety):
    def known_qc(self) -> Certificate | None:
        return None


class HidesLock(Jolteon):
    """Timeouts name no qc: the tc proves nothing."""

    SAFETY = _HidesLock


class CommitsNewestFirst(Jolteon):
    """Values that are decided together come in the wrong order."""

    def _decide(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        super()._decide((*reversed(values[:-1]), values[-1]), proof)


class KeepsCertificates(Jolteon):
    """L5: what led to a view is shown to nobody but the next leader's voters."""

    def broadcast(self, what: Message | AnyCertificate) -> None:
        if isinstance(what, Timeout):
            what = Timeout(what.view, what.qc, None)
        super().broadcast(what)

    def _best(self) -> list[AnyCertificate]:
        return []


class NeverWaitsLonger(Jolteon):
    """L8: views never get longer."""

    def timeout_ms(self) -> int:
        return self.parameters["timeout_ms"]


class NeverFetches(Jolteon):
    """L11: what is missing is not asked for."""

    def fetch_missing(self) -> None:
        pass


class NeverSleeps(Jolteon):
    """Empty values are proposed for ever."""

    def has_work(self) -> bool:
        return True


class _ForgetsTc(Safety):
    def restore(self, record: bytes) -> tuple[tuple[Value, ...], tuple[Decided, ...]]:
        found = super().restore(record)
        self.high_tc = None
        return found


class ForgetsTc(Jolteon):
    """L6: a restart knows the highest qc and no more why it is in its view."""

    SAFETY = _ForgetsTc


class NeverAnswers(Jolteon):
    """A timeout of an earlier view is no reason to show what ended that view."""

    def _on_timeout(self, signed: Signed, timeout: Timeout) -> None:
        if timeout.view >= self.view:
            super()._on_timeout(signed, timeout)


class NeverJoins(Jolteon):
    """f + 1 timeouts of others are no reason to leave a view."""

    def may_join(self, view: int) -> bool:
        return False


class VotesTravelOnce(Jolteon):
    """After its timer a validator says its timeout again, and its vote no more."""

    def _time_out(self) -> None:
        vote = self._said.pop((VOTE, (self.view,)), None)
        super()._time_out()
        if vote is not None:
            self._said[VOTE, (self.view,)] = vote


class TimesOutOnce(Jolteon):
    """A timeout is said once."""

    def _time_out(self) -> None:
        if self.said(TIMEOUT, (self.view,)) is None:
            super()._time_out()


class NeverValidates(Jolteon):
    """Takes every proposed value for valid."""

    def on_verdict(self, value: Value, valid: bool) -> None:
        super().on_verdict(value, True)


class BelievesDecisions(Jolteon):
    """Takes any certificate for the reason of a peer's decision."""

    SAFETY = type("_AnyProof", (Safety,), {"proves": lambda *_: True})


class _SilentTally(Tally):
    """Counts nothing more of a signer that contradicted itself, but names it."""

    def add(self, signed: Signed) -> Signed | None:
        phase, slot, value = signed.message.statement()
        ballot = self._ballots.get((phase, slot))
        first = ballot.first.get(signed.sender) if ballot else None
        if first is not None and first.message.statement()[2] != value:
            return first
        return super().add(signed)


class WaitsBelowRoot(Jolteon):
    """Goes on waiting for what a liar proposed below a value that is decided meanwhile."""

    def _root_moved(self) -> None:
        self.tree.move(self.root)
        self.pending = False


class SilencesLiars(Jolteon):
    """Drops the second thing that a validator says."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tally = _SilentTally()


class _SuspiciousTally(Tally):
    """Hands back a pair also where both halves say the same."""

    def add(self, signed: Signed) -> Signed | None:
        phase, slot, _ = signed.message.statement()
        ballot = self._ballots.get((phase, slot))
        first = ballot.first.get(signed.sender) if ballot else None
        return super().add(signed) or first


class AccusesAnyRepetition(Jolteon):
    """E1: a statement that was heard before is evidence against its signer."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tally = _SuspiciousTally()
