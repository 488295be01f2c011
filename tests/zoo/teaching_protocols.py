"""The mutants of the two teaching protocols, Simplex and Streamlet, with their saved schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus.interface import Consensus
from consensus.protocols.simplex import Simplex
from consensus.protocols.streamlet import Streamlet
from tests.consensus import mutants_simplex as s
from tests.consensus import mutants_streamlet as t
from tests.consensus import test_simplex_schedules as ss
from tests.consensus import test_streamlet_schedules as ts
from tests.zoo.model import PROPERTIES, Mutant, Play, numbers


def staged(play: Callable[[Any], Any]) -> Play:
    """A schedule that ends with a stage."""
    return lambda protocol: numbers(play(protocol).report().violations)


def goes_on(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether anything is decided."""
    return lambda protocol: () if play(protocol) else (PROPERTIES["liveness"],)


def mutant(id_: str, kind: str, plugin: type[Consensus], removed: str, expected: str,
           play: Play) -> Mutant:  # fmt: skip
    base = Simplex if issubclass(plugin, Simplex) else Streamlet
    return Mutant(f"{id_}-{base.name}", base.name, kind, removed, tuple(expected.split()),
                  plugin=plugin, base=base, play=play)  # fmt: skip


SIMPLEX = (
    mutant("Z1", "safety", s.SmallQuorum, "2n/3 votes notarize, 2n/3 finalize messages decide",
           "P1", staged(ss.two_halves)),
    mutant("Z2", "safety", s.CountsMessages, "votes of distinct players are counted", "P1 P4",
           staged(ss.one_vote_thrice)),
    mutant("Z25", "safety", s.FinalizesAfterDummy, "(4): no finalize message after the timer fired",
           "P1 P5 P14", staged(ss.notarized_too_late)),
    mutant("Z27", "safety", s.SkipsWithoutDummies, "(3): skipped heights have notarized dummies",
           "P1", staged(ss.around_a_decided_block)),
    mutant("Z27a", "safety", s.VotesOnAnyParent, "(3): the parent is notarized", "P1",
           staged(ss.on_a_block_that_nobody_notarized)),
    mutant("Z28", "safety", s.ForgetsDummies, "the own dummy vote is known after a restart",
           "P1 P5 P14", staged(ss.notarized_after_a_restart)),
    mutant("Z29", "safety", s.VotesTwice, "(3): the first, and only the first, proposal",
           "P1 P14", staged(ss.two_proposals)),
    mutant("D1", "safety", s.DecidesOnVotes, "(5): finalize messages decide", "P1",
           staged(ss.notarized_at_one)),
    mutant("D2", "safety", s.BelievesDecisions, "a peer's decision is judged by its proof", "P1",
           staged(ss.false_decision)),
    mutant("L3", "liveness", s.TimesOutOnce, "what was said is said again while one waits", "P10",
           goes_on(ss.first_copies_lost)),
    mutant("L5", "liveness", s.NeverSaysWhy, "what ended an iteration is shown", "P10",
           goes_on(ss.half_an_iteration)),
    mutant("L6", "liveness", s.ForgetsRecord, "notarizations and values are durable", "P10",
           goes_on(ss.proposed_by_who_is_gone)),
    mutant("L8", "liveness", s.NeverWaitsLonger, "timers grow", "P10", goes_on(ss.slow_links)),
    mutant("L11", "liveness", s.NeverFetches, "a missing ancestor is fetched", "P10",
           goes_on(ss.child_before_parent)),
    mutant("L11a", "liveness", s.NeverAsks, "a missing notarization is asked for", "P10",
           goes_on(ss.everybody_lacks_another_dummy)),
    mutant("D6", "liveness", s.NeverSleeps, "an idle ledger is quiet", "P10",
           goes_on(ss.falls_silent)),
)  # fmt: skip

STREAMLET = (
    mutant("Z1", "safety", t.SmallQuorum, "2n/3 votes notarize a block", "P1",
           staged(ts.two_halves)),
    mutant("Z2", "safety", t.CountsMessages, "votes of distinct players are counted", "P1 P4",
           staged(ts.one_vote_thrice)),
    mutant("Z20", "safety", t.FinalizesThird, "(Finalize): the second of three, not the third",
           "P1", staged(ts.after_the_third)),
    mutant("Z21", "safety", t.VotesForShorter, "(Vote): on one of the longest notarized chains",
           "P1", staged(ts.beside_a_decided_block)),
    mutant("Z22", "safety", t.VotesTwice, "(Vote): one vote an epoch", "P1 P14",
           staged(ts.two_proposals)),
    mutant("Z23", "safety", t.FinalizesAfterTwo, "(Finalize): three consecutive epochs", "P1",
           staged(ts.after_two_epochs)),
    mutant("Z24", "safety", t.ForgetsRecord, "what was seen notarized is durable with the vote",
           "P1", staged(ts.forgotten_by_all)),
    mutant("D2", "safety", t.BelievesDecisions, "a peer's decision is judged by its proof", "P1",
           staged(ts.false_decision)),
    mutant("L5", "liveness", t.NeverShows, "a longer chain is shown: the echo", "P10",
           goes_on(ts.notarized_at_one)),
    mutant("L11", "liveness", t.NeverFetches, "a missing ancestor is fetched", "P10",
           goes_on(ts.child_before_parent)),
    mutant("D6", "liveness", t.NeverSleeps, "an idle ledger is quiet", "P10",
           goes_on(ts.falls_silent)),
)  # fmt: skip
