"""A stage for hand-written PBFT schedules: who leads each view, and who hears whom.

Seats are called A, B, C (honest) and Z, z (the twins of validator 3).  A plan says for a kind of
message and a view who hears whom, as in `{"prepare 0": "A<BZ B<AC"}`, perhaps for one sequence
number alone, as in `{"prepare 0:2": "ABC"}`, or gives the groups of a whole view, as in
`{"view 1": "BCz"}`.  What no plan mentions, nobody hears, nor any bare certificate.  The plan holds
until `HEALED_MS`; decisions are not exchanged before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from consensus.interface import Message, Signed
from consensus.protocols.pbft import Pbft
from consensus.protocols.pbft_messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_node import Seat
from sim.plugin_step import Packet
from sim.plugins import EPOCH, PluginReport, PluginScenario, Script

NAMES = "ABCZz"
VALIDATORS = {"A": 0, "B": 1, "C": 2, "Z": 3, "z": 3}
KINDS: dict[str, type[Message]] = {
    "pre-prepare": PrePrepare,
    "prepare": Prepare,
    "commit": Commit,
    "view-change": ViewChange,
    "new-view": NewView,
}
HEALED_MS = 2_000
PAYLOAD, OTHER_PAYLOAD = b"\x11" * 32, b"\x22" * 32
Plan = dict[str, str]
FAST = (("timeout_ms", 40), ("timeout_max_ms", 640), ("retry_ms", 20), ("spacing_ms", 0))
"""Parameters with which many views pass in a second."""


def led(protocol: type[Pbft], leaders: str) -> type[Pbft]:
    """The protocol with these primaries in the first views."""

    class Led(protocol):  # type: ignore[valid-type, misc]
        def leader(self, slot: Slot) -> int:
            if slot[0] < len(leaders):
                return VALIDATORS[leaders[slot[0]]]
            return int(super().leader(slot))

    return Led


def parse_plan(plan: Plan) -> dict[tuple[type[Message], int, int], set[tuple[int, int]]]:
    """(kind, view, sequence or 0) -> pairs (sender, receiver) of seats."""
    pairs: dict[tuple[type[Message], int, int], set[tuple[int, int]]] = {}
    for where, who in plan.items():
        kind, place = where.split()
        view, _, sequence = place.partition(":")
        for word in who.split():
            receivers, _, senders = word.partition("<")
            heard = {(NAMES.index(s), NAMES.index(r)) for r in receivers for s in senders or word}
            for each in KINDS.values() if kind == "view" else (KINDS[kind],):
                pairs.setdefault((each, int(view), int(sequence or 0)), set()).update(heard)
    return pairs


class Stage(Script):
    """One payload, submitted to everyone, and a plan of who hears whom."""

    def __init__(
        self,
        protocol: type[Pbft],
        leaders: str,
        plan: Plan,
        scenario: PluginScenario | None = None,
        payloads: dict[str, tuple[bytes, ...]] | None = None,
    ) -> None:
        base = scenario or PluginScenario(protocol, twins=(3,), parameters=FAST)
        super().__init__(
            replace(
                base,
                protocol=led(protocol, leaders),
                payloads=0,
                payload_max=1,
                stable_ms=HEALED_MS,
                withhold=1_000,
            )
        )
        self._pairs = parse_plan(plan)
        self.allow = self._is_heard
        self.run_ms(5)
        for names, held in (payloads or {NAMES: (PAYLOAD,)}).items():
            for payload in held:
                self.submit(payload, *(NAMES.index(name) for name in names))

    def _is_heard(self, sender: int, receiver: int, packet: Packet) -> bool:
        if not isinstance(packet, Signed):
            return False
        kind, (*numbers, view) = type(packet.message), packet.message.statement()[1]
        return any(
            (sender, receiver) in self._pairs.get((kind, view, sequence), ())
            for sequence in (0, *numbers)
        )

    def seat(self, name: str) -> Seat:
        return self.seats[NAMES.index(name)]

    def plugin(self, name: str) -> Pbft:
        plugin = self.seat(name).plugin
        assert isinstance(plugin, Pbft)
        return plugin

    def until(self, condition: Callable[[], object]) -> None:
        """Go on until something holds; it does before the network heals."""
        left_ms = HEALED_MS - self.agenda.now_ms
        assert self.run_until(condition, limit_ms=left_ms), "the schedule did not come about"

    def until_view(self, view: int, names: str) -> None:
        """Go on until these seats have entered a view."""
        self.until(lambda: all(self.plugin(name).view >= view for name in names))

    def restart_seat(self, name: str) -> None:
        self.crash(NAMES.index(name))
        self.run_ms(10)
        self.restart(NAMES.index(name))

    def heal(self) -> PluginReport:
        """Play out the plan, then let everyone hear everything, to the end."""
        while self.agenda.now_ms < HEALED_MS and not self.oracles.violations:
            self.run_ms(50)
        self.allow = None
        return self.run()

    def value(self, slot: Slot, *, parent: bytes = b"", payload: bytes = OTHER_PAYLOAD) -> Value:
        """A value that validator 3 never proposed by itself."""
        return Value(EPOCH, parent, slot, 3, 1_234, (payload,))
