"""The checkpoint certificate: a quorum of validators signed one size and root of the log.

What is signed is the C2SP checkpoint (c2sp.org/tlog-checkpoint) of a block's end; the certificate
is a C2SP signed note (c2sp.org/signed-note) with one line per signature: key name = origin of the
network, type 0x01 for Ed25519, 0x06 for ML-DSA-44 (c2sp.org/tlog-cosignature, timestamp zero).  It
is written in one way only: exactly a quorum of lines in validator order.
Where a C2SP reader ignores unknown keys, this one refuses them, so that no byte of a certificate
can change unnoticed.  What else a certified log proves is told in `ledger.light`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger import note
from ledger.certificate import Verify, check_signers
from ledger.checkpoint import TIMESTAMP, Checkpoint, body, cosigned_message, parse_checkpoint
from ledger.errors import DecodeFault, ProofFault
from ledger.limits import ML_DSA_44_SIGNATURE_BYTES, SIGNATURE_BYTES, VALIDATORS_MAX
from ledger.validators import ValidatorSet

NOTE_BYTES_MAX = 1024 * 1024
"""More than 256 signature lines of the largest scheme under the longest origin take."""
_SIGNATURE_BYTES = {note.ED25519: SIGNATURE_BYTES, note.ML_DSA_44: ML_DSA_44_SIGNATURE_BYTES}
_PREFIX = {note.ED25519: b"", note.ML_DSA_44: TIMESTAMP}
"""By type of the key, what stands before the signature in its line of the note."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Size and RFC 9162 root of the log at the end of a block."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class CheckpointCertificate:
    """A quorum's signatures over one tree head; the log is never empty."""

    size: int
    """Leaves in the log, at least 1."""
    root: bytes
    signatures: tuple[tuple[int, bytes], ...]
    """(validator index, signature), ascending, exactly a quorum."""

    @property
    def head(self) -> TreeHead:
        """What was signed, without the origin."""
        return TreeHead(self.size, self.root)

    def note(self, origin: str, validators: ValidatorSet) -> bytes:
        """The one way in which this certificate is written: a C2SP signed note."""
        assert self.size >= 1, "an empty log is never certified"
        check_signers([index for index, _ in self.signatures], validators, validators.quorum)
        lines = [
            _line(origin, validators.checkpoint_key(index), signature)
            for index, signature in self.signatures
        ]
        return note.make_note(body(origin, self.size, self.root), lines)

    def check(self, origin: str, validators: ValidatorSet, verify: Verify) -> None:
        """Raise ProofFault unless exactly a quorum of these validators signed this tree head."""
        if self.size < 1:
            raise ProofFault("checkpoint.size", "an empty log is never certified")
        check_signers([index for index, _ in self.signatures], validators, validators.quorum)
        for index, signature in self.signatures:
            key = validators.checkpoint_key(index)
            message = checkpoint_message(key, origin, self.size, self.root)
            if not verify(key, message, signature):
                raise ProofFault("checkpoint.signature", f"validator {index}", culprit=index)


def checkpoint_message(key: bytes, origin: str, size: int, root: bytes) -> bytes:
    """What the validator with this key signs for a state of the log, as C2SP has it for its kind:
    the text of the checkpoint (Ed25519) or the message of a cosignature (ML-DSA-44)."""
    if note.type_of(key) == note.ED25519:
        return body(origin, size, root)
    return cosigned_message(origin, size, root)


def parse_certificate(raw: bytes, origin: str, validators: ValidatorSet) -> CheckpointCertificate:
    """The certificate that this note carries; its signatures are not checked yet.

    Raises DecodeFault or ProofFault for anything but the one way of writing it.
    """
    stated, lines = _open(raw, origin)
    by_id = {
        note.key_id_of(origin, member.checkpoint_key): index
        for index, member in enumerate(validators.members)
    }
    signatures = []
    for name, key_id, signature in lines:
        if name != origin or key_id not in by_id:
            raise ProofFault("certificate.signer", "a signature of no validator of this epoch")
        index = by_id[key_id]
        kind = note.type_of(validators.checkpoint_key(index))
        prefix = _PREFIX[kind]
        if len(signature) != len(prefix) + _SIGNATURE_BYTES[kind]:
            raise DecodeFault("checkpoint.note", f"a signature has {len(signature)} bytes")
        # That the prefix is the right one shows where the whole is written again below.
        signatures.append((index, signature[len(prefix) :]))
    check_signers([index for index, _ in signatures], validators, validators.quorum)
    certificate = CheckpointCertificate(stated.size, stated.root, tuple(signatures))
    if certificate.note(origin, validators) != raw:
        raise DecodeFault("checkpoint.note", "not written in the one way")
    return certificate


def stated_head(raw: bytes, origin: str) -> TreeHead:
    """The tree head that a note states, whoever signed it.  Raises DecodeFault or ProofFault."""
    stated, _ = _open(raw, origin)
    return TreeHead(stated.size, stated.root)


def _open(raw: bytes, origin: str) -> tuple[Checkpoint, list[note.Signature]]:
    if len(raw) > NOTE_BYTES_MAX:
        raise DecodeFault("checkpoint.note", f"{len(raw)} bytes, {NOTE_BYTES_MAX} allowed")
    text, lines = note.open_note(raw, signatures_max=VALIDATORS_MAX)
    stated = parse_checkpoint(text)
    if stated.origin != origin:
        raise ProofFault("checkpoint.origin", "the checkpoint is of another network")
    if stated.size < 1:
        raise DecodeFault("checkpoint.size", "an empty log is never certified")
    return stated, lines


def _line(origin: str, key: bytes, signature: bytes) -> note.Signature:
    kind = note.type_of(key)
    return note.Signature(origin, note.key_id(origin, kind, key), _PREFIX[kind] + signature)
