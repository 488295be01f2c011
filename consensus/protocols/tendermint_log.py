"""Tendermint's message log: what was said in the current instance and the few after it.

It only counts and keeps; what follows from it is the protocol's business.
"""

from __future__ import annotations

from consensus.interface import AnyCertificate, Signed
from consensus.protocols.tendermint_messages import NIL, PRECOMMIT, Proposal
from consensus.tally import Tally
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.statement import Slot
from ledger.value import Value


class MessageLog:
    """Proposals, votes, certificates and values by slot = (instance, round)."""

    def __init__(self, tally: Tally, quorum: int) -> None:
        self._tally = tally
        self._quorum = quorum
        self._proposals: dict[Slot, dict[int, Proposal]] = {}
        """By slot and sender: who leads may be known only once the instance is ours."""
        self._values: dict[bytes, Value] = {}
        self._proven: dict[tuple[str, Slot], Certificate] = {}
        self._ended: dict[Slot, TimeoutCertificate] = {}
        self._commits: dict[int, Certificate] = {}
        self._senders: dict[Slot, dict[int, None]] = {}

    def add(self, signed: Signed) -> Signed | None:
        """Keep a message; what its sender said there before, if that was something else."""
        message = signed.message
        phase, slot, value = message.statement()
        self._senders.setdefault(slot, {})[signed.sender] = None
        earlier = self._tally.add(signed)
        if isinstance(message, Proposal):
            if self._tally.count(phase, slot, value):  # Not the third of an equivocator.
                self._keep_proposal(signed.sender, message)
        elif (phase, slot) not in self._proven:
            certificate = self._tally.certificate(phase, slot, value, self._quorum)
            if certificate is not None:
                self.learn_certificate(certificate)
        return earlier

    def _keep_proposal(self, sender: int, proposal: Proposal) -> None:
        self._proposals.setdefault(proposal.slot, {}).setdefault(sender, proposal)
        self.learn_value(proposal.value)
        if proposal.polka is not None:
            self.learn_certificate(proposal.polka)

    def learn_value(self, value: Value) -> None:
        """Keep a value that may be voted on or decided."""
        self._values[value.digest] = value

    def learn_certificate(self, certificate: AnyCertificate) -> None:
        """Keep a right certificate: it counts as the votes in it."""
        slot = certificate.slot
        if isinstance(certificate, TimeoutCertificate):
            signers = [index for index, _, _ in certificate.entries]
            self._ended.setdefault(slot, certificate)
        else:
            signers = [index for index, _ in certificate.signatures]
            self._proven.setdefault((certificate.phase, slot), certificate)
            if certificate.phase == PRECOMMIT and certificate.value != NIL:
                self._commits.setdefault(slot[0], certificate)
        self._senders.setdefault(slot, {}).update(dict.fromkeys(signers))

    def proposal(self, slot: Slot, proposer: int | None) -> Proposal | None:
        """The proposer's first proposal; where that is None, the first of anyone."""
        by_sender = self._proposals.get(slot, {})
        if proposer is None:
            return next(iter(by_sender.values()), None)
        return by_sender.get(proposer)

    def value(self, digest: bytes) -> Value | None:
        return self._values.get(digest)

    def proven(self, phase: str, slot: Slot) -> Certificate | None:
        """A quorum of votes for one value, perhaps nil."""
        return self._proven.get((phase, slot))

    def commit(self, instance: int) -> Certificate | None:
        """A quorum of precommits for a value, in any round of the instance."""
        return self._commits.get(instance)

    def has_quorum(self, phase: str, slot: Slot) -> bool:
        """Whether a quorum voted there, whatever for."""
        return (
            (phase, slot) in self._proven
            or (phase == PRECOMMIT and slot in self._ended)
            or self._tally.voter_count(phase, slot) >= self._quorum
        )

    def end_of(self, slot: Slot) -> TimeoutCertificate | None:
        """A quorum of precommits, whatever for: why a node may leave the round."""
        return self._ended.get(slot) or self._tally.timeout_certificate(
            PRECOMMIT, slot, self._quorum
        )

    def later_round(self, slot: Slot, count: int) -> int | None:
        """The highest later round of the instance in which at least count validators spoke."""
        instance, highest = slot
        for (other, round_), senders in self._senders.items():
            if round_ > highest and other == instance and len(senders) >= count:
                highest = round_
        return highest if highest > slot[1] else None

    def has_heard(self, instance: int) -> bool:
        """Whether anything was said in this instance."""
        return any(slot[0] == instance for slot in self._senders)

    def forget_below(self, instance: int) -> None:
        """Drop what belongs to earlier instances."""
        self._tally.forget_below((instance,))
        self._proposals = {s: ones for s, ones in self._proposals.items() if s[0] >= instance}
        self._values = {d: one for d, one in self._values.items() if one.slot[0] >= instance}
        self._proven = {key: one for key, one in self._proven.items() if key[1][0] >= instance}
        self._ended = {slot: one for slot, one in self._ended.items() if slot[0] >= instance}
        self._commits = {i: one for i, one in self._commits.items() if i >= instance}
        self._senders = {slot: ones for slot, ones in self._senders.items() if slot[0] >= instance}
