"""The mutants of PBFT, each with the rule that it lacks and its saved schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus.protocols.pbft import Pbft
from sim.plugins import PluginReport
from tests.consensus import mutants_pbft as p
from tests.consensus import test_pbft_liveness as pl
from tests.consensus import test_pbft_safety as ps
from tests.zoo.model import PROPERTIES, Mutant, Play, numbers


def reported(play: Callable[[Any], PluginReport]) -> Play:
    """A schedule that ends with a report."""
    return lambda protocol: numbers(play(protocol).violations)


def goes_on(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether all is well."""
    return lambda protocol: () if play(protocol) else (PROPERTIES["liveness"],)


def pbft(id_: str, kind: str, plugin: type[Pbft], removed: str, expected: str,
         play: Play | None = None, **more: Any) -> Mutant:  # fmt: skip
    return Mutant(f"{id_}-pbft", "pbft", kind, removed, tuple(expected.split()),
                  plugin=plugin, base=Pbft, play=play, **more)  # fmt: skip


PBFT = (
    pbft("Z1", "safety", p.SmallQuorum, "4.2: 2f+1 votes make a certificate", "P1",
         reported(ps.two_halves), easy="twins"),
    pbft("Z2", "safety", p.CountsMessages, "a vote is counted once a signer", "P1 P4",
         reported(ps.one_vote_thrice)),
    pbft("Z14", "safety", p.IgnoresPrepared, "4.4: a new view assigns again what was prepared",
         "P1", reported(ps.decided_by_one)),
    pbft("Z15", "safety", p.OmitsPrepared, "4.4: a view change says what was prepared", "P1",
         reported(ps.decided_by_one)),
    pbft("Z16", "safety", p.PicksLowest, "4.4: of what was prepared the highest view counts", "P1",
         reported(ps.prepared_twice)),
    pbft("Z17", "safety", p.ChangesOnFew, "4.4: 2f+1 view changes open a view", "P1",
         reported(ps.few_ask)),
    pbft("Z19", "safety", p.ForgetsPrepared, "what was prepared is durable before the commit",
         "P1", reported(ps.prepared_before_a_restart)),
    pbft("Z12", "safety", p.CommitsAfterLeaving, "4.4: who asks for a view stops in earlier ones",
         "P1", reported(ps.committed_after_leaving)),
    pbft("Z5", "safety", p.BelievesNewView, "4.4: what a new view claims is proven", "P1",
         reported(ps.false_claim)),
    pbft("D1", "safety", p.DecidesOnPrepared, "4.2: only commits decide", "P1",
         reported(ps.only_prepared)),
    pbft("D1a", "safety", p.HandsOverAny, "what stands on a replaced value orders nothing", "P2",
         reported(ps.gap)),
    pbft("D2", "safety", p.BelievesDecisions, "a peer's decision is judged by its proof", "P1",
         reported(ps.false_decision)),
    pbft("D3", "safety", p.NeverValidates, "4.2: only a valid value is prepared", "P6",
         reported(ps.bad_payloads)),
    pbft("L2", "liveness", p.NeverJoins, "4.5.2: f+1 that ask for a view are joined", "P10",
         goes_on(pl.two_know_of_work)),
    pbft("L3", "liveness", p.NeverSendsAgain, "what may be lost is sent again", "P10",
         goes_on(pl.all_lost_once)),
    pbft("L3a", "liveness", p.NeverHelps, "who asks again for a view is sent what it lacks", "P10",
         goes_on(pl.cut_off_while_others_decide)),
    pbft("L3b", "liveness", p.NeverReminds, "who votes again on what is decided is sent the proof",
         "P10", goes_on(pl.missed_commits)),
    pbft("L8", "liveness", p.NeverGrows, "4.5.2: the timer doubles", "P10",
         goes_on(pl.slow_links)),
    pbft("L9", "liveness", p.WaitsForNewView, "4.4: the timer runs in a change of view, too",
         "P10", goes_on(pl.two_dead_primaries)),
    pbft("L11", "liveness", p.NeverFetches, "4.4: a value that is missing is fetched", "P10",
         goes_on(pl.missed_pre_prepare)),
    pbft("L11a", "liveness", p.OffersNothing, "4.4: what was voted for can be had from the voters",
         "P10", goes_on(pl.left_to_the_voters)),
    pbft("L12", "liveness", p.JudgesForEver, "what earlier views left is judged no more", "P10",
         goes_on(pl.left_unjudged)),
    pbft("L13", "liveness", p.AnswersAlways, "who asks again is answered once in half a retry",
         "P16", lambda protocol: () if pl.asks_without_end(protocol) else ("P16",)),
    pbft("V2", "liveness", p.NeverSuspects, "a primary that starves a batch is replaced", "P10",
         goes_on(pl.starving)),
    pbft("V1", "liveness", p.BelievesBases, "4.4: a base is believed once it is decided here",
         "P10", goes_on(pl.false_base)),
    pbft("D6", "liveness", p.NeverRests, "an idle ledger is quiet", "P10", goes_on(pl.idle)),
)  # fmt: skip
