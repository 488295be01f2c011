"""Scheduled leaders: a protocol whose first rounds are led by whom a plan says."""

from __future__ import annotations

from consensus.interface import Consensus
from ledger.statement import Slot
from sim.plugin_scenario import Round


def led_by(protocol: type[Consensus], rounds: tuple[Round, ...]) -> type[Consensus]:
    """The protocol with these leaders, where it has leaders and the plan names any."""
    leaders = tuple(each.leader for each in rounds)
    has_leaders = protocol.leader is not Consensus.leader
    if not has_leaders or all(leader is None for leader in leaders):
        return protocol

    class Led(protocol):  # type: ignore[misc, valid-type]
        def leader(self, slot: Slot) -> int | None:
            number = sum(slot) - 1
            planned = leaders[number] if 0 <= number < len(leaders) else None
            return super().leader(slot) if planned is None else planned

    Led.__name__ = Led.__qualname__ = protocol.__name__
    led: type[Consensus] = Led
    return led
