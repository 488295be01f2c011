"""Signatures: the only module that touches a signature library.

Ed25519 as libsodium checks it (RFC 8032, cofactorless; refuses non-canonical S, non-canonical and
low-order public keys and low-order R).  Every node of a network uses this one rule, so that no
signature counts at one validator and not at another.

ML-DSA-44 and ML-DSA-65 (FIPS 204, pure, empty context), which withstand quantum computers, as
OpenSSL checks them.  They are hedged: the same message gets another signature each time, all of
them right.

A keyed hash with the same functions serves the simulator; it proves nothing and a real node refuses
it.

What a network signs by which of them is its `Suite`, which the genesis names.
"""

from __future__ import annotations

import hashlib
import hmac
from abc import ABC
from dataclasses import dataclass
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
    ML_DSA_65_KEY_BYTES,
    ML_DSA_65_SIGNATURE_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
)

SEED_BYTES = 32
_PrivateKey = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey
_PublicKey = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey


class Signer(Protocol):
    """Holds one private key."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        """A signature of the scheme's size."""


class KeyPair(Signer, Protocol):
    """A signer of one scheme, made from a seed."""

    def secret(self, purpose: bytes) -> bytes:
        """32 bytes that only the holder of this key can make, the same ones for one purpose."""


class Scheme(Protocol):
    """A signature scheme: one algorithm."""

    name: str
    public_key_bytes: int
    signature_bytes: int

    def signer(self, seed: bytes) -> KeyPair:
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

    def secret(self, purpose: bytes) -> bytes:
        # A signature that is never shown, over a message of no other meaning: it is the same twice.
        return hashlib.sha256(self.sign(purpose)).digest()


class Ed25519:
    """Of a network that asks for no other."""

    name = "ed25519"
    public_key_bytes = PUBLIC_KEY_BYTES
    signature_bytes = SIGNATURE_BYTES

    def signer(self, seed: bytes) -> KeyPair:
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


class MlDsaSigner:
    """An ML-DSA key pair from its seed (FIPS 204, algorithm 6)."""

    def __init__(self, private: _PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def secret(self, purpose: bytes) -> bytes:
        # Signatures are hedged, and therefore other ones each time.
        return hmac.digest(self._private.private_bytes_raw(), purpose, "sha256")


@lru_cache(maxsize=1_024)
def _ml_dsa_key(kind: type[_PublicKey], public_key: bytes) -> _PublicKey:
    """Reading a key takes half as long as checking a signature; a network has few."""
    return kind.from_public_bytes(public_key)


class MlDsa(ABC):
    """One parameter set of ML-DSA: larger and slower than Ed25519."""

    name: str
    public_key_bytes: int
    signature_bytes: int
    _private: type[_PrivateKey]
    _public: type[_PublicKey]

    def signer(self, seed: bytes) -> KeyPair:
        assert len(seed) == SEED_BYTES
        return MlDsaSigner(self._private.from_seed_bytes(seed))

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        if len(public_key) != self.public_key_bytes or len(signature) != self.signature_bytes:
            return False
        try:
            _ml_dsa_key(self._public, public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def check_public_key(self, public_key: bytes) -> None:
        # Any bytes of the right length are a key: FIPS 204 packs without redundancy.
        if len(public_key) != self.public_key_bytes:
            raise Fault("key.unsafe", f"a public key has {self.public_key_bytes:,} bytes")


class MlDsa44(MlDsa):
    """Of security category 2: as hard to forge as a collision of SHA-256 is to find."""

    name = "ml-dsa-44"
    public_key_bytes = ML_DSA_44_KEY_BYTES
    signature_bytes = ML_DSA_44_SIGNATURE_BYTES
    _private = mldsa.MLDSA44PrivateKey
    _public = mldsa.MLDSA44PublicKey


class MlDsa65(MlDsa):
    """Of security category 3; C2SP has no type for it under a checkpoint."""

    name = "ml-dsa-65"
    public_key_bytes = ML_DSA_65_KEY_BYTES
    signature_bytes = ML_DSA_65_SIGNATURE_BYTES
    _private = mldsa.MLDSA65PrivateKey
    _public = mldsa.MLDSA65PublicKey


class KeyedHashSigner:
    """The simulator's key pair: the public key is a hash of the seed and signs by hashing."""

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == SEED_BYTES
        self.public_key = hashlib.sha256(b"keyed hash public key" + seed).digest()

    def sign(self, message: bytes) -> bytes:
        return hashlib.blake2b(message, key=self.public_key, digest_size=SIGNATURE_BYTES).digest()

    def secret(self, purpose: bytes) -> bytes:
        return hashlib.sha256(self.sign(purpose)).digest()


class KeyedHash:
    """Fast and forgeable: for virtual time only."""

    name = "keyed-hash"
    public_key_bytes = PUBLIC_KEY_BYTES
    signature_bytes = SIGNATURE_BYTES

    def signer(self, seed: bytes) -> KeyPair:
        return KeyedHashSigner(seed)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        if len(public_key) != PUBLIC_KEY_BYTES:
            return False
        made = hashlib.blake2b(message, key=public_key, digest_size=SIGNATURE_BYTES).digest()
        return made == signature

    def check_public_key(self, public_key: bytes) -> None:
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise Fault("key.unsafe", "a public key has 32 bytes")


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme for scheme in (Ed25519(), MlDsa44(), MlDsa65(), KeyedHash())
}


@dataclass(frozen=True, slots=True)
class ConsensusSigner:
    """The private keys of one validator; one and the same key in most suites."""

    statements: Signer
    checkpoints: Signer

    @property
    def own_checkpoint_key(self) -> bytes | None:
        """The public key of checkpoints, where it is not that of statements."""
        own = self.checkpoints.public_key
        return own if own != self.statements.public_key else None


def one_key(signer: Signer) -> ConsensusSigner:
    """A validator that signs statements and checkpoints with the same key."""
    return ConsensusSigner(signer, signer)


@dataclass(frozen=True, slots=True)
class Suite:
    """What is signed by which scheme on one network."""

    name: str
    """What the genesis calls it: after the scheme of statements."""
    statements: Scheme
    """Of validators: all that consensus says, and what a batch is attributed by."""
    checkpoints: Scheme
    """Of validators: the states of the log, as C2SP has it, so one that it has a type for."""
    members: Scheme
    """Transactions, and whatever else members sign."""

    @property
    def has_two_keys(self) -> bool:
        """Whether a validator has another key for checkpoints than for statements."""
        return self.statements.name != self.checkpoints.name

    def consensus_signer(self, seed: bytes, checkpoint_seed: bytes) -> ConsensusSigner:
        """A validator's keys from 32 bytes each; the second seed matters where there are two."""
        statements = self.statements.signer(seed)
        if not self.has_two_keys:
            return one_key(statements)
        return ConsensusSigner(statements, self.checkpoints.signer(checkpoint_seed))


def one_scheme(scheme: Scheme) -> Suite:
    """Everybody signs everything by the same scheme."""
    return Suite(scheme.name, scheme, scheme, scheme)


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        one_scheme(SCHEMES["ed25519"]),
        one_scheme(SCHEMES["ml-dsa-44"]),
        Suite("ml-dsa-65", SCHEMES["ml-dsa-65"], SCHEMES["ml-dsa-44"], SCHEMES["ml-dsa-44"]),
        one_scheme(SCHEMES["keyed-hash"]),
    )
}
REAL_SCHEMES = ("ed25519", "ml-dsa-44", "ml-dsa-65")
"""The suites whose signatures prove something, the default first."""


def short_key(public_key: bytes) -> bytes:
    """The 32 bytes that stand for a member where keys are many, such as in the keys of the store:
    an Ed25519 key itself, the SHA-256 of a longer one."""
    if len(public_key) == PUBLIC_KEY_BYTES:
        return public_key
    return hashlib.sha256(public_key).digest()


def scheme_named(name: str) -> Scheme:
    """The one scheme with this name, not the suite.  Raises Fault("key.unknown-scheme")."""
    if name not in SCHEMES:
        raise Fault("key.unknown-scheme", name)
    return SCHEMES[name]


def suite_named(name: str) -> Suite:
    """The suite that a genesis names so.  Raises Fault("key.unknown-scheme")."""
    if name not in SUITES:
        raise Fault("key.unknown-scheme", name)
    return SUITES[name]
