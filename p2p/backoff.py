"""How long to wait before trying a peer again.  Pure: the jitter is a hash, not a dice roll."""

from __future__ import annotations

from hashlib import sha256


class Backoff:
    """Waits that double up to a bound, spread so that nodes do not knock in step."""

    def __init__(self, salt: bytes, *, first_ms: int, last_ms: int) -> None:
        """`salt` differs between pairs of nodes; waits lie in [bound/2, bound] of each try."""
        assert 0 < first_ms <= last_ms
        self._salt = salt
        self._first_ms = first_ms
        self._last_ms = last_ms
        self._tries = 0

    def next_ms(self) -> int:
        """The wait before the next try."""
        # 30 doublings exceed any bound; without the limit the shift would grow for ever.
        bound_ms = min(self._last_ms, self._first_ms << min(self._tries, 30))
        dice = sha256(self._salt + self._tries.to_bytes(8, "big")).digest()
        self._tries += 1
        half_ms = bound_ms // 2
        return bound_ms - int.from_bytes(dice[:8], "big") % (half_ms + 1)

    def reset(self) -> None:
        """The peer proved stable: begin with short waits again."""
        self._tries = 0
