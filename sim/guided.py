"""A search that learns: plots that led somewhere new are kept, and changed a little.

Coverage-guided, as fuzzers are, over abstract states of the run and not over lines of code
(Gulcan, Ozkan, Majumdar, Nagendra, "Model-guided Fuzzing of Distributed Systems", OOPSLA 2025).
What a run came to is its *cell*, seen from outside and without a word of any protocol: for how many
values in each phase certificates could be made, how far apart honest seats were, what was said
after the first decision, how many values the last votes were for.  For each cell one plot is kept,
the shortest, and all cells are equally likely to be gone on from (Mouret, Clune, "Illuminating
search spaces by mapping elites", 2015), so that what is seldom reached is tried as often as what is
usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from consensus.interface import Signed
from ledger.statement import Slot
from sim.plugin_node import Seat
from sim.plugin_plots import altered
from sim.plugin_scenario import PluginReport, PluginScenario
from sim.plugin_step import Packet
from sim.plugins import PluginWorld

Cell = tuple[object, ...]
EPISODE = 40
"""Plots of one episode: it begins with nothing and ends with whatever it has learned."""
FRESH = 0.25
"""The share of plots that are drawn anew."""
_MOST = 3
"""Numbers in a cell go up to this; what is beyond is not told apart."""


class Episode:
    """Some plots, one after the other, each drawn in the light of those before."""

    def __init__(self, draw: Callable[[int], PluginScenario], first: int) -> None:
        """`draw` gives a fresh plot of a number; the numbers of this episode begin with `first`."""
        self._fresh = draw
        self._draw = Random(f"episode {first}")
        self._first = first
        self._kept: dict[Cell, PluginScenario] = {}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What was reached so far, in the order in which it was."""
        return tuple(self._kept)

    def plots(self) -> Iterator[PluginScenario]:
        """The plots of the episode; each must be told to `learn` before the next one is asked."""
        for number in range(self._first, self._first + EPISODE):
            if not self._kept or self._draw.random() < FRESH:
                yield self._fresh(number)
                continue
            kept = list(self._kept.values())
            # The latest cells are those that were hardest to reach.
            recent = kept[len(kept) // 2 :] if self._draw.random() < 0.5 else kept
            one, other = self._draw.choice(recent), self._draw.choice(kept)
            yield altered(one, number, other if other.twins == one.twins else None)

    def learn(self, plot: PluginScenario, cell: Cell) -> None:
        """Keep a plot for what it came to, unless a shorter one is kept for the same."""
        known = self._kept.get(cell)
        if known is None or len(plot.rounds) < len(known.rounds):
            self._kept[cell] = plot


def play_and_look(plot: PluginScenario) -> tuple[PluginReport, Cell]:
    """Run a plot; what it came to."""
    world = LookedAt(plot)
    report = world.run()
    return report, world.cell()


class LookedAt(PluginWorld):
    """A run whose cell is told."""

    def __init__(self, scenario: PluginScenario) -> None:
        self._signers: dict[tuple[str, Slot, bytes], dict[int, None]] = {}
        self._last: dict[int, bytes] = {}
        self._highest = 0
        self._first_decided: int | None = None
        self._gap = 0
        super().__init__(scenario)

    def _look_at(self, seat: Seat, packet: Packet) -> None:
        super()._look_at(seat, packet)
        if isinstance(packet, Signed) and not self._is_stable():
            phase, slot, value = packet.message.statement()
            self._signers.setdefault((phase, slot, value), {})[packet.sender] = None
            if not seat.is_byzantine:
                self._highest = max(self._highest, sum(slot))
                if value:
                    self._last[seat.index] = value

    def has_decided(self, index: int, first: int) -> None:
        super().has_decided(index, first)
        if self._is_stable() or self.seats[index].is_byzantine:
            return
        if self._first_decided is None:
            self._first_decided = self._highest
        lengths = [seat.durable for seat in self.seats if not seat.is_byzantine]
        self._gap = max(self._gap, max(lengths) - min(lengths))

    def cell(self) -> Cell:
        """What this run came to."""
        liars = len(self.scenario.byzantine)
        certified: dict[str, dict[bytes, None]] = {}
        for (phase, _, value), signers in self._signers.items():
            honest = sum(1 for who in signers if who not in self.scenario.byzantine)
            quorum = self.scenario.protocol.certificate_quorum(phase, self.context.validators)
            if value and honest + liars >= quorum:
                certified.setdefault(phase, {})[value] = None
        decided = self._first_decided
        after = self._highest - decided if decided is not None else -1
        return (
            tuple((phase, min(len(values), _MOST)) for phase, values in sorted(certified.items())),
            min(self._gap, _MOST),
            min(after, _MOST),
            len(set(self._last.values())),
            min(self._highest // 2, _MOST),
        )


def brief(plot: PluginScenario, *, bound_ms: int) -> PluginScenario:
    """The plot, given up soon after the network has healed: enough to see a fork, not a stall."""
    return replace(plot, bound_ms=bound_ms, quiet_ms=bound_ms)
