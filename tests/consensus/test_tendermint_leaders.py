"""Who proposes in Tendermint under a policy: what all agree on, and what a restart and
a catch-up leave of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.interface import (
    Accuse,
    Certified,
    Pending,
    Persist,
    RequestPayload,
)
from consensus.leaders import Policy, Reputation, RoundRobin, Sticky
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import (
    NIL,
    NO_ROUND,
    Prevote,
    Proposal,
)
from consensus.registry import leaders_of, protocol_named
from ledger.encoding import encode
from ledger.statement import Slot
from sim.plugins import draw_scenario, draw_twins, run
from tests.consensus.mutants_leaders import ForgetsWhoLed, GuessesTheLeader
from tests.consensus.tendermint_bench import (
    REPUTATION,
    STICKY,
    Bench,
    led_by,
    root_of,
    said_in,
    value_of,
)

# --- who leads ------------------------------------------------------------------------------------


def test_round_robin_is_the_papers_own_and_turns_would_be_the_same() -> None:
    assert Tendermint.LEADERS is RoundRobin
    assert protocol_named("tendermint+round-robin") is Tendermint
    assert "turns" not in leaders_of(Tendermint)
    assert {"reputation", "round-robin", "sticky"} <= set(leaders_of(Tendermint))

    bench = Bench(Tendermint)
    slots = [(instance, round_) for instance in (1, 2, 3) for round_ in range(5)]
    assert [bench.plugin.proposer(slot) for slot in slots] == [sum(slot) % 4 for slot in slots]


def test_whose_value_was_decided_leads_the_next_first_round() -> None:
    bench = Bench(STICKY)
    assert bench.leaders(3) == [1, 2, 3]

    bench.decide(value_of(1, 1))
    assert bench.leaders(1) == [1]
    bench.decide(value_of(2, 3, round_=2))
    assert bench.leaders(1) == [3]


def test_after_a_failure_all_take_turns_and_the_failed_one_is_not_the_first() -> None:
    for failed, leaders in ((3, [3, 0, 0, 1, 2, 3]), (1, [1, 3, 0, 1, 2, 3])):
        bench = Bench(STICKY)
        bench.decide(value_of(1, failed))

        assert bench.leaders(6) == leaders


def test_reputation_draws_signers_but_not_the_last_author_and_not_again_whom_it_drew() -> None:
    bench, drawn = Bench(REPUTATION), set()
    bench.decide(value_of(1, 1, extra=encode(((), ()))), signers=(0, 1, 2))
    for instance in range(2, 40):
        author = instance % 3
        extra = encode(((0, 1, 2), ()))
        bench.decide(value_of(instance, author, extra=extra))
        first, second = bench.leaders(2)
        assert first in {0, 1, 2} - {author}
        assert second != first
        drawn.add(first)

    assert drawn == {0, 1, 2}


def test_what_is_decided_ahead_changes_no_leader() -> None:
    """A slot of a later instance has a leader once the instance before it is decided."""
    bench = Bench(STICKY)
    bench.decide(value_of(1, 3))

    assert bench.plugin.proposer((2, 0)) == 3
    assert [bench.plugin.proposer((3, round_)) for round_ in range(4)] == [None, None, 1, 2]
    assert Bench(Tendermint).plugin.proposer((3, 0)) == 3


# --- all name the same, whatever they saw ---------------------------------------------------------


class ReadsTheRound(Tendermint):
    """Takes turns where its own certificate is of a later round: another's may not be."""

    LEADERS = Sticky

    def leader(self, slot: Slot) -> int | None:
        commit = self.last_commit
        if commit is not None and commit.slot[1] > 0 and slot[0] == self.instance:
            return sum(slot) % self.validators.size
        return super().leader(slot)


class ReadsItsDistrust(Tendermint):
    """Takes the lead from whom it distrusts, instead of its own vote alone."""

    LEADERS = Sticky

    def leader(self, slot: Slot) -> int | None:
        left = self.leadership.has_failed(super().leader(slot))
        return sum(slot) % self.validators.size if left else super().leader(slot)


def test_by_which_round_it_was_decided_is_nobodys_business() -> None:
    def leaders_of_two(protocol: type[Tendermint]) -> tuple[list[int | None], list[int | None]]:
        """One hears that round 0 decided a value, another that round 2 did."""
        one, other = Bench(protocol), Bench(protocol)
        value = value_of(1, 3)
        one.decide(value, round_=0)
        other.decide(value, round_=2)
        return one.leaders(4), other.leaders(4)

    for protocol in (STICKY, REPUTATION):
        one, other = leaders_of_two(protocol)
        assert one == other
    one, other = leaders_of_two(ReadsTheRound)
    assert one != other


def test_who_left_the_round_before_it_was_decided_is_nobodys_business_either() -> None:
    def leaders_of_two(protocol: type[Tendermint]) -> tuple[list[int | None], list[int | None]]:
        """One decides instance 2 in its first round, another after it left that."""
        one, other = Bench(protocol), Bench(protocol)
        for bench in (one, other):
            bench.decide(value_of(1, 2))
        for sender in (1, 2):
            other.hear(sender, Prevote(2, 1, NIL))
        assert (one.plugin.slot, other.plugin.slot) == ((2, 0), (2, 1))
        for bench in (one, other):
            bench.decide(value_of(2, 2))
        return one.leaders(4), other.leaders(4)

    one, other = leaders_of_two(STICKY)
    assert one == other
    one, other = leaders_of_two(ReadsItsDistrust)
    assert one != other


def disagreements(protocol: type[Tendermint], seeds: range, *, twins: bool = False) -> list[Slot]:
    """Slots whose leader two validators name differently in drawn runs, which stay sound."""
    named: dict[tuple[int, Slot], set[int]] = {}
    found: list[Slot] = []

    class Named(protocol):  # type: ignore[valid-type, misc]
        def proposer(self, slot: Slot) -> int | None:
            leader: int | None = super().proposer(slot)
            if leader is not None and slot[0] == self.instance:
                named.setdefault(slot, set()).add(leader)
            return leader

    for seed in seeds:
        named.clear()
        scenario = (draw_twins if twins else draw_scenario)(Named, seed)
        report = run(replace(scenario, rounds=()))
        assert report.violations == () or protocol is GuessesTheLeader, (seed, report.violations)
        assert "agreement" not in report.properties
        found += [slot for slot, leaders in named.items() if len(leaders) > 1]
    return found


@pytest.mark.parametrize("policy", [Sticky, Reputation])
def test_all_who_are_at_a_height_name_the_same_leader(policy: type[Policy]) -> None:
    protocol = led_by(policy)

    assert disagreements(protocol, range(30)) == []
    assert disagreements(protocol, range(10), twins=True) == []


def test_who_names_a_leader_without_the_value_that_decides_it_is_found() -> None:
    assert disagreements(GuessesTheLeader, range(10))


# --- what a restart and a catch-up leave ----------------------------------------------------------


def leader_after_a_restart(protocol: type[Tendermint]) -> int | None:
    bench = Bench(protocol)
    value = value_of(1, 3)
    bench.decide(value)
    record = [one.record for one in bench.effects if isinstance(one, Persist)]
    again = Bench(protocol, root=root_of(value), record=record[-1] if record else None)
    return again.leaders(1)[0]


def test_a_restarted_validator_knows_who_leads() -> None:
    assert leader_after_a_restart(STICKY) == 3
    assert leader_after_a_restart(ForgetsWhoLed) is None


def test_round_robin_makes_nothing_durable_for_it() -> None:
    bench = Bench(Tendermint)
    bench.decide(value_of(1, 1))

    assert not [one for one in bench.effects if isinstance(one, Persist)]


def test_a_record_older_than_the_root_says_nothing_of_it() -> None:
    bench = Bench(STICKY)
    bench.decide(value_of(1, 3))

    again = Bench(STICKY, root=root_of(value_of(2, 0)), record=bench.record)

    assert again.leaders(3) == [None, None, 1]


@pytest.mark.parametrize("protocol", [STICKY, REPUTATION])
def test_who_caught_up_votes_for_what_comes_first_and_accuses_nobody(
    protocol: type[Tendermint],
) -> None:
    bench = Bench(protocol)
    extra = encode(((), ())) if protocol is REPUTATION else b""
    bench.take(Certified(root_of(value_of(7, 2))))
    first = value_of(8, 2, extra=extra)

    said = bench.propose(first) + bench.propose(value_of(8, 3, extra=extra))

    assert said_in(said, Prevote) == [Prevote(8, 0, first.digest)]
    assert not [one for one in bench.effects if isinstance(one, Accuse)]
    bench.decide(first)
    assert bench.leaders(1) != [None]


def test_who_caught_up_takes_a_fresh_value_from_its_own_proposer_alone() -> None:
    bench = Bench(STICKY)
    bench.take(Certified(root_of(value_of(7, 2))))
    value = value_of(8, 2)

    assert bench.hear(1, Proposal(value, 0, NO_ROUND, None)) == []
    assert said_in(bench.propose(value), Prevote) == [Prevote(8, 0, value.digest)]


def test_who_caught_up_proposes_nothing_in_a_round_that_may_be_anothers() -> None:
    for me in (None, 0, 1, 2, 3):
        bench = Bench(STICKY, me)
        bench.take(Certified(root_of(value_of(7, 2))))

        said = bench.take(Pending(0))

        assert not [one for one in said if isinstance(one, RequestPayload)]


def test_a_proposal_that_comes_before_its_instance_waits_for_its_leader_to_be_known() -> None:
    bench = Bench(STICKY)
    value, forged = value_of(2, 3), value_of(2, 0, mark=1)
    for early in (forged, value):
        bench.propose(early)

    bench.decide(value_of(1, 3))
    said = bench.take(Pending(0))

    assert said_in(bench.effects, Prevote)[-1] == Prevote(2, 0, value.digest), said


def test_proposals_ahead_fill_no_memory() -> None:
    bench = Bench(STICKY)
    values = [value_of(2, sender, mark=mark) for sender in range(4) for mark in range(20)]

    for value in values:
        bench.propose(value)

    known = [value for value in values if bench.plugin.log.value(value.digest) is not None]
    assert len(known) == 2 * 4
