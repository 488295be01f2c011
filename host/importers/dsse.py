"""DSSE envelopes: a payload, and who signed it.

    signed bytes    "DSSEv1" SP len(type) SP type SP len(payload) SP payload, lengths in decimal

Source: the DSSE specification v1.0 (secure-systems-lab/dsse, protocol.md and envelope.md).  Keys
are Ed25519, as 64 hexadecimal digits or PEM, or ECDSA with SHA-256 as PEM, as cosign makes them.
What a key id says is not believed: every signature is tried with every key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.errors import UserError

KEY_BYTES = 32
PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Signer:
    """A public key whose word counts."""

    name: str
    """ed25519:<hex of the key>, or ecdsa:<SHA-256 of its SubjectPublicKeyInfo>."""
    key: PublicKey

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with at least one good signature."""

    payload_type: str
    payload: bytes
    signers: tuple[Signer, ...]
    """Those of the given keys that signed, in their order."""


def read_signer(text: str) -> Signer:
    """The key in 64 hexadecimal digits, or in a PEM file.  Raises UserError."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) == KEY_BYTES:
        return _named(Ed25519PublicKey.from_public_bytes(raw), text)
    path = Path(text)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = f"a public key is 64 hexadecimal digits or a PEM file; {text}: {error.strerror}"
        raise UserError(reason) from None
    try:
        return _named(serialization.load_pem_public_key(content), text)
    except (ValueError, UnsupportedAlgorithm):
        raise UserError(f"{path} holds no public key in PEM form") from None


def _named(key: object, text: str) -> Signer:
    if isinstance(key, Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return Signer(f"ed25519:{raw.hex()}", key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        raw = key.public_bytes(serialization.Encoding.DER, form)
        return Signer(f"ecdsa:{hashlib.sha256(raw).hexdigest()}", key)
    raise UserError(f"{text}: only Ed25519 and ECDSA keys are known here")


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what a signature is over."""
    kind = payload_type.encode(errors="surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def open_envelope(document: dict[str, Any], signers: Sequence[Signer], *, where: str) -> Envelope:
    """The envelope's payload, once one of the signers has signed it.

    Raises UserError where it is malformed, not signed, or signed by nobody of these.
    """
    payload_type, rows = document.get("payloadType"), document.get("signatures")
    payload = _decoded(document.get("payload"))
    if payload is None or not isinstance(payload_type, str) or not payload_type:
        raise UserError(f"{where}: this is no DSSE envelope (payload, payloadType, signatures)")
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{where}: nobody has signed this attestation; it proves nothing")
    signatures = [_decoded(row.get("sig")) if isinstance(row, dict) else None for row in rows]
    if any(signature is None for signature in signatures):
        raise UserError(f"{where}: a signature is not base64")
    message = signed_bytes(payload_type, payload)
    found = tuple(
        signer
        for signer in signers
        if any(signer.has_signed(message, signature or b"") for signature in signatures)
    )
    if not found:
        count = f"{len(signatures)} signature" + "s" * (len(signatures) != 1)
        raise UserError(f"{where}: refused: {count}, and none by a --signer over these bytes")
    return Envelope(payload_type, payload, found)


def _decoded(text: object) -> bytes | None:
    """Base64, standard or URL-safe as the specification allows; None where it is neither."""
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
