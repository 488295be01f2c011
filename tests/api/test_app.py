"""Every route answers with what the ledger holds, in the way that its description promises."""

from __future__ import annotations

import base64
import hashlib

import httpx
import msgpack
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger import genesis as genesis_format
from ledger import layout
from ledger.transaction import Transaction
from tests.api.memory_node import MemoryNode, signed
from tests.api.small import FAILED, FILE, FRESH, GENESIS, LIGHT, PACKED, PAPERS, WAITING
from tests.host.program import ROOT
from tests.ledger.builders import make_signed

pytestmark = pytest.mark.trio


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


async def test_a_node_that_others_pass_messages_on_for_needs_one_link(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    node.linked = 1
    assert (await http.get("/health")).status_code == 503

    node.relays = True

    assert (await http.get("/health")).status_code == 200
    node.linked = 0
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
    described = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    samples = {sample.name for family in families.values() for sample in family.samples}
    assert not [name for name in samples if f"`{name.removeprefix('ledger_')}`" not in described]


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
