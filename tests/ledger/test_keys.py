"""Ed25519: the vectors of RFC 8032, and the one acceptance rule that every node shares."""

from __future__ import annotations

import hashlib

import pytest
from nacl import bindings

from ledger.errors import Fault
from ledger.keys import Ed25519, KeyedHash, scheme_named
from tests.ledger.builders import seed_of

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = "01" + "00" * 31
LOW_ORDER = [
    IDENTITY,
    "01" + "00" * 30 + "80",
    "ec" + "ff" * 30 + "7f",
    "ec" + "ff" * 31,
    "00" * 32,
    "00" * 31 + "80",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ed" + "ff" * 30 + "7f",
    "ed" + "ff" * 31,
    "ee" + "ff" * 30 + "7f",
    "ee" + "ff" * 31,
]
"""The fourteen encodings, canonical or not, of the points whose order divides eight."""

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
]
"""Section 7.1, tests 1, 2, 3 and SHA(abc): seed, public key, message, signature."""


def secret_scalar(seed: bytes) -> int:
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest, "little")


def signature_with(commitment: bytes, nonce: int, seed: bytes, message: bytes) -> bytes:
    """R and the S that makes the equation S B = R + k A hold where R = nonce B (+ low order)."""
    public_key = Ed25519().signer(seed).public_key
    challenge = hashlib.sha512(commitment + public_key + message).digest()
    product = int.from_bytes(challenge, "little") * secret_scalar(seed)
    return commitment + ((nonce + product) % GROUP_ORDER).to_bytes(32, "little")


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032(seed: str, public_key: str, message: str, signature: str) -> None:
    scheme = Ed25519()
    signer = scheme.signer(bytes.fromhex(seed))
    said = bytes.fromhex(message)

    assert signer.public_key.hex() == public_key
    assert signer.sign(said).hex() == signature
    assert scheme.verify(signer.public_key, said, bytes.fromhex(signature))
    scheme.check_public_key(signer.public_key)


def test_another_message_key_or_signature_bit_is_refused() -> None:
    scheme = Ed25519()
    alice, bob = scheme.signer(seed_of("alice")), scheme.signer(seed_of("bob"))
    signature = alice.sign(b"message")

    assert not scheme.verify(alice.public_key, b"massage", signature)
    assert not scheme.verify(bob.public_key, b"message", signature)
    for bit in range(512):
        flipped = int.from_bytes(signature, "little") ^ 1 << bit
        assert not scheme.verify(alice.public_key, b"message", flipped.to_bytes(64, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_keys_and_signatures_of_another_length_are_refused_without_an_error(length: int) -> None:
    scheme = Ed25519()
    alice = scheme.signer(seed_of("alice"))

    assert not scheme.verify(alice.public_key, b"", bytes(length))
    assert not scheme.verify(bytes(length), b"", alice.sign(b""))
    with pytest.raises(Fault, match=r"key\.unsafe"):
        scheme.check_public_key(bytes(length))


@pytest.mark.parametrize("key", LOW_ORDER)
def test_a_low_order_or_non_canonical_public_key_is_not_admitted_and_signs_nothing(
    key: str,
) -> None:
    scheme = Ed25519()
    # With A of low order, R = identity and S = 0 satisfy the bare equation for many messages.
    forged = bytes.fromhex(IDENTITY) + bytes(32)

    with pytest.raises(Fault, match=r"key\.unsafe"):
        scheme.check_public_key(bytes.fromhex(key))
    assert not any(
        scheme.verify(bytes.fromhex(key), message.to_bytes(2, "big"), forged)
        for message in range(64)
    )


def test_a_key_that_is_no_point_or_has_a_low_order_part_is_not_admitted() -> None:
    scheme = Ed25519()
    alice = scheme.signer(seed_of("alice"))
    mixed = bindings.crypto_core_ed25519_add(alice.public_key, bytes.fromhex(LOW_ORDER[6]))
    no_point = "02" + "00" * 31

    for key in (mixed, bytes.fromhex(no_point)):
        with pytest.raises(Fault, match=r"key\.unsafe"):
            scheme.check_public_key(key)


def test_a_signature_with_the_group_order_added_to_s_is_refused() -> None:
    scheme = Ed25519()
    alice = scheme.signer(seed_of("alice"))
    signature = alice.sign(b"message")
    larger = int.from_bytes(signature[32:], "little") + GROUP_ORDER

    assert not scheme.verify(
        alice.public_key, b"message", signature[:32] + larger.to_bytes(32, "little")
    )


def test_a_right_equation_counts_unless_r_is_of_low_order() -> None:
    scheme, seed = Ed25519(), seed_of("alice")
    alice = scheme.signer(seed)
    ordinary = bindings.crypto_scalarmult_ed25519_base_noclamp((7).to_bytes(32, "little"))

    made = signature_with(ordinary, 7, seed, b"message")
    low = signature_with(bytes.fromhex(IDENTITY), 0, seed, b"message")

    assert scheme.verify(alice.public_key, b"message", made)
    assert not scheme.verify(alice.public_key, b"message", low)


def test_a_low_order_part_in_r_breaks_the_equation_since_no_cofactor_clears_it() -> None:
    scheme, seed = Ed25519(), seed_of("alice")
    base = bindings.crypto_scalarmult_ed25519_base_noclamp((7).to_bytes(32, "little"))
    mixed = bindings.crypto_core_ed25519_add(base, bytes.fromhex(LOW_ORDER[6]))

    signature = signature_with(mixed, 7, seed, b"message")

    assert not scheme.verify(scheme.signer(seed).public_key, b"message", signature)


def test_the_keyed_hash_has_the_same_functions_for_the_simulator() -> None:
    scheme = KeyedHash()
    alice, bob = scheme.signer(seed_of("alice")), scheme.signer(seed_of("bob"))
    signature = alice.sign(b"message")

    assert len(signature) == 64
    assert scheme.verify(alice.public_key, b"message", signature)
    assert not scheme.verify(bob.public_key, b"message", signature)
    assert not scheme.verify(alice.public_key, b"massage", signature)
    assert not scheme.verify(b"", b"message", signature)
    with pytest.raises(Fault, match=r"key\.unsafe"):
        scheme.check_public_key(b"short")


def test_schemes_have_names() -> None:
    assert scheme_named("ed25519").name == "ed25519"
    assert scheme_named("keyed-hash").name == "keyed-hash"
    with pytest.raises(Fault, match=r"key\.unknown-scheme"):
        scheme_named("rsa")
