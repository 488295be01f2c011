"""Statements get onto the ledger once, whatever nodes, interruptions and other imports do."""

from __future__ import annotations

import pytest
import trio
from starlette.types import ASGIApp

from api.client import LedgerClient
from host import ingest
from host.importers.source import CUT_ONE_IN, in_parts
from host.ingest import Draft, Ingest, Report, expiries
from ledger import queries
from ledger.applications.provenance import make_statement
from ledger.applications.records import make_record
from ledger.errors import Fault, UnreachableError
from ledger.limits import OPERATIONS_MAX, Limits
from ledger.transaction import Operation, make_transaction
from tests.api.liars import client_of, liar
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of
from tests.ledger.builders import make_genesis, signer_of

pytestmark = pytest.mark.trio
Clock = trio.abc.Clock
GENESIS = make_genesis()
STEP = GENESIS.limits.replay_window // 4
SIGNER = signer_of("alice", GENESIS.scheme)


def parts_of(name: str, count: int) -> list[list[Operation]]:
    """So many parts of one statement each."""
    namespaces = {"x": f"urn:{name}:"}
    return [
        [make_statement("entity", f"x:e{number}", namespaces=namespaces).operation()]
        for number in range(count)
    ]


async def put(
    parts: list[list[Operation]], *nodes: MemoryNode | ASGIApp | None, deadline_s: float = 20
) -> Report:
    async with client_of(net_of(*nodes)) as client:
        return await Ingest(client, SIGNER, deadline_s=deadline_s).put(parts)


def executed(ledger: MemoryLedger) -> int:
    """Transactions in the log: leaves without those of blocks and outcomes."""
    return ledger.store.head.size - 2 * ledger.store.head.height


async def test_a_second_import_sends_nothing(autojump_clock: Clock) -> None:
    nodes = [MemoryNode(ledger := MemoryLedger(GENESIS)), MemoryNode(ledger)]

    first = await put(parts_of("a", 30), *nodes)
    sent = sum(len(ids) for node in nodes for ids in node.submissions)
    second = await put(parts_of("a", 30), *nodes)

    assert (first.said, first.known, len(first.transactions)) == (30, 0, 30)
    assert (second.said, second.known, second.transactions) == (0, 30, [])
    assert sum(len(ids) for node in nodes for ids in node.submissions) == sent == 30


async def test_it_is_known_whenever_it_was_said(autojump_clock: Clock) -> None:
    """At the same height, before and after new transactions get another expiry, and later still."""
    genesis = make_genesis(limits=Limits(replay_window=8))
    ledger = MemoryLedger(genesis)
    node = MemoryNode(ledger)
    parts = parts_of("a", 3)

    async def again() -> Report:
        async with client_of(net_of(node), genesis) as client:
            return await Ingest(client, SIGNER, deadline_s=20).put(parts)

    assert (await again()).said == 3
    for _ in range(6):
        ledger.grow(3)
        report = await again()
        assert (report.said, report.known) == (0, 3)


async def test_only_what_is_new_is_sent(autojump_clock: Clock) -> None:
    node = MemoryNode(MemoryLedger(GENESIS))

    await put(parts_of("a", 5), node)
    report = await put(parts_of("a", 7), node)

    assert (report.said, report.known) == (2, 5)


async def test_another_member_says_it_again(autojump_clock: Clock) -> None:
    node = MemoryNode(MemoryLedger(GENESIS))
    await put(parts_of("a", 2), node)

    async with client_of(net_of(node)) as client:
        report = await Ingest(client, signer_of("bob", GENESIS.scheme), deadline_s=20).put(
            parts_of("a", 2)
        )

    assert (report.said, report.known) == (2, 0)


async def test_one_source_may_say_a_thing_twice(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WINDOW", 16)
    ledger = MemoryLedger(GENESIS)
    (part,) = parts_of("a", 1)
    # Within one window, and in two.
    parts = [part, part, *parts_of("b", 16), part]

    report = await put(parts, MemoryNode(ledger))

    assert (report.said, report.known) == (17, 2)
    assert executed(ledger) == 17


async def test_two_parts_whose_nonces_collide_are_both_said(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nonces so short that some of sixty parts share one."""
    monkeypatch.setattr(ingest, "NONCE_BYTES", 1)
    monkeypatch.setattr(ingest, "ATTEMPTS", 10)
    ledger = MemoryLedger(GENESIS)
    parts = parts_of("a", 60)
    assert len({Draft(part).nonce for part in parts}) < 60

    report = await put(parts, MemoryNode(ledger), deadline_s=2)

    assert (report.said, report.known) == (60, 0)
    assert executed(ledger) == 60


async def test_an_interrupted_import_goes_on(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WINDOW", 16)
    ledger = MemoryLedger(GENESIS)
    parts = parts_of("a", 60)
    seen = 0
    async with client_of(net_of(MemoryNode(ledger))) as client:
        with trio.CancelScope() as scope:

            def note(count: int) -> None:
                nonlocal seen
                seen += count
                if seen >= 20:
                    scope.cancel()

            first = Ingest(client, SIGNER, deadline_s=20, progress=note)
            await first.put(parts)
    assert 20 <= first.report.said < 60

    report = await put(parts, MemoryNode(ledger))

    assert report.said + report.known == 60
    assert report.known >= first.report.said
    assert executed(ledger) == 60


async def test_what_is_on_its_way_is_not_sent_as_something_else(autojump_clock: Clock) -> None:
    """The first import is gone before a block is made; the second finds its own transactions."""
    ledger = MemoryLedger(GENESIS)
    node = MemoryNode(ledger, automatic=False)
    parts = parts_of("a", 4)
    with pytest.raises(UnreachableError):
        await put(parts, node, deadline_s=1)
    waiting = dict(node.pending)

    with pytest.raises(UnreachableError):
        await put(parts, node, deadline_s=1)
    assert node.pending == waiting

    node.confirm()
    assert (await put(parts, node)).known == 4


async def test_what_is_on_its_way_under_another_expiry_is_found_in_the_end(
    autojump_clock: Clock,
) -> None:
    """Both forms are in the mempool: one is executed, and the other never is."""
    genesis = make_genesis(limits=Limits(replay_window=40))
    ledger = MemoryLedger(genesis)
    node = MemoryNode(ledger, automatic=False)
    parts = parts_of("a", 3)

    async def attempt(deadline_s: float) -> Report:
        async with client_of(net_of(node), genesis) as client:
            return await Ingest(client, SIGNER, deadline_s=deadline_s).put(parts)

    with pytest.raises(UnreachableError):
        await attempt(1)
    old = list(node.pending.values())
    ledger.grow(10)
    async with trio.open_nursery() as nursery:

        async def confirm_the_old() -> None:
            await trio.sleep(2)
            assert len(node.pending) == 6
            ledger.confirm(*old)
            node.confirm()

        nursery.start_soon(confirm_the_old)
        report = await attempt(5)

    assert report.said + report.known == 3
    assert executed(ledger) == 3 + 10


async def test_a_network_that_takes_its_time_is_asked_again(autojump_clock: Clock) -> None:
    node = MemoryNode(MemoryLedger(GENESIS), automatic=False)

    async with trio.open_nursery() as nursery:

        async def confirm_late() -> None:
            await trio.sleep(3)
            node.confirm()

        nursery.start_soon(confirm_late)
        report = await put(parts_of("a", 3), node, deadline_s=2)

    assert (report.said, report.known) == (3, 0)
    assert executed(node.ledger) == 3


async def test_two_imports_at_once_say_everything_once(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    nodes = [MemoryNode(ledger), MemoryNode(ledger)]
    reports = []

    async def one(order: int) -> None:
        reports.append(await put(parts_of("a", 40)[::order], *nodes[::order]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, 1)
        nursery.start_soon(one, -1)

    assert executed(ledger) == 40
    assert all(report.said + report.known == 40 for report in reports)


async def test_a_nonce_that_something_else_has_used_is_not_in_the_way(
    autojump_clock: Clock,
) -> None:
    ledger = MemoryLedger(GENESIS)
    (part,) = parts_of("a", 1)
    record = make_record("other", content=b"other")
    other = make_transaction(
        SIGNER, GENESIS.network, [record], nonce=Draft(part).nonce, expiry=STEP
    )
    ledger.confirm(other)

    first = await put([part], MemoryNode(ledger))
    again = await put([part], MemoryNode(ledger))

    assert (first.said, first.known) == (1, 0)
    assert (again.said, again.known) == (0, 1)
    assert executed(ledger) == 2


async def test_what_the_ledger_refuses_for_good_is_a_fault(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    stranger = signer_of("mallory", GENESIS.scheme)

    async with client_of(net_of(MemoryNode(ledger))) as client:
        with pytest.raises(Fault, match="unknown-sender"):
            await Ingest(client, stranger, deadline_s=5).put(parts_of("a", 1))


async def test_what_has_failed_is_not_taken_for_said(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    bad = [Operation("provenance", 1, b"nonsense")]
    async with client_of(net_of(MemoryNode(ledger))) as client:
        expiry = expiries(GENESIS, 0)[-1]
        ledger.confirm(Draft(bad).sign(SIGNER, GENESIS.network, expiry))
        with pytest.raises(Fault, match=r"import\.failed"):
            await Ingest(client, SIGNER, deadline_s=5).put([bad])


async def test_a_part_that_is_too_large_for_one_transaction_takes_more(
    autojump_clock: Clock,
) -> None:
    ledger = MemoryLedger(GENESIS)
    part = [operation for part in parts_of("a", OPERATIONS_MAX + 1) for operation in part]

    report = await put([part], MemoryNode(ledger))

    assert report.said == OPERATIONS_MAX + 1
    assert executed(ledger) == len(report.transactions) == 2


@pytest.mark.parametrize("height", [0, 1, STEP - 1, STEP, 7 * STEP + 13])
async def test_new_transactions_live_for_a_quarter_to_half_of_the_window(height: int) -> None:
    found = expiries(GENESIS, height)

    assert STEP < found[-1] - height <= 2 * STEP
    assert set(expiries(GENESIS, max(0, height - 1))) <= set(found)


async def test_the_nonces_of_imports_are_below_those_of_clocks() -> None:
    a_day_in_1979 = 9 * 365 * 24 * 3600 * 1_000_000

    assert all(0 <= Draft(part).nonce < a_day_in_1979 for part in parts_of("a", 50))


# --- proof of what is there already ---


async def proven(client: LedgerClient, parts: list[list[Operation]]) -> int:
    ids = [
        Draft(part).id(GENESIS.network, SIGNER.public_key, expiries(GENESIS, 0)[-1])
        for part in parts
    ]
    return len(await client.proven(ids))


async def test_several_nodes_are_asked_and_only_receipts_believed() -> None:
    ledger = MemoryLedger(GENESIS)
    parts = parts_of("a", 3)
    await put(parts, MemoryNode(ledger))
    empty = MemoryNode(MemoryLedger(GENESIS))
    claims = liar(empty, receipts=lambda ids: [9, [["confirmed", None]] * len(ids)])
    forges = liar(empty, receipts=lambda ids: [9, [["confirmed", b"nonsense"]] * len(ids)])
    knows = MemoryNode(ledger)
    mine = Draft(parts[0]).id(GENESIS.network, SIGNER.public_key, expiries(GENESIS, 0)[-1])
    receipt = queries.receipt(ledger.reader, GENESIS, mine)
    swaps = liar(empty, receipts=lambda ids: [9, [["confirmed", receipt]] * len(ids)])

    for nodes, count in (
        ((swaps, empty, empty, empty), 0),
        ((empty, knows, empty, empty), 3),
        ((claims, knows, empty, empty), 3),
        ((forges, empty, knows, empty), 3),
        ((None, None, knows, empty), 3),
        ((claims, empty, empty, empty), 0),
    ):
        async with client_of(net_of(*nodes)) as client:
            assert await proven(client, parts) == count


async def test_too_few_nodes_cannot_say_that_something_is_missing() -> None:
    empty = MemoryNode(MemoryLedger(GENESIS))

    async with client_of(net_of(None, empty, None, None)) as client:
        with pytest.raises(UnreachableError, match="too few nodes answer"):
            await proven(client, parts_of("a", 1))


# --- cutting a source into parts ---


async def test_a_change_moves_no_cut_elsewhere() -> None:
    operations = [operation for part in parts_of("a", 4_000) for operation in part]
    (new,) = parts_of("new", 1)

    before = [tuple(part) for part in in_parts(operations)]
    after = [tuple(part) for part in in_parts([*operations[:2_000], *new, *operations[2_000:]])]

    assert [operation for part in before for operation in part] == operations
    assert len(set(before) ^ set(after)) <= 3
    assert 4_000 / CUT_ONE_IN / 3 < len(before) < 4_000 / CUT_ONE_IN * 3
