"""Values: proposed again, without payload, stamped by a wrong clock, or wrong for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import confirmation
from consensus.confirmation import Confirmation
from consensus.dissemination import Dissemination
from consensus.interface import Decide, DecisionProof, Message, Root
from consensus.ordering import Ordering
from consensus.packets import CertificatePacket, DecisionPacket, Packet, SignedPacket, WantValue
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import (
    NO_ROUND,
    Prevote,
    Proposal,
)
from consensus.replica import Replica
from consensus.values import Judgement, Values
from ledger.block import BlockHeader
from ledger.chain import Tip
from ledger.statement import Slot
from ledger.value import Value
from tests.consensus import mutants_tendermint
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES

HOUR_MS = 3_600_000


LOST_PRECOMMITS = {(0, 1), (1, 3), (3, 0), (3, 2)}


def half_locked(sender: int, receiver: int, packet: Packet) -> bool:
    """Round 0 of instance 1: nodes 0, 1 and 3 lock the value, node 2 none, and nobody decides."""
    if isinstance(packet, CertificatePacket | DecisionPacket):
        return False
    if not isinstance(packet, SignedPacket):
        return True
    message = message_of(packet)
    _, slot, _ = message.statement()
    if slot != (1, 0):
        return True
    if isinstance(message, Proposal):
        return receiver != 2
    if isinstance(message, Prevote):
        return (sender, receiver) != (3, 2)
    return (sender, receiver) not in LOST_PRECOMMITS


def message_of(packet: SignedPacket) -> Message:
    return Stage.message_in(Tendermint, packet)


def test_a_locked_value_is_proposed_again_with_the_same_bytes() -> None:
    def play(consensus: type[Tendermint]) -> Stage:
        stage = Stage("tendermint", consensus=consensus)
        stage.allow = half_locked
        stage.run_ms(200)
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda: all(stage.plugin(n).slot >= (1, 1) for n in range(4)))
        assert [stage.plugin(n).lock.round for n in range(4)] == [0, 0, NO_ROUND, 0]
        stage.allow = None
        stage.until(lambda: stage.all_certified(1) or stage.plugin(0).round > 50)
        return stage

    stage = play(Tendermint)
    first = next(
        message_of(sent.packet)
        for sent in stage.said(SignedPacket, sender=1)
        if isinstance(message_of(sent.packet), Proposal)
    )
    assert isinstance(first, Proposal)
    header = stage.headers(0)[0]
    assert stage.certified(0) == 1
    assert (header.value, header.slot, header.proposer) == (first.value.digest, (1, 0), 1)
    assert header.timestamp_ms == first.value.timestamp_ms
    assert stage.broken == ()

    stage = play(mutants_tendermint.StampsAnew)
    assert stage.plugin(0).round > 50
    assert [stage.certified(node) for node in range(4)] == [0, 0, 0, 0]


class ProposesForEver(Jolteon):
    """Always has a reason to want another view."""

    def has_work(self) -> bool:
        return True

    def awaits_decision(self) -> bool:
        return True


def header_of_anything(network: bytes, tip: Tip, value: Value) -> BlockHeader:
    """What `ledger.chain.next_header` makes, for empty values too."""
    return BlockHeader(
        network=network,
        epoch=value.epoch,
        height=tip.height + 1,
        previous_hash=tip.hash,
        value=value.digest,
        slot=value.slot,
        proposer=value.proposer,
        timestamp_ms=max(tip.timestamp_ms + 1, value.timestamp_ms),
        payload=value.payload,
    )


def test_a_decided_value_without_payload_makes_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> Stage:
        stage = Stage("jolteon", consensus=ProposesForEver)
        stage.run_ms(200)
        stage.submit(1, stage.transaction(0))
        stage.run_ms(500)
        return stage

    stage = play()
    stage.crash(1)
    stage.boot(1)
    stage.run_ms(500)
    assert stage.plugin(1).root.slot[0] > 50, "values decided"
    assert stage.replica(1).status().decided == len(stage.headers(1)) == 1
    assert stage.broken == ()

    monkeypatch.setattr(confirmation, "next_header", header_of_anything)
    stage = play()
    assert stage.replica(1).status().executed > 10
    assert stage.broken == ("P3",)


# --- clocks ---------------------------------------------------------------------------------------


class RefusesOld(Values):
    """Finds a value invalid that was stamped long ago."""

    def judge(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        if value.timestamp_ms < wall_ms - self._limits.clock_drift_ms:
            return Judgement.NEVER
        return super().judge(value, pool, wall_ms)


def times(network: bytes, tip: Tip, value: Value) -> BlockHeader | None:
    """A header with the value's time, whatever the block before says."""
    if not value.payload:
        return None
    return replace(header_of_anything(network, tip, value), timestamp_ms=value.timestamp_ms)


def test_a_proposer_whose_clock_is_behind_is_followed_and_block_times_still_grow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage("tendermint", kind=kind)
        stage.nodes[2].clock.skew_ms = -HOUR_MS
        stage.run_ms(200)
        for nonce in range(2):
            stage.submit(0, stage.transaction(nonce))
            assert stage.until(lambda nonce=nonce: stage.all_certified(nonce + 1))
        return stage

    stage = play(Replica)
    one, two = stage.headers(0)
    assert (two.slot, two.proposer) == ((2, 0), 2), "the turn of the node that is behind"
    assert two.timestamp_ms == one.timestamp_ms + 1
    assert stage.broken == ()

    assert play(lacking("_ordering.values", RefusesOld)).headers(0)[1].proposer != 2
    monkeypatch.setattr(confirmation, "next_header", times)
    assert play(Replica).broken == ("P3",)


class GivesUpEarly(Values):
    """Takes not yet for never."""

    def judge(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        verdict = super().judge(value, pool, wall_ms)
        return Judgement.NEVER if verdict is Judgement.NOT_YET else verdict


class TrustsClocks(Values):
    """Takes any time for right."""

    def judge(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        return super().judge(value, pool, value.timestamp_ms)


def test_a_value_ahead_of_the_clock_is_not_yet_valid_and_becomes_so() -> None:
    def play(kind: Kind) -> tuple[int, int]:
        """(decided at the followers before its time has come, after it)."""
        stage = Stage("solo", kind=kind)
        ahead_ms = stage.genesis.limits.clock_drift_ms + 2_000
        stage.nodes[0].clock.skew_ms = ahead_ms
        stage.run_ms(200)
        stage.submit(0, stage.transaction(0))
        stage.run_ms(1_900)
        before = max(stage.replica(node).status().decided for node in (1, 2, 3))
        stage.run_ms(1_000)
        return before, min(stage.replica(node).status().decided for node in (1, 2, 3))

    assert play(Replica) == (0, 1)
    assert play(lacking("_ordering.values", GivesUpEarly)) == (0, 0)
    assert play(lacking("_ordering.values", TrustsClocks)) == (1, 1)


class JudgesDecisions(Confirmation):
    """Asks its clock about what is decided."""

    def decide(self, ordering: Ordering, effect: Decide) -> None:
        for value in effect.values:
            ahead_ms = value.timestamp_ms - self._outbox.now.wall_ms
            if ahead_ms > self._setup.genesis.limits.clock_drift_ms:
                self._outbox.halt("a decided value comes from the future")
                return
        super().decide(ordering, effect)


@pytest.mark.parametrize("protocol", NAMES)
def test_nothing_decided_is_judged_by_a_clock(protocol: str) -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage(protocol, kind=kind)
        stage.nodes[3].clock.skew_ms = -HOUR_MS
        stage.run_ms(200)
        for nonce in range(3):
            stage.submit(nonce % 3, stage.transaction(nonce))
            stage.run_ms(300)
        stage.crash(3)
        stage.boot(3)
        stage.submit(1, stage.transaction(3))
        wishes = [stage.transaction(nonce) for nonce in range(4)]
        stage.until(lambda: all(stage.holds(wish) for wish in wishes) or stage.stopped)
        stage.run_ms(1_000)
        return stage

    stage = play(Replica)
    assert all(stage.holds(stage.transaction(nonce), 3) for nonce in range(4))
    assert stage.broken == ()
    if protocol != "solo":  # A follower of a sequencer catches up with certified blocks instead.
        assert 3 in play(lacking("_confirmation", JudgesDecisions)).stopped


# --- values that are asked for --------------------------------------------------------------------

BEFORE, AFTER = b"b" * 32, b"a" * 32
"""Digests of values that nobody has."""


class Asks(Solo):
    """Asks for a value before the first decision, and for another one after it."""

    def on_pending(self, oldest_age: int) -> None:
        if not self.root.slot[0]:
            self.fetch(BEFORE)
        super().on_pending(oldest_age)

    def decide(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        super().decide(values, proof)
        self.fetch(AFTER)


class ForgetsQuestions(Ordering):
    """What the plugin has asked for since a decision is asked for until it comes."""

    def on_certified(self, root: Root) -> None:
        super().on_certified(root)
        self._fetching.clear()


def asked_for(kind: Kind = Replica) -> set[bytes]:
    """What the sequencer's peers are still asked for once the decision is certified."""
    stage = Stage("solo", kind=kind, consensus=Asks)
    stage.run_ms(200)
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))
    stage.run_ms(100)
    since = len(stage.sent_log)
    stage.run_ms(1_000)
    found = stage.said(WantValue, sender=0, since=since)
    return {one.packet.digest for one in found}


def test_what_was_asked_for_since_a_decision_is_asked_for_until_it_comes() -> None:
    assert asked_for() == {AFTER}
    assert asked_for(lacking("_ordering", ForgetsQuestions)) == set()


class Strays(Solo):
    """Validator 1 asks for a verdict on a value whose batch nobody has."""

    def on_start(self) -> None:
        super().on_start()
        if self.me == 1:
            self.validate(Value(self.context.epoch, b"", (1,), 0, self.now.wall_ms, (BEFORE,)))


class JudgesWhatIsPassed(Ordering):
    """A verdict is owed for ever, whatever is decided or adopted meanwhile."""

    def _pass_over(self, slot: Slot) -> None:
        pass


def judges_for_ever(kind: Kind = Replica) -> bool:
    """Whether a validator that catches up by certificates alone still waits to judge."""

    def arrives(sender: int, receiver: int, packet: Packet) -> bool:
        decides = isinstance(packet, SignedPacket | DecisionPacket)
        return receiver != 1 or not decides

    stage = Stage("solo", kind=kind, consensus=Strays)
    stage.allow = arrives
    stage.run_ms(200)
    assert stage.replica(1)._ordering.is_waiting()
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))
    stage.run_ms(500)
    return stage.replica(1)._ordering.is_waiting()


def test_nothing_is_judged_any_more_that_an_adopted_root_has_passed() -> None:
    assert not judges_for_ever()
    assert judges_for_ever(lacking("_ordering", JudgesWhatIsPassed))
