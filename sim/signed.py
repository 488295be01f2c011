"""What is signed, by which key, and whether rightly: for oracles, written apart from the ledger.

The simulator's keyed hash is computed by its definition.  Whether a signature of a real scheme is
right is asked of the library that has it, through `ledger.keys`; what must have been signed, and
how a key is named, is spelled out here once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ledger.keys import scheme_named

_KEYED_HASH = "keyed-hash"
_ML_DSA = ("ml-dsa-44", "ml-dsa-65")
"""Schemes of networks in which members and checkpoints are signed by ML-DSA-44; the second one has
ML-DSA-65 for statements."""
STATEMENT_SIGNATURE_BYTES = {
    _KEYED_HASH: 64,
    "ed25519": 64,
    "ml-dsa-44": 2_420,
    "ml-dsa-65": 3_309,
}
IsSigned = Callable[[bytes, bytes, bytes], bool]
"""(key, message, signature) -> whether it is right."""


def check_of(scheme: str) -> IsSigned:
    """How all signatures but those of statements are checked in a network with this scheme."""
    if scheme == _KEYED_HASH:
        return _is_keyed_hash
    return scheme_named("ml-dsa-44" if scheme in _ML_DSA else scheme).verify


def _is_keyed_hash(key: bytes, message: bytes, signature: bytes) -> bool:
    return hashlib.blake2b(message, key=key, digest_size=64).digest() == signature


def short(key: bytes) -> bytes:
    """What an application's state names a key by: 32 bytes, the key itself or its SHA-256."""
    return key if len(key) == 32 else hashlib.sha256(key).digest()


def note_key_id(scheme: str, name: str, key: bytes) -> bytes:
    """C2SP signed-note: the first four bytes of SHA-256(name, newline, type, key)."""
    kind = b"\x06" if scheme in _ML_DSA else b"\x01"
    return hashlib.sha256(name.encode() + b"\n" + kind + key).digest()[:4]


def note_signature(
    scheme: str, line: bytes, text: bytes, origin: str, size: int, root: bytes
) -> tuple[bytes, bytes]:
    """(what is signed, signature) of one line under the text of a checkpoint, its key id cut off.

    By ML-DSA-44 the cosigned message of C2SP tlog-cosignature is signed, for the timestamp zero,
    which stands in the line before the signature; a line with another is of a wrong signature.
    """
    if scheme not in _ML_DSA:
        return text, line
    name = bytes([len(origin.encode())]) + origin.encode()
    start = b"subtree/v1\n\x00" + name + bytes(8) + name
    if line[:8] != bytes(8):
        return b"", b""
    return start + bytes(8) + size.to_bytes(8, "big") + root, line[8:]
