"""The inspector that all replicas of a world share: what was decoded and found right once, is.

Decoding and checking depend on bytes alone, and what they give cannot be changed, so a replica
cannot tell that another one has asked before.  Only what is right is remembered: what is wrong is
looked at by everyone who gets it.
"""

from __future__ import annotations

from typing import TypeVar

from consensus.inspector import Inspector
from consensus.interface import Consensus, Message
from consensus.io import Channel
from consensus.packets import Packet, SignedPacket
from ledger.batch import Batch
from ledger.certified import CheckpointCertificate
from ledger.genesis import Genesis
from ledger.keys import Suite

Key = TypeVar("Key")
Known = TypeVar("Known")
_REMEMBERED_MAX = 8_192
_BATCHES_MAX = 512
"""They are larger than the rest."""


class _Memory(dict[Key, Known]):
    """What is known by what it was made of; it begins anew where it holds so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: Key, known: Known) -> None:
        if len(self) >= self._most:
            self.clear()
        super().__setitem__(key, known)


class SharedInspector(Inspector):
    """Remembers the latest packets, messages, batches and checkpoint certificates."""

    def __init__(self, genesis: Genesis, suite: Suite, protocol: type[Consensus]) -> None:
        super().__init__(genesis, suite, protocol)
        self._packets: _Memory[tuple[Channel, bytes], tuple[int, Packet]] = _Memory(_REMEMBERED_MAX)
        self._messages: _Memory[SignedPacket, Message] = _Memory(_REMEMBERED_MAX)
        self._batches: _Memory[tuple[bytes, bytes], Batch] = _Memory(_BATCHES_MAX)
        self._checkpoints: _Memory[bytes, CheckpointCertificate] = _Memory(_REMEMBERED_MAX)

    def packet(self, channel: Channel, payload: bytes) -> tuple[int, Packet]:
        known = self._packets.get((channel, payload))
        if known is None:
            known = super().packet(channel, payload)
            self._packets[channel, payload] = known
        return known

    def message(self, packet: SignedPacket) -> Message:
        known = self._messages.get(packet)
        if known is None:
            known = super().message(packet)
            self._messages[packet] = known
        return known

    def batch(self, raw: bytes, signature: bytes) -> Batch:
        known = self._batches.get((raw, signature))
        if known is None:
            known = super().batch(raw, signature)
            self._batches[raw, signature] = known
        return known

    def checkpoint(self, note: bytes) -> CheckpointCertificate:
        known = self._checkpoints.get(note)
        if known is None:
            known = super().checkpoint(note)
            self._checkpoints[note] = known
        return known
