"""Drawn scenarios that once broke something, kept by what they broke."""

from __future__ import annotations

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
