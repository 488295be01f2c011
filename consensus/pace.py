"""How soon a small block follows the last, and when a batch comes just in time for it.

A block costs every node several milliseconds however small it is, and blocks made faster than that
only queue behind each other.  So after a decision a small one rests for a multiple of the time that
the last took.  A batch made earlier than the next block needs it would leave out the transactions
that come meanwhile.
"""

from __future__ import annotations

from ledger.statement import Slot
from ledger.value import Value

REST_SHARE = 4
"""Times as long as a block took does the next one rest: what is left over serves the clients."""
REST_MS_MAX = 25
"""However long a block takes: it may be far away validators that take their time, not work."""
LEAD_MS = 9
"""By how much a batch is made before the next block: to be sent, checked and kept by its leader."""
LONE_MS = 2
"""How long a lone transaction waits for company."""


class Pace:
    """The pace of one node's small blocks, by its own clock."""

    def __init__(self) -> None:
        self._begun: dict[bytes, tuple[Slot, int]] = {}
        """Values that are judged: their slots, and when they came (monotonic ms)."""
        self._rests_until_ms = 0

    def begins(self, value: Value, now_ms: int) -> None:
        """A value came to be judged."""
        if value.payload:
            self._begun.setdefault(value.digest, (value.slot, now_ms))

    def decides(self, value: Value, now_ms: int) -> None:
        """A value is decided."""
        if value.payload:
            _, begun_ms = self._begun.get(value.digest, (value.slot, now_ms))
            self._rests_until_ms = now_ms + min(REST_SHARE * (now_ms - begun_ms), REST_MS_MAX)
        for digest, (slot, _) in list(self._begun.items()):
            if slot <= value.slot:
                del self._begun[digest]

    def rest_ms(self, now_ms: int) -> int:
        """How long the next small block still waits; 0 where it need not."""
        return max(0, self._rests_until_ms - now_ms)

    def batch_delay_ms(self, now_ms: int) -> int:
        """How long a batch waits for more transactions while none of its node is on its way."""
        return max(LONE_MS, self.rest_ms(now_ms) - LEAD_MS)
