"""From committed leaders to decided values: which blocks, in which order, with which payload.

    value <- value <- value        one for each block of a sub-DAG that brings anything new; each
                                   is the child of the one before, whatever leader it came with

All of this is a function of the committed leaders and of the values decided last, so that every
validator makes the same values of the same leaders, also one that only now learns of them.
"""

from __future__ import annotations

from consensus.interface import Root
from consensus.protocols.mysticeti_dag import Dag
from consensus.protocols.mysticeti_messages import Block, Place, encode_place, parse_place
from ledger.statement import Slot
from ledger.value import Value

FIRST_SLOT: Slot = (1, 0)


class Order:
    """Where one validator stands in the sequence of leaders, and what was decided last."""

    def __init__(
        self, epoch: bytes, size: int, faults: int, window: int, *, height: int = 0
    ) -> None:
        """At an epoch that begins after this height."""
        self._epoch = epoch
        self._size = size
        self._faults = faults
        self._window = window
        """A block's payload counts while at most so many values follow the one it builds on."""
        self.past: tuple[Value, ...] = ()
        """The last decided values, at most `window`, the root last."""
        self.next = FIRST_SLOT
        """The slot of the next leader; the root's own where not all its sub-DAG may be decided."""
        self.passed: tuple[int, ...] = ()
        """By validator: the last round whose block is in the sub-DAG of an earlier leader."""
        self.known_leader = b""
        """Digest of the next leader where the root says that it is committed; else empty."""
        self.floor: tuple[int, ...] = ()
        """`passed` as it was before the root's leader: what whoever knows the root starts from."""
        self._after: Slot = (0,)
        """(round, author) up to which the next leader's sub-DAG is decided."""
        self._named: dict[bytes, None] = {}
        """Payload of the last decided values."""
        self._recent: dict[bytes, int] = {}
        """What a block may build on whose payload counts, and its height."""
        self.height = height
        """Of the last decided value: each makes a block of the ledger."""
        self.stand_at((), height)

    def stand_at(self, past: tuple[Value, ...], height: int) -> None:
        """Go on after the last of these values, the last that were decided, at this height.

        Raises DecodeFault.
        """
        self.remember(past, height)
        if past:
            place = parse_place(past[-1])
            self.next, self._after = past[-1].slot[:2], past[-1].slot[2:]
            self.passed, self.known_leader = place.passed, place.leader
        else:
            self.next, self._after = FIRST_SLOT, (0,)
            self.passed, self.known_leader = (0,) * self._size, b""
        self.floor = self.passed

    def fresh(self, block: Block) -> tuple[bytes, ...]:
        """What of a block's payload its commit would decide now.

        Nothing twice, and nothing of a block that builds on a value too far back: by then nobody
        may know any more what was decided since, and its batches may be out of their window.
        """
        if not self.is_recent(block):
            return ()
        return tuple(payload for payload in block.value.payload if payload not in self._named)

    def is_waiting(self, block: Block) -> bool:
        """Whether a block may yet bring something to the ledger."""
        if block.round <= self.passed[block.author] or not self.is_recent(block):
            return False
        return any(payload not in self._named for payload in block.value.payload)

    def is_recent(self, block: Block) -> bool:
        """Whether a block builds on one of the last decided values, and says which one it is."""
        return self._recent.get(block.value.parent) == block.base_height

    def is_ahead(self, block: Block) -> bool:
        """Whether a block builds on what is not decided here yet, as it says."""
        return block.base_height > self.height

    def brings_nothing(self, block: Block) -> bool:
        """Whether no commit from here on will decide anything of a block's payload.

        What it builds on is too far back, or is not what was decided at the height that it gives:
        both follow from the sequence of decided values alone, and stay so.
        """
        return not (self.is_ahead(block) or self.is_recent(block))

    def height_of(self, base: bytes) -> int:
        """The height of one of the last decided values, or of the epoch's beginning."""
        return self._recent[base]

    def in_order(self, blocks: list[Block]) -> list[Block]:
        """The order inside a sub-DAG: by round, then by author; one block of each."""
        chosen: dict[Slot, Block] = {}
        for block in sorted(blocks, key=lambda block: (block.round, block.author, block.digest)):
            chosen.setdefault((block.round, block.author), block)
        return list(chosen.values())

    def timestamp_ms(self, ordered: list[Block]) -> int:
        """The time of a sub-DAG: of its authors' last blocks the f+1st latest.

        So an honest clock showed it or a later time, however far ahead f others are.  Of f authors
        or fewer nothing is believed: that is zero, and the ledger's time goes on by itself.
        """
        last = {block.author: block.value.timestamp_ms for block in ordered}
        latest = sorted(last.values(), reverse=True)
        return latest[self._faults] if len(latest) > self._faults else 0

    def commit(self, slot: Slot, leader: Block, dag: Dag) -> tuple[Value, ...]:
        """The values that a committed leader's sub-DAG decides, perhaps none.

        While the ledger has no time yet, one that cannot give it any, such as that of a leader of
        round 1, whose block refers to nothing, is left to the next leader's.
        """
        blocks = dag.history(leader, self.passed)
        place = Place(leader.digest, self.passed)
        ordered = self.in_order(blocks)
        time_ms = self.timestamp_ms(ordered)
        if not (self.past or time_ms):
            self._go_to_next(slot)
            return ()
        values = []
        for block in ordered:
            position = (block.round, block.author)
            payload = self.fresh(block)
            if payload and position > self._after:
                values.append(self._value(block, payload, (*slot, *position), time_ms, place))
        if values:
            self.floor = self.passed
        passed = list(self.passed)
        for block in blocks:
            passed[block.author] = max(passed[block.author], block.round)
        self.passed = tuple(passed)
        self._go_to_next(slot)
        return tuple(values)

    def skip(self, slot: Slot) -> None:
        """This slot decides nothing."""
        self._go_to_next(slot)

    def _go_to_next(self, slot: Slot) -> None:
        self.next, self._after, self.known_leader = (slot[0], slot[1] + 1), (0,), b""

    def _value(
        self, block: Block, payload: tuple[bytes, ...], slot: Slot, time_ms: int, place: Place
    ) -> Value:
        parent = self.past[-1].digest if self.past else b""
        extra = encode_place(place)
        value = Value(self._epoch, parent, slot, block.author, time_ms, payload, extra)
        self.remember((*self.past, value), self.height + 1)
        return value

    def remember(self, past: tuple[Value, ...], height: int) -> None:
        """These values were decided last, the last of them at this height."""
        self.past, self.height = past[-self._window :], height
        self._named = {payload: None for value in self.past for payload in value.payload}
        first = height - len(self.past)
        self._recent = {value.digest: first + n for n, value in enumerate(self.past, 1)}
        if len(self.past) < self._window:
            self._recent[self._epoch] = first


def place_of_root(root: Root, known: dict[bytes, Value], window: int) -> tuple[list[Value], bytes]:
    """(what is known of the last values up to the root, oldest first; the first unknown digest)."""
    found: list[Value] = []
    digest = root.value
    while digest and len(found) < window:
        value = known.get(digest)
        if value is None:
            return found[::-1], digest
        found.append(value)
        digest = value.parent
    return found[::-1], b""
