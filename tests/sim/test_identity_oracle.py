"""Changes of members under the simulator's worst, and an oracle that sees every broken rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.registry import protocol_named
from ledger import membership
from ledger.applications import identity
from ledger.applications.identity_body import SUBMITTER
from ledger.applications.identity_state import KeyRow, Register
from sim.faults import draw_scenario
from sim.run import Run
from sim.scenario import Scenario
from tests.sim.fixed_leader import FixedLeader
from tests.sim.planted import FAIR

GOVERNED = replace(
    FAIR,
    quiet_ms=1_000,
    load=replace(FAIR.load, transactions=60, interval_ms=200, identity=800),
)


def run_of(seed: int) -> Run:
    """A run in fair weather."""
    return Run(replace(GOVERNED, seed=seed), FixedLeader)


def test_in_fair_weather_changes_end_as_the_oracle_says() -> None:
    run = run_of(1)

    report = run.lead()

    assert report.is_sound, report.violations
    assert run.identity.made > 2
    assert run.identity.refused > 5
    assert run.identity.rotated > 0
    assert len(run.identity.after[-1].keys) > len(run.identity.after[-1].members) > 3


@pytest.mark.parametrize(("seed", "name"), [(5, "tendermint"), (7, "jolteon")])
def test_members_change_alike_under_crashes_loss_partitions_and_attackers(
    seed: int, name: str
) -> None:
    drawn = draw_scenario(seed, name, 4)
    scenario: Scenario = replace(drawn, load=replace(drawn.load, transactions=20, identity=800))
    run = Run(scenario, protocol_named(name))

    report = run.lead()

    assert report.is_sound, report.violations
    assert run.identity.made > 0


def nothing(*_: object) -> None:
    """A rule that asks for nothing."""


def any_key(register: Register, public_key: bytes) -> KeyRow:
    """The key, in use or not."""
    row = register.key(public_key)
    assert row is not None
    return row


def every_key_submits(register: Register, public_key: bytes) -> tuple[str, ...]:
    """As if a key that is gone were still in use."""
    return (SUBMITTER,) if register.key(public_key) is not None else ()


def one_is_enough(*_: object) -> bool:
    """As if the proposer were alone."""
    return True


def as_counted_once(_: object, approvals: tuple[bytes, ...], threshold: int) -> bool:
    """Whoever's the keys are now."""
    return len(approvals) >= threshold


MUTANTS: list[tuple[object, str, object, str, int]] = [
    (identity, "has_enough_approvals", one_is_enough, "P21", 1),
    (identity, "has_enough_approvals", as_counted_once, "P21", 1),
    (identity, "require_administrator", nothing, "P21", 1),
    (identity, "require_key_in_use", any_key, "P21", 1),
    (membership, "_read", every_key_submits, "P6", 1),
]


@pytest.mark.parametrize(("module", "name", "lenient", "found", "first"), MUTANTS)
def test_a_broken_rule_is_found(
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    name: str,
    lenient: object,
    found: str,
    first: int,
) -> None:
    """In the first seed that is known to meet it, or, since loads change, in one of the next."""
    monkeypatch.setattr(module, name, lenient)

    assert any(
        found in {violation.property for violation in run_of(seed).lead().violations}
        for seed in range(first, first + 4)
    )
