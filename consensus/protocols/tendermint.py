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
    that ended the round before, and the polka for the own precommit.
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
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from consensus.interface import (
    AnyCertificate,
    Consensus,
    Context,
    DecisionProof,
    Recovery,
    Root,
    Signed,
    Timer,
)
from consensus.leaders import round_robin
from consensus.protocols.tendermint_log import MessageLog
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
from consensus.protocols.tendermint_record import Lock, Record, Valid, parse_record
from consensus.tally import Tally
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.value import Value

INSTANCES_AHEAD = 4
"""Later instances whose messages are kept: those of peers that decided a little earlier."""
ROUNDS_AHEAD = 8
"""Rounds of them that are kept."""


class Stage(IntEnum):
    """The paper's step_p; `step` is the contract's word."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


class Tendermint(Consensus):
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

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.log = MessageLog(self.make_tally(), self.quorum)
        self._begin(self.root.slot[0] + 1)
        if recovery.record is not None:
            self._recover(parse_record(recovery.record))
        self._resume()

    def _begin(self, instance: int) -> None:
        """L1-L9: the initial values of an instance."""
        self.instance = instance
        self.round = 0
        self.stage = Stage.PROPOSE
        self.lock = Lock()
        self.valid: Valid | None = None
        self.is_active = False
        """Whether there is work in this instance: timers run only then."""
        self._verdicts: dict[bytes, bool | None] = {}
        self._fetched: dict[bytes, None] = {}
        self._done: dict[tuple[str, Slot], None] = {}
        """Rules that fire once a slot, and have."""
        self._timers: list[tuple[str, Slot]] = []

    def _recover(self, record: Record) -> None:
        """Take over what was durable, unless its instance is decided."""
        if record.instance == self.instance:
            self.round, self.lock, self.valid = record.round, record.lock, record.valid
            for kept in (record.lock.value, record.valid.value if record.valid else None):
                if kept is not None:
                    self.log.learn_value(kept)

    def _resume(self) -> None:
        """Stand where the last own statement was made: no step is taken twice."""
        spoken = [slot[1] for _, slot in self._said if slot[0] == self.instance]
        self.round = max([self.round, *spoken])
        self.is_active = bool(spoken) or self.round > 0
        if self.said(PRECOMMIT, self.slot) is not None:
            self.stage = Stage.PRECOMMIT
        elif self.said(PREVOTE, self.slot) is not None:
            self.stage = Stage.PREVOTE

    # --- the conditions that safety and liveness rest on ------------------------------------------

    @property
    def slot(self) -> Slot:
        return (self.instance, self.round)

    @property
    def quorum(self) -> int:
        """The paper's 2f+1."""
        return self.validators.quorum

    def make_tally(self) -> Tally:
        """What counts votes: distinct signers."""
        return Tally()

    def proposer(self, slot: Slot) -> int:
        """L14: validators take turns, by round and by instance."""
        return round_robin(self.validators.size, slot[0] + slot[1])

    def value_to_repropose(self) -> Valid | None:
        """L15: the value that the last polka was for, which others may be locked on."""
        return self.valid

    def may_prevote_fresh(self, proposal: Proposal) -> bool:
        """L23: nothing else is locked."""
        return self.lock.round == NO_ROUND or self.lock.value == proposal.value

    def may_prevote_again(self, proposal: Proposal) -> bool:
        """L29: the lock is not newer than the proposal's polka, or it is on the same value."""
        return self.lock.round <= proposal.valid_round or self.lock.value == proposal.value

    def has_proof_of_lock(self, proposal: Proposal) -> bool:
        """L28: a proposal of a valid round comes with the polka of that round."""
        return proposal.is_coherent()

    def find_polka(self) -> Certificate | None:
        """L36: 2f+1 prevotes of this round for one value."""
        polka = self.log.proven(PREVOTE, self.slot)
        return polka if polka is not None and polka.value != NIL else None

    def find_commit(self) -> Certificate | None:
        """L49: 2f+1 precommits of one round for one value."""
        return self.log.commit(self.instance)

    def is_commit(self, value: Value, certificate: Certificate) -> bool:
        """The commit rule, for a decision of a peer."""
        named = (certificate.phase, certificate.slot[:1], certificate.value)
        return named == (PRECOMMIT, value.slot[:1], value.digest) and len(certificate.slot) == 2

    def round_to_skip_to(self) -> int | None:
        """L55: a later round in which f+1 speak, one of them honest."""
        return self.log.later_round(self.slot, self.validators.faults + 1)

    def may_give_up_proposer(self) -> bool:
        """L58: still waiting for a proposal."""
        return self.stage == Stage.PROPOSE

    def timeout_ms(self, name: str) -> int:
        """L21, L35, L48: timeouts grow with the round, until messages come in time."""
        grown_ms = self.round * self.parameters["timeout_delta_ms"]
        base_ms = self.parameters[f"timeout_{name}_ms"]
        return min(base_ms + grown_ms, self.parameters["timeout_max_ms"])

    def remember(self) -> None:
        """Make round, lock and valid value durable, in one batch with what this step says."""
        self.persist(Record(self.instance, self.round, self.lock, self.valid).encode())

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
        self._activate()
        self._propose()

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
        self.note("started_round", instance=self.instance, round=round_)
        self._activate()
        self._propose()

    def _propose(self) -> None:
        # L14
        if self.me != self.proposer(self.slot) or self.stage != Stage.PROPOSE:
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
        is_mine = slot == self.slot and self.me == self.proposer(slot)
        is_idle = self.round == 0 and not payload
        if not is_mine or is_idle or self.stage != Stage.PROPOSE or self.said(PROPOSAL, slot):
            return
        assert self.me is not None
        self._activate()
        value = Value(self.context.epoch, b"", slot, self.me, self.now.wall_ms, payload)
        self._say(Proposal(value, self.round, NO_ROUND, None))  # L19

    # --- what arrives -----------------------------------------------------------------------------

    def on_message(self, signed: Signed) -> None:
        message = signed.message
        _, slot, _ = message.statement()
        if not self._is_near(slot):
            return
        if isinstance(message, Proposal) and not (
            signed.sender == self.proposer(slot)
            and message.value.proposer == self.proposer(message.value.slot)
            and self.has_proof_of_lock(message)
        ):
            return
        earlier = self.log.add(signed)
        if earlier is not None:
            self.accuse(earlier, signed)
        if slot[0] == self.instance:
            self._activate()
            self._advance()

    def on_certificate(self, certificate: AnyCertificate) -> None:
        phases = (PRECOMMIT,) if isinstance(certificate, TimeoutCertificate) else (
            PREVOTE,
            PRECOMMIT,
        )  # fmt: skip
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
            or self._rule_prevote()
            or self._rule_polka()
            or self._rule_polka_for_nil()
            or self._rule_end_round()
        ):
            pass

    def _rule_prevote(self) -> bool:
        # L22, L28
        proposal = self.log.proposal(self.slot)
        if self.stage != Stage.PROPOSE or proposal is None:
            return False
        valid = self._is_valid(proposal.value)
        if valid is None:
            return False
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
        self.decide((value,), DecisionProof((commit,)))  # L51
        self._start_instance(self.instance + 1)  # L52
        return True

    def _rule_skip_round(self) -> bool:
        # L55
        later = self.round_to_skip_to()
        if later is None:
            return False
        self._start_round(later)  # L56
        return True

    # --- helpers ----------------------------------------------------------------------------------

    def _is_near(self, slot: Slot) -> bool:
        """Whether a message of this slot is counted."""
        if slot[0] == self.instance:
            return slot[1] <= self.round + self.context.slot_window
        return 0 < slot[0] - self.instance <= INSTANCES_AHEAD and slot[1] <= ROUNDS_AHEAD

    def _is_valid(self, value: Value) -> bool | None:
        """The verdict on a value; None until it comes."""
        if value.digest not in self._verdicts:
            self._verdicts[value.digest] = None
            self.validate(value)
        return self._verdicts[value.digest]

    def _known(self, digest: bytes) -> Value | None:
        """The value with this digest; where it is unknown, it is fetched."""
        value = self.log.value(digest)
        if value is None and digest not in self._fetched:
            self._fetched[digest] = None
            self.fetch(digest)
        return value

    def _prevote(self, digest: bytes) -> None:
        self._say(Prevote(self.instance, self.round, digest))
        self.stage = Stage.PREVOTE

    def _precommit(self, digest: bytes) -> None:
        self._say(Precommit(self.instance, self.round, digest))
        self.stage = Stage.PRECOMMIT

    def _say(self, message: Proposal | Prevote | Precommit) -> None:
        """Broadcast, unless this validator only follows."""
        if self.me is not None:
            self.broadcast(message)

    def _resend(self) -> None:
        """What a peer may miss of this round, and what brought us here."""
        for phase in (PROPOSAL, PREVOTE, PRECOMMIT):
            said = self.said(phase, self.slot)
            if said is not None:
                self.broadcast(said)
        end = self.log.end_of((self.instance, self.round - 1)) if self.round else None
        if end is not None:
            self.broadcast(end)
        polka = self.log.proven(PREVOTE, self.slot)
        if polka is not None and self.stage == Stage.PRECOMMIT:
            self.broadcast(polka)

    def _arm(self, name: str) -> None:
        self._start_timer(name, self.timeout_ms(name))

    def _arm_once(self, name: str) -> None:
        if (name, self.slot) not in self._done and self.is_active:
            self._done[name, self.slot] = None
            self._arm(name)

    def _start_timer(self, name: str, delay_ms: int) -> None:
        self.set_timer(name, self.slot, delay_ms)
        if (name, self.slot) not in self._timers:
            self._timers.append((name, self.slot))

    def _cancel_timers(self) -> None:
        for name, slot in self._timers:
            self.cancel_timer(name, slot)
        self._timers = []
