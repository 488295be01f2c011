"""The door: what is new is let in, what is executed already is welcome, a used nonce is refused."""

from __future__ import annotations

import pytest

from consensus.jobs import AdmitTransactions
from ledger.applications.records import make_record
from ledger.execution import Executor
from ledger.limits import Limits
from ledger.transaction import Transaction
from tests.ledger.builders import Chain, make_genesis, make_signed

WINDOW = 3
GENESIS = make_genesis(scheme="keyed-hash", limits=Limits(replay_window=WINDOW))


def signed(nonce: int, content: bytes = b"a", *, expiry: int = WINDOW) -> Transaction:
    operations = [make_record("", b"", content)]
    return make_signed(GENESIS, "alice", nonce, expiry=expiry, operations=operations)


class Door:
    """A node's door beside its chain; in a replica both share one executor."""

    def __init__(self, executor: type[Executor] = Executor) -> None:
        self.chain = Chain(GENESIS)
        self.executor = executor(GENESIS, self.chain.applications)

    def execute(self, *transactions: Transaction) -> None:
        batch = self.chain.batch(transactions)
        header = self.chain.header([batch])
        done = self.executor.execute(self.chain.store, self.chain.head, header, [batch])
        self.chain.store.write(done.writes)
        self.chain.head = done.head

    def judge(self, *transactions: Transaction | bytes) -> list[tuple[str, bool]]:
        """(reason, whether it is taken) of each."""
        raws = tuple(t if isinstance(t, bytes) else t.raw for t in transactions)
        height = self.chain.head.height
        job = AdmitTransactions(GENESIS, self.executor, GENESIS.suite, height, raws)
        done = job.run(self.chain.store)
        taken = [transaction.raw for transaction in done.transactions]
        return [
            (admission.reason, raw in taken)
            for admission, raw in zip(done.admissions, raws, strict=True)
        ]


class RemembersNothing(Executor):
    """A node just started."""

    def may_be_replayed(self, sender: bytes, nonce: int) -> bool:
        return True


class BelievesAllNew(Executor):
    """Asks the store about no nonce."""

    def may_be_replayed(self, sender: bytes, nonce: int) -> bool:
        return False


@pytest.mark.parametrize("executor", [Executor, RemembersNothing])
def test_a_nonce_is_used_once_whatever_is_remembered_of_it(executor: type[Executor]) -> None:
    door = Door(executor)
    door.execute(signed(7), signed(5))

    fresh, lower, between = signed(8), signed(4), signed(6)
    assert door.judge(fresh, lower, between) == [("", True)] * 3
    assert door.judge(signed(7), signed(5)) == [("", False)] * 2
    assert door.judge(signed(7, b"another")) == [("transaction.nonce-used", False)]
    assert Door(BelievesAllNew).judge(signed(7)) == [("", True)]


def test_the_store_is_asked_where_the_nonce_may_be_used() -> None:
    door = Door(BelievesAllNew)
    door.execute(signed(7))

    assert door.judge(signed(7, b"another")) == [("", True)]


def test_one_that_is_executed_is_welcome_after_its_end() -> None:
    door = Door()
    first, late = signed(0), signed(1)
    door.execute(first)
    for number in range(2, WINDOW + 3):
        door.execute(signed(number, expiry=number + WINDOW - 1))

    assert door.judge(first, late) == [("", False), ("transaction.expired", False)]


def test_each_has_an_answer_of_its_own() -> None:
    door = Door()
    broken = signed(1).raw[:-1]
    stranger = make_signed(GENESIS, "nobody", 1)
    forged = signed(2).raw.replace(signed(2).signature, bytes(64))
    far = signed(3, expiry=WINDOW + 1)

    assert door.judge(broken, signed(1), stranger, forged, far) == [
        ("transaction.malformed", False),
        ("", True),
        ("transaction.unknown-sender", False),
        ("transaction.signature", False),
        ("transaction.expiry-too-far", False),
    ]
