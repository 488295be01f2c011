"""PBFT with one rule broken, each; a rule is tested when its mutant is caught."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.interface import DecisionProof
from consensus.protocols.pbft import Pbft
from consensus.protocols.pbft_messages import (
    COMMIT,
    VIEW_CHANGE,
    NewView,
    Report,
    ViewChange,
)
from consensus.protocols.pbft_record import Record
from consensus.tally import Tally
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value
from tests.consensus.mutants_tendermint import MessageCounter

# --- safety ---------------------------------------------------------------------------------------


class SmallQuorum(Pbft):
    """Z1: 2f votes are enough."""

    @property
    def quorum(self) -> int:
        return self.validators.quorum - 1

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class CountsMessages(Pbft):
    """Z2: votes are counted by message, not by signer."""

    def make_tally(self) -> Tally:
        return MessageCounter()


class IgnoresPrepared(Pbft):
    """Z14: a new view assigns nothing again."""

    def choose(self, reports: Sequence[Report]) -> dict[int, tuple[int, int, bytes]]:
        return {}


class OmitsPrepared(Pbft):
    """Z15: a view change does not say what was prepared."""

    def claims(self) -> tuple[Certificate, ...]:
        return ()


class PicksLowest(Pbft):
    """Z16: a new view assigns again what was prepared in the lowest view."""

    def choose(self, reports: Sequence[Report]) -> dict[int, tuple[int, int, bytes]]:
        claims = sorted((claim for report in reports for claim in report.claims), reverse=True)
        return {claim[0]: claim for claim in claims}


class ChangesOnFew(Pbft):
    """Z17: f+1 view changes open a view."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        few = validators.faults + 1
        return few if phase == VIEW_CHANGE else validators.quorum


class ForgetsPrepared(Pbft):
    """Z19: what was prepared is not durable."""

    def remember(self) -> None:
        self.persist(Record(self.new_view, (), ()).encode())


class CommitsAfterLeaving(Pbft):
    """Section 4.4: whoever asks for the next view commits nothing in this one any more."""

    def may_commit(self, sequence: int) -> bool:
        is_first = self.said(COMMIT, (sequence, self.view)) is None
        return is_first and self.is_in_window(sequence)


class BelievesNewView(Pbft):
    """Section 4.4: a new-view proves what it claims."""

    def is_proven(self, new_view: NewView) -> bool:
        return True


class DecidesOnPrepared(Pbft):
    """Section 4.2: only commits decide."""

    def find_commit(self, sequence: int) -> Certificate | None:
        return super().find_commit(sequence) or self.prepared_certificate(sequence)


class HandsOverAny(Pbft):
    """A value whose predecessor was replaced orders nothing."""

    def amounts_to(self, sequence: int, value: Value | None, before: bytes) -> Value:
        return value if value is not None else super().amounts_to(sequence, value, before)


class BelievesDecisions(Pbft):
    """A peer's decision is judged by its proof."""

    def is_commit(self, value: Value, proof: DecisionProof) -> bool:
        proven = Certificate(COMMIT, proof.certificates[0].slot, value.digest, ())
        self.log.learn_certificate(proven)
        return True


class NeverValidates(Pbft):
    """Section 4.2: only a valid value is prepared."""

    def _is_valid(self, value: Value) -> bool | None:
        return True


class AcceptsAny(Pbft):
    """A fresh value stands on the one before it."""

    def may_accept(self, value: Value, before: bytes) -> bool:
        return super().may_accept(value, value.parent)


class IgnoresWindow(Pbft):
    """Section 4.2: numbers stay between the water marks."""

    def is_in_window(self, sequence: int) -> bool:
        return sequence > self.last


# --- liveness -------------------------------------------------------------------------------------


class BelievesBases(Pbft):
    """What a view change names as decided is believed once it is decided here, too."""

    def is_usable(self, change: ViewChange) -> bool:
        return True


class NeverSendsAgain(Pbft):
    """Whatever may be lost is sent again."""

    def _say_again(self) -> None:
        pass


class NeverGrows(Pbft):
    """L8, section 4.5.2: the timer doubles."""

    def timeout_ms(self) -> int:
        return self.parameters["timeout_ms"]


class JudgesForEver(Pbft):
    """L12: what earlier views assigned and this one does not is judged no more."""

    def leave_unjudged(self) -> None:
        pass


class NeverJoins(Pbft):
    """L2, section 4.5.2: f+1 that ask for a later view are joined."""

    def view_to_join(self) -> int:
        return 0


class NeverHelps(Pbft):
    """Whoever asks again for a view that is over is shown the way on."""

    def _help(self, sender: int, change: ViewChange) -> None:
        pass


class NeverReminds(Pbft):
    """Whoever votes again on what is decided is sent the certificate."""

    def _remind(self, sender: int, phase: str, sequence: int) -> None:
        pass


class AnswersAlways(Pbft):
    """Who asks again is answered once in half a retry."""

    def may_answer(self, peer: int, what: Slot) -> bool:
        return True


class NeverFetches(Pbft):
    """Section 4.4: a request that is missing is obtained from another."""

    def fetch(self, value: bytes) -> None:
        pass


class OffersNothing(Pbft):
    """What was voted for can be had from whoever voted, also after a restart."""

    def offer(self, value: Value) -> None:
        pass


class WaitsForNewView(Pbft):
    """L9, section 4.4: the timer runs for the next primary, too."""

    def may_lose_patience(self) -> bool:
        return not self.is_changing


class NeverSuspects(Pbft):
    """A primary that leaves a batch unordered is replaced, although others are ordered."""

    def is_overdue(self, oldest_age: int) -> bool:
        return False


class NeverRests(Pbft):
    """An idle ledger is quiet."""

    def has_work(self) -> bool:
        return True
