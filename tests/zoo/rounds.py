"""Schedules at the granularity of rounds: who leads, who hears which phase, who crashes where.

A plan is drawn by a function `choose`, which may be a random generator's or Hypothesis's, so both
strategies share it.  It leans towards what the lock rules are about: few hear a phase, somebody is
cut off for a round, messages come after the round they were for, a validator restarts right after
it has voted, the liars fall silent in the end.  Then everything heals, and whatever was submitted
must be decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from consensus.interface import Consensus, Signed
from consensus.protocols.pbft import Pbft
from consensus.protocols.tendermint import Tendermint
from ledger.statement import Slot
from sim.clock import EPOCH_MS
from sim.plugin_step import Packet
from sim.plugins import PluginScenario, Script
from tests.consensus import chained_stage, pbft_stage
from tests.consensus.harness import FAST
from tests.consensus.jolteon_stage import led_by
from tests.consensus.test_streamlet_schedules import LENGTH_MS
from tests.zoo.model import numbers

T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]
"""One of several, each equally likely."""
Hears = tuple[tuple[int, ...], ...]
"""For every seat the seats whose messages reach it."""

SEATS = 5
TWINS = (3, 4)
HONEST = (0, 1, 2)
SLICE_MS = 2
TIMEOUT_MS = 25
HEAL_MS = 20_000
"""Of virtual time, in which a live protocol decides many times over."""
BRIEF_HEAL_MS = 400
PAYLOADS = tuple(bytes([number]) * 32 for number in range(1, 3))
LAST_PAYLOAD = b"\xee" * 32
STABLE_MS = 1_000
"""Within which a plan is played; one that leads nowhere until then is given up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule."""

    seed: int
    leaders: tuple[int, ...]
    """The validator that leads each round or view; as many as are planned."""
    hears: tuple[tuple[Hears, ...], ...]
    """By round and phase."""
    crashes: tuple[tuple[int, int, int], ...]
    """(seat, round, phase): this seat restarts right after it has said this."""
    late: int
    """Per thousand of what was held back that arrive all the same, one round later."""
    repeat: int
    """Rate of duplicates and replays."""
    mutate: int
    """Rate of changed messages of the liars."""
    certificates: bool
    """Whether bare certificates arrive before the network heals."""
    liars_stop: bool
    """Whether the liars are silent from then on."""
    links_us: int
    """The least time that a message takes."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a plan needs to know of a protocol."""

    phases: tuple[str, ...]
    first: int
    """The number of the first round."""
    parameters: tuple[tuple[str, int], ...]
    led: Callable[[type[Any], dict[int, int]], type[Consensus]]
    round_of: Callable[[Any], int]
    """The round in which a plugin stands."""


def _led_tendermint(protocol: type[Tendermint], leaders: dict[int, int]) -> type[Consensus]:
    class Led(protocol):  # type: ignore[valid-type, misc]
        def proposer(self, slot: Slot) -> int | None:
            if slot[0] == 1 and slot[1] in leaders:
                return leaders[slot[1]]
            return super().proposer(slot)

    return Led


def _led_pbft(protocol: type[Pbft], leaders: dict[int, int]) -> type[Consensus]:
    class Led(protocol):  # type: ignore[valid-type, misc]
        def leader(self, slot: Slot) -> int:
            return leaders.get(slot[0], int(super().leader(slot)))

    return Led


_PACED = Adapter(
    ("proposal", "vote", "timeout"),
    1,
    (("timeout_max_ms", 8 * TIMEOUT_MS), ("timeout_ms", TIMEOUT_MS)),
    led_by,
    lambda plugin: int(plugin.view),
)
ADAPTERS = {
    "tendermint": Adapter(
        ("proposal", "prevote", "precommit"),
        0,
        tuple({**dict(FAST), "retry_ms": 60}.items()),
        _led_tendermint,
        lambda plugin: int(plugin.round) if plugin.instance == 1 else 1_000,
    ),
    "jolteon": _PACED,
    "hotstuff": _PACED,
    "pbft": Adapter(
        ("prepare", "commit", "view-change", "new-view"),
        0,
        pbft_stage.FAST,
        _led_pbft,
        lambda plugin: int(plugin.view),
    ),
    "simplex": Adapter(
        ("propose", "vote", "end"),
        1,
        (("timeout_max_ms", 8 * TIMEOUT_MS), ("timeout_ms", TIMEOUT_MS)),
        chained_stage.led_by,
        lambda plugin: int(plugin.view),
    ),
    "mysticeti": Adapter(
        ("block", "block", "block"),
        1,
        (("timeout_max_ms", 8 * TIMEOUT_MS), ("timeout_ms", TIMEOUT_MS)),
        chained_stage.led_by,
        lambda plugin: int(plugin.clock()) + 1,
    ),
    "streamlet": Adapter(
        ("propose", "vote", "vote"),
        EPOCH_MS // LENGTH_MS,
        (("epoch_ms", LENGTH_MS),),
        chained_stage.led_by,
        lambda plugin: int(plugin.view),
    ),
}


def draw_plan(choose: Choose, protocol: str, seed: int) -> Plan:
    """A plan for this protocol."""
    count = choose((2, 2, 3, 3, 4, 6)) if protocol == "tendermint" else choose((4, 6, 9, 12))
    shapes = SHAPES[protocol]
    leaders, hears = [], []
    for _ in range(count):
        leaders.append(choose((0, 1, 2, 3, 3, 3)))
        phases = [_draw_hears(choose, choose(SHAPES_OF_ALL if choose(CALM) else shape))
                  for shape in shapes]  # fmt: skip
        lonely = choose((None, None, None, *range(SEATS)))
        hears.append(tuple(_without(phase, lonely) for phase in phases))
    crashing = choose((0, 0, 1, 2, 3))
    crashes = tuple(
        (choose(HONEST), choose((0, 0, 1, *range(count))), choose((1, 2, 2)))
        for _ in range(crashing)
    )
    return Plan(
        seed=seed,
        leaders=tuple(leaders),
        hears=tuple(hears),
        crashes=crashes,
        late=choose((0, 0, 300, 700)),
        repeat=choose((0, 0, 200)),
        mutate=choose((0, 0, 100, 500)),
        certificates=choose((False, False, True)),
        liars_stop=choose((False, True)),
        links_us=choose((200, 200, 200, 200, 200, 30_000)),
    )


EVERYONE: Hears = tuple(tuple(range(SEATS)) for _ in range(SEATS))
NOBODY: Hears = ((),) * SEATS
CALM = (False, False, False, True)
SHAPES_OF_ALL = ("all",)
_SENT_TO_ALL = ("all", "all", "all", "without", "without", "islands", "islands", "few", "nobody")
_LAST_VOTES = ("one", "one", "one", "few", "few", "nobody", "all", "islands")
_PACED_SHAPES = (
    (*_SENT_TO_ALL, "nobody", "nobody"),
    ("all", "all", "all", "few", "islands"),
    ("all", "all", "few", "few", "one", "without", "nobody"),
)
SHAPES = {
    "tendermint": (
        _SENT_TO_ALL,
        ("all", "few", "few", "few", "one", "without", "islands"),
        _LAST_VOTES,
    ),
    "simplex": (
        (*_SENT_TO_ALL, "nobody", "nobody"),
        ("all", "few", "few", "one", "without", "islands"),
        _LAST_VOTES,
    ),
    "mysticeti": (("all", "all", "few", "without", "islands", "one"), ("all",), ("all",)),
    "streamlet": (_SENT_TO_ALL, ("all", "all", "few", "one", "without", "islands"), ("all",)),
    "jolteon": _PACED_SHAPES,
    "hotstuff": _PACED_SHAPES,
    "pbft": (
        ("all", "few", "few", "one", "without", "islands"),
        _LAST_VOTES,
        ("all", "all", "few", "islands", "without"),
        ("all", "all", "few", "without"),
    ),
}
"""How each phase tends to be heard."""


def _without(hears: Hears, lonely: int | None) -> Hears:
    """The same with one seat cut off."""
    if lonely is None:
        return hears
    return tuple(
        tuple(other for other in others if lonely not in (other, seat))
        for seat, others in enumerate(hears)
    )


def _draw_hears(choose: Choose, shape: str) -> Hears:
    """Who hears whom in a phase of this shape."""
    if shape == "all":
        return EVERYONE
    if shape == "nobody":
        return NOBODY
    if shape == "one":
        hearer = choose(HONEST)
        return tuple(EVERYONE[seat] if seat == hearer else () for seat in range(SEATS))
    if shape == "without":
        return _without(EVERYONE, choose(range(SEATS)))
    if shape == "islands":
        # The twins each have an island of their own.
        sides = [*(choose((0, 1)) for _ in HONEST), 0, 1]
        return tuple(
            tuple(other for other in range(SEATS) if sides[other] == sides[seat])
            for seat in range(SEATS)
        )
    return tuple(EVERYONE[seat] if choose((True, False)) else () for seat in range(SEATS))


class Rounds(Script):
    """A plan being played."""

    def __init__(self, protocol: type[Consensus], plan: Plan, *, heal_ms: int = HEAL_MS) -> None:
        self.plan = plan
        self._heal_ms = heal_ms
        self.adapter = ADAPTERS[protocol.name]
        first = self.adapter.first
        led = self.adapter.led(
            protocol, {first + number: leader for number, leader in enumerate(plan.leaders)}
        )
        super().__init__(
            PluginScenario(
                led,
                seed=plan.seed,
                parameters=self.adapter.parameters,
                twins=(3,),
                payloads=0,
                payload_max=1,
                delay_us=plan.links_us,
                jitter_us=200,
                sync_us=50,
                duplicate=plan.repeat,
                replay=plan.repeat,
                mutate=plan.mutate,
                withhold=1_000,
                stable_ms=STABLE_MS,
                bound_ms=HEAL_MS,
            )
        )
        self._late: dict[int, None] = {}
        self._crashed: dict[int, None] = {}
        self.allow = self._may_pass
        self.run_ms(5)
        for payload in PAYLOADS:
            self.submit(payload)

    def play(self) -> tuple[str, ...]:
        """Play it out; the properties that broke."""
        last = self.adapter.first + len(self.plan.leaders)
        while self.agenda.now_ms < STABLE_MS and not self._is_broken():
            self.run_ms(SLICE_MS)
            reached = self._lowest_round()
            self._let_late_ones_in(reached)
            self._crash_some()
            if reached >= last:
                break
        if not self._is_broken():
            self._heal()
        return numbers(tuple(self.oracles.violations))

    def _lowest_round(self) -> int:
        """The lowest round of an honest seat."""
        rounds = [self.adapter.round_of(self.seats[seat].plugin) for seat in HONEST
                  if self.seats[seat].plugin is not None]  # fmt: skip
        return min(rounds, default=0)

    def _heal(self) -> None:
        """Let everything pass, and see whether what was submitted gets decided."""
        self.allow = None
        if self.plan.liars_stop:
            for seat in TWINS:
                self.crash(seat)
        self.submit(LAST_PAYLOAD)
        wanted = (*PAYLOADS, LAST_PAYLOAD)
        end_ms = self.agenda.now_ms + self._heal_ms
        while self.agenda.now_ms < end_ms and not self._is_broken():
            self.run_ms(20)
            if all(self.oracles.has_decided(one) for one in wanted) and self._is_finished():
                return
        if not self._is_broken() and self._heal_ms == HEAL_MS:
            self._not_live()

    def _let_late_ones_in(self, reached: int) -> None:
        if reached in self._late or not self.plan.late:
            return
        self._late[reached] = None
        self.release(lambda sender, receiver, packet: self.draw.random() * 1_000 < self.plan.late)

    def _crash_some(self) -> None:
        """Crash whom the plan says, once they have spoken, and start them again at once."""
        for number, (seat, round_, phase) in enumerate(self.plan.crashes):
            plugin = self.seats[seat].plugin
            if number in self._crashed or plugin is None:
                continue
            turn = self.adapter.first + round_
            slot = (1, turn) if self.scenario.protocol.name in ("tendermint", "pbft") else (turn,)
            if plugin.said(self.adapter.phases[phase], slot) is not None:
                self._crashed[number] = None
                self.crash(seat)
                self.restart(seat)

    def _may_pass(self, sender: int, receiver: int, packet: Packet) -> bool:
        if not isinstance(packet, Signed):
            return self.plan.certificates
        phase, slot, _ = packet.message.statement()
        number = slot[-1] - self.adapter.first
        if len(slot) == 2 and slot[0] != 1:
            return True
        if not 0 <= number < len(self.plan.hears):
            return True
        return sender in self.plan.hears[number][self.adapter.phases.index(phase)][receiver]


def play(protocol: type[Consensus], plan: Plan, *, is_about_liveness: bool) -> tuple[str, ...]:
    """Play a plan against a protocol; the properties that broke.

    Where it is not about liveness, what happens after the healing is played only for a moment.
    """
    heal_ms = HEAL_MS if is_about_liveness else BRIEF_HEAL_MS
    return Rounds(protocol, plan, heal_ms=heal_ms).play()
