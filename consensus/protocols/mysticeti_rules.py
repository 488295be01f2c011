"""Mysticeti's decision rules: what a DAG says about its leaders.

Each rule is a method of its own, so that a test can take it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from consensus.interface import Consensus, Context, Recovery
from consensus.leaders import round_robin
from consensus.protocols.mysticeti_dag import Dag
from consensus.protocols.mysticeti_messages import PARENTS_MAX, Block
from ledger.statement import Slot

WAVE = 3
"""Rounds of a wave: propose, vote, certify."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The status of a leader's slot, (round, index of the leader in its round), once it has one."""

    slot: Slot
    leader: Block | None
    """The block to commit; None to skip the slot."""


class Rules(Consensus):
    """The conditions that safety rests on."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        assert self.quorum <= PARENTS_MAX, "mysticeti is for at most 152 validators"
        self.leaders_a_round = max(1, min(self.parameters["leaders"], self.validators.size))
        self.dag = Dag(self.leaders)
        self._certificates: dict[bytes, dict[bytes, bool]] = {}
        """Leader's block -> block -> whether that is a certificate of it."""

    @property
    def quorum(self) -> int:
        """The paper's 2f+1."""
        return self.validators.quorum

    def leader(self, slot: Slot) -> int:
        """Whose block a slot is about: the validators take turns."""
        return round_robin(self.validators.size, sum(slot))

    def leaders(self, round_: int) -> tuple[int, ...]:
        """The leaders of a round, in the order of their slots."""
        return tuple(self.leader((round_, index)) for index in range(self.leaders_a_round))

    def has_quorum_of_parents(self, block: Block) -> bool:
        """A block refers to 2f+1 blocks, of as many validators, of the round before."""
        return block.round == 1 or len(block.parents.strong) >= self.quorum

    # --- patterns ---------------------------------------------------------------------------------

    def supporters(self, slot: Slot, leader: bytes) -> int:
        """How many validators have a block in the next round that votes for this block."""
        return len(self.dag.votes(slot, leader).authors)

    def others(self, slot: Slot, leader: bytes) -> int:
        """How many validators have a block in the next round that does not vote for this block."""
        return len(self.dag.others(slot, leader))

    def is_certificate(self, block: Block, slot: Slot, leader: bytes) -> bool:
        """Certificate pattern: a block refers to votes of 2f+1 validators for the leader's block.

        A block refers to one block of each validator: an equivocator's vote counts once.
        """
        votes = self.dag.votes(slot, leader).blocks.intersection(block.parents.strong.values())
        return len(votes) >= self.quorum

    # --- decisions --------------------------------------------------------------------------------

    def may_skip(self, slot: Slot) -> bool:
        """Direct rule, skip pattern: whatever the leader made, 2f+1 do not vote for it."""
        made = self.dag.of(self.leader(slot), slot[0])
        if not made:
            return self.dag.authors(slot[0] + 1) >= self.quorum
        return all(self.others(slot, block.digest) >= self.quorum for block in made)

    def may_commit(self, slot: Slot, leader: Block) -> bool:
        """Direct rule: 2f+1 validators have a certificate of the leader's block."""
        deciders = self.dag.at(leader.round + WAVE - 1)
        certifiers = {
            each.author for each in deciders if self._certifies(each, slot, leader.digest)
        }
        return len(certifiers) >= self.quorum

    def _certifies(self, block: Block, slot: Slot, leader: bytes) -> bool:
        """The same as `is_certificate`, looked at once: what a block refers to never changes."""
        looked = self._certificates.setdefault(leader, {})
        known = looked.get(block.digest)
        if known is None:
            known = looked[block.digest] = self.is_certificate(block, slot, leader)
        return known

    def forget_looks(self, slot: Slot) -> None:
        """Forget what was looked at for slots before this one, which are decided.

        Their blocks stay until a later value is certified, since others may need them.
        """
        self._certificates = {
            leader: looked
            for leader, looked in self._certificates.items()
            if self.dag.round_of(leader) >= slot[0]
        }
        self.dag.forget_votes(slot[0] + 1)

    def decide_directly(self, slot: Slot) -> Decided | None:
        """What the two rounds after a slot say about it."""
        if self.may_skip(slot):
            return Decided(slot, None)
        for block in self.dag.of(self.leader(slot), slot[0]):
            if self.may_commit(slot, block):
                return Decided(slot, block)
        return None

    def may_anchor(self, later: Slot, slot: Slot) -> bool:
        """Indirect rule: an anchor is of a wave that begins after the slot's wave has ended."""
        return later[0] >= slot[0] + WAVE

    def decide_from(self, anchor: Block, slot: Slot, passed: tuple[int, ...]) -> Decided:
        """Indirect rule: commit the block of which the anchor's history has a certificate."""
        decision_round = slot[0] + WAVE - 1
        history = self.dag.history(anchor, passed, floor=decision_round)
        deciders = [block for block in history if block.round == decision_round]
        for block in self.dag.of(self.leader(slot), slot[0]):
            if any(self._certifies(each, slot, block.digest) for each in deciders):
                return Decided(slot, block)
        return Decided(slot, None)

    def decide_indirectly(
        self, slot: Slot, later: list[tuple[Slot, Decided | None]], passed: tuple[int, ...]
    ) -> Decided | None:
        """What the first anchor that is not skipped says about a slot, once it is decided."""
        for each, status in later:
            if not self.may_anchor(each, slot):
                continue
            if status is None:
                return None
            if status.leader is not None:
                return self.decide_from(status.leader, slot, passed)
        return None

    def decided_from(self, first: Slot, passed: tuple[int, ...]) -> list[Decided]:
        """The slots from the first on that are decided, without a gap, oldest first."""
        rounds = self.dag.rounds
        slots = [
            (round_, index)
            for round_ in range(first[0], rounds[-1] + 1 if rounds else 0)
            for index in range(self.leaders_a_round)
            if (round_, index) >= first
        ]
        later: list[tuple[Slot, Decided | None]] = []
        for slot in reversed(slots):
            status = self.decide_directly(slot)
            if status is None:
                status = self.decide_indirectly(slot, later, passed)
            later.insert(0, (slot, status))
        decided = takewhile(lambda status: status is not None, (status for _, status in later))
        return [status for status in decided if status is not None]
