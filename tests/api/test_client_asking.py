"""What the client asks of nodes, checks, and makes of nonsense."""

from __future__ import annotations

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from api.app import make_app
from api.client import LedgerClient
from ledger import queries
from ledger.errors import Fault, ProofFault, UnreachableError, UserError
from ledger.validators import QuorumRule
from tests.api.liars import GENESIS, MINE, OPERATION, client_at, client_of, liar, manual
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of
from tests.ledger.builders import make_genesis, make_signed

pytestmark = pytest.mark.trio
Clock = trio.abc.Clock

# --- asking ---


async def test_a_wrong_receipt_of_one_node_does_not_hide_the_right_one_of_another() -> None:
    ledger = MemoryLedger(GENESIS)
    other = make_signed(GENESIS, "bob", 2, expiry=90)
    ledger.confirm(MINE, other)
    theirs = queries.receipt(ledger.reader, GENESIS, other.id)

    async def wrong(request: Request) -> Response:
        return Response(theirs)

    says = Starlette(routes=[Route("/v1/transactions/{id}/receipt", wrong)])
    async with client_at(says, manual(ledger)) as (client, _):
        raw, verified = await client.receipt(MINE.id)
        assert raw == queries.receipt(ledger.reader, GENESIS, MINE.id)
        assert verified.transaction == MINE.id

    async with client_at(says, None, manual()) as (client, _):
        with pytest.raises(ProofFault, match="another transaction's receipt"):
            await client.receipt(MINE.id)


async def test_a_receipt_of_another_operation_is_refused() -> None:
    ledger = MemoryLedger(GENESIS)
    two = make_signed(GENESIS, "alice", 1, expiry=90, operations=[OPERATION, OPERATION])
    ledger.confirm(two)

    async def first(request: Request) -> Response:
        return Response(queries.receipt(ledger.reader, GENESIS, two.id, operation=0))

    says = Starlette(routes=[Route("/v1/transactions/{id}/receipt", first)])
    async with client_at(says) as (client, _):
        assert (await client.receipt(two.id, 0))[1].operation is not None
        with pytest.raises(ProofFault, match="another operation"):
            await client.receipt(two.id, 1)


async def test_a_receipt_that_no_node_has_is_a_fault() -> None:
    async with client_at(None, manual()) as (client, _):
        with pytest.raises(Fault, match="the transaction is unknown here"):
            await client.receipt(MINE.id)
    async with client_at(None, None) as (client, _):
        with pytest.raises(UnreachableError, match="no node answers"):
            await client.receipt(MINE.id)


async def test_json_comes_from_the_first_node_that_has_it() -> None:
    ledger = MemoryLedger(GENESIS)
    ledger.confirm(MINE)
    async with client_at(None, manual(), manual(ledger)) as (client, _):
        found = await client.get_json(f"/v1/transactions/{MINE.id.hex()}")
        assert found["status"] == "confirmed"
        with pytest.raises(Fault, match="there is no block 9 here"):
            await client.get_json("/v1/blocks/9")


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"\xff", b"[" * 100_000])
async def test_what_is_no_json_object_is_no_answer(content: bytes) -> None:
    async def answer(request: Request) -> Response:
        return Response(content)

    async with client_at(Starlette(routes=[Route("/{path:path}", answer)])) as (client, _):
        with pytest.raises(UnreachableError):
            await client.get_json("/v1/status")
        assert await client.statuses() == [None]


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.asking.ANSWER_BYTES_MAX", 1_000)

    async def answer(request: Request) -> Response:
        return Response(bytes(1_001))

    async with client_at(Starlette(routes=[Route("/{path:path}", answer)])) as (client, _):
        with pytest.raises(UnreachableError):
            await client.get_bytes("/checkpoint")


@pytest.mark.parametrize(
    ("certified", "expected"),
    [
        ([7, 5, 5, 3], 5),
        ([10**12, 5, 5, 5], 5),
        ([None, 9, 4, None], 4),
        ([None, None, 6, None], 6),
    ],
)
async def test_the_certified_height_is_one_that_an_honest_node_has(
    certified: list[int | None], expected: int
) -> None:
    nodes = [
        None if height is None else liar(manual(), status={"certified": height})
        for height in certified
    ]
    async with client_at(*nodes) as (client, _):
        assert await client.certified_height() == expected


@pytest.mark.parametrize("certified", [None, "9", -1, True, 1.5, [9]])
async def test_a_height_that_is_no_number_is_no_answer(certified: object) -> None:
    async with client_at(liar(manual(), status={"certified": certified})) as (client, _):
        with pytest.raises(UnreachableError):
            await client.certified_height()


async def test_what_the_client_signs_expires_and_has_a_nonce_of_its_own() -> None:
    async with client_at(manual()) as (client, _):
        first, second = (client.sign([OPERATION], height=100) for _ in range(2))

    assert first.expiry == 100 + GENESIS.limits.replay_window // 2
    assert second.nonce > first.nonce
    assert first.network == GENESIS.network


@pytest.mark.parametrize(
    "url", ["", "node0", "ftp://node0", "http://", "http://\x00", "http://a:b"]
)
async def test_a_url_that_is_none_is_the_users_mistake(url: str) -> None:
    with pytest.raises(UserError, match="is not the address of an API"):
        LedgerClient([url], GENESIS)


# --- the log ---


async def test_the_latest_checkpoint_extends_those_met_before() -> None:
    node = manual()
    behind = manual()
    behind.ledger.grow(1)
    node.ledger.grow(2)
    async with client_at(node, behind) as (client, net):
        first = await client.checkpoint()
        node.ledger.grow(3)
        second = await client.checkpoint()
        net.apps["node0"] = None
        net.apps["node2"] = make_app(node)
        # The node that is behind serves an older log: it is checked against the newer one.
        client.urls.append("http://node2")
        third = await client.checkpoint()
        # What extends the older log and not the newer one is a second history.
        behind.ledger.confirm(MINE)
        with pytest.raises(ProofFault):
            await client.checkpoint()

    assert first.head.size < second.head.size
    assert third.head.size < first.head.size


async def test_a_second_history_is_a_proof_against_its_signers() -> None:
    node, fork = manual(), manual()
    node.ledger.grow(2)
    fork.ledger.confirm(MINE)
    fork.ledger.grow(3)
    async with client_at(node) as (client, net):
        await client.checkpoint()
        net.apps["node0"] = make_app(fork)
        with pytest.raises(ProofFault):
            await client.checkpoint()


@pytest.mark.parametrize("path", [None, 7, ["xy"], [7], ["00"], {}])
async def test_a_consistency_path_that_is_none_is_refused(path: object) -> None:
    node = manual()
    node.ledger.grow(1)

    async def answer(request: Request) -> Response:
        return JSONResponse({"path": path})

    says = Starlette(routes=[Route("/v1/consistency", answer), Mount("/", make_app(node))])
    async with client_at(says) as (client, _):
        await client.checkpoint()
        node.ledger.grow(1)
        with pytest.raises(ProofFault):
            await client.checkpoint()


async def test_in_a_crash_only_network_a_receipt_says_so() -> None:
    genesis = make_genesis(validators=3, rule=QuorumRule.CRASH)
    net = net_of(MemoryNode(MemoryLedger(genesis)))
    async with client_of(net, genesis) as client:
        outcome = await client.submit([OPERATION])

        assert client.light.check_receipt(outcome.receipt).fault_model.startswith("crash-only")


# --- streams ---


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"7\n", b"\xff\n", b"[" * 100_000 + b"\n"])
async def test_a_stream_that_talks_nonsense_just_ends(line: bytes) -> None:
    async def answer(request: Request) -> Response:
        return Response(b'\n{"height": 1}\n' + line + b'{"height": 2}\n')

    says = Starlette(routes=[Route("/v1/stream", answer)])
    async with client_at(says) as (client, _), client.stream("http://node0", 1) as stream:
        assert [found["height"] async for found in stream] == [1]


async def test_a_stream_that_does_not_open_says_so() -> None:
    async with client_at(None) as (client, _):
        with pytest.raises(UnreachableError, match="the stream does not open"):
            async with client.stream("http://node0", 1):
                pass
