"""Simplex: every iteration ends with a block or a dummy block; three message delays to a decision.

Source: Chan, Pass, "Simplex Consensus: A Simple and Fast Consensus Protocol", TCC 2023 (eprint
2023/463), section 2.1, whose steps stand at the rules.  2n/3 is the epoch's quorum.

    b_1 <-- b_2 <---------- b_4        heights are iterations; b_4 was proposed around height 3,
            (dummy block of 3)         with 2n/3 votes for the dummy block as the reason

Upon entering iteration h:                       (1) start the timer T_h, of 3 delta.
Upon entering it, as its leader:                 (2) propose a block on a notarized blockchain of
    length h - 1: on its last block, where the dummy blocks of all heights since are notarized.
Upon the first valid proposal of its leader:     (3) vote for it, if its parent chain is notarized.
Upon T_h, while still in h:                      (1) vote for the dummy block of h.
Upon 2n/3 votes for a block of h, while in h:    (4) send finalize, unless T_h fired; enter h + 1.
Upon 2n/3 votes for the dummy block of h:        (4) enter h + 1.
Upon 2n/3 finalize messages of any iteration:    (5) decide its block, with all of its ancestors.

Why it is safe: 2n/3 finalize messages of h and 2n/3 votes for its dummy block would share an honest
    validator, and "an honest player only votes for either <finalize, h>, or <vote, h, dummy>, and
    never both".  So no chain can go around a decided block.
Commit rule: `may_commit`: one certificate of phase "end" that names the last value.
Durable: what was said, by the replica; and with each promise the notarizations above the root, and
    the undecided values below it, which peers may have lost too.
Liveness: an honest leader's block is decided three message delays after it enters its iteration.
    While one waits, the timer sends again all that was said here, and why this iteration was
    entered; whoever votes for the dummy block of an earlier iteration is told what ended it.
Deviations:
* Texts followed: the protocol as stated on simplex.blog; the post "From Tendermint to Simplex" of
  Ling Ren; the module text of commonware's consensus::simplex.
* A proposal carries the notarization of its parent, not of the whole chain; who lacks a dummy block
  in between asks for it, and an iteration may be skipped by a notarization of a later one.  A
  notarized block has a notarized chain: its voters have seen it.
* On entering h + 1 a validator multicasts the notarization only if it is a dummy block's; that of a
  block travels with the next proposal, and again with the timer.
* Votes for dummy blocks and finalize messages are statements of one phase, "end", of which the
  guard lets only one out; and a finalize message names the block, so that 2n/3 of them are a proof.
* Leaders take turns, where the paper draws them by a hash.  The timer doubles with every iteration
  since the last decision, up to a limit, where the paper knows delta.
* Empty values are proposed only where a value with payload awaits its decision and finalize
  messages will not bring it: after an iteration in which this leader sent none.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from consensus.chained import NO_VIEW
from consensus.interface import AnyCertificate, DecisionProof, Message, Root, Signed, Timer
from consensus.protocols.simplex_messages import (
    DUMMY,
    END,
    PROPOSE,
    VOTE,
    Dummy,
    Finalize,
    Propose,
    Vote,
    check_certificate,
)
from consensus.protocols.simplex_state import AHEAD, BEHIND, Player
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import Value


class Simplex(Player):
    """One validator, or an observer, of one epoch; slot = (iteration,)."""

    name = "simplex"
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Propose, Vote, Finalize, Dummy)
    PARAMETERS: ClassVar[Mapping[str, int]] = {"timeout_ms": 1_000, "timeout_max_ms": 8_000}
    VIEWS_A_DECISION = 2

    # --- the rules --------------------------------------------------------------------------------

    def may_vote(self, proposal: Propose) -> bool:
        """(3): the first proposal of this iteration, on a notarized chain of length h - 1."""
        is_current = proposal.iteration == self.iteration
        is_first = self.said(VOTE, proposal.value.slot) is None
        return is_current and is_first and self.extends_notarized_chain(proposal)

    def extends_notarized_chain(self, proposal: Propose) -> bool:
        """(3): the parent is notarized, and so is the dummy block of every height after it."""
        parent = self.tree.slot_of(proposal.value.parent)
        return (
            parent is not None
            and self.chain.is_notarized(proposal.value.parent, parent[0])
            and self.chain.first_gap(parent[0], proposal.iteration) is None
        )

    def may_vote_dummy(self) -> bool:
        """(1): the timer fired, and this validator has not ended the iteration in another way."""
        return self.said(END, (self.iteration,)) is None

    def may_finalize(self, notarization: Certificate) -> bool:
        """(4): a block of h is notarized while this validator is in h, and T_h has not fired."""
        is_current = notarization.slot[0] >= self.iteration
        return is_current and self.said(END, notarization.slot) is None

    def may_commit(self, value: Value, certificate: Certificate) -> bool:
        """(5): 2n/3 finalize messages for this block."""
        said = (certificate.phase, certificate.slot, certificate.value)
        return said == (END, value.slot, value.digest)

    def may_propose_empty(self) -> bool:
        """Whether a value awaits a decision that finalize messages may not bring."""
        last = self.said(END, (self.iteration - 1,))
        return self.awaits_decision() and not isinstance(last, Finalize)

    # --- events -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        self._say_again()
        self.act()

    def on_message(self, signed: Signed) -> None:
        message = signed.message
        if isinstance(message, Dummy) and message.iteration < self.iteration:
            self._tell_what_ended(signed.sender)
        if isinstance(message, Propose):
            self._on_proposal(signed, message)
        else:
            self._count(signed)
        self.act()

    def on_certificate(self, certificate: AnyCertificate) -> None:
        try:
            if not isinstance(certificate, Certificate):
                raise DecodeFault("simplex.certificate", certificate.phase)
            check_certificate(certificate)
        except DecodeFault as fault:
            self.note("refused", reason=fault.reason, phase=certificate.phase)
            return
        self._learn(certificate)
        self.act()

    def on_timer(self, timer: Timer) -> None:
        if self.has_fired(timer.slot):
            self._asked.clear()
            if self.pending and self._requested is None:
                self.ask_payload(NO_VIEW, self.root.value)
            self._time_out()
        self.act()

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if slot == NO_VIEW and not payload:
            self.found_nothing()
        if slot == (self.iteration,) and self._requested is not None:
            (parent, why), self._requested = self._requested, None
            if not payload and not self.may_propose_empty():
                self.found_nothing()
            elif self.tree.path(parent) is not None:
                self._propose(payload, parent, why)
        self.act()

    def on_verdict(self, value: Value, valid: bool) -> None:
        self.tree.judge(value.digest, valid)
        self.act()

    def on_value(self, value: Value) -> None:
        if value.epoch == self.context.epoch and len(value.slot) == 1:
            self.tree.add(value)
        self.act()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if not self._proves(values, proof):
            self.note("refused", reason="simplex.decision", phase=END)
            return
        fresh = tuple(value for value in values if value.slot > self.root.slot)
        if fresh and fresh[0].parent == self.root.value:
            self._decide(fresh, proof.certificates[0])
        self._learn(proof.certificates[0])
        self.act()

    def on_certified(self, root: Root) -> None:
        if root.slot > self.root.slot:
            self.adopt(root)
            self._root_moved()
        for phase in (PROPOSE, VOTE, END):
            self.settle(phase, (root.slot[0] + 1,))
        self.act()

    # --- (2) and (3): propose and vote ------------------------------------------------------------

    def _try_propose(self) -> None:
        """Ask for a payload, once there is a notarized chain to extend and a reason to."""
        leads = self.leader((self.iteration,)) == self.me
        is_done = self._requested is not None or self.said(PROPOSE, (self.iteration,)) is not None
        parent = self.chain.parent(self.iteration)
        if not leads or is_done or parent is None or self.tree.path(parent[0]) is None:
            return
        if self.pending or self.may_propose_empty():
            self._requested = parent
            self.ask_payload((self.iteration,), parent[0])

    def _propose(self, payload: tuple[bytes, ...], parent: bytes, why: Certificate | None) -> None:
        assert self.me is not None
        epoch, time_ms = self.context.epoch, self.now.wall_ms
        value = Value(epoch, parent, (self.iteration,), self.me, time_ms, payload)
        self.note("proposed", view=self.iteration, value=value.digest)
        self.broadcast(Propose(value, why))

    def _on_proposal(self, signed: Signed, proposal: Propose) -> None:
        value, iteration = proposal.value, proposal.iteration
        by_leader = signed.sender == value.proposer == self.leader(value.slot)
        if not by_leader or value.epoch != self.context.epoch:
            self.note("refused", reason="simplex.proposer", phase=PROPOSE)
            return
        if proposal.parent is not None:
            self._learn(proposal.parent)
        if not self.iteration - BEHIND <= iteration <= self.iteration + AHEAD:
            return
        self.count(signed)
        if self.tree.offer(value) and iteration >= self.iteration:
            self._proposals.setdefault(value.digest, proposal)

    def _try_vote(self) -> None:
        for proposal in self._candidates():
            digest = proposal.value.digest
            if self.tree.is_valid(digest) and self.may_vote(proposal):
                self._persist()
                self.note("voted", view=self.iteration, value=digest)
                self.broadcast(Vote(self.iteration, digest))

    def _count(self, signed: Signed) -> None:
        """Count a vote, a dummy vote or a finalize message; a quorum is a certificate."""
        phase, slot, value = signed.message.statement()
        if not self.iteration - BEHIND <= slot[0] <= self.iteration + self.context.slot_window:
            return
        self.count(signed)
        quorum = self.certificate_quorum(phase, self.validators)
        certificate = self.tally.certificate(phase, slot, value, quorum)
        if certificate is not None:
            self._learn(certificate)

    # --- (1), (4) and (5): the end of an iteration ------------------------------------------------

    def _time_out(self) -> None:
        """(1): vote for the dummy block, or say again what was said."""
        if self.may_vote_dummy():
            self._persist()
            self.note("timed-out", view=self.iteration)
            self.broadcast(Dummy(self.iteration))
        else:
            self._say_again()

    def _learn(self, certificate: Certificate) -> None:
        """(4): a notarization ends its iteration, and so does a finalization."""
        if not self.chain.add(certificate):
            return
        iteration = certificate.slot[0]
        is_dummy = certificate.phase == END and certificate.value == DUMMY
        if self.me is not None and iteration >= self.iteration and is_dummy:
            self.broadcast(certificate)
        if self.me is not None and certificate.phase == VOTE and self.may_finalize(certificate):
            self._persist()
            self.broadcast(Finalize(iteration, certificate.value))
        if iteration >= self.iteration:
            self._enter(iteration + 1)

    def _enter(self, iteration: int) -> None:
        assert iteration > self.iteration
        self.iteration = iteration
        self._requested = None
        self._proposals = {
            digest: each for digest, each in self._proposals.items() if each.iteration >= iteration
        }
        floor = (max(iteration - BEHIND, 0),)
        self.tally.forget_below(floor)
        self.tree.prune(floor, self.tips())
        self.note("entered", view=iteration)

    def _try_commit(self) -> None:
        """(5): a finalized block is decided once it and all of its ancestors are here."""
        finalization = self.chain.finalization
        if finalization is not None and finalization.slot > self.root.slot:
            path = self.tree.path(finalization.value)
            if path and self.may_commit(path[-1], finalization):
                self._decide(path, finalization)

    def _decide(self, values: tuple[Value, ...], finalization: Certificate) -> None:
        self.decide(values, DecisionProof((finalization,)))
        self._root_moved()

    def _root_moved(self) -> None:
        self.tree.move(self.root)
        self.chain.move(self.root)
        self.pending = False  # The replica says so where something is left.
        if self.root.slot[0] >= self.iteration:
            self._enter(self.root.slot[0] + 1)

    def _proves(self, values: tuple[Value, ...], proof: DecisionProof) -> bool:
        """Whether a peer's decision is a chain whose last block is finalized."""
        if len(proof.certificates) != 1 or proof.values or not values:
            return False
        here = all(len(each.slot) == 1 and each.epoch == self.context.epoch for each in values)
        linked = all(
            upper.parent == lower.digest and upper.slot > lower.slot
            for lower, upper in pairwise(values)
        )
        return here and linked and self.may_commit(values[-1], proof.certificates[0])

    # --- what follows from what is known ----------------------------------------------------------

    def act(self) -> None:
        self._try_commit()
        self.fetch_missing()
        if self.me is not None:
            self.validate_next()
            self._ask_missing()
            self._try_vote()
            self._try_propose()
            self.keep_time()
