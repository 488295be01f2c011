"""What a member signs to read or write a content store: one content, one act, for a short time.

    access    "ledger content" || 0x00 || (version, network id, act, SHA-256, expires at, in ms)

Whoever overhears it can do the same again until it expires, which gives them nothing: the content
is named by its digest.  Over plain HTTP they could read what is read.
"""

from __future__ import annotations

from ledger.encoding import encode

VERSION = 1
DOMAIN = b"ledger content\x00"
GET, PUT = "get", "put"
ACCESS_MS_MAX = 5 * 60 * 1_000
"""How far ahead a signature may expire: clocks differ, requests are slow."""


def access_bytes(network: bytes, act: str, digest: bytes, expires_ms: int) -> bytes:
    """The message that the member signs."""
    return DOMAIN + encode((VERSION, network, act, digest, expires_ms))
