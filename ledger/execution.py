"""Execution: one block applied to the state, its leaves appended to the log.

Here, and only here, are membership, expiry and replay judged, since honest voters stand at
different executed heights.  The result is data: writes for the store, leaves, and the new head.
Replays are decided by (sender, nonce) inside `replay_window` alone; the nonces of a block leave the
state once every transaction in it has expired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgpack

from ledger import authenticated, encoding, layout, merkle
from ledger.applications.interface import Application, Origin
from ledger.batch import Batch
from ledger.block import (
    LEAF_BYTES_MAX,
    VERSION,
    BlockHeader,
    BlockLeaf,
    LeafKind,
    OutcomeLeaf,
    Result,
    StateHashKind,
)
from ledger.chain import GENESIS_TIP, Tip, tip_of
from ledger.encoding import encode, encoder
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.limits import INTEGER_MAX, REASON_CHARS_MAX, Limits
from ledger.membership import Members, Membership
from ledger.statement import Slot
from ledger.store import Overlay, Reader, Write, sorted_writes
from ledger.transaction import Transaction

STATE_DOMAIN = b"ledger state\x00"
SENDERS_MAX = 100_000
"""Senders remembered by a cache; an open test network may have any number of them."""
_APPLIED, _FAILED, _SKIPPED = int(Result.APPLIED), int(Result.FAILED), 2
_LEAF = int(LeafKind.TRANSACTION)

head_shape = encoding.row(
    encoding.uint(),
    encoding.digest,
    encoding.uint(),
    encoding.uint(),
    encoding.array(encoding.digest, 64),
    encoding.digest,
    encoding.blob(32),
    encoding.slot,
    encoding.digest,
)


@dataclass(frozen=True, slots=True)
class Head:
    """Everything that the next execution builds on."""

    tip: Tip
    size: int
    """Leaves in the log."""
    frontier: tuple[bytes, ...]
    """Roots of the log's complete subtrees, largest first."""
    state_hash: bytes
    value: bytes
    """Digest of the value behind the last block; empty before the first."""
    slot: Slot
    epoch: bytes
    """Epoch id of the next height."""

    @property
    def height(self) -> int:
        return self.tip.height

    def root(self) -> bytes:
        """The log's RFC 9162 root."""
        return merkle.Frontier(self.size, self.frontier).root()

    def encode(self) -> bytes:
        return encode(
            (
                self.tip.height,
                self.tip.hash,
                self.tip.timestamp_ms,
                self.size,
                self.frontier,
                self.state_hash,
                self.value,
                self.slot,
                self.epoch,
            )
        )


def parse_head(raw: bytes) -> Head:
    """The head of these bytes.  Raises DecodeFault."""
    height, block, time, size, frontier, state, value, slot, epoch = encoding.decode(
        raw, head_shape, size_max=4096, what="head"
    )
    return Head(Tip(height, block, time), size, frontier, state, value, slot, epoch)


def genesis_head(genesis: Genesis) -> Head:
    """The head before the first block."""
    return Head(GENESIS_TIP, 0, (), genesis.network, b"", (0,), genesis.epoch.id)


@dataclass(slots=True)
class NonceCache:
    """The highest nonce each sender has used inside the window: a higher one is certainly new.

    A cache of the store, not state: any contents that came from executing lead to the same results.
    """

    highest: dict[bytes, int] = field(default_factory=dict)

    def may_be_used(self, sender: bytes, nonce: int) -> bool:
        """Whether the pair may have been used: where false, it certainly was not."""
        return nonce <= self.highest.get(sender, INTEGER_MAX)

    def is_used(self, state: Overlay, sender: bytes, nonce: int) -> bool:
        """Whether the pair was used inside the window, or in the block that `state` is part of."""
        highest = self.highest.get(sender)
        if highest is None:
            prefix = layout.nonces_of(sender)
            last = next(state.base.scan(prefix, prefix + b"\xff" * 9, reverse=True), None)
            highest = int.from_bytes(last[0][-8:], "big") if last else -1
            self.highest[sender] = highest
        return nonce <= highest and state.get(layout.nonce_key(sender, nonce)) is not None

    def add(self, sender: bytes, nonce: int) -> None:
        """Take in a pair that `is_used` was asked about."""
        if nonce > self.highest[sender]:
            self.highest[sender] = nonce

    def end_block(self) -> None:
        """Forget all where it is too much.  Only between blocks, when the store knows as much."""
        if len(self.highest) > SENDERS_MAX:
            self.highest.clear()


@dataclass(frozen=True, slots=True)
class Execution:
    """What executing one block led to."""

    header: BlockHeader
    head: Head
    leaves: tuple[bytes, ...]
    writes: list[Write]
    applied: int
    failed: int
    skipped: int
    outcome: OutcomeLeaf


class _TransactionState:
    """An application's view while one transaction runs: its writes are kept or dropped whole."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self.prefix = b""
        """Of the application whose operation runs."""
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        full = self.prefix + key
        if full in self.writes:
            return self.writes[full]
        return self._overlay.get(full)

    def put(self, key: bytes, value: bytes | None) -> None:
        self.writes[self.prefix + key] = value

    def keep(self) -> None:
        """Hand the writes on: the transaction was applied."""
        self._overlay.writes.update(self.writes)


class Executor:
    """Executes blocks in order.  Holds what is fixed, and a cache; the state is in the store."""

    def __init__(self, genesis: Genesis, applications: Sequence[Application]) -> None:
        versions = dict(genesis.applications)
        self._limits: Limits = genesis.limits
        self._network = genesis.network
        self._applications = {
            (application.name, application.version): application.for_network(genesis)
            for application in applications
            if versions.get(application.name) == application.version
        }
        assert len(self._applications) == len(versions), "an application of the genesis is missing"
        names = [each.name for each in self._applications.values() if each.authenticated]
        self._tree = authenticated.Keys(names, genesis.limits.run_ahead) if names else None
        self._prefixes = {name: layout.state_key(name, b"") for name in versions}
        self._membership = Membership(genesis)
        self._nonces = NonceCache()

    def members(self, reader: Reader) -> Members:
        """The members as the last block that the reader holds left them."""
        return self._membership.after(reader)

    def may_be_replayed(self, sender: bytes, nonce: int) -> bool:
        """Whether it is worth to look up this nonce: where false, no executed block has used it."""
        return self._nonces.may_be_used(sender, nonce)

    def check_operations(self, transaction: Transaction) -> None:
        """Raise Fault for operations that could never be applied: asked at the door."""
        for _, name, version, body in transaction.operations:
            application = self._applications.get((name, version))
            if application is None:
                raise Fault("operation.unknown-application", f"{name} version {version}")
            application.check(body)

    def execute(
        self, reader: Reader, head: Head, header: BlockHeader, batches: Sequence[Batch]
    ) -> Execution:
        """Apply one block.  The batches must be those that the header names, in its order."""
        assert header.height == head.height + 1
        assert header.previous_hash == head.tip.hash
        assert tuple(batch.digest for batch in batches) == header.payload
        overlay = Overlay(reader)
        state = _TransactionState(overlay)
        pack = encoder()
        height, standing = header.height, self._membership.after(reader).standing
        if height == 1:
            self._begin(state)
        leaves = [BlockLeaf(header.raw).encode()]
        index: list[Write] = []
        counts = [0, 0, 0]
        position = -1
        for ordinal, batch in enumerate(batches):
            for place, transaction in enumerate(batch.transactions):
                position += 1
                may_submit, roles = standing(transaction.sender)
                if self._is_skipped(overlay, may_submit, height, transaction):
                    counts[_SKIPPED] += 1
                    continue
                sender, nonce = transaction.sender, transaction.nonce
                self._nonces.add(sender, nonce)
                overlay.writes[layout.nonce_key(sender, nonce)] = b""
                reason = self._apply(state, header, position, transaction, roles)
                result = _FAILED if reason else _APPLIED
                counts[result] += 1
                entry = (height, len(leaves), ordinal, place)
                index.append((layout.TX + transaction.id, pack(entry)))
                proof = (transaction.header, transaction.signature)
                leaves.append(pack((VERSION, _LEAF, height, position, result, reason, *proof)))
        self._nonces.end_block()
        self._expire_nonces(overlay, height)
        return self._finish(reader, overlay, head, header, leaves, index, counts)

    def _begin(self, state: _TransactionState) -> None:
        """What applications have in their state before the first transaction."""
        for application in self._applications.values():
            state.prefix = self._prefixes[application.name]
            application.begin(state)
        state.keep()

    def _is_skipped(
        self, state: Overlay, may_submit: bool, height: int, transaction: Transaction
    ) -> bool:
        expiry = transaction.expiry
        return (
            expiry < height
            or expiry > height + self._limits.replay_window
            or not may_submit
            or transaction.network != self._network
            or self._nonces.is_used(state, transaction.sender, transaction.nonce)
        )

    def _apply(
        self,
        state: _TransactionState,
        header: BlockHeader,
        position: int,
        transaction: Transaction,
        roles: tuple[str, ...],
    ) -> str:
        """The reason why the transaction fails, or an empty text once its writes are kept."""
        applications, prefixes = self._applications, self._prefixes
        height, time = header.height, header.timestamp_ms
        identity, sender = transaction.id, transaction.sender
        state.writes = {}
        try:
            for number, (_, name, version, body) in enumerate(transaction.operations):
                application = applications.get((name, version))
                if application is None:
                    return "operation.unknown-application"
                state.prefix = prefixes[name]
                origin = Origin(height, position, number, identity, sender, time, roles)
                application.apply(state, origin, body)
        except Fault as fault:
            # An empty reason would read as applied.
            return fault.reason[:REASON_CHARS_MAX] or "operation.refused"
        state.keep()
        return ""

    def _expire_nonces(self, overlay: Overlay, height: int) -> None:
        # A transaction executed at height b expires at b + replay_window at the latest.
        expired = (
            overlay.get(layout.height_key(layout.BLOCK, height - self._limits.replay_window - 1))
            if height > self._limits.replay_window + 1
            else None
        )
        if expired is None:
            return
        for sender, nonce in _spent_in(expired):
            overlay.writes[layout.nonce_key(sender, nonce)] = None

    def _finish(
        self,
        reader: Reader,
        overlay: Overlay,
        head: Head,
        header: BlockHeader,
        leaves: list[bytes],
        index: list[Write],
        counts: list[int],
    ) -> Execution:
        changes = sorted_writes(overlay.writes)
        state_hash = hashlib.sha256(STATE_DOMAIN + head.state_hash + encode(changes)).digest()
        kind, tree_writes = StateHashKind.RUNNING, list[Write]()
        if self._tree is not None:
            step = self._tree.step(reader, header.height, state_hash, changes)
            kind, state_hash, tree_writes = StateHashKind.TREE, step.state_hash, step.writes
        outcome = OutcomeLeaf(
            height=header.height,
            block_hash=header.hash,
            entry_count=len(leaves) - 1,
            state_hash_kind=kind,
            state_hash=state_hash,
            epoch=head.epoch,
            next_epoch=head.epoch,
        )
        leaves.append(outcome.encode())
        new_head, log_writes = append_leaves(reader, head, header, leaves, state_hash)
        writes: list[Write] = [*changes, *tree_writes, *index, *log_writes]
        return Execution(
            header, new_head, tuple(leaves), writes, counts[0], counts[1], counts[2], outcome
        )


def _spent_in(entry: bytes) -> Iterator[tuple[bytes, int]]:
    """(sender, nonce) of every transaction leaf of a stored block, which execution itself wrote."""
    for leaf in parse_block_entry(entry)[1]:
        if leaf[2] == _LEAF:
            header = msgpack.unpackb(msgpack.unpackb(leaf, use_list=False)[6], use_list=False)
            yield header[2], header[3]


def append_leaves(
    reader: Reader, head: Head, header: BlockHeader, leaves: Sequence[bytes], state_hash: bytes
) -> tuple[Head, list[Write]]:
    """The head and the log's writes after appending one block's leaves."""
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    frontier = merkle.Frontier(head.size, head.frontier)
    frontier.append(hashes)
    tiles = merkle.grown_tiles(
        head.size, hashes, lambda level, number: reader.get(layout.tile_key(level, number)) or b""
    )
    writes: list[Write] = [
        (layout.tile_key(level, number), data) for (level, number), data in tiles.items()
    ]
    writes.append(
        (
            layout.height_key(layout.BLOCK, header.height),
            encode((head.size, tuple(leaves))),
        )
    )
    writes.append((layout.height_key(layout.HEADER, header.height), header.raw))
    new_head = Head(
        tip_of(header),
        frontier.size,
        frontier.hashes,
        state_hash,
        header.value,
        header.slot,
        head.epoch,
    )
    writes.append((layout.EXECUTED, new_head.encode()))
    return new_head, writes


_entry_shape = encoding.row(
    encoding.uint(), encoding.array(encoding.blob(LEAF_BYTES_MAX), 2**17, low=2)
)


def parse_block_entry(raw: bytes) -> tuple[int, tuple[bytes, ...]]:
    """(first leaf index, leaves) of a stored block.  Raises DecodeFault."""
    first, leaves = encoding.decode(raw, _entry_shape, size_max=2**31, what="block entry")
    return first, leaves
