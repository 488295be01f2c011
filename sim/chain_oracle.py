"""The oracle over stores: every block and certificate that reaches a disk, P1 to P4 and P6 to P8.

The first node that stores a block has it judged from its bytes; every other node is then compared
with those bytes.  So a block that is wrong and one that differs are different findings.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgpack

from ledger import layout
from ledger.genesis import Genesis
from ledger.store import Reader, Write
from sim.oracles import Findings
from sim.signed import check_of, note_key_id, note_signature
from sim.stored import batch_of
from sim.watcher import Watcher

QUORUMS = (
    0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13,
    14, 15, 15, 16, 17, 17, 18, 19, 19, 20, 21, 21, 22, 23, 23, 24, 25, 25, 26, 27,
    27, 28, 29, 29, 30, 31, 31, 32, 33, 33, 34, 35, 35, 36, 37, 37, 38, 39, 39, 40,
    41, 41, 42, 43, 43, 44, 45, 45, 46, 47, 47, 48, 49, 49, 50, 51, 51, 52, 53, 53,
    54, 55, 55, 56, 57, 57, 58, 59, 59, 60, 61, 61, 62, 63, 63, 64, 65, 65, 66, 67,
    67,
)  # fmt: skip
"""Byzantine quorums of 0 to 100 validators, written out."""
MAJORITIES = (
    0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10,
    11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16, 17, 17, 18, 18, 19, 19, 20, 20,
    21, 21, 22, 22, 23, 23, 24, 24, 25, 25, 26, 26, 27, 27, 28, 28, 29, 29, 30, 30,
    31, 31, 32, 32, 33, 33, 34, 34, 35, 35, 36, 36, 37, 37, 38, 38, 39, 39, 40, 40,
    41, 41, 42, 42, 43, 43, 44, 44, 45, 45, 46, 46, 47, 47, 48, 48, 49, 49, 50, 50,
    51,
)  # fmt: skip
"""Crash-only quorums of as many."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One block as the first node that executed it stored it."""

    node: int
    raw: bytes
    hash: bytes
    timestamp_ms: int
    size: int
    """Leaves of the log up to its end."""


class ChainOracle(Watcher):
    """P1 to P4, P6 and P7, over every block and certificate that reaches a disk."""

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        self.entries: list[Entry] = []
        """By height, the first is height 1."""
        self.executed: dict[bytes, int] = {}
        """Transaction id -> height, over all blocks."""
        self.used: dict[tuple[bytes, int], bytes] = {}
        """(sender, nonce) -> transaction id."""
        self.leaf_hashes: list[bytes] = []
        self.may_fail: tuple[str, ...] = ("payment.", "identity.", "document.")
        """Beginnings of the reasons for which a transaction may fail: clients' records are all
        sound, and whether others may fail is judged by oracles of their own."""
        self._findings = findings
        self._network = genesis.network
        self._origin, self._scheme = genesis.origin, genesis.scheme
        self._is_signed = check_of(genesis.scheme)
        self._window = genesis.limits.replay_window
        senders = frozenset(m.public_key for m in genesis.members if "submitter" in m.roles)
        self.submitters: Callable[[int], frozenset[bytes]] = lambda _: senders
        """Who may have submitted what a block of a height holds; where members change, whoever
        knows them puts another function here."""
        self._epoch = genesis.epoch.id
        keys = [validator.checkpoint_key for validator in genesis.epoch.validators.members]
        self._keys = {note_key_id(genesis.scheme, genesis.origin, key): key for key in keys}
        self._key_order = list(self._keys)
        is_byzantine = genesis.epoch.validators.rule == 1
        self._quorum = (QUORUMS if is_byzantine else MAJORITIES)[len(keys)]
        self._certificates: set[tuple[int, bytes]] = set()
        self._headers: dict[int, tuple[int, bytes]] = {}
        self._promised: dict[int, int] = {}
        self._roots: dict[int, bytes] = {}
        """The log's root by its size, at the sizes that certificates name."""

    # --- what reaches a disk ----------------------------------------------------------------------

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        for key, value in writes:
            kind = key[:1]
            if kind == layout.BLOCK:
                self._on_block(node, key, value, reader)
            elif kind == layout.HEADER:
                self._on_header(node, key, value)
            elif kind == layout.CERT and value is not None:
                self._on_certificate(node, int.from_bytes(key[1:], "big"), value)

    def _on_header(self, node: int, key: bytes, value: bytes | None) -> None:
        height = int.from_bytes(key[1:], "big")
        if value is None:
            return
        first, raw = self._headers.setdefault(height, (node, value))
        if raw != value:
            self._findings.add(
                "P1", f"nodes {first} and {node} decided different blocks at height {height}",
                first, node,
            )  # fmt: skip

    def _on_block(self, node: int, key: bytes, value: bytes | None, reader: Reader) -> None:
        height = int.from_bytes(key[1:], "big")
        if value is None:
            self._findings.add("P2", f"node {node} deleted block {height}", node)
        elif height <= len(self.entries):
            entry = self.entries[height - 1]
            if entry.raw != value:
                self._findings.add("P1", self._difference(entry, node, height, value),
                                   entry.node, node)  # fmt: skip
        elif height > len(self.entries) + 1:
            self._findings.add("P3", f"node {node} stored block {height} before the one below it",
                               node)  # fmt: skip
        else:
            self._append(node, height, value, reader)

    def _difference(self, entry: Entry, node: int, height: int, raw: bytes) -> str:
        what = "different leaves for the same block"
        if _digest(_unpack(_unpack(raw)[1][0])[2]) != entry.hash:
            what = "different blocks"
        return f"nodes {entry.node} and {node} stored {what} at height {height}"

    def _append(self, node: int, height: int, raw: bytes, reader: Reader) -> None:
        """Judge a block that no node has stored before, and make it the measure for the others."""
        first, leaves = _unpack(raw)
        header_raw = _unpack(leaves[0])[2]
        header, outcome = _unpack(header_raw), _unpack(leaves[-1])
        block_hash = _digest(header_raw)
        for complaint in self._complaints(height, first, leaves, header, outcome, block_hash):
            self._findings.add("P3", f"node {node} stored block {height}: {complaint}", node)
        for name, complaint in self._transaction_complaints(height, leaves, header, reader):
            self._findings.add(name, f"node {node} stored block {height}: {complaint}", node)
        self.leaf_hashes += [_digest(b"\x00" + leaf) for leaf in leaves]
        size = len(self.leaf_hashes)
        self.entries.append(Entry(node, raw, block_hash, header[8], size))

    def _complaints(
        self, height: int, first: int, leaves: Any, header: Any, outcome: Any, block_hash: bytes
    ) -> Iterable[str]:
        """What is wrong with the block's place in the chain and in the log (P3)."""
        last = self.entries[-1] if self.entries else None
        checks = (
            (header[1] == self._network, "it is of another network"),
            (header[2] == self._epoch, "it is of another epoch"),
            (header[3] == height, "its header has another height"),
            (header[4] == (last.hash if last else bytes(32)), "it links to another block"),
            (last is None or header[8] > last.timestamp_ms, "its time does not grow"),
            (len(header[9]) > 0, "it has no payload"),
            (first == len(self.leaf_hashes), "it does not begin where the log ends"),
            (outcome[1:4] == (3, height, block_hash), "its outcome is of another block"),
            (outcome[4] == len(leaves) - 2, "its outcome counts other leaves"),
            ((outcome[7], outcome[8]) == (self._epoch, self._epoch), "its outcome changes epochs"),
        )
        return (complaint for is_right, complaint in checks if not is_right)

    def _transaction_complaints(
        self, height: int, leaves: Any, header: Any, reader: Reader
    ) -> Iterable[tuple[str, str]]:
        """What is wrong with the transactions of a block (P6, P7)."""
        stored = [_unpack(leaf) for leaf in leaves[1:-1]]
        senders = self.submitters(height)
        for leaf in stored:
            _, network, sender, nonce, expiry, _, _ = _unpack(leaf[6])
            identity, pair = _digest(leaf[6]), (sender, nonce)
            if pair in self.used:
                yield (
                    "P7",
                    f"a sender's nonce {nonce} is used again, first at height "
                    + str(self.executed[self.used[pair]]),
                )
            self.used.setdefault(pair, identity)
            self.executed.setdefault(identity, height)
            if network != self._network or sender not in senders:
                yield "P6", "a transaction of no member of this network"
            if not height <= expiry <= height + self._window:
                yield "P6", f"a transaction outside its life: it expires at {expiry}"
            if not self._is_signed(sender, b"ledger transaction\x00" + leaf[6], leaf[7]):
                yield "P6", "a transaction with a wrong signature"
            if (leaf[4], leaf[5]) != (0, "") and not leaf[5].startswith(self.may_fail):
                yield "P6", f"a sound record failed: {leaf[5]}"
        if [leaf[6] for leaf in stored] != list(self._due(height, header[9], reader)):
            yield "P6", "its transactions are not those that its batches call for"

    def _due(self, height: int, payload: Any, reader: Reader) -> Iterable[bytes]:
        """Headers of the transactions that a block with these batches must hold, in order."""
        seen: set[tuple[bytes, int]] = set()
        senders = self.submitters(height)
        for digest in payload:
            batch = batch_of(digest, reader, self._scheme)
            if _digest(batch) != digest:
                yield b"a batch is missing or is not the one that was named"
                continue
            for raw in _unpack(batch)[6]:
                header = _unpack(raw)[0]
                _, network, sender, nonce, expiry, _, _ = _unpack(header)
                pair = (sender, nonce)
                # The block's own leaves are in `used` by now, with the height of this block.
                earlier = self.executed[self.used[pair]] if pair in self.used else height
                is_fresh = earlier == height and pair not in seen
                is_alive = height <= expiry <= height + self._window
                if is_fresh and is_alive and sender in senders and network == self._network:
                    seen.add(pair)
                    yield header

    # --- certificates -----------------------------------------------------------------------------

    def _on_certificate(self, node: int, height: int, note: bytes) -> None:
        """P4: a certificate on a disk binds the log up to its height."""
        if (height, note) in self._certificates:
            return
        self._certificates.add((height, note))
        if height > len(self.entries):
            self._findings.add("P4", f"node {node} stored a certificate for height {height}, which "
                               "no node has executed", node)  # fmt: skip
            return
        size = self.entries[height - 1].size
        complaint = self._judge_note(note, size)
        if complaint:
            self._findings.add("P4", f"node {node} stored a certificate for height {height} "
                               f"{complaint}", node)  # fmt: skip

    def _judge_note(self, note: bytes, size: int) -> str:
        """What is wrong with a signed note over the first `size` leaves; empty if nothing is."""
        body, _, block = note.partition(b"\n\n")
        text = body + b"\n"
        lines = text.decode().split("\n")
        if lines[:2] != [self._origin, str(size)]:
            return f"over another log or size: {lines[:2]}"
        if size not in self._roots:
            self._roots[size] = naive_root(self.leaf_hashes[:size])
        root = self._roots[size]
        if b64decode(lines[2], validate=True) != root:
            return "whose root is not that of the leaves"
        signers: list[int] = []
        for line in block.decode().splitlines():
            mark, name, encoded = line.split(" ")
            signed = b64decode(encoded, validate=True)
            key = self._keys.get(signed[:4])
            if mark != "—" or name != self._origin or key is None:
                return "with a signature of no validator"
            message, signature = note_signature(
                self._scheme, signed[4:], text, self._origin, size, root
            )
            if not self._is_signed(key, message, signature):
                return "with a wrong signature"
            signers.append(self._key_order.index(signed[:4]))
        if sorted(set(signers)) != signers:
            return "whose signers repeat or are out of order"
        if len(signers) != self._quorum:
            return f"with {len(signers)} signatures, where {self._quorum} are a quorum"
        return ""

    # --- promises ---------------------------------------------------------------------------------

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        if certified_height(reader) < height:
            self._findings.add("P2", f"node {node} confirmed height {height} without a stored "
                               "certificate", node)  # fmt: skip
        self._promised[node] = max(height, self._promised.get(node, 0))

    def robbed(self, node: int) -> None:
        """What a lost disk held is not asked for again until it is promised again."""
        self._promised.pop(node, None)

    def booted(self, node: int, reader: Reader) -> None:
        """P2: after every restart, what was promised is there, unchanged."""
        self.check_store(node, reader, self._promised.get(node, 0))

    def check_store(self, node: int, reader: Reader, promised: int) -> None:
        """Compare a node's whole certified chain with the one that all agree on."""
        certified = certified_height(reader)
        if certified < promised:
            self._findings.add("P2", f"node {node} confirmed height {promised} and is back at "
                               f"{certified}", node)  # fmt: skip
        for height in range(1, min(certified, len(self.entries)) + 1):
            raw = reader.get(layout.height_key(layout.BLOCK, height))
            if raw != self.entries[height - 1].raw:
                self._findings.add("P2", f"node {node} lost or changed certified block {height}",
                                   node)  # fmt: skip

    def finish(self, node: int, reader: Reader, acknowledged: dict[bytes, int]) -> None:
        """P2, P3 and P8 over one node's whole store, at the end."""
        self.check_store(node, reader, self._promised.get(node, 0))
        certified = certified_height(reader)
        for identity, height in sorted(acknowledged.items()):
            held = self.executed.get(identity, height + 1)
            if held != height or height > certified:
                self._findings.add("P8", f"transaction {identity.hex()[:12]} was confirmed at "
                                   f"height {height} and is not in the certified log of node "
                                   f"{node}", node)  # fmt: skip


def certified_height(reader: Reader) -> int:
    """The height that a store calls certified."""
    return int.from_bytes(reader.get(layout.CERTIFIED) or b"", "big")


def naive_root(hashes: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, by its recursive definition."""
    if not hashes:
        return _digest(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return _digest(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:]))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)
