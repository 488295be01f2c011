"""Catching up: nodes that were away for long, wrong ranges of blocks, and peers that lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import count

import pytest

from consensus import replica as replica_module
from consensus.jobs import CertifiedBlock, CertifiedRange, CheckBlocks, ReadBlocks
from consensus.packets import Blocks, Status, WantBlocks
from consensus.replica import Replica
from consensus.sync import PATIENCE_MS, CatchUp
from ledger import layout
from ledger.encoding import encode
from ledger.execution import parse_block_entry
from sim.network import SILENT_MS
from sim.watcher import Boundary
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES

BLOCKS = 6


def grow(stage: Stage, count: int, *nodes: int) -> None:
    """Order transactions one by one at these nodes, until so many blocks are certified there."""
    for nonce in range(count):
        if stage.all_certified(count, *nodes):
            return
        stage.submit(nodes[nonce % len(nodes)], stage.transaction(nonce))
        assert stage.until(lambda nonce=nonce: stage.holds(stage.transaction(nonce), *nodes))


@pytest.mark.parametrize("protocol", NAMES)
def test_a_node_that_was_down_for_many_blocks_catches_up_range_by_range(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "RANGE_BLOCKS_MAX", 2)
    stage = Stage(protocol, down=(3,))
    stage.run_ms(200)
    grow(stage, 2 * BLOCKS, 0, 1, 2)
    height = stage.certified(0)

    stage.boot(3)

    assert stage.until(lambda: stage.all_certified(height))
    assert len([sent for sent in stage.said(Blocks) if sent.peer == 3]) >= height // 2
    stage.submit(3, stage.transaction(99))
    assert stage.until(lambda: stage.holds(stage.transaction(99)))
    assert stage.broken == ()


def test_a_power_cut_at_any_write_while_catching_up_loses_nothing() -> None:
    def behind() -> Stage:
        stage = Stage("solo", down=(3,))
        stage.run_ms(200)
        grow(stage, BLOCKS, 0, 1, 2)
        stage.boot(3)
        return stage

    for number in count(1):
        stage = behind()
        writes = [0]

        def strike(
            node: int,
            _: object,
            stage: Stage = stage,
            number: int = number,
            writes: list[int] = writes,
        ) -> None:
            writes[0] += node == 3
            if node == 3 and writes[0] == number:
                stage.nodes[3].crash_at(Boundary(1 + number % 3))

        stage.on_write = strike
        stage.until(lambda stage=stage: stage.crashes == [3] or stage.all_certified(BLOCKS))
        stage.run_ms(100)
        stage.boot(3)

        assert stage.until(lambda stage=stage: stage.all_certified(BLOCKS)), number
        assert stage.broken == ()
        if not stage.crashes:
            assert number > 3, "nothing was struck"
            break


# --- wrong ranges ---------------------------------------------------------------------------------


@cache
def history() -> Blocks:
    """A right range of certified blocks, as a peer would send it."""
    stage = Stage("solo")
    stage.run_ms(200)
    grow(stage, 3, 0, 1, 2, 3)
    suite = stage.genesis.suite
    found = ReadBlocks(1, stage.certified(0), 1 << 20, 100, suite).run(stage.nodes[0].engine)
    assert found is not None
    assert len(found.blocks) == len(found.batches) == 3
    return found


@cache
def lower_note() -> bytes:
    """The certificate of the second of those blocks."""
    stage = Stage("solo")
    stage.run_ms(200)
    grow(stage, 3, 0, 1, 2, 3)
    note = stage.nodes[0].engine.get(layout.height_key(layout.CERT, 2))
    assert note is not None
    return note


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def with_item(items: Sequence[bytes], index: int, item: bytes) -> tuple[bytes, ...]:
    return (*items[:index], item, *items[index + 1 :])


def with_leaf(packet: Blocks, block: int, leaf: int) -> Blocks:
    """The range with one bit of the last byte but 70 of a leaf, or of its last byte, flipped."""
    first, leaves = parse_block_entry(packet.blocks[block])
    changed = with_item(leaves, leaf, flipped(leaves[leaf], max(-71, -len(leaves[leaf]))))
    return replace(packet, blocks=with_item(packet.blocks, block, encode((first, changed))))


def with_first(packet: Blocks, first: int) -> Blocks:
    _, leaves = parse_block_entry(packet.blocks[0])
    return replace(packet, blocks=with_item(packet.blocks, 0, encode((first, leaves))))


CHANGES: dict[str, Callable[[Blocks], Blocks]] = {
    "a later beginning": lambda p: replace(p, first=2),
    "the first block missing": lambda p: replace(p, blocks=p.blocks[1:], batches=p.batches[1:]),
    "the last block missing": lambda p: replace(p, blocks=p.blocks[:-1], batches=p.batches[:-1]),
    "blocks swapped": lambda p: replace(p, blocks=(p.blocks[1], p.blocks[0], p.blocks[2])),
    "a block twice": lambda p: replace(p, blocks=(p.blocks[0], *p.blocks)),
    "another leaf index": lambda p: with_first(p, 1),
    "a header flipped": lambda p: with_leaf(p, 0, 0),
    "a transaction flipped": lambda p: with_leaf(p, 1, 1),
    "an outcome flipped": lambda p: with_leaf(p, 2, 2),
    "an entry flipped": lambda p: replace(p, blocks=with_item(p.blocks, 1, b"\x92\x00")),
    "a batch missing": lambda p: replace(p, batches=p.batches[:-1]),
    "a batch too many": lambda p: replace(p, batches=(*p.batches, p.batches[0])),
    "batches swapped": lambda p: replace(p, batches=(p.batches[1], p.batches[0], p.batches[2])),
    "a batch flipped": lambda p: replace(
        p, batches=with_item(p.batches, 1, flipped(p.batches[1], -1))
    ),
    "a creator's signature flipped": lambda p: replace(
        p, batches=with_item(p.batches, 1, flipped(p.batches[1], 5))
    ),
    "the certificate of a lower height": lambda p: replace(p, note=lower_note()),
    "the certificate flipped": lambda p: replace(p, note=flipped(p.note, -20)),
    "another root certified": lambda p: replace(
        p, note=p.note.replace(p.note.split(b"\n")[2], b"A" * 43 + b"=", 1)
    ),
    "no certificate": lambda p: replace(p, note=b""),
}  # fmt: skip


def offered(packet: Blocks, kind: Kind = Replica) -> Stage:
    """A new node to which a peer offers a range that it asked for."""
    stage = Stage("solo", kind=kind, puppets=(1, 2, 3))
    stage.run_ms(200)
    stage.inject(1, 0, Status(3, 3, (3,), reply=False))
    assert [sent.peer for sent in stage.said(WantBlocks)] == [1]
    stage.inject(1, 0, packet)
    stage.run_ms(100)
    return stage


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_range_is_refused_and_a_right_one_taken_from_someone_else(name: str) -> None:
    changed = CHANGES[name](history())
    assert changed != history()

    stage = offered(changed)

    assert stage.replica(0).status().executed == 0
    assert stage.stopped == {}
    stage.inject(2, 0, Status(3, 3, (3,), reply=False))
    assert stage.until(lambda: stage.said(WantBlocks)[-1].peer == 2, limit_ms=PATIENCE_MS + 500)
    stage.inject(2, 0, history())
    assert stage.until(lambda: stage.certified(0) == 3, limit_ms=1_000)


def test_a_range_that_nobody_asked_for_is_not_looked_at() -> None:
    stage = Stage("solo", puppets=(1, 2, 3))
    stage.run_ms(200)
    stage.inject(1, 0, history())
    stage.run_ms(100)
    assert stage.replica(0).status().executed == 0


class BelievesPeers(CheckBlocks):
    """Looks at the form of a range only."""

    def _check(self) -> CertifiedRange:
        blocks: list[CertifiedBlock] = []
        batches = iter(self.packet.batches)
        for entry in self.packet.blocks:
            blocks.append(self._block(parse_block_entry(entry)[1], batches))
        return CertifiedRange(tuple(blocks), 0, self.packet.note)


def test_who_believes_a_range_is_stopped_by_a_single_liar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "CheckBlocks", BelievesPeers)
    assert "diverged" in offered(CHANGES["an outcome flipped"](history())).stopped[0]


# --- liars ----------------------------------------------------------------------------------------


class NeverDoubts(CatchUp):
    """Asks whoever claims most, again and again."""

    __slots__ = ()

    def whom_to_ask(self, height: int, now_ms: int) -> int | None:
        if self.checking or (self.asked is not None and now_ms - self.asked_ms < PATIENCE_MS):
            return None
        ahead = [peer for peer, claimed in self.claims.items() if claimed > height]
        self.asked = max(ahead, key=self.claims.__getitem__, default=None)
        self.asked_ms = now_ms
        return self.asked


class ForgetsLies(CatchUp):
    """Asks whoever claims most as soon as it claims so again."""

    __slots__ = ()

    def _failed(self, peer: int) -> None:
        """Keep nothing in mind."""


class ForgivesHangingUp(CatchUp):
    """Believes whoever hung up while it was asked as much as before."""

    __slots__ = ()

    def gone(self, peer: int) -> None:
        self._forget(peer)


def test_a_liar_that_hangs_up_and_comes_back_is_not_asked_first_for_ever() -> None:
    def play(sync: CatchUp) -> list[int | None]:
        asked = []
        for second in range(4):
            for peer, claimed in ((1, 10), (2, 99)):
                sync.claim(peer, claimed)
            asked.append(sync.whom_to_ask(5, second * 1_000))
            if asked[-1] == 1:
                sync.accepted()
            else:
                sync.gone(2)
        return asked

    assert play(CatchUp()) == [2, 1, 1, 1]
    assert play(ForgivesHangingUp()) == [2, 2, 2, 2]


def asked_in_vain(stage: Stage) -> int:
    """How often node 5 has asked the liar although an honest peer's claim was there to follow."""
    asked = [sent.peer for sent in stage.said(WantBlocks, sender=5)]
    assert 6 in asked
    first = next(place for place, peer in enumerate(asked) if peer != 6)
    return asked[first:].count(6)


HONEST = (0, 1, 2, 3, 4, 5)


def misled(kind: Kind, answer: Blocks | None) -> Stage:
    """Node 5 is behind, and validator 6 claims all the time to be far ahead of everyone."""
    stage = Stage("solo", nodes=7, kind=kind, puppets=(6,))
    stage.run_ms(200)
    grow(stage, 2, *HONEST)
    stage.crash(5)
    for nonce in (7, 8, 9):
        stage.submit(1, stage.transaction(nonce))
        assert stage.until(lambda nonce=nonce: stage.holds(stage.transaction(nonce), 0, 1, 2, 3, 4))
    stage.run_ms(20_000)
    stage.boot(5)
    for _ in range(6_000):
        since = len(stage.sent_log)
        stage.inject(6, 5, Status(1_000_000, 1_000_000, (1_000_000,), reply=False))
        stage.run_ms(1)
        asked = [sent for sent in stage.said(WantBlocks, sender=5, since=since) if sent.peer == 6]
        if asked and answer is not None:
            stage.inject(6, 5, answer)
        if stage.all_certified(5, *HONEST):
            break
    return stage


@pytest.mark.parametrize("answers", [False, True], ids=["silent", "with-wrong-blocks"])
def test_a_peer_that_claims_heights_it_does_not_have_keeps_nobody_behind(
    answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "RANGE_BLOCKS_MAX", 1)
    wrong = replace(history(), first=3) if answers else None

    stage = misled(Replica, wrong)
    assert asked_in_vain(stage) <= 1, "from then on it is asked last"
    assert stage.all_certified(5, *HONEST)
    assert stage.broken == ()

    assert not misled(lacking("_sync", NeverDoubts), wrong).all_certified(5, 5)
    assert asked_in_vain(misled(lacking("_sync", ForgetsLies), wrong)) > 1


def test_a_peer_that_claims_much_does_not_keep_the_others_from_ordering() -> None:
    stage = Stage("tendermint", puppets=(3,))
    stage.run_ms(200)
    for nonce in range(4):
        for node in (0, 1, 2):
            stage.inject(3, node, Status(1_000_000, 1_000_000, (1_000_000, 0), reply=True))
        stage.submit(nonce % 3, stage.transaction(nonce))
        stage.run_ms(300)
    wishes = [stage.transaction(nonce) for nonce in range(4)]
    assert stage.until(lambda: all(stage.holds(wish, 0, 1, 2) for wish in wishes))
    assert stage.broken == ()


def test_lies_end_and_the_network_falls_silent() -> None:
    stage = Stage("tendermint", puppets=(3,))
    stage.run_ms(200)
    for node in (0, 1, 2):
        stage.inject(3, node, Status(1_000_000, 1_000_000, (1_000_000, 0), reply=False))
    stage.run_ms(20_000)
    before = len(stage.sent_log)
    stage.run_ms(20_000)
    assert len(stage.sent_log) == before


class LeavesTooSoon(Replica):
    """Helps who is behind for a few seconds: links hold for longer."""

    def _peers_behind(self) -> bool:
        return super()._peers_behind() and self._settled_ticks < 50


def is_told_of_the_last_block(protocol: str, cut_ms: int, kind: Kind = Replica) -> bool:
    """One hears nothing of a ledger's last block, nor of the others' farewell for so long."""
    stage = Stage(protocol, kind=kind)
    stage.run_ms(200)
    grow(stage, 1, 0, 1, 2, 3)
    stage.cut_off(3)
    grow(stage, 2, 0, 1, 2)
    stage.run_ms(cut_ms)
    stage.join(3)
    return stage.until(lambda: stage.all_certified(2))


@pytest.mark.parametrize("protocol", ["tendermint", "mysticeti"])
def test_who_missed_the_last_block_is_told_once_it_hears_again(protocol: str) -> None:
    for cut_ms in (1_000, SILENT_MS - 1_000, 3 * SILENT_MS):
        assert is_told_of_the_last_block(protocol, cut_ms)
    assert not is_told_of_the_last_block(protocol, SILENT_MS - 1_000, LeavesTooSoon)
