from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from ledger.errors import PeerFault
from p2p.certificate import make_identity, public_key_of

SEED = bytes(range(32))
IDENTITY = make_identity(SEED)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])


def build(
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool | None = False,
    signer: Ed25519PrivateKey | None = None,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
    )
    if is_authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(signer or key, algorithm).public_bytes(Encoding.DER)


def test_one_seed_has_one_certificate() -> None:
    assert make_identity(SEED) == IDENTITY
    assert make_identity(bytes(32)).certificate != IDENTITY.certificate


def test_it_is_a_leaf_that_signs_handshakes_for_ever() -> None:
    certificate = x509.load_der_x509_certificate(IDENTITY.certificate)

    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert certificate.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert certificate.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert certificate.subject == certificate.issuer


def test_its_public_key_is_the_seeds() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED).public_key()

    expected = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert public_key_of(IDENTITY.certificate) == expected


def test_the_private_key_is_never_printed() -> None:
    assert "PRIVATE" not in repr(IDENTITY)
    assert repr(IDENTITY.private_key_pem) not in repr(IDENTITY)


def test_every_truncation_and_every_flipped_bit_is_refused() -> None:
    data = IDENTITY.certificate
    for size in range(len(data)):
        with pytest.raises(PeerFault, match="certificate"):
            public_key_of(data[:size])
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PeerFault, match="certificate"):
            public_key_of(bytes(flipped))


@pytest.mark.parametrize(
    "certificate",
    [
        build(ec.generate_private_key(ec.SECP256R1())),
        build(Ed25519PrivateKey.from_private_bytes(SEED), is_authority=True),
        build(Ed25519PrivateKey.from_private_bytes(SEED), is_authority=None),
        build(
            Ed25519PrivateKey.from_private_bytes(SEED),
            signer=Ed25519PrivateKey.from_private_bytes(bytes(32)),
        ),
    ],
    ids=["another kind of key", "an authority", "no constraints", "signed by another"],
)
def test_other_certificates_are_not_allowed(certificate: bytes) -> None:
    with pytest.raises(PeerFault, match=r"certificate\.not-allowed"):
        public_key_of(certificate)


def test_an_over_long_certificate_is_not_even_parsed() -> None:
    with pytest.raises(PeerFault, match=r"certificate\.malformed"):
        public_key_of(IDENTITY.certificate + bytes(1024))
