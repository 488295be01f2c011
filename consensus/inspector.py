"""What comes from outside, decoded and checked: pure functions of bytes, given the genesis.

A replica has one of its own.  A simulator may give one to many replicas, so that what all of them
receive is looked at once: since nothing here depends on a node, they cannot tell the difference.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from consensus.interface import MESSAGE_BYTES_MAX, AnyCertificate, Consensus, Message
from consensus.io import Channel
from consensus.packets import Packet, SignedPacket, decode_packet
from ledger import encoding
from ledger.batch import Batch, parse_batch
from ledger.certified import CheckpointCertificate, TreeHead, parse_certificate, stated_head
from ledger.errors import DecodeFault, Fault, PeerFault
from ledger.genesis import Genesis
from ledger.keys import Suite
from ledger.senders import sender_check
from ledger.statement import Slot, Statement

if TYPE_CHECKING:
    from consensus.recovery import Setup

CHECKED_MAX = 20_000
"""Signatures known to be right, so that a certificate of counted votes costs nothing."""
CERTIFICATES_MAX = 1_000
"""Certificates known to be right: each comes many times, in proposals and in timeouts."""

HEADS_MAX = 256
"""Notes whose tree heads are remembered."""


class Inspector:
    """Decodes packets, messages and batches of one epoch; checks signatures and certificates."""

    def __init__(self, genesis: Genesis, suite: Suite, protocol: type[Consensus]) -> None:
        self._network = genesis.network
        self._origin = genesis.origin
        self._limits = genesis.limits
        self._epoch = genesis.epoch
        self._suite = suite
        self._verify_sender = sender_check(genesis, suite.members.verify)
        self._protocol = protocol
        self._kinds: dict[int, type[Message]] = {m.KIND: m for m in protocol.MESSAGES}
        self._checked: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()
        self._certificates: OrderedDict[AnyCertificate, None] = OrderedDict()
        self._heads: OrderedDict[bytes, TreeHead] = OrderedDict()

    @classmethod
    def of(cls, setup: Setup) -> Inspector:
        """The one that a replica of this setup uses: given, or its own."""
        return setup.inspector or cls(setup.genesis, setup.suite, setup.protocol)

    def packet(self, channel: Channel, payload: bytes) -> tuple[int, Packet]:
        """(epoch number, packet) of a frame.  Raises DecodeFault."""
        return decode_packet(channel, payload)

    def message(self, packet: SignedPacket) -> Message:
        """The plugin's message in a packet, whose signature and certificates are right.

        Raises Fault.
        """
        message = decode_message(self._kinds, packet.kind, packet.body)
        key = self._epoch.validators.statement_key(packet.sender)
        if not self._verify_statement(
            key, self.signed_bytes(*message.statement()), packet.signature
        ):
            raise PeerFault("message.signature", f"of validator {packet.sender}")
        for certificate in message.certificates():
            self.check_certificate(certificate)
        return message

    def batch(self, raw: bytes, signature: bytes) -> Batch:
        """The batch of these bytes, its creator's and every sender's signature right.

        Raises Fault.  It runs in a job, beside everything else, so it remembers nothing here.
        """
        batch = parse_batch(raw, self._limits)
        if batch.network != self._network or batch.epoch != self._epoch.id:
            raise DecodeFault("batch.network", "of another network or epoch")
        key = self._epoch.validators.statement_key(batch.creator)
        verify = self._suite.statements.verify
        if not verify(key, batch.statement().signed_bytes(), signature):
            raise Fault("batch.creator-signature", culprit=batch.creator)
        for transaction in batch.transactions:
            signed = transaction.signed_bytes()
            if not self._verify_sender(transaction.sender, signed, transaction.signature):
                raise Fault("batch.transaction-signature", culprit=batch.creator)
        return batch

    def signed_bytes(self, phase: str, slot: Slot, value: bytes) -> bytes:
        """What a validator of this network and epoch signs to say this."""
        return Statement(self._network, self._epoch.id, phase, slot, value).signed_bytes()

    def checkpoint(self, note: bytes) -> CheckpointCertificate:
        """The checkpoint certificate that a note carries, its signatures right.  Raises Fault."""
        origin, validators = self._origin, self._epoch.validators
        certificate = parse_certificate(note, origin, validators)
        certificate.check(origin, validators, self._suite.checkpoints.verify)
        return certificate

    def stated_head(self, note: bytes) -> TreeHead:
        """The tree head that a note states, whoever signed it.  Raises DecodeFault or ProofFault.

        In a large network most statuses bring the note of a certificate that is here: parsing a
        quorum of lines for each would be most of what such a node does.
        """
        head = self._heads.get(note)
        if head is None:
            head = self._heads[note] = stated_head(note, self._origin)
            if len(self._heads) > HEADS_MAX:
                self._heads.popitem(last=False)
        return head

    def check_certificate(self, certificate: AnyCertificate) -> None:
        """Raise Fault unless exactly a quorum has signed what it says."""
        if certificate in self._certificates:
            return
        validators = self._epoch.validators
        certificate.check(
            self._network,
            self._epoch.id,
            validators,
            self._verify_statement,
            quorum=self._protocol.certificate_quorum(certificate.phase, validators),
        )
        self._certificates[certificate] = None
        if len(self._certificates) > CERTIFICATES_MAX:
            self._certificates.popitem(last=False)

    def _verify_statement(self, key: bytes, message: bytes, signature: bytes) -> bool:
        index = (key, message, signature)
        if index in self._checked:
            return True
        if not self._suite.statements.verify(key, message, signature):
            return False
        self._checked[index] = None
        if len(self._checked) > CHECKED_MAX:
            self._checked.popitem(last=False)
        return True


def decode_message(kinds: dict[int, type[Message]], kind: int, body: bytes) -> Message:
    """The plugin's message of these bytes.  Raises DecodeFault."""
    message_type = kinds.get(kind)
    if message_type is None:
        raise DecodeFault("message.kind", f"the protocol has no message of kind {kind}")
    return message_type.from_row(
        encoding.decode(body, message_type.SHAPE, size_max=MESSAGE_BYTES_MAX, what="message")
    )
