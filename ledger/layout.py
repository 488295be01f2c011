"""Where everything lives in a node's database: one byte names the kind, the rest orders it.

META      name                       see the names below
TILE      level, index               hashes of the log, 256 a tile (C2SP tlog-tiles)
BLOCK     height                     (first leaf index, (leaf, ...))
HEADER    height                     the block header
TX        transaction id             (height, leaf offset, batch ordinal, place in the batch)
BATCH     digest                     creator's signature, then the batch, or the head of a large one
PART      digest, number             transactions of a large batch (ledger/batch_store.py)
AGED      made at height, digest     empty: which unordered batches to drop, and when
CERT      height                     the certificate: a C2SP signed note
SIGNED    phase, slot                own signed statement and its message, until settled
DECIDED   ordinal                    decision with its proof, until certified
EVIDENCE  01, validator, phase, slot  two values that the validator signed there
EVIDENCE  02, SHA-256 of the piece   two certificates that contradict each other
STATE     application, its key       what executing led to
NONCE     sender (short), nonce      empty: used inside the replay window
TREE      depth, prefix of the path  node of the authenticated tree over applications' keys
UNDO      height                     what the block changed of that tree: ((key, value before), ...)
"""

from __future__ import annotations

from ledger.keys import short_key

META = b"\x01"
TILE = b"\x02"
BLOCK = b"\x03"
TX = b"\x04"
BATCH = b"\x05"
AGED = b"\x06"
CERT = b"\x07"
SIGNED = b"\x08"
DECIDED = b"\x09"
STATE = b"\x10"
NONCE = b"\x11"
HEADER = b"\x12"
EVIDENCE = b"\x13"
TREE = b"\x14"
UNDO = b"\x15"
PART = b"\x16"

GENESIS = META + b"genesis"
"""The genesis in canonical form."""
EXECUTED = META + b"executed"
"""Encoded ledger.execution.Head: everything the next execution builds on."""
CERTIFIED = META + b"certified"
"""Height of the highest certified block, 8 bytes."""
DECISION_HEAD = META + b"decided"
"""(ordinal, height, block hash, timestamp, value digest, slot) of the last decided value."""
PLUGIN = META + b"plugin"
"""The plugin's own record."""
SEQUENCES = META + b"sequences"
"""Batch sequence numbers below this one (8 bytes) may have been used."""
FLOORS = META + b"floors"
"""Settled floors by phase."""


def height_key(kind: bytes, height: int) -> bytes:
    return kind + height.to_bytes(8, "big")


def tile_key(level: int, index: int) -> bytes:
    return TILE + bytes([level]) + index.to_bytes(8, "big")


def aged_key(height: int, digest: bytes) -> bytes:
    return AGED + height.to_bytes(8, "big") + digest


def part_key(digest: bytes, number: int) -> bytes:
    return PART + digest + number.to_bytes(4, "big")


def nonces_of(sender: bytes) -> bytes:
    """What the keys of a sender's nonces begin with."""
    return NONCE + short_key(sender)


def nonce_key(sender: bytes, nonce: int) -> bytes:
    return nonces_of(sender) + nonce.to_bytes(8, "big")


def state_key(application: str, key: bytes) -> bytes:
    return STATE + application.encode("ascii") + b"\x00" + key


def tree_key(depth: int, prefix: int) -> bytes:
    """Of the node whose subtree holds the paths with this prefix of `depth` bits."""
    return TREE + depth.to_bytes(2, "big") + prefix.to_bytes((depth + 7) // 8, "big")


def signed_key(phase: str, slot: tuple[int, ...]) -> bytes:
    return SIGNED + _place(phase, slot)


def equivocation_key(validator: int, phase: str, slot: tuple[int, ...]) -> bytes:
    return EVIDENCE + bytes([1, validator]) + _place(phase, slot)


def fork_key(digest: bytes) -> bytes:
    return EVIDENCE + b"\x02" + digest


def _place(phase: str, slot: tuple[int, ...]) -> bytes:
    return phase.encode() + b"\x00" + b"".join(part.to_bytes(8, "big") for part in slot)
