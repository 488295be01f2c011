"""Drawn blocks for the executor alone: what hostile members and creators may have put into them.

A liar among whole replicas has its batches ordered seldom; here every drawn transaction is.  What
the blocks led to is judged by a model that knows only what was promised: nothing takes effect
twice, or outside of its time, or by half, and nothing that a member sends stops the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from ledger.applications.records import make_record
from ledger.block import Result, TransactionLeaf, parse_leaf
from ledger.encoding import encode
from ledger.errors import LedgerError
from ledger.execution import Execution, Executor
from ledger.transaction import Operation, Transaction, parse_transaction
from tests.ledger.builders import Chain, make_signed, signer_of
from tests.ledger.counter import ADD, FAIL, GENESIS, count_of, new_chain
from tests.schedules import test_once as once
from tests.schedules.mutants import become
from tests.zoo.drawn import Part

EXECUTORS: dict[str, type[Executor]] = {
    "O1": once.ForgetsNonces,
    "O2": once.PaysPerSignature,
    "N4m": once.ForgetsEarly,
    "O3": once.IgnoresExpiry,
    "O4": once.AllowsAnyExpiry,
    "O5": once.TrustsApplications,
    "O6": once.KeepsHalf,
}
WINDOW = GENESIS.limits.replay_window
BLOCKS = 3 * WINDOW
STRANGER = "mallory"
SENDERS = ("alice", "alice", "bob", STRANGER)
STRANGERS_KEY = signer_of(STRANGER, GENESIS.scheme).public_key
NONCES = 12
OPERATIONS = (
    ADD, ADD, ADD, make_record("r", b"", b"x"), FAIL,
    Operation("nobody", 1, b"add"), Operation("counter", 2, b"add"), Operation("counter", 1, b"?"),
)  # fmt: skip
REFUSED = OPERATIONS[4:]
"""What lets the transaction fail that it is part of."""
BREAKDOWNS = (AssertionError, LookupError, LedgerError, TypeError, ValueError)
"""What an executor ends with that met something it was not made for."""


def broken(kind: type[Executor], number: int) -> tuple[str, ...]:
    """The properties that an executor of this kind breaks in the ledger of this number."""
    draw = Random(f"blocks {number}")
    chain, model = new_chain(), _Model()
    become(chain._executor, kind)
    sent: list[Transaction] = []
    for height in range(1, BLOCKS + 1):
        block = [_draw_transaction(draw, height, sent) for _ in range(draw.choice((1, 1, 2, 4)))]
        sent += block
        try:
            done = chain.block(*block)
        except BREAKDOWNS:
            return ("P19",)
        model.take(chain, done, sent)
        if model.broken:
            return tuple(model.broken)
    return ()


def _draw_transaction(draw: Random, height: int, sent: list[Transaction]) -> Transaction:
    """A new one, an earlier one as it was, or an earlier one under another signature."""
    if sent and draw.random() < 0.4:
        earlier = draw.choice(sent)
        signature = draw.choice((earlier.signature, draw.randbytes(len(earlier.signature))))
        return parse_transaction(encode((earlier.header, signature, earlier.operations)))
    lives = draw.choice((-1, 0, 1, 2, WINDOW - 1, WINDOW, WINDOW, WINDOW + 1))
    return make_signed(
        GENESIS,
        draw.choice(SENDERS),
        draw.randrange(NONCES),
        expiry=height + lives,
        operations=draw.choices(OPERATIONS, k=draw.choice((1, 1, 2, 3))),
        network=draw.choice((None,) * 9 + (bytes(32),)),
    )


@dataclass(slots=True)
class _Model:
    """What may have come of the blocks so far."""

    count: int = 0
    """Additions in transactions that were applied."""
    ids: set[bytes] = field(default_factory=set)
    used: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """The height at which a sender used a nonce last."""
    broken: dict[str, None] = field(default_factory=dict)
    """Property -> None, in the order in which they broke."""

    def take(self, chain: Chain, done: Execution, sent: list[Transaction]) -> None:
        """Judge a block that was executed."""
        by_header = {transaction.header: transaction for transaction in sent}
        for leaf in map(parse_leaf, done.leaves):
            if isinstance(leaf, TransactionLeaf):
                self._executed(leaf, by_header[leaf.header])
        if int(count_of(chain) or b"0") != self.count:
            self.broken["P6"] = None

    def _executed(self, leaf: TransactionLeaf, transaction: Transaction) -> None:
        height, key = leaf.height, (transaction.sender, transaction.nonce)
        is_again = key in self.used and height <= self.used[key] + WINDOW
        if is_again or transaction.id in self.ids:
            self.broken["P7"] = None
        self.ids.add(transaction.id)
        self.used[key] = height
        is_in_time = height <= transaction.expiry <= height + WINDOW
        is_sound = not any(Operation(*row[1:]) in REFUSED for row in transaction.operations)
        is_applied = leaf.result == Result.APPLIED
        is_here = transaction.network == GENESIS.network and transaction.sender != STRANGERS_KEY
        if not is_in_time or not is_here or is_applied != is_sound:
            self.broken["P6"] = None
        if is_applied:
            self.count += sum(Operation(*row[1:]) == ADD for row in transaction.operations)


PART = Part("blocks", Executor, EXECUTORS, broken)
