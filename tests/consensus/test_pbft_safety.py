"""Schedules that break PBFT with one rule missing, and do nothing to PBFT itself.

Each is played twice: the mutant must break the property that its rule protects, and the protocol as
it is must keep every property and decide in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.interface import Decide, DecisionProof
from consensus.protocols.pbft import Pbft
from consensus.protocols.pbft_messages import (
    PREPARE,
    VIEW_CHANGE,
    Commit,
    NewView,
    Prepare,
    ViewChange,
)
from ledger.certificate import Certificate, TimeoutCertificate
from sim.plugins import PluginReport, draw_scenario, run
from tests.consensus import mutants_pbft as mutants
from tests.consensus.pbft_stage import NAMES, OTHER_PAYLOAD, PAYLOAD, Stage

Play = Callable[[type[Pbft]], PluginReport]
DECIDED_BY_ONE = {
    "pre-prepare 0": "BCZ<A",
    "prepare 0": "A<BZ B<AZ Z<AB",
    "commit 0": "A<BZ",
    "view 1": "BCz",
}
"""X is prepared at A, B and Z; A alone hears the commits, decides, and is cut off."""


def two_halves(protocol: type[Pbft]) -> PluginReport:
    """Z1: Z assigns 1 to X at A, z to Y at B and C: three of four may decide, two must not."""
    payloads = {"AZ": (PAYLOAD,), "BCz": (OTHER_PAYLOAD,)}
    return Stage(protocol, "Z", {"view 0": "AZ BCz"}, payloads=payloads).heal()


def one_vote_thrice(protocol: type[Pbft]) -> PluginReport:
    """Z2: the liar assigns 1 to X at A alone and votes for it twice; the others decide Y."""
    payloads = {"AZ": (PAYLOAD,), "BCz": (OTHER_PAYLOAD,)}
    stage = Stage(protocol, "Z", {"view 0": "AZ BCz"}, payloads=payloads)
    stage.until(lambda: stage.plugin("A").log.proposal((1, 0)))
    x = stage.plugin("A").log.proposal((1, 0))
    assert x is not None
    for vote in (Prepare, Commit):
        for _ in range(2):
            stage.inject(3, vote(1, 0, x.digest), 0)
        stage.run_ms(50)
    return stage.heal()


def decided_by_one(protocol: type[Pbft]) -> PluginReport:
    """Z14, Z15, Z17: A decided X and B prepared it; C opens view 1, and z knows nothing."""
    return Stage(protocol, "AC", DECIDED_BY_ONE).heal()


def few_ask(protocol: type[Pbft]) -> PluginReport:
    """Z17: A decided X; C, which prepared nothing, hears of view changes only the liar's."""
    plan = {**DECIDED_BY_ONE, "view 1": "", "view-change 1": "C<z B<Cz", "new-view 1": "Bz<C"}
    more = {"pre-prepare 1": "BCz", "prepare 1": "BCz", "commit 1": "BCz", "view 2": "BCz"}
    return Stage(protocol, "AC", {**plan, **more}).heal()


def prepared_twice(protocol: type[Pbft]) -> PluginReport:
    """Z16: X is prepared in view 0 at C alone; A decides Y in view 1, where B and Z prepare it; C
    opens view 2 with B and z."""
    plan = {
        "pre-prepare 0": "BCZ<A",
        "prepare 0": "C<BZ",
        "view-change 1": "B<AZ C<ABZ",
        "new-view 1": "AZ<B",
        "pre-prepare 1": "AZ<B",
        "prepare 1": "A<BZ B<AZ Z<AB",
        "commit 1": "A<BZ",
        "view 2": "BCz",
    }
    return Stage(protocol, "ABC", plan).heal()


def prepared_before_a_restart(protocol: type[Pbft]) -> PluginReport:
    """Z19: A decided X; B starts again before it says what it prepared."""
    stage = Stage(protocol, "AC", DECIDED_BY_ONE)
    stage.until(lambda: stage.seat("A").durable)
    stage.restart_seat("B")
    return stage.heal()


def committed_after_leaving(protocol: type[Pbft]) -> PluginReport:
    """B asked for view 1 before it heard the last prepare for X, on whose commit A waits."""
    plan = {**DECIDED_BY_ONE, "prepare 0": "A<BZ Z<AB"}
    stage = Stage(protocol, "AC", plan)
    stage.until(lambda: stage.plugin("B").asked)
    x = stage.plugin("B").log.proposal((1, 0))
    assert x is not None
    stage.inject(3, Prepare(1, 0, x.digest), 1)
    return stage.heal()


def only_prepared(protocol: type[Pbft]) -> PluginReport:
    """A alone sees X prepared; the others go on without it."""
    plan = {**DECIDED_BY_ONE, "prepare 0": "A<BZ", "commit 0": ""}
    return Stage(protocol, "AC", plan).heal()


def false_claim(protocol: type[Pbft]) -> PluginReport:
    """A decided X, B prepared it; the liar opens view 1 with a claim of its own for Y."""
    plan = {**DECIDED_BY_ONE, "view 1": "", "view-change 1": "Z<BC"}
    stage = Stage(protocol, "AZ", plan)
    stage.until(lambda: stage.seat("A").durable and stage.plugin("B").asked)
    stage.until(lambda: {1, 2} <= {one.sender for one in stage.plugin("Z").changes.of_view(1)})
    changes = {one.sender: one for one in stage.plugin("Z").changes.of_view(1)}
    x = stage.plugin("B").prepared[1].value
    y = next(
        value
        for value in (replace(stage.value((1, 0)), timestamp_ms=ms) for ms in range(1_000))
        if value.digest > x
    )
    changes[3] = stage.sign(3, ViewChange(1, 0, (Certificate(PREPARE, (1, 0), y.digest, ()),)))
    ordered = [changes[index] for index in (1, 2, 3)]
    entries = tuple((one.sender, one.message.statement()[2], one.signature) for one in ordered)
    reports = tuple(one.message.report for one in ordered if isinstance(one.message, ViewChange))
    asked = TimeoutCertificate(VIEW_CHANGE, (1,), entries)
    stage.inject(3, NewView(1, asked, reports, ()), 1, 2)
    for name in "BC":
        stage.seat(name).hold(y.payload)
        stage.plugin(name).log.learn_value(y)
    stage.run_ms(20)
    for vote in (Prepare(1, 1, y.digest), Commit(1, 1, y.digest)):
        stage.inject(3, vote, 1, 2)
        stage._pairs.update({(type(vote), 1, 0): {(1, 2), (2, 1)}})
    return stage.heal()


def gap(protocol: type[Pbft]) -> PluginReport:
    """The second of two values in flight is prepared, the first is not and gives way to null."""
    plan = {"pre-prepare 0": "BCZ<A", "prepare 0:2": "B<CZ", "view 1": "ABCZ", "view 2": "ABCZ"}
    payloads = {NAMES: (PAYLOAD, OTHER_PAYLOAD)}
    stage = Stage(protocol, "AC", plan, payloads=payloads)
    stage.until(lambda: stage.plugin("B").said("commit", (2, 0)))
    return stage.heal()


def false_decision(protocol: type[Pbft]) -> PluginReport:
    """A decided X; a liar hands Y to B as a decision, with the certificate for X."""
    stage = Stage(protocol, "AC", DECIDED_BY_ONE)
    stage.until(lambda: stage.seat("A").durable)
    decision = stage.seat("A").decisions[0][1]
    y = stage.value((1, 0))
    stage.seat("B").hear_decision(Decide((y,), DecisionProof(decision.proof.certificates)))
    return stage.heal()


def bad_payloads(protocol: type[Pbft]) -> PluginReport:
    return run(replace(draw_scenario(protocol, 3), bad=500, attacks=((0, "delaying"),)))


SCHEDULES: list[tuple[Play, type[Pbft], str]] = [
    (two_halves, mutants.SmallQuorum, "agreement"),
    (one_vote_thrice, mutants.CountsMessages, "agreement"),
    (decided_by_one, mutants.IgnoresPrepared, "agreement"),
    (decided_by_one, mutants.OmitsPrepared, "agreement"),
    (prepared_twice, mutants.PicksLowest, "agreement"),
    (few_ask, mutants.ChangesOnFew, "agreement"),
    (prepared_before_a_restart, mutants.ForgetsPrepared, "agreement"),
    (committed_after_leaving, mutants.CommitsAfterLeaving, "agreement"),
    (only_prepared, mutants.DecidesOnPrepared, "agreement"),
    (false_claim, mutants.BelievesNewView, "agreement"),
    (gap, mutants.HandsOverAny, "prefix"),
    (false_decision, mutants.BelievesDecisions, "agreement"),
    (bad_payloads, mutants.NeverValidates, "validity"),
]


@pytest.mark.parametrize(
    ("play", "mutant", "broken"),
    SCHEDULES,
    ids=[f"{play.__name__}-{mutant.__name__}" for play, mutant, _ in SCHEDULES],
)
def test_the_schedule_breaks_the_mutant_and_not_the_protocol(
    play: Play, mutant: type[Pbft], broken: str
) -> None:
    assert broken in play(mutant).properties

    report = play(Pbft)

    assert report.violations == ()
    assert report.decided
