"""PBFT's change of views: sections 4.4 and 4.5.2.  The whole protocol stands in `pbft.py`."""

from __future__ import annotations

from consensus.interface import Signed
from consensus.protocols.pbft_log import make_certificate
from consensus.protocols.pbft_messages import (
    COMMIT,
    NEW_VIEW,
    PREPARE,
    VIEW_CHANGE,
    NewView,
    ViewChange,
)
from consensus.protocols.pbft_state import State
from ledger.statement import Slot


class Views(State):
    """How a validator leaves a view and enters another, and when its timers run."""

    def _hear_change(self, signed: Signed, change: ViewChange) -> None:
        earlier = self.changes.add(signed)
        if earlier is None:
            return
        if earlier.message.statement() != change.statement():
            self.accuse(earlier, signed)
        elif self.me not in (None, signed.sender):
            self._help(signed.sender, change)

    def _help(self, sender: int, change: ViewChange) -> None:
        """Who asks again for a view lacks decisions, or what opened a later one."""
        for sequence, proof in self.decided.items():
            if sequence > change.base and self.may_answer(sender, (sequence,)):
                self.send(sender, proof)
        opened = self.new_view if change.view <= self.view else None
        if opened is not None and self.may_answer(sender, (0, self.view)):
            self.forward(sender, opened)

    def _hear_new_view(self, signed: Signed, new_view: NewView) -> None:
        # 4.4
        is_first = self.offered is None or self.offered.message.statement()[1] < (new_view.view,)
        from_primary = signed.sender == self.primary(new_view.view)
        if from_primary and is_first and self.is_wanted(new_view) and self.is_proven(new_view):
            self.offered = signed
            self.changes.learn_certificate(new_view.asked)

    def _ask(self, view: int) -> None:
        """4.4: leave the view, and say what was prepared in it and before."""
        self.asked = view
        self._requested = None
        self._stop("view")
        self._stop("retry")
        self.note("left", view=self.view, asked=view)
        self.say(ViewChange(view, self.last, self.claims()))

    def _rule_join(self) -> None:
        # 4.5.2
        view = self.view_to_join()
        if view > self.asked:
            self._ask(view)

    def _rule_open_view(self) -> None:
        # 4.4
        if not self.is_changing or self.primary(self.asked) != self.me:
            return
        if self.said(NEW_VIEW, (self.asked,)) is not None:
            return
        quorum = self.certificate_quorum(VIEW_CHANGE, self.validators)
        changes = [
            signed
            for signed in self.changes.of_view(self.asked)
            if isinstance(signed.message, ViewChange) and self.is_usable(signed.message)
        ][:quorum]
        asked = make_certificate(changes, quorum)
        if asked is None:
            return
        said = [signed.message for signed in changes if isinstance(signed.message, ViewChange)]
        known = {(*proof.slot, proof.value): proof for one in said for proof in one.prepared}
        reports = tuple(one.report for one in said)
        chosen = [claim for claim in self.choose(reports).values() if claim[1] >= 0]
        self.say(NewView(self.asked, asked, reports, tuple(known[claim] for claim in chosen)))

    def _rule_enter_view(self) -> bool:
        # 4.4
        new_view = self.offered.message if self.offered is not None else None
        if self.offered is None or not isinstance(new_view, NewView):
            return False
        if not self.is_wanted(new_view):
            self.offered = None
            return False
        if self.base_of(new_view.reports) > self.last:
            return False
        self._open(self.offered)
        self.offered = None
        self.height_at_entry = self.root.height
        self.log.forget_views_below(self.view)
        self.leave_unjudged()
        self._requested = None
        self._stop("view")
        self._stop("retry")
        self.remember()
        self.settle(VIEW_CHANGE, (self.view,))
        self.settle(NEW_VIEW, (self.view,))
        self.note("entered", view=self.view)
        return True

    # --- time -------------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        """Timers run exactly while there is work; in a change of view once a quorum asks for it."""
        is_working = self.me is not None and self.has_work()
        if not is_working:
            for name in ("view", "retry", "pace"):
                self._stop(name)
            return
        self._run("retry", (self.asked,), self.parameters["retry_ms"])
        if self.may_lose_patience():
            self._run("view", (self.asked, self.last), self.timeout_ms())

    def _say_again(self) -> None:
        """What others may miss of this view, or of the way to the next."""
        if self.is_changing:
            self._say_again_in((VIEW_CHANGE, NEW_VIEW), (self.asked,))
            asked = self.changes.certificate(self.asked) or self.changes.certificate(self.asked - 1)
            if asked is not None and self.me is not None:
                self.broadcast(asked)
            return
        self._say_again_in((NEW_VIEW,), (self.view,))
        for sequence in range(self.last + 1, self.last + self.window + 1):
            self._say_again_in((PREPARE, COMMIT), (sequence, self.view))

    def _say_again_in(self, phases: tuple[str, ...], slot: Slot) -> None:
        for phase in phases:
            said = self.said(phase, slot)
            if said is not None:
                self.broadcast(said)
