"""Mysticeti's decision rules: each with a drawing of which two views decide differently without it.

Four validators, f = 1; rounds 1, 2, 3, 4, 5 are led by validators 1, 2, 3, 0, 1.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from consensus.interface import Accuse, Signed
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_dag import Dag
from tests.consensus import mutants_mysticeti as mutants
from tests.consensus.mysticeti_bench import EARLIER, Drawing, Follower, agree, leaders
from tests.zoo.drawn_dags import draw_dag

FIRST = "1.0 1.1 1.2 1.3"
Play = Callable[[type[Mysticeti]], bool]
"""Whether two views agree."""


def views(drawing: Drawing, one: str, other: str) -> Play:
    """Two validators; each sees some blocks first, and some, after a minus, not at all."""

    def look(protocol: type[Mysticeti], view: str) -> Follower:
        first, _, hidden = view.partition("-")
        return Follower(protocol, drawing).see(*first.split()).see_all(but=hidden)

    def play(protocol: type[Mysticeti]) -> bool:
        left, right = look(protocol, one), look(protocol, other)
        assert left.decided or right.decided, "the drawing decides nothing"
        return agree(left, right)

    return play


# --- the good case --------------------------------------------------------------------------------


def test_a_leader_is_committed_when_the_second_round_after_it_is_full() -> None:
    drawing = Drawing(FIRST).full(2, 3)
    follower = Follower(Mysticeti, drawing).see_all(but="3.2 3.3")
    assert follower.ledger == []

    follower.see("3.2")

    assert follower.ledger == ["1.1"]


def test_every_round_has_a_leader_and_one_decision_brings_all_that_it_refers_to() -> None:
    follower = Follower(Mysticeti, Drawing(FIRST).full(2, 5)).see_all()

    assert leaders(follower) == [1, 2, 3]
    assert follower.ledger == ["1.1", "1.0", "1.2", "1.3", "2.2", "2.0", "2.1", "2.3", "3.3"]


def test_decided_values_are_children_of_each_other_and_say_where_they_come_from() -> None:
    decided = Follower(Mysticeti, Drawing(FIRST).full(2, 5)).see_all().decided

    assert [value.parent for value in decided] == [each.digest for each in (EARLIER, *decided[:-1])]
    assert decided[1].slot == (2, 0, 1, 0)
    assert [value.slot for value in decided] == sorted(value.slot for value in decided)


def test_a_silent_leader_is_skipped_and_its_turn_costs_no_decision() -> None:
    drawing = Drawing("1.0 1.2 1.3").full(2, 5, authors=(0, 2, 3))
    follower = Follower(Mysticeti, drawing).see_all()

    assert leaders(follower) == [2, 3]


def test_several_leaders_may_share_a_round() -> None:
    drawing = Drawing(FIRST).full(2, 3)
    one = Follower(Mysticeti, drawing)
    one.plugin.leaders_a_round = 2
    assert one.plugin.leaders(1) == (1, 2)

    one.see_all()

    assert one.ledger == ["1.1", "1.2"]


# --- the direct rule ------------------------------------------------------------------------------

VOTES_OF_TWO = Drawing(
    FIRST,
    "1.1'",
    "2.0: 1.0 1.1 1.2", "2.1: 1.1 1.2 1.3", "2.2: 1.1' 1.2 1.3", "2.3: 1.1' 1.2 1.3",
    "3.0: 2.0 2.1 2.2", "3.1 3.3: 2.0 2.1 2.3", "3.1' 3.2: 2.1 2.2 2.3",
    "4.0 4.1 4.2 4.3: 3.1' 3.2 3.3",
).full(5, 7)  # fmt: skip
ONE_CERTIFICATE = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.0 1.2 1.3",
    "3.0: 2.0 2.1 2.2", "3.1: 2.0 2.1 2.3", "3.2: 2.0 2.2 2.3", "3.3: 2.1 2.2 2.3",
    "4.0 4.1 4.2 4.3: 3.1 3.2 3.3",
).full(5, 7)  # fmt: skip
TWICE_CERTIFIED = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.0 1.2 1.3",
    "3.0 3.1 3.1': 2.0 2.1 2.2", "3.1'': 2.0 2.1 2.3", "3.2: 2.0 2.2 2.3", "3.3: 2.1 2.2 2.3",
    "4.0 4.1 4.2 4.3: 3.1'' 3.2 3.3",
).full(5, 7)  # fmt: skip
VOTES_OF_THREE = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.1': 1.0 1.2 1.3", "2.3: 1.0 1.2 1.3",
    "3.0 3.1 3.2 3.3: 2.0 2.1 2.2",
).full(4, 7)  # fmt: skip


DIRECT: dict[type[Mysticeti], Play] = {
    mutants.CommitsByOne: views(ONE_CERTIFICATE, "", "-3.0"),
    mutants.CountsBlocks: views(TWICE_CERTIFIED, "", "-3.0 3.1 3.1'"),
    mutants.SkipsByTwo: views(VOTES_OF_THREE, "1.0 1.1 1.2 1.3 2.0 2.1' 2.3", "-2.1'"),
    mutants.CertifiesByTwo: views(VOTES_OF_TWO, "", "1.1' -3.0 3.1"),
}
"""What tells the mutant of a rule from the protocol."""


@pytest.mark.parametrize("mutant", DIRECT)
def test_the_direct_rule_counts_quorums_of_validators(mutant: type[Mysticeti]) -> None:
    play = DIRECT[mutant]

    assert play(Mysticeti)
    assert not play(mutant)


def test_an_equivocating_leader_has_at_most_one_block_committed_whoever_saw_which_first() -> None:
    drawing = Drawing(
        FIRST,
        "1.1'",
        "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.1' 1.2 1.3",
        "3.0 3.1 3.2 3.3: 2.0 2.1 2.2 2.3",
    ).full(4, 6)  # fmt: skip
    one = Follower(Mysticeti, drawing).see_all()
    other = Follower(Mysticeti, drawing).see("1.1'").see_all()

    assert one.decided == other.decided
    assert one.ledger[0] == "1.1"
    assert one.ledger.count("1.1'") == 0, "of a round that was passed, nothing more is ordered"
    assert [effect.second.sender for effect in one.said if isinstance(effect, Accuse)] == [1]


# --- the indirect rule ----------------------------------------------------------------------------

HALF_CERTIFIED = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.0 1.2 1.3",
    "3.0 3.1: 2.0 2.1 2.2", "3.2: 2.0 2.2 2.3", "3.3: 2.1 2.2 2.3",
    "4.0 4.1 4.2 4.3: 3.1 3.2 3.3",
).full(5, 7)  # fmt: skip
UNCERTIFIED_ANCHOR = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.0 1.2 1.3",
    "3.0 3.1 3.2: 2.0 2.1 2.2", "3.3: 2.0 2.2 2.3",
    "4.0 4.1 4.2: 3.0 3.1 3.3",
).full(5, 8, authors=(0, 1, 2))  # fmt: skip
TWO_ANCHORS = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.0 1.2 1.3",
    "3.0: 2.0 2.1 2.2", "3.1: 2.0 2.1 2.3", "3.2: 2.0 2.2 2.3", "3.3: 2.1 2.2 2.3",
    "4.0: 3.1 3.2 3.3", "4.1 4.2 4.3: 3.0 3.1 3.2 3.3",
    "5.0 5.1 5.2: 4.0 4.1 4.2", "5.3: 4.1 4.2 4.3",
    "6.0 6.1 6.3': 5.0 5.1 5.2", "6.2: 5.0 5.1 5.3", "6.3: 5.1 5.2 5.3",
    "7.0 7.1 7.2 7.3: 6.0 6.1 6.2 6.3",
).full(8, 10)  # fmt: skip
ORPHANED_ANCHOR = Drawing(
    FIRST,
    "2.0 2.1 2.2: 1.0 1.1 1.2", "2.3: 1.0 1.2 1.3",
    "3.0 3.1 3.2: 2.0 2.1 2.2", "3.3: 2.0 2.2 2.3",
    "4.0: 3.3", "4.1 4.2 4.3: 3.0 3.1 3.3",
).full(5, 7)  # fmt: skip


INDIRECT: dict[type[Mysticeti], Play] = {
    mutants.LooksBesideTheAnchor: views(ONE_CERTIFICATE, "", "-3.0"),
    mutants.AnchorsTooSoon: views(UNCERTIFIED_ANCHOR, "", "-3.2"),
    mutants.LeapsOverSlots: views(UNCERTIFIED_ANCHOR, "", "-3.2"),
    mutants.LeapsOverAnchors: views(TWO_ANCHORS, "", "-6.3'"),
    mutants.TakesFewParents: views(ORPHANED_ANCHOR, "", "-3.2"),
}


@pytest.mark.parametrize("mutant", INDIRECT)
def test_the_indirect_rule_asks_the_first_anchor_alone(mutant: type[Mysticeti]) -> None:
    play = INDIRECT[mutant]

    assert play(Mysticeti)
    assert not play(mutant)


def test_a_leader_with_too_few_certificates_is_decided_by_the_next_anchor() -> None:
    committed = Follower(Mysticeti, HALF_CERTIFIED)
    committed.see_all(but="5.0 5.1 5.2 5.3")
    assert committed.ledger == []
    committed.see_all()

    skipped = Follower(Mysticeti, ONE_CERTIFICATE).see_all()

    assert leaders(committed)[0] == 1, "the anchor refers to the certificate 3.1"
    assert 1 not in leaders(skipped)


# --- votes are counted as blocks arrive -----------------------------------------------------------


class _CountsOnce(Dag):
    """Counts the votes about a leader when it is asked about them first, and no later ones."""

    def add(self, signed: Signed) -> None:
        tallies, self._votes = self._votes, {}
        super().add(signed)
        self._votes = tallies


def is_recounted(plugin: Mysticeti) -> bool:
    """Whether what is counted about all leaders is what the blocks say."""
    for round_ in plugin.dag.rounds:
        slot, voters = (round_, 0), plugin.dag.at(round_ + 1)
        leader = plugin.leader(slot)
        for made in (block.digest for block in plugin.dag.of(leader, round_)):
            for_it = {each.author for each in voters if each.parents.strong.get(leader) == made}
            others = {each.author for each in voters if each.parents.strong.get(leader) != made}
            counted = (plugin.supporters(slot, made), plugin.others(slot, made))
            if counted != (len(for_it), len(others)):
                return False
    return True


def counts_right(kind: type[Dag]) -> bool:
    """Whether that holds after each block of some drawn DAGs."""
    for number in range(12):
        drawing = draw_dag(Random(f"votes {number}"))
        follower = Follower(Mysticeti, drawing)
        follower.plugin.dag.__class__ = kind
        if not all(is_recounted(follower.see(name).plugin) for name in drawing.blocks):
            return False
    return True


def test_votes_that_are_counted_as_blocks_arrive_are_those_of_a_recount() -> None:
    assert counts_right(Dag)
    assert not counts_right(_CountsOnce)
