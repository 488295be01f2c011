"""Virtual time: what is due when, and in a seeded order among equals.

Time stands still while an action runs, and leaps to the next one.  Whatever is due in the same
microsecond happens in an order drawn from the seed, so that no run leans on the order in which it
was planned.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

MS = 1_000
"""Microseconds in a millisecond."""
_ORDINAL_BITS = 40


class Agenda:
    """The clock of a world, and everything that is still to happen in it."""

    def __init__(self, draw: Random) -> None:
        self.now_us = 0
        self._bits = draw.getrandbits
        self._planned = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    @property
    def now_ms(self) -> int:
        return self.now_us // MS

    @property
    def next_us(self) -> int:
        """When the next thing happens, of those that are planned."""
        return self._heap[0][0]

    def keep_order(self) -> None:
        """From now on let what is due at once happen in the order in which it was planned."""
        self._bits = _no_bits

    def after(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Plan to call the action once delay_us from now."""
        self.at(self.now_us + delay_us, action, *arguments)

    def at(self, time_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Plan to call the action at a time that has not passed."""
        assert time_us >= self.now_us
        planned = self._planned = self._planned + 1
        # The ordinal makes every key differ, so that actions themselves are never compared.
        tie = self._bits(20) << _ORDINAL_BITS | planned
        heappush(self._heap, (time_us, tie, action, arguments))

    def run_until(self, time_us: int) -> None:
        """Do everything that is due up to and including this time, then stand at it."""
        heap = self._heap
        while heap and heap[0][0] <= time_us:
            self.now_us, _, action, arguments = heappop(heap)
            action(*arguments)
        self.now_us = time_us

    def __len__(self) -> int:
        """How much is planned, void plans included."""
        return len(self._heap)


def _no_bits(_count: int, /) -> int:
    return 0
