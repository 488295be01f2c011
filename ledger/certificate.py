"""Certificates: a quorum of signatures over statements of one phase and slot.

Signatures stand in strictly ascending order of validator index, exactly what counts, no padding.
Votes share one value (`Certificate`); timeout and view-change certificates hold one value per
signer (`TimeoutCertificate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from ledger import encoding
from ledger.errors import ProofFault
from ledger.limits import VALIDATORS_MAX
from ledger.statement import Slot, Statement, phase_shape, value_shape
from ledger.validators import ValidatorSet

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it is right."""

certificate_shape = encoding.row(
    phase_shape,
    encoding.slot,
    value_shape,
    encoding.array(
        encoding.row(encoding.uint(VALIDATORS_MAX - 1), encoding.statement_signature),
        VALIDATORS_MAX,
        low=1,
    ),
)
timeout_certificate_shape = encoding.row(
    phase_shape,
    encoding.slot,
    encoding.array(
        encoding.row(encoding.uint(VALIDATORS_MAX - 1), value_shape, encoding.statement_signature),
        VALIDATORS_MAX,
        low=1,
    ),
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum said one value in one phase and slot."""

    phase: str
    slot: Slot
    value: bytes
    signatures: tuple[tuple[int, bytes], ...]
    """(validator index, signature), ascending."""

    def row(self) -> tuple[object, ...]:
        return (self.phase, self.slot, self.value, self.signatures)

    @classmethod
    def from_row(cls, row: tuple[str, Slot, bytes, tuple[tuple[int, bytes], ...]]) -> Certificate:
        return cls(*row)

    def check(
        self,
        network: bytes,
        epoch: bytes,
        validators: ValidatorSet,
        verify: Verify,
        *,
        quorum: int,
    ) -> None:
        """Raise ProofFault unless exactly quorum of these validators signed."""
        message = Statement(network, epoch, self.phase, self.slot, self.value).signed_bytes()
        check_signers([index for index, _ in self.signatures], validators, quorum)
        for index, signature in self.signatures:
            if not verify(validators.statement_key(index), message, signature):
                raise ProofFault("certificate.signature", f"validator {index}", culprit=index)


@dataclass(frozen=True, slots=True)
class TimeoutCertificate:
    """A quorum left one slot, each saying the best that it knew."""

    phase: str
    slot: Slot
    entries: tuple[tuple[int, bytes, bytes], ...]
    """(validator index, that signer's value, signature), ascending."""

    def row(self) -> tuple[object, ...]:
        return (self.phase, self.slot, self.entries)

    @classmethod
    def from_row(
        cls, row: tuple[str, Slot, tuple[tuple[int, bytes, bytes], ...]]
    ) -> TimeoutCertificate:
        return cls(*row)

    def check(
        self,
        network: bytes,
        epoch: bytes,
        validators: ValidatorSet,
        verify: Verify,
        *,
        quorum: int,
    ) -> None:
        """Raise ProofFault unless exactly quorum of these validators signed."""
        check_signers([index for index, _, _ in self.entries], validators, quorum)
        for index, value, signature in self.entries:
            message = Statement(network, epoch, self.phase, self.slot, value).signed_bytes()
            if not verify(validators.statement_key(index), message, signature):
                raise ProofFault("certificate.signature", f"validator {index}", culprit=index)


def check_signers(indexes: list[int], validators: ValidatorSet, quorum: int) -> None:
    """Raise ProofFault unless indexes are exactly quorum many, ascending and in the set."""
    if len(indexes) != quorum:
        raise ProofFault("certificate.quorum", f"{len(indexes)} signatures, not {quorum}")
    if any(left >= right for left, right in pairwise(indexes)):
        raise ProofFault("certificate.order", "signers are not strictly ascending")
    if not (indexes[0] >= 0 and indexes[-1] < validators.size):
        raise ProofFault("certificate.signer", "a signer is not in the validator set")
