"""Drawn scenarios that once broke something, kept by what they broke."""

from __future__ import annotations

import pytest

from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from sim.faults import draw_scenario
from sim.run import run


class NeverSendsEarlierVotes(Tendermint):
    """Says nothing more of the rounds that it has left."""

    def _resend_earlier_votes(self) -> None:
        """Say nothing."""


def test_validators_that_lost_each_others_votes_do_not_stay_split_over_rounds() -> None:
    scenario = draw_scenario(30_311, "tendermint", 4)

    assert run(scenario, Tendermint).violations == ()
    broken = run(scenario, NeverSendsEarlierVotes).violations
    assert [violation.property for violation in broken] == ["P10"]


@pytest.mark.parametrize("seed", [50_437, 50_835, 50_858, 50_876])
def test_a_batch_that_comes_again_late_does_not_cost_a_stored_block_its_body(seed: int) -> None:
    assert run(draw_scenario(seed, "solo", 4), Solo).violations == ()
