"""Simplex without one of its rules, one override each."""

from __future__ import annotations

from dataclasses import replace

from consensus.interface import Context, DecisionProof, Recovery, Signed
from consensus.protocols.simplex import Simplex
from consensus.protocols.simplex_messages import END, PROPOSE, VOTE, Propose
from ledger.certificate import Certificate
from ledger.validators import ValidatorSet
from ledger.value import Value
from tests.consensus.mutants_jolteon import _MessageTally


class SmallQuorum(Simplex):
    """2n/3 signatures, and not one less, notarize and finalize."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class CountsMessages(Simplex):
    """Votes of 2n/3 *unique* players."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tally = _MessageTally()


class VotesTwice(Simplex):
    """(3): the first, and only the first, proposal gets a vote."""

    def may_vote(self, proposal: Propose) -> bool:
        said = self.said(VOTE, proposal.value.slot)
        is_other = said is None or said.statement()[2] != proposal.value.digest
        return is_other and self.extends_notarized_chain(proposal)


class SkipsWithoutDummies(Simplex):
    """(3): every height between parent and block has a notarized dummy block."""

    def extends_notarized_chain(self, proposal: Propose) -> bool:
        parent = self.tree.slot_of(proposal.value.parent)
        return parent is not None and self.chain.is_notarized(proposal.value.parent, parent[0])


class VotesOnAnyParent(Simplex):
    """(3): the parent is notarized."""

    def extends_notarized_chain(self, proposal: Propose) -> bool:
        parent = self.tree.slot_of(proposal.value.parent)
        return parent is not None and self.chain.first_gap(parent[0], proposal.iteration) is None


class FinalizesAfterDummy(Simplex):
    """(4): no finalize message after the timer fired."""

    def may_finalize(self, notarization: Certificate) -> bool:
        return notarization.slot[0] >= self.iteration


class DecidesOnVotes(Simplex):
    """(5): finalize messages decide, votes do not."""

    def may_commit(self, value: Value, certificate: Certificate) -> bool:
        return (certificate.slot, certificate.value) == (value.slot, value.digest)

    def _try_commit(self) -> None:
        last = self.chain.last_block()
        path = self.tree.path(last.value) if last is not None else None
        if last is not None and path:
            self._decide(path, last)


class BelievesDecisions(Simplex):
    """A peer's decision is judged by its proof."""

    def _proves(self, values: tuple[Value, ...], proof: DecisionProof) -> bool:
        return True


class ForgetsRecord(Simplex):
    """Notarizations, and the values voted for, are durable with the promise that rests on them."""

    def persist(self, record: bytes) -> None:
        pass


class ForgetsDummies(Simplex):
    """What ended an iteration is known after a restart: a dummy vote excludes finalize."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        kept = tuple(one for one in recovery.sent if one.message.statement()[0] != END)
        super().__init__(context, replace(recovery, sent=kept))


class NeverAsks(Simplex):
    """Who lacks a notarization asks for it."""

    def _ask_missing(self) -> None:
        pass


class NeverSaysWhy(Simplex):
    """Who is still in an earlier iteration is shown what ended it."""

    def _tell_what_ended(self, peer: int) -> None:
        pass

    def _say_again(self) -> None:
        for phase in (PROPOSE, VOTE, END):
            said = self.said(phase, (self.iteration,))
            if said is not None and self.me is not None:
                self.broadcast(said)


class TimesOutOnce(Simplex):
    """What was said is said again until the iteration ends."""

    def _say_again(self) -> None:
        pass


class NeverFires(Simplex):
    """(1): the timer's vote for the dummy block."""

    def may_vote_dummy(self) -> bool:
        return False


class NeverWaitsLonger(Simplex):
    """Timers grow until messages come in time."""

    def timeout_ms(self) -> int:
        return self.parameters["timeout_ms"]


class NeverFetches(Simplex):
    """A missing value is fetched."""

    def fetch_missing(self) -> None:
        pass


class NeverSleeps(Simplex):
    """An idle ledger is quiet."""

    def awaits_decision(self) -> bool:
        return True


class AccusesAnyRepetition(Simplex):
    """Evidence is two different values of one phase and slot."""

    def count(self, signed: Signed) -> None:
        if self.tally.add(signed) is None and self.tally.count(*signed.message.statement()) > 1:
            self.accuse(signed, signed)
