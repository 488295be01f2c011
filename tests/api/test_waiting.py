"""A request may wait for a confirmation, and hears of it as soon as there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from api.limits import ApiLimits
from ledger.light import LightClient
from ledger.transaction import Transaction
from tests.api.memory_node import MemoryNode, browser, signed

pytestmark = pytest.mark.trio
Clock = trio.abc.Clock


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode(automatic=False)


async def later(
    node: MemoryNode,
    ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]],
    then: Callable[[], object],
) -> httpx.Response:
    """The answer to a question that waits while something happens."""
    answers = []

    async def wait() -> None:
        answers.append(await ask(http))

    async with browser(node) as http, trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert not answers, "the request did not wait"
        then()
    return answers[0]


async def submitted(node: MemoryNode, count: int = 1) -> list[Transaction]:
    transactions = signed(node.genesis, count)
    await node.submit(tuple(each.raw for each in transactions))
    return transactions


async def test_a_receipt_comes_with_the_confirmation(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    (transaction,) = await submitted(node)
    path = f"/v1/transactions/{transaction.id.hex()}/receipt?wait_ms=5000"

    answer = await later(node, lambda http: http.get(path), node.confirm)

    assert LightClient(node.genesis).check_receipt(answer.content).transaction == transaction.id
    assert trio.current_time() == 0


async def test_a_status_comes_with_the_confirmation(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    (transaction,) = await submitted(node)
    path = f"/v1/transactions/{transaction.id.hex()}?wait_ms=5000"

    answer = await later(node, lambda http: http.get(path), node.confirm)

    assert (answer.json()["status"], answer.json()["certified"]) == ("confirmed", 1)


async def test_of_many_the_first_confirmation_is_told(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    mine, other = signed(node.genesis, 2)
    await node.submit((mine.raw,))
    ids = {"ids": [other.id.hex(), mine.id.hex()]}

    answer = await later(
        node, lambda http: http.post("/v1/receipts?wait_ms=5000", json=ids), node.confirm
    )

    words = [row["status"] for row in answer.json()["receipts"]]
    assert words == ["unknown", "confirmed"]


async def test_an_execution_alone_is_no_confirmation(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    (transaction,) = await submitted(node)
    path = f"/v1/transactions/{transaction.id.hex()}/receipt?wait_ms=5000"

    answer = await later(
        node, lambda http: http.get(path), lambda: node.ledger.execute(transaction)
    )

    assert answer.status_code == 404
    assert answer.json()["status"] == "executed"
    assert trio.current_time() == 5


async def test_the_wait_ends_with_the_status_that_there_is(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    (transaction,) = await submitted(node)

    async with browser(node) as http:
        answer = await http.get(f"/v1/transactions/{transaction.id.hex()}/receipt?wait_ms=700")

    assert answer.status_code == 404
    assert answer.json()["status"] == "pending"
    assert trio.current_time() == pytest.approx(0.7)


async def test_nobody_waits_longer_than_the_node_allows(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    async with browser(node, ApiLimits(wait_ms=300)) as http:
        answer = await http.get(f"/v1/transactions/{bytes(32).hex()}?wait_ms=999999999")

    assert answer.status_code == 404
    assert trio.current_time() == pytest.approx(0.3)


async def test_without_a_wait_the_answer_comes_at_once(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    (transaction,) = await submitted(node)

    async with browser(node) as http:
        answer = await http.get(f"/v1/transactions/{transaction.id.hex()}")

    assert answer.json()["status"] == "pending"
    assert node.reads == 1
    assert trio.current_time() == 0


async def test_blocks_of_others_cost_a_waiting_transaction_nothing(
    node: MemoryNode, autojump_clock: Clock
) -> None:
    (transaction,) = await submitted(node)
    path = f"/v1/transactions/{transaction.id.hex()}/receipt?wait_ms=5000"
    answers = []

    async def wait() -> None:
        answers.append(await http.get(path))

    async with browser(node) as http, trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for _ in range(10):
            await wait_all_tasks_blocked()
            node.ledger.grow(1)
        await wait_all_tasks_blocked()
        assert node.reads == 1
        node.confirm()

    assert answers[0].status_code == 200
    assert node.reads == 2
