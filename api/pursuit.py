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
from dataclasses import dataclass, field, replace

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
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)
    """(reason, detail) by node: refused for good."""
    holders: set[str] = field(default_factory=set)
    """Nodes that have it, by the last that each said."""
    takers: set[str] = field(default_factory=set)
    """Nodes that may ever have had it."""
    outlived: set[str] = field(default_factory=set)
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
        self._open = {each.id: _Case(each) for each in transactions}
        self._faults = faults
        self._progress = progress
        self._resend_s = RESEND_S if len(self._open) == 1 else RESEND_MANY_S
        self._copies = 1
        """Nodes that should have each transaction; more when time passes without news."""
        self._lost: set[str] = set()
        """Nodes that did not answer last, or lied: what they have does not count."""
        self._troubled: dict[str, str] = {}
        self._chasing = 0
        self._news = trio.Event()
        self.outcomes: dict[bytes, Outcome] = {}
        self.helper: str | None = None
        """The node that sent the first proof."""

    async def run(self, deadline_s: float) -> None:
        """Fill `outcomes`.  Raises UnreachableError where an end is not definite by then."""
        with trio.move_on_after(deadline_s) as scope:
            async with trio.open_nursery() as nursery:
                for url in self._urls:
                    self._chasing += 1
                    nursery.start_soon(self._chase, url)
                    await self._give_time(url)
                    if not self._open:
                        break
                while self._open and self._chasing:
                    await self._give_time(None)
                nursery.cancel_scope.cancel()
        if self._open:
            is_late = scope.cancelled_caught
            until = f"after {deadline_s:g} s" if is_late else "and no node is left to ask"
            raise UnreachableError(self._complaint(until))

    async def _give_time(self, url: str | None) -> None:
        """Wait until this node is in trouble, or for news; without any, want one copy more."""
        left = len(self._open)
        patience_s = self._resend_s * 2.0 ** max(0, self._copies - self._faults - 1)
        with trio.move_on_after(patience_s) as scope:
            while url not in self._troubled and self._chasing and self._open:
                if len(self._open) < left:
                    left = len(self._open)
                    scope.deadline = trio.current_time() + patience_s
                await self._news.wait()
        if scope.cancelled_caught:
            self._copies = min(self._copies + 1, len(self._urls))

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _trouble(self, url: str, why: str) -> None:
        if url not in self._troubled:
            self._troubled[url] = why
            self._tell()

    def _complaint(self, until: str) -> str:
        first = next(iter(self._open.values())).transaction.id.hex()
        more = f" and {len(self._open) - 1} more" if len(self._open) > 1 else ""
        why = "".join(f"; {text}" for text in self._troubled.values())
        return (
            f"transaction {first}{more} has no definite end {until}{why}; send it again or ask for "
            "it later"
        )

    # --- one node ---

    async def _chase(self, url: str) -> None:
        """Stay with one node until everything has ended, or the node has lied."""
        pause_s = PAUSE_FIRST_S
        try:
            while self._open:
                left = len(self._open)
                asked_at = trio.current_time()
                try:
                    await self._send(url)
                    await self._collect(url)
                except UnreachableError as error:
                    self._lost.add(url)
                    self._trouble(url, str(error))
                if len(self._open) < left:
                    pause_s = PAUSE_FIRST_S
                elif trio.current_time() - asked_at < WAIT_MS / 1000:
                    # It did not wait for news, for whatever reason: do not ask it in a circle.
                    await trio.sleep(pause_s)
                    pause_s = min(2 * pause_s, PAUSE_LAST_S)
        except LieError as lie:
            self._lost.add(url)
            self._trouble(url, str(lie))
        finally:
            self._chasing -= 1
            self._tell()

    def _wanting(self, url: str) -> list[_Case]:
        """What this node should be sent: it does not have it, and too few others do."""
        return [
            case
            for case in self._open.values()
            if url not in case.refusals
            and url not in case.holders
            and len(case.holders - self._lost) < self._copies
        ]

    async def _send(self, url: str) -> None:
        """Hand over what the node should have.  Raises UnreachableError, LieError."""
        cases = self._wanting(url)
        if not cases:
            return
        try:
            rows = await self._asking.post(url, [case.transaction.raw for case in cases])
        except NotSentError:
            raise
        except UnreachableError:
            for case in cases:
                case.takers.add(url)
            raise
        self._lost.discard(url)
        for case, (identity, reason, detail) in zip(cases, rows, strict=True):
            self._admit(url, case, identity, reason, detail)

    def _admit(self, url: str, case: _Case, identity: bytes, reason: str, detail: str) -> None:
        if not reason:
            if identity != case.transaction.id:
                raise LieError(f"{url} calls a transaction by another's id")
            case.takers.add(url)
            case.holders.add(url)
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

    async def _collect(self, url: str) -> None:
        """Take the node's proofs, and note what it has.  Raises UnreachableError, LieError."""
        cases = list(self._open.values())
        if not cases:
            return
        ids = [case.transaction.id for case in cases]
        # What it would not take now should not have to wait for news of the rest.
        wait_ms = 0 if self._wanting(url) else WAIT_MS
        certified, rows = await self._asking.receipts(url, ids, wait_ms=wait_ms)
        self._lost.discard(url)
        if all(raw is None for _, raw in rows) and any(word == "confirmed" for word, _ in rows):
            raise LieError(f"{url} says confirmed and sends no receipt")
        for case, (word, raw) in zip(cases, rows, strict=True):
            if case.transaction.id not in self._open:
                continue
            if raw is not None:
                self._end(self._proven(url, case.transaction, raw))
                self.helper = self.helper or url
                # A page of receipts takes a quarter of a second of processor time.
                await trio.lowlevel.checkpoint()
            elif word in ("unknown", "pending") and certified >= case.transaction.expiry:
                self._outlive(url, case)
            elif word == "unknown":
                case.holders.discard(url)

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
