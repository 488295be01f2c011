"""Documents under the simulator's worst, and an oracle that sees every broken rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.registry import protocol_named
from ledger.applications import documents
from sim.faults import draw_scenario
from sim.run import Run
from sim.scenario import Scenario
from tests.sim.fixed_leader import FixedLeader
from tests.sim.planted import FAIR

WRITING = replace(
    FAIR,
    quiet_ms=1_000,
    load=replace(FAIR.load, transactions=80, interval_ms=200, documents=900),
)


def run_of(seed: int) -> Run:
    """A run in fair weather."""
    return Run(replace(WRITING, seed=seed), FixedLeader)


def test_in_fair_weather_acts_end_as_the_oracle_says() -> None:
    run = run_of(3)

    report = run.lead()

    papers = run.documents.after[-1]
    assert report.is_sound, report.violations
    assert run.documents.done > 20
    assert set(run.documents.refused) == {
        f"document.{rule}"
        for rule in ("unknown", "gone", "owner", "previous", "retention", "retained")
    }
    assert any(row[5] for row in papers.documents.values())
    assert max(number for _, number in papers.versions) > 2


@pytest.mark.parametrize(("seed", "name"), [(3, "tendermint"), (7, "jolteon"), (11, "tendermint")])
def test_documents_are_alike_under_crashes_loss_partitions_and_attackers(
    seed: int, name: str
) -> None:
    drawn = draw_scenario(seed, name, 4)
    scenario: Scenario = replace(drawn, load=replace(drawn.load, transactions=20, documents=900))
    run = Run(scenario, protocol_named(name))

    report = run.lead()

    assert report.is_sound, report.violations
    assert run.documents.done > 0


@pytest.mark.parametrize("attack", ["equivocating", "selective+delaying", "mutating"])
def test_documents_are_alike_beside_an_attacker(attack: str) -> None:
    scenario = replace(
        draw_scenario(5, "tendermint", 4),
        load=replace(WRITING.load, transactions=16),
        attacks=((2, attack),),
        incidents=(),
    )
    run = Run(scenario, protocol_named("tendermint"))

    report = run.lead()

    assert report.is_sound, report.violations
    assert run.documents.done > 0


def test_administrators_are_those_of_the_members_where_these_change() -> None:
    load = replace(WRITING.load, identity=400)
    run = Run(replace(WRITING, load=load), FixedLeader)

    report = run.lead()

    assert report.is_sound, report.violations
    assert run.documents.done > 5
    assert run.identity.made > 0


def nothing(*_: object) -> None:
    """A rule that asks for nothing."""


@pytest.mark.parametrize(
    "rule",
    [
        "require_alive",
        "require_owner",
        "require_owner_or_administrator",
        "require_latest",
        "require_retention_kept",
        "require_retention_over",
    ],
)
def test_a_broken_rule_is_found(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    monkeypatch.setattr(documents, rule, nothing)

    assert any(
        {violation.property for violation in run_of(seed).lead().violations} == {"P22"}
        for seed in range(1, 5)
    )
