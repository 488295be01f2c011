"""Counting statements: distinct signers, never messages; an equivocator is named and still counted.

One tally serves one protocol instance.  At most two values are kept per signer, phase and slot, so
that one validator cannot fill the memory; the plugin bounds how far ahead slots may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.interface import Signed
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot

VALUES_A_SIGNER = 2


@dataclass(slots=True)
class _Ballot:
    """All that was said in one phase and slot."""

    by_value: dict[bytes, dict[int, bytes]]
    """value -> signer -> signature."""
    first: dict[int, Signed]
    """What each signer said first: the one half of an equivocation."""


class Tally:
    """Statements by phase and slot."""

    def __init__(self) -> None:
        self._ballots: dict[tuple[str, Slot], _Ballot] = {}

    def add(self, signed: Signed) -> Signed | None:
        """Count a statement; the signer's first one if this is a different, second one."""
        phase, slot, value = signed.message.statement()
        sender = signed.sender
        ballot = self._ballots.get((phase, slot))
        if ballot is None:
            ballot = self._ballots[phase, slot] = _Ballot({}, {})
        signers = ballot.by_value.get(value)
        if signers is None:
            signers = {}
        elif sender in signers:
            return None
        earlier = ballot.first.setdefault(sender, signed)
        if earlier is not signed:
            said = sum(1 for others in ballot.by_value.values() if sender in others)
            if said >= VALUES_A_SIGNER:
                return None
        signers[sender] = signed.signature
        ballot.by_value[value] = signers
        return earlier if earlier is not signed else None

    def count(self, phase: str, slot: Slot, value: bytes) -> int:
        """Distinct signers of this value."""
        ballot = self._ballots.get((phase, slot))
        return len(ballot.by_value.get(value, {})) if ballot else 0

    def voters(self, phase: str, slot: Slot) -> list[int]:
        """Distinct signers of any value there, ascending."""
        ballot = self._ballots.get((phase, slot))
        return sorted(ballot.first) if ballot else []

    def voter_count(self, phase: str, slot: Slot) -> int:
        """How many distinct signers said any value there."""
        ballot = self._ballots.get((phase, slot))
        return len(ballot.first) if ballot else 0

    def values(self, phase: str, slot: Slot) -> list[bytes]:
        """The values said there, in the order of their first appearance."""
        ballot = self._ballots.get((phase, slot))
        return list(ballot.by_value) if ballot else []

    def slots(self, phase: str) -> Iterable[Slot]:
        """Every slot of the phase in which something was said, ascending."""
        return sorted(slot for name, slot in self._ballots if name == phase)

    def certificate(self, phase: str, slot: Slot, value: bytes, quorum: int) -> Certificate | None:
        """Exactly a quorum of signatures for one value, in index order, once there is one."""
        ballot = self._ballots.get((phase, slot))
        signers = ballot.by_value.get(value, {}) if ballot else {}
        if len(signers) < quorum:
            return None
        return Certificate(phase, slot, value, tuple(sorted(signers.items())[:quorum]))

    def timeout_certificate(self, phase: str, slot: Slot, quorum: int) -> TimeoutCertificate | None:
        """A quorum of signers, each with the value it said first."""
        ballot = self._ballots.get((phase, slot))
        if ballot is None or len(ballot.first) < quorum:
            return None
        entries = tuple(
            (index, ballot.first[index].message.statement()[2], ballot.first[index].signature)
            for index in sorted(ballot.first)[:quorum]
        )
        return TimeoutCertificate(phase, slot, entries)

    def forget_below(self, floor: Slot) -> None:
        """Drop every slot below floor, in all phases."""
        for key in [key for key in self._ballots if key[1] < floor]:
            del self._ballots[key]
