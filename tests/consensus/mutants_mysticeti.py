"""Mysticeti without one of its rules, one override each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from consensus.interface import AnyCertificate, Context, Message, Recovery, Root
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_dag import Dag
from consensus.protocols.mysticeti_inbox import Waiting
from consensus.protocols.mysticeti_messages import Block, Parent
from consensus.protocols.mysticeti_order import Order
from consensus.protocols.mysticeti_rules import WAVE, Decided
from ledger.statement import Slot
from ledger.value import Value


class TakesFewParents(Mysticeti):
    """A block refers to 2f+1 blocks of the round before."""

    def has_quorum_of_parents(self, block: Block) -> bool:
        return True


class CertifiesByTwo(Mysticeti):
    """Certificate pattern: 2f+1 votes."""

    def is_certificate(self, block: Block, slot: Slot, leader: bytes) -> bool:
        votes = self.dag.votes(slot, leader).blocks.intersection(block.parents.strong.values())
        return len(votes) >= self.quorum - 1


class CommitsByOne(Mysticeti):
    """Direct rule: 2f+1 certificates, not one."""

    def may_commit(self, slot: Slot, leader: Block) -> bool:
        deciders = self.dag.at(leader.round + WAVE - 1)
        return any(self.is_certificate(each, slot, leader.digest) for each in deciders)


class CountsBlocks(Mysticeti):
    """Direct rule: certificates of 2f+1 validators, whatever an equivocator makes."""

    def may_commit(self, slot: Slot, leader: Block) -> bool:
        deciders = self.dag.at(leader.round + WAVE - 1)
        return sum(self.is_certificate(b, slot, leader.digest) for b in deciders) >= self.quorum


class SkipsByTwo(Mysticeti):
    """Skip pattern: 2f+1 that do not support the leader's block."""

    def may_skip(self, slot: Slot) -> bool:
        made = self.dag.of(self.leader(slot), slot[0])
        if not made:
            return self.dag.authors(slot[0] + 1) >= self.quorum - 1
        return all(self.others(slot, block.digest) >= self.quorum - 1 for block in made)


class AnchorsTooSoon(Mysticeti):
    """Indirect rule: the anchor is of a round after the slot's decision round."""

    def may_anchor(self, later: Slot, slot: Slot) -> bool:
        return later[0] >= slot[0] + WAVE - 1


class LooksBesideTheAnchor(Mysticeti):
    """Indirect rule: only the anchor's history counts."""

    def decide_from(self, anchor: Block, slot: Slot, passed: tuple[int, ...]) -> Decided:
        for block in self.dag.of(self.leader(slot), slot[0]):
            deciders = self.dag.at(slot[0] + WAVE - 1)
            if any(self.is_certificate(each, slot, block.digest) for each in deciders):
                return Decided(slot, block)
        return Decided(slot, None)


class LeapsOverAnchors(Mysticeti):
    """Indirect rule: the first anchor that is not skipped, also where it is undecided yet."""

    def decide_indirectly(
        self, slot: Slot, later: list[tuple[Slot, Decided | None]], passed: tuple[int, ...]
    ) -> Decided | None:
        known = [(each, status) for each, status in later if status is not None]
        return super().decide_indirectly(slot, known, passed)


class LeapsOverSlots(Mysticeti):
    """Slots are decided in order: an undecided one stops all after it."""

    def decided_from(self, first: Slot, passed: tuple[int, ...]) -> list[Decided]:
        found: list[Decided] = []
        for round_ in range(first[0], (self.dag.rounds or [0])[-1] + 1):
            status = self.decide_directly((round_, 0))
            if status is not None and (round_, 0) >= first:
                found.append(status)
        return found


class _ByArrival(Order):
    def in_order(self, blocks: list[Block]) -> list[Block]:
        return blocks


class OrdersByArrival(Mysticeti):
    """The order inside a sub-DAG follows from the blocks alone."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.order.__class__ = _ByArrival
        history = self.dag.history

        def shuffled(*arguments: Any, **more: Any) -> list[Block]:
            here = [signed.message.statement()[2] for signed in self.dag.everything()]
            return sorted(history(*arguments, **more), key=lambda b: here.index(b.digest))

        self.dag.history = shuffled  # type: ignore[method-assign]


class _ByClock(Order):
    dag: Dag

    def in_order(self, blocks: list[Block]) -> list[Block]:
        horizon = self.dag.rounds[-1] - 2 * WAVE
        return [block for block in super().in_order(blocks) if block.round > horizon]


class ForgetsByItsClock(Mysticeti):
    """How far back a sub-DAG goes follows from what was committed, not from the own round."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.order.__class__ = _ByClock
        self.order.dag = self.dag  # type: ignore[attr-defined]


class JudgesAll(Mysticeti):
    """What brings nothing to the ledger any more need not be judged."""

    def need_not_judge(self, block: Block) -> bool:
        return False


class JudgesTheUnknown(Mysticeti):
    """A block that builds on what is not decided here waits until it is."""

    def must_wait(self, block: Block) -> bool:
        return False


class _TakesAnyHeight(Order):
    def fresh(self, block: Block) -> tuple[bytes, ...]:
        if block.value.parent not in self._recent:
            return ()
        return tuple(payload for payload in block.value.payload if payload not in self._named)


class BelievesHeights(Mysticeti):
    """The payload of a block counts only if it says right at which height it builds."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.order.__class__ = _TakesAnyHeight


class KeepsRefusing(Mysticeti):
    """What was refused is accepted, too, once it brings nothing."""

    def _take_back(self) -> None:
        pass


class _Repeats(Order):
    def fresh(self, block: Block) -> tuple[bytes, ...]:
        return block.value.payload


class OrdersTwice(Mysticeti):
    """A payload that an earlier block brought is not decided again."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.order.__class__ = _Repeats


class _TakesReferences(Dag):
    def lacking(self, parents: Iterable[Parent], passed: Sequence[int]) -> tuple[Parent, ...]:
        beyond = (parent for parent in parents if parent.round > passed[parent.author])
        return tuple(parent for parent in beyond if parent.digest not in self)


class BelievesReferences(Mysticeti):
    """A reference says the author and the round of the block that it names."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.dag.__class__ = _TakesReferences


class AcceptsOrphans(Mysticeti):
    """A block is accepted once its ancestors are."""

    def _may_accept(self, each: Waiting) -> bool:
        return True


class NeverValidates(Mysticeti):
    """A block is accepted once its payload is valid."""

    def on_verdict(self, value: Value, valid: bool) -> None:
        super().on_verdict(value, True)


class ForgetsBlocks(Mysticeti):
    """What an own block refers to is durable before the block leaves."""

    def persist(self, record: bytes) -> None:
        pass


class BelievesDecisions(Mysticeti):
    """A peer's decision is made of the blocks that prove it."""

    def is_told_by(self, values: tuple[Value, ...], said: tuple[Any, ...]) -> bool:
        return True


class KeepsOneTwin(Mysticeti):
    """A peer's decision may be made of either block of an equivocator."""

    def is_told_by(self, values: tuple[Value, ...], said: tuple[Any, ...]) -> bool:
        one_each = {(each.message.round, each.sender): each for each in said}
        return super().is_told_by(values, tuple(one_each.values()))


class ProvesTooSoon(Mysticeti):
    """The rest of a certified root's sub-DAG is decided once there are blocks that prove it."""

    def decide_directly(self, slot: Slot) -> Decided | None:
        if self.order.known_leader and slot == self.order.next:
            leader = self.dag.get(self.order.known_leader)
            return Decided(slot, leader) if leader is not None else None
        return super().decide_directly(slot)


class KeepsUnjudged(Mysticeti):
    """A block that nobody can judge is given up after a while."""

    def is_hopeless(self, each: Waiting) -> bool:
        return False


class LeavesToBeJudged(Mysticeti):
    """A block that is waited for no longer need not be judged, either."""

    def forget(self, root: Root) -> None:
        self.is_forgetting = True
        super().forget(root)
        self.is_forgetting = False

    def dismiss(self, value: Value) -> None:
        if not self.is_forgetting:
            super().dismiss(value)

    is_forgetting = False


class OnlyVotersGiveUp(Mysticeti):
    """Who may not vote gives up a block that nobody can judge, too."""

    def _is_awake(self) -> bool:
        return self.me is not None and super()._is_awake()


class _Latest(Order):
    def timestamp_ms(self, ordered: list[Block]) -> int:
        return max(block.value.timestamp_ms for block in ordered)


class StampsByTheLatest(Mysticeti):
    """What is decided bears a time that f liars have no say in."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.order.__class__ = _Latest


class JudgesEveryTime(Mysticeti):
    """Blocks bring no time of their own, and so wait for no clock."""

    brings_time = True


class AnswersAlways(Mysticeti):
    """A peer is sent a block once in half a timeout."""

    def may_answer(self, peer: int, digest: bytes) -> bool:
        return True


class ProposesTwice(Mysticeti):
    """One block a round, also across restarts."""

    def said(self, phase: str, slot: Slot) -> Message | None:
        return None


class NeverSleeps(Mysticeti):
    """An idle ledger is quiet."""

    def has_work(self) -> bool:
        return True


class NeverWakes(Mysticeti):
    """`on_pending` ends the silence."""

    def on_pending(self, oldest_age: int) -> None:
        pass


class NeverSaysAgain(Mysticeti):
    """The own last block goes out again while there is work."""

    def broadcast(self, what: Message | AnyCertificate) -> None:
        if isinstance(what, Message) and super().said(*what.statement()[:2]) is not None:
            return
        super().broadcast(what)


class NeverAsks(Mysticeti):
    """Who lacks an ancestor asks for it."""

    def tell(self, to: int, hint: bytes) -> None:
        pass


class WaitsForLeaders(Mysticeti):
    """A leader that does not come is waited for no longer than a timer."""

    def is_timely(self, round_: int) -> bool:
        return self.hasty != -1 and super().is_timely(round_)

    def _try_propose(self) -> None:
        self.hasty = 0
        super()._try_propose()


class NeverWaits(Mysticeti):
    """The next block waits for the leader's, so that honest leaders get their votes."""

    def is_timely(self, round_: int) -> bool:
        return True


class RemembersLooks(Mysticeti):
    """Keeps what its rules looked at for slots that are decided, for as long as their blocks."""

    def forget_looks(self, slot: Slot) -> None:
        """Forget nothing."""
