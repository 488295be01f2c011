"""The mutants of the protocols, each with the rule that it lacks and its saved schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus.interface import Consensus, Decide, DecisionProof
from consensus.pacemaker_messages import PROPOSAL, TIMEOUT
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from sim.plugins import PluginReport, PluginScenario, draw_scenario, run
from tests.consensus import mutants_jolteon as j
from tests.consensus import mutants_tendermint as t
from tests.consensus import test_jolteon_liveness as jl
from tests.consensus import test_jolteon_schedules as js
from tests.consensus import test_tendermint_liveness as tl
from tests.consensus import test_tendermint_safety as ts
from tests.consensus.harness import Stage as TendermintStage
from tests.consensus.jolteon_stage import NOBODY
from tests.consensus.jolteon_stage import Stage as JolteonStage
from tests.zoo import strategies
from tests.zoo.model import PROPERTIES, Mutant, Play, Test, numbers


def reported(play: Callable[[Any], PluginReport]) -> Play:
    """A schedule that ends with a report."""
    return lambda protocol: numbers(play(protocol).violations)


def staged(play: Callable[[Any], Any]) -> Play:
    """A schedule that ends with a stage."""
    return lambda protocol: numbers(play(protocol).report().violations)


def goes_on(play: Callable[[Any], bool]) -> Play:
    """A schedule that says whether anything is decided."""
    return lambda protocol: () if play(protocol) else (PROPERTIES["liveness"],)


def kept(strategy: str, number: int) -> Play:
    """What a strategy drew once under this number."""

    def play(protocol: type[Consensus]) -> tuple[str, ...]:
        return strategies.broken_by(strategy, protocol, number)

    return play


def drawn(draw: Callable[[type[Consensus]], PluginScenario]) -> Play:
    """A scenario that a seed was kept of."""
    return lambda protocol: numbers(run(draw(protocol)).violations)


def missed_proposal(protocol: type[Tendermint]) -> tuple[str, ...]:
    """C hears every vote and no proposal, and nobody hands decisions over."""
    votes = {"prevote 0": "ABCZ", "precommit 0": "ABCZ", "proposal 0": "AZ<B"}
    stage = TendermintStage(protocol, "", votes, PluginScenario(protocol, exchange_ms=0))
    stage.until(lambda: stage.seat("A").durable)
    stage.run_ms(5_000)
    return () if stage.seat("C").durable else (PROPERTIES["liveness"],)


def false_decision(protocol: type[Tendermint]) -> tuple[str, ...]:
    """Only Z sees a polka for X and hands it to B as a decision; the others decide Y."""
    plan = {
        "proposal 0": "AB<Z",
        "prevote 0": "Z<AB A<BC C<AB z<AC",
        "precommit 0": "A<Cz C<Az z<AC",
        "round 1": "ACz",
    }
    stage = TendermintStage(protocol, "Zz", plan)
    stage.until(lambda: stage.plugin("Z").valid)
    valid = stage.plugin("Z").valid
    assert valid is not None
    decision = Decide((valid.value,), DecisionProof((valid.polka,)))
    stage.seat("B").hear_decision(decision)
    stage.run_ms(10)
    return numbers(stage.heal().violations)


def false_jolteon_decision(protocol: type[Jolteon]) -> JolteonStage:
    """A alone has the qc of b1; a liar hands b1 to B as decided; the others go on without it."""
    a, b, c = 0, 1, 2
    others = {view: (3, c)[view % 2] for view in range(3, 40)}
    stage = JolteonStage(protocol, {1: b, 2: a, **others})
    stage.plan(PROPOSAL, (2,), *NOBODY)
    stage.plan(TIMEOUT, range(40), (b, c, 3))
    stage.until(lambda: stage.jolteon(a).safety.high_qc)
    qc, b1 = stage.jolteon(a).safety.high_qc, stage.proposed(b, 1)
    assert qc is not None
    stage.until_view(3, b, c, 3)
    stage.seats[b].hear_decision(Decide((b1,), DecisionProof((qc,), (b1,))))
    stage.until(lambda: stage.broken or stage.seats[c].durable)
    stage.run_ms(300)
    return stage


def tendermint(id_: str, kind: str, plugin: type[Tendermint], removed: str, expected: str,
               play: Play | None = None, **more: Any) -> Mutant:  # fmt: skip
    return Mutant(f"{id_}-tendermint", "tendermint", kind, removed, tuple(expected.split()),
                  plugin=plugin, base=Tendermint, play=play, **more)  # fmt: skip


def jolteon(id_: str, kind: str, plugin: type[Jolteon], removed: str, expected: str,
            play: Play | None = None, **more: Any) -> Mutant:  # fmt: skip
    return Mutant(f"{id_}-jolteon", "jolteon", kind, removed, tuple(expected.split()),
                  plugin=plugin, base=Jolteon, play=play, **more)  # fmt: skip


ROUNDS = "tests.schedules.test_rounds"
VALUES = "tests.schedules.test_values"

_ONLY_FASTER = "argued, not proven: the rule only saves time"
TENDERMINT = (
    tendermint("Z1", "safety", t.QuorumOfTwoThirds, "2f+1 votes make a certificate (L36, L49)",
               "P1", reported(ts.two_halves), easy="twins"),
    tendermint("Z2", "safety", t.CountsMessages, "a vote is counted once a signer", "P1 P4",
               reported(ts.one_vote_thrice), easy="twins"),
    tendermint("Z3", "safety", t.IgnoresLock, "L23: a fresh value is prevoted only without a lock "
               "on another", "P1", reported(ts.lock_against_fresh_value)),
    tendermint("Z4", "safety", t.UnlocksByOldPolka, "L29: a polka unlocks only what was locked no "
               "later", "P1", reported(ts.lock_against_older_polka)),
    tendermint("Z5", "safety", t.BelievesValidRound, "L28: a valid round is proven by its polka",
               "P1", reported(ts.lock_against_false_polka)),
    tendermint("Z6", "safety", t.PrecommitsWithoutPolka, "L36: 2f+1 prevotes come before a "
               "precommit", "P1 P14", reported(ts.precommit_without_polka), easy="swarm"),
    tendermint("Z7", "safety", t.ForgetsLock, "the lock is durable before the precommit leaves",
               "P1", reported(ts.lock_across_restart)),
    tendermint("Z7a", "safety", t.ForgetsRound, "a restart goes on where the last statement was "
               "made", "P14", reported(ts.round_across_restart), easy="mutation"),
    tendermint("D1", "safety", t.DecidesOnPolka, "L49: only precommits decide", "P1",
               reported(ts.polka_is_no_decision)),
    tendermint("D2", "safety", t.BelievesDecisions, "a peer's decision is judged by its proof",
               "P1", false_decision),
    tendermint("D3", "safety", t.NeverValidates, "L23: only a valid value is prevoted", "P6",
               easy="mutation",
               play=drawn(lambda protocol: ts.replace(draw_scenario(protocol, 3), bad=500))),
    tendermint("D4", "liveness", t.StampsAnew, "a re-proposal carries the same bytes", "P10",
               test=Test(VALUES, "test_a_locked_value_is_proposed_again_with_the_same_bytes")),
    tendermint("D5", "liveness", t.SilencesLiars, "an equivocator is accused and still counted",
               "P10", test=Test(ROUNDS,
               "test_an_equivocator_is_accused_and_what_it_said_still_counts")),
    tendermint("E1", "evidence", t.AccusesAnyRepetition, "evidence is two different values of one "
               "slot", "P13", easy="swarm",
               play=kept("swarm", 0)),
    tendermint("L1", "liveness", t.NeverProposesAgain, "L15: the valid value is proposed again",
               "P10", reported(tl.two_locks)),
    tendermint("L1a", "liveness", t.NeverUnlocks, "L29: a newer polka opens a lock", "P10",
               reported(tl.two_locks)),
    tendermint("L1b", "liveness", t.ForgetsValidValue, "the valid value is durable", "P10",
               reported(tl.two_locks_and_a_restart)),
    tendermint("L2", "liveness", t.NeverSkips, "L55: f+1 of a later round take one there", "P10",
               reported(tl.left_behind)),
    tendermint("L3", "liveness", t.NeverSendsAgain, "votes are sent again, also after a restart",
               "P10", reported(tl.all_lost_once), easy="swarm"),
    tendermint("L3a", "liveness", t.NeverSaysWhy, "what let a validator enter its round is shown",
               "P10", reported(tl.one_ahead)),
    tendermint("L3b", "liveness", t.NeverSendsEarlierVotes, "votes of earlier rounds are sent to "
               "whoever is still there", "P10", reported(tl.split_over_rounds)),
    tendermint("L8", "liveness", t.NeverGrows, "timeouts grow (L21, L35, L48)", "P10",
               reported(tl.slow_links)),
    tendermint("L9", "liveness", t.MisreadsLine58, "L58: the propose timeout counts in step "
               "propose", "P10", reported(tl.dead_proposer)),
    tendermint("L11", "liveness", t.NeverFetches, "a value that is missing is fetched", "P10",
               missed_proposal),
)  # fmt: skip

JOLTEON = (
    jolteon("Z1", "safety", j.SmallQuorum, "2f+1 votes make a qc", "P1", staged(js.two_halves),
            easy="twins"),
    jolteon("Z2", "safety", j.CountsMessages, "a vote is counted once a signer", "P1 P4",
            staged(js.one_vote_thrice), easy="swarm"),
    jolteon("Z8", "safety", j.VotesForStale, "Vote: the qc is of the view before or a tc says so",
            "P1", staged(js.stale_proposal)),
    jolteon("Z8a", "safety", j.IgnoresTcEntries, "Vote: the qc is as high as any that the tc names",
            "P1", staged(js.stale_proposal_with_tc)),
    jolteon("Z9", "safety", j.VotesTwice, "Vote: r > r_vote", "P1 P14", staged(js.two_proposals),
            easy="twins"),
    jolteon("Z10", "safety", j.CommitsOverGaps, "Commit: the two views are consecutive", "P1",
            staged(js.over_a_gap)),
    jolteon("Z12", "safety", j.VotesAfterTimeout, "Timeout: stop voting in this view", "P1",
            staged(js.voted_after_leaving)),
    jolteon("Z13", "safety", j.ForgetsVotes, "r_vote is durable", "P1 P14",
            staged(js.left_before_a_crash), easy="mutation"),
    jolteon("Z13a", "safety", j.ForgetsLock, "qc_high is durable", "P1",
            staged(js.locked_before_a_crash)),
    jolteon("L4", "safety", j.HidesLock, "timeouts name qc_high, so a tc shows a hidden lock",
            "P1", staged(js.locked)),
    jolteon("D1", "safety", j.CommitsNewestFirst, "values decided together come oldest first",
            "P1 P7 P14 P19", play=kept("twins", 41)),
    jolteon("D2", "safety", j.BelievesDecisions, "a peer's decision is judged by its proof",
            "P1", staged(false_jolteon_decision)),
    jolteon("D3", "safety", j.NeverValidates, "Vote: only for a valid value", "P6", easy="mutation",
            play=kept("mutation", 1)),
    jolteon("E1", "evidence", j.AccusesAnyRepetition, "evidence is two different values of one "
            "slot", "P13", easy="swarm",
            play=kept("swarm", 0)),
    jolteon("L5", "liveness", j.KeepsCertificates, "a tc is broadcast with the highest qc", "P10",
            goes_on(jl.half_a_view_change)),
    jolteon("L6", "liveness", j.ForgetsTc, "the tc that led to a view is durable", "P10",
            kept("plots", 55)),
    jolteon("L8", "liveness", j.NeverWaitsLonger, "timeouts grow", "P10", goes_on(jl.slow_links)),
    jolteon("L11", "liveness", j.NeverFetches, "a missing ancestor is fetched", "P10",
            goes_on(jl.child_before_parent)),
    jolteon("L3", "liveness", j.TimesOutOnce, "a timeout is said again while one waits", "P10",
            kept("swarm", 0)),
    jolteon("L3a", "liveness", j.NeverAnswers, "a timeout of an earlier view is answered", "P10",
            equivalent=f"{_ONLY_FASTER}: a timeout carries the certificate that led to its view, "
            "and whoever has work says it again and again"),
    jolteon("L3b", "liveness", j.VotesTravelOnce, "after the timer the vote goes to everyone",
            "P10", equivalent=f"{_ONLY_FASTER}: a lost certificate costs its view, and of four "
            "leaders in turn three in a row are honest, which is what a decision takes"),
    jolteon("L2", "liveness", j.NeverJoins, "f+1 timeouts are joined", "P10",
            equivalent=f"{_ONLY_FASTER}: whoever has work has a timer of its own, and work reaches "
            "everyone"),
    jolteon("D6", "liveness", j.NeverSleeps, "an idle ledger is quiet", "P10",
            play=drawn(lambda protocol: PluginScenario(protocol, payloads=1, bound_ms=4_000,
                                                       quiet_ms=1_000))),
)  # fmt: skip
