"""Members over the API: lists, DID resolution, and a door that asks the state."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from api.app import make_app
from ledger.did import did_of
from tests.api.documented import check_documented
from tests.api.memory_node import MemoryLedger, MemoryNode
from tests.ledger.builders import make_signed
from tests.ledger.governed import GENESIS, NOTE, add, approve, key, remove
from tests.ledger.governed import Network as Governed

pytestmark = pytest.mark.trio


@pytest.fixture
def ledger() -> MemoryLedger:
    """A ledger of a network with identity, without any block."""
    return MemoryLedger(GENESIS)


@pytest.fixture
async def http(ledger: MemoryLedger) -> AsyncIterator[httpx.AsyncClient]:
    """A client that checks every answer against the description."""

    async def check(answer: httpx.Response) -> None:
        await answer.aread()
        check_documented(answer)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(MemoryNode(ledger))),
        base_url="http://node0",
        event_hooks={"response": [check]},
    ) as client:
        yield client


def add_dan(ledger: MemoryLedger) -> bytes:
    """Ada and Ben add Dan; Cleo's proposal to remove Sam stays open.  Its id."""
    signed = Governed()
    signed.run(("ada", add("dan")), ("cleo", remove("sam")))
    proposed, open_one = signed.last
    first = make_signed(GENESIS, "ada", 1, expiry=50, operations=[add("dan")])
    second = make_signed(GENESIS, "cleo", 2, expiry=50, operations=[remove("sam")])
    ledger.confirm(first, second)
    ledger.confirm(make_signed(GENESIS, "ben", 3, expiry=50, operations=[approve(proposed)]))
    return open_one


async def test_members_and_proposals_are_listed(
    http: httpx.AsyncClient, ledger: MemoryLedger
) -> None:
    before = (await http.get("/v1/members")).json()
    assert [row["member"] for row in before["members"]] == ["ada", "ben", "cleo", "sam"]
    assert len(before["administrators"]) == 3

    proposal = add_dan(ledger)

    after = (await http.get("/v1/members")).json()
    assert [row["member"] for row in after["members"]] == ["ada", "ben", "cleo", "dan", "sam"]
    (waiting,) = after["proposals"]
    assert waiting["id"] == proposal.hex()
    assert waiting["change"] == {"act": "remove", "name": "sam"}
    assert waiting["approvals"] == [key("cleo").hex()]
    page = (await http.get("/v1/members?offset=3&limit=1")).json()
    assert ([row["member"] for row in page["members"]], page["total"]) == (["dan"], 5)


async def test_an_identifier_is_resolved(http: httpx.AsyncClient, ledger: MemoryLedger) -> None:
    dan = did_of(GENESIS.network, "dan")
    assert (await http.get(f"/v1/identifiers/{dan}")).status_code == 404

    add_dan(ledger)

    found = (await http.get(f"/v1/identifiers/{dan}")).json()
    assert found["didDocument"]["id"] == dan
    assert found["didDocumentMetadata"] == {
        "versionId": "0",
        "deactivated": False,
        "updated": "1970-01-01T00:00:02Z",
    }
    other = await http.get(f"/v1/identifiers/{did_of(bytes(32), 'dan')}")
    assert other.status_code == 404
    wrong = await http.get("/v1/identifiers/did:web:example.org")
    assert wrong.status_code == 400
    assert wrong.json()["didResolutionMetadata"]["error"] == "invalidDid"


async def test_the_door_lets_in_whoever_is_a_member_now(ledger: MemoryLedger) -> None:
    node = MemoryNode(ledger)
    dans = make_signed(GENESIS, "dan", 1, expiry=50, operations=[NOTE]).raw
    (before,) = await node.submit((dans,))
    assert before.reason == "transaction.unknown-sender"

    add_dan(ledger)

    (after,) = await node.submit((dans,))
    assert after.reason == ""


async def test_a_network_without_identity_says_so() -> None:
    plain = httpx.ASGITransport(make_app(MemoryNode(MemoryLedger())))
    async with httpx.AsyncClient(transport=plain, base_url="http://node0") as client:
        answer = await client.get("/v1/members")

    assert answer.status_code == 404
    assert "does not run the application identity" in answer.json()["error"]
    check_documented(answer)
