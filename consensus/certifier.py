"""Checkpoints become certificates: a quorum of signatures over the log at the end of a block.

Signatures are sent again until a certificate covers them, also after a restart; whoever holds a
certificate answers a signature for a covered height with it.  Different logs under one height are
never reconciled: the node that sees a quorum for another log than its own stops loudly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.guard import SignedCheckpoint
from consensus.packets import CheckpointSignature
from ledger.certified import CheckpointCertificate
from ledger.validators import ValidatorSet

AHEAD_MAX = 64
"""Heights above the own executed one whose signatures are kept."""

COLLECTED_ABOVE = 7
"""With more validators, checkpoint signatures go to collectors first, not to everyone."""
COLLECTORS_MAX = 3
"""How many of the f + 1 that would be sure to hold an honest one: each sends the certificate to
everyone, and where all of them are faulty, the signatures go to everyone a little later anyway."""
COLLECTING_MS = 1_000
"""How long collectors have: a few times around the world."""


def collectors(validators: ValidatorSet, height: int) -> list[int]:
    """Who makes the certificate at a height of a large network; nobody in a small one."""
    size = validators.size
    if size <= COLLECTED_ABOVE:
        return []
    count = min(validators.faults + 1, COLLECTORS_MAX)
    return [(height * count + place) % size for place in range(count)]


@dataclass(slots=True)
class Certifier:
    """Signatures by height, until a certificate covers them."""

    quorum: int
    certified: int
    """Highest certified height here."""
    logs: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """height -> (size, root) as executed here, above the certified height."""
    signatures: dict[int, dict[tuple[int, bytes], dict[int, bytes]]] = field(default_factory=dict)
    """height -> (size, root) -> signer -> signature; the first per signer and height counts."""
    heard: dict[int, int] = field(default_factory=dict)
    """Signer -> the highest height it has signed, as far as heard."""
    own: SignedCheckpoint | None = None
    """The own signature that is not covered yet, the latest."""

    def executed(self, height: int, size: int, root: bytes) -> None:
        """A block was executed here."""
        self.logs[height] = (size, root)

    def is_repeated(self, packet: CheckpointSignature) -> bool:
        """Whether the signer said this before: it is still waiting for a certificate."""
        last = self.heard.get(packet.signer, 0)
        self.heard[packet.signer] = max(last, packet.height)
        return packet.height <= last

    def wants(self, packet: CheckpointSignature, executed: int) -> bool:
        """Whether a signature is worth checking: uncovered, not too far ahead, not counted yet."""
        if not self.certified < packet.height <= executed + AHEAD_MAX:
            return False
        by_log = self.signatures.get(packet.height, {})
        return not any(packet.signer in signers for signers in by_log.values())

    def add(self, packet: CheckpointSignature) -> None:
        """Count a signature that has been checked."""
        by_log = self.signatures.setdefault(packet.height, {})
        signers = by_log.setdefault((packet.size, packet.root), {})
        signers[packet.signer] = packet.signature

    def certificate(self) -> tuple[int, CheckpointCertificate] | None:
        """(height, certificate) of the highest block executed here that a quorum signed."""
        for height in sorted(self.logs, reverse=True):
            log = self.logs[height]
            signers = self.signatures.get(height, {}).get(log, {})
            if len(signers) >= self.quorum:
                chosen = tuple(sorted(signers.items())[: self.quorum])
                return height, CheckpointCertificate(log[0], log[1], chosen)
        return None

    def divergence(self) -> str | None:
        """One line if a quorum signed another log for a height that was executed here."""
        for height, log in self.logs.items():
            for other, signers in self.signatures.get(height, {}).items():
                if other != log and len(signers) >= self.quorum:
                    return (
                        f"execution diverged at height {height}: this node's log of {log[0]} "
                        f"leaves differs from the one that {len(signers)} validators signed"
                    )
        return None

    def behind(self, executed: int) -> int:
        """The greatest height above executed that a quorum has signed; 0 where there is none."""
        heights = [
            height
            for height, by_log in self.signatures.items()
            if height > executed and any(len(signers) >= self.quorum for signers in by_log.values())
        ]
        return max(heights, default=0)

    def cover(self, height: int) -> None:
        """A certificate covers this height and all below."""
        self.certified = max(self.certified, height)
        for table in (self.logs, self.signatures):
            for old in [old for old in table if old <= self.certified]:
                del table[old]
        if self.own is not None and self.own.height <= self.certified:
            self.own = None
