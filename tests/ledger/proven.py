"""A small ledger with certificates, as a node would store it, and what its tests need to forge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ledger import layout
from ledger.applications.interface import Application
from ledger.batch import Batch
from ledger.batch_store import batch_writes
from ledger.block import OutcomeLeaf, StateHashKind
from ledger.certified import CheckpointCertificate, checkpoint_message
from ledger.encoding import encode
from ledger.errors import DecodeFault, ProofFault
from ledger.execution import Execution
from ledger.genesis import EpochRecord, Genesis
from ledger.light import LightClient
from ledger.transaction import Transaction
from tests.ledger.builders import Chain, consensus_signer_of, make_genesis, make_signed


def certify(
    genesis: Genesis, size: int, root: bytes, *, epoch: EpochRecord, signers: Sequence[int] = ()
) -> CheckpointCertificate:
    """A certificate by the first validators, or by these ones."""
    validators = epoch.validators
    signatures = []
    for index in signers or range(validators.quorum):
        signer = consensus_signer_of(validators.members[index].name, genesis.scheme).checkpoints
        message = checkpoint_message(signer.public_key, genesis.origin, size, root)
        signatures.append((index, signer.sign(message)))
    return CheckpointCertificate(size, root, tuple(signatures))


class Store(Chain):
    """A chain that also keeps genesis, batches and certificates, as a node does."""

    def __init__(self, genesis: Genesis, extra: Sequence[Application] = ()) -> None:
        super().__init__(genesis, extra)
        self.notes: dict[int, bytes] = {}
        """Certificates by height."""
        self.store.write([(layout.GENESIS, genesis.canonical())])

    def execute(self, *batches: Batch) -> Execution:
        """Execute one block; the batches are stored first, signed by their creator."""
        creator = consensus_signer_of("node0", self.genesis.scheme).statements
        for batch in batches:
            signature = creator.sign(batch.statement().signed_bytes())
            self.store.write(batch_writes(batch, signature))
        return super().execute(*batches)

    def certify(self) -> bytes:
        """Certify the executed head; the signed note."""
        height = self.head.height
        made = certify(
            self.genesis, self.head.size, self.head.root(), epoch=self.genesis.epoch
        ).note(self.genesis.origin, self.genesis.epoch.validators)
        self.notes[height] = made
        self.store.write(
            [
                (layout.height_key(layout.CERT, height), made),
                (layout.CERTIFIED, height.to_bytes(8, "big")),
                (
                    layout.DECISION_HEAD,
                    encode((height, height, self.head.tip.hash, 0, bytes(32), (height, 0))),
                ),
            ]
        )
        return made


def small_store(blocks: int = 5, *, genesis: Genesis | None = None) -> Store:
    """A few blocks of a few records each; odd heights are certified."""
    made = Store(genesis or make_genesis())
    for height in range(1, blocks + 1):
        made.block(*records(made.genesis, height))
        if height % 2:
            made.certify()
    return made


def records(genesis: Genesis, height: int, count: int = 3) -> list[Transaction]:
    """Transactions of both members for the block at height."""
    return [
        make_signed(
            genesis, ("alice", "bob")[number % 2], 1_000 * height + number, expiry=height + 5
        )
        for number in range(count)
    ]


def note_of(genesis: Genesis, size: int, root: bytes, epoch: EpochRecord) -> bytes:
    """The note of a certificate by the first validators of an epoch."""
    made = certify(genesis, size, root, epoch=epoch)
    return made.note(genesis.origin, epoch.validators)


def outcome_leaf(height: int, epoch: bytes, next_epoch: bytes) -> bytes:
    """The last leaf of a block that was never executed."""
    return OutcomeLeaf(
        height=height,
        block_hash=hashlib.sha256(b"block %d" % height).digest(),
        entry_count=0,
        state_hash_kind=StateHashKind.RUNNING,
        state_hash=bytes(32),
        epoch=epoch,
        next_epoch=next_epoch,
    ).encode()


def refused(client: LightClient, raw: bytes) -> bool:
    """Whether a light client refuses a receipt, for a reason that names the proof."""
    try:
        client.check_receipt(raw)
    except (ProofFault, DecodeFault):
        return True
    return False
