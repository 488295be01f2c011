"""The mutants of HotStuff, each with the rule that it lacks and its saved schedule.

What it shares with Jolteon, the pacemaker and its liveness, has its rows there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consensus.interface import Consensus
from consensus.protocols.hotstuff import HotStuff
from sim.plugins import draw_scenario, run
from tests.consensus import mutants_hotstuff as h
from tests.consensus import test_hotstuff_schedules as hs
from tests.zoo.model import PROPERTIES, Mutant, Play, numbers


def staged(play: Callable[[Any], Any]) -> Play:
    """A schedule that ends with a stage."""
    return lambda protocol: numbers(play(protocol).report().violations)


def goes_on(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether anything is decided."""
    return lambda protocol: () if play(protocol) else (PROPERTIES["liveness"],)


def bad_payloads(protocol: type[Consensus]) -> tuple[str, ...]:
    """Half of what waits to be ordered is invalid."""
    return numbers(run(replace(draw_scenario(protocol, 9), bad=500)).violations)


def hotstuff(id_: str, kind: str, plugin: type[HotStuff], removed: str, expected: str,
             play: Play) -> Mutant:  # fmt: skip
    return Mutant(f"{id_}-hotstuff", "hotstuff", kind, removed, tuple(expected.split()),
                  plugin=plugin, base=h.Plain, play=play)  # fmt: skip


HOTSTUFF = (
    hotstuff("Z1", "safety", h.SmallQuorum, "2f+1 votes make a qc", "P1", staged(hs.two_halves)),
    hotstuff("Z2", "safety", h.CountsMessages, "a vote is counted once a signer", "P1 P4",
             staged(hs.one_vote_thrice)),
    hotstuff("Z8", "safety", h.IgnoresLock, "safeNode: it extends the lock, or its qc is higher",
             "P1", staged(hs.stale_proposal)),
    hotstuff("Z8a", "safety", h.UnlocksByOldQc, "safeNode: only a higher qc opens a lock", "P1",
             staged(hs.proposal_with_an_old_qc)),
    hotstuff("Z8b", "safety", h.NeverLocks, "update: a qc locks the parent of what it certifies",
             "P1", staged(hs.stale_proposal)),
    hotstuff("Z9", "safety", h.VotesTwice, "onReceiveProposal: b_new.height > vheight", "P1 P14",
             staged(hs.two_proposals)),
    hotstuff("Z10", "safety", h.CommitsOverGaps, "update: the three views are consecutive", "P1",
             staged(hs.over_a_gap)),
    hotstuff("Z10a", "safety", h.CommitsTwoChains, "update: three in a row decide, not two", "P1",
             staged(hs.two_chain)),
    hotstuff("Z13", "safety", h.ForgetsVotes, "vheight is durable", "P1 P14",
             staged(hs.voted_before_a_crash)),
    hotstuff("Z13a", "safety", h.ForgetsLock, "b_lock is durable", "P1",
             staged(hs.locked_before_a_crash)),
    hotstuff("D2", "safety", h.BelievesDecisions, "a peer's decision is judged by its proof", "P1",
             staged(hs.false_decision)),
    hotstuff("D3", "safety", h.NeverValidates, "onReceiveProposal: only for a valid value", "P6",
             bad_payloads),
    hotstuff("L1a", "liveness", h.NeverUnlocks, "safeNode: a higher qc opens a lock", "P10",
             goes_on(hs.locked_alone)),
)  # fmt: skip
