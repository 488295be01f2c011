"""What Raft's validators say: four signed messages, and one unsigned hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import Message
from ledger import encoding
from ledger.encoding import Shape
from ledger.errors import DecodeFault
from ledger.limits import VALIDATORS_MAX
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

REQUEST, VOTE, APPEND, ACCEPT = "request-vote", "vote", "append", "accept"
NOWHERE: Slot = (0, 0)
"""The position before the first entry."""

_hint_shape = encoding.row(encoding.uint(), encoding.boolean())


@dataclass(frozen=True, slots=True)
class RequestVote(Message):
    """A candidate asks for votes: RequestVote RPC."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1), encoding.uint(), encoding.uint())
    term: int
    last: Slot
    """(lastLogTerm, lastLogIndex)."""

    def row(self) -> tuple[Any, ...]:
        return (self.term, *self.last)

    @classmethod
    def from_row(cls, row: Any) -> RequestVote:
        term, last_term, last_index = row
        if last_term >= term:
            raise DecodeFault("raft.last", f"an entry of term {last_term} before term {term}")
        return cls(term, (last_term, last_index))

    def statement(self) -> tuple[str, Slot, bytes]:
        return REQUEST, (self.term,), b"".join(part.to_bytes(8, "big") for part in self.last)


@dataclass(frozen=True, slots=True)
class Vote(Message):
    """The one vote of a term: the granting response to RequestVote."""

    KIND: ClassVar[int] = 2
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1), encoding.uint(VALIDATORS_MAX - 1))
    term: int
    candidate: int
    """Validator index; the paper's votedFor."""

    def row(self) -> tuple[Any, ...]:
        return (self.term, self.candidate)

    @classmethod
    def from_row(cls, row: Any) -> Vote:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return VOTE, (self.term,), self.candidate.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Append(Message):
    """The leader of a term adds an entry to everybody's log: AppendEntries RPC."""

    KIND: ClassVar[int] = 3
    SHAPE: ClassVar[Shape] = encoding.row(encoding.blob(VALUE_BYTES_MAX))
    value: Value
    """Its slot is (term, index), its parent the entry before: prevLogTerm and prevLogIndex."""

    @property
    def term(self) -> int:
        return self.value.slot[0]

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw,)

    @classmethod
    def from_row(cls, row: Any) -> Append:
        value = parse_value(row[0])
        if len(value.slot) != 2 or min(value.slot) < 1:
            raise DecodeFault("raft.value", f"slot {value.slot}")
        return cls(value)

    def statement(self) -> tuple[str, Slot, bytes]:
        return APPEND, self.value.slot, self.value.digest

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Accept(Message):
    """An entry, and all before it, is in the log: the successful response to AppendEntries."""

    KIND: ClassVar[int] = 4
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.uint(low=1), encoding.uint(low=1), encoding.digest
    )
    term: int
    index: int
    """The paper's matchIndex."""
    value: bytes
    """Digest of the entry."""

    def row(self) -> tuple[Any, ...]:
        return (self.term, self.index, self.value)

    @classmethod
    def from_row(cls, row: Any) -> Accept:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return ACCEPT, (self.term, self.index), self.value


def encode_hint(term: int, *, leads: bool) -> bytes:
    """Someone's term, and whether it is that term's leader: a heartbeat, or a refusal."""
    return encoding.encode((term, leads))


def parse_hint(hint: bytes) -> tuple[int, bool]:
    """(term, whether its leader speaks).  Raises DecodeFault."""
    term, leads = encoding.decode(hint, _hint_shape, size_max=64, what="raft hint")
    return term, leads
