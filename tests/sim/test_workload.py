"""Clients that do everything wrong: each is refused, or changes nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from ledger.errors import DecodeFault
from ledger.transaction import parse_transaction
from sim.run import Run
from sim.scenario import Load
from sim.workload import _with_wrong_signature
from tests.sim.fixed_leader import FixedLeader
from tests.sim.planted import FAIR

QUIET = Load(transactions=12, interval_ms=300, duplicates=0, twice_signed=0, unsound=0, split=0,
             echoes=0)  # fmt: skip


def lead(load: Load) -> Run:
    world = Run(replace(FAIR, load=load), FixedLeader)
    report = world.lead()
    assert report.violations == ()
    assert report.confirmed == 12
    return world


def test_clients_that_do_nothing_wrong_are_never_refused() -> None:
    world = lead(QUIET)

    assert world.clients.refused == 0
    assert world.clients.submitted == 12


def test_what_is_confirmed_and_comes_again_is_not_executed_again() -> None:
    world = lead(replace(QUIET, echoes=1_000))

    assert world.clients.submitted == 24
    assert len(world.chain.executed) == 12


def test_a_wrong_signature_under_a_right_id_is_refused_and_spoils_nothing() -> None:
    world = lead(replace(QUIET, split=1_000))
    wish = next(iter(world.clients.wishes.values()))
    forged = _with_wrong_signature(wish.raws[0])

    assert parse_transaction(forged).id == parse_transaction(wish.raws[0]).id
    assert world.clients.refused > 0
    assert len(world.chain.executed) == 12


def test_every_kind_of_unsound_transaction_is_made_and_refused() -> None:
    world = lead(replace(QUIET, unsound=1_000))
    assert world.clients.refused == 12

    clients, reasons = world.clients, set()
    clients.draw = Random(1)
    for number in range(200):
        try:
            parse_transaction(clients._unsound(clients.members[0], number))
        except DecodeFault as fault:
            reasons.add(fault.reason)
        else:
            reasons.add("well-formed")
    assert {"well-formed", "transaction.size", "transaction.malformed"} <= reasons


@pytest.mark.parametrize("raw", [b"", bytes(70_000)])
def test_nothing_and_too_much_are_no_transactions(raw: bytes) -> None:
    with pytest.raises(DecodeFault):
        parse_transaction(raw)
