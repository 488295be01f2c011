"""What is under test: one plugin, and how hard it is tried."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.interface import Consensus
from ledger.validators import QuorumRule
from sim.plugin_drawing import LOCK_STEP_MS_MIN

HASTE = 25
"""By how much a hasty protocol's times are shorter."""
HASTY_MS_MIN = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """A plugin under test."""

    protocol: type[Consensus]
    depth: int = 1
    """Multiplies the number of drawn scenarios."""
    equivalent: tuple[str, ...] = ()
    """Mutants that its author says are no bugs."""

    @property
    def rule(self) -> QuorumRule:
        """The quorum of a network that runs it."""
        crash_only = self.protocol.fault_model == "crash"
        return QuorumRule.CRASH if crash_only else QuorumRule.BYZANTINE

    @property
    def withstands_liars(self) -> bool:
        return self.protocol.fault_model == "byzantine"

    @property
    def withstands_crashes(self) -> bool:
        """Whether it goes on while a validator stays down."""
        return self.protocol.fault_model != "none"

    @property
    def hasty(self) -> tuple[tuple[str, int], ...]:
        """Parameters whose times are so short that many slots pass in a second."""
        least_ms = LOCK_STEP_MS_MIN if self.protocol.lock_step else HASTY_MS_MIN
        return tuple(
            (name, max(least_ms, number // HASTE))
            for name, number in sorted(self.protocol.PARAMETERS.items())
            if name.endswith("_ms")
        )
