"""Raft without one of its rules, one override each."""

from __future__ import annotations

from typing import Any

from consensus.interface import Signed
from consensus.protocols.raft import Raft
from consensus.protocols.raft_messages import RequestVote
from consensus.protocols.raft_state import Role
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value


class VotesForAnyLog(Raft):
    """Section 3.6.1: the voter denies its vote if its own log is more up to date."""

    def is_up_to_date(self, last: Slot) -> bool:
        return True


class ComparesLengths(Raft):
    """Section 3.6.1: logs are compared by their last term before their length."""

    def is_up_to_date(self, last: Slot) -> bool:
        return last[1] >= self.last[1]


class VotesTwice(Raft):
    """Figure 3.1: a server votes for at most one candidate in a term."""

    def may_vote(self, request: RequestVote, candidate: int) -> bool:
        return request.term == self.term and self.is_up_to_date(request.last)


class FollowsOldLeaders(Raft):
    """Section 3.5: a server refuses entries of a term that is over."""

    def on_message(self, signed: Signed) -> None:
        message: Any = signed.message
        if message.term < self.term and not isinstance(message, RequestVote):
            self.term = message.term
        super().on_message(signed)


class LeadsByItself(Raft):
    """Section 3.4: only votes of a quorum make a leader."""

    def is_elected(self) -> bool:
        return self.role is Role.CANDIDATE


class CountsOneTooFew(Raft):
    """Section 3.5: an entry is committed once a quorum has stored it."""

    @classmethod
    def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
        return validators.quorum - 1


class ForgetsItsLog(Raft):
    """Figure 3.1: the log is on stable storage before the response leaves."""

    def persist(self, record: bytes) -> None:
        pass


class AcceptsAnywhere(Raft):
    """Section 3.5: an entry is stored where it goes on with what is there."""

    def may_accept(self, value: Value) -> bool:
        return True


class CutsItsLog(Raft):
    """Section 3.5: what follows an entry stays unless an entry contradicts it."""

    def is_further(self, value: Value) -> bool:
        return True


class NeverStands(Raft):
    """Section 3.4: a server whose election timer ends becomes a candidate."""

    def _stand(self) -> None:
        self._update_term(self.term)


class NeverAsksAgain(Raft):
    """Section 3.5: requests are sent again until they are answered."""

    def _say_again(self) -> None:
        pass


class TakesItsOwn(Raft):
    """A leader's entry is in its log once it is in another one."""

    def is_welcome(self, value: Value) -> bool:
        return True


class LeadsForEver(Raft):
    """Section 6.2: a leader that finds no quorum in time makes way."""

    def _step_down(self) -> None:
        pass


class TimerOfEveryTerm(Raft):
    """Figure 3.1: only the leader, or a vote, puts off the next election.

    A server with a log behind the others' and a fast clock stands for ever otherwise.
    """

    def _update_term(self, term: int) -> None:
        super()._update_term(term)
        self._stop("election")


class OneTimeForAll(Raft):
    """Section 3.4: election timeouts are drawn, so that votes are not split for ever."""

    def _election_ms(self) -> int:
        return self.parameters["election_ms"]
