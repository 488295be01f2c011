"""The client ends with a definite answer, whatever single nodes do."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

from api.app import make_app
from api.client import Outcome
from api.pursuit import RESEND_S, WAIT_MS
from ledger.applications.records import make_record
from ledger.errors import UnreachableError
from ledger.transaction import Operation
from tests.api.liars import GENESIS, MINE, OPERATION, client_at, client_of, manual
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of, signed
from tests.ledger.builders import make_signed

pytestmark = pytest.mark.trio
Clock = trio.abc.Clock

# --- the definite ends ---


async def test_a_transaction_is_confirmed_in_two_requests_to_one_node() -> None:
    ledger = MemoryLedger(GENESIS)
    async with client_at(*[MemoryNode(ledger) for _ in range(4)]) as (client, net):
        outcome = await client.confirm(MINE, deadline_s=10)

    assert (outcome.id, outcome.status, outcome.height) == (MINE.id, "applied", 1)
    assert net.requests == [
        ("node0", "POST", "/v1/transactions"),
        ("node0", "POST", "/v1/receipts"),
    ]


async def test_the_receipt_of_an_outcome_shows_the_operation() -> None:
    async with client_at(MemoryNode(MemoryLedger(GENESIS))) as (client, _):
        outcome = await client.submit([OPERATION, make_record("b", b"", b"b")])

        verified = client.light.check_receipt(outcome.receipt)

    assert verified.transaction == outcome.id
    assert verified.operation is not None
    assert verified.operation.operation == OPERATION.row()


async def test_the_confirmation_is_heard_when_it_comes(autojump_clock: Clock) -> None:
    node = manual()
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_at(node) as (client, net), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(1.5)
        assert not outcomes
        node.confirm()

    assert outcomes[0].status == "applied"
    assert trio.current_time() == 1.5
    assert net.asked("node0", "/v1/receipts") == 1


async def test_a_failed_transaction_ends_with_its_reason() -> None:
    failing = make_signed(GENESIS, "alice", 5, expiry=90, operations=[Operation("none", 1, b"")])
    node = manual()
    node.ledger.confirm(failing)

    async with client_at(node) as (client, _):
        outcome = await client.confirm(failing, deadline_s=10)

    assert outcome.status == "failed"
    assert outcome.reason.startswith("operation.unknown-application")
    assert outcome.receipt


async def test_a_transaction_that_was_confirmed_before_is_confirmed() -> None:
    node = manual()
    node.ledger.confirm(MINE)

    async with client_at(node) as (client, _):
        assert (await client.confirm(MINE, deadline_s=10)).status == "applied"


async def test_enough_refusals_for_good_are_an_end(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    stranger = make_signed(GENESIS, "mallory", 1, expiry=90)

    async with client_at(*[manual(ledger) for _ in range(4)]) as (client, net):
        outcome = await client.confirm(stranger, deadline_s=10)

    assert outcome.status == "refused"
    assert outcome.reason.startswith("transaction.unknown-sender")
    assert [host for host, _, path in net.requests if path == "/v1/transactions"] == [
        "node0",
        "node1",
    ]
    assert trio.current_time() == 0


async def test_the_one_node_that_is_known_is_believed_when_it_refuses() -> None:
    stranger = make_signed(GENESIS, "mallory", 1, expiry=90)

    async with client_at(manual()) as (client, _):
        assert (await client.confirm(stranger, deadline_s=10)).status == "refused"


async def test_a_nonce_that_another_transaction_used_is_refused() -> None:
    ledger = MemoryLedger(GENESIS)
    other = make_signed(GENESIS, "alice", 1, expiry=80, operations=[OPERATION])
    ledger.confirm(other)

    async with client_at(manual(ledger), manual(ledger)) as (client, _):
        outcome = await client.confirm(MINE, deadline_s=10)

    assert outcome.status == "refused"
    assert outcome.reason.startswith("transaction.nonce-used")


async def test_a_transaction_ends_as_expired_when_enough_nodes_have_passed_it(
    autojump_clock: Clock,
) -> None:
    ledger = MemoryLedger(GENESIS)
    ledger.grow(5)
    (late,) = signed(GENESIS, 1, expiry=5)

    async with client_at(*[manual(ledger) for _ in range(4)]) as (client, _):
        outcome = await client.confirm(late, deadline_s=10)

    assert outcome == Outcome(late.id, "expired", "transaction.expired")
    assert trio.current_time() < 1


async def test_a_transaction_expires_while_it_is_pending(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    (short,) = signed(GENESIS, 1, expiry=3)
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(short, deadline_s=60))

    nodes = [manual(ledger) for _ in range(4)]
    async with client_at(*nodes) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(1)
        ledger.grow(2)
        await trio.sleep(2 * RESEND_S)
        assert not outcomes
        ledger.grow(1)

    assert outcomes[0].status == "expired"


# --- nodes that fail ---


async def test_a_node_that_is_down_is_passed_over(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)

    async with client_at(None, None, MemoryNode(ledger)) as (client, net):
        outcome = await client.confirm(MINE, deadline_s=10)
        assert trio.current_time() == 0
        again = await client.confirm(signed(GENESIS, 1, first=2)[0], deadline_s=10)

    assert outcome.status == again.status == "applied"
    assert net.asked("node0", "/v1/transactions") == 1, "the node that helped goes first"


async def test_a_node_that_comes_back_is_tried_again(autojump_clock: Clock) -> None:
    net = net_of(None)
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_of(net) as client, trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(30)
        net.apps["node0"] = make_app(MemoryNode(MemoryLedger(GENESIS)))

    assert outcomes[0].status == "applied"
    assert net.asked("node0", "/v1/transactions") < 60, "a node that is down is not stormed"


async def test_a_node_that_forgets_gets_the_transaction_again(autojump_clock: Clock) -> None:
    node = manual()
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_at(node) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(1)
        node.pending.clear()
        await trio.sleep(2 * WAIT_MS / 1000)
        node.confirm()

    assert outcomes[0].status == "applied"
    assert node.submissions == [[MINE.id], [MINE.id]]


async def test_what_a_node_holds_back_goes_to_one_that_comes_back(autojump_clock: Clock) -> None:
    silent = manual()
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_at(None, silent) as (client, net), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(5)
        net.apps["node0"] = make_app(MemoryNode(silent.ledger))

    assert outcomes[0].status == "applied"


async def test_a_full_node_is_left_alone_once_another_has_taken_it(autojump_clock: Clock) -> None:
    taker = manual()
    full = MemoryNode(taker.ledger, automatic=False, capacity=0)

    async with client_at(None, full) as (client, net), trio.open_nursery() as nursery:
        nursery.start_soon(partial(client.confirm, MINE, deadline_s=60))
        await trio.sleep(0.5)
        net.apps["node0"] = make_app(taker)
        await trio.sleep(0.5)
        assert taker.submissions == [[MINE.id]]
        tried = len(full.submissions)
        # Less than the patience after which one copy more is due.
        await trio.sleep(0.9)
        assert len(full.submissions) == tried
        taker.confirm()


async def test_a_full_node_is_asked_again_and_others_too(autojump_clock: Clock) -> None:
    ledger = MemoryLedger(GENESIS)
    full = MemoryNode(ledger, automatic=False, capacity=0)

    async with client_at(full, MemoryNode(ledger)) as (client, _):
        outcome = await client.confirm(MINE, deadline_s=60)

    assert outcome.status == "applied"
    assert trio.current_time() == 0


async def test_full_nodes_take_it_when_they_have_room(autojump_clock: Clock) -> None:
    node = MemoryNode(MemoryLedger(GENESIS), capacity=0)
    outcomes: list[Outcome] = []

    async def confirm() -> None:
        outcomes.append(await client.confirm(MINE, deadline_s=60))

    async with client_at(node) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(confirm)
        await trio.sleep(20)
        assert len(node.submissions) < 40, "a full node is not stormed"
        node.capacity = 1

    assert outcomes[0].status == "applied"


async def test_a_slow_network_gets_the_transaction_at_more_and_more_nodes(
    autojump_clock: Clock,
) -> None:
    ledger = MemoryLedger(GENESIS)
    nodes = [manual(ledger) for _ in range(4)]

    async with client_at(*nodes) as (client, _):
        with pytest.raises(UnreachableError):
            await client.confirm(MINE, deadline_s=60)

    # f + 1 soon, the others after growing pauses, and none twice what it has.
    assert [node.submitted_at for node in nodes] == [
        [0],
        [RESEND_S],
        [2 * RESEND_S],
        [4 * RESEND_S],
    ]


async def test_the_deadline_ends_it_with_what_is_known(autojump_clock: Clock) -> None:
    async with client_at(manual(), None) as (client, _):
        with pytest.raises(UnreachableError) as caught:
            await client.confirm(MINE, deadline_s=7)

    assert trio.current_time() == pytest.approx(7)
    assert MINE.id.hex() in str(caught.value)
    assert "no definite end after 7 s" in str(caught.value)
    assert "http://node1/v1/transactions cannot be reached" in str(caught.value)


async def test_a_node_that_never_answers_does_not_stop_the_others(autojump_clock: Clock) -> None:
    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep_forever()

    async with client_at(hangs, MemoryNode(MemoryLedger(GENESIS))) as (client, _):
        outcome = await client.confirm(MINE, deadline_s=60)

    assert outcome.status == "applied"
    assert trio.current_time() == RESEND_S


async def test_an_answer_that_trickles_in_for_ever_is_given_up(autojump_clock: Clock) -> None:
    async def trickles(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await trio.sleep(1)
            await send({"type": "http.response.body", "body": b" ", "more_body": True})

    async with client_at(trickles) as (client, _):
        with pytest.raises(UnreachableError):
            await client.get_bytes("/checkpoint")

    assert trio.current_time() == 10
