"""Who leads which view: a plug of its own, combined with any protocol that rotates by it.

A policy reads agreed data alone: the number of the view, and the newest decided value that every
validator knows which reached the view without a failure on the way.  With L = views that a decision
takes + 1, that is the value decided L views ago, or an older one:

    b(v-L) <- ... <- b(v-2) <- qc        whoever voted for this in view v - 1 had decided b(v-L)
                               b(v-1)    and sends the vote to the leader of view v

Where views fail, that value grows old, and every policy that remembers falls back to *turns* of L
views: whoever leads L views in a row decides its first value alone.  Safety never depends on who
leads: a validator that is wrong about it loses a view, not the ledger.

Where values are decided one after the other, in rounds (Tendermint), a view is instance + round and
L is 1: whoever is in instance i knows what i - 1 decided, and every further round is a failed view.

Sources: round robin is what most papers write; turns of two are DiemBFT v4's; reputation is
Carousel (Cohen et al., "Be Aware of Your Leaders", Financial Cryptography 2022, arXiv 2110.00960).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ledger import encoding
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.limits import EXTRA_BYTES_MAX, VALIDATORS_MAX
from ledger.validators import ValidatorSet
from ledger.value import Value

if TYPE_CHECKING:  # interface.py names Policy, too.
    from consensus.interface import Root


def round_robin(size: int, number: int) -> int:
    """Index of the validator whose turn `number` is, of `size` validators that take turns."""
    assert size > 0
    assert number >= 0
    return number % size


@dataclass(frozen=True, slots=True)
class Decided:
    """What a policy reads of a decided value."""

    view: int
    """Of its proposal; 0 is the epoch's first root."""
    proposer: int | None
    """None where only digest and view are known, as after catching up."""
    extra: bytes = b""
    """What the policy wrote into it."""


def decided_of(value: Value) -> Decided:
    """What a policy reads of this value."""
    return Decided(value.slot[0], value.proposer, value.extra)


class Agreed:
    """The decided values that a policy may read, by the view that they count for."""

    def __init__(self, root: Decided, turn: int) -> None:
        self._turn = turn
        self._decided: list[Decided] = [root]
        """Ascending by view, never empty."""

    @property
    def last(self) -> Decided:
        """The newest decided value."""
        return self._decided[-1]

    def head(self, view: int) -> Decided | None:
        """The newest decided value of view max(0, view - L) or before; None where forgotten."""
        bound = max(0, view - self._turn)
        return next((each for each in reversed(self._decided) if each.view <= bound), None)

    def late(self, view: int) -> int:
        """How many views before view - L its head is: 0 where no view failed."""
        head = self.head(view)
        return max(0, view - self._turn) - head.view if head is not None else 0

    def is_whole(self, first: int, last: int) -> bool:
        """Whether every view from first to last brought a value, as far back as is known."""
        views = {each.view for each in self._decided}
        return views.issuperset(range(max(first, self._decided[0].view), last + 1))

    def add(self, decided: Iterable[Decided]) -> None:
        """Further values are decided."""
        self._decided += [each for each in decided if each.view > self.last.view]

    def forget_below(self, view: int) -> None:
        """Drop what counts for no view from this one on, nor for the two turns before it."""
        bound = max(0, view - 3 * self._turn)
        while len(self._decided) > 1 and self._decided[1].view <= bound:
            del self._decided[0]

    def rows(self) -> tuple[tuple[int, int | None, bytes], ...]:
        """What is kept, oldest first, for a durable record."""
        return tuple((each.view, each.proposer, each.extra) for each in self._decided)


class Policy(ABC):
    """Who leads.  One instance serves one plugin, and keeps nothing between two questions."""

    name: ClassVar[str]
    TURN_MIN: ClassVar[int] = 1
    """The shortest turn with which this policy is one of its own."""
    PATIENCE: ClassVar[int | None] = None
    """A leader that this policy leaves in place is suspected where the oldest batch has waited for
    so many certified heights while it led; None where leaders change by themselves."""

    def __init__(self, epoch: bytes, validators: ValidatorSet, turn: int) -> None:
        self.epoch = epoch
        self.validators = validators
        self.turn = turn
        """L: how many views in a row let one leader decide a value."""

    @abstractmethod
    def leader(self, view: int, agreed: Agreed) -> int | None:
        """Who leads a view; None where that is unknown here."""

    def extra(self, parent: Decided, endorsers: tuple[int, ...]) -> bytes:
        """What a value must carry whose parent and its certificate's signers are these."""
        return b""

    def is_extra(self, extra: bytes) -> bool:
        """Whether a value may carry this at all."""
        return extra == b""

    @classmethod
    def failing_views(cls, validators: ValidatorSet, turn: int) -> int:
        """How many views may fail before a decision, once messages come in time and f are silent.

        Views that wait for a silent leader, that send their votes to one, or that are too few in a
        row for a decision.
        """
        return (validators.faults + 2) * turn

    @classmethod
    def views_a_doubling(cls, turn: int) -> int:
        """How many views have timers of one length before it doubles: a silent leader's whole turn.

        Its further views are likely to fail as well, and say nothing of how slow the links are.
        """
        return turn

    def by_turns(self, view: int) -> int:
        """Who leads where everyone leads L views in a row."""
        return round_robin(self.validators.size, view // self.turn)

    def after_failure(self, view: int, agreed: Agreed, failed: Iterable[int | None]) -> int | None:
        """Who leads by turns, but none of those that may have failed.

        The next one has the whole turn instead, since a decision takes it whole.  Where that turn
        brought none, everybody has a turn again: what failed may have been the links.  Where nobody
        knows who failed, as after all caught up, a turn of one view is worth waiting for; then the
        answer is None.  A longer one is not: whoever knows no better takes turns.
        """
        if agreed.late(view - view % self.turn) > self.turn:
            return self.by_turns(view)
        passed_over = set(failed)
        if None in passed_over and self.turn == 1:
            return None
        turns = (self.by_turns(view + n * self.turn) for n in range(self.validators.size))
        return next((each for each in turns if each not in passed_over), self.by_turns(view))


class RoundRobin(Policy):
    """Another leader in every view, in index order.

    A decision needs L live leaders in a row.  Of 3f + 1 taking turns some three in a row are live,
    but perhaps no four: three-chain protocols may never decide again (docs/leaders.md).
    """

    name = "round-robin"

    def leader(self, view: int, agreed: Agreed) -> int | None:
        return round_robin(self.validators.size, view)

    @classmethod
    def failing_views(cls, validators: ValidatorSet, turn: int) -> int:
        # A silent leader costs its own view and, where a decision takes several, the one before,
        # whose votes it was to collect.
        return min(turn, 2) * validators.faults

    @classmethod
    def views_a_doubling(cls, turn: int) -> int:
        return 1


class Turns(Policy):
    """Another leader every L views, in index order: the least that makes any chain live."""

    name = "turns"
    TURN_MIN = 2

    def leader(self, view: int, agreed: Agreed) -> int | None:
        return self.by_turns(view)


class Sticky(Policy):
    """Who led a turn that went well leads the next one, too; a failure makes it someone else's.

    The leader of a turn is who proposed the first value of the turn before, where no view failed
    until then.  Leaders change between turns only, so that one of two who alternate remains.
    """

    name = "sticky"
    PATIENCE = 32

    def leader(self, view: int, agreed: Agreed) -> int | None:
        first = view - view % self.turn
        head = agreed.head(first)
        if head is None or head.view == 0:
            return self.by_turns(view)
        # From there on: the turn may have begun well, and failed under who led it.
        if agreed.is_whole(head.view, view - self.turn):
            return head.proposer
        return self.after_failure(view, agreed, (head.proposer,))


class Reputation(Policy):
    """Carousel: one of those who signed what was decided last, but none of its last f authors.

    Crashed validators sign nothing, so they are not drawn; the draw is a hash of epoch and view.
    Of the n - f signers at least f + 1 remain, so that an honest one is drawn with a good chance
    however liars behave.  Every value names the signers of its parent's certificate, and the
    authors of the f - 1 values before it, which makes them agreed data.

    Deviation: Carousel falls back to round robin where the last view failed; here to turns, without
    which a three-chain may never decide again.
    """

    name = "reputation"
    _members = encoding.array(encoding.uint(VALIDATORS_MAX - 1), VALIDATORS_MAX)
    _shape = encoding.row(_members, _members)

    def leader(self, view: int, agreed: Agreed) -> int | None:
        head = agreed.head(view)
        if head is None or head.view == 0:
            return self.by_turns(view)
        if not agreed.late(view):
            return self._drawn(view, head)
        return self.after_failure(view, agreed, self._suspects(head, agreed))

    def _suspects(self, head: Decided, agreed: Agreed) -> Iterator[int | None]:
        """Who led the view that brought no value although what came before it was decided.

        That is the view whose value would let the one behind the head be decided; or the next,
        where its votes were on the way to one that is dead.  As soon as something newer is decided,
        so is all that was certified before the failure, and the first view without a value is it.
        """
        is_over = agreed.last.view > head.view
        first = head.view + (1 if is_over else max(1, self.turn - 1))
        for view in range(first, first + min(2, self.turn)):
            before = agreed.head(view)
            if before is None:
                yield None
            elif before.view == 0:
                yield self.by_turns(view)
            elif not agreed.late(view):
                yield self._drawn(view, before)

    def _drawn(self, view: int, head: Decided) -> int | None:
        """Who is drawn for a view by what was decided last; None where that is unknown."""
        if head.proposer is None:
            return None
        endorsers, authors = self._said(head.extra)
        recent = (head.proposer, *authors)[: self.validators.faults]
        candidates = [index for index in endorsers if index not in recent]
        if not candidates:  # Its parent was the epoch's first root, which nobody signed.
            return self.by_turns(view)
        draw = hashlib.sha256(self.epoch + encoding.encode(view)).digest()
        return candidates[int.from_bytes(draw, "big") % len(candidates)]

    def extra(self, parent: Decided, endorsers: tuple[int, ...]) -> bytes:
        authors: tuple[int, ...] = ()
        if parent.proposer is not None:
            authors = (parent.proposer, *self._said(parent.extra)[1])
        return encoding.encode((endorsers, authors[: max(0, self.validators.faults - 1)]))

    def is_extra(self, extra: bytes) -> bool:
        try:
            endorsers, authors = encoding.decode(
                extra, self._shape, size_max=EXTRA_BYTES_MAX, what="extra"
            )
        except DecodeFault:
            return False
        return all(index < self.validators.size for index in (*endorsers, *authors))

    def _said(self, extra: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(signers of the parent's certificate, authors before it) that a value names."""
        if not self.is_extra(extra):
            return (), ()
        endorsers, authors = encoding.decode(
            extra, self._shape, size_max=EXTRA_BYTES_MAX, what="extra"
        )
        return endorsers, authors


class Leadership:
    """One validator's view of who leads: a policy, and what it may read."""

    def __init__(self, policy: Policy, root: Root) -> None:
        self.policy = policy
        self.agreed = Agreed(Decided(root.slot[0], None), policy.turn)
        self._leads: int | None = None
        self._since = root.height
        """The height at which the one who leads began to."""
        self._left: int | None = None
        """Whose last turn this validator left before it brought a decision."""

    def leader(self, view: int) -> int | None:
        """Who leads a view; None where that is unknown here."""
        return self.policy.leader(view, self.agreed)

    def leader_after(self, decided: int, view: int) -> int | None:
        """Who leads a view of those whose newest decided value is of view `decided`.

        None where that depends on the value, and it is not the newest that is known here.
        """
        known = self.agreed.last.view == decided
        return self.policy.leader(view, self.agreed if known else self._unknown(decided))

    def reads_decided(self, view: int) -> bool:
        """Whether who leads a view depends on the value decided in the one before."""
        return self.policy.leader(view, self._unknown(view - 1)) is None

    def _unknown(self, view: int) -> Agreed:
        return Agreed(Decided(view, None), self.policy.turn)

    def note_leader(self, leader: int | None, height: int) -> None:
        """A view was entered that this validator leads."""
        if leader != self._leads:
            self._leads, self._since = leader, height

    def note_turn(self, leader: int | None, *, is_left: bool) -> None:
        """A turn is over: it brought a decision, or this validator left it before."""
        self._left = leader if is_left else None

    def has_failed(self, leader: int | None) -> bool:
        """Whether the policy leaves one in the lead whose last turn this validator had to leave."""
        return self.policy.PATIENCE is not None and leader is not None and leader == self._left

    def is_overdue(self, oldest_age: int, height: int) -> bool:
        """Whether the leader has left a batch unordered for too long while it led."""
        patience = self.policy.PATIENCE
        return patience is not None and min(oldest_age, height - self._since) >= patience

    def decided(self, values: Iterable[Value]) -> None:
        """Further values are decided, oldest first."""
        self.agreed.add(map(decided_of, values))

    def adopted(self, root: Root) -> None:
        """Further values are decided, of which only the last one's digest and view are known."""
        self.agreed.add((Decided(root.slot[0], None),))

    def recall(self, decided: tuple[Decided, ...]) -> None:
        """Know again what a record says was decided, up to the root of now."""
        root = self.agreed.last
        known = [each for each in decided if each.view <= root.view]
        if known:
            self.agreed = Agreed(known[0], self.policy.turn)
            self.agreed.add((*known[1:], root))

    @property
    def has_extra(self) -> bool:
        """Whether values say something for the policy."""
        return not self.policy.is_extra(b"")

    def parent(self, value: Value | None) -> Decided:
        """What a policy reads of a parent: a value, or where there is none the root."""
        return decided_of(value) if value is not None else self.agreed.last

    def extra(self, parent: Decided, qc: Certificate | None) -> bytes:
        """What a value must carry that extends a parent by this certificate."""
        return self.policy.extra(parent, _signers(qc))

    def is_fitting(self, extra: bytes, parent: Decided, qc: Certificate | None) -> bool:
        """Whether a value carries what it must, as far as that can be known here."""
        is_known = parent.proposer is not None or parent.view == 0
        return extra == self.extra(parent, qc) if is_known else self.policy.is_extra(extra)


def _signers(qc: Certificate | None) -> tuple[int, ...]:
    return tuple(index for index, _ in qc.signatures) if qc is not None else ()
