"""Small scopes: whole replicas in calm weather, and exactly one or two things that go wrong.

Most faults that there are show in a small scope (Jackson, "Software Abstractions", 2006): a few
transactions, one kind of packet that somebody does not hear, one kind of record behind which power
fails, one trick of one liar, one disk that is lost.  Each is chosen of few, so that pairs of them
come round soon; in a scenario with everything at once they hide one another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from ledger import layout
from sim.scenario import Incident, Load, Pace, Scenario, Weather
from tests.zoo.hostile import KINDS, NODES, Cut, Deaf, Plan
from tests.zoo.liar import TRICKS
from tests.zoo.model import Mutant

STABLE_MS = (500, 1_200)
BOUND_MS = 20_000
QUIET_MS = 4_000
EVERYONE = tuple(range(NODES))
RECORDS = (
    layout.DECISION_HEAD, layout.EXECUTED, layout.CERTIFIED, layout.SIGNED, layout.PLUGIN,
    layout.SEQUENCES, layout.SIGNED + b"checkpoint",
)  # fmt: skip
LIMITS: tuple[tuple[tuple[str, int], ...], ...] = (
    *((),) * 7,
    (("batch_window", 4), ("replay_window", 8)),
    (("run_ahead", 2),),
    (("batch_transactions", 1),),
)


@dataclass(slots=True)
class Draft:
    """A plan in the making."""

    draw: Random
    stable_ms: int
    incidents: list[Incident] = field(default_factory=list)
    deaf: list[Deaf] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    liar: int | None = None
    tricks: tuple[str, ...] = ()
    transactions: int | None = None
    """How many are needed, where that matters."""

    def some(self) -> tuple[int, ...]:
        """One node, all but one, or all."""
        one = self.draw.randrange(NODES)
        others = tuple(node for node in EVERYONE if node != one)
        return self.draw.choice(((one,), others, EVERYONE))


def _deafness(draft: Draft) -> None:
    """A kind of packet that somebody does not hear, until the network is stable."""
    draw = draft.draw
    kinds = draw.choice(KINDS)
    draft.deaf.append(Deaf(kinds, draft.some(), draft.some(), 0, draft.stable_ms))


def _cut(draft: Draft) -> None:
    """Power fails right behind a kind of record, at one node, at most or at all."""
    draw = draft.draw
    prefix, skip = draw.choice(RECORDS), draw.choice((0, 0, 0, 1, 2))
    draft.cuts.append(Cut(prefix, draft.some(), skip, draw.choice((10, 400))))


def _restart(draft: Draft) -> None:
    """Some start again in the moment in which the network becomes stable."""
    whom = draft.some()
    end_ms = draft.stable_ms
    draft.incidents.append(Incident("crash", end_ms - 20, end_ms, whom))


def _dead(draft: Draft) -> None:
    """One is down for most of the time."""
    draw = draft.draw
    begin_ms = draw.choice((1, 100, draft.stable_ms // 2))
    one = draw.randrange(NODES)
    draft.incidents.append(Incident("crash", begin_ms, draft.stable_ms, (one,)))


def _robbed(draft: Draft) -> None:
    """One of those that lead first loses its disk, or finds an older one, while clients go on.

    Perhaps a liar is asked about it.
    """
    draw = draft.draw
    if draw.random() < 0.4:
        draft.liar = draw.choice((2, 3))
        draft.tricks = ("hides-all",)
    draft.transactions = 8
    at_ms = draw.choice((150, 300, draft.stable_ms // 2))
    kind = draw.choice(("lost-disk", "lost-disk", "old-disk"))
    draft.incidents.append(
        Incident(kind, at_ms, at_ms + draw.choice((20, 100)), (draw.choice(EVERYONE),))
    )


def _lie(draft: Draft) -> None:
    """One validator lies, by one to three tricks."""
    draw = draft.draw
    draft.liar = draw.randrange(NODES)
    draft.tricks = tuple(draw.sample(list(TRICKS), draw.choice((1, 2, 3))))


def _clock(draft: Draft) -> None:
    """One clock is wrong."""
    draw = draft.draw
    step_ms = draw.choice((-3_600_000, -1_500, 1_500, 6_000))
    draft.incidents.append(Incident("clock", 1, draft.stable_ms, (draw.randrange(NODES),), step_ms))


WRONG: tuple[Callable[[Draft], None], ...] = (
    _deafness, _deafness, _cut, _cut, _restart, _dead, _robbed, _robbed, _lie, _lie, _lie, _lie,
    _clock,
)  # fmt: skip
"""What may go wrong."""


def draw_plan(number: int, home: str, mutant: Mutant) -> Plan:
    """The plan of a number; limits are tight where the mutant says so."""
    draw = Random(f"small scope {number}")
    draft = Draft(draw, draw.choice(STABLE_MS))
    for what in draw.sample(WRONG, draw.choice((1, 1, 2, 2, 3))):
        what(draft)
    limits = dict(draw.choice(LIMITS)) | dict(mutant.limits)
    is_tight = "replay_window" in limits or "run_ahead" in limits
    few = draft.transactions or draw.choice((1, 1, 2, 3, 6))
    transactions = draw.choice((12, 25)) if is_tight else few
    # Alone in the world there is nobody to lie to.
    liar = draft.liar if home != "solo" else None
    scenario = Scenario(
        seed=number,
        protocol=home,
        nodes=NODES,
        limits=tuple(sorted(limits.items())),
        weather=Weather(delay_us=200, jitter_us=300),
        calm=Weather(delay_us=200, jitter_us=300),
        pace=Pace(sync_us=draw.choice((200, 4_000)), job_us=100),
        incidents=tuple(sorted(draft.incidents, key=lambda incident: incident.at_ms)),
        load=Load(
            transactions=transactions,
            members=draw.choice((1, 3)),
            interval_ms=max(1, draw.choice((1, 1, 2)) * draft.stable_ms // (2 * transactions)),
            timeout_ms=draw.choice((300, 1_500)),
            duplicates=300,
            twice_signed=200,
            unsound=0,
            split=0,
            echoes=200,
        ),
        stable_ms=draft.stable_ms,
        bound_ms=BOUND_MS,
        quiet_ms=QUIET_MS,
    )
    return replace(
        Plan(scenario, tuple(draft.deaf), tuple(draft.cuts), liar, ()),
        tricks=draft.tricks if liar is not None else (),
    )
