"""Batches: too late to be ordered, missing at a voter, lost with their creator, or far too many."""

from __future__ import annotations

import hashlib

from consensus import dissemination
from consensus.dissemination import Dissemination
from consensus.packets import BatchPacket, Have, Packet, SignedPacket, WantBatches
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NIL, NO_ROUND, Prevote, Proposal
from consensus.replica import Replica
from consensus.spreading import Spreading
from consensus.values import Judgement, Values
from ledger import layout
from ledger.applications.records import make_record
from ledger.batch import Batch, parse_batch
from ledger.store import prefix_stop
from ledger.transaction import Transaction
from ledger.value import Value
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage

POOL = "_spreading.pool"


# --- too late -------------------------------------------------------------------------------------


class OrdersAnyAge(Dissemination):
    """Never finds a batch too old."""

    __slots__ = ()

    def in_window(self, batch: Batch, height: int) -> bool:
        return batch.height < height


class DropsForGood(Dissemination):
    """Drops a stale batch and what was in it."""

    __slots__ = ()

    def drop_stale(self, height: int) -> list[Batch]:
        stale = super().drop_stale(height)
        self.waiting.clear()
        return stale


class TakesOldBatches(Spreading):
    """Holds a batch again that was executed so long ago that nothing here remembers it."""

    def _is_past(self, batch: Batch) -> bool:
        return False


def ages(stage: Stage, index: int) -> list[int]:
    """For every ordered batch, how many heights after its making it was ordered."""
    found = []
    for header in stage.headers(index):
        for digest in header.payload:
            stored = stage.nodes[index].engine.get(layout.BATCH + digest)
            assert stored is not None
            batch = parse_batch(stored[64:], stage.genesis.limits)
            found.append(header.height - batch.height)
    return found


def test_a_batch_that_was_not_ordered_in_time_is_made_anew_and_confirmed_once() -> None:
    # Nobody hears of node 1's batch while the others order more blocks than the window has.
    def play(kind: Kind) -> Stage:
        stage = Stage("solo", kind=kind, limits={"batch_window": 2})
        stage.allow = lambda sender, receiver, packet: (
            not (sender == 1 and isinstance(packet, BatchPacket | Have))
        )
        late = stage.transaction(0, member=1)
        stage.run_ms(200)
        stage.submit(1, late)
        for nonce in range(4):
            stage.submit(2, stage.transaction(nonce))
            assert stage.until(lambda nonce=nonce: stage.all_certified(nonce + 1))
        stage.allow = None
        stage.until(lambda: stage.holds(late), limit_ms=5_000)
        stage.run_ms(2_000)
        return stage

    late = Stage("solo", limits={"batch_window": 2}).transaction(0, member=1)
    stage = play(Replica)
    assert stage.ids(0).count(late.id) == 1
    assert max(ages(stage, 0)) <= 2
    assert not stage.replica(1).is_pending(late.id)
    unordered = layout.AGED, layout.AGED + b"\xff" * 41
    assert [list(node.engine.scan(*unordered)) for node in stage.nodes] == [[]] * 4
    assert stage.broken == ()

    assert play(lacking(POOL, DropsForGood)).ids(0).count(late.id) == 0
    ageless = lacking("_spreading", TakesOldBatches, lacking(POOL, OrdersAnyAge))
    assert max(ages(play(ageless), 0)) > 2


def large(stage: Stage, first: int) -> list[Transaction]:
    """Transactions that together make a batch which is stored in parts."""
    content = [make_record("note", b"", bytes(40_000))]
    return [stage.transaction(first + n, member=1, operations=content) for n in range(4)]


def parts(stage: Stage, index: int) -> int:
    """How many parts of batches a node has stored."""
    return len(list(stage.nodes[index].engine.scan(layout.PART, prefix_stop(layout.PART))))


def test_a_batch_in_parts_is_spread_executed_read_after_a_restart_and_caught_up_with() -> None:
    stage = Stage("solo", down=(3,))
    stage.run_ms(200)
    made = large(stage, 0)
    stage.submit(1, *made)
    assert stage.until(lambda: all(stage.holds(each, 0, 1, 2) for each in made))
    stage.crash(2)
    stage.boot(2, 3)
    stage.submit(1, stage.transaction(99))

    assert stage.until(lambda: stage.all_certified(stage.certified(0)), limit_ms=10_000)
    assert stage.until(lambda: stage.holds(made[3]), limit_ms=10_000)
    assert min(parts(stage, index) for index in range(4)) > 1
    assert len({parts(stage, index) for index in range(4)}) == 1
    assert stage.broken == ()


def test_a_batch_in_parts_that_waits_is_there_after_a_restart_and_goes_without_a_rest() -> None:
    stage = Stage("solo", limits={"batch_window": 2})
    stage.allow = lambda sender, receiver, packet: (
        not (sender == 1 and isinstance(packet, BatchPacket | Have))
    )
    stage.run_ms(200)
    stage.submit(1, *large(stage, 0))
    stage.run_ms(500)
    waiting = parts(stage, 1)
    stage.crash(1)
    stage.boot(1)
    stage.run_ms(500)
    assert parts(stage, 1) == waiting > 1
    for nonce in range(4):
        stage.submit(2, stage.transaction(nonce))
        assert stage.until(lambda nonce=nonce: stage.all_certified(nonce + 1))
    stage.run_ms(2_000)

    assert parts(stage, 1) == 0
    assert stage.broken == ()


def test_what_expired_while_its_batch_waited_is_not_batched_again() -> None:
    stage = Stage("solo", limits={"batch_window": 2})
    stage.allow = lambda sender, receiver, packet: (
        not (sender == 1 and isinstance(packet, BatchPacket | Have))
    )
    late = stage.transaction(0, member=1, expiry=3)
    stage.run_ms(200)
    stage.submit(1, late)
    for nonce in range(4):
        stage.submit(2, stage.transaction(nonce))
        assert stage.until(lambda nonce=nonce: stage.all_certified(nonce + 1))
    stage.allow = None
    stage.run_ms(5_000)

    assert not stage.replica(1).is_pending(late.id)
    assert len(stage.said(BatchPacket, sender=1)) == 1
    assert late.id not in stage.ids(0)


def test_an_old_batch_that_comes_again_does_not_take_the_block_with_it() -> None:
    # Held again, it would be dropped again as stale, and with it what the stored block names.
    def play(kind: Kind) -> tuple[bool, bool]:
        """(whether node 1 still has the batch, whether a new node can get all blocks from it)."""
        stage = Stage("solo", kind=kind, limits={"batch_window": 2}, down=(3,))
        stage.run_ms(200)
        for nonce in range(8):
            stage.submit(1, stage.transaction(nonce))
            assert stage.until(lambda n=nonce: stage.all_certified(n + 1, 0, 1, 2))
        old = stage.said(BatchPacket, sender=1)[0].packet
        assert isinstance(old, BatchPacket)
        for node in (0, 1, 2):
            stage.inject(2, node, old)
        stage.submit(1, stage.transaction(99))
        stage.run_ms(2_000)
        key = layout.BATCH + hashlib.sha256(old.batch).digest()
        has_batch = stage.nodes[1].engine.get(key) is not None
        stage.boot(3)
        return has_batch, stage.until(lambda: stage.all_certified(9), limit_ms=5_000)

    assert play(Replica) == (True, True)
    assert play(lacking("_spreading", TakesOldBatches)) == (False, False)


# --- missing --------------------------------------------------------------------------------------


class NeverForMissing(Values):
    """Refuses a value because a batch of it is not here yet."""

    def judge(self, value: Value, pool: Dissemination, wall_ms: int) -> Judgement:
        if pool.missing(value.payload):
            return Judgement.NEVER
        return super().judge(value, pool, wall_ms)


class AsksProposersOnly(Spreading):
    """Asks for a batch once, whoever proposed it."""

    def on_tick(self, needed: frozenset[bytes]) -> None:
        self._drop_stale()
        self._batch_soon()


class MissingBatch(Stage):
    """Node 2 never hears of a batch before the proposal that names it; node 3 is down.

    So no decision is possible without node 2's vote.  The proposer, node 1, never sends the batch.
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__("tendermint", kind=kind, down=(3,))
        self.allow = self._arrives
        self.run_ms(200)
        self.wish = self.transaction(0)
        self.submit(0, self.wish)
        self.until(lambda: self.holds(self.wish, 0, 1, 2), limit_ms=5_000)

    def _arrives(self, sender: int, receiver: int, packet: Packet) -> bool:
        if receiver != 2 or not isinstance(packet, BatchPacket | Have):
            return True
        has_asked = bool(self.said(WantBatches, sender=2))
        return has_asked and sender == 0 and isinstance(packet, BatchPacket)

    def prevotes(self) -> list[Prevote]:
        """What node 2 said in the first round."""
        said = [
            self.message_in(Tendermint, sent.packet)
            for sent in self.said(SignedPacket, sender=2)
            if isinstance(sent.packet, SignedPacket)
        ]
        return [m for m in said if isinstance(m, Prevote) and (m.instance, m.round) == (1, 0)]


def test_a_missing_batch_is_not_yet_valid_and_the_vote_follows_once_a_holder_sent_it() -> None:
    stage = MissingBatch(Replica)
    asked = [sent.peer for sent in stage.said(WantBatches, sender=2)]
    assert asked[0] == 1, "the proposer first"
    assert 0 in asked, "then the others"
    assert stage.holds(stage.wish, 0, 1, 2)
    assert stage.prevotes()[0].value != NIL
    assert stage.broken == ()

    assert MissingBatch(lacking("_ordering.values", NeverForMissing)).prevotes()[0].value == NIL
    mutant = MissingBatch(lacking("_spreading", AsksProposersOnly))
    assert not mutant.holds(mutant.wish, 0)


def test_a_node_that_decided_without_the_batches_gets_them_from_who_executed_them() -> None:
    # The batch has left the memory of all who executed it: only their disks have it.
    stage = Stage("solo")
    stage.allow = lambda sender, receiver, packet: (
        not (receiver == 3 and isinstance(packet, BatchPacket | Have))
    )
    wish = stage.transaction(0)
    stage.run_ms(200)
    stage.submit(1, wish)
    assert stage.until(lambda: stage.holds(wish, 0, 1, 2))
    assert not stage.holds(wish, 3)
    stage.allow = lambda sender, receiver, packet: not (receiver == 3 and isinstance(packet, Have))

    assert stage.until(lambda: stage.holds(wish, 3))
    assert stage.broken == ()


class NeverGivesUp(Dissemination):
    """Asks for a named batch until it comes."""

    __slots__ = ()

    def give_up(self, now_ms: int, after_ms: int, needed: frozenset[bytes]) -> None:
        """Keep asking."""


def test_a_named_batch_that_nobody_has_costs_one_round_and_is_given_up() -> None:
    def play(kind: Kind) -> tuple[bool, int]:
        """(whether the others order something, requests for the batch long after that)."""
        stage = Stage("tendermint", kind=kind, puppets=(1,))
        stage.run_ms(200)
        value = Value(stage.genesis.epoch.id, b"", (1, 0), 1, 1_700_000_000_000, (bytes(32),))
        for node in (0, 2, 3):
            stage.inject(1, node, stage.sign(1, Proposal(value, 0, NO_ROUND, None)))
        wish = stage.transaction(0)
        stage.submit(0, wish)
        is_ordered = stage.until(lambda: stage.holds(wish), limit_ms=5_000)
        stage.run_ms(40_000)
        since = len(stage.sent_log)
        stage.run_ms(10_000)
        return is_ordered, len(stage.said(WantBatches, since=since))

    assert play(Replica) == (True, 0)
    is_ordered, requests = play(lacking(POOL, NeverGivesUp))
    assert is_ordered
    assert requests > 0


# --- too many -------------------------------------------------------------------------------------


class HoldsAnything(Dissemination):
    """Bounds nobody."""

    __slots__ = ()

    def accepts(self, creator: int, size: int) -> bool:
        return True


class NamesNothing(Dissemination):
    """Does not tell batches that a value names from those that were only heard of."""

    __slots__ = ()

    def want(self, digests: list[bytes], now_ms: int) -> None:  # type: ignore[override]
        super().want(digests, now_ms)
        self.named.clear()


def flood(kind: Kind) -> tuple[Stage, list[tuple[Batch, BatchPacket]]]:
    """A stage on which validator 3 made seventy batches that nobody orders, and those batches."""
    stage = Stage("tendermint", kind=kind, puppets=(1, 2, 3))
    stage.run_ms(200)
    made = [stage.batch(3, stage.transaction(number), sequence=number) for number in range(70)]
    for _, packet in made:
        stage.inject(3, 0, packet)
        stage.run_ms(2)
    stage.run_ms(20)
    return stage, made


def test_a_creator_that_floods_the_nodes_is_bounded() -> None:
    def play(kind: Kind) -> int:
        stage, _ = flood(kind)
        return len(stage.replica(0)._spreading.pool.held)

    assert play(Replica) == dissemination.CREATOR_BATCHES_MAX
    assert play(lacking(POOL, HoldsAnything)) == 70


def test_a_named_batch_is_taken_however_many_its_creator_has() -> None:
    # Nodes may hold different batches of one creator, such as those that its crash has lost.
    def play(kind: Kind) -> list[bytes]:
        stage, made = flood(kind)
        batch, packet = made[-1]
        value = Value(stage.genesis.epoch.id, b"", (1, 0), 1, 1_700_000_000_000, (batch.digest,))
        stage.inject(1, 0, stage.sign(1, Proposal(value, 0, NO_ROUND, None)))
        stage.run_ms(10)
        assert any(sent.peer == 1 for sent in stage.said(WantBatches, sender=0))
        stage.inject(3, 0, packet)
        stage.run_ms(20)
        said = [
            stage.message_in(Tendermint, sent.packet)
            for sent in stage.said(SignedPacket, sender=0)
            if isinstance(sent.packet, SignedPacket)
        ]
        return [m.value for m in said if isinstance(m, Prevote) and m.value == value.digest]

    assert len(play(Replica)) == 1
    assert play(lacking(POOL, NamesNothing)) == []
