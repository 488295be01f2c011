"""Signed notes and verifier keys, as C2SP signed-note v1 writes them.

A note is a text, a blank line, and one line for each signature of that text:

    <text, any lines, ends in a newline>

    — <key name> <base64 of the 4-byte key id and the signature>

This module reads strictly and writes; whether a signature is right is asked of a callable, so that
no signature library is needed here.  What the text says is not its business: see
`ledger.checkpoint`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.limits import ML_DSA_44_KEY_BYTES, PUBLIC_KEY_BYTES, VALIDATORS_MAX

ED25519 = 0x01
"""Signature type: Ed25519 (RFC 8032) over the text itself."""
ML_DSA_44 = 0x06
"""Signature type: ML-DSA-44 (FIPS 204) cosignature with a timestamp, C2SP tlog-cosignature v1."""
KEY_BYTES = {ED25519: PUBLIC_KEY_BYTES, ML_DSA_44: ML_DSA_44_KEY_BYTES}
"""By type, what tells them apart: how long a public key is."""
KEY_ID_BYTES = 4
SIGNATURES_MAX = 2 * VALIDATORS_MAX
"""A certificate of every validator, and as many witnesses; C2SP asks for at least 16."""

Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""verify(public_key, message, signature): whether the signature is right."""

_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_DASH = "— ".encode()
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")


class Signature(NamedTuple):
    """One signature line of a note."""

    name: str
    """Key name: not empty, without Unicode spaces and plus signs."""
    key_id: bytes
    """Four bytes which, together with the name, say which key and which algorithm."""
    signature: bytes
    """What the algorithm gave; 64 bytes for Ed25519, a timestamp and 2,420 for ML-DSA-44."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key by the name and for the algorithm under which it signs notes."""

    name: str
    signature_type: int
    """One byte assigned by C2SP signed-note, Signature types."""
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.signature_type, self.public_key)

    def encode(self) -> str:
        """The vkey: name, key id and type with public key, joined by plus signs."""
        key = b64encode(bytes((self.signature_type,)) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{key.decode()}"


def key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || type || public key)."""
    encoded = b"%b\n%c%b" % (name.encode(), signature_type, public_key)
    return sha256(encoded).digest()[:KEY_ID_BYTES]


def type_of(public_key: bytes) -> int:
    """The signature type under which a validator with this key signs the log."""
    return ML_DSA_44 if len(public_key) == ML_DSA_44_KEY_BYTES else ED25519


def key_id_of(name: str, public_key: bytes) -> bytes:
    """`key_id` of a validator's key."""
    return key_id(name, type_of(public_key), public_key)


def check_name(name: str) -> None:
    """Raise Fault("note.name") unless a key may bear this name in a note."""
    if "+" in name or name.split() != [name]:
        raise Fault("note.name", "a key name is not empty and has no space and no plus sign")
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise Fault("note.name", "a key name is valid UTF-8") from error
    if _CONTROL.search(encoded):
        raise Fault("note.name", "a key name has no control character")


def parse_vkey(text: str) -> VerifierKey:
    """The key that this vkey stands for, written in the one way that `encode` writes.

    Accepts every signature type whose key id is made as C2SP recommends; whoever uses the key
    decides which types it trusts.  Raises DecodeFault("note.vkey"), DecodeFault("note.key-id") or
    Fault("note.name").
    """
    matched = _VKEY.fullmatch(text)
    if matched is None:
        raise DecodeFault("note.vkey", "a verifier key is <name>+<8 hex digits>+<base64>")
    name, written_id, encoded = matched.groups()
    check_name(name)
    data = decode_base64(encoded.encode(), reason="note.vkey")
    key = VerifierKey(name, data[0], data[1:])
    wanted = KEY_BYTES.get(key.signature_type, len(key.public_key))
    if len(key.public_key) != wanted:
        raise DecodeFault("note.vkey", f"a key of this type has {wanted:,} bytes")
    if key.key_id.hex() != written_id:
        raise DecodeFault("note.key-id", "the key id does not belong to this name and key")
    return key


def signature_line(name: str, key: bytes, signature: bytes) -> bytes:
    """The line, with its newline, that carries a signature by the key with this name and id."""
    assert len(key) == KEY_ID_BYTES
    assert signature
    return b"%b%b %b\n" % (_DASH, name.encode(), b64encode(key + signature))


def make_note(text: bytes, signatures: Sequence[Signature]) -> bytes:
    """The note of a text and its signatures, which `open_note` takes apart again.

    Raises DecodeFault if they cannot stand in a note, such as a text that ends in no newline.
    """
    made = b"%b\n%b" % (text, b"".join(signature_line(*signature) for signature in signatures))
    if open_note(made, signatures_max=len(signatures)) != (text, list(signatures)):
        raise DecodeFault("note.text", "text and signatures cannot be told apart")
    return made


def open_note(raw: bytes, *, signatures_max: int = SIGNATURES_MAX) -> tuple[bytes, list[Signature]]:
    """Text, with its last newline, and signatures of a note, none of which is checked yet.

    Reads what C2SP signed-note, Format, defines and nothing else; of the several base64 forms of
    one signature only the canonical one.  Raises DecodeFault with note.text, note.signature,
    note.base64 or note.count.
    """
    _check_text(raw)
    blank = raw.rfind(b"\n\n")
    if blank < 0:
        raise DecodeFault("note.text", "no blank line before the signatures")
    text, block = raw[: blank + 1], raw[blank + 2 :]
    if block.count(b"\n") > signatures_max:
        raise DecodeFault("note.count", f"more than {signatures_max} signatures")
    return text, [_parse_line(line) for line in block[:-1].split(b"\n")]


def _check_text(raw: bytes) -> None:
    if not raw.endswith(b"\n"):
        raise DecodeFault("note.text", "a note ends in a newline")
    if _CONTROL.search(raw):
        raise DecodeFault("note.text", "a note has no control character but newline")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeFault("note.text", "a note is valid UTF-8") from error


def _parse_line(line: bytes) -> Signature:
    if not line.startswith(_DASH):
        raise DecodeFault("note.signature", "not a line of dash, key name and signature")
    name, _, encoded = line.removeprefix(_DASH).partition(b" ")
    try:
        check_name(name.decode())
    except Fault as fault:
        raise DecodeFault("note.signature", fault.detail) from fault
    data = decode_base64(encoded, reason="note.base64")
    if len(data) <= KEY_ID_BYTES:
        raise DecodeFault("note.signature", "a signature follows the key id")
    return Signature(name.decode(), data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def decode_base64(data: bytes, *, reason: str) -> bytes:
    """What this canonical standard base64 stands for.  Raises DecodeFault with the reason code.

    The library skips foreign characters and lets the unused bits of the last one be anything;
    re-encoding sees to it that no two texts carry the same bytes.
    """
    try:
        decoded = b64decode(data)
    except Base64Error as error:
        raise DecodeFault(reason, "not standard base64") from error
    if b64encode(decoded) != data:
        raise DecodeFault(reason, "not the canonical base64 of these bytes")
    return decoded


def check_signatures(
    text: bytes, signatures: Sequence[Signature], keys: Sequence[VerifierKey], verify: Verify
) -> list[VerifierKey]:
    """Those of the known Ed25519 keys that signed the text, each once, in the order of `keys`.

    C2SP signed-note, Signatures: signatures of unknown keys are ignored; a wrong one by a known
    key, or none by any, is the end of the note.  Raises ProofFault with note.signature or
    note.unsigned, and Fault("note.keys") if two keys share name and id or one is not Ed25519.
    """
    known = {(key.name, key.key_id): key for key in keys}
    if len(known) != len(keys):
        raise Fault("note.keys", "two known keys share a name and a key id")
    if any(key.signature_type != ED25519 for key in keys):
        raise Fault("note.keys", "only Ed25519 signatures over the text can be checked")
    signers = []
    for name, signer_id, signature in signatures:
        key = known.get((name, signer_id))
        if key is None:
            continue
        if not verify(key.public_key, text, signature):
            raise ProofFault("note.signature", f"wrong signature by {name}", culprit=key)
        signers.append(key)
    if not signers:
        raise ProofFault("note.unsigned", "no known key signed the note")
    return [key for key in keys if key in signers]
