"""Every route answers with what the ledger holds, in the way that its description promises."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import msgpack
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.app import make_app
from ledger import genesis as genesis_format
from ledger import layout, merkle, queries
from ledger.applications.provenance import make_statement
from ledger.applications.records import make_record
from ledger.block import parse_header, parse_leaf
from ledger.light import LightClient
from ledger.transaction import Operation, Transaction
from tests.api.documented import check_documented
from tests.api.memory_node import MemoryLedger, MemoryNode, signed
from tests.ledger.builders import make_genesis, make_signed

pytestmark = pytest.mark.trio

GENESIS = make_genesis()
LIGHT = LightClient(GENESIS)
FILE = b"the content of a file"
STATEMENT = make_statement(
    "wasGeneratedBy",
    namespaces={"ex": "urn:example:"},
    arguments={"entity": "ex:chart", "activity": "ex:draw"},
)
PAPERS = make_signed(
    GENESIS,
    "alice",
    1,
    expiry=99,
    operations=[
        make_record("a.csv", hashlib.sha256(FILE).digest()),
        STATEMENT.operation(),
        make_record("b.csv", b"", FILE),
    ],
)
FAILED = make_signed(
    GENESIS, "bob", 2, expiry=99, operations=[Operation("no such application", 1, b"\x01")]
)
WAITING = make_signed(GENESIS, "bob", 3, expiry=99)
"""Executed, not confirmed."""
FRESH = make_signed(GENESIS, "alice", 4, expiry=99)
JSON = {"content-type": "application/json"}
PACKED = {"content-type": "application/msgpack"}


@pytest.fixture
def node() -> MemoryNode:
    """Two confirmed blocks and one that is only executed."""
    ledger = MemoryLedger(GENESIS)
    ledger.confirm(PAPERS, FAILED)
    ledger.confirm(make_signed(GENESIS, "bob", 10, expiry=99))
    ledger.execute(WAITING)
    return MemoryNode(ledger, automatic=False)


@pytest.fixture
async def http(node: MemoryNode) -> AsyncIterator[httpx.AsyncClient]:
    """A client that checks every answer against the description."""

    async def check(answer: httpx.Response) -> None:
        await answer.aread()
        check_documented(answer)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(node)),
        base_url="http://node0",
        event_hooks={"response": [check]},
    ) as client:
        yield client


def in_base64(*transactions: Transaction) -> dict[str, list[str]]:
    return {"transactions": [base64.b64encode(each.raw).decode() for each in transactions]}


# --- transactions ---


async def test_a_transaction_taken_at_the_door_is_pending(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    answer = await http.post("/v1/transactions", json=in_base64(FRESH))

    assert answer.status_code == 202
    assert answer.json() == {
        "admissions": [{"id": FRESH.id.hex(), "status": "pending", "reason": "", "detail": ""}]
    }
    assert list(node.pending) == [FRESH.id]
    status = (await http.get(f"/v1/transactions/{FRESH.id.hex()}")).json()
    assert status == {"id": FRESH.id.hex(), "status": "pending", "certified": 2}


async def test_each_refusal_names_its_reason(http: httpx.AsyncClient) -> None:
    forged = bytearray(FRESH.raw)
    forged[-1] ^= 1
    raws = [FRESH.raw, bytes(forged), b"", make_signed(GENESIS, "mallory", 1, expiry=99).raw]

    answer = await http.post("/v1/transactions", content=msgpack.packb(raws), headers=PACKED)

    assert answer.status_code == 202
    rows = msgpack.unpackb(answer.content)
    assert [(identity, reason) for identity, reason, _ in rows] == [
        (FRESH.id, ""),
        (b"", "transaction.operations-root"),
        (b"", "transaction.malformed"),
        (make_signed(GENESIS, "mallory", 1, expiry=99).id, "transaction.unknown-sender"),
    ]


async def test_a_request_of_refused_transactions_alone_is_refused(http: httpx.AsyncClient) -> None:
    late = make_signed(GENESIS, "alice", 5, expiry=3)

    answer = await http.post("/v1/transactions", json=in_base64(late))

    assert answer.status_code == 422
    assert answer.json()["admissions"][0]["reason"] == "transaction.expired"


async def test_a_full_mempool_is_said_so(http: httpx.AsyncClient, node: MemoryNode) -> None:
    node.capacity = 0

    answer = await http.post("/v1/transactions", json=in_base64(FRESH))

    assert answer.status_code == 503
    assert answer.json()["admissions"][0]["reason"] == "mempool.full"


async def test_a_transaction_is_shown_in_plain_words(http: httpx.AsyncClient) -> None:
    found = (await http.get(f"/v1/transactions/{PAPERS.id.hex()}")).json()

    assert found["status"] == "confirmed"
    assert found["result"] == "applied"
    assert (found["height"], found["position"], found["index"]) == (1, 0, 1)
    assert (found["sender"], found["nonce"]) == (PAPERS.sender.hex(), 1)
    assert [operation["application"] for operation in found["operations"]] == [
        "records",
        "provenance",
        "records",
    ]
    assert found["operations"][0]["sha256"] == hashlib.sha256(FILE).hexdigest()


async def test_a_failed_transaction_says_why(http: httpx.AsyncClient) -> None:
    found = (await http.get(f"/v1/transactions/{FAILED.id.hex()}")).json()

    assert (found["status"], found["result"]) == ("confirmed", "failed")
    assert found["reason"].startswith("operation.unknown-application")
    assert found["operations"][0]["body"] == "01"


async def test_an_unknown_transaction_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/v1/transactions/{bytes(32).hex()}")

    assert answer.status_code == 404
    assert answer.json() == {"id": bytes(32).hex(), "status": "unknown", "certified": 2}


async def test_many_statuses_come_in_the_order_asked(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    await node.submit((FRESH.raw,))
    ids = [WAITING.id, bytes(32), PAPERS.id, FRESH.id]

    answer = await http.post("/v1/transactions/status", json={"ids": [each.hex() for each in ids]})

    found = answer.json()
    assert found["certified"] == 2
    assert [row["id"] for row in found["transactions"]] == [each.hex() for each in ids]
    assert [row["status"] for row in found["transactions"]] == [
        "executed",
        "unknown",
        "confirmed",
        "pending",
    ]


# --- receipts ---


@pytest.mark.parametrize("operation", [0, 1, 2])
async def test_a_receipt_proves_the_operation_asked_for(
    http: httpx.AsyncClient, operation: int
) -> None:
    answer = await http.get(f"/v1/transactions/{PAPERS.id.hex()}/receipt?operation={operation}")

    verified = LIGHT.check_receipt(answer.content)
    assert verified.transaction == PAPERS.id
    assert verified.operation is not None
    assert verified.operation.operation == PAPERS.operations[operation]


async def test_there_is_no_receipt_of_an_operation_that_is_not_there(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get(f"/v1/transactions/{PAPERS.id.hex()}/receipt?operation=3")

    assert answer.status_code == 404
    assert answer.json() == {"error": "receipt.operation: the transaction has 3 operations"}


@pytest.mark.parametrize(
    ("identity", "word"), [(WAITING.id, "executed"), (bytes(32), "unknown"), (FRESH.id, "pending")]
)
async def test_there_is_no_receipt_before_the_confirmation(
    http: httpx.AsyncClient, node: MemoryNode, identity: bytes, word: str
) -> None:
    await node.submit((FRESH.raw,))

    answer = await http.get(f"/v1/transactions/{identity.hex()}/receipt")

    assert answer.status_code == 404
    assert answer.json()["status"] == word
    assert answer.json()["certified"] == 2


async def test_many_receipts_prove_their_transactions(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    ids = [PAPERS.id, bytes(32), FAILED.id, WAITING.id]

    in_json = (await http.post("/v1/receipts", json={"ids": [each.hex() for each in ids]})).json()
    packed = await http.post("/v1/receipts", content=msgpack.packb(ids), headers=PACKED)

    certified, rows = msgpack.unpackb(packed.content)
    assert certified == in_json["certified"] == 2
    assert [word for word, _ in rows] == ["confirmed", "unknown", "confirmed", "executed"]
    assert [raw and raw.decode() for _, raw in rows] == [
        row["receipt"] for row in in_json["receipts"]
    ]
    assert LIGHT.check_receipt(rows[0][1]).transaction == PAPERS.id
    assert LIGHT.check_receipt(rows[2][1]).reason.startswith("operation.unknown-application")
    assert rows[1][1] is rows[3][1] is None


# --- blocks and proofs ---


async def test_a_block_is_shown_with_its_transactions(http: httpx.AsyncClient) -> None:
    first = (await http.get("/v1/blocks/1")).json()
    third = (await http.get("/v1/blocks/3")).json()

    assert [row["id"] for row in first["transactions"]] == [PAPERS.id.hex(), FAILED.id.hex()]
    assert [row["result"] for row in first["transactions"]] == ["applied", "failed"]
    assert first["confirmed"] is True
    assert third["confirmed"] is False
    assert third["transactions"][0]["id"] == WAITING.id.hex()
    assert (await http.get("/v1/blocks/4")).status_code == 404
    assert (await http.get("/v1/blocks/0")).status_code == 404


async def test_headers_are_linked_by_their_hashes(http: httpx.AsyncClient) -> None:
    headers = [(await http.get(f"/v1/headers/{height}")).json() for height in (1, 2, 3)]

    for before, after in pairwise(headers):
        assert after["previous_hash"] == before["hash"]
        assert parse_header(bytes.fromhex(after["raw"])).hash.hex() == after["hash"]
    assert (await http.get("/v1/headers/4")).status_code == 404


async def test_a_page_of_headers_ends_with_the_last_confirmed(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    async def heights(query: str) -> list[int]:
        answer = (await http.get(f"/v1/blocks{query}")).json()
        return [header["height"] for header in answer["headers"]]

    assert await heights("") == [1, 2]
    node.ledger.grow(120)
    assert await heights("") == list(range(114, 124))
    assert await heights("?from=3") == list(range(3, 103))
    assert await heights("?from=120&to=900") == [120, 121, 122, 123]
    assert await heights("?from=7&to=6") == []


async def test_certificates_certify_the_log(http: httpx.AsyncClient, node: MemoryNode) -> None:
    latest = await http.get("/checkpoint")
    first = await http.get("/v1/certificates/1")

    assert latest.content == (await http.get("/v1/certificates/2")).content
    assert LIGHT.check_certificate(first.content).head.size == 4
    assert LIGHT.check_certificate(latest.content).head.size == 7
    assert (await http.get("/v1/certificates/3")).status_code == 404


async def test_an_empty_ledger_has_no_checkpoint(http: httpx.AsyncClient, node: MemoryNode) -> None:
    node.ledger = MemoryLedger(GENESIS)

    assert (await http.get("/checkpoint")).status_code == 404
    assert (await http.get("/v1/blocks")).json() == {"certified": 0, "headers": []}


async def test_consistency_proves_that_the_log_was_appended_to(http: httpx.AsyncClient) -> None:
    old = (await http.get("/v1/certificates/1")).content
    new = (await http.get("/checkpoint")).content

    found = (await http.get("/v1/consistency?old=4")).json()

    assert (found["old"], found["new"]) == (4, 7)
    LIGHT.check_consistency(old, new, [bytes.fromhex(item) for item in found["path"]])


@pytest.mark.parametrize("query", ["?old=7&new=4", "?old=4&new=900", "?old=0"])
async def test_there_is_no_consistency_of_logs_that_are_none(
    http: httpx.AsyncClient, query: str
) -> None:
    answer = await http.get(f"/v1/consistency{query}")

    assert answer.status_code == 404
    assert answer.json()["error"].startswith("merkle.range")


async def test_tiles_hold_the_logs_hashes_and_leaves(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    node.ledger.grow(100)
    size = node.ledger.store.head.size
    assert size > 256

    bundle = (await http.get("/tile/entries/000")).content
    hashes = (await http.get("/tile/0/000")).content
    partial = await http.get(f"/tile/0/001.p/{size - 256}")
    above = (await http.get("/tile/1/000.p/1")).content

    leaves = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        leaves.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    assert leaves == list(queries.leaves(node.ledger.reader, GENESIS, 0, 256))
    assert all(parse_leaf(leaf) for leaf in leaves)
    assert hashes == b"".join(merkle.leaf_hash(leaf) for leaf in leaves)
    assert len(partial.content) == 32 * (size - 256)
    assert above == merkle.root_of([hashes[at : at + 32] for at in range(0, len(hashes), 32)])
    assert "immutable" in partial.headers["cache-control"]


@pytest.mark.parametrize(
    "place",
    ["0/001.p/255", "0/900", "entries/900", "8/000", "00/000", "63/000", "leaves/000", "²/000"],
)
async def test_a_tile_that_the_log_has_not_is_missing(http: httpx.AsyncClient, place: str) -> None:
    assert (await http.get(f"/tile/{place}")).status_code == 404


@pytest.mark.parametrize(
    "place",
    [
        "0", "67", "0067", "x001", "x001/67", "001/067", "x000/067", "x001/x067", "067.p/0",
        "067.p/256", "067.p/007", "067.p/", "067.p/²", "²³¹", "067/", "x1/067", "-01", "000.q/1",
        "x001/x001/x001/x001/x001/x001/001",
    ],
)  # fmt: skip
async def test_a_tiles_place_is_written_in_one_way(http: httpx.AsyncClient, place: str) -> None:
    assert (await http.get(f"/tile/0/{place}")).status_code == 400


async def test_a_tile_far_out_is_just_missing(http: httpx.AsyncClient) -> None:
    assert (await http.get("/tile/0/x999/x999/x999/x999/x999/999")).status_code == 404


# --- applications ---


async def test_records_are_found_by_what_they_record(http: httpx.AsyncClient) -> None:
    digest = hashlib.sha256(FILE).hexdigest()

    found = (await http.get(f"/v1/records/{digest}")).json()
    second = (await http.get(f"/v1/records/{digest}?offset=1&limit=5")).json()

    assert found["total"] == second["total"] == 2
    assert [(row["id"], row["operation"], row["name"]) for row in found["records"]] == [
        (PAPERS.id.hex(), 0, "a.csv"),
        (PAPERS.id.hex(), 2, "b.csv"),
    ]
    assert all(row["confirmed"] and row["height"] == 1 for row in found["records"])
    assert second["records"] == found["records"][1:]
    assert (await http.get(f"/v1/records/{bytes(32).hex()}")).json()["records"] == []


async def test_statements_are_found_by_what_they_name(http: httpx.AsyncClient) -> None:
    found = (await http.get("/v1/statements", params={"identifier": "urn:example:chart"})).json()

    assert (found["identifier"], found["total"]) == ("urn:example:chart", 1)
    (row,) = found["statements"]
    assert (row["id"], row["operation"]) == (PAPERS.id.hex(), 1)
    assert row["kind"] == "wasGeneratedBy"
    nothing = (await http.get("/v1/statements", params={"identifier": "urn:example:none"})).json()
    assert (nothing["total"], nothing["statements"]) == (0, [])
    assert (await http.get("/v1/statements")).status_code == 400


# --- the node ---


async def test_a_node_says_where_it_stands(http: httpx.AsyncClient) -> None:
    status = (await http.get("/v1/status")).json()

    assert (status["decided"], status["executed"], status["certified"]) == (3, 3, 2)
    assert status["network"] == GENESIS.network.hex()
    assert [peer["name"] for peer in status["peers"]] == ["node1", "node2", "node3"]


async def test_the_genesis_is_the_file_that_others_read(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/genesis")

    assert genesis_format.from_json(answer.content) == GENESIS


async def test_a_node_is_healthy_while_a_quorum_is_in_reach(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    assert (await http.get("/health")).status_code == 200

    node.is_reachable = False

    assert (await http.get("/health")).status_code == 503


async def test_metrics_are_in_the_exposition_format(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["ledger_certified_height"].type == "gauge"
    assert families["ledger_certified_height"].samples[0].value == 2
    assert families["ledger_connected_peers"].samples[0].value == 3
    assert families["ledger_steps"].type == "counter"
    assert families["ledger_steps"].samples[0].name == "ledger_steps_total"
    assert all(family.documentation for family in families.values())


async def test_the_description_is_served(http: httpx.AsyncClient) -> None:
    assert (await http.get("/openapi.json")).json()["openapi"] == "3.1.0"


async def test_a_damaged_record_is_said_so_and_does_no_harm(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    node.ledger.store.store.write([(layout.height_key(layout.BLOCK, 1), b"\xc1")])

    answer = await http.get(f"/v1/transactions/{PAPERS.id.hex()}")

    assert answer.status_code == 500
    assert "block 1 is damaged" in answer.json()["error"]
    assert (await http.get(f"/v1/transactions/{WAITING.id.hex()}")).status_code == 200


async def test_submitted_in_bulk_each_has_its_admission(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    transactions = signed(GENESIS, 300, first=100)

    answer = await http.post(
        "/v1/transactions",
        content=msgpack.packb([each.raw for each in transactions]),
        headers=PACKED,
    )

    assert [row[0] for row in msgpack.unpackb(answer.content)] == list(node.pending)
    assert len(node.pending) == 300
