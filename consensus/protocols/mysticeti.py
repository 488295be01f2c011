"""Mysticeti-C: everybody proposes in every round; the references between blocks are the votes.

Source: Babel, Chursin, Danezis, Kichidis, Kokoris-Kogias, Koshy, Sonnino, Tian, "Mysticeti:
Reaching the Limits of Latency with Uncertified DAGs" (arXiv 2310.14821), section III and its
algorithms.  "2f+1" is the epoch's quorum; rounds are pipelined, each is led by one validator.

    Upon 2f+1 blocks of round k-1, if there is work:  once the leaders' blocks of k-1 and the votes
                                                      about those of k-2 are here, or the timer has
                                                      fired: sign one block of round k, which
                                                      refers to the last block of each validator
    Upon a block:                                     accept it once its ancestors are accepted and
                                                      its payload is valid, or counts no more; ask
                                                      for what is missing
    Upon an accepted block, for each leader's slot of a round r, oldest first:
        direct rule:    skip it,    if 2f+1 of round r+1 do not refer to the leader's block
                        commit it,  if 2f+1 of round r+2 each refer to 2f+1 of r+1 that do
        indirect rule:  find the first slot of a round from r+3 on that is not skipped, the anchor;
                        once that is committed: commit what its history has a certificate of (one
                        of r+2 that refers to 2f+1 votes); skip the slot if there is none
    Upon a committed leader, all before it decided:   decide what is new in its history, by round
                                                      and author

Commit rule: the direct and the indirect rule, applied to signed blocks by whoever has them: the
    proof of a decision is the blocks that it follows from.
Durable: own blocks, by the replica; with each of them, and with each decision, every block that a
    later one may refer to.  So nobody refers to what all others may lose.
Liveness: while there is work, a timer sends the last own block again and asks anew for ancestors;
    in its round the next block then waits for no leader.  Timers double until leaders commit.
Deviations:
  * Texts followed: MystenLabs/mysticeti (mysticeti-core/src/consensus) and its successor in
    MystenLabs/sui (consensus/core/src/base_committer.rs), and two summaries of the paper, whose own
    text was not at hand.
  * A block refers to at most one block of each validator, so that a vote is a plain reference: the
    paper searches a block's history for the first block of the leader that it meets.
  * Skip pattern: as in the paper, 2f+1 that do not support each block of the slot; the code asks
    for 2f+1 that refer to none.
  * A leader that was silent for a whole turn of all is not waited for.  Nothing rests on it.
  * Of one validator and round a sub-DAG orders one block, of the lowest digest; of all later
    sub-DAGs those of rounds that the validator was not ordered in yet.  That drops only blocks of
    an equivocator, and makes what is ordered a short statement, which a node that was away can
    learn from the last decided value: `extra` names the leader and these rounds.
  * Blocks wait for no clock.  A sub-DAG bears the time that f+1 of its authors' clocks had reached:
    the code takes the median of a leader's ancestors.
  * Everybody may name the same batches, and the first block in order brings them to the ledger.  A
    block says which decided value it builds on, and at which height that stands; its payload counts
    only for the next 32 values at most: `Consensus.ordering_lag`.  A block whose payload can count
    no more is accepted unjudged: perhaps nobody has what is in it any more.
  * Idle: a block is made only where something is to be ordered, or a payload awaits its decision.
  * No fast path for owned objects (Mysticeti-FPC), no reputation of leaders, one leader a round by
    default (parameter `leaders`), and at most 152 validators: what a block can refer to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from consensus.doubling import failing_ms, growing_ms
from consensus.interface import DecisionProof, Message, Root, Signed, Timer
from consensus.protocols.mysticeti_inbox import TWINS_MAX
from consensus.protocols.mysticeti_messages import (
    BLOCK,
    PARENTS_MAX,
    Block,
    Parent,
    encode_links,
)
from consensus.protocols.mysticeti_rules import WAVE, Decided
from consensus.protocols.mysticeti_state import State
from ledger.limits import VALIDATORS_MAX
from ledger.statement import Slot
from ledger.validators import QuorumRule, ValidatorSet, quorum_size
from ledger.value import Value

TRIES_MAX = 30
"""Timers of one round after which nothing is said again, until `on_pending` or progress."""


class Mysticeti(State):
    """Slot of a block = (round,); of a decided value = (round and index of its leader, round and
    author of its block)."""

    name = "mysticeti"
    version = 2
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Block,)
    PARAMETERS: ClassVar[Mapping[str, int]] = {
        "timeout_ms": 500,
        "timeout_max_ms": 16_000,
        "leaders": 1,
    }

    @classmethod
    def validators_max(cls, parameters: Mapping[str, int], signature_bytes: int) -> int:
        sizes = range(1, VALIDATORS_MAX + 1)
        return max(n for n in sizes if quorum_size(n, QuorumRule.BYZANTINE) <= PARENTS_MAX)

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # A timer that runs when the chaos ends is not longer than all of it and one more.  When it
        # fires, blocks go out again and missing ancestors are asked for, a few round trips deep.
        # From there on an honest leader's round and the two after it commit it; before such rounds
        # stand in a row every validator may have had its turn, and liars let the timers of theirs
        # pass.  The timers double until they outlast a round, in which ancestors are fetched.
        round_ms = 8 * delay_ms
        longest_ms = max(parameters["timeout_max_ms"], round_ms)
        timeout_ms = min(max(parameters["timeout_ms"], round_ms) + 2 * chaos_ms, longest_ms)
        rounds = 2 * validators.faults + WAVE
        return (
            2 * timeout_ms
            + 10 * delay_ms
            + growing_ms(parameters["timeout_ms"], round_ms, each=WAVE)
            + failing_ms(timeout_ms, longest_ms, views=rounds, between_ms=2 * delay_ms)
            + (validators.size + 2 * WAVE) * round_ms
        )

    # --- events -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        for value in self.order.past:
            self.offer(value)
        if self.has_work():
            self.say_again()
        self._act()

    def on_pending(self, oldest_age: int) -> None:
        self.pending = self.woken = True
        self.tries = 0
        self._act()

    def on_message(self, signed: Signed) -> None:
        if self.receive(signed):
            self._act()

    def on_verdict(self, value: Value, valid: bool) -> None:
        if self.judge(value.digest, valid):
            self._act()

    def on_value(self, value: Value) -> None:
        if value.digest in self.fetching:
            self.learn_decided(value)
            self._act()

    def on_hint(self, peer: int, hint: bytes) -> None:
        self.answer(peer, hint)

    def on_timer(self, timer: Timer) -> None:
        if timer.slot != self.timer:
            return
        self.timer = None
        self.hasty = timer.slot[0]
        self.tries += 1
        self.say_again()
        self.ask_again()
        self._act()

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if slot != self.asked:
            return
        self.asked = None
        if not payload:
            self.pending = self.woken
        if self.may_propose(slot[0]) and (payload or self.awaits_decision()):
            named = self.named()
            self._propose(slot[0], tuple(one for one in payload if one not in named))
        self._act()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if not self.is_told_by(values, proof.signed):
            self.note("refused", reason="mysticeti.decision", phase=BLOCK)
            return
        # An equivocator may have shown us other blocks than those that decide, and every validator
        # refers to one of them.
        twins_max = TWINS_MAX + self.validators.size
        for signed in proof.signed:
            self.receive(signed, twins_max=twins_max)
        self._act()

    def on_certified(self, root: Root) -> None:
        self.certified = root.value
        if root.slot > self.root.slot:
            self.adopt(root)
            self.lose_place()
            self.validate_again()
        self.forget(root)
        self.settle(BLOCK, (root.slot[0] + 1,))
        self._act()

    # --- the rules --------------------------------------------------------------------------------

    def _act(self) -> None:
        """Do all that the state allows; doing it twice changes nothing."""
        if self.find_place():
            while self.accept_all() and self.may_decide and self._decide_next():
                pass
            self.may_decide = False
            self._try_propose()
        self._keep_time()

    def _decide_next(self) -> bool:
        """Commit or skip the next leaders, in order; whether there were any."""
        before = self.order.next
        for decided in self.decided_from(self.order.next, self.order.passed):
            if decided.leader is None:
                self.order.skip(decided.slot)
                self.note("skipped", round=decided.slot[0], leader=self.leader(decided.slot))
            else:
                self._commit(decided, decided.leader)
        is_further = self.order.next != before
        if is_further:
            self.forget_looks(self.order.next)
        return is_further

    def _commit(self, decided: Decided, leader: Block) -> None:
        proof = self.proof()
        self.committed = max(self.committed, decided.slot[0])
        values = self.order.commit(decided.slot, leader, self.dag)
        self.dag.forget_payload(self.order.passed)
        self.note("committed", round=leader.round, leader=leader.author, value=leader.digest)
        if not values:
            return
        for value in values:
            self.learn_decided(value)
        self.decide(values, proof)
        self.pending = False
        self.remember()
        self.validate_again()

    def has_work(self) -> bool:
        """Whether this validator has a reason to want another round."""
        return self.pending or self.awaits_decision()

    def may_propose(self, round_: int) -> bool:
        """One block a round, after 2f+1 of the round before, never at or below what is decided."""
        is_next = round_ == self.clock() + 1 and round_ > self.root.slot[0]
        has_said = self.said(BLOCK, (round_,)) is not None
        return self.me is not None and is_next and self.follows_own() and not has_said

    def is_timely(self, round_: int) -> bool:
        """Whether a block of this round has all to refer to that lets honest leaders commit.

        The blocks of the leaders before, and about those of the round before that, 2f+1 votes for
        one block or 2f+1 others, as far as they may still come.
        """
        before = round_ - 1
        for leader in self.leaders(before) if before else ():
            if self.is_expected(leader, before) and not self.dag.of(leader, before):
                return False
        slots = [(before - 1, index) for index in range(self.leaders_a_round)]
        is_full = self.dag.authors(before) == self.validators.size
        return before < 2 or is_full or all(self._has_votes(slot) for slot in slots)

    def _has_votes(self, slot: Slot) -> bool:
        """Whether the next round's blocks say enough about a leader, however others will vote."""
        made = self.dag.of(self.leader(slot), slot[0])
        has_certificate = any(self.supporters(slot, block.digest) >= self.quorum for block in made)
        return has_certificate or self.may_skip(slot)

    def _try_propose(self) -> None:
        round_ = self.clock() + 1
        if not (self.has_work() and self.may_propose(round_)):
            return
        if self.asked != (round_,) and (self.hasty == round_ or self.is_timely(round_)):
            self.asked, self.woken = (round_,), False
            base = self.base(self._parents(round_))
            self.base_asked = base, self.order.height_of(base)
            self.request_payload(self.asked, base)

    def _propose(self, round_: int, payload: tuple[bytes, ...]) -> None:
        assert self.me is not None
        parents, (base, base_height) = self._parents(round_), self.base_asked
        value = Value(
            self.context.epoch,
            base,
            (round_,),
            self.me,
            self.now.wall_ms,
            payload,
            encode_links(round_, base_height, parents),
        )
        self.last_own, self.on_its_way = round_, value.digest
        self.remember()
        self.broadcast(Block(value))
        self.note("proposed", round=round_, value=value.digest)

    def _parents(self, round_: int) -> tuple[Parent, ...]:
        """The last block of each validator, the own and the leaders' before others."""
        chosen = []
        for author, block in self.dag.latest(round_).items():
            is_new = block.round > self.order.passed[author]
            if block.round == round_ - 1 or is_new:
                chosen.append(Parent(author, block.round, block.digest))
        leaders = self.leaders(round_ - 1) if round_ > 1 else ()
        ranked = sorted(
            chosen,
            key=lambda each: (each.author != self.me, each.author not in leaders, -each.round),
        )
        return tuple(sorted(ranked[:PARENTS_MAX]))

    def _is_awake(self) -> bool:
        """Whether there is something to wait for; not for ever for what nobody else waits for.

        A payload that is here comes up again by `on_pending`; what only awaits its decision may be
        a liar's that was accepted nowhere else.
        """
        has_work = self.me is not None and self.has_work() and self.tries < TRIES_MAX
        return has_work or self.is_missing_any()

    def _keep_time(self) -> None:
        """Let the timer of the round run exactly while there is something to wait for."""
        wanted = (self.clock() + 1,) if self._is_awake() else None
        if self.timer == wanted:
            return
        if self.timer is not None:
            self.cancel_timer("round", self.timer)
        if wanted is not None:
            self.set_timer("round", wanted, self.timeout_ms())
        self.timer = wanted
