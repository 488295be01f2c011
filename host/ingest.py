"""Many statements onto the ledger: signed once, sent once, whatever happens in between.

Everything about a transaction here follows from its operations, its sender and the height, so that
the same source makes the same transactions:

    nonce     the first 48 bits of a hash of the operations root
    expiry    the ledger's height, rounded up to one of few heights a quarter of the replay window
              apart

Whether the ledger has a part is asked by the ids that it has, had or might have had, and believed
with a receipt.  So an import that was interrupted goes on where it stopped, a second one changes
nothing, and two at once do no harm.  The nonces are below every nonce that a clock makes.

What this does not find: a statement said before in other company, as after a change of its part,
is said once more; the ledger then holds it twice, and an export once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from api.client import LedgerClient, Outcome
from ledger.encoding import encode
from ledger.errors import Fault, UnreachableError
from ledger.genesis import Genesis
from ledger.keys import Signer
from ledger.light import Verified
from ledger.transaction import (
    VERSION,
    Operation,
    Transaction,
    grouped,
    make_transaction,
    operations_root,
)

NONCE_DOMAIN = b"ledger import\x00"
NONCE_BYTES = 6
"""2^48 microseconds after 1970 was 1978: no clock comes into the way.  Of a hundred thousand
transactions at once two share a nonce once in 50,000 times; `ATTEMPTS` is for that."""
WINDOW = 512
"""Transactions looked up, signed and sent before the next are made: at most 32 MiB."""
ATTEMPTS = 3
"""Times that what got no end, or another's nonce, is looked for and sent again."""


@dataclass(slots=True)
class Report:
    """What became of the statements."""

    said: int = 0
    """Newly on the ledger."""
    known: int = 0
    """There before."""
    transactions: list[str] = field(default_factory=list)
    """Ids of the new ones."""
    height: int = 0
    """The highest block with one of them."""


class Draft:
    """The operations of one transaction, and the ids that it may have."""

    def __init__(self, operations: list[Operation], attempt: int = 0) -> None:
        self.operations = operations
        self.attempt = attempt
        self.root = operations_root(tuple(operation.row() for operation in operations))
        seed = NONCE_DOMAIN + self.root + bytes([attempt])
        self.nonce = int.from_bytes(hashlib.sha256(seed).digest()[:NONCE_BYTES], "big")

    def id(self, network: bytes, sender: bytes, expiry: int) -> bytes:
        """Of the transaction, which `sign` makes."""
        count = len(self.operations)
        header = (VERSION, network, sender, self.nonce, expiry, count, self.root)
        return hashlib.sha256(encode(header)).digest()

    def sign(self, signer: Signer, network: bytes, expiry: int) -> Transaction:
        return make_transaction(signer, network, self.operations, nonce=self.nonce, expiry=expiry)


def expiries(genesis: Genesis, height: int) -> list[int]:
    """The expiry heights that transactions made up to now can have; the last is for new ones."""
    step = max(1, genesis.limits.replay_window // 4)
    return [number * step for number in range(2, height // step + 3)]


class Ingest:
    """Puts operations on the ledger under one key."""

    def __init__(
        self,
        client: LedgerClient,
        signer: Signer,
        *,
        deadline_s: float,
        progress: Callable[[int], object] = lambda _: None,
        report: Report | None = None,
    ) -> None:
        """progress: called with the number of statements found or confirmed.

        deadline_s: of a group of transactions, as in `LedgerClient.submit_many`.  report: kept up
        to date while `put` runs, for whoever may interrupt it.
        """
        self.report = Report() if report is None else report
        self._client = client
        self._signer = signer
        self._deadline_s = deadline_s
        self._progress = progress
        self._sent: set[bytes] = set()
        """Ids of what this import has sent and not yet counted."""

    async def put(self, parts: Iterable[list[Operation]]) -> Report:
        """Every operation of the parts is on the ledger when this returns.

        Raises UnreachableError: what the report counts is on the ledger, and doing the same again
        goes on from there.  Raises Fault where the ledger refuses a part for good.
        """
        drafts = (Draft(group) for part in parts for group in grouped(part))
        while window := list(islice(drafts, WINDOW)):
            await self._put_window(self._distinct(window))
        return self.report

    def _distinct(self, drafts: list[Draft]) -> list[Draft]:
        """Each once: a source may say the same thing twice."""
        kept: dict[bytes, Draft] = {}
        for draft in drafts:
            if kept.setdefault(draft.root, draft) is not draft:
                self.report.known += len(draft.operations)
                self._progress(len(draft.operations))
        return list(kept.values())

    async def _put_window(self, drafts: list[Draft]) -> None:
        trouble: UnreachableError | None = None
        for _ in range(ATTEMPTS):
            drafts = await self._look_up(drafts)
            if not drafts:
                return
            drafts, trouble = await self._send(drafts)
        drafts = await self._look_up(drafts)
        if drafts:
            raise trouble or Fault("import.refused", "the ledger has another use of these nonces")

    async def _look_up(self, drafts: list[Draft]) -> list[Draft]:
        """Those that the ledger does not have, under none of the ids that they may have."""
        genesis, sender = self._client.genesis, self._signer.public_key
        height = await self._client.certified_height()
        by_id: dict[bytes, Draft] = {}
        for draft in drafts:
            attempts = [draft, *(Draft(draft.operations, n) for n in range(draft.attempt))]
            for each in attempts:
                for expiry in expiries(genesis, height):
                    by_id[each.id(genesis.network, sender, expiry)] = draft
        proven = await self._client.proven(list(by_id))
        found = {id(by_id[identity]): verified for identity, verified in proven.items()}
        for verified in found.values():
            _check_applied(verified.reason)
        for draft in drafts:
            if id(draft) in found:
                self._count(draft, found[id(draft)])
        return [draft for draft in drafts if id(draft) not in found]

    def _count(self, draft: Draft, verified: Verified) -> None:
        count = len(draft.operations)
        if verified.transaction in self._sent:
            self._note(verified.transaction, verified.height, count)
        else:
            self.report.known += count
            self._progress(count)

    def _note(self, identity: bytes, height: int, count: int) -> None:
        self._sent.discard(identity)
        self.report.said += count
        self.report.transactions.append(identity.hex())
        self.report.height = max(self.report.height, height)
        self._progress(count)

    async def _send(self, drafts: list[Draft]) -> tuple[list[Draft], UnreachableError | None]:
        """Those without a good end, and what kept them from one.  Raises Fault."""
        genesis = self._client.genesis
        expiry = expiries(genesis, await self._client.certified_height())[-1]
        signed = [draft.sign(self._signer, genesis.network, expiry) for draft in drafts]
        counts = {
            transaction.id: len(draft.operations)
            for transaction, draft in zip(signed, drafts, strict=True)
        }
        self._sent.update(counts)
        ended: set[bytes] = set()

        def note(outcome: Outcome) -> None:
            if outcome.status == "applied":
                ended.add(outcome.id)
                self._note(outcome.id, outcome.height, counts[outcome.id])

        try:
            outcomes = await self._client.submit_many(
                signed, progress=note, deadline_s=self._deadline_s
            )
        except UnreachableError as error:
            pairs = zip(drafts, signed, strict=True)
            return [draft for draft, sent in pairs if sent.id not in ended], error
        again = []
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if outcome.status == "expired":
                again.append(draft)
            elif outcome.status == "refused" and "nonce-used" in outcome.reason:
                again.append(Draft(draft.operations, draft.attempt + 1))
            elif outcome.status != "applied":
                _check_applied(outcome.reason)
        return again, None


def _check_applied(reason: str) -> None:
    if reason:
        raise Fault("import.failed", f"the ledger refuses a transaction of the import: {reason}")
