"""P22: versions follow one another, nothing is written by another than the owner or after a
tombstone, no tombstone comes before its time, and every act ends as the rules of documents say.

Written apart from the application, like all oracles: it takes the stored blocks and batches apart
by hand, keeps documents in plain rows, and compares every key of every node's state after every
block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import msgpack

from ledger import layout
from ledger.genesis import Genesis
from ledger.store import Reader, Write
from sim.oracles import Findings
from sim.signed import short
from sim.stored import executed_height, operations_of
from sim.watcher import Watcher

_STATE = b"\x10documents\x00"
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
        made = {b"d" + name.encode(): _pack(row) for name, row in self.documents.items()}
        for (name, number), row in self.versions.items():
            made[b"v" + name.encode() + b"\x00" + number.to_bytes(4, "big")] = _pack(row)
        return made


class DocumentsOracle(Watcher):
    """Replays the acts of each block once, and judges every node that stores it."""

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        self._findings, self._scheme = findings, genesis.scheme
        founders = [short(m.public_key) for m in genesis.members if "administrator" in m.roles]
        self.administrators: Callable[[int], Collection[bytes]] = lambda _: founders
        """Whose short keys administer in the block of a height."""
        self.after = [Papers()]
        """Documents after each height."""
        self.done = 0
        """Acts that were applied."""
        self.refused: dict[str, int] = {}
        """Reason -> how often."""

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        for key, value in writes:
            if key[:1] == layout.BLOCK and value is not None:
                self._judge(node, int.from_bytes(key[1:], "big"), value, reader)

    def _judge(self, node: int, height: int, raw: bytes, reader: Reader) -> None:
        if height == len(self.after):
            self._replay(node, height, raw, reader)
        if height >= len(self.after) or executed_height(reader) != height:
            return
        held = {k[len(_STATE) :]: v for k, v in reader.scan(_STATE, _STATE + b"\xff" * 900)}
        if held != self.after[height].state():
            self._complain(node, height, "its documents are not those that the acts lead to")

    def _replay(self, node: int, height: int, raw: bytes, reader: Reader) -> None:
        _, leaves = _unpack(raw)
        header = _unpack(_unpack(leaves[0])[2])
        operations = dict(operations_of(header[9], reader, self._scheme))
        papers = self.after[-1].copy()
        for leaf in map(_unpack, leaves[1:-1]):
            acts = [each[3] for each in operations.get(leaf[6], ()) if each[1] == "documents"]
            trial, reason = papers.copy(), ""
            for body in acts:
                sender = short(_unpack(leaf[6])[2])
                reason = reason or self._act(trial, sender, _unpack(body), height, header[8])
            if acts and leaf[5] != reason:
                self._complain(node, height, f"an act ended with {leaf[5] or 'success'!r}, not "
                               f"{reason or 'success'!r}")  # fmt: skip
            if reason:
                self.refused[reason] = self.refused.get(reason, 0) + 1
            elif acts:
                papers = trial
                self.done += 1
        self.after.append(papers)

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

    def _complain(self, node: int, height: int, sentence: str) -> None:
        self._findings.add("P22", f"node {node} after block {height}: {sentence}", node)


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False)
