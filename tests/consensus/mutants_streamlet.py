"""Streamlet without one of its rules, one override each."""

from __future__ import annotations

from consensus.interface import Context, DecisionProof, Recovery, Signed
from consensus.protocols.streamlet import Streamlet
from consensus.protocols.streamlet_messages import VOTE, Propose
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value
from tests.consensus.mutants_jolteon import _MessageTally


class SmallQuorum(Streamlet):
    """2n/3 votes, and not one less, notarize a block."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class CountsMessages(Streamlet):
    """Votes of 2n/3 *distinct* players."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tally = _MessageTally()


class VotesTwice(Streamlet):
    """(Vote): at most one vote per epoch."""

    def may_vote(self, proposal: Propose) -> bool:
        said = self.said(VOTE, proposal.value.slot)
        is_other = said is None or said.statement()[2] != proposal.value.digest
        return proposal.epoch == self.view and is_other and self.extends_longest(proposal.value)


class VotesInThePast(Streamlet):
    """(Vote): no vote in an epoch below one that was voted in, whatever the clock shows."""

    def may_vote(self, proposal: Propose) -> bool:
        is_first = self.said(VOTE, proposal.value.slot) is None
        return proposal.epoch == self.view and is_first and self.extends_longest(proposal.value)


class VotesForShorter(Streamlet):
    """(Vote): only for a block that extends one of the longest notarized chains."""

    def extends_longest(self, value: Value) -> bool:
        notarized = [each.value for each in self.notarized.values()]
        return value.parent in (self.root.value, *notarized)


class FinalizesThird(Streamlet):
    """(Finalize): the second of the three blocks, not the third."""

    def _try_finalize(self) -> None:
        super()._try_finalize()
        for certificate in list(self.notarized.values()):
            path = self.tree.path(certificate.value)
            if path and len(path) == 1 and certificate.slot[0] == self.root.slot[0] + 1:
                self._decide(path, DecisionProof((certificate,), path[-1:]))


class FinalizesAfterTwo(Streamlet):
    """(Finalize): three consecutive epochs, not two."""

    def may_finalize(self, first: Slot, second: Slot, third: Slot) -> bool:
        return third[0] == second[0] + 1


class BelievesDecisions(Streamlet):
    """A peer's decision is judged by its proof."""

    def _proves(self, values: tuple[Value, ...], proof: DecisionProof) -> bool:
        return True


class ForgetsRecord(Streamlet):
    """What was seen notarized is durable with the vote that rests on it."""

    def persist(self, record: bytes) -> None:
        pass


class NeverShows(Streamlet):
    """Whoever has seen a longer chain shows it: the echo."""

    def _show_longest(self) -> None:
        pass


class NeverFires(Streamlet):
    """Epochs begin, whether or not anything is heard."""

    def keep_time(self) -> None:
        pass


class NeverFetches(Streamlet):
    """A missing value is fetched."""

    def fetch_missing(self) -> None:
        pass


class NeverSleeps(Streamlet):
    """An idle ledger is quiet."""

    def awaits_decision(self) -> bool:
        return True


class KeepsForks(Streamlet):
    """What was notarized below the root is forgotten, forks as well."""

    def _forget(self) -> None:
        kept = dict(self.notarized)
        super()._forget()
        self.notarized = kept


class AwaitsLostFuture(Streamlet):
    """Whose clock was set back forgets what it heard of epochs far ahead."""

    def _forget(self) -> None:
        ahead = {d: each for d, each in self._proposals.items() if each.epoch > self.view}
        super()._forget()
        self._proposals.update(ahead)


class AccusesAnyRepetition(Streamlet):
    """Evidence is two different values of one phase and slot."""

    def count(self, signed: Signed) -> None:
        if self.tally.add(signed) is None and self.tally.count(*signed.message.statement()) > 1:
            self.accuse(signed, signed)
