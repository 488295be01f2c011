"""Payments: only an authority creates, nothing is spent twice, the sum is the total."""

from __future__ import annotations

import random

import pytest

from ledger import layout
from ledger.applications.payments import (
    ACCOUNT,
    TOTAL,
    Act,
    Payments,
    balance,
    balance_of,
    make_payment,
    parse_payment,
)
from ledger.block import TransactionLeaf, parse_leaf
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.execution import Execution
from ledger.limits import INTEGER_MAX
from ledger.transaction import Operation
from tests.ledger.paid import Bank, issue, key, transfer

STATE = layout.state_key("payments", b"")


def reasons(done: Execution) -> list[str]:
    leaves = [parse_leaf(leaf) for leaf in done.leaves]
    return [leaf.reason for leaf in leaves if isinstance(leaf, TransactionLeaf)]


def held(bank: Bank) -> tuple[dict[bytes, int], int]:
    """Every balance, and the total."""
    rows = {k[len(STATE) :]: balance_of(v) for k, v in bank.store.scan(STATE, STATE + b"\xff")}
    total = rows.pop(TOTAL, 0)
    return {k.removeprefix(ACCOUNT): amount for k, amount in rows.items()}, total


def test_an_amount_is_issued_moved_and_redeemed() -> None:
    bank = Bank()

    done = bank.run(("bank", [issue("alice", 100)]), ("alice", [transfer("bob", 30)]))
    assert reasons(done) == ["", ""]
    assert held(bank) == ({key("alice"): 70, key("bob"): 30}, 100)
    assert balance(bank.store, key("bob")) == 30

    done = bank.run(("bob", [make_payment(Act.REDEEM, key("bob"), 30)]))
    assert reasons(done) == [""]
    # A balance of zero has no key.
    assert held(bank) == ({key("alice"): 70}, 70)
    assert balance(bank.store, key("bob")) == 0


@pytest.mark.parametrize(
    ("sender", "operations", "reason"),
    [
        ("alice", [issue("alice", 1)], "payment.authority"),
        ("bob", [transfer("alice", 1)], "payment.overdraft"),
        ("alice", [transfer("bob", 101)], "payment.overdraft"),
        ("alice", [transfer("bob", 60), transfer("bob", 60)], "payment.overdraft"),
        ("alice", [transfer("alice", 101)], "payment.overdraft"),
        ("bob", [make_payment(Act.REDEEM, key("alice"), 1)], "payment.account"),
        ("alice", [make_payment(Act.REDEEM, key("alice"), 101)], "payment.overdraft"),
        ("bank", [issue("bob", INTEGER_MAX)], "payment.total"),
    ],
)
def test_what_breaks_a_rule_fails_whole(
    sender: str, operations: list[Operation], reason: str
) -> None:
    bank = Bank()
    bank.run(("bank", [issue("alice", 100)]))

    done = bank.run((sender, operations))

    assert reasons(done) == [reason]
    assert held(bank) == ({key("alice"): 100}, 100)


def test_paying_oneself_changes_nothing() -> None:
    bank = Bank()
    bank.run(("bank", [issue("alice", 5)]))

    assert reasons(bank.run(("alice", [transfer("alice", 5)]))) == [""]
    assert held(bank) == ({key("alice"): 5}, 5)


@pytest.mark.parametrize("seed", range(4))
def test_the_balances_add_up_to_the_total_whatever_is_tried(seed: int) -> None:
    draw = random.Random(seed)
    bank, names = Bank(), ("alice", "bank", "bob")
    expected: dict[bytes, int] = {}
    for _ in range(15):
        plans = []
        for _ in range(6):
            sender, to, amount = draw.choice(names), draw.choice(names), draw.randrange(1, 60)
            act = draw.choice((Act.ISSUE, Act.TRANSFER, Act.TRANSFER, Act.REDEEM))
            plans.append((sender, act, to, amount))
        bank.run(*((s, [make_payment(act, key(to), n)]) for s, act, to, n in plans))
        for sender, act, to, amount in plans:
            _model(expected, sender, act, to, amount)
        balances, total = held(bank)
        assert balances == {k: amount for k, amount in expected.items() if amount}
        assert total == sum(balances.values())


def _model(rows: dict[bytes, int], sender: str, act: Act, to: str, amount: int) -> None:
    """The same rules, written once more over plain numbers."""
    own, other = key(sender), key(to)
    if act is Act.ISSUE and sender == "bank":
        rows[other] = rows.get(other, 0) + amount
    elif act is Act.TRANSFER and rows.get(own, 0) >= amount:
        rows[own] -= amount
        rows[other] = rows.get(other, 0) + amount
    elif act is Act.REDEEM and own == other and rows.get(own, 0) >= amount:
        rows[own] -= amount


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode(("issue", bytes(32), 0)),
        encode(("issue", bytes(31), 1)),
        encode(("steal", bytes(32), 1)),
        encode(("issue", bytes(32), 1, 1)),
        encode(("issue", bytes(32), INTEGER_MAX + 1)),
        encode(("issue", bytes(32), 1)) + b"\x00",
    ],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeFault):
        parse_payment(body)
    with pytest.raises(DecodeFault):
        Payments().check(body)


def test_a_payment_is_described() -> None:
    assert Payments().describe(transfer("bob", 3).body) == {
        "act": "transfer",
        "account": key("bob").hex(),
        "amount": 3,
    }
