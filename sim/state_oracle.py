"""What the oracles over an application's state share: blocks taken apart by hand, each replayed
once, and every node's state compared after every block.

Nothing here calls the application that is judged, nor what wrote the blocks.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgpack

from ledger import layout
from ledger.genesis import Genesis
from ledger.store import Reader, Write
from sim.oracles import Findings
from sim.stored import executed_height, operations_of
from sim.watcher import Watcher

_KEY_END = b"\xff" * 900
"""Behind every key of an application."""

State = TypeVar("State")


class Executed(NamedTuple):
    """One transaction of a block, as a node stored it."""

    identity: bytes
    sender: bytes
    reason: str
    """Why it failed; empty where it was applied."""
    bodies: list[tuple[int, bytes]]
    """(number of the operation in the transaction, body) of the application's own."""


class StateOracle(Watcher, Generic[State]):
    """Replays each block once, and judges every node that stores it."""

    application: ClassVar[str]
    broken: ClassVar[str]
    """The property that is violated where it complains."""

    def __init__(self, genesis: Genesis, findings: Findings, first: State) -> None:
        self._findings, self._scheme = findings, genesis.scheme
        self.after = [first]
        """The state that the rules lead to after each height."""

    @abstractmethod
    def replay(self, node: int, height: int, time: int, block: Iterator[Executed]) -> State:
        """The state after the block that follows on the last one; complains of how it ended."""

    @abstractmethod
    def compare(self, node: int, height: int, held: dict[bytes, bytes]) -> None:
        """Complain where a node's state after a block, by the application's keys, is another."""

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        for key, value in writes:
            if key[:1] == layout.BLOCK and value is not None:
                self._judge(node, int.from_bytes(key[1:], "big"), value, reader)

    def _judge(self, node: int, height: int, raw: bytes, reader: Reader) -> None:
        if height == len(self.after):
            _, leaves = unpack(raw)
            header = unpack(unpack(leaves[0])[2])
            operations = dict(operations_of(header[9], reader, self._scheme))
            block = (self._executed(unpack(leaf), operations) for leaf in leaves[1:-1])
            self.after.append(self.replay(node, height, header[8], block))
        if height >= len(self.after) or executed_height(reader) != height:
            # Blocks out of order are another oracle's; of several in one write the last one counts.
            return
        prefix = b"\x10" + self.application.encode() + b"\x00"
        held = {k[len(prefix) :]: v for k, v in reader.scan(prefix, prefix + _KEY_END)}
        self.compare(node, height, held)

    def _executed(self, leaf: list[Any], operations: dict[bytes, Any]) -> Executed:
        header = leaf[6]
        several = enumerate(operations.get(header, ()))
        own = [(number, each[3]) for number, each in several if each[1] == self.application]
        return Executed(hashlib.sha256(header).digest(), unpack(header)[2], leaf[5], own)

    def check_end(self, node: int, height: int, what: str, each: Executed, reason: str) -> None:
        """Complain where a transaction ended otherwise than its rules say."""
        if each.reason != reason:
            was, due = each.reason or "success", reason or "success"
            self.complain(node, height, f"{what} ended with {was!r}, not {due!r}")

    def complain(self, node: int, height: int, sentence: str) -> None:
        self._findings.add(self.broken, f"node {node} after block {height}: {sentence}", node)


def pack(value: Any) -> bytes:
    """A value as the ledger stores it."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> Any:
    """What the ledger stores, arrays as lists."""
    return msgpack.unpackb(data, raw=False)
