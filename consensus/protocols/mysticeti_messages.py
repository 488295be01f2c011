"""What Mysticeti's validators say: one signed message, a block of the DAG, and one unsigned hint.

A block is a value of the contract.  Its slot is (round,), its `parent` the decided value that its
payload is judged from, its `extra` that value's height and the references to blocks of earlier
rounds.  What is decided is made of blocks: `extra` of a decided value names the leader whose
sub-DAG it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from consensus.interface import Message
from ledger import encoding
from ledger.encoding import Shape, encode
from ledger.errors import DecodeFault
from ledger.limits import EXTRA_BYTES_MAX, VALIDATORS_MAX
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

BLOCK = "block"
PARENTS_MAX = (EXTRA_BYTES_MAX - 16) // 40
"""A reference takes at most 40 bytes."""
BACK_MAX = 65_535
DIGEST_BYTES = 32
WANTED_MAX = 100
"""Blocks asked for in one hint: it holds 4,096 bytes."""

_parents = encoding.array(
    encoding.row(
        encoding.uint(VALIDATORS_MAX - 1), encoding.uint(BACK_MAX, low=1), encoding.digest
    ),
    VALIDATORS_MAX,
)
_links = encoding.row(encoding.uint(), _parents)
_place = encoding.row(encoding.digest, encoding.array(encoding.uint(), VALIDATORS_MAX, low=1))
_wanted = encoding.array(encoding.digest, WANTED_MAX, low=1)


class Parent(NamedTuple):
    """A reference to a block of an earlier round."""

    author: int
    round: int
    digest: bytes


class References(tuple[Parent, ...]):
    """Parents of one block, and what every validator asks about those of every block of all."""

    named: tuple[bytes, ...]
    """Their digests."""
    places: tuple[tuple[int, int] | None, ...]
    """(author, round) of each, as the references say."""
    strong: Mapping[int, bytes]
    """The digests of those of the round before, by author."""

    @classmethod
    def of(cls, parents: Iterable[Parent], round_: int) -> References:
        """The parents of a block of this round."""
        found = cls(parents)
        found.named = tuple(each.digest for each in found)
        found.places = tuple(each[:2] for each in found)
        found.strong = {each.author: each.digest for each in found if each.round == round_ - 1}
        return found


@dataclass(frozen=True, slots=True)
class Block(Message):
    """A validator's block of one round: transactions, and votes for all that it refers to."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(encoding.blob(VALUE_BYTES_MAX))
    value: Value
    parents: References = field(init=False, compare=False, repr=False)
    """At most one block of each validator, in the order of the validators."""
    base_height: int = field(init=False, compare=False, repr=False)
    """The height, as its author says, of the decided value that it builds on."""
    author: int = field(init=False, compare=False, repr=False)
    round: int = field(init=False, compare=False, repr=False)
    digest: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        base_height, parents = _links_of(self.value)
        object.__setattr__(self, "base_height", base_height)
        object.__setattr__(self, "parents", parents)
        object.__setattr__(self, "author", self.value.proposer)
        object.__setattr__(self, "round", self.value.slot[0])
        object.__setattr__(self, "digest", self.value.digest)

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw,)

    @classmethod
    def from_row(cls, row: Any) -> Block:
        return cls(parse_value(row[0]))

    def statement(self) -> tuple[str, Slot, bytes]:
        return BLOCK, self.value.slot, self.value.digest

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


def _links_of(value: Value) -> tuple[int, References]:
    """(height of what it builds on, references) of a block.  Raises DecodeFault where the
    references contradict each other."""
    if len(value.slot) != 1 or value.slot[0] < 1:
        raise DecodeFault("mysticeti.round", f"slot {value.slot}")
    if len(value.parent) != DIGEST_BYTES:
        raise DecodeFault("mysticeti.parent", "a block builds on a decided value, or on the epoch")
    round_ = value.slot[0]
    base_height, rows = encoding.decode(
        value.extra, _links, size_max=EXTRA_BYTES_MAX, what="links of a block"
    )
    if any(left[0] >= right[0] for left, right in pairwise(rows)):
        raise DecodeFault("mysticeti.parents", "authors are not strictly ascending")
    if any(back >= round_ for _, back, _ in rows):
        raise DecodeFault("mysticeti.parents", f"before round 1, from round {round_}")
    parents = (Parent(author, round_ - back, digest) for author, back, digest in rows)
    return base_height, References.of(parents, round_)


def encode_links(round_: int, base_height: int, parents: tuple[Parent, ...]) -> bytes:
    """`extra` of a block of this round."""
    rows = tuple((each.author, round_ - each.round, each.digest) for each in sorted(parents))
    return encode((base_height, rows))


class Place(NamedTuple):
    """Where in the DAG a decided value was found: `extra` of the value."""

    leader: bytes
    """Digest of the leader's block in whose sub-DAG it is."""
    passed: tuple[int, ...]
    """By validator: the last round whose block is in the sub-DAG of an earlier leader."""


def encode_place(place: Place) -> bytes:
    return encode((place.leader, place.passed))


def parse_place(value: Value) -> Place:
    """The place of a decided value.  Raises DecodeFault."""
    leader, passed = encoding.decode(
        value.extra, _place, size_max=EXTRA_BYTES_MAX, what="place of a value"
    )
    return Place(leader, passed)


def encode_want(digests: tuple[bytes, ...]) -> bytes:
    """The hint that asks for blocks."""
    return encode(digests)


def parse_want(hint: bytes) -> tuple[bytes, ...]:
    """The digests that a hint asks for.  Raises DecodeFault."""
    digests: tuple[bytes, ...] = encoding.decode(hint, _wanted, size_max=4_096, what="want")
    return digests
