"""The inspector that all replicas of a world share: what was decoded and found right once, is.

Decoding and checking depend on bytes alone, and what they give cannot be changed, so a replica
cannot tell that another one has asked before.  Only what is right is remembered: what is wrong is
looked at by everyone who gets it.
"""

from __future__ import annotations

from consensus.inspector import Inspector
from consensus.interface import Consensus, Message
from consensus.io import Channel
from consensus.packets import Packet, SignedPacket
from ledger.batch import Batch
from ledger.certified import CheckpointCertificate
from ledger.genesis import Genesis
from ledger.keys import Suite

_REMEMBERED_MAX = 8_192
_BATCHES_MAX = 512
"""They are larger than the rest."""


class SharedInspector(Inspector):
    """Remembers the latest packets, messages, batches and checkpoint certificates."""

    def __init__(self, genesis: Genesis, suite: Suite, protocol: type[Consensus]) -> None:
        super().__init__(genesis, suite, protocol)
        self._packets: dict[tuple[Channel, bytes], tuple[int, Packet]] = {}
        self._messages: dict[SignedPacket, Message] = {}
        self._batches: dict[tuple[bytes, bytes], Batch] = {}
        self._checkpoints: dict[bytes, CheckpointCertificate] = {}

    def packet(self, channel: Channel, payload: bytes) -> tuple[int, Packet]:
        known = self._packets.get((channel, payload))
        if known is None:
            known = super().packet(channel, payload)
            if len(self._packets) >= _REMEMBERED_MAX:
                self._packets.clear()
            self._packets[channel, payload] = known
        return known

    def message(self, packet: SignedPacket) -> Message:
        known = self._messages.get(packet)
        if known is None:
            known = super().message(packet)
            if len(self._messages) >= _REMEMBERED_MAX:
                self._messages.clear()
            self._messages[packet] = known
        return known

    def batch(self, raw: bytes, signature: bytes) -> Batch:
        known = self._batches.get((raw, signature))
        if known is None:
            known = super().batch(raw, signature)
            if len(self._batches) >= _BATCHES_MAX:
                self._batches.clear()
            self._batches[raw, signature] = known
        return known

    def checkpoint(self, note: bytes) -> CheckpointCertificate:
        known = self._checkpoints.get(note)
        if known is None:
            known = super().checkpoint(note)
            if len(self._checkpoints) >= _REMEMBERED_MAX:
                self._checkpoints.clear()
            self._checkpoints[note] = known
        return known
