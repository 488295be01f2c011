"""Heavy work as data: what a replica asks its host to do elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from consensus.inspector import Inspector
from consensus.io import Admission, Job
from consensus.packets import Blocks
from ledger import layout, merkle
from ledger.batch import Batch, parse_batch, split_signed_batch
from ledger.batch_store import find_batch
from ledger.block import BlockHeader, BlockLeaf, parse_header, parse_leaf
from ledger.certified import parse_certificate
from ledger.encoding import encode
from ledger.errors import Fault, ProofFault
from ledger.execution import Execution, Executor, Head, parse_block_entry
from ledger.genesis import Genesis
from ledger.keys import Suite
from ledger.membership import Members
from ledger.senders import Verify, sender_check
from ledger.store import Reader
from ledger.transaction import Transaction, parse_each

BRIEF_BYTES = 4_096
"""Of one or two transactions: their check takes a fraction of a millisecond, as a hop to another
thread and back does.  Their execution takes half of that."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of submitted transactions: one admission each, and which are new and right."""

    admissions: tuple[Admission, ...]
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class AdmitTransactions(Job):
    """Judge submitted transactions at the door: form, network, sender, life, signature, replay."""

    genesis: Genesis
    executor: Executor
    suite: Suite
    height: int
    """Executed height here."""
    raws: tuple[bytes, ...]

    @property
    def is_brief(self) -> bool:
        return sum(map(len, self.raws)) <= BRIEF_BYTES

    def run(self, reader: Reader) -> Admitted:
        admissions, transactions = [], []
        members = self.executor.members(reader)
        verify = sender_check(self.genesis, self.suite.members.verify)
        for parsed in parse_each(self.raws):
            if isinstance(parsed, Fault):
                admissions.append(Admission(b"", parsed.reason, parsed.detail))
                continue
            try:
                self._check(reader, members, verify, parsed)
                transactions.append(parsed)
                admissions.append(Admission(parsed.id))
            except Fault as fault:
                # One that is executed already is as welcome as when it was new.
                known = reader.get(layout.TX + parsed.id) is not None
                refusal = Admission(parsed.id, fault.reason, fault.detail)
                admissions.append(Admission(parsed.id) if known else refusal)
        return Admitted(tuple(admissions), tuple(transactions))

    def _check(
        self, reader: Reader, members: Members, verify: Verify, transaction: Transaction
    ) -> None:
        if transaction.network != self.genesis.network:
            raise Fault("transaction.network", "it is signed for another network")
        if not members.standing(transaction.sender).may_submit:
            raise Fault("transaction.unknown-sender", transaction.sender.hex())
        if transaction.expiry <= self.height:
            raise Fault("transaction.expired", f"at height {transaction.expiry}")
        if transaction.expiry > self.height + self.genesis.limits.replay_window:
            raise Fault(
                "transaction.expiry-too-far",
                f"at most {self.genesis.limits.replay_window} heights ahead of {self.height}",
            )
        sender, nonce = transaction.sender, transaction.nonce
        may_be_used = self.executor.may_be_replayed(sender, nonce)
        if may_be_used and reader.get(layout.nonce_key(sender, nonce)) is not None:
            raise Fault("transaction.nonce-used", "another transaction has used this nonce")
        self.executor.check_operations(transaction)
        if not verify(sender, transaction.signed_bytes(), transaction.signature):
            raise Fault("transaction.signature", "the signature is wrong")


@dataclass(frozen=True, slots=True)
class CheckBatch(Job):
    """Decode a batch and check every signature in it.  The result is the batch or its fault."""

    inspector: Inspector
    raw: bytes
    signature: bytes

    @property
    def is_brief(self) -> bool:
        return len(self.raw) <= BRIEF_BYTES

    def run(self, reader: Reader) -> Batch | Fault:
        try:
            return self.inspector.batch(self.raw, self.signature)
        except Fault as fault:
            return fault


@dataclass(frozen=True, slots=True)
class ExecuteBlock(Job):
    """Apply the next block to the durable state."""

    sequential: ClassVar[bool] = True
    executor: Executor
    head: Head
    header: BlockHeader
    batches: tuple[Batch, ...]

    @property
    def is_brief(self) -> bool:
        return sum(len(batch.raw) for batch in self.batches) <= 2 * BRIEF_BYTES

    def run(self, reader: Reader) -> Execution:
        return self.executor.execute(reader, self.head, self.header, self.batches)


@dataclass(frozen=True, slots=True)
class ReadBatches(Job):
    """Stored batches, for a peer that asked or for ourselves after a restart."""

    digests: tuple[bytes, ...]
    suite: Suite

    def run(self, reader: Reader) -> tuple[tuple[bytes, bytes], ...]:
        """(batch bytes, creator's signature) of each that is here."""
        found = []
        for digest in self.digests:
            stored = find_batch(reader, digest, self.suite)
            if stored is not None:
                found.append((stored.read(), stored.signature))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ReadBlocks(Job):
    """Certified blocks for a peer that is behind, up to the largest certificate that fits."""

    first: int
    certified: int
    bytes_max: int
    blocks_max: int
    suite: Suite

    def run(self, reader: Reader) -> Blocks | None:
        """The packet to send, or None where there is nothing certified from `first` on."""
        blocks: list[bytes] = []
        batches: list[bytes] = []
        best: tuple[int, int, bytes] | None = None
        size = 0
        for height in range(self.first, self.certified + 1):
            entry = reader.get(layout.height_key(layout.BLOCK, height))
            if entry is None:
                break
            header = header_of_entry(entry)
            bodies = []
            for digest in header.payload:
                stored = find_batch(reader, digest, self.suite)
                assert stored is not None, "a batch of a stored block is missing"
                bodies.append(stored.signature + stored.read())
            size += len(entry) + sum(map(len, bodies))
            if best is not None and (size > self.bytes_max or len(blocks) >= self.blocks_max):
                break
            blocks.append(entry)
            batches += bodies
            note = reader.get(layout.height_key(layout.CERT, height))
            if note is not None:
                best = (len(blocks), len(batches), note)
        if best is None:
            return None
        return Blocks(self.first, tuple(blocks[: best[0]]), tuple(batches[: best[1]]), best[2])


@dataclass(frozen=True, slots=True)
class CertifiedBlock:
    """A block of a checked range: what executing it must lead to."""

    header: BlockHeader
    batches: tuple[Batch, ...]
    signatures: tuple[bytes, ...]
    """The creator's of each batch."""
    leaves: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CertifiedRange:
    """Consecutive blocks that a certificate covers, with that certificate."""

    blocks: tuple[CertifiedBlock, ...]
    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class CheckBlocks(Job):
    """Check a range from a peer before a single transaction of it is executed.

    Recomputes the log's root over the own log and the range's leaves, and compares it with the
    certificate at the range's end.
    """

    genesis: Genesis
    suite: Suite
    head: Head
    """The own log that the range must extend."""
    packet: Blocks

    def run(self, reader: Reader) -> CertifiedRange | Fault:
        try:
            return self._check()
        except Fault as fault:
            return fault

    def _check(self) -> CertifiedRange:
        if self.packet.first != self.head.height + 1:
            raise Fault("sync.gap", "the range does not begin at the next height")
        origin, validators = self.genesis.origin, self.genesis.epoch.validators
        certificate = parse_certificate(self.packet.note, origin, validators)
        certificate.check(origin, validators, self.suite.checkpoints.verify)
        frontier = merkle.Frontier(self.head.size, self.head.frontier)
        blocks = []
        batches = iter(self.packet.batches)
        for entry in self.packet.blocks:
            first, leaves = parse_block_entry(entry)
            if first != frontier.size or encode((first, leaves)) != entry:
                raise Fault("sync.range", "a block does not continue the log")
            frontier.append([merkle.leaf_hash(leaf) for leaf in leaves])
            blocks.append(self._block(leaves, batches))
        if next(batches, None) is not None:
            raise Fault("sync.range", "more batches than the blocks name")
        if (frontier.size, frontier.root()) != (certificate.size, certificate.root):
            raise ProofFault("sync.root", "the leaves do not lead to the certified root")
        return CertifiedRange(tuple(blocks), certificate.size, self.packet.note)

    def _block(self, leaves: Sequence[bytes], batches: Iterator[bytes]) -> CertifiedBlock:
        leaf = parse_leaf(leaves[0])
        if not isinstance(leaf, BlockLeaf):
            raise Fault("sync.range", "a block does not begin with its header")
        header = parse_header(leaf.header)
        bodies, signatures = [], []
        for digest in header.payload:
            raw, signature = split_signed_batch(next(batches, b""), self.suite)
            batch = parse_batch(raw, self.genesis.limits)
            if batch.digest != digest:
                raise Fault("sync.range", "a batch is not the one that the block names")
            # A quorum checked the transactions; the creator's signature is what is new here.
            key = self.genesis.epoch.validators.statement_key(batch.creator)
            if not self.suite.statements.verify(key, batch.statement().signed_bytes(), signature):
                raise Fault("batch.creator-signature")
            bodies.append(batch)
            signatures.append(signature)
        return CertifiedBlock(header, tuple(bodies), tuple(signatures), tuple(leaves))


def header_of_entry(entry: bytes) -> BlockHeader:
    """The header of a stored block entry."""
    leaf = parse_leaf(parse_block_entry(entry)[1][0])
    assert isinstance(leaf, BlockLeaf)
    return parse_header(leaf.header)
