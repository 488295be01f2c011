"""The index of lineage as a route: pages as of one height, names, and what is too much."""

from __future__ import annotations

import httpx
import pytest
import trio

from api.client import LedgerClient
from api.contents import Contents
from host.ledger_statements import lineage_statements, uri_of
from ledger import lineage_walk
from ledger.applications.provenance import Statement, make_statement
from ledger.errors import Fault, StorageError, UnreachableError
from ledger.transaction import Transaction
from tests.api.memory_node import MemoryLedger, MemoryNode, net_of
from tests.api.small import GENESIS, PAPERS
from tests.ledger.builders import make_signed

pytestmark = pytest.mark.trio
PATH = "/v1/provenance/lineage"


def made(number: int, space: str = "urn:x:") -> Statement:
    arguments = {"generatedEntity": f"x:e{number + 1}", "usedEntity": f"x:e{number}"}
    return make_statement("wasDerivedFrom", namespaces={"x": space}, arguments=arguments)


def ledger_of(*blocks: list[Statement]) -> MemoryLedger:
    ledger = MemoryLedger(GENESIS)
    for nonce, block in enumerate(blocks, 1):
        operations = [each.operation() for each in block]
        ledger.confirm(make_signed(GENESIS, "alice", nonce, expiry=99, operations=operations))
    return ledger


def client_of(node: MemoryNode) -> LedgerClient:
    net = net_of(node)
    return LedgerClient(net.urls, GENESIS, transport=net)


async def test_the_route_gives_what_is_needed_and_where_it_stands(http: httpx.AsyncClient) -> None:
    found = (await http.get(PATH, params={"thing": "ex:chart"})).json()

    assert (found["thing"], found["height"], found["next"]) == ("urn:example:chart", 2, None)
    assert (found["things"], found["total"]) == (2, 1)
    [row] = found["statements"]
    assert (row["id"], row["height"], row["position"], row["operation"]) == (
        PAPERS.id.hex(), 1, 0, 1,
    )  # fmt: skip
    by_uri = {"thing": "urn:example:draw", "question": "downstream", "depth": 1, "height": 1}
    assert (await http.get(PATH, params=by_uri)).json()["total"] == 1


async def test_what_cannot_be_answered_is_said(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await http.get(PATH)).status_code == 400
    for question in ("between", "sideways"):
        asked = {"thing": "ex:chart", "question": question}
        assert (await http.get(PATH, params=asked)).status_code == 400
    unknown = await http.get(PATH, params={"thing": "ex:nothing"})
    assert (unknown.status_code, unknown.json()["error"].partition(":")[0]) == (
        404, "lineage.unknown",
    )  # fmt: skip
    later = await http.get(PATH, params={"thing": "ex:chart", "height": 3})
    assert later.json()["error"].startswith("lineage.height")
    monkeypatch.setattr(lineage_walk, "SCANNED_MAX", 0)
    assert (
        (await http.get(PATH, params={"thing": "ex:chart"}))
        .json()["error"]
        .startswith("lineage.too-much")
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
async def test_the_pages_of_one_answer_are_of_one_height(limit: int) -> None:
    ledger = ledger_of([made(0), made(1)], [made(2)], [made(3)])
    node = MemoryNode(ledger)
    found: list[int] = []
    async with httpx.AsyncClient(transport=net_of(node), base_url="http://node0") as http:
        offset, where = 0, {}
        while offset is not None:
            asked = {"thing": "x:e0", "question": "downstream", "limit": limit, **where}
            page = (await http.get(PATH, params={**asked, "offset": offset})).json()
            found += [row["height"] for row in page["statements"]]
            offset, where = page["next"], {"height": page["height"]}
            nonce = 10 + ledger.certified
            more = make_signed(
                GENESIS, "alice", nonce, expiry=99, operations=[made(nonce).operation()]
            )
            ledger.confirm(more)

    assert found == [1, 1, 2, 3]


async def test_the_client_gets_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.lineage.ROWS_A_PAGE", 2)
    async with client_of(MemoryNode(ledger_of([made(0), made(1)], [made(2)]))) as client:
        uri, said = await lineage_statements(client, "upstream", "x:e3", None)
        _, near = await lineage_statements(client, "upstream", "x:e3", 1)

    assert uri == "urn:x:e3"
    assert [each.statement for each in said] == [made(0), made(1), made(2)]
    assert [each.place for each in said] == [(1, 0, 0), (1, 0, 1), (2, 0, 0)]
    assert [each.statement for each in near] == [made(2)]


async def test_the_client_also_asks_whose_things_are(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        made(0),
        make_statement("wasAttributedTo", namespaces={"x": "urn:x:"},
                       arguments={"entity": "x:e1", "agent": "x:me"}),
        make_statement("actedOnBehalfOf", namespaces={"x": "urn:x:"},
                       arguments={"delegate": "x:me", "responsible": "x:firm"}),
    ]  # fmt: skip
    async with client_of(MemoryNode(ledger_of(said))) as client:
        _, plain = await lineage_statements(client, "downstream", "x:e0", None)
        _, whose = await lineage_statements(client, "downstream", "x:e0", None, agents=True)
        firm = await uri_of(client, "x:firm")

        assert [each.statement for each in plain] == said[:1]
        assert [each.statement for each in whose] == said
        assert firm == "urn:x:firm"
        with pytest.raises(Fault, match=r"lineage\.unknown"):
            await uri_of(client, "x:nobody")

        from api import lineage

        honest = lineage.page
        deaf = lambda *a, agents, **more: honest(*a, **more)  # noqa: E731
        monkeypatch.setattr(lineage, "page", deaf)
        with pytest.raises(UnreachableError, match="whose things are"):
            await lineage_statements(client, "downstream", "x:e0", None, agents=True)


async def test_names_of_nothing_and_of_several_things_are_told_apart() -> None:
    ledger = ledger_of([made(0), made(0, "urn:y:")])
    async with client_of(MemoryNode(ledger)) as client:
        with pytest.raises(Fault, match=r"^lineage\.unknown: no statement names x:e7$"):
            await lineage_statements(client, "upstream", "x:e7", None)
        with pytest.raises(Fault, match=r"^lineage\.ambiguous: x:e1 may be urn:x:e1 or urn:y:e1"):
            await lineage_statements(client, "upstream", "x:e1", None)


async def test_a_node_that_goes_in_circles_is_one_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from api import lineage

    honest = lineage.page
    monkeypatch.setattr(lineage, "page", lambda *a, **more: {**honest(*a, **more), "next": 7})
    async with client_of(MemoryNode(ledger_of([made(0)]))) as client:
        with pytest.raises(UnreachableError, match="circles"), trio.fail_after(5):
            await lineage_statements(client, "upstream", "x:e1", None)


async def test_places_are_found_in_any_batch_of_a_block_and_behind_what_was_skipped() -> None:
    store = MemoryLedger(GENESIS).store

    def say(nonce: int, number: int) -> Transaction:
        operations = [made(number).operation(), made(number + 100).operation()]
        return make_signed(GENESIS, "alice", nonce, expiry=99, operations=operations)

    store.block(say(1, 1))
    # The second transaction is a duplicate, which takes a position and leaves nothing.
    batches = [[say(2, 2), say(1, 1), say(3, 3)], [say(4, 4)], [say(5, 5), say(6, 6)]]
    store.execute(*[store.batch(each, sequence=n) for n, each in enumerate(batches)])
    places = [(1, 0, 1), (2, 0, 0), (2, 2, 0), (2, 2, 1), (2, 3, 1), (2, 5, 0)]

    rows = Contents(store.store, GENESIS).rows(places)

    generated = [row["arguments"]["generatedEntity"] for row in rows]
    assert generated == ["x:e102", "x:e3", "x:e4", "x:e104", "x:e105", "x:e7"]
    assert [row["id"] for row in rows[2:4]] == [say(3, 3).id.hex()] * 2
    assert {row["sender"] for row in rows} == {say(1, 1).sender.hex()}
    assert [row["position"] for row in rows] == [0, 0, 2, 2, 3, 5]
    # Backwards is dearer, and right all the same.
    assert Contents(store.store, GENESIS).rows(places[::-1]) == rows[::-1]


@pytest.mark.parametrize("place", [(2, 0, 0), (1, 1, 0), (1, 0, 7)])
async def test_an_index_that_leads_nowhere_is_damage(place: tuple[int, int, int]) -> None:
    with pytest.raises(StorageError, match="run an audit|no transaction"):
        Contents(ledger_of([made(0)]).reader, GENESIS).rows([place])
