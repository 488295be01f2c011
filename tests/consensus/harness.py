"""A stage for hand-written Tendermint schedules: who leads each round, and who hears whom.

Seats are called A, B, C (honest) and Z, z (the twins of validator 3).  A plan says for a phase of a
round who hears whom, as in `{"prevote 0": "A<BZ B<AC"}`, or gives the groups of a whole round, as
in `{"round 1": "BCz"}`.  What no plan mentions, nobody hears, nor any bare certificate.  The plan
holds for the first instance until `HEALED_MS`; decisions are not exchanged before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from consensus.interface import Signed
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PRECOMMIT, PREVOTE, PROPOSAL, Proposal
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_node import Seat
from sim.plugin_step import Packet
from sim.plugins import EPOCH, PluginReport, PluginScenario, Script
from sim.record_plugins import PluginRecorder

NAMES = "ABCZz"
VALIDATORS = {"A": 0, "B": 1, "C": 2, "Z": 3, "z": 3}
PHASES = (PROPOSAL, PREVOTE, PRECOMMIT)
HEALED_MS = 15_000
PAYLOAD = b"\x11" * 32
OTHER_PAYLOAD = b"\x22" * 32
Plan = dict[str, str]
FAST = (
    ("timeout_propose_ms", 30),
    ("timeout_prevote_ms", 15),
    ("timeout_precommit_ms", 15),
    ("timeout_delta_ms", 3),
    ("timeout_max_ms", 400),
    ("retry_ms", 20),
)
"""Parameters with which many rounds pass in a second."""


def led(protocol: type[Tendermint], leaders: str) -> type[Tendermint]:
    """The protocol with these leaders in the first rounds of the first instance."""

    class Led(protocol):  # type: ignore[valid-type, misc]
        def proposer(self, slot: Slot) -> int | None:
            if slot[0] == 1 and slot[1] < len(leaders):
                return VALIDATORS[leaders[slot[1]]]
            return super().proposer(slot)

    return Led


def parse_plan(plan: Plan) -> dict[tuple[str, int], set[tuple[int, int]]]:
    """(phase, round) -> pairs (sender, receiver) of seats between which packets pass."""
    pairs: dict[tuple[str, int], set[tuple[int, int]]] = {}
    for where, who in plan.items():
        phase, round_ = where.split()
        for word in who.split():
            receivers, _, senders = word.partition("<")
            heard = {(NAMES.index(s), NAMES.index(r)) for r in receivers for s in senders or word}
            for each in PHASES if phase == "round" else (phase,):
                pairs.setdefault((each, int(round_)), set()).update(heard)
    return pairs


class Stage(Script):
    """One payload, submitted to everyone, and a plan of who hears whom."""

    def __init__(
        self,
        protocol: type[Tendermint],
        leaders: str,
        plan: Plan,
        scenario: PluginScenario | None = None,
        recorder: PluginRecorder | None = None,
    ) -> None:
        base = scenario or PluginScenario(protocol, twins=(3,))
        super().__init__(
            replace(
                base,
                protocol=led(protocol, leaders),
                payloads=0,
                payload_max=1,
                stable_ms=HEALED_MS,
                withhold=1_000,
            ),
            recorder,
        )
        self._pairs = parse_plan(plan)
        self.allow = self._is_heard
        self.run_ms(5)
        self.submit(PAYLOAD)

    def _is_heard(self, sender: int, receiver: int, packet: Packet) -> bool:
        if not isinstance(packet, Signed):
            return False
        phase, slot, _ = packet.message.statement()
        return slot[0] == 1 and (sender, receiver) in self._pairs.get((phase, slot[1]), ())

    def seat(self, name: str) -> Seat:
        return self.seats[NAMES.index(name)]

    def plugin(self, name: str) -> Tendermint:
        plugin = self.seat(name).plugin
        assert isinstance(plugin, Tendermint)
        return plugin

    def until(self, condition: Callable[[], object]) -> None:
        """Go on until something holds; it does before the network heals."""
        left_ms = HEALED_MS - self.agenda.now_ms
        assert self.run_until(condition, limit_ms=left_ms), "the schedule did not come about"

    def until_round(self, round_: int, names: str) -> None:
        """Go on until these seats are in a round."""
        self.until(lambda: all(self.plugin(name).slot == (1, round_) for name in names))

    def heal(self) -> PluginReport:
        """Play out the plan, then let everyone hear everything, to the end."""
        while self.agenda.now_ms < HEALED_MS and not self.oracles.violations:
            self.run_ms(50)
        self.allow = None
        return self.run()

    def proposal_at(self, name: str, round_: int) -> Proposal:
        """What a seat holds for the proposal of a round."""
        proposal = self.plugin(name).log.proposal((1, round_), None)
        assert proposal is not None
        return proposal

    def value(self, round_: int, payload: bytes = OTHER_PAYLOAD) -> Value:
        """A value that validator 3 never proposed by itself."""
        return Value(EPOCH, b"", (1, round_), 3, 1_234, (payload,))
