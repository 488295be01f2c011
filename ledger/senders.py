"""Who sent a transaction: the holder of a key, who signed it, or, on an open ledger, nobody.

Signatures are most of what a transaction costs.  A test network whose policy is `open` therefore
takes transactions of *nobody*, so that consensus and dissemination can be measured alone.  That
nobody signed stands in the header: the sender is 24 zero bytes and a number in place of a key.  So
no signature can be taken from a transaction or put under it without changing its id, nobody acts
for a key that somebody holds, and exactly once is by (sender, nonce) as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.genesis import Genesis
from ledger.limits import PUBLIC_KEY_BYTES

NUMBER_BYTES = 8
NOBODY = bytes(PUBLIC_KEY_BYTES - NUMBER_BYTES)
"""What stands in place of the first bytes of a key; no key that anybody found begins like that."""
Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether the signature is right."""


class Nobody:
    """Sends transactions in place of a `ledger.keys.Signer`, and signs none."""

    def __init__(self, number: int = 0) -> None:
        """number: below 2^64; each has nonces of its own."""
        self.public_key = NOBODY + number.to_bytes(NUMBER_BYTES, "big")

    def sign(self, _message: bytes) -> bytes:
        return b""


def is_nobody(sender: bytes) -> bool:
    """Whether this sender, on an open ledger, is no key."""
    return len(sender) == PUBLIC_KEY_BYTES and sender.startswith(NOBODY)


def sender_check(genesis: Genesis, verify: Verify) -> Verify:
    """How the signatures of transactions are checked, given how those of keys are.

    On an open ledger nobody's signature is empty; everywhere else it is no right one.
    """
    if not genesis.is_open:
        return verify

    def check(sender: bytes, message: bytes, signature: bytes) -> bool:
        if is_nobody(sender):
            return not signature
        return verify(sender, message, signature)

    return check
