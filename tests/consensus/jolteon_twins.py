"""Twins schedules for Jolteon: leaders and partitions drawn anew for every view and phase.

After Bano et al., "Twins: BFT Systems Made Robust" (2021).  Validator 3 runs twice, some schedules
have honest ones crash, and at the end everything heals.
"""

from __future__ import annotations

from random import Random

from consensus.pacemaker_messages import PROPOSAL, TIMEOUT, VOTE
from consensus.protocols.jolteon import Jolteon
from tests.consensus.jolteon_stage import ALL, NOBODY, Seats, Stage

VIEWS = 14
"""How many views are adverse."""
TIMEOUT_MS = 25
HEAL_MS = 20_000


def play(protocol: type[Jolteon], seed: int) -> Stage:
    """The schedule of this seed, up to and with its end."""
    draw = Random(f"twins {seed}")
    leaders = {view: draw.choice((0, 1, 2, 3, 3)) for view in range(1, VIEWS + 1)}
    stage = Stage(
        protocol, leaders, twins=(3,) if draw.random() < 0.6 else (), timeout_ms=TIMEOUT_MS
    )
    calm, late = draw.choice((0.3, 0.6)), draw.choice((0.0, 0.3))
    for view in leaders:
        islands = drawn_islands(draw, calm)
        for phase in (PROPOSAL, VOTE, TIMEOUT):
            if draw.random() < 0.4:
                islands = drawn_islands(draw, calm)
            stage.plan(phase, (view,), *islands)
    crash = draw.choice((0.0, 0.1, 0.5))
    for _ in range(VIEWS):
        stage.run_ms(draw.choice((5, TIMEOUT_MS, 2 * TIMEOUT_MS)))
        if draw.random() < late:
            stage.release(lambda sender, receiver, packet: draw.random() < 0.5)
        for seat in range(len(stage.seats)):
            if draw.random() < crash:
                stage.crash(seat)
                stage.restart(seat)
    return stage


def drawn_islands(draw: Random, calm: float) -> tuple[Seats, ...]:
    """Everybody together, everybody alone, or two groups."""
    if draw.random() < calm:
        return ALL
    if draw.random() < 0.15:
        return NOBODY
    sides: tuple[list[int], list[int]] = ([], [])
    for seat in range(5):
        sides[draw.random() < 0.35].append(seat)
    return tuple(tuple(side) for side in sides)
