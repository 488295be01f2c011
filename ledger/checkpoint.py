"""The checkpoint: size and root of the log, in the text that C2SP tlog-checkpoint defines.

Three lines, the origin, the size in decimal and the root in base64.  Extension lines are refused:
no monitor of the log could check them.  The text is signed as a note, see `ledger.note`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from ledger.errors import DecodeFault
from ledger.limits import INTEGER_MAX
from ledger.merkle import EMPTY_ROOT, HASH_BYTES
from ledger.note import decode_base64

COSIGNATURE_LABEL = b"subtree/v1\n\x00"
TIMESTAMP = bytes(8)
"""Of a cosignature: none."""
_SIZE = re.compile(rb"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of one log."""

    origin: str
    """Unique name of the log."""
    size: int
    """Leaves in the log."""
    root: bytes
    """Root of the Merkle tree over them, 32 bytes."""

    def text(self) -> bytes:
        """The text to sign."""
        return body(self.origin, self.size, self.root)


def body(origin: str, size: int, root: bytes) -> bytes:
    """The text that is signed for this state of the log, with its last newline."""
    assert origin
    assert not _CONTROL.search(origin)
    assert 0 <= size <= INTEGER_MAX
    assert len(root) == HASH_BYTES
    assert size > 0 or root == EMPTY_ROOT
    return b"%b\n%d\n%b\n" % (origin.encode(), size, b64encode(root))


def cosigned_message(origin: str, size: int, root: bytes) -> bytes:
    """What an ML-DSA-44 key signs for this state of the log (C2SP tlog-cosignature v1).

    The cosigner's name is the origin: validators sign as the log that they make together.  The
    timestamp is zero: no statement that a longer log is unknown, which consensus alone can make.
    """
    assert 0 <= size <= INTEGER_MAX
    assert len(root) == HASH_BYTES
    name = origin.encode()
    assert 1 <= len(name) <= 255
    opaque = bytes([len(name)]) + name
    numbers = bytes(8) + size.to_bytes(8, "big")
    return COSIGNATURE_LABEL + opaque + TIMESTAMP + opaque + numbers + root


def parse_checkpoint(text: bytes) -> Checkpoint:
    """The checkpoint that this text states, written in the one way that `text` writes it.

    Raises DecodeFault with checkpoint.lines, checkpoint.origin, checkpoint.size or
    checkpoint.root.
    """
    lines = text.split(b"\n")
    if len(lines) != 4 or lines[3]:
        raise DecodeFault("checkpoint.lines", "a checkpoint has three lines: origin, size, root")
    origin = _parse_origin(lines[0])
    if _SIZE.fullmatch(lines[1]) is None or int(lines[1]) > INTEGER_MAX:
        raise DecodeFault("checkpoint.size", "not a decimal number of leaves below 2^63")
    size = int(lines[1])
    root = decode_base64(lines[2], reason="checkpoint.root")
    if len(root) != HASH_BYTES:
        raise DecodeFault("checkpoint.root", f"a root has {HASH_BYTES} bytes, not {len(root)}")
    if size == 0 and root != EMPTY_ROOT:
        raise DecodeFault("checkpoint.root", "the empty log has another root")
    checkpoint = Checkpoint(origin, size, root)
    assert checkpoint.text() == text
    return checkpoint


def _parse_origin(line: bytes) -> str:
    try:
        origin = line.decode()
    except UnicodeDecodeError as error:
        raise DecodeFault("checkpoint.origin", "an origin is valid UTF-8") from error
    if not origin or _CONTROL.search(origin):
        raise DecodeFault("checkpoint.origin", "an origin is not empty, without control character")
    return origin
