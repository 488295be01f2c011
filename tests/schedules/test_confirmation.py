"""From executed to certified: signatures, certificates and decisions that get lost, and forks."""

from __future__ import annotations

import pytest

from consensus import confirmation
from consensus.certifier import Certifier
from consensus.confirmation import Confirmation
from consensus.io import Channel, Confirmed, HostEvent
from consensus.io import Step as StepTaken
from consensus.outbox import Outbox
from consensus.packets import (
    CheckpointCertified,
    CheckpointSignature,
    DecisionPacket,
    Packet,
    Status,
)
from consensus.recovery import Recovered, Setup
from consensus.replica import Replica
from ledger import layout
from ledger.block import BlockHeader
from ledger.execution import Execution, Executor, _TransactionState
from ledger.store import Write
from ledger.transaction import Transaction
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES

CONFIRMATION = "_confirmation"


def no_checkpoints(sender: int, receiver: int, packet: Packet) -> bool:
    return packet.CHANNEL is not Channel.CHECKPOINT


def executed_by_all(stage: Stage) -> bool:
    """Whether every node has executed a block, on its disk."""
    return all(node.engine.get(layout.EXECUTED) is not None for node in stage.nodes)


# --- signatures and certificates that get lost ----------------------------------------------------


class SignsOnce(Confirmation):
    """Sends the signature of a height once."""

    def send_own(self) -> None:
        own = self.certifier.own
        if own is not None and own.height not in self.__dict__.setdefault("spoken", {}):
            self.__dict__["spoken"][own.height] = None
            super().send_own()


class ForgetsSignature(Replica):
    """Does not send again after a restart what it signed before it."""

    def __init__(self, setup: Setup, recovered: Recovered) -> None:
        super().__init__(setup, recovered)
        self._confirmation.certifier.own = None


@pytest.mark.parametrize("protocol", NAMES)
def test_checkpoint_signatures_are_sent_again_until_a_certificate_covers_them(
    protocol: str,
) -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage(protocol, kind=kind)
        stage.allow = no_checkpoints
        stage.run_ms(200)
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda: executed_by_all(stage))
        stage.run_ms(3_000)
        assert not stage.all_certified(1)
        stage.allow = None
        stage.until(lambda: stage.all_certified(1), limit_ms=5_000)
        return stage

    assert play(Replica).all_certified(1)
    assert not play(lacking(CONFIRMATION, SignsOnce)).all_certified(1)


def test_checkpoint_signatures_are_sent_again_after_a_restart() -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage("tendermint", kind=kind)
        stage.allow = no_checkpoints
        stage.run_ms(200)
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda: executed_by_all(stage))
        stage.crash(0, 1, 2, 3)
        stage.boot(0, 1, 2, 3)
        stage.allow = None
        stage.until(lambda: stage.all_certified(1), limit_ms=5_000)
        return stage

    stage = play(Replica)
    assert stage.all_certified(1)
    assert stage.broken == ()
    assert not play(ForgetsSignature).all_certified(1)


class SignsLater(Confirmation):
    """Signs the checkpoint of a block only some time after the block is executed."""

    def _sign_checkpoint(self, root: bytes) -> None:
        self.__dict__["late"] = root

    def send_own(self) -> None:
        root = self.__dict__.pop("late", None)
        if root is not None:
            super()._sign_checkpoint(root)
        else:
            super().send_own()


def test_a_checkpoint_is_signed_in_the_batch_that_stores_the_execution() -> None:
    # The power fails everywhere between the execution and whatever comes next.
    def play(kind: Kind) -> tuple[list[bool], bool]:
        """(whether each execution was stored with a signature, whether all certify it then)."""
        stage = Stage("tendermint", kind=kind)
        together: list[bool] = []

        def look(node: int, event: HostEvent, step: StepTaken) -> None:
            keys = [key for key, _ in step.writes]
            if layout.EXECUTED in keys:
                signed = layout.signed_key("checkpoint", (0,)) in keys
                together.append(signed and step.sync)

        stage.on_step = look
        stage.allow = no_checkpoints
        stage.run_ms(200)
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda: executed_by_all(stage))
        stage.crash(0, 1, 2, 3)
        stage.allow = None
        stage.boot(0, 1, 2, 3)
        return together, stage.until(lambda: stage.all_certified(1), limit_ms=5_000)

    assert play(Replica) == ([True] * 4, True)
    assert play(lacking(CONFIRMATION, SignsLater))[0] == [False] * 4


class KeepsCertificates(Confirmation):
    """Drops a signature that comes too late, without a word."""

    def on_signature(self, peer: int, packet: CheckpointSignature) -> None:
        if packet.height > self.certifier.certified:
            super().on_signature(peer, packet)


def left_behind(kind: Kind, *, restart: bool) -> Stage:
    """Node 3 executes everything and hears no signature; the others certify and fall silent.

    Then checkpoints arrive again, and nobody tells how far it is.
    """
    stage = Stage("tendermint", kind=kind)
    stage.allow = lambda sender, receiver, packet: (
        not (receiver == 3 and packet.CHANNEL is Channel.CHECKPOINT)
    )
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1, 0, 1, 2) and executed_by_all(stage))
    stage.run_ms(8_000)
    assert stage.certified(3) == 0
    if restart:
        stage.crash(0, 1, 2, 3)
        stage.boot(0, 1, 2, 3)
    stage.allow = lambda sender, receiver, packet: not isinstance(packet, Status)
    stage.until(lambda: stage.all_certified(1), limit_ms=5_000)
    return stage


def test_whoever_holds_a_certificate_answers_a_covered_signature_with_it() -> None:
    assert left_behind(Replica, restart=False).all_certified(1)
    mutant = lacking(CONFIRMATION, KeepsCertificates)
    assert not left_behind(mutant, restart=False).all_certified(1)


class ForgetsCertificate(Replica):
    """Keeps the latest certificate on its disk only."""

    def __init__(self, setup: Setup, recovered: Recovered) -> None:
        super().__init__(setup, recovered)
        self._confirmation.note = None


def test_a_certificate_is_still_handed_out_after_all_its_holders_restarted() -> None:
    assert left_behind(Replica, restart=True).all_certified(1)
    assert not left_behind(ForgetsCertificate, restart=True).all_certified(1)


# --- decisions that get lost ----------------------------------------------------------------------


class KeepsDecisions(Confirmation):
    """Sends no decision to whoever is behind."""

    def decisions_for(self, slot: tuple[int, ...]) -> list[DecisionPacket]:
        return []


class ForgetsDecisions(Replica):
    """Does not know after a restart why something was decided."""

    def __init__(self, setup: Setup, recovered: Recovered) -> None:
        super().__init__(setup, recovered)
        self._confirmation._decisions.clear()


class DropsDecisions(Confirmation):
    """Keeps the proof of a decision only until the block is executed."""

    def _executed(self, execution: Execution) -> None:
        super()._executed(execution)
        while self._decisions:
            gone = self._decisions.popleft()
            self._outbox.write([(layout.height_key(layout.DECIDED, gone.ordinal), None)], sync=True)


def last_votes_lost(kind: Kind, protocol: str, *, restart: bool) -> Stage:
    """D is down, one of the others decides, and B and C have lost each other's last votes.

    Whoever decided has gone on; no word of the protocol about this decision is ever heard again.
    """
    stage = Stage(protocol, kind=kind, down=(3,))
    first: list[int] = []

    def arrives(sender: int, receiver: int, packet: Packet) -> bool:
        first.extend(n for n in (0, 1, 2) if not first and stage.replica(n).status().decided)
        return not first or packet.CHANNEL is not Channel.PROTOCOL

    stage.allow = arrives
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))
    assert stage.until(lambda: first)
    stage.run_ms(4)
    assert sum(stage.replica(n).status().decided for n in (0, 1, 2)) == 1
    if restart:
        assert stage.until(lambda: stage.nodes[first[0]].engine.get(layout.EXECUTED))
        stage.crash(first[0])
        stage.boot(first[0])
    stage.until(lambda: stage.all_certified(1, 0, 1, 2), limit_ms=10_000)
    return stage


@pytest.mark.parametrize("restart", [False, True], ids=["alive", "restarted"])
@pytest.mark.parametrize("protocol", NAMES)
def test_d_is_down_a_decides_and_idles_b_and_c_lost_each_others_last_votes(
    protocol: str, restart: bool
) -> None:
    stage = last_votes_lost(Replica, protocol, restart=restart)
    assert stage.all_certified(1, 0, 1, 2)
    assert stage.broken == ()

    mutants = [lacking(CONFIRMATION, KeepsDecisions), lacking(CONFIRMATION, DropsDecisions)]
    for mutant in (*mutants, ForgetsDecisions) if restart else mutants:
        assert not last_votes_lost(mutant, protocol, restart=restart).all_certified(1, 0, 1, 2)


@pytest.mark.parametrize("restart", [False, True], ids=["alive", "restarted"])
def test_a_large_proof_goes_to_who_still_lacks_it_a_while_later(
    restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "LARGE_PROOF", 0)
    stage = last_votes_lost(Replica, "mysticeti", restart=restart)

    assert stage.all_certified(1, 0, 1, 2)
    assert stage.broken == ()

    monkeypatch.setattr(confirmation, "SETTLING_MS", 1_000_000)
    is_known_to_be_late = restart  # Who restarted decided it in an earlier life.
    late = last_votes_lost(Replica, "mysticeti", restart=restart)
    assert late.all_certified(1, 0, 1, 2) == is_known_to_be_late


# --- confirmed means certified and durable --------------------------------------------------------


class LazyDisk(Outbox):
    """Does not wait for a certificate to reach the disk."""

    def write(self, writes: list[Write], *, sync: bool) -> None:  # type: ignore[override]
        has_certificate = any(key.startswith(layout.CERT) for key, _ in writes)
        super().write(writes, sync=sync and not has_certificate)


class ConfirmsExecuted(Confirmation):
    """Calls confirmed what is only executed."""

    def _executed(self, execution: Execution) -> None:
        super()._executed(execution)
        self._outbox.put(Confirmed(self.head.height))


def test_confirmed_means_certified_and_durable() -> None:
    # The power fails at a node as soon as it has confirmed something.
    def play(kind: Kind) -> Stage:
        stage = Stage("tendermint", kind=kind)
        stage.run_ms(200)
        for nonce in range(3):
            stage.submit(nonce, stage.transaction(nonce))
            before = stage.promised.get(1, 0)
            stage.until(lambda before=before: stage.promised.get(1, 0) > before)
            stage.crash(1)
            stage.boot(1)
            stage.run_ms(200)
        return stage

    stage = play(Replica)
    assert stage.broken == ()
    assert stage.promised[1] >= 3
    assert "P2" in play(lacking("_outbox", LazyDisk)).broken
    assert "P2" in play(lacking(CONFIRMATION, ConfirmsExecuted)).broken


# --- diverging executions -------------------------------------------------------------------------


class WritesMore(Executor):
    """Comes to another state than the others."""

    def _apply(
        self,
        state: _TransactionState,
        header: BlockHeader,
        position: int,
        transaction: Transaction,
        roles: tuple[str, ...],
    ) -> str:
        reason = super()._apply(state, header, position, transaction, roles)
        state._overlay.writes[layout.state_key("records", b"stray" + transaction.id)] = b""
        return reason


class SeesNoFork(Certifier):
    """Does not compare what a quorum signed with what was executed here."""

    __slots__ = ()

    def divergence(self) -> str | None:
        return None


class HearsNoFork(Confirmation):
    """Ignores a certificate over another log than its own."""

    def on_certificate(self, packet: CheckpointCertified) -> int:
        return 0


class RunsAhead(Replica):
    """Votes however far it is ahead of its certificates."""

    def _may_run_ahead(self) -> bool:
        return True


DIVERGING = lacking("_confirmation._executor", WritesMore)
QUIET = lacking(
    "_confirmation.certifier", SeesNoFork, lacking(CONFIRMATION, HearsNoFork, DIVERGING)
)


def one_by_one(kinds: dict[int, Kind], count: int) -> Stage:
    """A network with tight bounds that is given one transaction after the other."""
    stage = Stage("tendermint", kind=kinds, limits={"run_ahead": 3})
    stage.run_ms(200)
    for nonce in range(count):
        stage.submit(nonce % 3, stage.transaction(nonce))
        stage.run_ms(400)
    return stage


def test_one_diverging_execution_stops_its_node_loudly_and_nobody_else() -> None:
    stage = one_by_one({3: DIVERGING}, 6)
    assert "execution diverged at height 1" in stage.stopped[3]
    assert list(stage.stopped) == [3]
    assert stage.promised.get(3, 0) == 0
    wishes = [stage.transaction(nonce) for nonce in range(6)]
    assert stage.until(lambda: all(stage.holds(wish, 0, 1, 2) for wish in wishes))

    assert one_by_one({3: QUIET}, 6).stopped == {}


def test_more_diverging_executions_than_tolerated_stop_the_ledger_within_run_ahead() -> None:
    stage = one_by_one({2: DIVERGING, 3: DIVERGING}, 8)
    assert [stage.replica(node).status().decided for node in range(4)] == [3] * 4
    assert stage.promised == {}
    assert not any(stage.certified(node) for node in range(4))

    ahead = lacking("_confirmation._executor", WritesMore, RunsAhead)
    stage = one_by_one({0: RunsAhead, 1: RunsAhead, 2: ahead, 3: ahead}, 8)
    assert [stage.replica(node).status().decided for node in range(4)] == [8] * 4


def test_a_fork_in_a_certificate_alone_stops_the_node_loudly() -> None:
    # Node 3 hears no signatures of the others, only the certificate that they came to.
    stage = Stage("tendermint", kind={3: DIVERGING})
    stage.allow = lambda sender, receiver, packet: (
        not (receiver == 3 and isinstance(packet, CheckpointSignature))
    )
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))

    assert stage.until(lambda: 3 in stage.stopped, limit_ms=5_000)
    assert "see the certificate" in stage.stopped[3]


def test_the_guard_refuses_a_checkpoint_that_does_not_extend_the_last_one() -> None:
    stage = Stage("tendermint")
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))
    guard = stage.replica(0)._confirmation._guard
    last = guard.checkpoint
    assert last is not None

    for height, size in [(1, last.size), (1, last.size + 3), (2, last.size), (2, last.size - 1)]:
        with pytest.raises(AssertionError, match="not an extension"):
            guard.sign_checkpoint(height, size, bytes(32), b"text")
    guard.sign_checkpoint(2, last.size + 1, bytes(32), b"text")
