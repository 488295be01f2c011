"""Blocks, certificates and tiles are what other tools can check."""

from __future__ import annotations

from itertools import pairwise

import httpx
import pytest

from ledger import merkle, queries
from ledger.block import parse_header, parse_leaf
from tests.api.memory_node import MemoryLedger, MemoryNode
from tests.api.small import FAILED, GENESIS, LIGHT, PAPERS, WAITING

pytestmark = pytest.mark.trio


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
