"""Drawn scenarios that once broke something, kept by what they broke."""

from __future__ import annotations

import pytest

from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from consensus.registry import protocol_named
from sim.faults import draw_scenario
from sim.run import run


def test_validators_that_lost_each_others_votes_do_not_stay_split_over_rounds() -> None:
    # What stopped them is a schedule in tests/consensus/test_tendermint_liveness.py.
    assert run(draw_scenario(30_311, "tendermint", 4), Tendermint).violations == ()


@pytest.mark.parametrize("seed", [50_437, 50_835, 50_858, 50_876])
def test_a_batch_that_comes_again_late_does_not_cost_a_stored_block_its_body(seed: int) -> None:
    assert run(draw_scenario(seed, "solo", 4), Solo).violations == ()


def test_a_block_that_a_failing_disk_kept_counts_as_stored() -> None:
    assert run(draw_scenario(654, "solo", 4), Solo).violations == ()


@pytest.mark.parametrize(
    ("protocol", "seed"), [("tendermint", 297), ("tendermint", 546), ("solo", 778)]
)
def test_a_slow_machine_with_slow_jobs_is_done_when_both_have_ended(
    protocol: str, seed: int
) -> None:
    assert run(draw_scenario(seed, protocol, 4), protocol_named(protocol)).violations == ()
