"""The kinds of fault, so that each is met in its own way.

A peer's or a submitter's fault is a `Fault` with a stable reason code, and a culprit where one is
known.  Our own mistake is an assertion.  The disk's is a `StorageError`, which stops the node.
A user's mistake is a `UserError`: one line that says what to do.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of every error that this project raises on purpose."""


class Fault(LedgerError):
    """Input from outside breaks a rule; `reason` is a stable code like "transaction.expired"."""

    def __init__(self, reason: str, detail: str = "", *, culprit: object = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.culprit = culprit


class PeerFault(Fault):
    """A peer broke the rules of a link or protocol; `culprit` is its validator index or key."""


class DecodeFault(Fault):
    """Bytes that are not the one canonical encoding of an allowed value."""


class ProofFault(Fault):
    """A receipt, path, signature or certificate that does not prove what it claims."""


class StorageError(LedgerError):
    """The disk failed, or holds what this node did not write.  The node stops with this message."""


class UserError(LedgerError):
    """A person asked for what cannot be done; the message is one line that says what to do."""


class UnreachableError(LedgerError):
    """A node or network does not answer, or refused to start: exit code 3."""
