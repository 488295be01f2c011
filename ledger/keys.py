"""Signatures: the only module that touches a signature library.

Ed25519 as libsodium checks it (RFC 8032, cofactorless; refuses non-canonical S, non-canonical and
low-order public keys and low-order R).  Every node of a network uses this one rule, so that no
signature counts at one validator and not at another.

ML-DSA-44 (FIPS 204, pure, empty context), which withstands quantum computers, as OpenSSL checks it.
It is hedged: the same message gets another signature each time, all of them right.

A keyed hash with the same functions serves the simulator; it proves nothing and a real node refuses
it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa
from nacl import bindings
from nacl.exceptions import BadSignatureError

from ledger.errors import Fault
from ledger.limits import (
    ML_DSA_44_KEY_BYTES,
    ML_DSA_44_SIGNATURE_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
)

SEED_BYTES = 32


class Signer(Protocol):
    """Holds one private key."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        """A signature of the scheme's size."""


class Scheme(Protocol):
    """A signature scheme, chosen once per network by the genesis."""

    name: str
    public_key_bytes: int
    signature_bytes: int

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
    """The scheme of a network that asks for no other."""

    name = "ed25519"
    public_key_bytes = PUBLIC_KEY_BYTES
    signature_bytes = SIGNATURE_BYTES

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


class MlDsa44Signer:
    """An ML-DSA-44 key pair from its seed (FIPS 204, algorithm 6)."""

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == SEED_BYTES
        self._private = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        self.public_key = self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


@lru_cache(maxsize=1_024)
def _ml_dsa_44_key(public_key: bytes) -> mldsa.MLDSA44PublicKey:
    """Reading a key takes half as long as checking a signature; a network has few."""
    return mldsa.MLDSA44PublicKey.from_public_bytes(public_key)


class MlDsa44:
    """For a network that must stay safe from quantum computers: larger and slower."""

    name = "ml-dsa-44"
    public_key_bytes = ML_DSA_44_KEY_BYTES
    signature_bytes = ML_DSA_44_SIGNATURE_BYTES

    def signer(self, seed: bytes) -> Signer:
        return MlDsa44Signer(seed)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        if len(public_key) != ML_DSA_44_KEY_BYTES or len(signature) != ML_DSA_44_SIGNATURE_BYTES:
            return False
        try:
            _ml_dsa_44_key(public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def check_public_key(self, public_key: bytes) -> None:
        # Any bytes of the right length are a key: FIPS 204 packs without redundancy.
        if len(public_key) != ML_DSA_44_KEY_BYTES:
            raise Fault("key.unsafe", f"a public key has {ML_DSA_44_KEY_BYTES:,} bytes")


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
    public_key_bytes = PUBLIC_KEY_BYTES
    signature_bytes = SIGNATURE_BYTES

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


SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in (Ed25519(), MlDsa44(), KeyedHash())}
REAL_SCHEMES = ("ed25519", "ml-dsa-44")
"""Whose signatures prove something, the default first."""


def short_key(public_key: bytes) -> bytes:
    """The 32 bytes that stand for a member where keys are many, such as in the keys of the store:
    an Ed25519 key itself, the SHA-256 of a longer one."""
    if len(public_key) == PUBLIC_KEY_BYTES:
        return public_key
    return hashlib.sha256(public_key).digest()


def scheme_named(name: str) -> Scheme:
    """The scheme with this name.  Raises Fault("key.unknown-scheme")."""
    if name not in SCHEMES:
        raise Fault("key.unknown-scheme", name)
    return SCHEMES[name]
