"""Signatures: the only module that touches a signature library.

Ed25519 as libsodium checks it (RFC 8032, cofactorless; refuses non-canonical S, non-canonical and
low-order public keys and low-order R).  Every node of a network uses this one rule, so that no
signature counts at one validator and not at another.  A keyed hash with the same functions serves
the simulator; it proves nothing and a real node refuses it.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from nacl import bindings
from nacl.exceptions import BadSignatureError

from ledger.errors import Fault

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Signer(Protocol):
    """Holds one private key."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        """A signature of 64 bytes; the same message gives the same bytes."""


class Scheme(Protocol):
    """A signature scheme, chosen once per network by the genesis."""

    name: str

    def signer(self, seed: bytes) -> Signer:
        """The key pair that follows from a seed of 32 bytes."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature is right; false, never an error, for malformed input."""

    def check_public_key(self, public_key: bytes) -> None:
        """Raise Fault("key.unsafe") for a key that must not be admitted."""


class Ed25519Signer:
    """An Ed25519 key pair from its seed (RFC 8032, 5.1.5)."""

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == SEED_BYTES
        self.public_key, self._secret = bindings.crypto_sign_seed_keypair(seed)

    def sign(self, message: bytes) -> bytes:
        signed: bytes = bindings.crypto_sign(message, self._secret)
        return signed[:SIGNATURE_BYTES]


class Ed25519:
    """The scheme of every real network."""

    name = "ed25519"

    def signer(self, seed: bytes) -> Signer:
        return Ed25519Signer(seed)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        try:
            bindings.crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            return False
        return True

    def check_public_key(self, public_key: bytes) -> None:
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise Fault("key.unsafe", "a public key has 32 bytes")
        if not bindings.crypto_core_ed25519_is_valid_point(public_key):
            raise Fault("key.unsafe", "the key is not a canonical point of the prime-order group")


class KeyedHashSigner:
    """The simulator's key pair: the public key is a hash of the seed and signs by hashing."""

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == SEED_BYTES
        self.public_key = hashlib.sha256(b"keyed hash public key" + seed).digest()

    def sign(self, message: bytes) -> bytes:
        return hashlib.blake2b(message, key=self.public_key, digest_size=SIGNATURE_BYTES).digest()


class KeyedHash:
    """Fast and forgeable: for virtual time only."""

    name = "keyed-hash"

    def signer(self, seed: bytes) -> Signer:
        return KeyedHashSigner(seed)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        if len(public_key) != PUBLIC_KEY_BYTES:
            return False
        made = hashlib.blake2b(message, key=public_key, digest_size=SIGNATURE_BYTES).digest()
        return made == signature

    def check_public_key(self, public_key: bytes) -> None:
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise Fault("key.unsafe", "a public key has 32 bytes")


SCHEMES: dict[str, Scheme] = {"ed25519": Ed25519(), "keyed-hash": KeyedHash()}


def scheme_named(name: str) -> Scheme:
    """The scheme with this name.  Raises Fault("key.unknown-scheme")."""
    if name not in SCHEMES:
        raise Fault("key.unknown-scheme", name)
    return SCHEMES[name]
