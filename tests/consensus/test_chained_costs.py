"""What a block costs in the papers, beside what a simulated run counts: a mismatch fails.

per block, good case          Jolteon           HotStuff
messages on links             2 (n - 1)         2 (n - 1)       a proposal to all, votes to one
signatures made               n + 1             n + 1           the leader's, and n votes
message delays until          5                 7               all know that it is decided
"""

from __future__ import annotations

from collections import Counter

import pytest

from consensus.interface import Signed
from consensus.leaders import Policy, RoundRobin, Sticky
from consensus.pacemaker import Paced
from consensus.pacemaker_messages import PROPOSAL, TIMEOUT, VOTE
from consensus.protocols.hotstuff import HotStuff
from consensus.protocols.jolteon import Jolteon
from sim.plugin_scenario import PluginScenario
from sim.plugin_step import Packet
from sim.plugins import Script

LINK_MS = 1_000
"""Long beside everything else that takes time, so that delays can be counted."""
VIEWS = range(4, 10)
"""Counted where the pipeline is full."""


class Counted(Script):
    """A healthy network that always has something to order, and what crosses its links."""

    def __init__(self, protocol: type[Paced], nodes: int, leaders: type[Policy]) -> None:
        led = type(protocol.__name__, (protocol,), {"LEADERS": leaders})
        long = (("timeout_max_ms", 60_000), ("timeout_ms", 60_000))
        super().__init__(
            PluginScenario(
                led, nodes=nodes, parameters=long, payloads=0, payload_max=1,
                delay_us=LINK_MS * 1_000, jitter_us=0, exchange_ms=0,
            )
        )  # fmt: skip
        self.sent: Counter[tuple[str, int]] = Counter()
        """Messages on links by (phase or kind of certificate, view)."""
        self.signed: dict[tuple[str, int], set[int]] = {}
        """Who signed something of a phase and view."""
        self.proposed_ms: dict[int, int] = {}
        self.allow = self._count
        self.run_ms(5)
        for number in range(1, 60):
            self.submit(bytes([number]) * 32)

    def _count(self, sender: int, receiver: int, packet: Packet) -> bool:
        if sender == receiver:
            return True
        if isinstance(packet, Signed):
            phase, slot, _ = packet.message.statement()
            self.signed.setdefault((phase, slot[0]), set()).add(packet.sender)
            if phase == PROPOSAL:
                self.proposed_ms.setdefault(slot[0], self.agenda.now_ms)
        else:
            assert not isinstance(packet, bytes)
            phase, slot = f"certificate of {packet.phase}", packet.slot
        self.sent[phase, slot[0]] += 1
        return True

    def decided_ms(self, view: int) -> int:
        """When the last validator had decided the value of a view, to a tenth of a link."""
        while not all(any(v.slot == (view,) for v in seat.log) for seat in self.seats):
            self.run_ms(LINK_MS // 10)
        return self.agenda.now_ms


@pytest.mark.parametrize("leaders", [RoundRobin, Sticky])
@pytest.mark.parametrize("nodes", [4, 7])
@pytest.mark.parametrize(("protocol", "delays"), [(Jolteon, 5), (HotStuff, 7)])
def test_a_block_costs_what_the_paper_says(
    protocol: type[Paced], delays: int, nodes: int, leaders: type[Policy]
) -> None:
    run = Counted(protocol, nodes, leaders)

    decided_ms = {view: run.decided_ms(view) for view in VIEWS}

    for view in VIEWS:
        assert run.sent[PROPOSAL, view] == nodes - 1
        assert run.sent[VOTE, view] == nodes - 1
        # Who leads the next view too sends its own vote to itself, over no link.
        assert len(run.signed[PROPOSAL, view]) == 1
        assert len(run.signed[VOTE, view]) == nodes - 1
        spent_ms = decided_ms[view] - run.proposed_ms[view]
        assert round(spent_ms / LINK_MS) == delays
    assert {phase for phase, view in run.sent if view in VIEWS} == {PROPOSAL, VOTE}
    assert run.seats[0].durable >= len(VIEWS)


@pytest.mark.parametrize("protocol", [Jolteon, HotStuff])
def test_a_silent_leader_costs_everyones_timeout_to_everyone(protocol: type[Paced]) -> None:
    nodes = 4
    run = Counted(protocol, nodes, RoundRobin)
    silent = 2
    run.crash(silent)

    run.run_ms(70_000)

    # Three time out in the first view that nobody leads, and each tells all others.
    view = min(view for phase, view in run.sent if phase == TIMEOUT)
    assert run.sent[TIMEOUT, view] == (nodes - 1) * (nodes - 1)
    assert run.signed[TIMEOUT, view] == {0, 1, 3}
