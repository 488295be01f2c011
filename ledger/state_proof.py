"""The state proof: one file that shows, offline, an application's value or that there is none.

    file    "ledger state proof" || 0x00 || (version, application, key, path, value or nil,
            running hash, names, siblings, other leaf or nil, outcome leaf, path in the log,
            certificate, handovers)

The path is SHA-256(application || 0x00 || key), written out so that no changed byte of the key
makes another true proof.  `names` are the applications in the tree.  The other leaf, (path, SHA-256
of the value), stands only where the key is absent and another key's leaf is where it would be.  The
outcome leaf is the last one under the certificate.  What it proves is judged by `ledger.light`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger import encoding
from ledger.applications.interface import VALUE_BYTES_MAX
from ledger.block import LEAF_BYTES_MAX
from ledger.certified import NOTE_BYTES_MAX
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.limits import NAME_CHARS_MAX, RECEIPT_BYTES_MAX
from ledger.receipt import HANDOVERS_MAX, PATH_MAX, Handover, handover_shape, handovers_of
from ledger.state_tree import DEPTH_MAX, Path

DOMAIN = b"ledger state proof\x00"
VERSION = 1
SUFFIX = ".state-proof"
"""Name ending of a state proof's file."""
KEY_BYTES_MAX = 1_024
APPLICATIONS_MAX = 1_000

_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.text(NAME_CHARS_MAX, low=1),
    encoding.blob(KEY_BYTES_MAX),
    encoding.digest,
    encoding.optional(encoding.blob(VALUE_BYTES_MAX)),
    encoding.digest,
    encoding.array(encoding.text(NAME_CHARS_MAX, low=1), APPLICATIONS_MAX),
    encoding.array(encoding.digest, DEPTH_MAX),
    encoding.optional(encoding.row(encoding.digest, encoding.digest)),
    encoding.blob(LEAF_BYTES_MAX),
    encoding.array(encoding.digest, PATH_MAX),
    encoding.blob(NOTE_BYTES_MAX),
    encoding.array(handover_shape, HANDOVERS_MAX),
)


@dataclass(frozen=True, slots=True)
class StateProof:
    """A well-formed state proof; nothing in it is checked yet."""

    application: str
    key: bytes
    path: bytes
    """Where the tree holds the key."""
    value: bytes | None
    """None where the key is said to be absent."""
    running: bytes
    """Running state hash of the block."""
    names: tuple[str, ...]
    """Applications in the tree."""
    siblings: tuple[bytes, ...]
    other: tuple[bytes, bytes] | None
    """(path, SHA-256 of the value) of the leaf in the place of an absent key."""
    leaf: bytes
    """Encoded outcome leaf of the block."""
    log_path: tuple[bytes, ...]
    """Of the outcome leaf, the last one under the certificate."""
    certificate: bytes
    """Signed note."""
    handovers: tuple[Handover, ...] = ()

    def encode(self) -> bytes:
        """The one file of this proof."""
        return DOMAIN + encode(
            (
                VERSION,
                self.application,
                self.key,
                self.path,
                self.value,
                self.running,
                self.names,
                self.siblings,
                self.other,
                self.leaf,
                self.log_path,
                self.certificate,
                tuple(handover.row() for handover in self.handovers),
            )
        )

    def shown(self) -> Path:
        """The path in the tree, as it is checked."""
        if self.value is None:
            return Path(self.siblings, self.other)
        return Path(self.siblings, (self.path, sha256(self.value).digest()))


def is_state_proof(raw: bytes) -> bool:
    """Whether a file says that it is a state proof."""
    return raw.startswith(DOMAIN)


def parse_state_proof(raw: bytes) -> StateProof:
    """The proof in this file.  Raises DecodeFault for anything but the one way of writing it."""
    if not is_state_proof(raw):
        raise DecodeFault("state.malformed", "not a state proof")
    fields: Any = encoding.decode(
        raw[len(DOMAIN) :], _shape, size_max=RECEIPT_BYTES_MAX, what="state proof"
    )
    parts: Any = (*fields[1:-1], handovers_of(fields[-1]))
    proof = StateProof(*parts)
    if not proof.application.isascii():
        raise DecodeFault("state.application", "the name of an application is ASCII")
    if proof.value is not None and proof.other is not None:
        raise DecodeFault("state.end", "a value and the leaf of another key")
    return proof
