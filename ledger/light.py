"""The light client: checks a receipt with nothing but the genesis, trusting no node.

    genesis -> validators of epoch 0 -> [handover -> validators of the next epoch]*
            -> a quorum signed (size, root) -> the leaf is in that log -> the leaf holds the
               transaction's header, its sender's signature and its result
            -> the header holds the root over its operations -> one operation and its body

A log of one epoch is certified by that epoch's validators alone.  What a quorum certified is final
under the fault model of the genesis; in a crash-only network that means: if no validator lies.
Keys of an epoch that has ended could still sign another past: whoever met a later certificate keeps
it, and checks with `check_consistency` that every further one extends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ledger import merkle
from ledger.applications import records
from ledger.authenticated import state_hash
from ledger.block import OutcomeLeaf, Result, StateHashKind, TransactionLeaf, parse_leaf
from ledger.certified import CheckpointCertificate, TreeHead, parse_certificate, stated_head
from ledger.encoding import encode
from ledger.errors import ProofFault
from ledger.genesis import EpochRecord, Genesis
from ledger.receipt import Handover, OperationProof, Receipt, parse_receipt
from ledger.senders import sender_check
from ledger.state_proof import parse_state_proof
from ledger.state_tree import path_of, root_shown
from ledger.transaction import DOMAIN, parse_header
from ledger.validators import QuorumRule


@dataclass(frozen=True, slots=True)
class CertifiedLog:
    """A tree head that a quorum of one epoch's validators signed."""

    head: TreeHead
    epoch: EpochRecord
    signers: tuple[int, ...]
    """Validator indexes, ascending."""

    @property
    def fault_model(self) -> str:
        """What the proof rests on, in one line for people."""
        validators = self.epoch.validators
        if validators.rule is QuorumRule.CRASH:
            return f"crash-only: holds if none of the {validators.size} validators lies"
        return (
            f"Byzantine: holds if at most {validators.faults} of {validators.size} validators lie"
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt proves."""

    transaction: bytes
    """Transaction id."""
    sender: bytes
    """Public key that signed the transaction; on an open ledger perhaps nobody's number."""
    is_signed: bool
    """Whether anybody signed it."""
    nonce: int
    height: int
    """Of the block that holds it."""
    position: int
    """Place among the transactions of the block's batches."""
    result: Result
    reason: str
    """Why it failed; empty where it was applied."""
    index: int
    """Of its leaf in the log."""
    operation: OperationProof | None
    """The operation shown, if one is."""
    operations: int
    """How many the transaction has."""
    log: CertifiedLog
    """The certified log that it is in."""

    @property
    def application(self) -> str | None:
        """Name of the application whose operation is shown."""
        return None if self.operation is None else self.operation.operation[1]

    @property
    def body(self) -> bytes | None:
        """Body of the operation that is shown."""
        return None if self.operation is None else self.operation.operation[3]

    @property
    def fault_model(self) -> str:
        """What the proof rests on, in one line for people."""
        return self.log.fault_model

    def check_data(self, digest: bytes) -> None:
        """Raise ProofFault unless the record shown is one of the data with this SHA-256."""
        body = self.body
        if body is None or self.application != records.NAME:
            raise ProofFault("receipt.no-record", "the receipt shows no record of a file")
        if self.result is not Result.APPLIED:
            raise ProofFault("receipt.failed", f"the transaction failed: {self.reason}")
        _, recorded, content = records.parse_record(body)
        if digest != (recorded or hashlib.sha256(content).digest()):
            raise ProofFault("receipt.data", "the receipt is for other data")


@dataclass(frozen=True, slots=True)
class VerifiedState:
    """What a state proof proves."""

    application: str
    key: bytes
    value: bytes | None
    """None where the key is proved to be absent."""
    height: int
    """Of the block after which that was so."""
    log: CertifiedLog
    """The certified log that ends with the block."""


class LightClient:
    """Judges receipts and certificates of one network; keeps nothing but its genesis.

    Signatures are checked as the genesis says: the simulator's keyed hash proves nothing.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._origin = genesis.origin
        self._verify = genesis.suite.checkpoints.verify
        self._check_sender = sender_check(genesis, genesis.suite.members.verify)

    def check_receipt(self, raw: bytes) -> Verified:
        """What this receipt proves.  Raises ProofFault or DecodeFault unless all of it is right."""
        receipt = parse_receipt(raw)
        epoch, first = self.epochs(receipt.handovers)[-1]
        log = self.check_log(receipt.certificate, epoch)
        if log.head.size <= first:
            raise ProofFault("receipt.handover", "the last handover is not needed")
        leaf = parse_leaf(receipt.leaf)
        if not isinstance(leaf, TransactionLeaf):
            raise ProofFault("receipt.leaf", "the leaf is not a transaction's")
        merkle.check_inclusion(
            merkle.leaf_hash(receipt.leaf),
            receipt.path,
            index=receipt.index,
            size=log.head.size,
            root=log.head.root,
        )
        return self._check_transaction(receipt, leaf, log)

    def check_state(self, raw: bytes) -> VerifiedState:
        """What this state proof proves.  Raises ProofFault or DecodeFault unless all is right."""
        proof = parse_state_proof(raw)
        epoch, first = self.epochs(proof.handovers)[-1]
        log = self.check_log(proof.certificate, epoch)
        if log.head.size <= first:
            raise ProofFault("state.handover", "the last handover is not needed")
        merkle.check_inclusion(
            merkle.leaf_hash(proof.leaf),
            proof.log_path,
            index=log.head.size - 1,
            size=log.head.size,
            root=log.head.root,
        )
        leaf = parse_leaf(proof.leaf)
        if not isinstance(leaf, OutcomeLeaf) or leaf.state_hash_kind != StateHashKind.TREE:
            raise ProofFault("state.leaf", "the leaf is not an outcome with an authenticated tree")
        if proof.application not in proof.names:
            raise ProofFault("state.application", "the tree has no keys of this application")
        if proof.path != path_of(proof.application, proof.key):
            raise ProofFault("state.key", "the path is not that of the key")
        root = root_shown(proof.shown(), proof.path, proof.value)
        if state_hash(proof.running, root, proof.names) != leaf.state_hash:
            raise ProofFault("state.root", "the path leads to another state")
        return VerifiedState(proof.application, proof.key, proof.value, leaf.height, log)

    def check_certificate(self, raw: bytes, *, handovers: Sequence[Handover] = ()) -> CertifiedLog:
        """The log that this note certifies.  Raises ProofFault or DecodeFault.

        The handovers lead from the genesis to the certificate's epoch, or further.
        """
        size = stated_head(raw, self._origin).size
        # Validators certify what is longer than the last log of the epoch before.
        epochs = [epoch for epoch, first in self.epochs(handovers) if first < size]
        return self.check_log(raw, epochs[-1])

    def check_consistency(
        self,
        old: bytes,
        new: bytes,
        path: Sequence[bytes],
        *,
        handovers: Sequence[Handover] = (),
    ) -> tuple[CertifiedLog, CertifiedLog]:
        """Both certified logs.  Raises ProofFault unless the new one only appended to the old."""
        before = self.check_certificate(old, handovers=handovers)
        after = self.check_certificate(new, handovers=handovers)
        merkle.check_consistency(
            path,
            old_size=before.head.size,
            old_root=before.head.root,
            new_size=after.head.size,
            new_root=after.head.root,
        )
        return before, after

    def epochs(self, handovers: Sequence[Handover]) -> list[tuple[EpochRecord, int]]:
        """Every epoch, with the size of the log beyond which its validators certify.

        Raises ProofFault or DecodeFault unless the handovers lead from the genesis, step by step.
        """
        epochs = [(self._genesis.epoch, 0)]
        for handover in handovers:
            epoch, first = epochs[-1]
            log = self.check_log(handover.certificate, epoch)
            if log.head.size <= first:
                raise ProofFault("handover.size", "an epoch ends before it begins")
            _check_handover(handover, epoch, log.head)
            epochs.append((handover.record, log.head.size))
        return epochs

    def check_log(self, raw: bytes, epoch: EpochRecord) -> CertifiedLog:
        """The log that this epoch's validators certified.  Raises ProofFault or DecodeFault."""
        certificate: CheckpointCertificate = parse_certificate(raw, self._origin, epoch.validators)
        certificate.check(self._origin, epoch.validators, self._verify)
        signers = tuple(index for index, _ in certificate.signatures)
        return CertifiedLog(certificate.head, epoch, signers)

    def _check_transaction(
        self, receipt: Receipt, leaf: TransactionLeaf, log: CertifiedLog
    ) -> Verified:
        network, sender, nonce, _, count, root = parse_header(leaf.header)
        if network != self._genesis.network:
            raise ProofFault("receipt.network", "the transaction is of another network")
        if not self._check_sender(sender, DOMAIN + leaf.header, leaf.signature):
            raise ProofFault("receipt.signature", "the sender did not sign the transaction")
        shown = receipt.operation
        if shown is not None:
            merkle.check_inclusion(
                merkle.leaf_hash(encode(shown.operation)),
                shown.path,
                index=shown.index,
                size=count,
                root=root,
            )
        return Verified(
            transaction=hashlib.sha256(leaf.header).digest(),
            sender=sender,
            is_signed=bool(leaf.signature),
            nonce=nonce,
            height=leaf.height,
            position=leaf.position,
            result=Result(leaf.result),
            reason=leaf.reason,
            index=receipt.index,
            operation=shown,
            operations=count,
            log=log,
        )


def _check_handover(handover: Handover, epoch: EpochRecord, head: TreeHead) -> None:
    """Raise ProofFault unless the last leaf of the epoch's last log leads to the new record."""
    merkle.check_inclusion(
        merkle.leaf_hash(handover.leaf),
        handover.path,
        index=head.size - 1,
        size=head.size,
        root=head.root,
    )
    leaf = parse_leaf(handover.leaf)
    if not isinstance(leaf, OutcomeLeaf) or leaf.epoch != epoch.id:
        raise ProofFault("handover.leaf", "the leaf is not an outcome of the epoch that ends")
    record = handover.record
    if leaf.next_epoch != record.id:
        raise ProofFault("handover.record", "the leaf does not lead to this epoch")
    follows = (
        record.number == epoch.number + 1
        and record.first_height == leaf.height + 1
        and record.previous_block == leaf.block_hash
    )
    if not follows:
        raise ProofFault("handover.record", "the epoch does not follow the block that ends the old")
