"""The content store over the API: members alone, one content and one act a signature."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from api.app import make_app
from ledger.content import ACCESS_MS_MAX, GET, PUT, access_bytes
from ledger.genesis import Genesis
from storage.content import OVERHEAD_BYTES, ContentStore
from tests.api.documented import check_documented
from tests.api.memory_node import MemoryLedger, MemoryNode
from tests.api.small import GENESIS
from tests.ledger.builders import make_genesis, signer_of

pytestmark = pytest.mark.trio
CONTENT = b"3\n1\n2\n"
DIGEST = sha256(CONTENT).digest()
PATH = f"/v1/contents/{DIGEST.hex()}"


def signed(
    act: str,
    *,
    name: str = "alice",
    digest: bytes = DIGEST,
    ahead_ms: int = 60_000,
    genesis: Genesis = GENESIS,
) -> dict[str, str]:
    signer = signer_of(name, genesis.scheme)
    expires_ms = time.time_ns() // 1_000_000 + ahead_ms
    signature = signer.sign(access_bytes(genesis.network, act, digest, expires_ms))
    return {"authorization": f"Ledger {signer.public_key.hex()} {expires_ms} {signature.hex()}"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(tmp_path, GENESIS) as client:
        yield client


@asynccontextmanager
async def client_of(tmp_path: Path, genesis: Genesis) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a node that keeps contents."""
    store = ContentStore.create(tmp_path / "contents", OVERHEAD_BYTES + 100)

    async def check(answer: httpx.Response) -> None:
        await answer.aread()
        check_documented(answer)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(MemoryNode(MemoryLedger(genesis)), None, store)),
        base_url="http://node0",
        event_hooks={"response": [check]},
    ) as client:
        yield client


async def test_a_member_keeps_a_content_and_another_gets_it(http: httpx.AsyncClient) -> None:
    assert (await http.get(PATH, headers=signed(GET))).status_code == 404

    kept = await http.put(PATH, content=CONTENT, headers=signed(PUT))
    got = await http.get(PATH, headers=signed(GET, name="bob"))

    assert (kept.status_code, kept.json()) == (201, {"sha256": DIGEST.hex(), "bytes": 6})
    assert got.content == CONTENT


@pytest.mark.parametrize("scheme", ["ml-dsa-44", "ml-dsa-65"])
async def test_members_sign_with_larger_keys(tmp_path: Path, scheme: str) -> None:
    genesis = make_genesis(scheme=scheme)
    async with client_of(tmp_path, genesis) as client:
        kept = await client.put(PATH, content=CONTENT, headers=signed(PUT, genesis=genesis))
        got = await client.get(PATH, headers=signed(GET, name="bob", genesis=genesis))
        stranger = await client.get(PATH, headers=signed(GET, name="eve", genesis=genesis))

    assert (kept.status_code, got.content, stranger.status_code) == (201, CONTENT, 401)


async def test_nobody_else_gets_in(http: httpx.AsyncClient) -> None:
    await http.put(PATH, content=CONTENT, headers=signed(PUT))
    other = make_genesis(members=("alice",))
    good = signed(GET)["authorization"]
    wrong = [
        {},
        {"authorization": "Bearer abc"},
        {"authorization": good[:-1] + ("0" if good[-1] != "0" else "1")},
        signed(GET, name="mallory"),
        signed(PUT),
        signed(GET, digest=bytes(32)),
        signed(GET, ahead_ms=-1_000),
        signed(GET, ahead_ms=ACCESS_MS_MAX + 60_000),
        signed(GET, genesis=other),
    ]

    for headers in wrong:
        assert (await http.get(PATH, headers=headers)).status_code == 401, headers
    assert (await http.put(PATH, content=CONTENT, headers=signed(GET))).status_code == 401


async def test_what_is_not_what_it_says_or_too_much_is_refused(http: httpx.AsyncClient) -> None:
    changed = await http.put(PATH, content=CONTENT + b"!", headers=signed(PUT))
    large = b"x" * 200
    name = sha256(large).digest()
    full = await http.put(
        f"/v1/contents/{name.hex()}", content=large, headers=signed(PUT, digest=name)
    )

    assert (changed.status_code, full.status_code) == (422, 507)


async def test_a_damaged_content_is_never_sent(http: httpx.AsyncClient, tmp_path: Path) -> None:
    await http.put(PATH, content=CONTENT, headers=signed(PUT))
    file = tmp_path / "contents" / DIGEST.hex()[:2] / DIGEST.hex()
    file.write_bytes(b"3\n1\n9\n")

    answer = await http.get(PATH, headers=signed(GET))

    assert answer.status_code == 500
    assert "damaged" in answer.json()["error"]


async def test_a_node_without_a_store_says_so() -> None:
    transport = httpx.ASGITransport(make_app(MemoryNode(MemoryLedger(GENESIS))))
    async with httpx.AsyncClient(transport=transport, base_url="http://node0") as http:
        answer = await http.get(PATH, headers=signed(GET))

    assert (answer.status_code, answer.json()["error"]) == (404, "this node keeps no contents")
