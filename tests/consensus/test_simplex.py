"""Simplex step by step: what it says, what it costs, and what it makes of drawn faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.interface import (
    CertificateReceived,
    Context,
    Hint,
    Now,
    Pending,
    Recovery,
    Root,
    Send,
    Start,
    Tell,
)
from consensus.protocols.simplex import Simplex
from consensus.protocols.simplex_chain import NotarizedChain
from consensus.protocols.simplex_messages import (
    DUMMY,
    END,
    PROPOSE,
    VOTE,
    Dummy,
    Finalize,
    Propose,
    Vote,
    encode_hint,
    parse_hint,
)
from consensus.protocols.simplex_state import ANSWER_MAX
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.validators import QuorumRule, Validator, ValidatorSet
from ledger.value import Value
from sim.conformance.vectors import compare_vectors
from sim.counting import Counted
from sim.plugins import draw_duel, draw_scenario, draw_twins, hasty, run

EPOCH = b"e" * 32
BLANK = b"\x00" * 64
VALUE = Value(EPOCH, b"d" * 32, (3,), 3, 1_000, (b"p" * 32,))
GENESIS = Root(b"", (0,), 0)


def certificate(phase: str, height: int, value: bytes) -> Certificate:
    return Certificate(phase, (height,), value, tuple((index, BLANK) for index in range(3)))


def votes(height: int, name: bytes = b"b") -> Certificate:
    return certificate(VOTE, height, name * 32)


def dummies(height: int) -> Certificate:
    return certificate(END, height, DUMMY)


def plugin(me: int | None = 0, root: Root = GENESIS) -> Simplex:
    members = tuple(Validator(f"v{i}", bytes([i]) * 32, bytes([i]) * 32, b"") for i in range(4))
    validators = ValidatorSet(members, QuorumRule.BYZANTINE)
    context = Context(b"n" * 32, EPOCH, me, validators, dict(Simplex.PARAMETERS), slot_window=100)
    made = Simplex(context, Recovery(root, None, ()))
    made.step(Now(0, 0), Start())
    return made


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [4, 7, 16, 31, 100])
def test_a_block_costs_what_the_paper_says(nodes: int) -> None:
    """Section 3.4: each process multicasts a proposal, a vote and a finalize message; 3 delays."""
    world = Counted(Simplex, nodes)
    links = nodes - 1

    for number in range(nodes + 1 if nodes < 10 else 1):
        count = world.decide_one(bytes([number]) * 32)

        assert count.messages == {END: nodes * links, PROPOSE: links, VOTE: nodes * links}
        assert sum(count.messages.values()) == (nodes - 1) * (2 * nodes + 1)
        assert count.signatures == 2 * nodes + 1
        assert count.delays == 3


@pytest.mark.parametrize("nodes", [4, 7])
def test_a_dead_leader_costs_a_dummy_vote_and_a_relay_each(nodes: int) -> None:
    """And an answer to every dummy vote that comes after the quorum did its work."""
    world = Counted(Simplex, nodes)
    world.crash(1)  # It leads the first iteration.
    up, links, quorum = nodes - 1, nodes - 1, nodes - (nodes - 1) // 3

    count = world.decide_one(b"\x01" * 32)

    assert count.messages == {
        "certificate": up * links + up * (up - quorum),
        END: 2 * up * links,
        PROPOSE: links,
        VOTE: up * links,
    }
    assert count.signatures == 1 + 3 * up


# --- drawn faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(14))
def test_every_promise_holds_under_drawn_faults(seed: int) -> None:
    drawn = draw_scenario(Simplex, seed)
    for scenario in (
        drawn if seed % 2 else replace(drawn, parameters=hasty(Simplex), codec=True),
        draw_duel(Simplex, seed),
        draw_twins(Simplex, seed),
    ):
        assert not run(scenario).violations, scenario


def test_the_wire_format_is_the_recorded_one() -> None:
    file = Path(__file__).parents[1] / "sim" / "vectors" / "simplex.txt"

    assert compare_vectors(Simplex, file.read_text()) == []


# --- the notarized chain --------------------------------------------------------------------------


def test_a_block_extends_the_last_notarized_one_over_dummy_blocks_alone() -> None:
    chain = NotarizedChain(GENESIS)
    chain.add(votes(1))
    assert chain.parent(2) == (b"b" * 32, votes(1))
    assert chain.parent(3) is None
    assert chain.missing(3) == 2

    chain.add(dummies(2))

    assert chain.parent(3) == (b"b" * 32, votes(1))
    assert chain.first_gap(1, 3) is None
    assert chain.first_gap(0, 3) == 1


def test_where_a_height_has_both_the_block_is_built_on() -> None:
    chain = NotarizedChain(GENESIS)
    for each in (dummies(1), votes(1), dummies(2)):
        chain.add(each)

    assert chain.parent(3) == (b"b" * 32, votes(1))
    assert chain.notarization(1) == dummies(1)


def test_a_finalization_takes_the_place_of_the_votes() -> None:
    chain, final = NotarizedChain(GENESIS), certificate(END, 1, b"b" * 32)
    assert chain.add(votes(1))
    assert not chain.add(votes(1))
    assert chain.add(final)
    assert not chain.add(final)

    assert chain.finalization == chain.block(1) == final
    chain.move(Root(b"b" * 32, (1,), 1))
    assert chain.parent(2) == (b"b" * 32, final)
    chain.move(Root(b"c" * 32, (4,), 2))
    assert chain.finalization is None
    assert chain.parent(5) == (b"c" * 32, None)
    assert not chain.add(dummies(3))


def test_the_record_holds_all_of_it() -> None:
    chain, again = NotarizedChain(GENESIS), NotarizedChain(GENESIS)
    for each in (votes(1), dummies(2), certificate(END, 1, b"b" * 32)):
        chain.add(each)

    assert again.restore(chain.record((VALUE,))) == (VALUE,)
    assert (again.parent(3), again.height) == (chain.parent(3), 2)
    assert again.finalization == chain.finalization


# --- questions and answers ------------------------------------------------------------------------


def test_a_question_is_answered_with_so_many_notarizations_at_most() -> None:
    one = plugin()
    for height in range(1, ANSWER_MAX + 9):
        one.step(Now(0, 0), CertificateReceived(dummies(height)))

    effects = one.step(Now(0, 0), Hint(2, encode_hint(3)))

    assert effects == [Send(2, dummies(height)) for height in range(3, 3 + ANSWER_MAX)]


def test_an_observer_neither_asks_nor_answers() -> None:
    observer = plugin(me=None)
    observer.step(Now(0, 0), CertificateReceived(dummies(3)))
    observer.step(Now(0, 0), CertificateReceived(votes(4)))

    assert observer.iteration == 5
    assert observer.step(Now(0, 0), Hint(2, encode_hint(3))) == []


def test_a_leader_without_a_chain_asks_everybody_once() -> None:
    leader = plugin(me=0)
    leader.step(Now(0, 0), Pending(0))
    effects = leader.step(Now(0, 0), CertificateReceived(dummies(3)))
    asked = [effect for effect in effects if isinstance(effect, Tell)]

    assert asked == [Tell(peer, encode_hint(2)) for peer in (1, 2, 3)]
    again = leader.step(Now(0, 0), Pending(0))
    assert not [effect for effect in again if isinstance(effect, Tell)]


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [Propose(VALUE, None), Propose(VALUE, certificate(VOTE, 2, b"d" * 32)),
     Propose(VALUE, certificate(END, 1, b"d" * 32)), Vote(3, VALUE.digest),
     Finalize(3, VALUE.digest), Dummy(3)],
)  # fmt: skip
def test_messages_come_back_equal(message: Propose | Vote | Finalize | Dummy) -> None:
    assert type(message).from_row(message.row()) == message


def test_nobody_can_end_an_iteration_in_two_ways_unnoticed() -> None:
    dummy, finalize = Dummy(3).statement(), Finalize(3, VALUE.digest).statement()

    assert dummy[:2] == finalize[:2]
    assert dummy[2] != finalize[2]


@pytest.mark.parametrize(
    "parent",
    [dummies(2), votes(2, b"x"), votes(3, b"d"), votes(0, b"d"),
     certificate(PROPOSE, 2, b"d" * 32)],
)  # fmt: skip
def test_a_proposal_shows_the_certificate_of_its_parent_or_none(parent: Certificate) -> None:
    with pytest.raises(DecodeFault):
        Propose.from_row((VALUE.raw, parent.row()))


def test_a_dummy_block_is_nobodys_parent() -> None:
    """The first root's digest is empty, and so is what a dummy vote names."""
    first = replace(VALUE, parent=b"")

    with pytest.raises(DecodeFault):
        Propose.from_row((first.raw, dummies(2).row()))


@pytest.mark.parametrize("slot", [(0,), (1, 1), ()])
def test_a_block_has_one_height(slot: tuple[int, ...]) -> None:
    with pytest.raises(DecodeFault):
        Propose.from_row((replace(VALUE, slot=slot).raw, None))


def test_hints_are_strict() -> None:
    assert parse_hint(encode_hint(7)) == 7
    for hint in (encode_hint(7) + b"\x00", encode_hint(0), b""):
        with pytest.raises(DecodeFault):
            parse_hint(hint)
