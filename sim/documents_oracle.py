"""P22: versions follow one another, nothing is written by another than the owner or after a
tombstone, no tombstone comes before its time, and every act ends as the rules of documents say.

Written apart from the application, like all oracles: it takes the stored blocks and batches apart
by hand, keeps documents in plain rows, and compares every key of every node's state after every
block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ledger.genesis import Genesis
from sim.oracles import Findings
from sim.signed import short
from sim.state_oracle import Executed, StateOracle, pack, unpack

_OWNER, _COUNT, _COMMITMENT, _KEPT, _GONE = 0, 1, 2, 4, 5


@dataclass
class Papers:
    """Documents as the rules lead to them."""

    documents: dict[str, list[Any]] = field(default_factory=dict)
    """Name -> [owner, versions, commitment, class, keep until, is gone, reason, height, time]."""
    versions: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    """(name, number) -> [commitment, previous, sender, height, time]."""

    def copy(self) -> Papers:
        return Papers({k: [*row] for k, row in self.documents.items()}, {**self.versions})

    def state(self) -> dict[bytes, bytes]:
        """Every key and value that a store must hold."""
        made = {b"d" + name.encode(): pack(row) for name, row in self.documents.items()}
        for (name, number), row in self.versions.items():
            made[b"v" + name.encode() + b"\x00" + number.to_bytes(4, "big")] = pack(row)
        return made


class DocumentsOracle(StateOracle[Papers]):
    """Replays the acts of each block once, and judges every node that stores it."""

    application: ClassVar[str] = "documents"
    broken: ClassVar[str] = "P22"

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        super().__init__(genesis, findings, Papers())
        founders = [short(m.public_key) for m in genesis.members if "administrator" in m.roles]
        self.administrators: Callable[[int], Collection[bytes]] = lambda _: founders
        """Whose short keys administer in the block of a height."""
        self.done = 0
        """Acts that were applied."""
        self.refused: dict[str, int] = {}
        """Reason -> how often."""

    def compare(self, node: int, height: int, held: dict[bytes, bytes]) -> None:
        if held != self.after[height].state():
            self.complain(node, height, "its documents are not those that the acts lead to")

    def replay(self, node: int, height: int, time: int, block: Iterator[Executed]) -> Papers:
        papers = self.after[-1].copy()
        for each in block:
            trial, reason, sender = papers.copy(), "", short(each.sender)
            for _, body in each.bodies:
                reason = reason or self._act(trial, sender, unpack(body), height, time)
            if each.bodies:
                self.check_end(node, height, "an act", each, reason)
            if reason:
                self.refused[reason] = self.refused.get(reason, 0) + 1
            elif each.bodies:
                papers = trial
                self.done += 1
        return papers

    def _act(self, papers: Papers, sender: bytes, body: list[Any], height: int, time: int) -> str:
        """Why an act fails, or nothing; changes the rows."""
        act, name, commitment, previous, label, until, key, why = body
        row = papers.documents.get(name)
        if act != "put" and row is None:
            return "document.unknown"
        if row is not None and row[_GONE]:
            return "document.gone"
        may_govern = act != "put" and sender in self.administrators(height)
        if row is not None and sender != row[_OWNER] and not may_govern:
            return "document.owner"
        if act == "put":
            if row is not None and until < row[_KEPT]:
                return "document.retention"
            if previous != (row[_COMMITMENT] if row else b""):
                return "document.previous"
            number = row[_COUNT] + 1 if row else 1
            papers.versions[name, number] = [commitment, previous, sender, height, time]
            papers.documents[name] = [
                sender, number, commitment, label, until, False, "", height, time
            ]  # fmt: skip
            return ""
        assert row is not None
        if act == "give":
            row[_OWNER] = key
        elif time < row[_KEPT]:
            return "document.retained"
        else:
            row[_GONE:7] = [True, why]
        row[7:] = [height, time]
        return ""
