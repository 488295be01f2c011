"""Tendermint: locks and proofs of locks, round by round, one value after the other.

Source: Buchman, Kwon, Milosevic, "The latest gossip on BFT consensus" (arXiv 1807.04938),
Algorithm 1, whose line numbers stand at the rules.  "2f+1" is the epoch's quorum.

    Upon a round's start, at its proposer:       L14  broadcast <proposal, h, r, v, vr>: the valid
                                                      value of round vr again, or a fresh one
    Upon a fresh proposal, in step propose:      L22  prevote v if valid and not locked on another
    Upon a proposal with a polka of round vr:    L28  prevote v if valid and the lock is not newer
    Upon 2f+1 prevotes, in step prevote:         L34  start the prevote timeout
    Upon 2f+1 prevotes for v, in step prevote:   L36  lock v and precommit v; v is the valid value
    Upon 2f+1 prevotes for nil, in step prevote: L44  precommit nil
    Upon 2f+1 precommits:                        L47  start the precommit timeout
    Upon 2f+1 precommits for v, of any round:    L49  decide v and go to the next instance
    Upon f+1 messages of a later round:          L55  go to that round
    Upon timeouts: propose L57 prevote nil; prevote L61 precommit nil; precommit L65 next round

Commit rule: one certificate of phase "precommit" for the value, of any round of its instance.
Durable: locked and valid value with their rounds, and the round; every statement, by the replica.
    Lock and precommit are one batch: no restart forgets a lock that anyone may rely on.
Liveness: while an instance runs, a timer sends the own messages of the round again, the precommits
    that ended the round before, and the polka for the own precommit.  While a peer that speaks is
    still in an earlier round, the own votes of the rounds from that one on go out again, too:
    validators that lost each other's votes would stay split over rounds otherwise.
Deviations:
  * Texts followed: the paper; its transcriptions in tendermint/spec (spec/abci++/v0.md) and in
    circlefin/malachite (specs/consensus/pseudo-code.md); cometbft/cometbft (spec/consensus).  The
    third has "prevote" for "propose" in L58, and the second a round vr for round_p in L34 and L47.
  * A proposal carries its polka, so that L28 never waits for prevotes of an earlier round.
  * L36 and L49 need the value, not the proposal: a certificate for an unknown value is a reason to
    fetch it.  L50 asks for no verdict: f+1 honest validators among 2f+1 precommits gave theirs.
  * 2f+1 precommits for nil start the next round without L47's timeout, as in cometbft: no value
    can be decided in that round any more.
  * The proposer arms the propose timeout too (L21), since it may have nothing to propose.
  * Idle: in round 0 an empty payload is not proposed, and no timer runs before there is work or a
    message of the instance.  From round 1 on empty values are proposed, so that the instance ends.
  * Timeouts grow by a fixed amount a round up to a limit.
  * Who proposes is a policy's choice (consensus/leaders.py), by default the round robin of the
    paper, which asks that all who are at a height know the proposer, and that the turn of every
    correct one comes.  All who are at height h know the value of h - 1, and a policy reads nothing
    but its bytes: in which round it was decided may differ.  After round 0 all take turns, so the
    turns of each never end; the failed one's is not the first.  Who caught up by a checkpoint does
    not know who proposes in rounds 0 and 1, and prevotes what comes first.
  * Where a policy reads signers, a fresh value names those of the commit before it, which its
    proposal carries.  A leader that stays in place is prevoted nil in round 0 by who had to leave
    its last round 0, or sees it leave a batch out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from consensus.interface import AnyCertificate, DecisionProof, Root, Signed, Timer
from consensus.protocols.tendermint_messages import (
    NIL,
    NO_ROUND,
    PRECOMMIT,
    PREVOTE,
    PROPOSAL,
    Precommit,
    Prevote,
    Proposal,
)
from consensus.protocols.tendermint_record import Lock, Valid
from consensus.protocols.tendermint_state import INSTANCES_AHEAD, ROUNDS_AHEAD, Stage, State
from ledger.certificate import TimeoutCertificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value


class Tendermint(State):
    """Slot = (instance, round); instance i decides the i-th value, whose parent is empty."""

    name = "tendermint"
    MESSAGES = (Proposal, Prevote, Precommit)
    PARAMETERS: ClassVar[dict[str, int]] = {
        "timeout_propose_ms": 1_000,
        "timeout_prevote_ms": 500,
        "timeout_precommit_ms": 500,
        "timeout_delta_ms": 250,
        "timeout_max_ms": 20_000,
        "retry_ms": 500,
    }

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # A round that ends without a decision takes at least one of its shorter timeouts, which
        # grow: so the chaos cannot have led beyond a certain round.  After it, the next retry tells
        # everybody of the highest round (L55, or the votes and certificates that ended the earlier
        # ones), and two messages later all are there.  Then faulty proposers may take their turns,
        # one round may be lost to a lock whose polka its proposer had not seen, and in one all
        # timeouts must outlast what they wait for: a proposal, a value that is fetched, votes.
        names = ("propose", "prevote", "precommit")

        def timeout_ms(name: str, round_: int) -> int:
            grown_ms = parameters[f"timeout_{name}_ms"] + round_ * parameters["timeout_delta_ms"]
            return min(grown_ms, parameters["timeout_max_ms"])

        def round_ms(round_: int) -> int:
            return sum(timeout_ms(name, round_) for name in names) + 3 * delay_ms

        round_, passed_ms = 0, 0
        while passed_ms < chaos_ms:
            passed_ms += max(1, min(timeout_ms("prevote", round_), timeout_ms("precommit", round_)))
            round_ += 1
        bound_ms = 2 * (parameters["retry_ms"] + 2 * delay_ms) + round_ms(round_)
        needed_ms = min(3 * delay_ms, parameters["timeout_max_ms"])
        grows = parameters["timeout_delta_ms"] > 0
        while grows and min(timeout_ms(name, round_) for name in names) < needed_ms:
            bound_ms += round_ms(round_)
            round_ += 1
        # Besides those that fail by who leads, one is lost to the lock, and the last one decides.
        for _ in range(cls.LEADERS.failing_views(validators, cls.turn()) + 2):
            bound_ms += round_ms(round_)
            round_ += 1
        return bound_ms

    # --- rounds -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        # L10
        if self.is_active:
            self.is_active = False
            self._activate()
            self._resend()
        self._propose()
        self._advance()

    def on_pending(self, oldest_age: int) -> None:
        self._oldest_age = oldest_age
        self._activate()
        self._propose()
        if self._rule_distrust():
            self._advance()

    def _activate(self) -> None:
        """There is work: from now on, waiting has an end."""
        if self.is_active or self.me is None:
            return
        self.is_active = True
        if self.stage == Stage.PROPOSE:
            self._arm("propose")  # L21
        self._start_timer("retry", self.parameters["retry_ms"])

    def _start_instance(self, instance: int) -> None:
        """L52-L54: on with empty hands."""
        self._cancel_timers()
        self._begin(instance)
        self.log.forget_below(instance)
        self.leadership.agreed.forget_below(instance)
        self.leadership.note_leader(self.proposer(self.slot), self.root.height)
        if self.leadership.reads_decided(instance):
            self.remember()
        if self.log.has_heard(instance):
            self._activate()
        self._propose()

    def _start_round(self, round_: int) -> None:
        # L11
        self._cancel_timers()
        self.round = round_  # L12
        self.stage = Stage.PROPOSE  # L13
        self.is_active = False
        self.remember()
        self.note("entered", instance=self.instance, round=round_)
        self._activate()
        self._propose()

    def _propose(self) -> None:
        # L14
        if not self.leads(self.slot) or self.stage != Stage.PROPOSE:
            return
        if self.said(PROPOSAL, self.slot) is not None:
            return
        again = self.value_to_repropose()
        if again is not None:
            # L16
            self._say(Proposal(again.value, self.round, again.round, again.polka))
        else:
            self.request_payload(self.slot, b"")  # L18

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        is_mine = slot == self.slot and self.leads(slot)
        is_idle = self.round == 0 and not payload
        if not is_mine or is_idle or self.stage != Stage.PROPOSE or self.said(PROPOSAL, slot):
            return
        assert self.me is not None
        self._activate()
        commit = self.last_commit if self.leadership.has_extra else None
        extra = self.leadership.extra(self.leadership.agreed.last, commit)
        value = Value(self.context.epoch, b"", slot, self.me, self.now.wall_ms, payload, extra)
        self._say(Proposal(value, self.round, NO_ROUND, commit))  # L19
        self.note("proposed", instance=self.instance, round=self.round, value=value.digest)

    # --- what arrives -----------------------------------------------------------------------------

    def on_message(self, signed: Signed) -> None:
        message = signed.message
        _, slot, _ = message.statement()
        if not self._is_near(slot):
            return
        if isinstance(message, Proposal) and not self._is_acceptable(signed.sender, message):
            return
        earlier = self.log.add(signed)
        if earlier is not None:
            self.accuse(earlier, signed)
        if slot[0] == self.instance:
            if signed.sender != self.me:
                self._hear_round(signed.sender, slot[1])
            self._activate()
            self._advance()

    def _is_acceptable(self, sender: int, proposal: Proposal) -> bool:
        """Whether a proposal comes from those who should make it, with what it needs."""
        comes_soon = proposal.round <= ROUNDS_AHEAD + (
            self.round if proposal.slot[0] == self.instance else 0
        )
        return (
            comes_soon
            and self.may_come_from(sender, proposal)
            and self.may_carry(proposal)
            and self.has_proof_of_lock(proposal)
        )

    def on_certificate(self, certificate: AnyCertificate) -> None:
        ends_round = isinstance(certificate, TimeoutCertificate)
        phases = (PRECOMMIT,) if ends_round else (PREVOTE, PRECOMMIT)
        if certificate.phase not in phases or len(certificate.slot) != 2:
            return
        if 0 <= certificate.slot[0] - self.instance <= INSTANCES_AHEAD:
            self.log.learn_certificate(certificate)
            self._advance()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if len(values) != 1 or len(proof.certificates) != 1:
            return
        value, certificate = values[0], proof.certificates[0]
        ahead = value.slot[0] - self.instance
        if 0 <= ahead <= INSTANCES_AHEAD and self.is_commit(value, certificate):
            self.log.learn_value(value)
            self.log.learn_certificate(certificate)
            self._advance()

    def on_verdict(self, value: Value, valid: bool) -> None:
        if value.digest in self._verdicts:
            self._verdicts[value.digest] = valid
            self._advance()

    def on_value(self, value: Value) -> None:
        if value.digest in self._fetched:
            self.log.learn_value(value)
            self._advance()

    def on_certified(self, root: Root) -> None:
        if root.slot[0] > self.root.slot[0]:
            self.adopt(root)
            self.leadership.adopted(root)
            self.last_commit = None
            self._start_instance(root.slot[0] + 1)
            self._advance()
        for phase in (PROPOSAL, PREVOTE, PRECOMMIT):
            self.settle(phase, (root.slot[0] + 1, 0))

    def on_timer(self, timer: Timer) -> None:
        if timer.slot != self.slot:
            return
        if timer.name == "retry":
            self._resend()
            self._start_timer("retry", self.parameters["retry_ms"])
        elif timer.name == "propose" and self.may_give_up_proposer():
            self._prevote(NIL)  # L57-L60
        elif timer.name == "prevote" and self.stage == Stage.PREVOTE:
            self._precommit(NIL)  # L61-L64
        elif timer.name == "precommit":
            self._start_round(self.round + 1)  # L65-L67
        self._advance()

    # --- the rules --------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Apply the rules until none applies: each returns whether it changed something."""
        while (
            self._rule_decide()
            or self._rule_skip_round()
            or self._rule_distrust()
            or self._rule_prevote()
            or self._rule_polka()
            or self._rule_polka_for_nil()
            or self._rule_end_round()
        ):
            pass

    def _rule_distrust(self) -> bool:
        if self.stage != Stage.PROPOSE or not self.is_active or not self.distrusts_leader():
            return False
        self.note("distrusted", instance=self.instance, leader=self.proposer(self.slot))
        self._prevote(NIL)
        return True

    def _rule_prevote(self) -> bool:
        # L22, L28
        proposal = self.log.proposal(self.slot, self.proposer(self.slot))
        if self.stage != Stage.PROPOSE or proposal is None:
            return False
        valid = self._is_valid(proposal.value)
        if valid is None:
            return False
        valid = valid and self.says_its_past(proposal)
        is_fresh = proposal.valid_round == NO_ROUND
        may_prevote = self.may_prevote_fresh if is_fresh else self.may_prevote_again
        # L24, L26; L30, L32
        self._prevote(proposal.value.digest if valid and may_prevote(proposal) else NIL)
        return True

    def _rule_polka(self) -> bool:
        # L36
        if self.stage < Stage.PREVOTE or ("polka", self.slot) in self._done:
            return False
        polka = self.find_polka()
        value = self._known(polka.value) if polka is not None else None
        if polka is None or value is None or not self._is_valid(value):
            return False
        self._done["polka", self.slot] = None
        self.valid = Valid(value, polka)  # L42, L43
        if self.stage == Stage.PREVOTE:
            self.lock = Lock(self.round, value)  # L38, L39
            self.note("locked", round=self.round, value=value.digest)
            self._precommit(value.digest)  # L40, L41
        self.remember()
        return True

    def _rule_polka_for_nil(self) -> bool:
        # L34
        if self.stage != Stage.PREVOTE or not self.log.has_quorum(PREVOTE, self.slot):
            return False
        self._arm_once("prevote")  # L35
        # L44
        polka = self.log.proven(PREVOTE, self.slot)
        if polka is None or polka.value != NIL:
            return False
        self._precommit(NIL)  # L45, L46
        return True

    def _rule_end_round(self) -> bool:
        # L47
        if not self.log.has_quorum(PRECOMMIT, self.slot):
            return False
        self._arm_once("precommit")  # L48
        ended = self.log.proven(PRECOMMIT, self.slot)
        if ended is None or ended.value != NIL:
            return False
        self._start_round(self.round + 1)
        return True

    def _rule_decide(self) -> bool:
        # L49
        commit = self.find_commit()
        value = self._known(commit.value) if commit is not None else None
        if commit is None or value is None:
            return False
        # L50
        assert self._verdicts.get(value.digest) is not False, (
            "a quorum precommitted what is invalid"
        )
        is_left = self.round > 0
        self.leadership.note_turn(self.proposer((self.instance, 0)), is_left=is_left)
        self.decide((value,), DecisionProof((commit,)))  # L51
        self.leadership.decided((value,))
        self.last_commit = commit
        self._start_instance(self.instance + 1)  # L52
        return True

    def _rule_skip_round(self) -> bool:
        # L55
        later = self.round_to_skip_to()
        if later is None:
            return False
        self._start_round(later)  # L56
        return True
