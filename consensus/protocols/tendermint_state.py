"""Tendermint's state, its conditions, and the words in which its rules are written.

The rules themselves stand in `tendermint.py`, which is to be read first.  Each condition that
safety or liveness rests on is one small method here, so that a test can break exactly one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from consensus.interface import Consensus, Context, Recovery
from consensus.leaders import Leadership, Policy, RoundRobin
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
EARLIER_ROUNDS_MAX = 32
"""Earlier rounds whose votes one retry sends again."""
ROUNDS_AHEAD = 8
"""Rounds of them that are kept, and rounds ahead of ours whose proposals are: values are large."""


class Stage(IntEnum):
    """The paper's step_p; `step` is the contract's word."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


class State(Consensus):
    """Where a validator stands, and what it may do from there."""

    LEADERS: ClassVar[type[Policy]] = RoundRobin

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.log = MessageLog(self.make_tally(), self.quorum)
        policy = self.LEADERS(context.epoch, context.validators, self.turn())
        self.leadership = Leadership(policy, self.root)
        self.last_commit: Certificate | None = None
        """Why the value before this instance is decided; None where that was not seen."""
        self._oldest_age = 0
        """For how many certified heights the oldest batch had waited when last heard."""
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
        self._rounds: dict[int, int] = {}
        """The highest round that each peer has spoken of."""
        self._spoke: dict[int, None] = {}
        """Who has spoken since the last retry."""
        self._done: dict[tuple[str, Slot], None] = {}
        """Rules that fire once a slot, and have."""
        self._timers: list[tuple[str, Slot]] = []

    def _recover(self, record: Record) -> None:
        """Take over what was durable, unless its instance is decided."""
        if record.decided is not None:
            self.leadership.recall((record.decided,))
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

    def leader(self, slot: Slot) -> int | None:
        """Whom the policy names for view instance + round, by what the instance before decided."""
        instance, round_ = slot
        return self.leadership.leader_after(instance - 1, instance + round_)

    def proposer(self, slot: Slot) -> int | None:
        """The paper's proposer(h, r); None where that is unknown here."""
        return self.leader(slot)

    def leads(self, slot: Slot) -> bool:
        """Whether it is this validator who proposes."""
        return self.me is not None and self.me == self.proposer(slot)

    def may_come_from(self, sender: int, proposal: Proposal) -> bool:
        """Whether a proposal may be that of its round's proposer, of a value of its round's."""
        first = proposal.value
        from_proposer = self.proposer(proposal.slot) in (None, sender)
        first_from_proposer = self.proposer(first.slot) in (None, first.proposer)
        is_own = proposal.valid_round != NO_ROUND or sender == first.proposer
        return from_proposer and first_from_proposer and is_own

    def may_carry(self, proposal: Proposal) -> bool:
        """Whether a value may say this to the leader policy, and be proven like this."""
        is_proof = proposal.commit is None or self.leadership.has_extra
        return is_proof and self.leadership.policy.is_extra(proposal.value.extra)

    def says_its_past(self, proposal: Proposal) -> bool:
        """Whether a fresh value says what the leader policy wants of it, as the commit shows.

        Who has no commit, as after a restart, names no signers.  Where a value is proposed again,
        those who prevoted it have looked.
        """
        commit = proposal.commit
        is_of_root = commit is None or commit.value == self.root.value
        last = self.leadership.agreed.last
        is_fresh = proposal.valid_round == NO_ROUND
        return not is_fresh or (
            is_of_root and self.leadership.is_fitting(proposal.value.extra, last, commit)
        )

    def distrusts_leader(self) -> bool:
        """Whether the policy leaves in the lead whom this validator wants to see replaced.

        f + 1 who prevote nil take the lead from it, since another round's value is decided then.
        """
        leader = self.proposer(self.slot)
        is_first = self.round == 0 and leader != self.me
        is_overdue = self.leadership.is_overdue(self._oldest_age, self.root.height)
        return is_first and (is_overdue or self.leadership.has_failed(leader))

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

    def reason_for_round(self) -> TimeoutCertificate | None:
        """What let this node leave the round before: 2f+1 precommits, whatever for."""
        return self.log.end_of((self.instance, self.round - 1)) if self.round else None

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
        last = self.leadership.agreed.last
        is_read = last.proposer is not None and self.leadership.reads_decided(self.instance)
        decided = last if is_read else None
        record = Record(self.instance, self.round, self.lock, self.valid, decided)
        self.persist(record.encode())

    # --- words ------------------------------------------------------------------------------------

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
            if not isinstance(message, Proposal):
                phase, (instance, round_), value = message.statement()
                self.note("voted", phase=phase, instance=instance, round=round_, value=value)

    def _hear_round(self, sender: int, round_: int) -> None:
        """Remember which round a peer is in.

        What it only says again of a round that it has left calls for no answer: two validators
        would repeat all their votes to each other for as long as the instance lasts.
        """
        self._rounds[sender] = max(round_, self._rounds.get(sender, 0))
        self._spoke[sender] = None

    def _resend_earlier_votes(self) -> None:
        """The own votes of the rounds in which a peer may still be."""
        behind = min((self._rounds[peer] for peer in self._spoke), default=self.round)
        self._spoke = {}
        for round_ in range(behind, min(self.round, behind + EARLIER_ROUNDS_MAX)):
            for phase in (PREVOTE, PRECOMMIT):
                said = self.said(phase, (self.instance, round_))
                if said is not None:
                    self.broadcast(said)

    def _resend(self) -> None:
        """What a peer may miss of this round, and what brought us here."""
        self._resend_earlier_votes()
        for phase in (PROPOSAL, PREVOTE, PRECOMMIT):
            said = self.said(phase, self.slot)
            if said is not None:
                self.broadcast(said)
        reason = self.reason_for_round()
        if reason is not None:
            self.broadcast(reason)
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
