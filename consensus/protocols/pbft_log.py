"""PBFT's message log: what was said about sequence numbers, and who asked for which view.

It only counts and keeps; what follows from it is the protocol's business.
"""

from __future__ import annotations

from consensus.interface import Signed
from consensus.protocols.pbft_messages import COMMIT, PrePrepare, ViewChange
from consensus.tally import Tally
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.value import Value

CHANGES_A_SIGNER = 3
"""View changes of one signer that are kept, the highest."""


class MessageLog:
    """Pre-prepares, prepares, commits and values by slot = (sequence number, view)."""

    def __init__(self, tally: Tally, quorum: int) -> None:
        self._tally = tally
        self._quorum = quorum
        self._proposals: dict[Slot, Value] = {}
        self._values: dict[bytes, Value] = {}
        self._proven: dict[tuple[str, Slot], Certificate] = {}
        self._commits: dict[int, Certificate] = {}

    def add(self, signed: Signed) -> Signed | None:
        """Keep a message; what its sender said there before, if that was something else."""
        message = signed.message
        phase, slot, value = message.statement()
        earlier = self._tally.add(signed)
        if isinstance(message, PrePrepare) and self._tally.count(phase, slot, value):
            self.propose(message.value)
        if (phase, slot) not in self._proven:
            certificate = self._tally.certificate(phase, slot, value, self._quorum)
            if certificate is not None:
                self.learn_certificate(certificate)
        return earlier

    def propose(self, value: Value) -> None:
        """Keep what a primary assigned, unless it assigned another value before."""
        self._proposals.setdefault(value.slot, value)
        self.learn_value(value)

    def learn_value(self, value: Value) -> None:
        self._values[value.digest] = value

    def learn_certificate(self, certificate: Certificate) -> None:
        """Keep a right certificate: it counts as the votes in it."""
        self._proven.setdefault((certificate.phase, certificate.slot), certificate)
        if certificate.phase == COMMIT:
            self._commits.setdefault(certificate.slot[0], certificate)

    def proposal(self, slot: Slot) -> Value | None:
        """The first value that the primary assigned there."""
        return self._proposals.get(slot)

    def value(self, digest: bytes) -> Value | None:
        return self._values.get(digest)

    def proven(self, phase: str, slot: Slot) -> Certificate | None:
        """A quorum's votes for one value, perhaps null."""
        return self._proven.get((phase, slot))

    def commit(self, sequence: int) -> Certificate | None:
        """A quorum's commits for this number, in any view."""
        return self._commits.get(sequence)

    def forget_below(self, sequence: int) -> None:
        """Drop what belongs to lower numbers."""
        self._tally.forget_below((sequence,))
        self._proposals = {s: one for s, one in self._proposals.items() if s[0] >= sequence}
        self._values = {d: one for d, one in self._values.items() if one.slot[0] >= sequence}
        self._proven = {key: one for key, one in self._proven.items() if key[1][0] >= sequence}
        self._commits = {n: one for n, one in self._commits.items() if n >= sequence}

    def forget_views_below(self, view: int) -> None:
        """Drop what primaries of earlier views assigned; what was voted for is kept elsewhere."""
        self._proposals = {s: one for s, one in self._proposals.items() if s[1] >= view}


class Changes:
    """The latest view changes of every validator, and certificates of a quorum of them."""

    def __init__(self, quorum: int) -> None:
        self._quorum = quorum
        self._by_signer: dict[int, dict[int, Signed]] = {}
        self._certified: TimeoutCertificate | None = None

    def add(self, signed: Signed) -> Signed | None:
        """Keep a view change; what its sender said for this view before, if it did."""
        change = signed.message
        assert isinstance(change, ViewChange)
        mine = self._by_signer.setdefault(signed.sender, {})
        earlier = mine.setdefault(change.view, signed)
        if len(mine) > CHANGES_A_SIGNER:
            del mine[min(mine)]
        return earlier if earlier is not signed else None

    def learn_certificate(self, certificate: TimeoutCertificate) -> None:
        """Keep the one for the highest view."""
        if self._certified is None or certificate.slot > self._certified.slot:
            self._certified = certificate

    def of_view(self, view: int) -> list[Signed]:
        """What was said for this view, by signer."""
        found = ((signer, mine.get(view)) for signer, mine in sorted(self._by_signer.items()))
        return [signed for _, signed in found if signed is not None]

    def certificate(self, view: int) -> TimeoutCertificate | None:
        """A quorum asked for this view."""
        known = self._certified
        if known is not None and known.slot == (view,):
            return known
        return make_certificate(self.of_view(view), self._quorum)

    def highest_asked_by(self, count: int) -> int:
        """The highest view that so many validators ask for, or for a later one; 0 for none."""
        highest = sorted((max(mine) for mine in self._by_signer.values()), reverse=True)
        asked = highest[count - 1] if len(highest) >= count else 0
        return max(asked, self._certified.slot[0] if self._certified is not None else 0)


def make_certificate(changes: list[Signed], quorum: int) -> TimeoutCertificate | None:
    """Of the first quorum of view changes for one view, once there is one."""
    if len(changes) < quorum:
        return None
    phase, slot, _ = changes[0].message.statement()
    entries = tuple(
        (signed.sender, signed.message.statement()[2], signed.signature)
        for signed in changes[:quorum]
    )
    return TimeoutCertificate(phase, slot, entries)
