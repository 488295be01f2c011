"""Requests to nodes that may be down, slow or lying: bounded in time and size, typed on arrival.

What cannot be read as an answer raises UnreachableError: to a client, a node that talks nonsense is
one that does not answer.  Whether an answer is true is not judged here.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import httpx
import msgpack
import trio

from api.limits import TRANSACTIONS_MAX
from ledger.errors import UnreachableError, UserError

MSGPACK = "application/msgpack"
REQUEST_S = 10.0
"""For one request, beyond what it asks the node to wait."""
STATUS_S = 2.0
"""For a node to say where it stands."""
ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Of one answer: a page of receipts, or a tile of the largest entries, takes half of it at most."""
LINE_BYTES_MAX = 8 * 1024 * 1024
"""Of one line of a stream: a block of 32,768 transaction ids takes 2.2 MB."""
STREAM_SILENCE_S = 60.0
"""After which a stream that says nothing at all is given up; nodes speak every 15 seconds."""
CONNECTIONS_MAX = 64
KEPT_ALIVE_S = 60.0
"""For an idle connection; nodes close theirs after 75 seconds."""


class NotSentError(UnreachableError):
    """No connection: the node cannot have seen the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered."""

    url: str
    status: int
    content: bytes

    def document(self) -> dict[str, Any]:
        """The JSON object in it.  Raises UnreachableError."""
        try:
            found = json.loads(self.content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnreachableError(f"{self.url} does not answer with a JSON object")
        return found

    def error(self) -> str:
        """What the node says is wrong."""
        try:
            text = self.document().get("error")
        except UnreachableError:
            text = None
        return text if isinstance(text, str) else f"HTTP {self.status}"


class Asking:
    """HTTP to the nodes of one network."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # Times are bounded here, by trio: httpx counts anew with every byte that trickles in.
        self._http = httpx.AsyncClient(
            timeout=None,
            trust_env=False,
            verify=_trusted(),
            transport=transport,
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEPT_ALIVE_S,
            ),
            headers={"accept-encoding": "identity"},
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        *,
        packed: object = None,
        timeout_s: float = REQUEST_S,
    ) -> Answer:
        """One request, with a msgpack body where one is given.  Raises UnreachableError."""
        content = None if packed is None else msgpack.packb(packed)
        headers = {} if packed is None else {"content-type": MSGPACK}
        request = self._http.build_request(method, url, content=content, headers=headers)
        try:
            with trio.fail_after(timeout_s):
                answer = await self._http.send(request, stream=True)
                async with aclosing(answer):
                    body = await _body(answer)
        except trio.TooSlowError:
            raise UnreachableError(f"{url} does not answer within {timeout_s:g} s") from None
        except httpx.ConnectError:
            raise NotSentError(f"{url} cannot be reached") from None
        except httpx.HTTPError as error:
            raise UnreachableError(f"{url} does not answer: {type(error).__name__}") from None
        return Answer(url, answer.status_code, body)

    async def status(self, url: str) -> dict[str, Any]:
        """What a node says of itself.  Raises UnreachableError."""
        answer = await self.ask("GET", f"{url}/v1/status", timeout_s=STATUS_S)
        found = answer.document()
        if answer.status != 200 or not is_whole(found.get("certified")):
            raise UnreachableError(f"{url} does not say where it stands")
        return found

    async def post(self, url: str, raws: Sequence[bytes]) -> list[tuple[bytes, str, str]]:
        """(id, reason, detail) of each transaction at a node's door.  Raises UnreachableError."""
        answer = await self.ask("POST", f"{url}/v1/transactions", packed=list(raws))
        if answer.status not in (202, 422, 503):
            raise UnreachableError(f"{url} refuses the request: {answer.error()}")
        rows = _unpacked(answer)
        if (
            not isinstance(rows, list)
            or len(rows) != len(raws)
            or not all(_is_row(row, bytes, str, str) for row in rows)
        ):
            raise UnreachableError(f"{url} does not answer with admissions")
        return [(identity, reason, detail) for identity, reason, detail in rows]

    async def receipts(
        self, url: str, ids: Sequence[bytes], *, wait_ms: int = 0
    ) -> tuple[int, list[tuple[str, bytes | None]]]:
        """(certified height, (status, receipt) of each); nothing of it is checked.

        Raises UnreachableError.
        """
        answer = await self.ask(
            "POST",
            f"{url}/v1/receipts?wait_ms={wait_ms}",
            packed=list(ids),
            timeout_s=REQUEST_S + wait_ms / 1000,
        )
        if answer.status != 200:
            raise UnreachableError(f"{url} refuses the request: {answer.error()}")
        found = _unpacked(answer)
        if not isinstance(found, list) or len(found) != 2 or not is_whole(found[0]):
            raise UnreachableError(f"{url} does not answer with receipts")
        certified, rows = found
        if (
            not isinstance(rows, list)
            or len(rows) != len(ids)
            or not all(_is_row(row, str, (bytes, type(None))) for row in rows)
        ):
            raise UnreachableError(f"{url} does not answer with receipts")
        return certified, [(word, receipt) for word, receipt in rows]

    def lines(self, url: str) -> AbstractAsyncContextManager[AsyncIterator[dict[str, Any]]]:
        """The JSON objects of an open stream.  Raises UnreachableError where it does not open."""
        return _lines(self._http, url)


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities for https; read once a process, since that takes 40 ms."""
    return httpx.create_ssl_context(trust_env=False)


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async with aclosing(_raw(answer)) as parts:
        async for part in parts:
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                raise UnreachableError(f"{answer.url} answers without end")
    return bytes(body)


def _raw(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The bytes as they come: nothing that a node sends may grow on being unpacked."""
    # What httpx declares as an iterator is a generator, and has to be closed as one.
    return cast("AsyncGenerator[bytes, None]", answer.aiter_raw())


@asynccontextmanager
async def _lines(http: httpx.AsyncClient, url: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    try:
        with trio.fail_after(REQUEST_S):
            answer = await http.send(http.build_request("GET", url), stream=True)
    except (httpx.HTTPError, trio.TooSlowError) as error:
        raise UnreachableError(f"the stream does not open: {type(error).__name__}") from None
    async with aclosing(answer):
        if answer.status_code != 200:
            raise UnreachableError(f"the stream does not open: HTTP {answer.status_code}")
        async with aclosing(_raw(answer)) as parts, aclosing(_objects(parts)) as objects:
            yield objects


async def _objects(parts: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """The objects of a stream until it breaks: open another from the next height."""
    buffer = bytearray()
    while True:
        part: bytes | None = None
        try:
            with trio.move_on_after(STREAM_SILENCE_S):
                part = await anext(parts, None)
        except httpx.HTTPError:
            return
        if part is None:
            return
        buffer += part
        *lines, rest = buffer.split(b"\n")
        buffer = rest
        if len(buffer) > LINE_BYTES_MAX:
            return
        for line in lines:
            if line:
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    return
                if not isinstance(found, dict):
                    return
                yield found


def check_url(url: str) -> None:
    """Raise UserError unless this is the address of an API."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UserError(f"{url!r} is not the address of an API, such as http://127.0.0.1:20001")


def is_whole(value: object) -> bool:
    """Whether a node sent a whole number."""
    return type(value) is int and value >= 0


def _unpacked(answer: Answer) -> Any:
    try:
        return msgpack.unpackb(
            answer.content, max_array_len=TRANSACTIONS_MAX, max_map_len=0, max_ext_len=0
        )
    except (ValueError, TypeError, RecursionError):
        raise UnreachableError(f"{answer.url} does not answer in msgpack") from None


def _is_row(row: object, *kinds: type | tuple[type, ...]) -> bool:
    return (
        isinstance(row, list)
        and len(row) == len(kinds)
        and all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))
    )
