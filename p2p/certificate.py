"""Transport certificates: the self-signed X.509 certificate by which a node is known on its links.

One key has one certificate, byte for byte: Ed25519 signs without randomness (RFC 8032), and
name, serial number and dates are functions of the key.  The certificate is a leaf (CA:FALSE), or a
member could issue one for a stranger; it is valid from 1970 to the last second that X.509 can
name, so that no clock breaks a link.  Trust comes from the epoch record alone, which pins it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from ledger.errors import PeerFault

SEED_BYTES = 32
CERTIFICATE_BYTES_MAX = 1024
"""A certificate made here has under 400 bytes; a pinned record needs no larger one."""

_NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5: never expires
_SERIAL_BYTES = 16  # RFC 5280 §4.1.2.2 allows 20; 16 of a hash are as good as unique


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node shows on its links, and the key that proves it is entitled to."""

    certificate: bytes
    """The self-signed certificate, DER."""
    private_key_pem: bytes = field(repr=False)
    """The private key, PKCS #8 in PEM, unencrypted; never printed."""

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return x509.load_der_x509_certificate(self.certificate).public_bytes(Encoding.PEM)


def make_identity(seed: bytes) -> Identity:
    """The transport certificate and private key of a 32-byte Ed25519 seed."""
    assert len(seed) == SEED_BYTES
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    serial = int.from_bytes(sha256(public_key).digest()[:_SERIAL_BYTES], "big") | 1
    # Different keys must have different names: OpenSSL looks trust anchors up by subject.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, public_key.hex())])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .sign(key, algorithm=None)
    )
    private_key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(certificate.public_bytes(Encoding.DER), private_key_pem)


def public_key_of(certificate: bytes) -> bytes:
    """The 32-byte Ed25519 public key in a DER certificate of the kind made here.

    Raises PeerFault "certificate.malformed" for bytes that are no certificate, and
    "certificate.not-allowed" for another kind of key, a certificate authority, or one that its
    own key did not sign.
    """
    if len(certificate) > CERTIFICATE_BYTES_MAX:
        raise PeerFault("certificate.malformed", f"{len(certificate)} bytes")
    try:
        parsed = _parse(certificate)
        key = parsed.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise PeerFault("certificate.not-allowed", "not an Ed25519 key")
        is_authority = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        parsed.verify_directly_issued_by(parsed)
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension) as error:
        raise PeerFault("certificate.malformed", type(error).__name__) from error
    except (x509.ExtensionNotFound, UnsupportedAlgorithm, InvalidSignature) as error:
        raise PeerFault("certificate.not-allowed", type(error).__name__) from error
    if is_authority:
        raise PeerFault("certificate.not-allowed", "a certificate authority")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _parse(certificate: bytes) -> x509.Certificate:
    """Raises ValueError also for what the library merely warns of, such as a negative serial."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            return x509.load_der_x509_certificate(certificate)
        except CryptographyDeprecationWarning as warning:
            raise ValueError(str(warning)) from warning


def _key_usage() -> x509.KeyUsage:
    """Signing handshakes, and nothing else: not certificates, not key agreement."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
