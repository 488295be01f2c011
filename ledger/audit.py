"""The audit: a node's whole store checked again from the genesis, with nothing in it trusted.

Every block is read, its link, batches and signatures are checked, and it is executed once more into
a state of the audit's own; the leaves, the log's hashes, the index and the state that follow must
be what is stored, with nothing missing and nothing more.  Every certificate is checked against the
log that follows, and every own signature against the validators' keys.

What stays in memory is the state, the nonces of the replay window and the log's right edge; blocks,
batches, full tiles and the index are compared as they pass.  The reader must not change meanwhile:
a snapshot, or the store of a node that is down.

Not checked: the protocol's own record and decisions that still await their certificate, which only
the protocol understands; whoever is sent them checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger import encoding, layout, merkle, queries
from ledger.applications.interface import Application
from ledger.batch import Batch, parse_batch
from ledger.batch_store import WHOLE_BYTES, batch_writes, find_batch
from ledger.block import BlockHeader, BlockLeaf, parse_header, parse_leaf
from ledger.certified import checkpoint_message, parse_certificate
from ledger.errors import DecodeFault, Fault, ProofFault, UserError
from ledger.execution import Executor, genesis_head, parse_block_entry
from ledger.genesis import Genesis, parse_genesis
from ledger.recomputed import Recomputed
from ledger.senders import sender_check
from ledger.statement import Slot, Statement, value_shape
from ledger.store import Reader, Write, prefix_stop
from ledger.validators import Validator

CHECKPOINT = layout.signed_key("checkpoint", (0,))
"""Where a validator keeps the checkpoint that it signed last."""
_statement_shape = encoding.row(
    encoding.uint(), encoding.blob(2**20), value_shape, encoding.statement_signature
)
"""(kind of message, its row, value, signature)"""
_checkpoint_shape = encoding.row(
    encoding.uint(low=1), encoding.uint(low=1), encoding.digest, encoding.signature
)
"""(height, size, root, signature)"""


@dataclass(frozen=True, slots=True)
class Audited:
    """What a whole store was found to hold."""

    height: int
    size: int
    """Leaves in the log."""
    root: bytes
    state_hash: bytes
    certified: int
    """Height of the highest certificate; 0 without one."""
    certificates: int
    batches: int
    """Named by blocks."""
    transactions: int
    """Executed ones, applied or failed."""


def audit(
    reader: Reader, network: bytes, applications: Sequence[Application]
) -> Generator[int, None, Audited]:
    """Check everything; yields each height that was found right, and returns what there is.

    Raises ProofFault or StorageError with one line that names the first thing that is wrong, and
    UserError where this program lacks an application of the network.
    """
    genesis = _genesis(reader, network)
    missing = set(genesis.applications) - {(each.name, each.version) for each in applications}
    for name, version in sorted(missing):
        raise UserError(f"this program lacks the application {name} version {version}")
    blocks = _Blocks(reader, genesis, applications)
    for height in range(1, queries.head(reader, genesis).height + 1):
        blocks.check(height)
        yield height
    blocks.check_ends()
    certified, above = _check_certificates_above(reader, genesis, blocks)
    _check_heights(reader, blocks.head.height, certified)
    _check_batches(reader, genesis)
    _check_signed(reader, genesis)
    head = blocks.head
    return Audited(
        height=head.height,
        size=head.size,
        root=head.root(),
        state_hash=head.state_hash,
        certified=certified,
        certificates=blocks.certificates + above,
        batches=blocks.batches,
        transactions=blocks.transactions,
    )


def _genesis(reader: Reader, network: bytes) -> Genesis:
    raw = reader.get(layout.GENESIS)
    if raw is None:
        raise ProofFault("audit.genesis", "the store has no genesis")
    if sha256(raw).digest() != network:
        raise ProofFault("audit.genesis", "the store belongs to another network")
    genesis = parse_genesis(raw)
    assert genesis.network == network
    return genesis


class _Blocks:
    """Goes through the blocks in order and holds what follows from them."""

    def __init__(
        self, reader: Reader, genesis: Genesis, applications: Sequence[Application]
    ) -> None:
        self._reader = reader
        self._genesis = genesis
        self._check_sender = sender_check(genesis, genesis.suite.members.verify)
        self._executor = Executor(genesis, applications)
        self._view = Recomputed(reader)
        self.head = genesis_head(genesis)
        self.certificates = 0
        self.certified = 0
        self.batches = 0
        self.transactions = 0
        own = reader.get(CHECKPOINT)
        self._own = None if own is None else _decode(own, _checkpoint_shape, "own checkpoint")
        """(height, size, root, signature) of the checkpoint that this node signed last."""

    def check(self, height: int) -> None:
        """Check and execute the block at the next height.  Raises ProofFault."""
        raw = self._stored(layout.height_key(layout.BLOCK, height), f"block {height}")
        try:
            _, leaves = parse_block_entry(raw)
            leaf = parse_leaf(leaves[0])
            if not isinstance(leaf, BlockLeaf):
                raise DecodeFault("leaf.kind", "the first leaf is not a block's")
            header = parse_header(leaf.header)
        except DecodeFault as fault:
            raise ProofFault("audit.block", f"block {height}: {fault}") from fault
        self._check_link(header, height)
        batches = [self._batch(header, digest) for digest in header.payload]
        done = self._executor.execute(self._view, self.head, header, batches)
        if leaves != done.leaves:
            raise ProofFault("audit.leaves", f"executing block {height} gives other leaves")
        self._compare(done.writes, height)
        self.head = done.head
        self.batches += len(batches)
        self.transactions += done.outcome.entry_count
        self._check_certificate(height)
        self._check_own(height)

    def _check_link(self, header: BlockHeader, height: int) -> None:
        tip, genesis = self.head.tip, self._genesis
        if header.previous_hash != tip.hash or header.height != height:
            raise ProofFault("audit.link", f"block {height} is not linked to the block before")
        if header.network != genesis.network or header.epoch != self.head.epoch:
            raise ProofFault("audit.epoch", f"block {height} is of another network or epoch")
        if header.timestamp_ms <= tip.timestamp_ms:
            raise ProofFault("audit.time", f"block {height} is not later than the block before")
        if header.proposer >= genesis.epoch.validators.size:
            raise ProofFault("audit.proposer", f"block {height} is by no validator")

    def _batch(self, header: BlockHeader, digest: bytes) -> Batch:
        what = f"batch {digest.hex()} of block {header.height}"
        raw, signature = _read_batch(self._reader, self._genesis, digest, what)
        try:
            batch = parse_batch(raw, self._genesis.limits)
            creator = self._genesis.epoch.validators.statement_key(batch.creator)
        except Fault as fault:
            raise ProofFault("audit.batch", f"{what}: {fault}") from fault
        if batch.network != header.network or batch.epoch != header.epoch:
            raise ProofFault("audit.batch", f"{what} is of another network or epoch")
        verify = self._genesis.suite.statements.verify
        if not verify(creator, batch.statement().signed_bytes(), signature):
            raise ProofFault("audit.batch", f"{what} is not signed by its creator")
        for each in batch.transactions:
            if not self._check_sender(each.sender, each.signed_bytes(), each.signature):
                raise ProofFault(
                    "audit.transaction", f"{what}: wrong signature of transaction {each.id.hex()}"
                )
        return batch

    def _compare(self, writes: Sequence[Write], height: int) -> None:
        """Compare what will not change any more; keep the rest until the end."""
        for key, value in writes:
            kind = key[:1]
            if kind == layout.TILE and value is not None and len(value) == merkle.TILE_BYTES:
                self._check_equal(key, value, f"a tile of the log under block {height}")
                self._view.kinds[kind].put(key, None)
            elif kind in self._view.kinds:
                self._view.kinds[kind].put(key, value)
            elif kind in (layout.TX, layout.BLOCK, layout.HEADER):
                self._check_equal(key, value, f"an index record of block {height}")
            else:
                assert key == layout.EXECUTED, "execution writes what the audit does not know"

    def _check_equal(self, key: bytes, value: bytes | None, what: str) -> None:
        if self._reader.get(key) != value:
            raise ProofFault("audit.record", f"{what} is not what follows: {_name(key)}")

    def _check_certificate(self, height: int) -> None:
        note = self._reader.get(layout.height_key(layout.CERT, height))
        if note is None:
            return
        log = check_note(note, self._genesis, height)
        if log != (self.head.size, self.head.root()):
            raise ProofFault("audit.certificate", f"height {height}: another log was certified")
        self.certificates += 1
        self.certified = height

    def _check_own(self, height: int) -> None:
        log = (self.head.size, self.head.root())
        if self._own is not None and self._own[0] == height and self._own[1:3] != log:
            raise ProofFault("audit.signed", f"height {height}: this node signed another log")

    def check_ends(self) -> None:
        """After the last block: head, state, nonces, partial tiles, and nothing beyond them."""
        if self.head.height > 0:
            self._check_equal(layout.EXECUTED, self.head.encode(), "the executed head")
        if self._own is not None and self._own[0] > self.head.height:
            raise ProofFault("audit.signed", "this node signed a log that it has not executed")
        for kind, name in (
            (layout.STATE, "state"),
            (layout.NONCE, "used nonces"),
            (layout.TREE, "authenticated tree"),
            (layout.UNDO, "changes of the tree"),
        ):
            self._check_same(kind, name)
        tiles = self._view.kinds[layout.TILE].rows
        for key, value in tiles.items():
            self._check_equal(key, value, "a tile of the log")
        widths = [self.head.size >> level * merkle.TILE_HEIGHT for level in range(8)]
        expected = sum(-(-width // merkle.TILE_WIDTH) for width in widths)
        self._check_count(layout.TILE, expected, "tiles")
        self._check_count(layout.TX, self.transactions, "indexed transactions")
        for kind, name in ((layout.BLOCK, "blocks"), (layout.HEADER, "headers")):
            self._check_count(kind, self.head.height, name)

    def _check_same(self, kind: bytes, name: str) -> None:
        """What follows and what is stored, side by side: the first difference is the finding."""
        rows = self._view.kinds[kind]
        expected = iter(rows.keys(kind, prefix_stop(kind)))
        for key, value in self._reader.scan(kind, prefix_stop(kind)):
            wanted = next(expected, None)
            if wanted is None or key < wanted:
                raise ProofFault("audit.surplus", f"{name}: nothing led to {_name(key)}")
            if key > wanted:
                raise ProofFault("audit.missing", f"{name}: {_name(wanted)} is missing")
            if value != rows.rows[key]:
                raise ProofFault("audit.record", f"{name}: {_name(key)} has another value")
        left = next(expected, None)
        if left is not None:
            raise ProofFault("audit.missing", f"{name}: {_name(left)} is missing")

    def _check_count(self, kind: bytes, expected: int, name: str) -> None:
        # Every expected one was compared, so that another number means that there are more.
        found = sum(1 for _ in self._reader.scan(kind, prefix_stop(kind)))
        if found != expected:
            raise ProofFault("audit.surplus", f"{found} {name} stored, {expected} follow")

    def _stored(self, key: bytes, what: str) -> bytes:
        raw = self._reader.get(key)
        if raw is None:
            raise ProofFault("audit.missing", f"{what} is missing")
        return raw


def check_note(note: bytes, genesis: Genesis, height: int) -> tuple[int, bytes]:
    """(size, root) that the certificate of a height certifies.  Raises ProofFault."""
    validators = genesis.epoch.validators
    try:
        certificate = parse_certificate(note, genesis.origin, validators)
        certificate.check(genesis.origin, validators, genesis.suite.checkpoints.verify)
    except Fault as fault:
        raise ProofFault("audit.certificate", f"height {height}: {fault}") from fault
    return certificate.size, certificate.root


def _check_certificates_above(reader: Reader, genesis: Genesis, blocks: _Blocks) -> tuple[int, int]:
    """(highest certified height, how many certificates stand above the executed blocks)."""
    certified, count, size = blocks.certified, 0, blocks.head.size
    start = layout.height_key(layout.CERT, blocks.head.height + 1)
    for key, note in reader.scan(start, prefix_stop(layout.CERT)):
        certified = int.from_bytes(key[1:], "big")
        last, (size, _) = size, check_note(note, genesis, certified)
        if size <= last:
            raise ProofFault("audit.certificate", f"height {certified}: the log does not grow")
        count += 1
    below = reader.get(layout.height_key(layout.CERT, 0))
    if below is not None:
        raise ProofFault("audit.certificate", "an empty log is never certified")
    return certified, count


def _check_heights(reader: Reader, executed: int, certified: int) -> None:
    """The heights that the node believes are those of its records."""
    if queries.certified_height(reader) != certified:
        raise ProofFault("audit.heights", f"the highest certificate is that of height {certified}")
    decided = queries.decided(reader)
    if decided is None:
        return
    # A node that has caught up has blocks above its last decision.
    header = queries.header(reader, decided.height) if decided.height <= executed else None
    if header is not None and header.hash != decided.hash:
        raise ProofFault("audit.heights", f"block {decided.height} is not the one decided")


def _read_batch(reader: Reader, genesis: Genesis, digest: bytes, what: str) -> tuple[bytes, bytes]:
    """(bytes, creator's signature) of the stored batch of this name."""
    try:
        stored = find_batch(reader, digest, genesis.suite)
    except Fault as fault:
        raise ProofFault("audit.batch", f"{what}: {fault}") from fault
    if stored is None:
        raise ProofFault("audit.missing", f"{what} is missing")
    raw = stored.read()
    if sha256(raw).digest() != digest:
        raise ProofFault("audit.batch", f"{what} is not what its digest names")
    return raw, stored.signature


def _check_batches(reader: Reader, genesis: Genesis) -> None:
    """Every stored batch is what its name says and in the parts that it leads to, there are no
    others, and what is indexed as unordered is stored."""
    parts = 0
    for key, _ in reader.scan(layout.BATCH, prefix_stop(layout.BATCH)):
        raw, signature = _read_batch(reader, genesis, key[1:], _name(key))
        if len(raw) <= WHOLE_BYTES:
            continue
        try:
            writes = batch_writes(parse_batch(raw, genesis.limits), signature)
        except Fault as fault:
            raise ProofFault("audit.batch", f"{_name(key)}: {fault}") from fault
        if reader.get(key) == signature + raw:
            continue  # Kept whole, as versions before the parts did.
        for part, value in writes:
            if reader.get(part) != value:
                raise ProofFault("audit.batch", f"{_name(key)} is not in the parts it leads to")
        parts += len(writes) - 1
    stored = sum(1 for _ in reader.scan(layout.PART, prefix_stop(layout.PART)))
    if stored != parts:
        raise ProofFault("audit.surplus", f"{stored} parts of batches stored, {parts} follow")
    for key, _ in reader.scan(layout.AGED, prefix_stop(layout.AGED)):
        if reader.get(layout.BATCH + key[9:]) is None:
            raise ProofFault("audit.missing", f"unordered batch {key[9:].hex()} is missing")


def _check_signed(reader: Reader, genesis: Genesis) -> None:
    """Everything that the store says its node signed, one validator signed."""
    signers = list(genesis.epoch.validators.members)
    for key, raw in reader.scan(layout.SIGNED, prefix_stop(layout.SIGNED)):
        is_signed = _own_signature(key, raw, genesis)
        signers = [signer for signer in signers if is_signed(signer)]
        if not signers:
            raise ProofFault("audit.signed", f"{_name(key)} is not signed by this validator")


def _own_signature(key: bytes, raw: bytes, genesis: Genesis) -> Callable[[Validator], bool]:
    """What says of a validator whether it made a stored own signature."""
    suite, origin = genesis.suite, genesis.origin
    if key == CHECKPOINT:
        _, size, root, signature = _decode(raw, _checkpoint_shape, "own checkpoint")

        def signed_checkpoint(signer: Validator) -> bool:
            own = signer.checkpoint_key
            message = checkpoint_message(own, origin, size, root)
            return suite.checkpoints.verify(own, message, signature)

        return signed_checkpoint
    phase, slot = _phase_and_slot(key)
    _, _, value, signature = _decode(raw, _statement_shape, "own statement")
    said = Statement(genesis.network, genesis.epoch.id, phase, slot, value).signed_bytes()
    return lambda signer: suite.statements.verify(signer.statement_key, said, signature)


def _phase_and_slot(key: bytes) -> tuple[str, Slot]:
    phase, _, parts = key[1:].partition(b"\x00")
    slot = tuple(int.from_bytes(parts[at : at + 8], "big") for at in range(0, len(parts), 8))
    try:
        named = phase.decode(), slot
        is_key = layout.signed_key(*named) == key
    except (UnicodeDecodeError, OverflowError) as error:
        raise ProofFault("audit.signed", f"no phase and slot in {_name(key)}") from error
    if not is_key:
        raise ProofFault("audit.signed", f"no phase and slot in {_name(key)}")
    return named


def _decode(raw: bytes, shape: encoding.Shape, what: str) -> Any:
    try:
        return encoding.decode(raw, shape, size_max=2**21, what=what)
    except DecodeFault as fault:
        raise ProofFault("audit.damaged", str(fault)) from fault


def _name(key: bytes) -> str:
    return f"record {key.hex()}"
