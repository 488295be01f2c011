"""Streamlet: propose, vote, propose, vote; three epochs in a row decide.  Nothing else.

Source: Chan, Shi, "Streamlet: Textbook Streamlined Blockchains", AFT 2020 (eprint 2020/088),
the partially synchronous protocol.  2n/3 is the epoch's quorum; a block's epoch is its slot.

    b_4 <-- b_5 <-- b_6 <-- b_7        2n/3 votes each, epochs 5, 6 and 7 in a row: b_6 is decided,
      \\------ b_8                      and all before it; b_8 gets no vote of who saw b_5 notarized

Upon the beginning of epoch e, at its leader:    (Propose)  propose a block of epoch e on one of the
    longest notarized chains that the leader has seen.
Upon the first proposal of epoch e, in epoch e:  (Vote)     vote for it, if it extends one of the
    longest notarized chains that the voter has seen.
Upon three adjacent notarized blocks of consecutive epochs: (Finalize) decide the second of them and
    all before it.

Why it is safe: let epochs 5, 6 and 7 stand in a row at lengths k - 1, k and k + 1.  Another block
    of length k has a quorum that saw a chain of length k - 1.  Before epoch 5 such a quorum would
    have kept block 5 from its votes; after epoch 7 it shares an honest voter with the quorum of
    block 7, and that one had seen block 6: for it nothing of length k extends a longest chain.
Commit rule: `may_finalize`; the proof is the notarization of the third block, whose voters saw the
    others notarized.
Durable: every vote, by the replica; and with it the notarizations above the root and the values
    below them.  Who forgets what it saw notarized votes for shorter chains (`may_vote`).
Liveness: five epochs in a row with honest leaders, whose messages come within half an epoch.
Deviations:
* Texts followed: the authors' post on Decentralized Thoughts (2020-05-14); the TLA+ models of
  nano-o/streamlet; Cohen and Malkhi, "What They Did not Teach you in Streamlet" (2020).
* Epochs are counted from 1970 on the wall clock, in steps of `epoch_ms`, which is the paper's
  2 delta.  Nobody votes in an epoch below one that it voted in, so a clock that is set back breaks
  nothing; one that leaps ahead silences its validator until time has caught up.
* Not every message is echoed to everyone, which takes n^3 messages a block: a proposal carries the
  notarization of its parent, and whoever hears a proposal that it cannot vote for, because it has
  seen a longer chain, shows everybody the notarization of that one.  So does, with its vote, who
  voted in an epoch that ended without a notarized block.
* The leader proposes in the first half of its epoch, as soon as it has work.
* An idle ledger is quiet: who has nothing to order and awaits no decision has no timer and proposes
  nothing.  Empty blocks follow a block with payload, until three epochs in a row have decided it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from consensus.chained import NO_VIEW
from consensus.interface import AnyCertificate, DecisionProof, Message, Root, Signed, Timer
from consensus.protocols.streamlet_messages import (
    PROPOSE,
    VOTE,
    Propose,
    Vote,
    check_notarization,
)
from consensus.protocols.streamlet_state import AHEAD, BEHIND, Player
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import Value


class Streamlet(Player):
    """One validator, or an observer, of one epoch record; slot = (epoch,)."""

    name = "streamlet"
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Propose, Vote)
    PARAMETERS: ClassVar[Mapping[str, int]] = {"epoch_ms": 1_000}
    VIEWS_A_DECISION = 2
    lock_step = True

    @classmethod
    def delay_max_ms(cls, parameters: Mapping[str, int]) -> int | None:
        # In the first half of an epoch its proposal arrives, in the second one its votes: each half
        # has to hold a message, the clocks' difference, and a write.
        return parameters["epoch_ms"] // 4

    # --- the rules --------------------------------------------------------------------------------

    def may_propose(self, parent: bytes) -> bool:
        """(Propose): the leader, once in its epoch, while there is time for votes."""
        slot, epoch_ms, below = (self.view,), self.parameters["epoch_ms"], self.tree.slot_of(parent)
        is_early = 2 * (self.now.wall_ms % epoch_ms) < epoch_ms
        is_first = self.said(PROPOSE, slot) is None and below is not None and below < slot
        return self.leader(slot) == self.me and is_early and is_first

    def may_vote(self, proposal: Propose) -> bool:
        """(Vote): in its epoch, once, for a block that extends one of the longest chains."""
        is_current = proposal.epoch == self.view
        is_first = proposal.epoch > self.last_voted()
        return is_current and is_first and self.extends_longest(proposal.value)

    def extends_longest(self, value: Value) -> bool:
        """(Vote): the parent ends one of the longest notarized chains seen."""
        return value.parent in self.longest()

    def is_too_short(self, proposal: Propose) -> bool:
        """Whether its leader, and perhaps others, have not seen the longest chain."""
        epoch, parent = proposal.epoch, proposal.value.parent
        is_open = epoch > self.last_voted() and epoch not in self.notarized
        is_known = self.tree.path(parent) is not None
        return is_open and is_known and not self.extends_longest(proposal.value)

    def may_finalize(self, first: Slot, second: Slot, third: Slot) -> bool:
        """(Finalize): three adjacent blocks of consecutive epochs."""
        return second[0] == first[0] + 1 and third[0] == second[0] + 1

    # --- events -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        if self.has_work():
            self._say_again()
        self.act()

    def on_message(self, signed: Signed) -> None:
        message = signed.message
        if isinstance(message, Propose):
            self._on_proposal(signed, message)
        elif isinstance(message, Vote):
            self._on_vote(signed, message)
        self.act()

    def on_certificate(self, certificate: AnyCertificate) -> None:
        try:
            if not isinstance(certificate, Certificate):
                raise DecodeFault("streamlet.certificate", certificate.phase)
            check_notarization(certificate)
        except DecodeFault as fault:
            self.note("refused", reason=fault.reason, phase=certificate.phase)
            return
        self._learn(certificate)
        self.act()

    def on_timer(self, timer: Timer) -> None:
        """An epoch begins."""
        if self.has_fired(timer.slot):
            self.note("entered", view=self.view)
            if self.pending and self._requested is None:
                self.ask_payload(NO_VIEW, self.root.value)
            last = self.view - 1
            if last == self.last_voted() and last not in self.notarized:
                self._say_again()
            self._forget()
        self.act()

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if slot == NO_VIEW and not payload:
            self.found_nothing()
        if self._requested is not None and slot == (self._requested[0],):
            (_, parent), self._requested = self._requested, None
            if not payload and not self.awaits_decision():
                self.found_nothing()
            elif slot == (self.view,) and parent in self.longest() and self.may_propose(parent):
                self._propose(payload, parent)
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
            self.note("refused", reason="streamlet.decision", phase=VOTE)
            return
        fresh = tuple(value for value in values if value.slot > self.root.slot)
        self.tree.offer(proof.values[0])
        if fresh and fresh[0].parent == self.root.value:
            self._decide(fresh, proof)
        self._learn(proof.certificates[0])
        self.act()

    def on_certified(self, root: Root) -> None:
        if root.slot > self.root.slot:
            self.adopt(root)
            self._root_moved()
        for phase in (PROPOSE, VOTE):
            self.settle(phase, (root.slot[0] + 1,))
        self.act()

    # --- propose and vote -------------------------------------------------------------------------

    def _try_propose(self) -> None:
        wants = self.pending or self.awaits_decision()
        is_asking = self._requested is not None and self._requested[0] == self.view
        parent = self.longest()[-1]
        if wants and not is_asking and self.may_propose(parent):
            self._requested = (self.view, parent)
            self.ask_payload((self.view,), parent)

    def _propose(self, payload: tuple[bytes, ...], parent: bytes) -> None:
        assert self.me is not None
        slot = self.tree.slot_of(parent)
        why = self.notarized.get(slot[0]) if slot is not None else None
        value = Value(self.context.epoch, parent, (self.view,), self.me, self.now.wall_ms, payload)
        self.note("proposed", view=self.view, value=value.digest)
        self.broadcast(Propose(value, why))

    def _on_proposal(self, signed: Signed, proposal: Propose) -> None:
        value, epoch = proposal.value, proposal.epoch
        by_leader = signed.sender == value.proposer == self.leader(value.slot)
        if not by_leader or value.epoch != self.context.epoch:
            self.note("refused", reason="streamlet.proposer", phase=PROPOSE)
            return
        if proposal.parent is not None:
            self._learn(proposal.parent)
        if not self.view - BEHIND <= epoch <= self.view + AHEAD:
            return
        self.count(signed)
        if self.tree.offer(value) and epoch >= self.view:
            self._proposals.setdefault(value.digest, proposal)

    def _try_vote(self) -> None:
        for proposal in self._candidates():
            value = proposal.value
            if self.tree.is_valid(value.digest) and self.may_vote(proposal):
                self._persist(value)
                self.note("voted", view=proposal.epoch, value=value.digest)
                self.broadcast(Vote(proposal.epoch, value.digest))
            elif self.is_too_short(proposal):
                self._show_longest()

    def _on_vote(self, signed: Signed, vote: Vote) -> None:
        if not self.view - BEHIND <= vote.epoch <= self.view + AHEAD:
            return
        self.count(signed)
        quorum = self.certificate_quorum(VOTE, self.validators)
        certificate = self.tally.certificate(VOTE, (vote.epoch,), vote.value, quorum)
        if certificate is not None:
            self._learn(certificate)

    # --- notarized and finalized ------------------------------------------------------------------

    def _try_finalize(self) -> None:
        """(Finalize): the second of three blocks, and everything before it."""
        for epoch in sorted(self.notarized, reverse=True):
            third = self.tree.get(self.notarized[epoch].value)
            second = self.tree.get(third.parent) if third is not None else None
            first = self.tree.slot_of(second.parent) if second is not None else None
            if third is None or second is None or first is None:
                continue
            path = self.tree.path(second.digest)
            if path and self.may_finalize(first, second.slot, third.slot):
                self._decide(path, DecisionProof((self.notarized[epoch],), (third,)))
                return

    def _decide(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        self.decide(values, proof)
        self._root_moved()

    def _root_moved(self) -> None:
        self.tree.move(self.root)
        self.pending = False  # The replica says so where something is left.
        self._forget()

    def _forget(self) -> None:
        """Drop what is below the root, votes of epochs long past, and proposals of past epochs.

        Proposals of epochs far ahead stem from before the clock was set back: they are as good as
        not heard, and nobody stays awake until time has caught up.
        """
        for epoch in [each for each in self.notarized if each <= self.root.slot[0]]:
            del self.notarized[epoch]
        self._proposals = {
            digest: each
            for digest, each in self._proposals.items()
            if self.view <= each.epoch <= self.view + AHEAD
        }
        floor = (max(self.view - BEHIND, 0),)
        self.tally.forget_below(floor)
        self.tree.prune(floor, self.tips())

    def _proves(self, values: tuple[Value, ...], proof: DecisionProof) -> bool:
        """Whether a peer's decision is a chain that two more blocks finalize.

        The first of the three is the value before the last, or our own root.
        """
        if not (values and len(proof.certificates) == len(proof.values) == 1):
            return False
        notarization, third = proof.certificates[0], proof.values[0]
        chain = (*values, third)
        if any(len(each.slot) != 1 or each.epoch != self.context.epoch for each in chain):
            return False
        linked = all(
            upper.parent == lower.digest and upper.slot > lower.slot
            for lower, upper in pairwise(chain)
        )
        said = (notarization.phase, notarization.slot, notarization.value)
        on_root = self.root.slot if values[0].parent == self.root.value else None
        first = values[-2].slot if len(values) > 1 else on_root
        return (
            linked
            and said == (VOTE, third.slot, third.digest)
            and first is not None
            and self.may_finalize(first, values[-1].slot, third.slot)
        )

    # --- what is said again -----------------------------------------------------------------------

    def _show_longest(self) -> None:
        """Let everybody see the longest chain, once in an epoch."""
        tip = self.tree.get(self.longest()[-1])
        if self.me is not None and tip is not None and self._shown < self.view:
            self._shown = self.view
            self.broadcast(self.notarized[tip.slot[0]])

    def _say_again(self) -> None:
        """The last vote did not notarize its block: say it again, and show the longest chain."""
        if self.me is not None:
            self._show_longest()
            vote = self.said(VOTE, (self.last_voted(),))
            if vote is not None:
                self.broadcast(vote)

    # --- what follows from what is known ----------------------------------------------------------

    def act(self) -> None:
        self._try_finalize()
        self.fetch_missing()
        if self.me is not None:
            self.validate_next()
            self._try_vote()
            self._try_propose()
            self.keep_time()
