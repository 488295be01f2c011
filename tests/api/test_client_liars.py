"""The client believes of nodes only what they can prove, or what f+1 of them say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
import trio
from starlette.types import ASGIApp

from api.app import make_app
from api.client import LedgerClient, Outcome
from ledger import queries
from ledger.errors import UnreachableError
from ledger.receipt import parse_receipt
from ledger.transaction import Transaction
from tests.api.liars import GENESIS, MINE, OPERATION, Rows, client_at, liar, manual
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of, signed
from tests.ledger.builders import make_genesis, make_signed

pytestmark = pytest.mark.trio
Clock = trio.abc.Clock


def takes_all(raws: list[bytes]) -> list[tuple[bytes, str, str]]:
    """Says that each is pending, whatever it is."""
    return [(MINE.id, "", "") for _ in raws]


def refuses_all(reason: str) -> Rows:
    return lambda raws: [(MINE.id, reason, "so it says") for _ in raws]


def knows_nothing(certified: int) -> Rows:
    return lambda ids: [certified, [("unknown", None)] * len(ids)]


def sends(raw: bytes) -> Rows:
    """Says confirmed, and shows this."""
    return lambda ids: [1, [("confirmed", raw)] * len(ids)]


def lagging(node: MemoryNode) -> ASGIApp:
    """Says of everything that it lives too long."""
    return liar(manual(node.ledger), admissions=refuses_all("transaction.expiry-too-far"))


def receipt_of(ledger: MemoryLedger, transaction: Transaction) -> bytes:
    raw = queries.receipt(ledger.reader, ledger.genesis, transaction.id, operation=None)
    assert raw is not None
    return raw


async def test_a_confirmation_without_a_receipt_is_not_believed(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    says = liar(manual(ledger), receipts=lambda ids: [9, [("confirmed", None)] * len(ids)])

    async with client_at(says, MemoryNode(ledger)) as (client, net):
        outcome = await client.confirm(MINE, deadline_s=60)

    assert outcome.status == "applied"
    assert net.asked("node0", "/v1/receipts") == 1, "who lied is not asked again"


async def test_only_liars_are_no_network(autojump_clock: Clock) -> None:
    says = liar(manual(), receipts=lambda ids: [9, [("confirmed", None)] * len(ids)])

    async with client_at(says) as (client, _):
        with pytest.raises(UnreachableError, match="says confirmed and sends no receipt"):
            await client.confirm(MINE, deadline_s=60)

    assert trio.current_time() == 0


def forged_receipts() -> dict[str, bytes]:
    ledger = MemoryLedger(GENESIS)
    ledger.confirm(MINE, make_signed(GENESIS, "bob", 2, expiry=90))
    good = receipt_of(ledger, MINE)
    elsewhere = MemoryLedger(make_genesis(members=("alice", "carol")))
    elsewhere.confirm(make_signed(elsewhere.genesis, "alice", 1, expiry=90))
    few = b"".join(parse_receipt(good).certificate.splitlines(keepends=True)[:-1])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    return {
        "nothing": b"",
        "garbage": b"\xff" * 99,
        "another transaction's": receipt_of(ledger, make_signed(GENESIS, "bob", 2, expiry=90)),
        "another network's": receipt_of(
            elsewhere, make_signed(elsewhere.genesis, "alice", 1, expiry=90)
        ),
        "short of a quorum": replace(parse_receipt(good), certificate=few).encode(),
        "another place's": replace(parse_receipt(good), index=2).encode(),
        "flipped": bytes(flipped),
    }


@pytest.mark.parametrize("kind", forged_receipts())
async def test_a_receipt_that_proves_something_else_is_not_believed(
    autojump_clock: Clock, kind: str
) -> None:
    forged = forged_receipts()[kind]
    ledger = MemoryLedger(GENESIS)
    says = liar(manual(ledger), receipts=sends(forged))

    async with client_at(says, MemoryNode(ledger)) as (client, net):
        outcome = await client.confirm(MINE, deadline_s=60)
        verified = client.light.check_receipt(outcome.receipt)

    assert verified.transaction == MINE.id
    assert net.asked("node0", "/v1/receipts") == 1


async def test_one_liar_cannot_refuse_a_good_transaction(autojump_clock: Clock) -> None:
    node = manual()
    says = liar(manual(node.ledger), admissions=refuses_all("transaction.signature"))
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_at(says, node) as (client, net), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(20)
        node.confirm()

    assert outcomes[0].status == "applied"
    assert net.asked("node0", "/v1/transactions") == 1, "who refuses is not sent it again"


async def test_one_liar_cannot_declare_a_transaction_expired(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    node = manual(ledger)
    says = liar(
        manual(ledger),
        admissions=refuses_all("transaction.expired"),
        receipts=knows_nothing(certified=10**12),
        status={"certified": 10**12},
    )
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_at(says, node, None, None) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(30)
        assert not outcomes
        node.confirm()

    assert outcomes[0].status == "applied"


async def test_where_one_node_is_known_nothing_is_expired(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    ledger.grow(5)
    (late,) = signed(GENESIS, 1, expiry=5)

    async with client_at(manual(ledger)) as (client, _):
        with pytest.raises(UnreachableError, match=r"transaction\.expired"):
            await client.confirm(late, deadline_s=20)


async def test_the_same_node_by_two_names_of_one_url_counts_once(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    ledger.grow(5)
    (late,) = signed(GENESIS, 1, expiry=5)
    net = net_of(manual(ledger))

    async with LedgerClient(net.urls * 4, GENESIS, transport=net) as client:
        assert len(await client.statuses()) == 4
        stranger = make_signed(GENESIS, "mallory", 1, expiry=90)
        assert (await client.confirm(stranger, deadline_s=20)).status == "refused"
        with pytest.raises(UnreachableError):
            await client.confirm(late, deadline_s=20)


async def test_a_liar_cannot_keep_an_impossible_transaction_open(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    ledger.confirm(make_signed(GENESIS, "alice", 1, expiry=80, operations=[OPERATION]))
    says = liar(
        manual(ledger),
        admissions=takes_all,
        receipts=lambda ids: [1, [("pending", None)] * len(ids)],
    )

    async with client_at(says, manual(ledger), manual(ledger)) as (client, _):
        outcome = await client.confirm(MINE, deadline_s=60)

    assert outcome.status == "refused"


async def test_what_somebody_may_have_taken_is_not_refused_for_a_state_that_lags(
    autojump_clock: Clock,
) -> None:
    ahead = manual()
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with (
        client_at(ahead, lagging(ahead), lagging(ahead)) as (client, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(confirm)
        await trio.sleep(20)
        assert not outcomes
        ahead.confirm()

    assert outcomes[0].status == "applied"


async def test_what_a_broken_connection_may_have_carried_is_not_refused_either(
    autojump_clock: Clock,
) -> None:
    ahead = manual()
    app = make_app(ahead)

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        raise httpx.ReadError("connection reset")

    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    nodes = [breaks, lagging(ahead), lagging(ahead)]
    async with client_at(*nodes) as (client, net), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(20)
        assert not outcomes
        net.apps["node0"] = app
        ahead.confirm()

    assert outcomes[0].status == "applied"


async def test_what_nobody_can_have_is_refused(autojump_clock: Clock) -> None:
    node = manual()

    async with client_at(None, lagging(node), lagging(node)) as (client, _):
        outcome = await client.confirm(MINE, deadline_s=60)

    assert (outcome.status, trio.current_time()) == ("refused", 0)


async def test_a_node_that_calls_it_by_another_id_is_not_asked_again(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    says = liar(manual(ledger), admissions=lambda raws: [(bytes(32), "", "")] * len(raws))

    async with client_at(says, MemoryNode(ledger)) as (client, net):
        assert (await client.confirm(MINE, deadline_s=60)).status == "applied"

    assert net.asked("node0", "/v1/transactions") == 1


NONSENSE: list[Rows] = [
    lambda _: None,
    lambda _: 7,
    lambda _: [],
    lambda _: [1],
    lambda _: [1, 2],
    lambda _: [1, [], 3],
    lambda _: [-1, [("unknown", None)]],
    lambda _: [True, [("unknown", None)]],
    lambda _: ["1", [("unknown", None)]],
    lambda _: [1, [("unknown", None), ("unknown", None)]],
    lambda _: [1, [("unknown",)]],
    lambda _: [1, [(None, None)]],
    lambda _: [1, [("confirmed", "text")]],
    lambda _: [1, ["unknown"]],
    lambda _: {"a": 1},
    lambda _: [[MINE.id, "", ""]] * 2,
    lambda _: [[MINE.id, ""]],
    lambda _: [[MINE.id.hex(), "", ""]],
    lambda _: [[MINE.id, None, ""]],
]


@pytest.mark.parametrize("number", range(len(NONSENSE)))
@pytest.mark.parametrize("where", ["receipts", "admissions"])
async def test_a_node_that_talks_nonsense_is_as_good_as_none(
    autojump_clock: Clock, number: int, where: str
) -> None:
    ledger = MemoryLedger(GENESIS)
    lies: dict[str, Any] = {where: NONSENSE[number]}

    async with client_at(liar(manual(ledger), **lies), MemoryNode(ledger)) as (client, _):
        assert (await client.confirm(MINE, deadline_s=60)).status == "applied"
