"""Signatures that prove something, in virtual time: whole networks, judged like any other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.registry import protocol_named
from ledger.keys import REAL_SCHEMES
from sim.fork import fork_scenario
from sim.run import Run
from sim.scenario import Incident, Load
from tests.sim.fixed_leader import FixedLeader
from tests.sim.planted import FAIR


@pytest.mark.parametrize("scheme", REAL_SCHEMES)
@pytest.mark.parametrize(
    "load",
    [
        Load(transactions=60, interval_ms=200, identity=800),
        Load(transactions=20, interval_ms=200, payments=700),
        Load(transactions=20, interval_ms=200, documents=700),
    ],
    ids=["identity", "payments", "documents"],
)
def test_all_applications_end_as_their_oracles_say(scheme: str, load: Load) -> None:
    run = Run(replace(FAIR, quiet_ms=1_000, load=load), FixedLeader, scheme=scheme)

    report = run.lead()

    assert report.is_sound, report.violations
    assert run.identity.rotated > 0 or not load.identity
    assert run.payments.paid > 0 or not load.payments
    assert run.documents.done > 0 or not load.documents


@pytest.mark.parametrize("scheme", REAL_SCHEMES)
def test_members_change_beside_a_validator_with_a_twin(scheme: str) -> None:
    load = Load(transactions=60, interval_ms=200, identity=800)
    lied = replace(FAIR, protocol="jolteon", twins=(1,), load=load, bound_ms=None)
    run = Run(lied, protocol_named("jolteon"), scheme=scheme)

    report = run.lead()

    assert run.liars
    assert not run.is_beyond
    assert report.is_sound, report.violations
    assert run.identity.made > 0


@pytest.mark.parametrize("scheme", REAL_SCHEMES)
def test_each_past_of_a_fork_is_judged_by_itself(scheme: str) -> None:
    run = Run(fork_scenario(2, "jolteon", 4), protocol_named("jolteon"), scheme=scheme)

    report = run.lead()

    assert run.is_beyond
    assert run.forks.forked_height
    assert report.is_sound, report.violations


@pytest.mark.parametrize(
    "protocol",
    [
        "solo",
        "tendermint",
        "jolteon",
        "hotstuff",
        "streamlet",
        "simplex",
        "pbft",
        "mysticeti",
        "raft",
    ],
)
def test_statements_of_ml_dsa_65_are_kept_over_restarts(protocol: str) -> None:
    """A leader is down until others lead, and then everybody restarts."""
    down = Incident("crash", 500, 3_000, (0,)), Incident("crash", 3_200, 3_400, (0, 1, 2, 3))
    scenario = replace(
        FAIR, protocol=protocol, incidents=down, stable_ms=3_500, quiet_ms=1_000,
        crash_only=protocol == "raft",
    )  # fmt: skip

    report = Run(scenario, protocol_named(protocol), scheme="ml-dsa-65").lead()

    assert report.is_sound, report.violations
    assert report.confirmed == report.wishes > 0
