"""What clients send wrong is refused in one line, before it costs anything."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx
import msgpack
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from api.app import make_app
from api.limits import RECEIPTS_MAX, TRANSACTIONS_MAX, ApiLimits
from tests.api.documented import check_documented
from tests.api.memory_node import MemoryNode, browser

Message = MutableMapping[str, Any]
POSTS = ("/v1/transactions", "/v1/transactions/status", "/v1/receipts")
PACKED = {"content-type": "application/msgpack"}
SMALL = ApiLimits(body_bytes=1_000)


async def parts(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


@pytest.mark.trio
async def test_a_body_that_is_declared_too_large_is_not_read() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body is read")

    async def send(message: Message) -> None:
        sent.append(message)

    await make_app(MemoryNode())(_post(headers=[(b"content-length", b"8388609")]), receive, send)

    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"]) == {"error": "a request has at most 8388608 bytes"}


@pytest.mark.trio
@pytest.mark.parametrize("path", POSTS)
async def test_a_body_that_grows_too_large_is_refused_while_it_comes(path: str) -> None:
    read = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal read
        async for part in parts(100, 100):
            read += len(part)
            yield part

    async with browser(MemoryNode(), SMALL) as http:
        answer = await http.post(path, content=counted())

    assert answer.status_code == 413
    assert read == 1_100
    check_documented(answer)


@pytest.mark.trio
async def test_a_body_of_exactly_the_largest_size_is_read() -> None:
    body = json.dumps({"ids": []}).encode().ljust(1_000)

    async with browser(MemoryNode(), SMALL) as http:
        answer = await http.post("/v1/receipts", content=body)

    assert answer.json() == {"error": f"send 1 to {RECEIPTS_MAX} ids"}


@pytest.mark.trio
async def test_a_body_that_takes_too_long_is_given_up(autojump_clock: trio.abc.Clock) -> None:
    sent, status = await _post_body(MemoryNode(), trio.sleep_forever)

    assert status == 408
    assert json.loads(sent[1]["body"]) == {"error": "the body took longer than 10 seconds"}
    assert trio.current_time() == pytest.approx(10)


@pytest.mark.trio
async def test_a_body_that_trickles_in_has_no_more_time(autojump_clock: trio.abc.Clock) -> None:
    async def trickle() -> Message:
        await trio.sleep(1)
        return {"type": "http.request", "body": b" ", "more_body": True}

    _, status = await _post_body(MemoryNode(), trickle)

    assert status == 408
    assert trio.current_time() == pytest.approx(10)


@pytest.mark.trio
async def test_a_body_that_ends_early_is_refused() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    _, status = await _post_body(MemoryNode(), gone)

    assert status == 400


def _post(headers: list[tuple[bytes, bytes]] | None = None) -> Message:
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/transactions",
        "query_string": b"",
        "headers": headers or [],
    }


async def _post_body(
    node: MemoryNode, receive: Callable[[], Awaitable[Any]]
) -> tuple[list[Message], int]:
    """What the app sends back, and its status, for a body that comes as the caller says."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await make_app(node)(_post(), receive, send)
    return sent, sent[0]["status"]


@pytest.mark.trio
@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "send {"),
        (b"7", "send {"),
        (b'{"other": []}', "send {"),
        (b'{"transactions": 1, "ids": {}}', "send {"),
        (b'{"transactions": [], "ids": []}', "send 1 to"),
        (b'{"transactions": [1], "ids": [null]}', "is text"),
        (b'{"transactions": ["*"], "ids": ["xy"]}', "is not "),
        (b'{"transactions": ["\xc3\xa4"], "ids": ["\xc3\xa4"]}', "is not "),
    ],
)
async def test_malformed_json_is_refused(path: str, body: bytes, says: str) -> None:
    async with browser(MemoryNode()) as http:
        answer = await http.post(path, content=body)

    assert answer.status_code == 400
    assert says in answer.json()["error"]
    check_documented(answer)


@pytest.mark.trio
@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\x90\x90",
        b"\x91" * 5_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        msgpack.packb({}),
        msgpack.packb(["text"]),
        msgpack.packb([[b""]]),
        msgpack.packb([msgpack.ExtType(1, b"x")]),
        msgpack.packb(b"bytes"),
    ],
    ids=lambda body: body[:6].hex(),
)
async def test_malformed_msgpack_is_refused(path: str, body: bytes) -> None:
    async with browser(MemoryNode()) as http:
        answer = await http.post(path, content=body, headers=PACKED)

    assert answer.status_code == 400
    assert answer.json() == {"error": "the body is not a msgpack array of byte strings"}
    check_documented(answer)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("path", "count_max"),
    [
        ("/v1/transactions", TRANSACTIONS_MAX),
        ("/v1/transactions/status", TRANSACTIONS_MAX),
        ("/v1/receipts", RECEIPTS_MAX),
    ],
)
async def test_a_request_has_so_many_items_and_no_more(path: str, count_max: int) -> None:
    async with browser(MemoryNode()) as http:
        most = await http.post(path, content=msgpack.packb([bytes(32)] * count_max), headers=PACKED)
        more = await http.post(
            path, json={"transactions": [""] * (count_max + 1), "ids": ["00"] * (count_max + 1)}
        )

    assert most.status_code == (422 if path == "/v1/transactions" else 200)
    assert more.status_code == 400
    assert more.json()["error"].startswith(f"send 1 to {count_max} ")


@pytest.mark.trio
@pytest.mark.parametrize("path", POSTS[1:])
@pytest.mark.parametrize("size", [0, 31, 33])
async def test_an_id_has_32_bytes(path: str, size: int) -> None:
    async with browser(MemoryNode()) as http:
        answer = await http.post(path, json={"ids": [bytes(size).hex()]})

    assert answer.status_code == 400
    assert "64 hexadecimal digits" in answer.json()["error"]


@pytest.mark.trio
@pytest.mark.parametrize(
    "path",
    [
        "/v1/transactions/{}",
        "/v1/transactions/{}/receipt",
        "/v1/records/{}",
    ],
)
@pytest.mark.parametrize(
    "identity", ["0", "xyz", "00" * 31, "00" * 33, "0" * 63 + "g", " " + "0" * 63]
)
async def test_a_wrong_id_in_a_path_is_refused(path: str, identity: str) -> None:
    async with browser(MemoryNode()) as http:
        answer = await http.get(path.format(identity))

    assert answer.status_code == 400
    check_documented(answer)


@pytest.mark.trio
@pytest.mark.parametrize(
    "path",
    [
        "/v1/blocks/{}",
        "/v1/headers/{}",
        "/v1/certificates/{}",
        "/v1/blocks?from={}",
        "/v1/blocks?to={}",
        "/v1/consistency?old={}",
        "/v1/consistency?old=1&new={}",
        f"/v1/transactions/{bytes(32).hex()}?wait_ms={{}}",
        f"/v1/transactions/{bytes(32).hex()}/receipt?operation={{}}",
        f"/v1/records/{bytes(32).hex()}?offset={{}}",
        "/v1/statements?identifier=x&limit={}",
        "/v1/stream?from={}",
    ],
)
@pytest.mark.parametrize("number", ["-1", "1.5", "x", "²", "1" * 19, "%00"])
async def test_a_wrong_number_is_refused(path: str, number: str) -> None:
    async with browser(MemoryNode()) as http:
        answer = await http.get(path.format(number))

    assert answer.status_code == 400
    assert answer.json()["error"].endswith("is a whole number")
    check_documented(answer)


@pytest.mark.trio
async def test_a_very_large_number_is_just_far_away() -> None:
    far = "9" * 18
    async with browser(MemoryNode()) as http:
        assert (await http.get(f"/v1/blocks/{far}")).status_code == 404
        assert (await http.get(f"/v1/certificates/{far}")).status_code == 404
        assert (await http.get(f"/v1/blocks?from={far}")).json()["headers"] == []


@pytest.mark.trio
async def test_what_is_not_served_is_said_so_in_json() -> None:
    async with browser(MemoryNode()) as http:
        missing = await http.get("/v2/anything")
        wrong = await http.delete("/v1/status")

    assert (missing.status_code, missing.json()) == (404, {"error": "Not Found"})
    assert (wrong.status_code, wrong.json()) == (405, {"error": "Method Not Allowed"})
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}


PARTS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=40)
    | st.just(bytes(32))
)
VALUES = st.recursive(
    PARTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=64) | VALUES.map(msgpack.packb)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(POSTS), body=BODIES, packed=st.booleans())
def test_no_body_gets_another_answer_than_those_described(
    path: str, body: bytes, packed: bool
) -> None:
    async def post() -> httpx.Response:
        async with browser(MemoryNode()) as http:
            return await http.post(path, content=body, headers=PACKED if packed else None)

    check_documented(trio.run(post))


@pytest.mark.trio
async def test_base64_has_to_be_exact() -> None:
    async with browser(MemoryNode()) as http:
        for text in ("A", "AAA", "AA A", "AAAA\n", "_-8="):
            answer = await http.post("/v1/transactions", json={"transactions": [text]})
            assert answer.json() == {"error": "one of transactions is not base64"}
        padded = base64.b64encode(b"12").decode()
        answer = await http.post("/v1/transactions", json={"transactions": [padded]})
        assert answer.status_code == 422


@pytest.mark.trio
async def test_all_bodies_that_arrive_at_once_have_a_bound_together() -> None:
    limits = ApiLimits(body_bytes=1_000, bodies_bytes=1_500)
    app = make_app(MemoryNode(), limits)
    go_on = trio.Event()
    answers: list[int] = []

    async def post(size: int, *, waits: bool) -> None:
        parts = [bytes(size), b""]

        async def receive() -> Message:
            if waits and len(parts) == 1:
                await go_on.wait()
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        await app(_post(), receive, send)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: post(900, waits=True))
        await trio.testing.wait_all_tasks_blocked()
        await post(900, waits=False)
        assert answers == [429]
        await post(600, waits=False)
        assert answers == [429, 400]
        go_on.set()
    await post(900, waits=False)

    # Read, and no list of transactions.
    assert answers == [429, 400, 400, 400]
