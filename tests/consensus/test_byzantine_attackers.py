"""Each attacker does what it says: to others, never to itself, and from its seed alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.byzantine import ATTACKS, attacked
from consensus.byzantine.attacker import TIMER, Draw, Scene
from consensus.byzantine.equivocating import Equivocating, rival
from consensus.byzantine.guard import LooseGuard
from consensus.byzantine.mutating import mutated
from consensus.byzantine.rows import rebuilt
from consensus.interface import (
    CancelTimer,
    Effect,
    Forward,
    Message,
    Now,
    Received,
    Recovery,
    Root,
    Send,
    SetTimer,
    Signed,
    Timer,
    TimerFired,
)
from consensus.pacemaker_messages import Timeout, Vote
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import Precommit, Prevote, Proposal
from ledger.errors import UserError
from ledger.keys import suite_named
from ledger.statement import Statement
from ledger.value import Value
from tests.consensus.byzantine_stand import (
    EPOCH,
    ME,
    NETWORK,
    OTHERS,
    PAYLOAD,
    Stand,
    proposals,
    said,
    words,
)

SEEDS = range(12)


def test_an_attacked_plugin_looks_like_the_protocol() -> None:
    made = attacked(Tendermint, "silent+delaying", 1)

    assert (made.name, made.version, made.MESSAGES) == ("tendermint", 1, Tendermint.MESSAGES)
    assert made.PARAMETERS == Tendermint.PARAMETERS
    assert made.__name__ == "Tendermint"


def test_an_unknown_attack_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="no attack 'lying'; known are: silent, .*amnesiac"):
        attacked(Tendermint, "silent+lying", 1)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_plugin_hears_its_own_words_as_they_were(attack: str) -> None:
    honest = said(Stand("").propose(), ME)
    for seed in SEEDS:
        own = said(Stand(attack, seed).propose(), ME)
        assert [message for message in own if message not in honest] == []


def test_the_silent_say_nothing() -> None:
    stand = Stand("silent")

    effects = stand.propose()

    assert words(effects) == []
    assert len(said(effects, ME)) == 2


def test_the_selective_leave_out_some_and_not_always_the_same() -> None:
    reached = {tuple(one.to for one in words(Stand("selective", seed).propose())) for seed in SEEDS}

    assert len(reached) > 3
    assert any(set(receivers) not in (set(), set(OTHERS)) for receivers in reached)


def test_the_delaying_hold_words_below_the_shortest_timer() -> None:
    for seed in SEEDS:
        stand = Stand("delaying", seed)
        effects = stand.propose()
        held = [one for one in effects if isinstance(one, SetTimer) and one.timer.name == TIMER]
        if len(held) == 2 * len(OTHERS):
            break
    shortest_ms = min(
        one.delay_ms for one in effects if isinstance(one, SetTimer) and one.timer.name != TIMER
    )

    late = stand.fire(held)

    assert words(effects) == []
    assert all(0.25 * shortest_ms < one.delay_ms < shortest_ms for one in held)
    assert [len(said(late, to)) for to in OTHERS] == [2, 2, 2]
    assert stand.fire(held) == []


def test_a_timer_of_attackers_never_reaches_the_plugin() -> None:
    class Nosy(Tendermint):
        def on_timer(self, timer: Timer) -> None:
            assert timer.name != TIMER
            super().on_timer(timer)

    stand = Stand("delaying", 1, Nosy)
    effects = stand.propose()

    assert stand.fire(effects)


def is_careful(seed: int, me: int) -> bool:
    """Whether somebody is deceived in the first slot, and nobody hears both."""
    shared = Draw("attack", seed, EPOCH)
    others = tuple(index for index in range(4) if index != me)
    one = Equivocating(Scene(me, others, shared.named("of", me, 0), shared, 0, {}))
    return one.deceived((1, 0)) is not None and not one.carelessness


def equivocator() -> tuple[Stand, list[Effect]]:
    """One that deceives somebody in the first slot, and what it says there."""
    for seed in SEEDS:
        if not is_careful(seed, ME):
            continue
        stand = Stand("equivocating", seed)
        effects = stand.propose()
        if len({one.statement() for to in OTHERS for one in proposals(effects, to)}) == 2:
            return stand, effects
    raise AssertionError("nobody equivocates")


def test_the_equivocating_propose_two_values_and_vote_for_both_alike() -> None:
    _, effects = equivocator()

    for to in OTHERS:
        proposal, prevote = said(effects, to)
        assert isinstance(proposal, Proposal)
        assert isinstance(prevote, Prevote)
        assert prevote.value == proposal.value.digest
        assert proposal.value.payload == PAYLOAD
    statements = {one.statement() for to in OTHERS for one in said(effects, to)}
    assert len(statements) == 4
    assert len({(phase, slot) for phase, slot, _ in statements}) == 2


def test_equivocators_who_share_a_seed_split_the_network_alike() -> None:
    def deceived(me: int, seed: int) -> set[int]:
        value = Value(EPOCH, b"", (1, 0), 1, 1_000 + me, PAYLOAD)
        odd = value if me % 2 else rival(value)
        stand = Stand("equivocating", seed, me=me)
        stand.take(Received(Signed(1, Proposal(value, 0, -1, None), b"")))
        stand.take(Received(Signed(0, Prevote(1, 0, value.digest), b"")))
        effects = stand.take(Received(Signed(1, Prevote(1, 0, value.digest), b"")))
        others = {to: said(effects, to) for to in range(4) if to != me}
        return {
            to
            for to, (vote,) in others.items()
            if isinstance(vote, Precommit) and vote.value == odd.digest
        }

    seeds = [seed for seed in range(40) if is_careful(seed, 2) and is_careful(seed, 3)]
    splits = [(deceived(2, seed), deceived(3, seed)) for seed in seeds]

    assert all(side in [first - {3} for first, _ in splits] for side in ({0}, {1}, set()))
    assert all(first - {2, 3} == second - {2, 3} for first, second in splits)


@pytest.mark.parametrize(
    "message",
    [
        Prevote(1, 2, b""),
        Precommit(1, 2, b"\x01" * 32),
        Vote(3, b"\x02" * 32),
        Proposal(Value(EPOCH, b"", (1, 0), 1, 1_000, ()), 0, -1, None),
    ],
)
def test_a_second_message_is_of_the_same_phase_and_slot_and_encodes(message: Message) -> None:
    for seed in SEEDS:
        liar = ATTACKS["equivocating"](_scene(seed))
        effects = [one for to in OTHERS for one in liar.say(Send(to, message))]
        heard = {one.what for one in effects if isinstance(one, Send)}
        for other in heard - {message}:
            assert isinstance(other, type(message))
            assert other.statement()[:2] == message.statement()[:2]
            assert other.statement() != message.statement()
            assert rebuilt(other, other.row()) == other
            return
    raise AssertionError("nobody equivocates")


def test_a_timeout_has_no_second_where_nothing_else_can_be_said() -> None:
    for seed in SEEDS:
        liar = ATTACKS["equivocating"](_scene(seed))
        assert [one for to in OTHERS for one in liar.say(Send(to, Timeout(1, None, None)))] == [
            Send(to, Timeout(1, None, None)) for to in OTHERS
        ]


def _scene(seed: int) -> Scene:
    shared = Draw(seed)
    return Scene(ME, OTHERS, shared.named("me"), shared, 0, {})


def test_the_replaying_pass_on_what_they_heard_as_it_was_signed() -> None:
    vote = Signed(2, Prevote(1, 0, b""), b"signature of 2")
    honest = said(Stand("").propose(), ME)
    replayed = []
    for seed in SEEDS:
        stand = Stand("replaying", seed)
        stand.take(Received(vote))
        effects = words(stand.propose())
        sends = [one for one in effects if isinstance(one, Send)]
        assert sends == [Send(to, what) for what in honest for to in OTHERS]
        replayed += [one for one in effects if isinstance(one, Forward)]

    assert vote in [one.signed for one in replayed]
    assert {one.signed.sender for one in replayed} == {ME, 2}


def test_the_mutating_change_one_field_a_little() -> None:
    honest = said(Stand("").propose(), OTHERS[0])
    changed = [
        message
        for seed in SEEDS
        for message in said(Stand("mutating", seed).propose(), OTHERS[0])
        if message not in honest
    ]

    assert {type(message) for message in changed} == {Proposal, Prevote}
    for message in changed:
        assert rebuilt(message, message.row()) == message


def test_every_field_of_a_vote_is_mutated_by_some_draw() -> None:
    vote = Prevote(5, 5, b"\x01" * 32)
    seen = {mutated(vote, Draw(number), (b"\x07" * 32,)) for number in range(60)}

    assert {Prevote(4, 5, vote.value), Prevote(6, 5, vote.value)} <= seen
    assert {Prevote(5, 4, vote.value), Prevote(5, 6, vote.value)} <= seen
    assert {Prevote(5, 5, b""), Prevote(5, 5, b"\x07" * 32)} <= seen
    assert len(seen - {vote}) == 6


def test_the_amnesiac_contradict_themselves() -> None:
    """It prevoted the proposal; what it forgot it says anew, and differently."""
    value = Value(EPOCH, b"", (1, 0), 1, 1_000, PAYLOAD)
    for seed in range(200):
        stand = Stand("amnesiac", seed, me=2)
        first = stand.take(Received(Signed(1, Proposal(value, 0, -1, None), b"")))
        cancelled = [one for one in first if isinstance(one, CancelTimer)]
        again = stand.take(TimerFired(Timer("propose", (1, 0))))
        votes = {one.statement() for one in (*said(first, 0), *said(again, 0))}
        if len(votes) == 2 and len(cancelled) > 1:
            break
    else:
        raise AssertionError("nobody forgets")

    assert votes == {("prevote", (1, 0), value.digest), ("prevote", (1, 0), b"")}


def test_combinations_act_from_left_to_right() -> None:
    assert words(Stand("silent+replaying").propose()) == []
    loud = [words(Stand("replaying+silent", seed).propose()) for seed in SEEDS]
    assert loud == [[]] * len(SEEDS)
    for seed in SEEDS:
        stand = Stand("delaying+silent", seed)
        assert words(stand.fire(stand.propose())) == []


def test_an_attack_follows_from_its_seed() -> None:
    def play(attack: str, seed: int, protocol: type[Tendermint] | type[Jolteon]) -> list[Effect]:
        stand = Stand(attack, seed, protocol)
        effects = stand.propose()
        return effects + stand.fire(effects)

    combination = "equivocating+mutating+delaying+replaying"
    for protocol in (Tendermint, Jolteon):
        assert play(combination, 3, protocol) == play(combination, 3, protocol)
    assert len({repr(play(combination, seed, Tendermint)) for seed in SEEDS}) > 6


def test_an_observer_is_never_an_attacker() -> None:
    silent = Stand("silent").plugin
    context = replace(silent.context, me=None)
    recovery = Recovery(Root(b"", (0,), 0), None, ())
    value = Value(EPOCH, b"", (1, 0), 1, 1, PAYLOAD)
    heard = Received(Signed(1, Proposal(value, 0, -1, None), b""))

    said_by = [
        kind(context, recovery).step(Now(0, 0), heard) for kind in (type(silent), Tendermint)
    ]

    assert said_by[0] == said_by[1]


def test_the_loose_guard_signs_a_second_value_and_remembers_the_first() -> None:
    suite = suite_named("ml-dsa-65")
    signer = suite.consensus_signer(b"\x05" * 32, b"\x06" * 32)
    guard = LooseGuard(
        signer, network=NETWORK, epoch=EPOCH, said={}, floors={"precommit": (5, 0)}, checkpoint=None
    )

    first, writes = guard.sign(3, Prevote(1, 0, b""))
    second, no_writes = guard.sign(3, Prevote(1, 0, b"\x01" * 32))
    again, _ = guard.sign(3, Prevote(1, 0, b""))
    settled, _ = guard.sign(3, Precommit(1, 0, b""))

    assert first.signature != second.signature
    assert again == first
    assert len(writes) == 1
    assert no_writes == []
    assert settled.sender == 3
    assert guard.has_said("prevote", (9, 9), b"never")
    for signed in (first, second, settled):
        said = Statement(NETWORK, EPOCH, *signed.message.statement()).signed_bytes()
        key = signer.statements.public_key
        assert suite.statements.verify(key, said, signed.signature), "by the key of statements"
