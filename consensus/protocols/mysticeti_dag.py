"""The DAG of one validator: accepted blocks, whose ancestors are all here too, or passed.

It knows references, not rules: who votes for what follows from them, what that decides is in
`mysticeti_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from consensus.interface import Signed
from consensus.protocols.mysticeti_messages import Block, Parent
from consensus.protocols.mysticeti_record import Row, row_of
from ledger.statement import Slot


@dataclass(slots=True)
class Votes:
    """The votes for one block of a leader, or those for none of its blocks."""

    blocks: set[bytes] = field(default_factory=set)
    """Digests of the blocks that vote."""
    authors: set[int] = field(default_factory=set)
    """Their authors: fewer, where an equivocator votes twice."""


class Dag:
    """Accepted blocks by digest and by round."""

    def __init__(self, leaders: Callable[[int], tuple[int, ...]]) -> None:
        self._leaders = leaders
        self._accepted: dict[bytes, tuple[Signed, Row]] = {}
        """Block -> (what its author signed, the same for a durable record)."""
        self._places: dict[bytes, tuple[int, int]] = {}
        """Block -> (author, round)."""
        self._rounds: dict[int, dict[int, list[Block]]] = {}
        """round -> author -> blocks, more than one of an equivocator."""
        self._votes: dict[int, tuple[dict[bytes, Votes], ...]] = {}
        """round -> for each leader of the round before: its block, or empty for none -> who of this
        round votes for it.  Of rounds that were asked about, until `forget_votes`."""
        self._tips: dict[bytes, None] = {}
        """Blocks that no other one refers to."""
        self._laden: dict[bytes, Block] = {}
        """Blocks with payload, until `forget_payload`."""

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._accepted

    def __len__(self) -> int:
        return len(self._accepted)

    def add(self, signed: Signed) -> None:
        """Accept a block whose parents are accepted, or passed for good."""
        block = signed.message
        assert isinstance(block, Block)
        digest = block.digest
        self._accepted[digest] = (signed, row_of(signed))
        self._places[digest] = (block.author, block.round)
        self._rounds.setdefault(block.round, {}).setdefault(block.author, []).append(block)
        for parent in block.parents.named:
            self._tips.pop(parent, None)
        self._tips[digest] = None
        if block.value.payload:
            self._laden[digest] = block
        if block.round in self._votes:
            self._count(block)

    def get(self, digest: bytes) -> Block | None:
        signed = self.signed(digest)
        if signed is None:
            return None
        assert isinstance(signed.message, Block)
        return signed.message

    def lacks(self, block: Block) -> bool:
        """Whether it refers to a block that is not here, or is not what the reference says."""
        return tuple(map(self._places.get, block.parents.named)) != block.parents.places

    def lacking(self, parents: Iterable[Parent], passed: Sequence[int]) -> tuple[Parent, ...]:
        """Such references, but for those to blocks that are passed for good."""
        places = self._places
        return tuple(
            parent
            for parent in parents
            if parent[1] > passed[parent[0]] and places.get(parent[2]) != parent[:2]
        )

    def signed(self, digest: bytes) -> Signed | None:
        accepted = self._accepted.get(digest)
        return accepted[0] if accepted is not None else None

    def everything(self) -> Iterable[Signed]:
        """All that is here, parents before children."""
        return [
            self._accepted[each.digest][0] for round_ in self.rounds for each in self.at(round_)
        ]

    def rows(self) -> tuple[Row, ...]:
        """The same for a durable record."""
        accepted = self._accepted
        return tuple(accepted[each.digest][1] for round_ in self.rounds for each in self.at(round_))

    def laden(self) -> Iterable[Block]:
        """The blocks with payload that may yet be ordered, those first that were accepted last."""
        return reversed(self._laden.values())

    def forget_payload(self, passed: Sequence[int]) -> None:
        """What is up to these rounds, by validator, will not be ordered any more."""
        self._laden = {
            digest: block
            for digest, block in self._laden.items()
            if block.round > passed[block.author]
        }

    @property
    def rounds(self) -> list[int]:
        """Rounds with blocks, ascending."""
        return sorted(self._rounds)

    @property
    def tips(self) -> Iterable[bytes]:
        """Blocks that no accepted block refers to."""
        return self._tips

    def at(self, round_: int) -> list[Block]:
        """The blocks of a round, those of one validator in the order of their acceptance."""
        return [block for blocks in self._rounds.get(round_, {}).values() for block in blocks]

    def of(self, author: int, round_: int) -> Sequence[Block]:
        """A validator's blocks of a round, in the order of their acceptance."""
        return self._rounds.get(round_, {}).get(author, ())

    def authors(self, round_: int) -> int:
        """How many validators have a block in a round."""
        return len(self._rounds.get(round_, ()))

    def votes(self, slot: Slot, leader: bytes) -> Votes:
        """Who of the next round votes for this block of a leader.

        A vote is a reference from the round after the leader's: the only way from there to the
        leader's round, and one block refers to at most one block of each validator.
        """
        return self._tally(slot).get(leader) or Votes()

    def others(self, slot: Slot, leader: bytes) -> set[int]:
        """The validators with a block in the next round that does not vote for this block."""
        tally = self._tally(slot)
        return set().union(*(tally[voted].authors for voted in tally if voted != leader))

    def _tally(self, slot: Slot) -> dict[bytes, Votes]:
        """The votes about a leader's slot: counted once, and from then on as blocks arrive."""
        round_, index = slot[0] + 1, slot[1]
        if round_ not in self._votes:
            self._votes[round_] = tuple({} for _ in self._leaders(slot[0]))
            for block in self.at(round_):
                self._count(block)
        return self._votes[round_][index]

    def _count(self, block: Block) -> None:
        """Count a block's vote about each leader of the round before."""
        tallies = zip(self._leaders(block.round - 1), self._votes[block.round], strict=True)
        for leader, tally in tallies:
            votes = tally.setdefault(block.parents.strong.get(leader, b""), Votes())
            votes.blocks.add(block.digest)
            votes.authors.add(block.author)

    def forget_votes(self, below: int) -> None:
        """Keep in mind the votes of blocks from this round on alone."""
        self._votes = {round_: each for round_, each in self._votes.items() if round_ >= below}

    def round_of(self, digest: bytes) -> int:
        """The round of an accepted block; 0 of any other."""
        return self._places.get(digest, (0, 0))[1]

    def history(self, tip: Block, passed: Sequence[int], *, floor: int = 0) -> list[Block]:
        """A block and its ancestors in rounds from floor on, but for those that are passed."""
        found: dict[bytes, None] = {tip.digest: None}
        waiting, blocks = [tip], []
        while waiting:
            block = waiting.pop()
            blocks.append(block)
            for author, round_, digest in block.parents:
                if round_ < floor or round_ <= passed[author] or digest in found:
                    continue
                found[digest] = None
                parent = self.get(digest)
                assert parent is not None, "an accepted block has its ancestors here"
                waiting.append(parent)
        return blocks

    def latest(self, below: int) -> dict[int, Block]:
        """Each validator's last block before a round, the first accepted where it has several."""
        found: dict[int, Block] = {}
        for round_ in reversed(self.rounds):
            if round_ < below:
                for author, blocks in self._rounds[round_].items():
                    found.setdefault(author, blocks[0])
        return found

    def prune(self, passed: Sequence[int]) -> None:
        """Forget the blocks up to these rounds, by validator."""
        for block in [each.message for each in self.everything()]:
            assert isinstance(block, Block)
            if block.round > passed[block.author]:
                continue
            for known in (self._accepted, self._places, self._tips, self._laden):
                known.pop(block.digest, None)
            self._votes.pop(block.round, None)
            self._rounds[block.round].pop(block.author, None)
        self._rounds = {round_: blocks for round_, blocks in self._rounds.items() if blocks}
