"""Protocols and leader policies with one rule broken, each, of who leads and what that rests on.

A policy's rules matter where a protocol is led by one that remembers: mutants of Tendermint are
played under `Sticky` unless they say otherwise, which the tests put in (`LEADERS`).
"""

from __future__ import annotations

from consensus.chained import Chained
from consensus.leaders import Agreed, Reputation, Sticky
from consensus.pacemaker_messages import Proposal as PacedProposal
from consensus.protocols.hotstuff import HotStuff
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import Proposal
from consensus.protocols.tendermint_record import Record
from consensus.protocols.tendermint_state import Stage
from ledger.statement import Slot

# --- policies -------------------------------------------------------------------------------------


class Stubborn(Sticky):
    """Leaves the lead to whoever had it, also where it fails."""

    name = "stubborn"

    def leader(self, view: int, agreed: Agreed) -> int | None:
        head = agreed.last
        return head.proposer if head.view else self.by_turns(view)


class NoTurns(Reputation):
    """Carousel to the letter: round robin where a view failed."""

    def by_turns(self, view: int) -> int:
        return view % self.validators.size


# --- Tendermint -----------------------------------------------------------------------------------


class ReadsOwnRound(Tendermint):
    """Moves the lead on by the round of its own certificate: another's may be of another round."""

    LEADERS = Sticky

    def leader(self, slot: Slot) -> int | None:
        leader, commit = super().leader(slot), self.last_commit
        if leader is None or commit is None or slot[0] != self.instance:
            return leader
        return (leader + commit.slot[1]) % self.validators.size


class Obeys(Tendermint):
    """Waits for the same leader for ever."""

    LEADERS = Stubborn


class GuessesTheLeader(Tendermint):
    """Takes turns where it does not know who leads."""

    LEADERS = Sticky

    def leader(self, slot: Slot) -> int | None:
        leader = super().leader(slot)
        return sum(slot) % self.validators.size if leader is None else leader


class TakesBorrowedNames(Tendermint):
    """Believes what a value says of who proposed it."""

    LEADERS = Sticky

    def may_come_from(self, sender: int, proposal: Proposal) -> bool:
        return self.proposer(proposal.slot) in (None, sender)


class TakesAnything(Tendermint):
    """Takes a value that says something which no policy reads."""

    def may_carry(self, proposal: Proposal) -> bool:
        return True


class TakesTheWord(Tendermint):
    """Believes what a value says of its past."""

    LEADERS = Reputation

    def says_its_past(self, proposal: Proposal) -> bool:
        return True


class ForgetsWhoLed(Tendermint):
    """What policies read is not durable."""

    LEADERS = Reputation

    def remember(self) -> None:
        self.persist(Record(self.instance, self.round, self.lock, self.valid).encode())


class NeverDistrusts(Tendermint):
    """Leaves the lead to who leaves a batch out."""

    LEADERS = Sticky

    def distrusts_leader(self) -> bool:
        leader = self.proposer(self.slot)
        return self.round == 0 and leader != self.me and self.leadership.has_failed(leader)


class Forgives(Tendermint):
    """Waits again for a leader whose last round failed."""

    LEADERS = Sticky

    def distrusts_leader(self) -> bool:
        is_overdue = self.leadership.is_overdue(self._oldest_age, self.root.height)
        return self.round == 0 and self.proposer(self.slot) != self.me and is_overdue


class DistrustsAll(Tendermint):
    """Distrusts whoever leads a further round, too, although the lead has passed to another."""

    LEADERS = Sticky

    def distrusts_leader(self) -> bool:
        is_overdue = self.leadership.is_overdue(self._oldest_age, self.root.height)
        return super().distrusts_leader() or (self.round > 0 and is_overdue)


class DistrustsIdly(Tendermint):
    """Says that it distrusts the leader where there is nothing to order."""

    LEADERS = Sticky

    def _rule_distrust(self) -> bool:
        if self.stage != Stage.PROPOSE or not self.distrusts_leader():
            return False
        self._prevote(b"")
        return True


# --- chained protocols ----------------------------------------------------------------------------


class PatientJolteon(Jolteon):
    """Leaves the lead to who leaves a batch out."""

    LEADERS = Sticky

    def on_pending(self, oldest_age: int) -> None:
        Chained.on_pending(self, oldest_age)


class StubbornHotStuff(HotStuff):
    """Waits for the same leader for ever."""

    LEADERS = Stubborn


class NoTurnsHotStuff(HotStuff):
    """Takes turns of one view each where a view failed."""

    LEADERS = NoTurns


class CredulousHotStuff(HotStuff):
    """Believes what a value says of its past."""

    def _says_its_past(self, proposal: PacedProposal) -> bool:
        return True
