"""In bulk, each transaction ends as definitely as one alone, and nodes are not overrun."""

from __future__ import annotations

import pytest
import trio

from api.client import GROUP_BYTES, GROUPS_AT_ONCE, LedgerClient, Outcome
from api.limits import RECEIPTS_MAX
from api.pursuit import RESEND_MANY_S
from ledger.applications.records import make_record
from ledger.errors import UnreachableError
from tests.api.memory_node import MemoryLedger, MemoryNode, Net, ids_of, net_of, signed
from tests.ledger.builders import make_genesis, make_signed

pytestmark = pytest.mark.trio
Clock = trio.abc.Clock
GENESIS = make_genesis()


def client_of(net: Net) -> LedgerClient:
    return LedgerClient(net.urls, GENESIS, transport=net)


async def test_every_transaction_is_proven_and_told_once(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    nodes = [MemoryNode(ledger) for _ in range(4)]
    transactions = signed(GENESIS, 1_000)
    told: list[Outcome] = []

    async with client_of(net_of(*nodes)) as client:
        outcomes = await client.submit_many(transactions, progress=told.append)
        proven = [client.light.check_receipt(each.receipt).transaction for each in outcomes[::97]]

    assert [outcome.id for outcome in outcomes] == ids_of(transactions)
    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert proven == ids_of(transactions)[::97]
    assert sorted(told, key=lambda each: each.id) == sorted(outcomes, key=lambda each: each.id)
    sent = [identity for node in nodes for ids in node.submissions for identity in ids]
    assert sorted(sent) == sorted(ids_of(transactions)), "each was sent once"
    assert all(node.submissions for node in nodes), "every node had a part of the work"
    assert trio.current_time() == 0


async def test_groups_fit_into_a_request_and_so_many_are_on_their_way(
    autojump_clock: Clock,
) -> None:
    node = MemoryNode(MemoryLedger(GENESIS), automatic=False, capacity=10**6)
    large = [
        make_signed(
            GENESIS, "alice", nonce, expiry=90, operations=[make_record("a", b"", bytes(60_000))]
        )
        for nonce in range(1, 200)
    ]

    async with client_of(net_of(node)) as client:
        with pytest.raises(UnreachableError, match="and .* more"):
            await client.submit_many(large, deadline_s=1)

    assert len(node.submissions) == GROUPS_AT_ONCE
    size = len(large[0].raw)
    assert all(len(ids) * size <= GROUP_BYTES for ids in node.submissions)
    assert all((len(ids) + 1) * size > GROUP_BYTES for ids in node.submissions)


async def test_a_full_mempool_slows_the_client_down(autojump_clock: Clock) -> None:
    node = MemoryNode(MemoryLedger(GENESIS), automatic=False, capacity=50)
    transactions = signed(GENESIS, RECEIPTS_MAX)
    outcomes: list[Outcome] = []

    async def submit() -> None:
        outcomes.extend(await client.submit_many(transactions))
        nursery.cancel_scope.cancel()

    async with client_of(net_of(node)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        while True:
            await trio.sleep(1)
            if node.pending:
                assert len(node.pending) <= 50
                node.confirm()

    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert node.ledger.certified >= RECEIPTS_MAX // 50


async def test_a_node_that_dies_leaves_its_part_to_the_others(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    net = net_of(*[MemoryNode(ledger) for _ in range(3)], None)

    async with client_of(net) as client:
        outcomes = await client.submit_many(signed(GENESIS, 5 * RECEIPTS_MAX))

    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert trio.current_time() == 0


async def test_what_a_node_took_and_died_with_goes_to_another_at_once(
    autojump_clock: Clock,
) -> None:
    dies = MemoryNode(MemoryLedger(GENESIS), automatic=False)
    net = net_of(dies, MemoryNode(dies.ledger))
    outcomes: list[Outcome] = []

    async def submit() -> None:
        outcomes.extend(await client.submit_many(signed(GENESIS, 5)))

    async with client_of(net) as client, trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        await trio.sleep(1)
        net.apps["node0"] = None

    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert trio.current_time() < RESEND_MANY_S


async def test_each_has_an_end_of_its_own(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    ledger.grow(6)
    nodes = [MemoryNode(ledger) for _ in range(4)]
    good, stranger, late, other, used = (
        make_signed(GENESIS, "alice", 1, expiry=90),
        make_signed(GENESIS, "mallory", 1, expiry=90),
        make_signed(GENESIS, "alice", 2, expiry=6),
        make_signed(GENESIS, "bob", 3, expiry=90),
        make_signed(GENESIS, "bob", 3, expiry=91),
    )
    ledger.confirm(other)

    async with client_of(net_of(*nodes)) as client:
        outcomes = await client.submit_many([good, stranger, late, other, used, good])

    assert [outcome.status for outcome in outcomes] == [
        "applied",
        "refused",
        "expired",
        "applied",
        "refused",
        "applied",
    ]
    assert outcomes[1].reason.startswith("transaction.unknown-sender")
    assert outcomes[4].reason.startswith("transaction.nonce-used")


async def test_what_was_told_before_a_failure_stays_true(autojump_clock: Clock) -> None:
    node = MemoryNode(MemoryLedger(GENESIS), automatic=False, capacity=10**6)
    transactions = signed(GENESIS, 10)
    node.ledger.confirm(*transactions[:4])
    told: list[Outcome] = []

    async with client_of(net_of(node)) as client:
        with pytest.raises(UnreachableError, match="and 5 more"):
            await client.submit_many(transactions, progress=told.append, deadline_s=5)

    assert [outcome.id for outcome in told] == ids_of(transactions[:4])


async def test_nothing_to_submit_is_done_at_once() -> None:
    async with client_of(net_of(None)) as client:
        assert await client.submit_many([]) == []


async def test_one_bad_transaction_does_not_spread_the_good_ones(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    nodes = [MemoryNode(ledger, automatic=False) for _ in range(4)]
    stranger = make_signed(GENESIS, "mallory", 1, expiry=90)
    transactions = [*signed(GENESIS, 5), stranger]
    outcomes: list[Outcome] = []

    async def submit() -> None:
        outcomes.extend(await client.submit_many(transactions))

    async with client_of(net_of(*nodes)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        await trio.sleep(5)
        nodes[0].confirm()

    assert [outcome.status for outcome in outcomes] == ["applied"] * 5 + ["refused"]
    assert [node.submissions for node in nodes] == [
        [ids_of(transactions)],
        [[stranger.id]],
        [],
        [],
    ]


async def test_while_many_are_confirmed_the_others_just_wait(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    busy, idle = MemoryNode(ledger, automatic=False), MemoryNode(ledger, automatic=False)
    transactions = signed(GENESIS, 10)

    async def submit() -> None:
        await client.submit_many(transactions)

    async with client_of(net_of(busy, idle)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        for transaction in transactions[:-1]:
            await trio.sleep(0.9 * RESEND_MANY_S)
            ledger.confirm(transaction)
        assert not idle.submissions
        await trio.sleep(1.5 * RESEND_MANY_S)
        assert idle.submissions == [[transactions[-1].id]]
        ledger.confirm(transactions[-1])
