"""Drawn peers for catching up alone: some claim what they do not have, and say so again and again.

While an honest peer claims more than is here, each liar may cost one wait: whoever is asked in vain
more often than there are liars, before an honest peer is asked, stays behind as long as liars like
(P10).
"""

from __future__ import annotations

from random import Random

from consensus.sync import PATIENCE_MS, CatchUp
from tests.schedules import test_catch_up as catch_up
from tests.zoo.drawn import Part

KINDS: dict[str, type[CatchUp]] = {"D25": catch_up.NeverDoubts, "D26": catch_up.ForgetsLies}
STEPS = 80
TICK_MS = PATIENCE_MS // 2
LIE = 1_000
"""How far beyond the ledger a liar may claim to be."""


def broken(kind: type[CatchUp], number: int) -> tuple[str, ...]:
    """The properties that catching up of this kind breaks in the life of this number."""
    draw = Random(f"catch-up {number}")
    liars, honest = draw.randrange(4), draw.randrange(1, 4)
    peers = draw.sample(range(liars + honest), liars + honest)
    dishonest = set(peers[:liars])
    chatty, silent = draw.random(), draw.random()
    sync, height, ledger, now_ms, in_vain = kind(), 0, 1, 0, 0
    for _ in range(STEPS):
        now_ms += draw.choice((TICK_MS, PATIENCE_MS, 2 * PATIENCE_MS))
        ledger += draw.choice((0, 1, 5))
        for peer in peers:
            if draw.random() < chatty:
                sync.claim(peer, ledger + draw.randrange(LIE) if peer in dishonest else ledger)
            elif draw.random() < 0.05:
                sync.gone(peer)
        is_helped = any(sync.claims.get(peer, 0) > height for peer in peers[liars:])
        asked = sync.whom_to_ask(height, now_ms)
        if not is_helped:
            in_vain = 0
        if asked is None:
            continue
        if asked not in dishonest:
            height, in_vain = sync.claims[asked], 0
            sync.accepted()
            continue
        in_vain += is_helped
        if in_vain > liars:
            return ("P10",)
        if draw.random() >= silent:
            sync.refused(asked)
    return ()


PART = Part("catch-up", CatchUp, KINDS, broken)
