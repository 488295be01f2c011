"""Judges that lack one rule, each; a rule is tested when the judge without it is caught."""

from __future__ import annotations

from ledger.certified import TreeHead
from ledger.encoding import encode
from ledger.errors import ProofFault
from ledger.evidence import Equivocation, Fork, Judge
from ledger.genesis import EpochRecord
from ledger.statement import DOMAIN, VERSION, Statement


class TakesOneValue(Judge):
    """E1: votes with one and the same value are evidence."""

    def check_values(self, first: bytes, second: bytes) -> None:
        if first > second:
            raise ProofFault("evidence.order")


class TakesAnyonesSignature(Judge):
    """E2: the signatures need not be those of the validator who is named."""

    def is_signed(self, index: int, epoch: EpochRecord, message: bytes, signature: bytes) -> bool:
        keys = [validator.statement_key for validator in epoch.validators.members]
        return any(self.verify(key, message, signature) for key in keys)


class TakesNegativeIndex(Judge):
    """N2m: an index is used as it comes, and Python counts back from the end."""

    def check_validator(self, index: int, epoch: EpochRecord) -> None:
        if index >= epoch.validators.size:
            raise ProofFault("evidence.validator")

    def is_signed(self, index: int, epoch: EpochRecord, message: bytes, signature: bytes) -> bool:
        return self.verify(epoch.validators.members[index].statement_key, message, signature)


class AccusesTheRestarted(Judge):
    """E6: whoever signed a shorter log, having been behind, is taken for a forker."""

    def check_contradiction(self, piece: Fork, first: TreeHead, second: TreeHead) -> None:
        if first == second:
            raise ProofFault("evidence.consistent")
        if piece.root != first.root:
            super().check_contradiction(piece, first, second)


class UnboundStatement(Statement):
    """N1m: the network is not in what is signed."""

    def signed_bytes(self) -> bytes:
        return DOMAIN + encode((VERSION, self.epoch, self.phase, self.slot, self.value))


class ForgetsTheNetwork(Judge):
    """N1m: the judge of a network whose statements are signed so."""

    def message(self, piece: Equivocation, value: bytes) -> bytes:
        return UnboundStatement(b"", piece.epoch, piece.phase, piece.slot, value).signed_bytes()


MUTANTS: dict[type[Judge], set[str]] = {
    TakesOneValue: {"the same vote twice"},
    TakesAnyonesSignature: {"another's votes", "votes of two validators"},
    TakesNegativeIndex: {"a negative index"},
    AccusesTheRestarted: {"a validator that was behind"},
}
"""What each takes for evidence, and nothing else that is none."""
