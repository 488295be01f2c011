"""Tendermint with one rule broken, each; a safety rule is tested when its mutant is caught."""

from __future__ import annotations

from dataclasses import replace

from consensus.interface import DecisionProof, Signed
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NO_ROUND, PREVOTE, PROPOSAL, Proposal
from consensus.protocols.tendermint_record import Record, Valid
from consensus.protocols.tendermint_state import Stage
from consensus.tally import Tally
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.validators import ValidatorSet
from ledger.value import Value


class QuorumOfTwoThirds(Tendermint):
    """Z1: 2f votes are enough."""

    @property
    def quorum(self) -> int:
        return self.validators.quorum - 1

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class MessageCounter(Tally):
    """Counts messages; the same signer counts as often as it speaks."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[tuple[str, tuple[int, ...], bytes], list[tuple[int, bytes]]] = {}

    def add(self, signed: Signed) -> Signed | None:
        self._heard.setdefault(signed.message.statement(), []).append(
            (signed.sender, signed.signature)
        )
        return super().add(signed)

    def certificate(
        self, phase: str, slot: tuple[int, ...], value: bytes, quorum: int
    ) -> Certificate | None:
        heard = self._heard.get((phase, slot, value), [])
        if len(heard) < quorum:
            return None
        return Certificate(phase, slot, value, tuple(heard[:quorum]))


class CountsMessages(Tendermint):
    """Z2: votes are counted by message, not by signer."""

    def make_tally(self) -> Tally:
        return MessageCounter()


class IgnoresLock(Tendermint):
    """Z3: prevotes a fresh value in spite of a lock on another one."""

    def may_prevote_fresh(self, proposal: Proposal) -> bool:
        return True


class UnlocksByOldPolka(Tendermint):
    """Z4: prevotes a value whose polka is older than the lock."""

    def may_prevote_again(self, proposal: Proposal) -> bool:
        return True


class BelievesValidRound(Tendermint):
    """Believes a proposal's valid round without looking at its polka."""

    def has_proof_of_lock(self, proposal: Proposal) -> bool:
        return True


class PrecommitsWithoutPolka(Tendermint):
    """Z6: precommits what was proposed, without 2f+1 prevotes."""

    def find_polka(self) -> Certificate | None:
        proposal = self.log.proposal(self.slot, self.proposer(self.slot))
        if proposal is None:
            return None
        return Certificate(PREVOTE, self.slot, proposal.value.digest, ())


class ForgetsLock(Tendermint):
    """Z7: the lock is not durable when the precommit leaves."""

    def remember(self) -> None:
        """Make nothing durable."""


class ForgetsRound(Tendermint):
    """A restart begins again at round 0."""

    def _resume(self) -> None:
        self.round = 0
        self.is_active = True


class DecidesOnPolka(Tendermint):
    """Decides a value that was only prevoted."""

    def find_commit(self) -> Certificate | None:
        return self.find_polka() or super().find_commit()


class BelievesDecisions(Tendermint):
    """Takes any certificate for the reason of a peer's decision."""

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if values[0].slot[0] == self.instance:
            self.decide(values, proof)
            self._start_instance(self.instance + 1)


class NeverValidates(Tendermint):
    """Takes every proposed value for valid."""

    def on_verdict(self, value: Value, valid: bool) -> None:
        super().on_verdict(value, True)


class NeverProposesAgain(Tendermint):
    """L1: proposes a fresh value where others may be locked on the valid one."""

    def value_to_repropose(self) -> Valid | None:
        return None


class NeverSendsEarlierVotes(Tendermint):
    """Says nothing more of the rounds that it has left."""

    def _resend_earlier_votes(self) -> None:
        """Say nothing."""


class NeverSkips(NeverSendsEarlierVotes):
    """L2: f+1 messages of a later round move nobody, and no earlier votes make up for it."""

    def round_to_skip_to(self) -> int | None:
        return None


class NeverSendsAgain(Tendermint):
    """L3: votes and the reason for the round are sent once."""

    def _resend(self) -> None:
        """Say nothing."""


class NeverSaysWhy(NeverSendsEarlierVotes):
    """Sends its votes of its own round again, but not what let it enter the round."""

    def reason_for_round(self) -> TimeoutCertificate | None:
        return None


class NeverGrows(Tendermint):
    """L8: timeouts stay as they are in round 0."""

    def timeout_ms(self, name: str) -> int:
        return self.parameters[f"timeout_{name}_ms"]


class MisreadsLine58(Tendermint):
    """The propose timeout as a well-known transcription has it: only in step prevote."""

    def may_give_up_proposer(self) -> bool:
        return self.stage == Stage.PREVOTE


class NeverUnlocks(Tendermint):
    """A locked validator prevotes nothing but its lock, whatever polka it is shown."""

    def may_prevote_again(self, proposal: Proposal) -> bool:
        return self.lock.round == NO_ROUND or self.lock.value == proposal.value


class ForgetsValidValue(Tendermint):
    """The valid value, though not the lock, is lost on restart."""

    def _recover(self, record: Record) -> None:
        super()._recover(Record(record.instance, record.round, record.lock, None))


class NeverFetches(Tendermint):
    """L11: a certificate for an unknown value is no reason to ask for the value."""

    def _known(self, digest: bytes) -> Value | None:
        return self.log.value(digest)


class StampsAnew(Tendermint):
    """Proposes the valid value again under its own name, with the time of day."""

    def _propose(self) -> None:
        again = self.value_to_repropose()
        if not self.leads(self.slot) or self.stage != Stage.PROPOSE or again is None:
            super()._propose()
        elif self.said(PROPOSAL, self.slot) is None:
            assert self.me is not None
            stamped = replace(
                again.value, slot=self.slot, proposer=self.me, timestamp_ms=self.now.wall_ms
            )
            self._say(Proposal(stamped, self.round, NO_ROUND, None))


class SilentTally(Tally):
    """Counts nothing more of a signer that contradicted itself."""

    def add(self, signed: Signed) -> Signed | None:
        phase, slot, value = signed.message.statement()
        ballot = self._ballots.get((phase, slot))
        first = ballot.first.get(signed.sender) if ballot else None
        if first is not None and first.message.statement()[2] != value:
            return first
        return super().add(signed)


class SilencesLiars(Tendermint):
    """Drops the second thing that a validator says."""

    def make_tally(self) -> Tally:
        return SilentTally()


class AccusesAnyRepetition(Tendermint):
    """E1: a statement that was heard before is evidence against its signer."""

    def make_tally(self) -> Tally:
        return SuspiciousTally()


class SuspiciousTally(Tally):
    """Hands back a pair also where both halves say the same."""

    def add(self, signed: Signed) -> Signed | None:
        phase, slot, _ = signed.message.statement()
        ballot = self._ballots.get((phase, slot))
        first = ballot.first.get(signed.sender) if ballot else None
        return super().add(signed) or first
