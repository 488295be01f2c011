"""Every bound of a node's API, with the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass

TRANSACTIONS_MAX = 4_096
"""Transactions or ids of one request: as many as a batch holds."""
RECEIPTS_MAX = 256
"""Receipts of one request: a reader thread is busy for less than 100 ms."""
RECEIPTS_BYTES_MAX = 8 * 1024 * 1024
"""Of receipts in one answer; those beyond it are asked for again."""
JOINT_TRANSACTIONS_MAX = 256
"""Transactions of one joint receipt: each is read and hashed whole, some 300 ms together."""
BLOCKS_A_PAGE = 100
ROWS_A_PAGE = 1_000
"""Records or statements of one answer."""

SCANNED_MAX = 20_000
"""Transactions looked through for one page of statements: half a second of a reader thread."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What one client may ask of a node, and for how long."""

    body_bytes: int = 8 * 1024 * 1024
    """One request: 128 transactions of the largest kind."""
    bodies_bytes: int = 32 * 1024 * 1024
    """Of all requests that are arriving: what strangers can make a node hold."""
    body_deadline_s: float = 10
    """For a body to arrive in full: 8 MiB at 800 KiB/s."""
    wait_ms: int = 20_000
    """How long one request may wait for a confirmation: below the patience of common proxies."""
    streams: int = 64
    """Open streams of confirmed blocks; each reads every block."""
    stream_silence_s: float = 15
    """An idle stream says this often that it is alive."""
