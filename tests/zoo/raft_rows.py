"""The mutants of Raft, each with the rule that it lacks and its saved schedule.

Raft bears crashes and no liar, so only schedules without one count, and to believe a lie, such as a
decision without proof, is no row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus.protocols.raft import Raft
from sim.plugins import PluginReport
from tests.consensus import mutants_raft as r
from tests.consensus import raft_schedules as rs
from tests.zoo.model import PROPERTIES, Mutant, Play, numbers


def reported(play: Callable[[Any], PluginReport]) -> Play:
    """A schedule that ends with a report."""
    return lambda protocol: numbers(play(protocol).violations)


def goes_on(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether anything is decided."""
    return lambda protocol: () if play(protocol) else (PROPERTIES["liveness"],)


def raft(id_: str, kind: str, plugin: type[Raft], removed: str, expected: str,
         play: Play | None = None, **more: Any) -> Mutant:  # fmt: skip
    return Mutant(f"{id_}-raft", "raft", kind, removed, tuple(expected.split()),
                  plugin=plugin, base=Raft, play=play, **more)  # fmt: skip


RAFT = (
    raft("Z1", "safety", r.CountsOneTooFew, "3.5: a quorum has stored what is committed", "P4",
         reported(rs.one_entry)),
    raft("R1", "safety", r.VotesForAnyLog, "3.6.1: no vote for a log that is behind the own", "P1",
         reported(rs.shorter_log)),
    raft("R2", "safety", r.ComparesLengths, "3.6.1: the later last term wins, then the length",
         "P1", reported(rs.longer_log_of_earlier_terms)),
    raft("R3", "safety", r.VotesTwice, "figure 3.1: one vote a term", "P1 P14",
         reported(rs.two_candidates)),
    raft("R4", "safety", r.LeadsByItself, "3.4: votes of a quorum make a leader", "P1",
         reported(rs.self_appointed)),
    raft("R5", "safety", r.FollowsOldLeaders, "3.5: entries of an earlier term are refused", "P1",
         reported(rs.old_leader)),
    raft("R6", "safety", r.ForgetsItsLog, "figure 3.1: the log is durable before the response",
         "P1", reported(rs.restart_of_all_others)),
    raft("R7", "safety", r.AcceptsAnywhere, "3.5: an entry goes on where a log can end", "P1",
         equivalent="argued, not proven: what is offered is dropped with its term, a value is "
         "judged only once its ancestors are here, and no leader skips an index"),
    raft("R8", "safety", r.CutsItsLog, "3.5: an entry that comes late cuts nothing off the log",
         "P1", reported(rs.overtaken_entry)),
    raft("L9", "liveness", r.NeverStands, "3.4: whose election timer ends becomes a candidate",
         "P10", goes_on(rs.first_copies_lost)),
    raft("L3", "liveness", r.NeverAsksAgain, "3.5: requests go out again until they are answered",
         "P10", goes_on(rs.first_copies_lost)),
    raft("R9", "liveness", r.LeadsForEver, "6.2: a leader that finds no quorum makes way", "P10",
         lambda protocol: tuple(
             violation.property for violation in rs.leap_of_the_leader(protocol).violations)),
    raft("R10", "liveness", r.TakesItsOwn, "a leader's entry is in its log once it is in another",
         "P10", lambda protocol: tuple(
             violation.property
             for violation in rs.leap_with_nobody_to_spare(protocol).violations)),
    raft("L2", "liveness", r.TimerOfEveryTerm, "figure 3.1: only the leader, or a vote, puts off "
         "the next election", "P10", reported(rs.fast_clock)),
)  # fmt: skip
