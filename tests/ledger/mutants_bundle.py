"""Judges of bundles that lack one rule, each; a rule is tested when one believes a forgery."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.applications.provenance import Statement, parse_statement
from ledger.bundle import BundleJudge
from ledger.genesis import Genesis
from ledger.joint_receipt import JointJudge, Proven, ShownOperation, ShownTransaction
from ledger.light import CertifiedLog


class AnySignature(JointJudge):
    """The sender need not have signed the transaction."""

    def check_signature(self, sender: bytes, message: bytes, signature: bytes) -> None:
        pass


class AnyRoot(JointJudge):
    """The log need not be the one that a quorum certified."""

    def check_root(self, root: bytes, log: CertifiedLog) -> None:
        pass


class AnyOperation(JointJudge):
    """The operations need not be those that the header names: it is as it was."""

    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis)
        self._headers = headers

    def header(
        self, transaction: ShownTransaction, sender: bytes, shown: Sequence[ShownOperation]
    ) -> bytes:
        known = self._headers.get(transaction.signature)
        return known or super().header(transaction, sender, shown)


class _With(BundleJudge):
    def __init__(self, genesis: Genesis, joint: JointJudge) -> None:
        super().__init__(genesis)
        self._joint = joint


class TakesAnySignature(_With):
    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis, AnySignature(genesis))


class TakesAnyRoot(_With):
    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis, AnyRoot(genesis))


class TakesAnyOperation(_With):
    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis, AnyOperation(genesis, headers))


class TakesAnyApplication(BundleJudge):
    """A body of another application is read as a statement."""

    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis)

    def statement(self, proven: Proven) -> Statement:
        return parse_statement(proven.body)


class TakesItTwice(BundleJudge):
    """A statement may stand twice: once proven, once without proof."""

    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis)

    def check_once(self, statements: Sequence[Statement]) -> None:
        pass

    def check_used(self, used: Sequence[Statement], statements: Sequence[Statement]) -> None:
        super().check_used(used, tuple(dict.fromkeys(statements)))


class TakesPadding(BundleJudge):
    """Statements may stand in it that have nothing to do with the answer."""

    def __init__(self, genesis: Genesis, headers: dict[bytes, bytes]) -> None:
        super().__init__(genesis)

    def check_used(self, used: Sequence[Statement], statements: Sequence[Statement]) -> None:
        pass


MUTANTS = {
    TakesAnySignature: "another's signature",
    TakesAnyRoot: "an invented transaction",
    TakesAnyOperation: "an invented statement",
    TakesAnyApplication: "another application",
    TakesItTwice: "a statement twice",
    TakesPadding: "a statement of something else",
}
"""What each believes, and the others do not."""
