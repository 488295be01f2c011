"""A client of the API that never trusts a node for what it can check.

It keeps what it signed and sends it to other nodes until the transaction is confirmed, expired or
refused: it always ends with a definite answer, or says that the network was out of reach.  A
confirmation counts only with a receipt that proves it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import msgpack
import trio

from ledger.block import Result
from ledger.errors import Fault, ProofFault, UnreachableError
from ledger.genesis import Genesis
from ledger.keys import Signer
from ledger.light import LightClient, Verified
from ledger.transaction import Operation, Transaction, make_transaction

REQUEST_S = 10.0
"""For one request."""
POLL_FIRST_S = 0.01
POLL_LAST_S = 0.5
RESEND_S = 2.0
"""After which an unconfirmed transaction is sent to one more node."""
REFUSALS_FOR_GOOD = frozenset(
    {
        "transaction.size",
        "transaction.malformed",
        "transaction.not-canonical",
        "transaction.version",
        "transaction.header",
        "transaction.operation",
        "transaction.operations",
        "transaction.operations-root",
        "transaction.network",
        "transaction.signature",
        "transaction.unknown-sender",
    }
)
"""Refusals that follow from the bytes and the genesis alone: no other node will say otherwise."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The definite end of a transaction."""

    id: bytes
    status: str
    """"applied", "failed", "refused" or "expired"."""
    reason: str = ""
    height: int = 0
    receipt: bytes = b""
    """What proves it; empty where nothing was confirmed."""


class LedgerClient:
    """Talks to the nodes of one network."""

    def __init__(
        self,
        urls: Sequence[str],
        genesis: Genesis,
        *,
        signer: Signer | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """`clock` gives microseconds since 1970 and makes nonces; needed only to sign."""
        assert urls, "a client needs at least one node"
        self.urls = list(urls)
        self.genesis = genesis
        self.light = LightClient(genesis)
        self._signer = signer
        self._clock = clock
        self._nonce = 0
        self._faults = genesis.epoch.validators.faults
        self._http = httpx.AsyncClient(
            timeout=REQUEST_S, limits=httpx.Limits(max_connections=64), trust_env=False
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    # --- asking ---

    async def node_status(self, url: str) -> dict[str, Any] | None:
        """What a node says of itself; None where it does not answer."""
        try:
            answer = await self._http.get(f"{url}/v1/status", timeout=2.0)
            answer.raise_for_status()
            status: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return status

    async def statuses(self) -> list[dict[str, Any] | None]:
        """Every node's status, asked at once."""
        found: list[dict[str, Any] | None] = [None] * len(self.urls)

        async def ask(index: int) -> None:
            found[index] = await self.node_status(self.urls[index])

        async with trio.open_nursery() as nursery:
            for index in range(len(self.urls)):
                nursery.start_soon(ask, index)
        return found

    async def get_json(self, path: str) -> dict[str, Any]:
        """A JSON answer of the first node that gives one.  Raises UnreachableError, Fault."""
        answer = await self._get(path)
        document: dict[str, Any] = answer.json()
        return document

    async def get_bytes(self, path: str) -> bytes:
        """A file of the first node that has it.  Raises UnreachableError, Fault."""
        return (await self._get(path)).content

    async def _get(self, path: str) -> httpx.Response:
        missing: Fault | None = None
        for url in self.urls:
            try:
                answer = await self._http.get(url + path)
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                return answer
            missing = Fault("api.refused", _error_of(answer))
        if missing is not None:
            raise missing
        raise UnreachableError(f"no node answers at {', '.join(self.urls)}")

    async def receipt(self, identity: bytes, operation: int = 0) -> tuple[bytes, Verified]:
        """A transaction's receipt, checked.  Raises UnreachableError, Fault, ProofFault."""
        raw = await self.get_bytes(
            f"/v1/transactions/{identity.hex()}/receipt?operation={operation}"
        )
        verified = self.light.check_receipt(raw)
        if verified.transaction != identity:
            raise ProofFault("receipt.other", "the node sent another transaction's receipt")
        return raw, verified

    async def certified_height(self) -> int:
        """The highest certified height that more than f nodes do not fall short of.

        One honest node at least is that far.  Raises UnreachableError where too few answer.
        """
        heights = sorted(
            (status["certified"] for status in await self.statuses() if status), reverse=True
        )
        if not heights:
            raise UnreachableError(f"no node answers at {', '.join(self.urls)}")
        return int(heights[min(self._faults, len(heights) - 1)])

    def stream(
        self, url: str, first: int, *, ids: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[dict[str, Any]]]:
        """Confirmed blocks of one node from a height on, as they come."""
        return _Stream(self._http, f"{url}/v1/stream?from={first}&ids={int(ids)}")

    # --- submitting ---

    def sign(self, operations: list[Operation], *, height: int) -> Transaction:
        """Sign operations to be executed within the replay window above height."""
        assert self._signer is not None, "this client cannot sign"
        assert self._clock is not None, "this client has no clock for nonces"
        self._nonce = max(self._nonce + 1, self._clock())
        expiry = height + self.genesis.limits.replay_window // 2
        return make_transaction(
            self._signer, self.genesis.network, operations, nonce=self._nonce, expiry=expiry
        )

    async def submit(self, operations: list[Operation], *, deadline_s: float = 60) -> Outcome:
        """Sign, submit and wait for the end of one transaction."""
        transaction = self.sign(operations, height=await self.certified_height())
        return await self.confirm(transaction, deadline_s=deadline_s)

    async def post(self, url: str, raws: Sequence[bytes]) -> list[tuple[bytes, str, str]]:
        """(id, reason, detail) of each transaction at one node's door.  Raises UnreachableError."""
        try:
            answer = await self._http.post(
                f"{url}/v1/transactions",
                content=msgpack.packb(list(raws)),
                headers={"content-type": "application/msgpack"},
            )
            rows = msgpack.unpackb(answer.content, use_list=False)
            if answer.status_code not in (202, 422, 503) or len(rows) != len(raws):
                raise UnreachableError(f"{url} answers {answer.status_code}: {_error_of(answer)}")
            return [(bytes(i), str(reason), str(detail)) for i, reason, detail in rows]
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise UnreachableError(f"{url} does not answer: {type(error).__name__}") from None

    async def confirm(self, transaction: Transaction, *, deadline_s: float) -> Outcome:
        """Send a signed transaction until its end is definite.

        Raises UnreachableError at the deadline: the transaction may still be confirmed later, and
        can be sent again without harm.
        """
        sent = 0
        refusals: dict[str, tuple[str, str]] = {}
        poll_s = POLL_FIRST_S
        next_send = 0.0
        with trio.move_on_after(deadline_s):
            while True:
                if trio.current_time() >= next_send:
                    url = self.urls[sent % len(self.urls)]
                    reason, detail = await self._send_to(url, transaction)
                    if reason:
                        refusals[url] = (reason, detail)
                        if self._is_refused(refusals):
                            return Outcome(transaction.id, "refused", f"{reason}: {detail}")
                    sent += 1
                    next_send = trio.current_time() + (0.0 if reason else RESEND_S)
                    if sent % len(self.urls) == 0 and reason:
                        next_send = trio.current_time() + POLL_LAST_S
                outcome = await self._outcome(transaction)
                if outcome is not None:
                    return outcome
                await trio.sleep(poll_s)
                poll_s = min(poll_s * 1.5, POLL_LAST_S)
        raise UnreachableError(
            f"transaction {transaction.id.hex()} is neither confirmed nor expired after "
            f"{deadline_s:g} s; send it again or ask for it later"
        )

    async def _send_to(self, url: str, transaction: Transaction) -> tuple[str, str]:
        try:
            _, reason, detail = (await self.post(url, [transaction.raw]))[0]
        except UnreachableError as error:
            return "node.unreachable", str(error)
        return reason, detail

    def _is_refused(self, refusals: dict[str, tuple[str, str]]) -> bool:
        """More than f nodes refuse for good, so at least one honest one does."""
        final = [
            reason
            for reason, _ in refusals.values()
            if reason in REFUSALS_FOR_GOOD
            or reason.startswith(("operation.", "encoding.", "record.", "provenance."))
            or reason in ("transaction.nonce-used", "transaction.expiry-too-far")
        ]
        return len(final) > min(self._faults, len(self.urls) - 1)

    async def _outcome(self, transaction: Transaction) -> Outcome | None:
        for url in self.urls:
            try:
                answer = await self._http.get(
                    f"{url}/v1/transactions/{transaction.id.hex()}/receipt"
                )
                if answer.status_code != 200:
                    continue
                verified = self.light.check_receipt(answer.content)
            except (httpx.HTTPError, Fault):
                continue
            if verified.transaction != transaction.id:
                continue
            applied = verified.result == Result.APPLIED
            return Outcome(
                transaction.id,
                "applied" if applied else "failed",
                verified.reason,
                verified.height,
                answer.content,
            )
        if await self._is_expired(transaction):
            return Outcome(transaction.id, "expired", "transaction.expired")
        return None

    async def _is_expired(self, transaction: Transaction) -> bool:
        try:
            return await self.certified_height() > transaction.expiry
        except UnreachableError:
            return False


class _Stream:
    """One open stream of confirmed blocks."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._open = http.stream("GET", url, timeout=httpx.Timeout(REQUEST_S, read=60))

    async def __aenter__(self) -> AsyncIterator[dict[str, Any]]:
        try:
            answer = await self._open.__aenter__()
        except httpx.HTTPError as error:
            raise UnreachableError(f"the stream does not open: {type(error).__name__}") from None
        return self._lines(answer)

    async def _lines(self, answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
        try:
            async for line in answer.aiter_lines():
                if line:
                    yield json.loads(line)
        except httpx.HTTPError:
            return

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.__aexit__(kind, error, traceback)


def _error_of(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
