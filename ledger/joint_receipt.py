"""The joint receipt: one proof that many operations are in the ledger, what they share told once.

    joint receipt  (version, certificate, handovers, [sender], [transaction], [operation], [node])
    transaction    (index in the log, height, position, sender: place in the list, nonce, expiry
                    height, operation count, signature, [node])
    operation      (transaction: place in the list, number, salt, application, version, body)

It proves what a receipt of each would prove, of applied transactions alone.  A transaction's header
and leaf are not in it: they follow from its fields and from the root that the operations shown and
the transaction's nodes lead to.  Nodes are as in `ledger.multiproof`.  Everything is ascending, and
nothing is there that is not needed, so that there is one joint receipt for a certificate and a set
of operations.  Who reads one without checking knows nothing; `check` is the check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from ledger import encoding, merkle, multiproof
from ledger.block import Result, TransactionLeaf
from ledger.certified import NOTE_BYTES_MAX
from ledger.encoding import encode, encoder
from ledger.errors import DecodeFault, ProofFault
from ledger.genesis import Genesis
from ledger.light import CertifiedLog, LightClient
from ledger.limits import (
    NAME_CHARS_MAX,
    OPERATIONS_MAX,
    SALT_BYTES_MAX,
    TRANSACTION_BYTES_MAX,
)
from ledger.receipt import HANDOVERS_MAX, Handover, handover_shape, handovers_of
from ledger.senders import sender_check
from ledger.transaction import DOMAIN
from ledger.transaction import VERSION as TRANSACTION_VERSION

VERSION = 1
SHOWN_MAX = 16_384
"""Operations of one joint receipt."""
JOINT_RECEIPT_BYTES_MAX = 16 * 1024 * 1024
"""As a file of evidence; about 1 kB for each of the operations."""
NODES_MAX = SHOWN_MAX * 63
_TRANSACTION_NODES_MAX = OPERATIONS_MAX // 2
"""Of 1,024 operations no more than every second one can stand for a range without any shown."""

_transaction_shape = encoding.row(
    encoding.uint(),
    encoding.uint(low=1),
    encoding.uint(),
    encoding.uint(SHOWN_MAX - 1),
    encoding.uint(),
    encoding.uint(),
    encoding.uint(OPERATIONS_MAX, low=1),
    encoding.sender_signature,
    encoding.array(encoding.digest, _TRANSACTION_NODES_MAX),
)
_operation_shape = encoding.row(
    encoding.uint(SHOWN_MAX - 1),
    encoding.uint(OPERATIONS_MAX - 1),
    encoding.blob(SALT_BYTES_MAX),
    encoding.text(NAME_CHARS_MAX, low=1),
    encoding.uint(),
    encoding.blob(TRANSACTION_BYTES_MAX),
)
shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.blob(NOTE_BYTES_MAX),
    encoding.array(handover_shape, HANDOVERS_MAX),
    encoding.array(encoding.public_key, SHOWN_MAX, low=1),
    encoding.array(_transaction_shape, SHOWN_MAX, low=1),
    encoding.array(_operation_shape, SHOWN_MAX, low=1),
    encoding.array(encoding.digest, NODES_MAX),
)


class ShownTransaction(NamedTuple):
    """An applied transaction, of which some operations are shown."""

    leaf_index: int
    """Of its leaf in the log."""
    height: int
    position: int
    sender: int
    """Place in the list of senders."""
    nonce: int
    expiry: int
    size: int
    """Operations that it has."""
    signature: bytes
    nodes: tuple[bytes, ...]
    """What of the tree of its operations is not shown."""


class ShownOperation(NamedTuple):
    """One operation, and where it stands."""

    transaction: int
    """Place in the list of transactions."""
    number: int
    """Among the transaction's operations."""
    salt: bytes
    application: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class JointReceipt:
    """A well-formed joint receipt; nothing in it is checked yet."""

    certificate: bytes
    """Signed note."""
    handovers: tuple[Handover, ...]
    senders: tuple[bytes, ...]
    """Public keys, ascending."""
    transactions: tuple[ShownTransaction, ...]
    """Ascending by index."""
    operations: tuple[ShownOperation, ...]
    """Ascending by transaction and number."""
    nodes: tuple[bytes, ...]
    """What of the log is not shown."""

    def row(self) -> tuple[object, ...]:
        """What is encoded."""
        return (
            VERSION,
            self.certificate,
            tuple(handover.row() for handover in self.handovers),
            self.senders,
            self.transactions,
            self.operations,
            self.nodes,
        )

    def encode(self) -> bytes:
        """The one way of writing it."""
        return encode(self.row())


class Proven(NamedTuple):
    """One operation that is in the ledger."""

    transaction: bytes
    """Transaction id."""
    sender: bytes
    """Public key that signed it."""
    height: int
    position: int
    number: int
    """Of the operation in its transaction."""
    application: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """What a joint receipt proves."""

    log: CertifiedLog
    operations: tuple[Proven, ...]
    """In the order of the ledger."""
    ranges: dict[multiproof.Range, bytes]
    """Roots of the ranges of the log that checking it has shown."""


def parse_joint_receipt(raw: bytes) -> JointReceipt:
    """The joint receipt of these bytes.  Raises DecodeFault."""
    what = "joint receipt"
    return from_row(encoding.decode(raw, shape, size_max=JOINT_RECEIPT_BYTES_MAX, what=what))


def from_row(row: Any) -> JointReceipt:
    """The joint receipt of a decoded row.  Raises DecodeFault where its order is not the one."""
    _, certificate, handovers, senders, transactions, operations, nodes = row
    made = JointReceipt(
        certificate,
        handovers_of(handovers),
        senders,
        tuple(map(ShownTransaction._make, transactions)),
        tuple(map(ShownOperation._make, operations)),
        nodes,
    )
    _check_order(senders, "senders")
    _check_order([each.leaf_index for each in made.transactions], "transactions")
    _check_order([each[:2] for each in made.operations], "operations")
    # Exactly those in use: what no signature or hash covers could be changed unnoticed.
    if {each.sender for each in made.transactions} != set(range(len(senders))):
        raise DecodeFault("joint.senders", "not exactly those of the transactions")
    if {each.transaction for each in made.operations} != set(range(len(transactions))):
        raise DecodeFault("joint.transactions", "not exactly those of the operations")
    return made


def _check_order(values: Sequence[Any], what: str) -> None:
    if any(one >= other for one, other in pairwise(values)):
        raise DecodeFault("joint.order", f"the {what} are not strictly ascending")


class JointJudge:
    """Judges joint receipts of one network; keeps nothing but its genesis."""

    def __init__(self, genesis: Genesis) -> None:
        self._network = genesis.network
        self._client = LightClient(genesis)
        self._verify = sender_check(genesis, genesis.suite.members.verify)

    def check(self, receipt: JointReceipt) -> Checked:
        """What it proves.  Raises ProofFault or DecodeFault unless all of it is right."""
        epoch, first = self._client.epochs(receipt.handovers)[-1]
        log = self._client.check_log(receipt.certificate, epoch)
        if log.head.size <= first:
            raise ProofFault("joint.handover", "the last handover is not needed")
        leaves: dict[int, bytes] = {}
        signed: list[tuple[bytes, bytes, bytes]] = []
        proven: list[Proven] = []
        for sender, transaction, shown in _parts(receipt):
            header = self.header(transaction, sender, shown)
            signed.append((sender, DOMAIN + header, transaction.signature))
            leaves[transaction.leaf_index] = _leaf_hash(transaction, header)
            identity = hashlib.sha256(header).digest()
            place = (identity, sender, transaction.height, transaction.position)
            proven += [Proven(*place, each.number, *each[3:]) for each in shown]
        root, ranges = multiproof.check(leaves, receipt.nodes, size=log.head.size)
        self.check_root(root, log)
        # Last, since it costs most.
        for sender, message, signature in signed:
            self.check_signature(sender, message, signature)
        return Checked(log, tuple(proven), ranges)

    def header(
        self, transaction: ShownTransaction, sender: bytes, shown: Sequence[ShownOperation]
    ) -> bytes:
        """The header that the fields and the operations shown lead to.  Raises ProofFault."""
        pack = encoder()
        hashes = {each.number: merkle.leaf_hash(pack(each[2:])) for each in shown}
        root, _ = multiproof.check(hashes, transaction.nodes, size=transaction.size)
        nonce, expiry, count = transaction.nonce, transaction.expiry, transaction.size
        row = (TRANSACTION_VERSION, self._network, sender, nonce, expiry, count, root)
        return pack(row)

    def check_signature(self, sender: bytes, message: bytes, signature: bytes) -> None:
        """Raise ProofFault unless the sender, where it is somebody, signed the transaction."""
        if not self._verify(sender, message, signature):
            raise ProofFault("joint.signature", "the sender did not sign the transaction")

    def check_root(self, root: bytes, log: CertifiedLog) -> None:
        """Raise ProofFault unless this is the root that a quorum certified."""
        if root != log.head.root:
            raise ProofFault("merkle.root", "the nodes lead to another root")


def _leaf_hash(transaction: ShownTransaction, header: bytes) -> bytes:
    leaf = TransactionLeaf(
        height=transaction.height,
        position=transaction.position,
        result=Result.APPLIED,
        reason="",
        header=header,
        signature=transaction.signature,
    )
    return merkle.leaf_hash(leaf.encode())


class Part(NamedTuple):
    """What a joint receipt is put together of; its places are filled in then."""

    sender: bytes
    transaction: ShownTransaction
    operations: tuple[ShownOperation, ...]
    """Ascending by number, at least one."""


def put_together(
    certificate: bytes,
    size: int,
    parts: Iterable[Part],
    root: Callable[[int, int], bytes],
    handovers: tuple[Handover, ...] = (),
) -> JointReceipt:
    """The joint receipt of parts under a certificate of a log of `size` leaves.

    root(start, stop) gives the root of a range of the log.
    """
    ordered = sorted(parts, key=lambda part: part.transaction.leaf_index)
    senders = tuple(sorted({part.sender for part in ordered}))
    place_of = {sender: place for place, sender in enumerate(senders)}
    transactions: list[ShownTransaction] = []
    operations: list[ShownOperation] = []
    for place, part in enumerate(ordered):
        transactions.append(part.transaction._replace(sender=place_of[part.sender]))
        operations += [each._replace(transaction=place) for each in part.operations]
    nodes = multiproof.collect([each.leaf_index for each in transactions], size, root)
    return JointReceipt(
        certificate, handovers, senders, tuple(transactions), tuple(operations), nodes
    )


def join(several: Sequence[tuple[JointReceipt, Checked]]) -> JointReceipt:
    """One joint receipt of several that were checked, of one certificate and no common transaction.

    Raises ProofFault where that is not so: a node does not give what it was asked for.
    """
    first, checked = several[0]
    ranges: dict[multiproof.Range, bytes] = {}
    parts: dict[int, Part] = {}
    for receipt, shown in several:
        if (receipt.certificate, receipt.handovers) != (first.certificate, first.handovers):
            raise ProofFault("joint.certificate", "not all rest on one certificate")
        ranges |= shown.ranges
        for part in _parts(receipt):
            if part.transaction.leaf_index in parts:
                raise ProofFault("joint.transactions", "a transaction stands twice")
            parts[part.transaction.leaf_index] = part
    # A range without any of these leaves beside one with some is so in one of the several too.
    return put_together(
        first.certificate,
        checked.log.head.size,
        parts.values(),
        lambda start, stop: ranges[start, stop],
        first.handovers,
    )


def _parts(receipt: JointReceipt) -> list[Part]:
    shown: list[list[ShownOperation]] = [[] for _ in receipt.transactions]
    for operation in receipt.operations:
        shown[operation.transaction].append(operation)
    return [
        Part(receipt.senders[transaction.sender], transaction, tuple(several))
        for transaction, several in zip(receipt.transactions, shown, strict=True)
    ]
