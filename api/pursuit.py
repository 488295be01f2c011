"""Following signed transactions to their definite end, whatever single nodes do or say.

A transaction's end is

    applied, failed    a receipt proves it, whoever sent the receipt
    expired            f+1 nodes have confirmed every block of its life and do not have it
    refused            f+1 nodes, or all that are known where those are fewer, refuse it for good

since of f+1 validators one at least is honest.  Until then its bytes are kept and sent to one node
more whenever the nodes that have them are down, refuse, or take longer than they should; f+1 get
them soon, the others after growing pauses, so that a busy network is not made busier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import trio

from api.asking import Asking, NotSentError
from ledger.block import Result
from ledger.errors import Fault, LedgerError, UnreachableError
from ledger.light import LightClient
from ledger.receipt import parse_receipt, prove_operation
from ledger.transaction import Transaction

RESEND_S = 2.0
"""Without news after which an unconfirmed transaction is sent to one more node."""
RESEND_MANY_S = 10.0
"""The same for many at once: they wait for each other, and resent they would only wait longer."""
WAIT_MS = 2_000
"""How long a node may hold back its answer for a confirmation to come."""
PAUSE_FIRST_S = 0.05
"""Before asking again a node that was down, full or of no help; doubles from there."""
PAUSE_LAST_S = 1.0
NOT_NOW = frozenset({"mempool.full", "node.busy", "node.observer"})
"""Refusals that say nothing about the transaction."""
TOO_LATE = "transaction.expired"
"""One node's word; the end is judged by what f+1 nodes have confirmed."""
UNLESS_TAKEN = frozenset({"transaction.unknown-sender", "transaction.expiry-too-far"})
"""Refusals by a state that may be behind: they end nothing that another node may have taken.

All other refusals follow from the bytes, or name what no later block takes back.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The definite end of a transaction."""

    id: bytes
    status: str
    """"applied", "failed", "refused" or "expired"."""
    reason: str = ""
    height: int = 0
    receipt: bytes = b""
    """What proves it, showing operation 0; empty where nothing was confirmed."""


class LieError(LedgerError):
    """A node contradicts what can be checked: it is not asked again."""


@dataclass(slots=True)
class _Case:
    """What is known of one transaction."""

    transaction: Transaction
    refusals: dict[str, tuple[str, str]]
    """(reason, detail) by node: refused for good."""
    takers: set[str]
    """Nodes that have it, or may."""
    outlived: set[str]
    """Nodes that have confirmed every block of its life and do not have it."""


class Pursuit:
    """Follows some transactions, at most a request's worth, at the nodes of one network."""

    def __init__(
        self,
        asking: Asking,
        light: LightClient,
        urls: Sequence[str],
        transactions: Sequence[Transaction],
        *,
        faults: int,
        progress: Callable[[Outcome], object] | None = None,
    ) -> None:
        """The first of the urls is asked first; faults is how many of them may lie."""
        self._asking = asking
        self._light = light
        self._urls = list(dict.fromkeys(urls))
        self._open = {each.id: _Case(each, {}, set(), set()) for each in transactions}
        self._faults = faults
        self._resend_s = RESEND_S if len(self._open) == 1 else RESEND_MANY_S
        self._progress = progress
        self._news = trio.Event()
        self._troubled: dict[str, str] = {}
        self._chasing = 0
        self.outcomes: dict[bytes, Outcome] = {}
        self.helper: str | None = None
        """The node that sent the first proof."""

    async def run(self, deadline_s: float) -> None:
        """Fill `outcomes`.  Raises UnreachableError where an end is not definite by then."""
        with trio.move_on_after(deadline_s):
            async with trio.open_nursery() as nursery:
                for started, url in enumerate(self._urls, 1):
                    self._chasing += 1
                    nursery.start_soon(self._chase, url)
                    await self._give_time(url, self._patience_s(started))
                    if not self._open:
                        break
                while self._open and self._chasing:
                    await self._news.wait()
                nursery.cancel_scope.cancel()
        if self._open:
            raise UnreachableError(self._complaint(deadline_s))

    def _patience_s(self, started: int) -> float:
        helpful = started - len(self._troubled)
        return float(self._resend_s * 2 ** max(0, helpful - self._faults - 1))

    async def _give_time(self, url: str, patience_s: float) -> None:
        """Wait until the node is in trouble, or nothing has ended for so long."""
        while self._open and url not in self._troubled:
            left = len(self._open)
            with trio.move_on_after(patience_s) as scope:
                while url not in self._troubled and len(self._open) == left:
                    await self._news.wait()
            if scope.cancelled_caught:
                return

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _trouble(self, url: str, why: str) -> None:
        if url not in self._troubled:
            self._troubled[url] = why
            self._tell()

    def _complaint(self, deadline_s: float) -> str:
        first = next(iter(self._open.values())).transaction.id.hex()
        more = f" and {len(self._open) - 1} more" if len(self._open) > 1 else ""
        why = "".join(f"; {text}" for text in self._troubled.values())
        return (
            f"transaction {first}{more} has no definite end after {deadline_s:g} s{why}; send it "
            "again or ask for it later"
        )

    # --- one node ---

    async def _chase(self, url: str) -> None:
        """Stay with one node until everything has ended, or the node has lied."""
        pause_s = PAUSE_FIRST_S
        unsent = list(self._open)
        try:
            while self._open:
                left = len(self._open)
                asked_at = trio.current_time()
                try:
                    wait_ms = WAIT_MS if await self._send(url, unsent) else 0
                    unsent = await self._collect(url, wait_ms)
                except UnreachableError as error:
                    self._trouble(url, str(error))
                waited_s = trio.current_time() - asked_at
                if len(self._open) < left:
                    pause_s = PAUSE_FIRST_S
                elif waited_s < WAIT_MS / 1000:
                    # It did not wait for news, for whatever reason: do not ask it in a circle.
                    await trio.sleep(pause_s)
                    pause_s = min(2 * pause_s, PAUSE_LAST_S)
        except LieError as lie:
            self._trouble(url, str(lie))
        finally:
            self._chasing -= 1
            self._tell()

    async def _send(self, url: str, ids: Sequence[bytes]) -> bool:
        """Hand over what the node does not have; whether it has anything to confirm now.

        Raises UnreachableError.
        """
        cases = [self._open[identity] for identity in ids if identity in self._open]
        cases = [case for case in cases if url not in case.refusals]
        if cases:
            try:
                rows = await self._asking.post(url, [case.transaction.raw for case in cases])
            except NotSentError:
                raise
            except UnreachableError:
                for case in cases:
                    case.takers.add(url)
                raise
            for case, (identity, reason, detail) in zip(cases, rows, strict=True):
                self._admit(url, case, identity, reason, detail)
        return any(url in case.takers for case in self._open.values())

    def _admit(self, url: str, case: _Case, identity: bytes, reason: str, detail: str) -> None:
        if not reason:
            if identity != case.transaction.id:
                raise LieError(f"{url} calls a transaction by another's id")
            case.takers.add(url)
            return
        self._trouble(url, f"{url} says {reason}: {detail}")
        if reason not in NOT_NOW and reason != TOO_LATE:
            case.refusals[url] = (reason, detail)
            self._judge_refusals(case)

    def _judge_refusals(self, case: _Case) -> None:
        reasons = {reason for reason, _ in case.refusals.values()}
        is_open = bool(reasons & UNLESS_TAKEN) and bool(case.takers)
        if not is_open and len(case.refusals) >= min(self._faults + 1, len(self._urls)):
            reason, detail = next(iter(case.refusals.values()))
            text = f"{reason}: {detail}" if detail else reason
            self._end(Outcome(case.transaction.id, "refused", text))

    async def _collect(self, url: str, wait_ms: int) -> list[bytes]:
        """Take the node's proofs; the ids of what it does not have and should.

        Raises UnreachableError, LieError.
        """
        cases = list(self._open.values())
        if not cases:
            return []
        ids = [case.transaction.id for case in cases]
        certified, rows = await self._asking.receipts(url, ids, wait_ms=wait_ms)
        if all(raw is None for _, raw in rows) and any(word == "confirmed" for word, _ in rows):
            raise LieError(f"{url} says confirmed and sends no receipt")
        missing = []
        for case, (word, raw) in zip(cases, rows, strict=True):
            if case.transaction.id not in self._open:
                continue
            if raw is not None:
                self._end(self._proven(url, case.transaction, raw))
                self.helper = self.helper or url
                # A page of receipts takes a quarter of a second of processor time.
                await trio.lowlevel.checkpoint()
            elif word in ("unknown", "pending"):
                if certified >= case.transaction.expiry:
                    self._outlive(url, case)
                elif word == "unknown":
                    missing.append(case.transaction.id)
        return missing

    def _proven(self, url: str, transaction: Transaction, raw: bytes) -> Outcome:
        try:
            verified = self._light.check_receipt(raw)
            if verified.transaction != transaction.id:
                raise LieError(f"{url} sends another transaction's receipt")
            # What the receipt is to show is in our hands, not in the node's.
            shown = replace(parse_receipt(raw), operation=prove_operation(transaction, 0))
        except Fault as fault:
            raise LieError(f"{url} sends a receipt that proves nothing ({fault})") from None
        status = "applied" if verified.result is Result.APPLIED else "failed"
        return Outcome(transaction.id, status, verified.reason, verified.height, shown.encode())

    def _outlive(self, url: str, case: _Case) -> None:
        case.outlived.add(url)
        if len(case.outlived) > self._faults:
            self._end(Outcome(case.transaction.id, "expired", TOO_LATE))

    def _end(self, outcome: Outcome) -> None:
        if self._open.pop(outcome.id, None) is None:
            return
        self.outcomes[outcome.id] = outcome
        if self._progress is not None:
            self._progress(outcome)
        self._tell()
