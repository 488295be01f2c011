"""One proof of many operations: from a node, and as the client takes it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgpack
import pytest
from starlette.types import ASGIApp

from api import joining
from api.app import make_app
from api.client import LedgerClient
from api.limits import JOINT_TRANSACTIONS_MAX
from ledger.errors import Fault, ProofFault, UnreachableError
from ledger.joint_receipt import JointJudge, parse_joint_receipt
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of, signed
from tests.api.small import FAILED, GENESIS, PACKED, PAPERS, WAITING

pytestmark = pytest.mark.trio
PATH = "/v1/joint-receipts"


def body(*rows: tuple[bytes, list[int]]) -> bytes:
    return json.dumps(
        {"transactions": [{"id": id_.hex(), "operations": numbers} for id_, numbers in rows]}
    ).encode()


async def test_a_node_proves_what_is_confirmed_and_applied_and_leaves_out_the_rest(
    http: httpx.AsyncClient,
) -> None:
    wanted = [(PAPERS.id, [2, 0, 99]), (FAILED.id, [0]), (WAITING.id, [0]), (bytes(32), [0])]

    answer = await http.post(PATH, content=body(*wanted))
    packed = await http.post(PATH, content=msgpack.packb(wanted), headers=PACKED)

    checked = JointJudge(GENESIS).check(parse_joint_receipt(answer.content))
    assert [(each.transaction, each.number) for each in checked.operations] == [
        (PAPERS.id, 0),
        (PAPERS.id, 2),
    ]
    assert packed.content == answer.content
    higher = await http.post(f"{PATH}?height=2", content=body(*wanted))
    assert JointJudge(GENESIS).check(parse_joint_receipt(higher.content)).log.head.size == 7
    assert (await http.post(PATH, content=body((WAITING.id, [0])))).status_code == 404
    assert (await http.post(f"{PATH}?height=3", content=body(*wanted))).status_code == 404


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"{", {}),
        (body(), {}),
        (body((b"short", [0])), {}),
        (body((bytes(32), [])), {}),
        (body((bytes(32), [-1])), {}),
        (b'{"transactions": [7]}', {}),
        (body(*[(bytes(32), [0])] * (JOINT_TRANSACTIONS_MAX + 1)), {}),
        (msgpack.packb([[bytes(32)]]), PACKED),
        (msgpack.packb([[bytes(32), [True]]]), PACKED),
        (msgpack.packb([["x", [0]]]), PACKED),
        (b"\xc1", PACKED),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_one_line(
    http: httpx.AsyncClient, content: bytes, headers: dict[str, str]
) -> None:
    answer = await http.post(PATH, content=content, headers=headers)

    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


# --- the client -----------------------------------------------------------------------------------


def ledger_of(count: int) -> MemoryLedger:
    ledger = MemoryLedger(GENESIS)
    for transaction in signed(GENESIS, count):
        ledger.confirm(transaction)
    return ledger


def client_of(*nodes: MemoryNode | ASGIApp | None) -> LedgerClient:
    net = net_of(*nodes)
    return LedgerClient(net.urls, GENESIS, transport=net)


async def test_the_client_joins_what_it_gets_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_of(7)
    wanted = [(transaction.id, [0]) for transaction in signed(GENESIS, 7)]
    parts: list[int] = []
    async with client_of(None, MemoryNode(ledger)) as client:
        whole, _ = await client.joint_receipt(wanted, 7, progress=parts.append)
        monkeypatch.setattr(joining, "JOINT_TRANSACTIONS_MAX", 3)

        joined, shown = await client.joint_receipt(
            [*wanted, (bytes(32), [0])], 7, progress=parts.append
        )

    assert joined == whole
    assert len(shown) == 7
    assert parts == [7, 3, 3, 2]


async def test_a_node_that_proves_something_else_is_not_believed() -> None:
    honest = make_app(MemoryNode(ledger_of(3)))
    first, second, _ = signed(GENESIS, 3)

    async def liar(scope: Any, receive: Any, send: Any) -> None:
        """Whatever it is asked for, it proves the second."""

        async def other() -> dict[str, Any]:
            content = msgpack.packb([[second.id, [0]]])
            return {"type": "http.request", "body": content, "more_body": False}

        await honest(scope, other, send)

    async with client_of(liar) as client:
        with pytest.raises(ProofFault, match=r"joint\.other"):
            await client.joint_receipt([(first.id, [0])], 3, progress=len_of)
    async with client_of(liar, MemoryNode(ledger_of(3))) as client:
        _, shown = await client.joint_receipt([(first.id, [0])], 3, progress=len_of)
        assert [each.transaction for each in shown] == [first.id]
        with pytest.raises(ProofFault):
            await client.joint_receipt([(bytes(32), [0])], 3, progress=len_of)
    async with client_of(MemoryNode(ledger_of(1))) as client:
        with pytest.raises(Fault, match=r"joint\.nothing"):
            await client.joint_receipt([(bytes(32), [0])], 1, progress=len_of)
    async with client_of(None) as client:
        with pytest.raises(UnreachableError):
            await client.joint_receipt([(first.id, [0])], 1, progress=len_of)


def len_of(transactions: int) -> None:
    """Nobody watches."""
