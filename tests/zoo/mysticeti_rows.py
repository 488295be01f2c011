"""The mutants of Mysticeti, each with the rule that it lacks and its saved schedule.

Most schedules are drawings of a DAG which two validators see different parts of: they must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consensus.protocols.mysticeti import Mysticeti
from sim.plugins import PluginScenario, run
from tests.consensus import mutants_mysticeti as m
from tests.consensus import mysticeti_schedules as ms
from tests.consensus import test_mysticeti_rules as mr
from tests.zoo.model import PROPERTIES, Mutant, Play, numbers


def holds(property_: str, play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether this property holds."""
    return lambda protocol: () if play(protocol) else (PROPERTIES[property_],)


def agrees(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether views agree."""
    return holds("agreement", play)


def goes_on(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether all that should be decided is, and all falls silent."""
    return holds("liveness", play)


def refuses(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether a proof is refused that was changed."""
    return lambda protocol: () if play(protocol) else ("P15",)


def reported(play: Callable[[Any], list[str]]) -> Play:
    """A schedule that says which properties broke."""
    return lambda protocol: tuple(dict.fromkeys(PROPERTIES[name] for name in play(protocol)))


def ran(scenario: PluginScenario) -> Play:
    """A scenario that is run as it is."""
    return lambda protocol: numbers(run(replace(scenario, protocol=protocol)).violations)


def mysticeti(id_: str, kind: str, plugin: type[Mysticeti], removed: str, expected: str,
              play: Play) -> Mutant:  # fmt: skip
    return Mutant(f"{id_}-mysticeti", "mysticeti", kind, removed, tuple(expected.split()),
                  plugin=plugin, base=Mysticeti, play=play)  # fmt: skip


def rule(id_: str, plugin: type[Mysticeti], removed: str) -> Mutant:
    """A decision rule, with its drawing."""
    play = {**mr.DIRECT, **mr.INDIRECT}[plugin]
    return mysticeti(id_, "safety", plugin, removed, "P1", agrees(play))


MYSTICETI = (
    rule("Z1", m.CertifiesByTwo, "certificate pattern: 2f+1 votes"),
    rule("D1m", m.CountsBlocks, "direct rule: validators are counted, not an equivocator's blocks"),
    rule("D2m", m.CommitsByOne, "direct rule: 2f+1 certificates commit"),
    rule("G1", m.SkipsByTwo, "skip pattern: 2f+1 do not vote for the leader's block"),
    rule("G2", m.AnchorsTooSoon, "indirect rule: the anchor is of a round after the slot's wave"),
    rule("G3", m.LooksBesideTheAnchor, "indirect rule: only the anchor's history counts"),
    rule("G4", m.LeapsOverAnchors, "indirect rule: the first anchor not skipped, once decided"),
    rule("G5", m.LeapsOverSlots, "slots are decided in order"),
    rule("G6", m.TakesFewParents, "a block refers to 2f+1 blocks of the round before"),
    mysticeti("D3m", "safety", m.ForgetsByItsClock, "how far back a sub-DAG goes is agreed on",
              "P1", agrees(ms.all_at_once)),
    mysticeti("D6m", "safety", m.OrdersByArrival, "the order in a sub-DAG follows from its blocks",
              "P1", agrees(ms.in_any_order)),
    mysticeti("G7", "safety", m.OrdersTwice, "what an earlier block brought is not decided again",
              "P7", ran(ms.FAIR)),
    mysticeti("G8", "safety", m.AcceptsOrphans, "a block is accepted once its ancestors are",
              "P19", holds("breakdown", ms.orphans)),
    mysticeti("G9", "liveness", m.BelievesReferences, "a reference says the author and round of "
              "what it names", "P10", goes_on(ms.shifted)),
    mysticeti("Z13", "safety", m.ForgetsBlocks, "what an own block refers to is durable with it",
              "P10", reported(ms.crash_of_all)),
    mysticeti("Z9", "safety", m.ProposesTwice, "one block a round, also across restarts", "P14",
              ran(ms.RESTART)),
    # No fork: whatever a peer calls decided, its blocks alone decide.
    mysticeti("D2", "plumbing", m.BelievesDecisions, "a peer's decision is judged by its blocks",
              "P15", refuses(ms.told_a_lie)),
    mysticeti("D3", "safety", m.NeverValidates, "a block is accepted once its payload is valid",
              "P6", reported(ms.invalid_payloads)),
    mysticeti("L3", "liveness", m.NeverSaysAgain, "the last block goes out again while one waits",
              "P10", goes_on(ms.first_copies_lost)),
    mysticeti("L9", "liveness", m.WaitsForLeaders, "a leader is waited for no longer than a timer",
              "P10", goes_on(ms.dead_leader)),
    mysticeti("G10", "liveness", m.KeepsOneTwin, "a decision may be made of either block of an "
              "equivocator", "P10", goes_on(ms.told_of_a_twin)),
    mysticeti("G11", "liveness", m.JudgesAll, "what brings nothing any more need not be judged",
              "P10", lambda protocol: tuple(dict.fromkeys(ms.cut_off(protocol)))),
    mysticeti("G12", "safety", m.ProvesTooSoon, "what is left of a sub-DAG is decided once there "
              "are blocks that prove it", "P4", ran(ms.HALF_CERTIFIED)),
    mysticeti("G13", "liveness", m.KeepsUnjudged, "a block that nobody can judge is given up",
              "P10", lambda protocol: tuple(dict.fromkeys(ms.lost_payload(protocol)))),
    mysticeti("G14", "liveness", m.AnswersAlways, "a peer is sent a block once in half a timeout",
              "P16", lambda protocol: ("P16",) if ms.times_answered(protocol, 0, 9) > 1 else ()),
    mysticeti("G15", "liveness", m.LeavesToBeJudged, "what is waited for no longer is judged no "
              "more", "P10", lambda protocol: tuple(dict.fromkeys(ms.passed_unjudged(protocol)))),
    mysticeti("G16", "liveness", m.OnlyVotersGiveUp, "who only follows gives up, too",
              "P10", lambda protocol: tuple(dict.fromkeys(ms.follows_unjudged(protocol)))),
    mysticeti("G17", "liveness", m.JudgesTheUnknown, "a block is judged once what it builds on is "
              "decided here", "P10", goes_on(ms.judged_once_it_can_be)),
    mysticeti("G18", "liveness", m.KeepsRefusing, "what was refused is accepted once it brings "
              "nothing", "P10", goes_on(ms.refused_and_old)),
    mysticeti("G19", "safety", m.BelievesHeights, "a payload counts if its block says right "
              "at which height it builds", "P6", holds("validity", ms.tells_a_false_height)),
    mysticeti("T1", "time", m.StampsByTheLatest, "time is that of the f+1st latest author",
              "P3", lambda protocol: ("P3",) if any(ms.clocks_ahead(protocol, 2)) else ()),
    mysticeti("T1a", "time", m.JudgesEveryTime, "a block waits for no clock",
              "P10", lambda protocol: tuple(dict.fromkeys(ms.leapt_clock(protocol)))),
    mysticeti("L11", "liveness", m.NeverAsks, "a missing ancestor is asked for", "P10",
              goes_on(ms.one_unheard)),
    mysticeti("D6", "liveness", m.NeverSleeps, "an idle ledger is quiet", "P10",
              goes_on(ms.is_quiet)),
    mysticeti("D6a", "liveness", m.NeverWakes, "`on_pending` ends the silence", "P10",
              goes_on(ms.is_quiet)),
)  # fmt: skip
