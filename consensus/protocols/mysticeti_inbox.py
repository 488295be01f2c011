"""Blocks on their way into the DAG: those that wait for ancestors or a verdict, and whom to ask.

A block is accepted once its ancestors are accepted, or passed for good, and its payload is valid,
or can bring nothing to the ledger any more: then all honest validators accept it, sooner or later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.answers import Answers
from consensus.interface import Context, Recovery, Signed
from consensus.protocols.mysticeti_messages import (
    BLOCK,
    WANTED_MAX,
    Block,
    Parent,
    encode_want,
    parse_want,
)
from consensus.protocols.mysticeti_order import Order
from consensus.protocols.mysticeti_rules import Rules
from ledger.errors import DecodeFault

WINDOW_MAX = 32
"""Decided values for which a block's payload counts after the one it builds on."""
BLOCKS_AHEAD = 64
"""How many rounds above the own one blocks are kept that wait for ancestors."""
TWINS_MAX = 2
"""Blocks of one validator and round that are kept unasked."""
ASKED_MAX = 12
"""After so many timers an ancestor that nobody has, or a block that nobody can judge, is given up,
with all that waits for it.  Whoever accepted it refers to it again, and then it is asked for."""
REFUSED_MAX = 256


@dataclass(slots=True)
class Waiting:
    """A block that is not accepted yet."""

    signed: Signed
    block: Block
    is_valid: bool | None = None
    is_judged: bool = False
    """Whether a verdict was asked for."""
    is_ahead: bool = False
    """Whether it builds on what was not decided here when it was last looked at."""
    timers: int = 0
    """How many fired since it has all its ancestors."""
    lacks: tuple[Parent, ...] | None = None
    """Parents that were not accepted when they were last looked at; None before that."""
    place: tuple[int, int] = field(init=False)
    """(round, author): the order in which blocks are accepted."""

    @property
    def awaits_verdict(self) -> bool:
        return self.is_judged and self.is_valid is None

    @property
    def is_unsettled(self) -> bool:
        """Whether it has all its ancestors, and waits for more."""
        return self.is_ahead or self.awaits_verdict

    def __post_init__(self) -> None:
        self.place = (self.block.round, self.block.author)


class Inbox(Rules):
    """What was received, until it is accepted."""

    brings_time = False

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.window = self.ordering_lag(context.batch_window)
        self.order = Order(
            context.epoch,
            self.validators.size,
            self.validators.faults,
            self.window,
            height=self.root.height,
        )
        self.waiting: dict[bytes, Waiting] = {}
        self.refused: dict[bytes, Waiting] = {}
        """Invalid blocks.  What refers to one waits until its round is passed, or it can bring
        nothing: for whoever is ahead it is so already, and all must accept the same in the end."""
        self.missing: dict[bytes, int] = {}
        """Ancestors that were asked for, and how often."""
        self._answers = Answers(self.parameters["timeout_ms"] // 2)
        self.heard: list[int] = [0] * self.validators.size
        """By validator: the last round of which a block was accepted."""
        self.on_its_way: bytes = b""
        """Digest of an own block that has not come back yet."""
        self.may_decide = True
        """Whether a block was accepted since the last look at the rules that may matter to them:
        they count quorums of rounds."""
        self.tries = 0
        """Timers that fired since there was progress, or `on_pending`."""
        self._clock = 0

    @classmethod
    def ordering_lag(cls, batch_window: int) -> int:
        return max(1, min(WINDOW_MAX, batch_window // 2))

    def clock(self) -> int:
        """The last round of which 2f+1 validators' blocks are accepted."""
        return self._clock

    def follows_own(self) -> bool:
        """Whether a next block can refer to the own last one, which comes back once durable."""
        waits = any(each.block.author == self.me for each in self.waiting.values())
        return not (self.on_its_way or waits)

    def is_missing_any(self) -> bool:
        """Whether a block waits for ancestors that are to be asked for again, or for a verdict."""
        return bool(self.missing) or any(each.is_unsettled for each in self.waiting.values())

    def is_expected(self, author: int, round_: int) -> bool:
        """Whether a block of this validator and round is worth waiting for."""
        return self.heard[author] >= round_ - self.validators.size - 1

    # --- received --------------------------------------------------------------------------------

    def receive(self, signed: Signed, *, twins_max: int = TWINS_MAX) -> bool:
        """Keep a block, unless it is none or here; whether it was kept.

        Unless it was asked for, of one validator and round no more than `twins_max` are kept.
        """
        block = signed.message
        assert isinstance(block, Block)
        digest = block.digest
        if digest in self.dag or digest in self.waiting or digest in self.refused:
            return False
        if not self._is_block(signed.sender, block):
            self.note("refused", reason="mysticeti.block", phase=BLOCK)
            return False
        twins = self._twins(block)
        for twin in twins[:1]:
            self.accuse(twin, signed)
        is_asked = digest in self.missing
        is_near = block.round <= max(self.clock(), self.root.slot[0]) + BLOCKS_AHEAD
        is_passed = block.round <= self.order.passed[block.author]
        if is_passed or not (is_asked or (is_near and len(twins) < twins_max)):
            return False
        self.missing.pop(digest, None)
        if digest == self.on_its_way:
            self.on_its_way = b""
        mine = signed.sender == self.me
        self.waiting[digest] = Waiting(
            signed, block, is_valid=True if mine or not block.value.payload else None
        )
        return True

    def _is_block(self, sender: int, block: Block) -> bool:
        """Whether a message is a block as an honest validator makes them."""
        # Parents stand in the order of their authors.
        last = block.parents[-1].author if block.parents else 0
        return (
            sender == block.author
            and block.value.epoch == self.context.epoch
            and last < self.validators.size
            and self.has_quorum_of_parents(block)
        )

    def _twins(self, block: Block) -> list[Signed]:
        """Other blocks of the same validator and round."""
        accepted = [self.dag.signed(each.digest) for each in self.dag.of(block.author, block.round)]
        place = (block.round, block.author)
        waiting = [each.signed for each in self.waiting.values() if each.place == place]
        return [signed for signed in (*accepted, *waiting) if signed is not None]

    def judge(self, digest: bytes, valid: bool) -> bool:
        """Take a verdict; whether anybody waited for it."""
        each = self.waiting.get(digest)
        if each is None or each.is_valid is not None:
            return False
        if valid:
            each.is_valid = True
        else:
            self._refuse(digest)
        return True

    def _refuse(self, digest: bytes) -> None:
        self.note("refused", reason="mysticeti.payload", phase=BLOCK)
        self.refused[digest] = each = self.waiting.pop(digest)
        each.is_valid = False
        if len(self.refused) > REFUSED_MAX:
            del self.refused[next(iter(self.refused))]

    def validate_again(self) -> None:
        """A new root ends the judgement of values of earlier slots: they still are to be judged."""
        for each in self.waiting.values():
            if each.awaits_verdict and each.block.value.slot <= self.root.slot:
                self.validate(each.block.value)

    def accept_all(self) -> bool:
        """Accept what has all its ancestors and is valid; true, for the rules come next.

        Ancestors are of earlier rounds, so that one look at each is enough.
        """
        self._take_back()
        for digest, each in sorted(self.waiting.items(), key=lambda item: item[1].place):
            if self._may_accept(each):
                del self.waiting[digest]
                self._accept(each.signed, each.block)
        return True

    def _may_accept(self, each: Waiting) -> bool:
        missing = self._ancestors_missing(each)
        if missing:
            self._ask(each.block.author, missing)
            return False
        each.is_ahead = each.is_valid is None and self.must_wait(each.block)
        if each.is_valid is not True and self.need_not_judge(each.block):
            if each.awaits_verdict:
                self.dismiss(each.block.value)
            return True
        if each.is_valid is None and not (each.is_judged or each.is_ahead):
            each.is_judged = True
            self.validate(each.block.value)
        return each.is_valid is True

    def must_wait(self, block: Block) -> bool:
        """Whether a block cannot be judged yet: who made it decided what it builds on.

        A liar's may build on what nobody decides, and only some have heard of.
        """
        return self.order.is_ahead(block)

    def need_not_judge(self, block: Block) -> bool:
        """Whether a block brings nothing, valid or not: perhaps nobody can judge it any more."""
        return self.order.brings_nothing(block)

    def _take_back(self) -> None:
        """A block that was refused and brings nothing by now is accepted, if one refers to it."""
        if not self.refused:
            return
        lacked = {digest for each in self.waiting.values() for digest in each.block.parents.named}
        for digest, each in list(self.refused.items()):
            if digest in lacked and self.need_not_judge(each.block):
                self.waiting[digest] = self.refused.pop(digest)

    def _ancestors_missing(self, each: Waiting) -> list[bytes]:
        """Parents that are not accepted, nor passed for good.

        A reference that gives a wrong author or round of a block counts as one to a block that
        nobody has: whoever is ahead and has it passed cannot tell the difference.
        """
        if each.lacks is None and not self.dag.lacks(each.block):
            each.lacks = ()
        else:
            lacked = each.block.parents if each.lacks is None else each.lacks
            each.lacks = self.dag.lacking(lacked, self.order.passed)
        return [parent.digest for parent in each.lacks]

    def _accept(self, signed: Signed, block: Block) -> None:
        self.dag.add(signed)
        self.heard[block.author] = max(self.heard[block.author], block.round)
        if block.digest == self.order.known_leader:
            self.may_decide = True
        if self.dag.authors(block.round) >= self.quorum:
            self.may_decide = True
            if block.round > self._clock:
                self._clock, self.tries = block.round, 0

    def _ask(self, author: int, digests: list[bytes]) -> None:
        """Ask the author of a block for its parents, once; `ask_again` asks everybody."""
        fresh = [
            digest
            for digest in digests
            if not any(
                digest in blocks for blocks in (self.missing, self.waiting, self.refused, self.dag)
            )
        ]
        for digest in fresh:
            self.missing[digest] = 0
        if fresh and self.me not in (None, author):
            self.tell(author, encode_want(tuple(fresh[:WANTED_MAX])))

    def ask_again(self) -> None:
        """Ask everybody for what is missing; give up what nobody has, and what waits for it."""
        needed: dict[bytes, None] = {}
        given_up = {digest for digest, times in self.missing.items() if times >= ASKED_MAX}
        for digest, each in sorted(self.waiting.items(), key=lambda item: item[1].place):
            missing = self._ancestors_missing(each)
            each.timers += each.is_unsettled
            if self.is_hopeless(each) or not given_up.isdisjoint(missing):
                self.give_up(digest)
                given_up.add(digest)
            else:
                unknown = (
                    one
                    for one in missing
                    if not any(one in blocks for blocks in (self.waiting, self.refused, self.dag))
                )
                needed.update((one, None) for one in unknown)
        self.missing = {digest: self.missing.get(digest, 0) + 1 for digest in needed}
        if needed and self.me is not None:
            want = encode_want(tuple(needed)[:WANTED_MAX])
            for peer in self.validators.others(self.me):
                self.tell(peer, want)

    def is_hopeless(self, each: Waiting) -> bool:
        """Whether a block waits so long that hardly anybody has its payload, or has decided what
        it builds on."""
        return each.is_unsettled and each.timers > ASKED_MAX

    def give_up(self, digest: bytes) -> None:
        """Wait for a block no longer; nobody need judge it any more, either."""
        each = self.waiting.pop(digest)
        if each.awaits_verdict:
            self.dismiss(each.block.value)

    def answer(self, peer: int, hint: bytes) -> None:
        """Pass on the blocks that a peer asks for."""
        try:
            digests = parse_want(hint)
        except DecodeFault:
            return
        for digest in digests if self.me is not None else ():
            signed = self.dag.signed(digest)
            if signed is not None and self.may_answer(peer, digest):
                self.forward(peer, signed)

    def may_answer(self, peer: int, digest: bytes) -> bool:
        """Whether a peer was not sent this block just now."""
        return self._answers.may_give(peer, digest, self.now.monotonic_ms)
