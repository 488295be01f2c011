"""Certificates judged apart from the code that makes them: whose signatures, and how many.

The quorums stand here as numbers, for every network up to 21 validators, so that a mistake in the
formula of `ledger/validators.py` is not made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.interface import AnyCertificate
from ledger.certificate import Certificate, TimeoutCertificate, Verify
from ledger.statement import Slot, Statement
from ledger.validators import QuorumRule, ValidatorSet

BYZANTINE = (1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 15)
"""By the number of validators, from 1: any two quorums share an honest validator."""
CRASH = (1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11)
"""By the number of validators, from 1: any two quorums share a validator."""

Said = tuple[str, Slot, tuple[int, bytes, bytes]]
"""(phase, slot, (validator, value, signature)) of a statement."""
Report = Callable[[str, str], None]
"""(property, sentence) of a violation."""


class CertificateOracle:
    """Every certificate that was seen anywhere in one run."""

    def __init__(
        self,
        validators: ValidatorSet,
        verify: Verify,
        statement: Callable[[str, Slot, bytes], Statement],
        violated: Report,
        *,
        model: str,
        quorum_is_honest: bool,
    ) -> None:
        self._validators = validators
        self._verify = verify
        self._statement = statement
        self._violated = violated
        self._is_judged = quorum_is_honest
        self._signers: dict[AnyCertificate, int] = {}
        self._certified: dict[tuple[str, Slot], bytes] = {}
        self.quorum = quorum(validators.size, validators.rule, model)

    def signers(self, certificate: AnyCertificate) -> int:
        """How many different validators rightly signed it; 0 where any signature is wrong."""
        known = self._signers.get(certificate)
        if known is None:
            known = self._signers[certificate] = self._count(certificate)
            if known >= self.quorum and isinstance(certificate, Certificate):
                self._compare(certificate)
        return known

    def decided_by(self, certificates: tuple[Certificate, ...], name: str) -> None:
        """An honest validator decided for the reason of these certificates."""
        for certificate in certificates:
            count = self.signers(certificate)
            if count < self.quorum:
                self._violated(
                    "proof",
                    f"{name} was decided by {count} right signatures in {certificate.phase} "
                    f"{certificate.slot}, not {self.quorum}",
                )

    def said_by(self, said: Sequence[Said], name: str) -> None:
        """An honest validator decided for what these said differently: a quorum in the last slot.

        Judged is that all signatures are right and that a quorum had a say; what follows from what
        they said is the protocol's own.
        """
        last = max(slot for _, slot, _ in said)
        signers: dict[int, None] = {}
        for phase, slot, entry in said:
            if self._count(TimeoutCertificate(phase, slot, (entry,))) != 1:
                self._violated("proof", f"{name} was decided by a wrong signature in {slot}")
            elif slot == last:
                signers[entry[0]] = None
        if len(signers) < self.quorum:
            self._violated(
                "proof", f"{name} was decided by {len(signers)} in {last}, not {self.quorum}"
            )

    def _count(self, certificate: AnyCertificate) -> int:
        signers: dict[int, None] = {}
        if isinstance(certificate, Certificate):
            said = [(index, certificate.value, sign) for index, sign in certificate.signatures]
        else:
            said = list(certificate.entries)
        messages = {
            value: self._statement(certificate.phase, certificate.slot, value).signed_bytes()
            for _, value, _ in said
        }
        for index, value, signature in said:
            if not 0 <= index < self._validators.size:
                return 0
            message = messages[value]
            if not self._verify(self._validators.members[index].statement_key, message, signature):
                return 0
            signers[index] = None
        return len(signers)

    def _compare(self, certificate: Certificate) -> None:
        """Two quorums for two values in one phase and slot share an honest validator."""
        key = (certificate.phase, certificate.slot)
        first = self._certified.setdefault(key, certificate.value)
        if first != certificate.value and self._is_judged:
            self._violated(
                "certificates",
                f"{key[0]} {key[1]} has certificates for {first.hex()[:8] or 'nil'} and "
                f"{certificate.value.hex()[:8] or 'nil'}",
            )


def quorum(size: int, rule: QuorumRule, model: str = "byzantine") -> int:
    """How many signatures decide among so many validators; one in a protocol without faults."""
    if model == "none":
        return 1
    table = BYZANTINE if rule is QuorumRule.BYZANTINE else CRASH
    if size <= len(table):
        return table[size - 1]
    return size - (size - 1) // (3 if rule is QuorumRule.BYZANTINE else 2)
