"""What a validator of Mysticeti remembers: what is durable, and where it stands in the order."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.interface import Context, DecisionProof, Recovery, Root, Signed
from consensus.protocols.mysticeti_inbox import Inbox, Waiting
from consensus.protocols.mysticeti_messages import (
    BLOCK,
    Block,
    Parent,
    parse_place,
)
from consensus.protocols.mysticeti_order import FIRST_SLOT, place_of_root
from consensus.protocols.mysticeti_record import Record, parse_record
from consensus.protocols.mysticeti_rules import WAVE, Decided
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import Value

DOUBLINGS_MAX = 20


class State(Inbox):
    """Blocks in memory and on disk."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.decided: dict[bytes, Value] = {}
        """Decided values that may be needed to find our place."""
        self.fetching: dict[bytes, None] = {}
        self.has_place = not self.root.value
        self.certified = b""
        self.pending = False
        """Whether there may be something to order: from `on_pending` until a decision."""
        self.woken = False
        """Whether `on_pending` came since a payload was asked for."""
        self.asked: Slot | None = None
        """The round for which a payload was asked."""
        self.hasty = 0
        """The round in which nothing is waited for any more."""
        self.timer: Slot | None = None
        self.awaited: Block | None = None
        """A block that would bring something to the ledger, when it was last looked for."""
        self.committed = self.root.slot[0]
        """The last round of which a leader was committed."""
        self.last_own = 0
        """The last round of which this validator signed a block."""
        self.base_asked: tuple[bytes, int] = (b"", 0)
        """What the payload that was asked for builds on, and its height."""
        self._recover(recovery)

    # --- restarts ---------------------------------------------------------------------------------

    def _recover(self, recovery: Recovery) -> None:
        """Take over what was durable."""
        blocks: list[Signed] = []
        if recovery.record is not None:
            record = parse_record(recovery.record)
            self.certified = record.certified
            self.decided = {value.digest: value for value in record.past}
            blocks += record.signed()
        blocks += sorted(recovery.sent, key=lambda signed: signed.message.statement()[1])
        for signed in blocks:
            block = signed.message
            assert isinstance(block, Block)
            if signed.sender == self.me:
                self.last_own = max(self.last_own, block.round)
            self.waiting[block.digest] = Waiting(signed, block, is_valid=True)
        if self.find_place():
            self.accept_all()

    def remember(self) -> None:
        """Make durable what later blocks may refer to, in one batch with what this step says."""
        record = Record(self.certified, self.order.past, self.dag.rows())
        self.persist(record.encode())

    # --- our place in the order -------------------------------------------------------------------

    def lose_place(self) -> None:
        """The root is one that others decided."""
        self.has_place = False
        self.fetching = {}

    def find_place(self) -> bool:
        """Whether it is known where the root stands in the DAG; else ask for the values before."""
        if self.has_place:
            return True
        past, unknown = place_of_root(self.root, self.decided, self.window)
        if unknown:
            if unknown not in self.fetching:
                self.fetching[unknown] = None
                self.fetch(unknown)
            return False
        self.order.stand_at(tuple(past), self.root.height)
        self.decided = {value.digest: value for value in past}
        self.fetching = {}
        self.has_place = self.may_decide = True
        if self.certified == self.root.value:
            self.forget(self.root)
        return True

    def learn_decided(self, value: Value) -> None:
        """Keep a value that leads to the root, for us and for others."""
        self.fetching.pop(value.digest, None)
        self.decided[value.digest] = value
        self.offer(value)
        while len(self.decided) > 2 * self.window:
            del self.decided[next(iter(self.decided))]

    def decide_directly(self, slot: Slot) -> Decided | None:
        """A certified root's own leader is committed, whatever the blocks here say by now.

        Not before 2f+1 blocks of its round are here: with fewer the proof is none for anybody.
        """
        if self.order.known_leader and slot == self.order.next:
            leader = self.dag.get(self.order.known_leader)
            is_proof = leader is not None and leader.round <= self.clock()
            return Decided(slot, leader) if is_proof else None
        return super().decide_directly(slot)

    def forget(self, root: Root) -> None:
        """Drop blocks that no later decision needs, now that this root is certified."""
        value = self.decided.get(root.value)
        if value is None:
            return
        passed = parse_place(value).passed
        self.dag.prune(passed)
        self.forget_looks(self.order.next)
        for digest, each in list(self.waiting.items()):
            if each.block.round <= passed[each.block.author]:
                self.give_up(digest)
        for digest, each in list(self.refused.items()):
            if each.block.round <= passed[each.block.author]:
                del self.refused[digest]

    # --- what the rest asks -----------------------------------------------------------------------

    def awaits_decision(self) -> bool:
        """Whether a block is accepted that would bring something to the ledger."""
        if self.awaited is None or not self.order.is_waiting(self.awaited):
            self.awaited = next(filter(self.order.is_waiting, self.dag.laden()), None)
        return self.has_place and self.awaited is not None

    def named(self) -> dict[bytes, None]:
        """The payload that accepted blocks would bring: another block need not name it again."""
        waiting = (block for block in self.dag.laden() if self.order.is_waiting(block))
        return {payload: None for block in waiting for payload in block.value.payload}

    def base(self, parents: tuple[Parent, ...]) -> bytes:
        """The value that a block with these parents builds on: whoever has them has decided it.

        Where a payload awaits its decision, an earlier one: the replica delays what follows the
        last value, and others must not wait for that.
        """
        past = self.order.past
        if not past:
            return self.context.epoch
        named = {parent.digest for parent in parents}
        if all(tip in named for tip in self.dag.tips):
            return past[-2:][0].digest if self.awaits_decision() else past[-1].digest
        is_recent = any(value.digest == self.certified for value in past)
        return self.certified if is_recent else past[-1].digest

    def proof(self) -> DecisionProof:
        """All blocks that a validator may need which knows the root, and no more."""
        passed = self.order.floor
        blocks = (
            signed
            for signed in self.dag.everything()
            if passed[signed.sender] < signed.message.statement()[1][0] <= self.clock()
        )
        return DecisionProof((), (), tuple(blocks))

    def is_told_by(self, values: tuple[Value, ...], said: tuple[Signed, ...]) -> bool:
        """Whether decided values are made of these blocks, whatever is committed of them."""
        blocks = [signed.message for signed in said if isinstance(signed.message, Block)]
        made: dict[Slot, list[Block]] = {}
        for block in blocks:  # More than one of an equivocator.
            made.setdefault((block.round, block.author), []).append(block)
        for value in values:
            if len(value.slot) != len(FIRST_SLOT) + 2 or not _names_leader(value, blocks):
                return False
            if not any(_is_made_of(value, each) for each in made.get(value.slot[2:], ())):
                return False
        return True

    def timeout_ms(self) -> int:
        """Doubles with every round since the last committed leader beyond those that one takes."""
        late = max(0, self.clock() - self.committed - WAVE)
        doubled = self.parameters["timeout_ms"] << min(late, DOUBLINGS_MAX)
        return min(doubled, self.parameters["timeout_max_ms"])

    def say_again(self) -> None:
        """The own last block: whoever has it knows what it refers to, and asks for that."""
        said = self.said(BLOCK, (self.last_own,))
        if said is not None:
            self.broadcast(said)


def _names_leader(value: Value, blocks: Iterable[Block]) -> bool:
    """Whether a value that a peer calls decided says that one of these blocks leads it."""
    try:
        leader = parse_place(value).leader
    except DecodeFault:
        return False
    return any(block.digest == leader for block in blocks)


def _is_made_of(value: Value, block: Block) -> bool:
    """Whether a value that a peer calls decided brings nothing that this block does not."""
    return value.proposer == block.author and set(value.payload) <= set(block.value.payload)
