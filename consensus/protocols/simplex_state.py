"""Where a player of Simplex stands, what it says again, asks and answers, and what it keeps.

The rules stand in `simplex.py`, which is to be read first.
"""

from __future__ import annotations

from collections.abc import Mapping

from consensus.chained import Chained
from consensus.doubling import failing_ms, growing_ms
from consensus.interface import Context, Recovery
from consensus.leaders import round_robin
from consensus.protocols.simplex_chain import NotarizedChain
from consensus.protocols.simplex_messages import (
    END,
    PROPOSE,
    VOTE,
    Propose,
    Vote,
    encode_hint,
    parse_hint,
)
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value

BEHIND, AHEAD = 8, 8
"""Iterations back and ahead of which messages are counted and proposals kept."""
ANSWER_MAX = 32
"""Notarizations that one question is answered with."""


class Player(Chained):
    """The state of one validator, or of an observer."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.iteration = 1
        """The paper's h."""
        self.chain = NotarizedChain(self.root)
        self._proposals: dict[bytes, Propose] = {}
        """Proposals of this iteration and of the next few by value digest, oldest first."""
        self._requested: tuple[bytes, Certificate | None] | None = None
        """What the block extends whose payload was asked for in this iteration, and why."""
        self._asked: dict[int, None] = {}
        """Iterations whose notarizations were asked for since the timer fired."""
        self._recover(recovery)

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # The timer that runs when the chaos ends is no longer than all of it and one more start;
        # when it fires a second time everybody is told what the highest iteration rests on.  Each
        # of f faulty leaders costs its iteration, and one more may pass in which an honest one
        # has nothing to propose and waits for finalize messages that somebody's timer prevented.
        # Then an honest leader's iteration takes three messages, and before that two questions
        # for notarizations and one for values with their answers.
        view_ms = 9 * delay_ms
        longest_ms = max(parameters["timeout_max_ms"], view_ms)
        timeout_ms = min(max(parameters["timeout_ms"], view_ms) + 2 * chaos_ms, longest_ms)
        views = validators.faults + 1
        return (
            2 * timeout_ms
            + 4 * delay_ms
            + growing_ms(parameters["timeout_ms"], view_ms)
            + failing_ms(timeout_ms, longest_ms, views=views, between_ms=2 * delay_ms)
            + 2 * view_ms
        )

    @property
    def view(self) -> int:
        return self.iteration

    def _candidates(self) -> list[Propose]:
        """The proposals of this iteration."""
        return [each for each in self._proposals.values() if each.iteration == self.iteration]

    # --- what is work, and what is built on -------------------------------------------------------

    def has_work(self) -> bool:
        return self._requested is not None or super().has_work()

    def awaits_decision(self) -> bool:
        """Whether a block with payload, or an unknown one, is notarized and not decided.

        A proposal is no reason to stay awake: what a liar proposed to us alone nobody else knows.
        """
        return any(self.tree.has_payload(tip) for tip in self._notarized_tips())

    def _notarized_tips(self) -> list[bytes]:
        """What is built on, and what is decided once it is here."""
        last, finalization = self.chain.last_block(), self.chain.finalization
        is_ahead = finalization is not None and finalization.slot > self.root.slot
        tips = (last, finalization if is_ahead else None)
        return [certificate.value for certificate in tips if certificate is not None]

    def tips(self) -> list[bytes]:
        return [*(each.value.digest for each in self._candidates()), *self._notarized_tips()]

    def leader(self, slot: Slot) -> int:
        return round_robin(self.validators.size, slot[0])

    # --- what is said again, asked and answered ---------------------------------------------------

    def _say_again(self) -> None:
        """All that was said in this iteration, and what led to it."""
        ended = (self.iteration - 1,)
        if self.me is not None:
            why = self.chain.notarization(ended[0])
            said = [self.said(each, (self.iteration,)) for each in (PROPOSE, VOTE, END)]
            for what in (why, self.said(END, ended), *said):
                if what is not None:
                    self.broadcast(what)

    def _tell_what_ended(self, peer: int) -> None:
        """A peer is in an earlier iteration: show it what leads here, and what was decided."""
        if self.me in (None, peer):
            return
        notarization = self.chain.notarization(self.iteration - 1)
        for certificate in dict.fromkeys((self.chain.finalization, notarization)):
            if certificate is not None:
                self.send(peer, certificate)

    def _ask_missing(self) -> None:
        """Ask for the notarizations that a proposal, or our own one, rests on."""
        for proposal in self._candidates():
            parent = self.tree.slot_of(proposal.value.parent)
            gap = self.chain.first_gap(parent[0], self.iteration) if parent is not None else None
            if gap is not None:
                self._ask(gap, (proposal.value.proposer,))
        is_stuck = self.chain.parent(self.iteration) is None
        if is_stuck and self.has_work() and self.leader((self.iteration,)) == self.me:
            self._ask(self.chain.missing(self.iteration), tuple(self.validators.others(self.me)))

    def _ask(self, iteration: int, peers: tuple[int, ...]) -> None:
        """Ask for notarizations from an iteration on, once until the timer fires."""
        if iteration not in self._asked:
            self._asked[iteration] = None
            for peer in peers:
                self.tell(peer, encode_hint(iteration))

    def on_hint(self, peer: int, hint: bytes) -> None:
        """Somebody asks for notarizations from an iteration on."""
        try:
            first = parse_hint(hint)
        except DecodeFault:
            return
        if self.me is not None:
            for height in range(first, min(self.iteration, first + ANSWER_MAX)):
                notarization = self.chain.notarization(height)
                if notarization is not None:
                    self.send(peer, notarization)

    # --- durability -------------------------------------------------------------------------------

    def _persist(self) -> None:
        """Make durable what the promise of this step rests on: peers may lose it too."""
        iterations = range(max(self.iteration - BEHIND, 0), self.iteration)
        votes = [self.said(VOTE, (iteration,)) for iteration in iterations]
        voted = [vote.value for vote in votes if isinstance(vote, Vote)]
        kept = {
            value.digest: value for tip in (*self.tips(), *voted) for value in self.tree.known(tip)
        }
        self.persist(self.chain.record(tuple(kept.values())))

    def _recover(self, recovery: Recovery) -> None:
        """Go on where the last promise was made."""
        values: tuple[Value, ...] = ()
        if recovery.record is not None:
            values = self.chain.restore(recovery.record)
        iterations = [self.chain.height + 1]
        for signed in recovery.sent:
            values += signed.message.values()
            iterations.append(signed.message.statement()[1][0])
        for value in values:
            self.tree.add(value)
        self.iteration = max(iterations)
