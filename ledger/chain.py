"""The chain: block headers built from the decided sequence of values, never proposed.

A decided value without payload makes no block, so an idle ledger does not grow.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.block import NO_BLOCK, BlockHeader
from ledger.value import Value


@dataclass(frozen=True, slots=True)
class Tip:
    """The last block that the decided sequence has led to."""

    height: int
    hash: bytes
    timestamp_ms: int


GENESIS_TIP = Tip(0, NO_BLOCK, 0)


def next_header(network: bytes, tip: Tip, value: Value) -> BlockHeader | None:
    """The block that a decided value makes on top of tip; None for a value without payload."""
    if not value.payload:
        return None
    return BlockHeader(
        network=network,
        epoch=value.epoch,
        height=tip.height + 1,
        previous_hash=tip.hash,
        value=value.digest,
        slot=value.slot,
        proposer=value.proposer,
        timestamp_ms=max(tip.timestamp_ms + 1, value.timestamp_ms),
        payload=value.payload,
    )


def tip_of(header: BlockHeader) -> Tip:
    return Tip(header.height, header.hash, header.timestamp_ms)
