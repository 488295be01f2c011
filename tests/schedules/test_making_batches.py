"""Making batches and naming them: full mempools, numbers used twice, leaders that wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import dissemination, spreading
from consensus.dissemination import Dissemination
from consensus.packets import BatchPacket, Have
from consensus.recovery import Recovered, Setup
from consensus.replica import Replica
from consensus.spreading import PATIENCE_MS
from ledger.store import Reader
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage

POOL = "_spreading.pool"


def test_a_full_mempool_refuses_clearly_and_takes_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dissemination, "MEMPOOL_TRANSACTIONS_MAX", 2)
    stage = Stage("solo")
    wishes = [stage.transaction(nonce) for nonce in range(3)]
    stage.run_ms(200)

    request = stage.submit(1, *wishes)
    stage.run_ms(500)
    reasons = [admission.reason for admission in stage.answers[request].admissions]
    again = stage.submit(1, wishes[2])

    assert stage.until(lambda: stage.holds(wishes[2]))
    assert reasons == ["", "", "mempool.full"]
    assert stage.answers[again].admissions[0].reason == ""


class ForgetsNumbers(Stage):
    """Nodes that count their batches from the beginning after every start."""

    def remember(self, reader: Reader, setup: Setup) -> Recovered:
        return replace(super().remember(reader, setup), sequence=0)


def test_a_creator_uses_no_sequence_number_twice_after_a_crash() -> None:
    def play(kind: type[Stage]) -> tuple[str, ...]:
        stage = kind("tendermint")
        stage.run_ms(200)
        for nonce in range(3):
            stage.submit(1, stage.transaction(nonce))
            stage.run_ms(20)
            stage.crash(1)
            stage.boot(1)
            stage.run_ms(300)
        assert len(stage.said(BatchPacket, sender=1)) >= 3
        return stage.broken

    assert play(Stage) == ()
    assert "P14" in play(ForgetsNumbers)


class InsistsOnQuorum(Dissemination):
    """Names a batch only once a quorum says to hold it."""

    __slots__ = ()

    def select(
        self, excluded: frozenset[bytes], height: int, now_ms: int, patience_ms: int
    ) -> tuple[bytes, ...]:
        return super().select(excluded, height, now_ms, now_ms + 1)


class AsksNobody(Dissemination):
    """Names a batch at once."""

    __slots__ = ()

    def select(
        self, excluded: frozenset[bytes], height: int, now_ms: int, patience_ms: int
    ) -> tuple[bytes, ...]:
        return super().select(excluded, height, now_ms, 0)


def test_a_leader_waits_for_a_quorum_of_holders_and_not_for_ever() -> None:
    def play(kind: Kind) -> int:
        """How long a confirmation takes where the leader hears of no holder."""
        stage = Stage("solo", kind=kind)
        stage.allow = lambda sender, receiver, packet: (
            not (receiver == 0 and isinstance(packet, Have))
        )
        wish = stage.heavy_transaction(0)
        stage.run_ms(200)
        begun_ms = stage.agenda.now_ms
        stage.submit(0, wish)
        stage.until(lambda: stage.holds(wish), limit_ms=5_000)
        return stage.agenda.now_ms - begun_ms

    assert PATIENCE_MS <= play(Replica) < 3 * PATIENCE_MS
    assert play(lacking(POOL, AsksNobody)) < PATIENCE_MS
    assert play(lacking(POOL, InsistsOnQuorum)) == 5_000


def test_a_light_batch_is_named_without_word_of_who_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def play() -> tuple[int, int]:
        """How long a confirmation takes, and how many words of holders are said for it."""
        stage = Stage("solo")
        wish = stage.transaction(0)
        stage.run_ms(200)
        begun_ms = stage.agenda.now_ms
        stage.submit(1, wish)
        stage.until(lambda: stage.holds(wish), limit_ms=5_000)
        return stage.agenda.now_ms - begun_ms, len(stage.said(Have))

    light = play()
    monkeypatch.setattr(dissemination, "LIGHT_BYTES", 0)
    heavy = play()

    assert light[1] == 0 < heavy[1]
    assert light[0] < heavy[0] < PATIENCE_MS


def test_a_light_batch_that_only_the_leader_has_is_asked_for_at_once() -> None:
    stage = Stage("solo")
    stage.allow = lambda sender, receiver, packet: (
        receiver == 0 or sender != 1 or not isinstance(packet, BatchPacket)
    )
    wish = stage.transaction(0)
    stage.run_ms(200)
    begun_ms = stage.agenda.now_ms
    stage.submit(1, wish)

    assert stage.until(lambda: stage.holds(wish), limit_ms=5_000)
    assert stage.agenda.now_ms - begun_ms < PATIENCE_MS


def test_what_one_peer_has_checked_at_once_has_a_bound_and_is_asked_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def play(*, room: int) -> tuple[int, int]:
        """Batches of a liar that a node holds at once, and after a while."""
        stage = Stage("solo", puppets=(3,))
        stage.run_ms(200)
        sent = [stage.batch(3, stage.transaction(number), sequence=number) for number in range(4)]
        size = len(sent[0][0].raw)
        monkeypatch.setattr(spreading, "CHECKS_BYTES_MAX", room * size)
        for _, packet in sent:
            stage.inject(3, 1, packet)
        pool = stage.replica(1)._spreading.pool
        names = [batch.digest for batch, _ in sent]
        stage.inject(3, 1, Have(tuple(names)))
        stage.run_ms(20)
        first = sum(name in pool.held or name in pool.ordered for name in names)
        for _, packet in sent:
            stage.inject(3, 1, packet)
            stage.run_ms(20)
        return first, sum(name in pool.held or name in pool.ordered for name in names)

    assert play(room=4) == (4, 4)
    assert play(room=2) == (2, 4)


class CountsGivenBack(Dissemination):
    """An own batch is on its way until it is dropped."""

    __slots__ = ()

    def may_make_batch(self) -> bool:
        mine = [held for held in self.held.values() if held.batch.creator == self.me]
        return len(mine) < dissemination.OPEN_BATCHES_MAX


def test_what_no_value_may_name_any_more_makes_room_for_another_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by the search (replicas, scenario 185 of seed 97000 of Mysticeti): a validator was cut
    off with as many batches as it may make, and came back when the ledger was idle."""
    monkeypatch.setattr(dissemination, "OPEN_BATCHES_MAX", 1)

    def is_confirmed(kind: Kind) -> bool:
        tight = {"batch_window": 4, "replay_window": 100}
        stage = Stage("mysticeti", kind=kind, limits=tight)
        stage.run_ms(200)
        stage.cut_off(3)
        late = stage.transaction(9, member=1)
        stage.submit(3, late)
        stage.run_ms(100)
        for nonce in range(3):
            stage.submit(0, stage.transaction(nonce))
            assert stage.until(lambda nonce=nonce: stage.holds(stage.transaction(nonce), 0, 1, 2))
        stage.join(3)
        return stage.until(lambda: stage.holds(late))

    assert is_confirmed(Replica)
    assert not is_confirmed(lacking(POOL, CountsGivenBack))
