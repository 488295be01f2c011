"""Looking for saturation: the highest rate that a network carries within a latency objective.

Peak throughput and unloaded latency come from different runs and say little together.  Here a rate
counts if, offered open-loop, nearly all of it is confirmed at all nodes and the 99th percentile
keeps the objective.  Rates double until one does not, then the gap between the best that did and
the worst that did not is halved, on a scale of ratios.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.samples import Measurement
from benchmarks.metrics import NoData

CONFIRMED = 0.99
"""Share of what was offered that must be confirmed."""
CARRIED = 0.9
"""Share of the arrival rate that throughput must reach: queues that only grow are no service."""
CLOSE = 1.08
"""Bounds this near to each other are near enough."""


@dataclass(slots=True)
class Search:
    """Which rate to try next, and what is known."""

    first: float
    steps: int
    objective_ms: float
    carried: float = 0.0
    """The highest rate that kept the objective; 0: none did."""
    refused: float = math.inf
    """The lowest rate that did not."""
    tried: int = field(default=0)

    def next_rate(self) -> float | None:
        """The next rate to offer; None where enough is known."""
        if self.tried >= self.steps or self.refused / max(self.carried, 1e-9) < CLOSE:
            return None
        if not self.tried:
            return self.first
        if math.isinf(self.refused):
            return round(2 * self.carried, 1)
        if not self.carried:
            return round(self.refused / 2, 1)
        return round(math.sqrt(self.carried * self.refused), 1)

    def tell(self, rate: float, figures: dict[str, Any] | None) -> bool:
        """What a rate led to, None where nothing was confirmed; whether it kept the objective."""
        self.tried += 1
        kept = (
            figures is not None
            and figures["latency_p99_ms"] <= self.objective_ms
            and figures["confirmed_share"] >= CONFIRMED
            and figures["confirmed_per_s"] >= CARRIED * figures["offered_per_s"]
        )
        if kept:
            self.carried = max(self.carried, rate)
        else:
            self.refused = min(self.refused, rate)
        return kept


async def seek(
    search: Search,
    name: str,
    offer: Callable[[float, int], Awaitable[Measurement]],
    keep: Callable[[Measurement], dict[str, Any]],
    level: Callable[[], Awaitable[bool]],
) -> None:
    """Offer rates to one network until enough is known; `level` waits for it after each.

    That no rate keeps the objective is a result like another.  Raises NoData where nothing was
    confirmed at any rate.
    """
    is_known = False
    while (rate := search.next_rate()) is not None:
        measured = await offer(rate, search.tried)
        try:
            search.tell(rate, keep(measured))
            is_known = True
        except NoData:
            search.tell(rate, None)
        if not await level():
            # It still works off what was too much: the next figures would be of that.
            break
    if not is_known:
        raise NoData(f"{name}: nothing was confirmed at any rate")
