"""How views begin and end: timers, timeouts, their certificates, and what a restart brings back.

Upon the view's timer: vote no more in this view; broadcast a timeout with the highest qc and the
    certificate that led here; do so again, with the vote, while we wait.
Upon f + 1 timeouts of the current view: join them.
Upon a quorum of timeouts: form a tc, broadcast it with the highest qc.
Upon a qc or tc of the current view or a later one: enter the view after it.
Upon a timeout of an earlier view: answer with the certificates that ended it.

A tc names qcs by (view, digest) and carries none.  One that names a higher qc than we know counts
only once that qc is here: a leader that enters by a tc knows as high a qc as a quorum did, whoever
formed the tc.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from consensus.chained import Chained
from consensus.interface import AnyCertificate, Context, Recovery, Signed
from consensus.leaders import Leadership, Policy
from consensus.pacemaker_messages import TIMEOUT, VOTE, Timeout, Vote, qc_view
from consensus.promises import Promises
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value

VIEWS_KEPT = 8
"""How many views back votes are counted and uncertified values kept: a late qc still helps."""


class Views(Chained):
    """Everything of a paced protocol but proposals and votes."""

    SAFETY: ClassVar[type[Promises]]
    """The protocol's rules of safety."""
    LEADERS: ClassVar[type[Policy]]

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.safety = self.SAFETY()
        policy = self.LEADERS(context.epoch, context.validators, self.turn())
        self.leadership = Leadership(policy, self.root)
        self._unbacked: TimeoutCertificate | None = None
        """A tc that names a higher qc than we know."""
        self._recover(recovery)

    @classmethod
    def turn(cls) -> int:
        return cls.VIEWS_A_DECISION + 1

    @classmethod
    def failing_views(cls, validators: ValidatorSet) -> int:
        return cls.LEADERS.failing_views(validators, cls.turn())

    @classmethod
    def views_a_doubling(cls) -> int:
        return cls.LEADERS.views_a_doubling(cls.turn())

    @property
    def view(self) -> int:
        """The view that this validator is in."""
        return self.safety.view

    def leader(self, slot: Slot) -> int | None:
        return self.leadership.leader(slot[0])

    def _leader(self, view: int) -> int | None:
        return self.leader((view,))

    def on_pending(self, oldest_age: int) -> None:
        super().on_pending(oldest_age)
        is_left = self.me is None or self.said(TIMEOUT, (self.view,)) is not None
        if not is_left and self.leadership.is_overdue(oldest_age, self.root.height):
            self._time_out()

    @abstractmethod
    def _process_qc(self, qc: Certificate | None) -> None:
        """Take note of a qc: the lock, the view it ends, what it decides."""

    @abstractmethod
    def say_vote_again(self, vote: Vote) -> None:
        """Say a vote once more, since its view takes too long."""

    def _time_out(self) -> None:
        """Leave this view, or say again that we left it."""
        slot, safety = (self.view,), self.safety
        timeout = self.said(TIMEOUT, slot)
        if timeout is None and not safety.may_timeout():
            return
        if timeout is None:
            timeout = Timeout(self.view, safety.known_qc(), safety.entry_tc())
            safety.stop_voting(self.view)
            self._persist()
            self.note("timed-out", view=self.view, high=qc_view(timeout.qc))
        elif safety.high_qc is not None:
            self.broadcast(safety.high_qc)
        self.broadcast(timeout)
        vote = self.said(VOTE, slot)
        if isinstance(vote, Vote):
            self.say_vote_again(vote)

    def _on_timeout(self, signed: Signed, timeout: Timeout) -> None:
        self._process_qc(timeout.qc)
        if timeout.tc is not None:
            self._process_tc(timeout.tc)
        if timeout.view < self.view:
            if self.me not in (None, signed.sender):
                for certificate in self._best():
                    self.send(signed.sender, certificate)
            return
        if timeout.view > self.view + self.context.slot_window:
            return
        self.count(signed)
        slot = (timeout.view,)
        quorum = self.certificate_quorum(TIMEOUT, self.validators)
        tc = self.tally.timeout_certificate(TIMEOUT, slot, quorum)
        if tc is not None:
            self._process_tc(tc)
            for certificate in self._best() if self.me is not None else ():
                self.broadcast(certificate)
        elif self.may_join(timeout.view):
            self._time_out()

    def may_join(self, view: int) -> bool:
        """Whether an honest validator has left this view, which is ours, and we have not."""
        told = len(self.tally.voters(TIMEOUT, (view,))) > self.validators.faults
        left = self.me is None or self.said(TIMEOUT, (view,)) is not None
        return told and view == self.view and not left

    def _process_tc(self, tc: TimeoutCertificate) -> None:
        if tc.slot[0] < self.view:
            return
        if self.safety.covers(self.safety.high_qc, tc):
            self.safety.high_tc = tc
            self._enter(tc.slot[0] + 1)
        else:
            self._unbacked = tc

    def _enter(self, view: int) -> None:
        assert view > self.view
        self.safety.view = view
        if self._unbacked is not None and self._unbacked.slot[0] < view:
            self._unbacked = None
        floor = (max(view - VIEWS_KEPT, 0),)
        self.tally.forget_below(floor)
        self.tree.prune(floor, self.tips())
        self.leadership.agreed.forget_below(floor[0])
        self.leadership.note_leader(self._leader(view), self.root.height)
        self.note("entered", view=view)

    def _best(self) -> list[AnyCertificate]:
        """What leads another node to this view, the qc first: the tc may need it."""
        return [each for each in (self.safety.high_qc, self.safety.entry_tc()) if each is not None]

    def _persist(self) -> None:
        """Make the promises durable, with what they rest on: peers may lose it too."""
        votes = (self.said(VOTE, (view,)) for view in range(self.view - VIEWS_KEPT, self.view))
        voted = [vote.value for vote in votes if isinstance(vote, Vote)]
        tips = [*self.tips(), *voted]
        kept = {value.digest: value for tip in tips for value in self.tree.known(tip)}
        self.persist(self.safety.record(tuple(kept.values()), self.leadership.agreed))

    def _recover(self, recovery: Recovery) -> None:
        """Go on from the last promise; all that was said counts."""
        values: tuple[Value, ...] = ()
        if recovery.record is not None:
            values, decided = self.safety.restore(recovery.record)
            self.leadership.recall(decided)
        for signed in recovery.sent:
            values += signed.message.values()
            phase, slot, _ = signed.message.statement()
            if phase in (VOTE, TIMEOUT):
                self.safety.voted(slot[0])
        for value in values:
            self.tree.add(value)
        self.safety.view = max(self.safety.view, self.root.slot[0] + 1)
