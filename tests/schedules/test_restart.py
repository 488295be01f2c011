"""Starting again: what a validator asks first, and disks that were lost, rolled back or copied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from consensus.confirmation import Confirmation
from consensus.greeting import Greeting
from consensus.interface import Now
from consensus.io import Answer, Channel, FrameArrived, PeerUp, SendFrame, Started
from consensus.packets import (
    BatchPacket,
    Blocks,
    CheckpointCertified,
    CheckpointSignature,
    DecisionPacket,
    Packet,
    SignedPacket,
    WhatDidISay,
    YouSaid,
    decode_packet,
    encode_packet,
)
from consensus.recovery import Recovered, Setup, first_writes
from consensus.replica import Replica
from ledger import layout
from ledger.batch import parse_batch
from ledger.certified import checkpoint_message
from ledger.statement import Statement
from ledger.store import Reader, Write
from storage.memory import MemoryDisk
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage

GREETING = "_greeting"
SPEECH = (SignedPacket, CheckpointSignature, BatchPacket)


class AsksNobody(Greeting):
    """Votes as soon as it has started."""

    def start(self, salt: int) -> None:
        self._begin(self._setup.me)


class BelievesAnyone(Greeting):
    """Takes a peer's word for what it has said, without its own signature."""

    def on_answer(self, peer: int, packet: YouSaid) -> None:
        if packet.statements:
            self._refuse(f"validator {peer} says so")
        super().on_answer(peer, packet)


class AsksOne(Greeting):
    """Is content with the first answer."""

    def on_answer(self, peer: int, packet: YouSaid) -> None:
        super().on_answer(peer, packet)
        if self.open:
            self.open = False
            self._begin(None if self.refusal else self._setup.me)


class AnswersNothing(Greeting):
    """Remembers nothing of what others said."""

    def on_question(self, peer: int, packet: WhatDidISay, certifier: Any, note: Any) -> None:
        self._outbox.send(peer, YouSaid(packet.salt, (), None))


def own_words(stage: Stage, index: int, since: int = 0) -> list[Packet]:
    """What left a node that its own consensus key has signed."""
    said = [sent.packet for kind in SPEECH for sent in stage.said(kind, sender=index, since=since)]
    return [
        packet
        for packet in said
        if not isinstance(packet, BatchPacket)
        or parse_batch(packet.batch, stage.genesis.limits).creator == index
    ]


def test_a_validator_signs_nothing_after_a_restart_until_a_quorum_has_answered() -> None:
    def play(kind: Kind) -> tuple[int, int]:
        """(words of node 3 with one answer, with two) while there is something to say."""
        stage = Stage("tendermint", kind=kind)
        heard: tuple[int, ...] = (0, 1, 2)
        stage.allow = lambda sender, receiver, packet: (
            not (isinstance(packet, YouSaid) and receiver == 3 and sender not in heard)
        )
        stage.run_ms(200)
        stage.submit(0, stage.transaction(0))
        assert stage.until(lambda: stage.all_certified(1))
        stage.crash(3)
        heard = (0,)
        stage.boot(3)
        since = len(stage.sent_log)
        stage.submit(3, stage.transaction(1))
        stage.submit(0, stage.transaction(2))
        stage.run_ms(2_000)
        before = len(own_words(stage, 3, since))
        heard = (0, 1)
        stage.submit(0, stage.transaction(3))
        assert stage.until(lambda: stage.holds(stage.transaction(1), 0, 1, 2))
        stage.run_ms(1_000)
        return before, len(own_words(stage, 3, since))

    before, after = play(Replica)
    assert before == 0
    assert after > 0
    assert play(lacking(GREETING, AsksOne))[0] > 0
    assert play(lacking(GREETING, AsksNobody))[0] > 0


class SignsEarly(Replica):
    """Signs checkpoints as soon as it has started."""

    def __init__(self, setup: Setup, recovered: Recovered) -> None:
        super().__init__(setup, recovered)
        self._confirmation.may_sign = True


class SignsWhatComes(Confirmation):
    """Signs only what is executed after it was allowed to."""

    def start_signing(self) -> None:
        self.may_sign = True


def test_what_is_executed_before_the_answers_came_is_signed_when_they_are_there() -> None:
    # The power fails at every node between a decision and its execution.
    def play(kind: Kind) -> tuple[int, bool]:
        """(checkpoints signed before anyone was answered, whether they are certified then)."""
        stage = Stage("tendermint", kind=kind)
        stage.run_ms(200)

        def cut(node: int, writes: list[Write]) -> None:
            if any(key == layout.DECISION_HEAD for key, _ in writes):
                stage.crash(node)

        stage.on_write = cut
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda: len(stage.crashes) >= 2)
        stage.run_ms(100)
        stage.crash(0, 1, 2, 3)
        stage.on_write = None
        stage.allow = lambda sender, receiver, packet: not isinstance(packet, YouSaid)
        stage.boot(0, 1, 2, 3)
        stage.run_ms(1_000)
        assert sum(node.engine.get(layout.EXECUTED) is not None for node in stage.nodes) >= 2
        early = len(stage.said(CheckpointSignature))
        stage.allow = None
        return early, stage.until(lambda: stage.all_certified(1), limit_ms=10_000)

    assert play(Replica) == (0, True)
    assert play(SignsEarly)[0] > 0
    assert play(lacking("_confirmation", SignsWhatComes)) == (0, False)


class ForgetsLogs(Stage):
    """Nodes that start again with the log as it is, and not as it was a few blocks ago."""

    def remember(self, reader: Reader, setup: Setup) -> Recovered:
        recovered = super().remember(reader, setup)
        return replace(recovered, logs=recovered.logs[-1:])


def test_a_certificate_of_a_block_below_the_executed_one_counts_after_a_restart() -> None:
    # D is down.  Node 2 has executed block 3 and heard of no certificate; the others have one of
    # block 2, and have run as far ahead of it as they may: what they sign again is block 5.
    def play(kind: type[Stage]) -> bool:
        stage = kind("solo", down=(3,), limits={"run_ahead": 3})

        def arrives(sender: int, receiver: int, packet: Packet) -> bool:
            if receiver == 2:
                return packet.CHANNEL is not Channel.CHECKPOINT
            return not (
                sender == 2 and isinstance(packet, CheckpointSignature) and packet.height > 2
            )

        stage.allow = arrives
        stage.run_ms(200)
        for nonce in range(6):
            stage.submit(0, stage.transaction(nonce))
            stage.run_ms(300)
        heights = [(stage.replica(n).status().executed, stage.certified(n)) for n in range(3)]
        assert heights == [(5, 2), (5, 2), (3, 0)]
        stage.crash(0, 1, 2)
        stage.boot(0, 1, 2)
        stage.allow = None
        return stage.until(lambda: stage.all_certified(5, 0, 1, 2), limit_ms=20_000)

    assert play(Stage)
    assert not play(ForgetsLogs)


# --- disks ----------------------------------------------------------------------------------------


def on_another_disk(kind: Kind, *, lost: bool) -> Stage:
    """The first proposer starts again from nothing, or from an earlier disk, with news to order."""
    stage = Stage("tendermint", kind=kind)
    stage.run_ms(200)
    node = stage.nodes[1]
    disk: list[Write] = list(first_writes(stage.genesis)) if lost else node.back_up()
    stage.submit(1, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))

    node.restore(disk)
    hidden = (Blocks, CheckpointCertified, DecisionPacket)
    stage.allow = lambda sender, receiver, packet: (
        not (receiver == 1 and isinstance(packet, hidden))
    )
    node.boot()
    stage.run_ms(100)
    stage.submit(1, stage.transaction(1))
    stage.run_ms(1_000)
    stage.allow = None
    stage.submit(0, stage.transaction(2))
    stage.until(lambda: stage.holds(stage.transaction(2)), limit_ms=10_000)
    return stage


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "rolled-back"])
def test_a_validator_with_a_lost_or_older_disk_votes_no_more_and_still_follows(lost: bool) -> None:
    stage = on_another_disk(Replica, lost=lost)
    status = stage.replica(1).status()
    assert stage.equivocations(1) == []
    assert not status.voting
    assert status.refusal is not None
    assert "lost or rolled back" in status.refusal
    assert stage.holds(stage.transaction(2))
    assert stage.told("refused to vote", 1) != []
    assert stage.broken == ()

    for mutant in (AsksNobody, AnswersNothing):
        assert on_another_disk(lacking(GREETING, mutant), lost=lost).equivocations(1) != []


def test_a_validator_that_does_not_vote_makes_no_batches_and_says_so_at_the_door() -> None:
    stage = on_another_disk(Replica, lost=True)
    since = len(stage.sent_log)

    request = stage.submit(1, stage.transaction(3))
    stage.run_ms(1_000)

    answer: Answer = stage.answers[request]
    assert answer.admissions[0].reason == "node.observer"
    assert not stage.replica(1).is_pending(stage.transaction(3).id)
    assert own_words(stage, 1, since) == []


def test_a_copied_home_does_not_become_a_second_voter() -> None:
    stage = Stage("tendermint")
    stage.run_ms(200)
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))
    copied = stage.nodes[3].back_up()
    stage.submit(0, stage.transaction(1))
    assert stage.until(lambda: stage.all_certified(2))
    stage.run_ms(100)

    twin = Twin(stage, 3, copied)
    for peer in (0, 1, 2):
        twin.ask(peer)

    assert twin.replica.status().refusal is not None
    assert not twin.replica.status().voting
    assert stage.replica(3).status().voting, "the first process goes on"


class Twin:
    """A second process under the key of a validator, upon a copy of its disk."""

    def __init__(self, stage: Stage, index: int, disk: list[Write]) -> None:
        self.stage = stage
        self.index = index
        engine = MemoryDisk().open()
        engine.write(disk, sync=True)
        self.replica = stage.open_replica(index, engine)
        self.asked = self._questions(Started(99))

    def _questions(self, event: Any) -> list[Packet]:
        outputs = self.replica.step(Now(0, 0), event).outputs
        frames = [output for output in outputs if isinstance(output, SendFrame)]
        packets = [decode_packet(frame.channel, frame.payload)[1] for frame in frames]
        return [packet for packet in packets if isinstance(packet, WhatDidISay)]

    def ask(self, peer: int) -> None:
        """Ask one peer what this validator has said, and hear the answer."""
        self._questions(PeerUp(peer))
        since = len(self.stage.sent_log)
        self.stage.inject(self.index, peer, self.asked[0])
        self.stage.run_ms(20)
        for sent in self.stage.said(YouSaid, sender=peer, since=since):
            payload = encode_packet(sent.packet, 0)
            self._questions(FrameArrived(peer, sent.packet.CHANNEL, payload))


# --- what peers remember --------------------------------------------------------------------------

ONE_KEY_AND_TWO = ("keyed-hash", "ml-dsa-65")


def greeted(kind: Kind, memory: Any, scheme: str = "keyed-hash") -> Replica:
    """The replica of node 0 after three peers have told what they remember of it."""
    stage = Stage("tendermint", kind=kind, scheme=scheme, puppets=(1, 2, 3))
    stage.run_ms(1)
    for peer in (1, 2, 3):
        stage.puppet(peer).memory = memory(stage)
    stage.run_ms(300)
    return stage.replica(0)


def said(stage: Stage, signer: int, *, epoch: bytes = b"") -> Any:
    statement = Statement(
        stage.genesis.network, epoch or stage.genesis.epoch.id, "prevote", (4, 0), bytes(32)
    )
    signature = stage.signers[signer].statements.sign(statement.signed_bytes())
    return (("prevote", (4, 0), bytes(32), signature),), None


def signed_log(stage: Stage, signer: int) -> Any:
    key = stage.signers[signer].checkpoints
    text = checkpoint_message(key.public_key, stage.genesis.origin, 12, bytes(32))
    return (), (3, 12, bytes(32), key.sign(text))


@pytest.mark.parametrize("scheme", ONE_KEY_AND_TWO)
def test_a_vote_of_its_own_above_its_record_is_a_reason_not_to_vote(scheme: str) -> None:
    replica = greeted(Replica, lambda stage: said(stage, 0), scheme)
    assert not replica.status().voting
    assert "prevote" in (replica.status().refusal or "")


@pytest.mark.parametrize("scheme", ONE_KEY_AND_TWO)
def test_a_checkpoint_of_its_own_above_its_record_is_a_reason_not_to_vote(scheme: str) -> None:
    replica = greeted(Replica, lambda stage: signed_log(stage, 0), scheme)
    assert not replica.status().voting
    assert "checkpoint" in (replica.status().refusal or "")


def test_no_liar_can_keep_a_validator_from_voting() -> None:
    assert greeted(Replica, lambda stage: said(stage, 1)).status().voting
    assert greeted(Replica, lambda stage: signed_log(stage, 1)).status().voting
    assert greeted(Replica, lambda stage: said(stage, 0, epoch=bytes(32))).status().voting
    mutant = lacking(GREETING, BelievesAnyone)
    assert not greeted(mutant, lambda stage: said(stage, 1)).status().voting


def test_an_answer_to_an_earlier_start_does_not_count() -> None:
    stage = Stage("tendermint", puppets=(1, 2, 3))
    stage.allow = lambda sender, receiver, packet: not isinstance(packet, YouSaid)
    stage.run_ms(200)
    stage.allow = None
    for peer in (1, 2, 3):
        stage.inject(peer, 0, YouSaid(12_345, (), None))
    assert not stage.replica(0).status().voting

    # The question is asked again until it is answered.
    assert stage.until(lambda: stage.replica(0).status().voting, limit_ms=2_000)
