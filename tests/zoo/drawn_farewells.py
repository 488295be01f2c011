"""Drawn cuts around the last blocks of a ledger, and nothing after them.

One replica hears nobody for a while and misses what the others decide; each link that is cut for
longer breaks, and comes back.  Then nobody has work, and still all must come to the same block
(P10).
"""

from __future__ import annotations

from random import Random

from consensus.replica import Replica
from sim.network import SILENT_MS
from tests.schedules import test_catch_up as catch_up
from tests.schedules.stage import Stage
from tests.zoo.drawn import Part

KINDS: dict[str, type[Replica]] = {"D33": catch_up.LeavesTooSoon}
PROTOCOLS = ("tendermint", "jolteon", "simplex")
LIMIT_MS = 20_000


def broken(kind: type[Replica], number: int) -> tuple[str, ...]:
    """The properties that replicas of this kind break in the cuts of this number."""
    draw = Random(f"farewells {number}")
    stage = Stage(draw.choice(PROTOCOLS), kind=kind, seed=number)
    stage.run_ms(200)
    away = draw.randrange(4)
    others = [node for node in range(4) if node != away]
    catch_up.grow(stage, 1, *others)
    stage.cut_off(away)
    for nonce in range(draw.choice((1, 1, 3))):
        stage.submit(draw.choice(others), stage.transaction(10 + nonce))
    height = stage.certified(others[0])
    stage.until(lambda: stage.all_certified(height + 1, *others), limit_ms=SILENT_MS)
    stage.run_ms(draw.randrange(2 * SILENT_MS))
    stage.join(away)
    highest = max(stage.certified(node) for node in others)
    is_told = stage.until(lambda: stage.all_certified(highest), limit_ms=LIMIT_MS)
    return () if is_told else ("P10",)


PART = Part("farewells", Replica, KINDS, broken)
