"""Payments under the simulator's worst: the sum stays the total, and the oracle sees where not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from consensus.registry import protocol_named
from ledger.applications import payments
from ledger.applications.interface import Origin, State
from ledger.applications.payments import Payments
from sim.faults import draw_scenario
from sim.run import Run
from sim.scenario import Scenario
from tests.sim.fixed_leader import FixedLeader
from tests.sim.planted import FAIR

PAYING = replace(FAIR, load=replace(FAIR.load, transactions=30, payments=900))


def test_in_fair_weather_payments_apply_and_fail_as_the_oracle_says() -> None:
    run = Run(PAYING, FixedLeader)

    assert run.lead().is_sound
    assert run.payments.paid > 5
    assert run.payments.refused > 2
    assert run.payments.issued[-1] == sum(run.payments.after[-1].values()) > 0


@pytest.mark.parametrize("seed", [3, 7, 11])
@pytest.mark.parametrize("name", ["tendermint", "jolteon"])
def test_the_sum_holds_under_crashes_loss_partitions_and_attackers(seed: int, name: str) -> None:
    protocol = protocol_named(name)
    drawn = draw_scenario(seed, name, 4)
    scenario: Scenario = replace(drawn, load=replace(drawn.load, transactions=16, payments=1000))
    run = Run(scenario, protocol)

    report = run.lead()

    assert report.is_sound, report
    assert run.payments.paid + run.payments.refused >= 16


@pytest.mark.parametrize("attack", ["equivocating", "selective+delaying", "mutating"])
def test_the_sum_holds_beside_an_attacker(attack: str) -> None:
    scenario = replace(
        draw_scenario(5, "tendermint", 4),
        load=replace(PAYING.load, transactions=16, payments=1000),
        attacks=((2, attack),),
        incidents=(),
    )
    run = Run(scenario, protocol_named("tendermint"))

    report = run.lead()

    assert report.is_sound, report
    assert run.payments.paid > 0


@contextmanager
def mutant(name: str) -> Iterator[None]:
    """Payments with one rule broken, as every node would run it."""
    patch = pytest.MonkeyPatch()
    add, take = payments._add, payments._take
    if name == "overdraft":
        patch.setattr(payments, "_take", lambda state, key, amount: take(
            state, key, min(amount, payments.balance_of(state.get(key)))))  # fmt: skip
    elif name == "creates":
        patch.setattr(payments, "_add", lambda state, key, amount: add(state, key, amount + 1))
    elif name == "authority":
        whole = Payments.apply

        def apply(self: Payments, state: State, origin: Origin, body: bytes) -> None:
            whole(self, state, origin._replace(roles=("administrator",)), body)

        patch.setattr(Payments, "apply", apply)
    elif name == "loses":
        patch.setattr(
            payments, "_add", lambda state, key, amount: add(state, key, max(1, amount - 1))
        )
    try:
        yield
    finally:
        patch.undo()


@pytest.mark.parametrize("name", ["overdraft", "creates", "authority", "loses"])
def test_a_broken_rule_is_found(name: str) -> None:
    with mutant(name):
        report = Run(PAYING, FixedLeader).lead()

    assert {violation.property for violation in report.violations} == {"P20"}
