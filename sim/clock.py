"""A clock on the wall that may be wrong, step, and run too fast or too slow.

Timers never see it: they run by a monotonic clock of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

EPOCH_MS = 1_700_000_000_000
"""What right clocks show when a world begins."""


@dataclass(slots=True)
class WallClock:
    """One node's clock."""

    skew_ms: int = 0
    """By how much it is wrong, apart from what it drifts."""
    drift: int = 0
    """Milliseconds that it gains in a second; negative where it loses them."""
    _drifts_from_ms: int = 0

    def shows_ms(self, now_ms: int) -> int:
        """What it shows at this virtual time, in milliseconds since 1970."""
        gained_ms = (now_ms - self._drifts_from_ms) * self.drift // 1_000 if self.drift else 0
        return EPOCH_MS + now_ms + self.skew_ms + gained_ms

    def step(self, amount_ms: int) -> None:
        """Somebody moves its hands."""
        self.skew_ms += amount_ms

    def run_at(self, drift: int, now_ms: int) -> None:
        """From now on it gains this many milliseconds in a second."""
        self.drift, self._drifts_from_ms = drift, now_ms

    def set_right(self) -> None:
        """It shows the right time again, and keeps it."""
        self.skew_ms = self.drift = 0
