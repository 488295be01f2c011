"""Operations that can be shown alone: salts, and who would need them.

A receipt of one operation carries hashes of its neighbours.  A neighbour without a salt whose body
can be guessed is found by whoever hashes guesses until one fits.  A salt of 128 random bits makes
every guess hopeless, and goes only to those who are shown the operation.
"""

from __future__ import annotations

import hmac
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ledger.encoding import encode
from ledger.keys import KeyPair
from ledger.transaction import Operation

SALTS_DOMAIN = b"ledger salts\x00"
SALT_BYTES = 16
GUESSABLE_BYTES = 24
"""A body with less information than this is one of few; zlib's measure, which errs upwards."""
_ZLIB_OVERHEAD = len(zlib.compress(b""))


def salted(operations: Sequence[Operation]) -> list[Operation]:
    """The operations, each with a salt of its own unless it brings one."""
    return [
        operation if operation.salt else replace(operation, salt=secrets.token_bytes(SALT_BYTES))
        for operation in operations
    ]


def salted_parts(
    parts: Iterable[list[Operation]], signer: KeyPair, network: bytes
) -> Iterator[list[Operation]]:
    """The parts, each operation with a salt that only the holder of the key can make.

    The same source gives the same transactions again, which is how an import knows what is there.
    """
    secret = signer.secret(SALTS_DOMAIN + network)
    for part in parts:
        yield [replace(each, salt=_salt_of(secret, each)) for each in part]


def _salt_of(secret: bytes, operation: Operation) -> bytes:
    return hmac.digest(secret, encode(operation.row()), "sha256")[:SALT_BYTES]


def is_guessable(operation: Operation) -> bool:
    """Whether the operation has no salt and so little in it that it could be guessed."""
    if operation.salt:
        return False
    return len(zlib.compress(operation.body, 9)) - _ZLIB_OVERHEAD < GUESSABLE_BYTES


def warning(guessable: int, count: int) -> str:
    """What to tell a person whose transaction of `count` operations holds guessable ones."""
    return (
        f"warning: {guessable} of {count} operations could be guessed by whoever is shown the "
        "receipt of another one: --salted prevents it"
    )
