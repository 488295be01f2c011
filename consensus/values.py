"""Judging values: valid, never, or not yet.

Valid or never is a function of bytes and ancestors alone, so that every honest validator comes to
the same verdict: the value is of this epoch, its parent is known, it names no batch twice, none
that an ancestor named, and every batch is within its window.  What only time or a peer can cure (a
batch that is not here, a clock that is behind) is not yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from consensus.dissemination import Dissemination
from consensus.interface import Root
from ledger.limits import Limits
from ledger.value import Value


class Judgement(Enum):
    """What a validator thinks of a value."""

    VALID = "valid"
    NEVER = "never"
    NOT_YET = "not yet"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a parent stands in the decided sequence."""

    ordinal: int
    height: int


class Values:
    """Undecided values by digest, and the recent decided ones by position."""

    KNOWN_MAX = 4_096

    def __init__(
        self,
        limits: Limits,
        epoch: bytes,
        root: bytes,
        position: Position,
        *,
        earlier: Iterable[tuple[bytes, int]] = (),
        lag: int = 0,
        brings_time: bool = True,
    ) -> None:
        self._limits = limits
        self._epoch = epoch
        self._lag = lag
        """Heights by which a payload may be ordered later than its value is judged."""
        self._brings_time = brings_time
        """Whether values are judged by the clock."""
        self.known: dict[bytes, Value] = {}
        """Values seen in messages, oldest first, bounded: also what fetches are answered from."""
        self._decided: dict[bytes, Position] = {epoch: Position(0, 0)}
        for digest, height in earlier:
            self.passed(digest, height)
        self._decided.pop(root, None)
        self._decided[root] = position
        self.head = root
        """Digest of the last decided value."""

    def learn(self, value: Value) -> None:
        """Keep a value that a message carried."""
        if value.digest not in self.known:
            self.known[value.digest] = value
            if len(self.known) > self.KNOWN_MAX:
                del self.known[next(iter(self.known))]

    @property
    def position(self) -> Position:
        """Of the last decided value."""
        return self._decided[self.head]

    def decided(self, value: Value) -> Position:
        """Append a value to the decided sequence."""
        last = self.position
        position = Position(last.ordinal + 1, last.height + (1 if value.payload else 0))
        self._move(value.digest, position)
        return position

    def adopt(self, digest: bytes, height: int) -> None:
        """Jump to a certified value whose ancestors came by synchronisation."""
        self._move(digest, Position(self.position.ordinal + 1, height))

    def passed(self, digest: bytes, height: int) -> None:
        """Remember where a value stands that was decided here earlier, or certified by others."""
        self._decided.setdefault(digest, Position(0, height))

    def pass_by(self, roots: Iterable[Root]) -> None:
        """The same of certified roots."""
        for root in roots:
            self.passed(root.value, root.height)

    def _move(self, digest: bytes, position: Position) -> None:
        self._decided.pop(digest, None)
        self._decided[digest] = position
        self.head = digest
        while len(self._decided) > self.KNOWN_MAX:
            del self._decided[next(iter(self._decided))]

    def ancestors(self, parent: bytes) -> tuple[list[Value], Position] | None:
        """(undecided ancestors, position of the decided one below them); None while unknown."""
        if not parent:
            return [], self.position
        path: list[Value] = []
        while parent not in self._decided:
            value = self.known.get(parent)
            if value is None or len(path) > self._limits.slot_window:
                return None
            path.append(value)
            parent = value.parent
        return path, self._decided[parent]

    def excluded(self, parent: bytes) -> tuple[frozenset[bytes], Position] | None:
        """(batches that undecided ancestors name, position under the child); None while unknown."""
        line = self.ancestors(parent)
        if line is None:
            return None
        path, base = line
        named = frozenset(digest for value in path for digest in value.payload)
        blocks = sum(1 for value in path if value.payload)
        return named, Position(base.ordinal + len(path), base.height + blocks)

    def judge(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        """The verdict on a value whose signatures have been checked."""
        return self._judge(value, pool, wall_ms, self._lag)

    def judge_decided(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        """The same of a value that is decided now: it waits no more."""
        return (
            self._judge(value, pool, wall_ms, 0) if self._lag else self.judge(value, pool, wall_ms)
        )

    def _judge(self, value: Value, pool: Dissemination, wall_ms: int, lag: int) -> Judgement:
        if value.epoch != self._epoch or len(set(value.payload)) != len(value.payload):
            return Judgement.NEVER
        if len(value.payload) > self._limits.block_batches:
            return Judgement.NEVER
        line = self.ancestors(value.parent)
        if line is None:
            return Judgement.NOT_YET
        path, base = line
        named = {digest for ancestor in path for digest in ancestor.payload}
        height = base.height + sum(1 for ancestor in path if ancestor.payload) + 1
        for digest in value.payload:
            order = pool.ordered.get(digest)
            if digest in named or (order is not None and order[1] <= base.height):
                return Judgement.NEVER
        transactions = 0
        complete = True
        for digest in value.payload:
            count = pool.transactions(digest)
            if count is None:
                complete = False
                continue
            transactions += count
            if not pool.may_be_named(digest, height, lag):
                return Judgement.NEVER
        if transactions > self._limits.block_transactions:
            return Judgement.NEVER
        is_ahead = value.timestamp_ms > wall_ms + self._limits.clock_drift_ms
        if not complete or (is_ahead and self._brings_time):
            return Judgement.NOT_YET
        return Judgement.VALID
