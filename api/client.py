"""A client of the API that never trusts a node for what it can check.

It keeps what it signed and sends it to other nodes until the transaction is confirmed, expired or
refused: it always ends with a definite answer, or says that the network was out of reach.  A
confirmation counts only with a receipt that proves it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import trio

from api.asking import Answer, Asking, check_url
from api.joining import Wanted, joint_receipt
from api.limits import RECEIPTS_MAX
from api.pursuit import Outcome as Outcome
from api.pursuit import Pursuit
from ledger import merkle
from ledger.errors import Fault, ProofFault, UnreachableError
from ledger.genesis import Genesis
from ledger.joint_receipt import JointJudge, JointReceipt, Proven
from ledger.keys import Signer
from ledger.light import CertifiedLog, LightClient, Verified, VerifiedState
from ledger.transaction import Operation, Transaction, make_transaction

T = TypeVar("T")
GROUP_BYTES = 2 * 1024 * 1024
"""Of transactions sent in one request: a quarter of what a node takes."""
GROUPS_AT_ONCE = 4
"""Groups on their way in bulk: a thousand transactions keep every node's batches full."""


class LedgerClient:
    """Talks to the nodes of one network."""

    def __init__(
        self,
        urls: Sequence[str],
        genesis: Genesis,
        *,
        signer: Signer | None = None,
        clock: Callable[[], int] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`clock` gives microseconds since 1970 and makes nonces; needed only to sign.

        Raises UserError for a URL that is none.
        """
        assert urls, "a client needs at least one node"
        for url in urls:
            check_url(url)
        self.urls = list(urls)
        self.genesis = genesis
        self.light = LightClient(genesis)
        self._joint = JointJudge(genesis)
        self._signer = signer
        self._clock = clock
        self._nonce = 0
        self._faults = genesis.epoch.validators.faults
        self._asking = Asking(transport)
        self._checkpoint: bytes | None = None
        self._preferred = 0
        """Index of the node that helped last: the next transaction goes there first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._asking.aclose()

    # --- asking ---

    async def node_status(self, url: str) -> dict[str, Any] | None:
        """What a node says of itself; None where it does not answer."""
        try:
            return await self._asking.status(url)
        except UnreachableError:
            return None

    async def statuses(self) -> list[dict[str, Any] | None]:
        """Every node's status, asked at once."""
        found: list[dict[str, Any] | None] = [None] * len(self.urls)

        async def ask(index: int) -> None:
            found[index] = await self.node_status(self.urls[index])

        async with trio.open_nursery() as nursery:
            for index in range(len(self.urls)):
                nursery.start_soon(ask, index)
        return found

    async def certified_height(self) -> int:
        """The highest height that f+1 nodes say they have certified: one of them is honest.

        Where fewer answer, the lowest of theirs.  Raises UnreachableError where none does.
        """
        found = dict(zip(self.urls, await self.statuses(), strict=True))
        heights = sorted((status["certified"] for status in found.values() if status), reverse=True)
        if not heights:
            raise UnreachableError(f"no node answers at {', '.join(self.urls)}")
        return int(heights[min(self._faults, len(heights) - 1)])

    async def get_json(self, path: str) -> dict[str, Any]:
        """A JSON answer of the first node that gives one: its word, not a proof.

        Raises UnreachableError; Fault where every node that answers refuses.
        """
        return await self._first_good(path, lambda answer: answer.document())

    async def get_bytes(self, path: str) -> bytes:
        """A file of the first node that has it, unchecked.  Raises UnreachableError, Fault."""
        return await self._first_good(path, lambda answer: answer.content)

    async def receipt(self, identity: bytes, operation: int = 0) -> tuple[bytes, Verified]:
        """A transaction's receipt, checked, of the first node that has one.

        Raises UnreachableError; Fault where no node has it; ProofFault where all that is sent
        proves something else, or nothing.
        """

        def check(answer: Answer) -> tuple[bytes, Verified]:
            verified = self.light.check_receipt(answer.content)
            if verified.transaction != identity:
                raise ProofFault("receipt.other", "the node sent another transaction's receipt")
            if verified.operation is None or verified.operation.index != operation:
                raise ProofFault("receipt.other", "the receipt shows another operation")
            return answer.content, verified

        path = f"/v1/transactions/{identity.hex()}/receipt?operation={operation}"
        return await self._first_good(path, check)

    async def state(self, application: str, key: bytes) -> tuple[bytes, VerifiedState]:
        """The proof of an application's value, or that there is none, of the first node that has
        one, checked: it says after which block, which may be a little behind the newest.

        Raises UnreachableError; Fault where no node can prove it; ProofFault where all that is sent
        proves something else, or nothing.
        """

        def check(answer: Answer) -> tuple[bytes, VerifiedState]:
            verified = self.light.check_state(answer.content)
            if (verified.application, verified.key) != (application, key):
                raise ProofFault("state.other", "the node sent the proof of another key")
            return answer.content, verified

        return await self._first_good(f"/v1/state/{quote(application)}/{key.hex()}", check)

    async def joint_receipt(
        self,
        wanted: Sequence[Wanted],
        height: int,
        *,
        progress: Callable[[int], object],
    ) -> tuple[JointReceipt, tuple[Proven, ...]]:
        """One proof of these operations, by transaction id and number, of the first node that has
        one, and what it proves.  It rests on the first certificate at or above the height, and may
        lack some; its parts were checked.

        Raises UnreachableError; Fault where no node can prove any; ProofFault where all that is
        sent proves something else, or nothing.
        """
        return await joint_receipt(
            self._asking, self.urls, self._joint, wanted, height=height, progress=progress
        )

    async def proven(self, ids: Sequence[bytes]) -> dict[bytes, Verified]:
        """Those of the transactions that the ledger has, each proven by its receipt.

        f+1 nodes are asked, of which one is honest; what is missing may still be on its way.
        Raises UnreachableError where too few answer to say that something is missing.
        """
        found: dict[bytes, Verified] = {}
        open_ids = list(ids)
        needed = min(self._faults + 1, len(self.urls))
        for url in self.urls:
            if not open_ids or not needed:
                break
            try:
                for start in range(0, len(open_ids), RECEIPTS_MAX):
                    group = open_ids[start : start + RECEIPTS_MAX]
                    found |= self._checked(group, await self._asking.receipts(url, group))
            except (UnreachableError, Fault):
                # It is down, or sends what proves nothing: ask another.
                continue
            needed -= 1
            open_ids = [identity for identity in open_ids if identity not in found]
        if open_ids and needed:
            raise UnreachableError(f"too few nodes answer at {', '.join(self.urls)}")
        return found

    def _checked(
        self, ids: Sequence[bytes], answer: tuple[int, list[tuple[str, bytes | None]]]
    ) -> dict[bytes, Verified]:
        """What a page of receipts proves.  Raises Fault where one of them proves nothing."""
        found = {}
        for identity, (_, raw) in zip(ids, answer[1], strict=True):
            if raw is None:
                continue
            verified = self.light.check_receipt(raw)
            if verified.transaction != identity:
                raise ProofFault("receipt.other", "the node sent another transaction's receipt")
            found[identity] = verified
        return found

    async def checkpoint(self) -> CertifiedLog:
        """The latest certified log of the first node that answers, checked.

        It is also checked to have only appended to the longest one that this client ever met.
        Raises UnreachableError, Fault; ProofFault where a quorum signed two histories.
        """
        raw, log = await self._first_good(
            "/checkpoint",
            lambda answer: (answer.content, self.light.check_certificate(answer.content)),
        )
        if self._checkpoint is None:
            self._checkpoint = raw
            return log
        known = self.light.check_certificate(self._checkpoint)
        (old, older), (new, newer) = sorted(
            ((raw, log), (self._checkpoint, known)), key=lambda pair: pair[1].head.size
        )
        sizes = (older.head.size, newer.head.size)
        path: Sequence[bytes] = ()
        if sizes[0] != sizes[1]:
            path = await self._consistency(*sizes)
        self.light.check_consistency(old, new, path)
        self._checkpoint = new
        return log

    async def _consistency(self, old: int, new: int) -> list[bytes]:
        found = await self.get_json(f"/v1/consistency?old={old}&new={new}")
        try:
            path = [bytes.fromhex(item) for item in found["path"]]
        except (KeyError, TypeError, ValueError):
            raise ProofFault("api.malformed", "the node sent no consistency path") from None
        if any(len(item) != merkle.HASH_BYTES for item in path):
            raise ProofFault("api.malformed", "a hash of the consistency path has another length")
        return path

    def stream(
        self, url: str, first: int, *, ids: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[dict[str, Any]]]:
        """Confirmed blocks of one node from a height on, as they come: its word, not a proof.

        Raises UnreachableError where it does not open; a stream that breaks just ends.
        """
        return self._asking.lines(f"{url}/v1/stream?from={first}&ids={int(ids)}")

    # --- submitting ---

    def sign(self, operations: list[Operation], *, height: int) -> Transaction:
        """Sign operations to be executed within half the replay window above height."""
        assert self._signer is not None, "this client cannot sign"
        assert self._clock is not None, "this client has no clock for nonces"
        self._nonce = max(self._nonce + 1, self._clock())
        expiry = height + self.genesis.limits.replay_window // 2
        return make_transaction(
            self._signer, self.genesis.network, operations, nonce=self._nonce, expiry=expiry
        )

    async def submit(self, operations: list[Operation], *, deadline_s: float = 60) -> Outcome:
        """Sign, submit and wait for the end of one transaction.  As `confirm`."""
        transaction = self.sign(operations, height=await self.certified_height())
        return await self.confirm(transaction, deadline_s=deadline_s)

    async def post(self, url: str, raws: Sequence[bytes]) -> list[tuple[bytes, str, str]]:
        """(id, reason, detail) of each transaction at one node's door.  Raises UnreachableError."""
        return await self._asking.post(url, raws)

    async def confirm(self, transaction: Transaction, *, deadline_s: float) -> Outcome:
        """Send a signed transaction until its end is definite.

        Raises UnreachableError at the deadline: the transaction may still be confirmed later, and
        can be sent again without harm.
        """
        pursuit = self._pursuit([transaction], self._preferred, None)
        await pursuit.run(deadline_s)
        if pursuit.helper is not None:
            self._preferred = self.urls.index(pursuit.helper)
        return pursuit.outcomes[transaction.id]

    async def submit_many(
        self,
        transactions: Sequence[Transaction],
        *,
        progress: Callable[[Outcome], object] | None = None,
        deadline_s: float = 120,
    ) -> list[Outcome]:
        """Send signed transactions in bulk; the definite end of each, in the order given.

        Groups of a few hundred go to the nodes in turn, a few at a time; a node that is full slows
        them down.  Every confirmation is proven by its own receipt.  The ledger may order
        transactions in another way than they are given here.

        progress: called with each outcome as it becomes definite.  deadline_s: for each group.
        Raises UnreachableError as `confirm` does; what progress was told stays true.
        """
        waiting = enumerate(_grouped(transactions))
        outcomes: dict[bytes, Outcome] = {}
        failures: list[UnreachableError] = []

        async def work() -> None:
            for number, group in waiting:
                pursuit = self._pursuit(group, self._preferred + number, progress)
                try:
                    await pursuit.run(deadline_s)
                except UnreachableError as error:
                    failures.append(error)
                    nursery.cancel_scope.cancel()
                outcomes.update(pursuit.outcomes)

        async with trio.open_nursery() as nursery:
            for _ in range(GROUPS_AT_ONCE):
                nursery.start_soon(work)
        if failures:
            raise failures[0]
        return [outcomes[transaction.id] for transaction in transactions]

    def _pursuit(
        self,
        transactions: Sequence[Transaction],
        first: int,
        progress: Callable[[Outcome], object] | None,
    ) -> Pursuit:
        start = first % len(self.urls)
        return Pursuit(
            self._asking,
            self.light,
            self.urls[start:] + self.urls[:start],
            transactions,
            faults=self._faults,
            progress=progress,
        )

    async def _first_good(self, path: str, check: Callable[[Answer], T]) -> T:
        """What check makes of the first answer that passes it.

        Raises what was wrong with those that did not; UnreachableError where none came.
        """
        wrong: Fault | None = None
        for url in self.urls:
            try:
                answer = await self._asking.ask("GET", url + path)
                if answer.status != 200:
                    raise Fault("api.refused", answer.error())
                return check(answer)
            except UnreachableError:
                continue
            except Fault as fault:
                # A proof that is wrong says more than an answer that is missing.
                if wrong is None or not isinstance(wrong, ProofFault):
                    wrong = fault
        raise wrong or UnreachableError(f"no node answers at {', '.join(self.urls)}")


def _grouped(transactions: Sequence[Transaction]) -> Iterator[list[Transaction]]:
    """The transactions in their order, in lists of which each fits into one request."""
    group: list[Transaction] = []
    size = 0
    for transaction in transactions:
        if group and (len(group) == RECEIPTS_MAX or size + len(transaction.raw) > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(transaction)
        size += len(transaction.raw)
    if group:
        yield group
