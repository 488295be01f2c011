"""Payments: one currency, issued by an authority, moved by its owners, never created otherwise.

    body    (act, account, amount)      account: 32 bytes, a public key; amount: 1 to 2^63 - 1

    issue      adds the amount to the account; only of an administrator
    transfer   moves the amount from the sender to the account; never more than the sender has
    redeem     takes the amount out of circulation, from the sender's own account

State: `a || account` -> balance (8 bytes), no key where the balance is zero; `total` -> what is in
circulation.  The sum of all balances is the total, after every operation: no other rule adds or
removes anything.  All keys are in the authenticated tree, so that a balance is proved by its value
and a zero balance by its absence.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, NamedTuple

from ledger import encoding, layout
from ledger.applications.interface import Application, Origin, State, StateReader
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.keys import short_key
from ledger.limits import INTEGER_MAX
from ledger.store import Reader
from ledger.transaction import Operation

NAME = "payments"
VERSION = 1
TOTAL = b"total"
ACCOUNT = b"a"
"""Before an account, in its key."""
BODY_BYTES_MAX = 64
_shape = encoding.row(encoding.text(8, low=1), encoding.digest, encoding.uint(low=1))


class Act(StrEnum):
    """What an operation does."""

    ISSUE = "issue"
    TRANSFER = "transfer"
    REDEEM = "redeem"


class Payment(NamedTuple):
    """The body of an operation."""

    act: Act
    account: bytes
    """`short_key` of who receives; of a redemption, of the sender."""
    amount: int


def make_payment(act: Act, account: bytes, amount: int) -> Operation:
    """The operation.  Raises DecodeFault where a part breaks a limit."""
    body = encode((str(act), account, amount))
    parse_payment(body)
    return Operation(NAME, VERSION, body)


def parse_payment(body: bytes) -> Payment:
    """The payment of a body.  Raises DecodeFault."""
    act, account, amount = encoding.decode(body, _shape, size_max=BODY_BYTES_MAX, what="payment")
    try:
        return Payment(Act(act), account, amount)
    except ValueError as error:
        raise DecodeFault("payment.act", f"one of {', '.join(Act)}") from error


def account_key(account: bytes) -> bytes:
    """The key of an account's balance in the application's state."""
    return ACCOUNT + account


def balance_of(value: bytes | None) -> int:
    """The balance that a value of the state is; none is zero."""
    return int.from_bytes(value or b"", "big")


def balance(reader: Reader, account: bytes) -> int:
    """The balance after the last executed block."""
    state = StateReader(reader, layout.state_key(NAME, b""))
    return balance_of(state.get(account_key(account)))


class Payments(Application):
    """Moves amounts between accounts."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    authenticated: ClassVar[bool] = True

    def check(self, body: bytes) -> None:
        parse_payment(body)

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        payment = parse_payment(body)
        sender, account = short_key(origin.sender), payment.account
        if payment.act is Act.ISSUE:
            if "administrator" not in origin.roles:
                raise Fault("payment.authority", "only an administrator issues")
            # The total bounds every balance, so that no balance can grow past a word.
            _add(state, TOTAL, payment.amount)
            _add(state, account_key(account), payment.amount)
        elif payment.act is Act.TRANSFER:
            _take(state, account_key(sender), payment.amount)
            _add(state, account_key(account), payment.amount)
        else:
            if account != sender:
                raise Fault("payment.account", "only the owner redeems")
            _take(state, account_key(sender), payment.amount)
            _take(state, TOTAL, payment.amount)

    def describe(self, body: bytes) -> dict[str, object]:
        payment = parse_payment(body)
        return {
            "act": str(payment.act),
            "account": payment.account.hex(),
            "amount": payment.amount,
        }

    def describe_state(self, key: bytes, value: bytes | None) -> dict[str, object]:
        if key[:1] == ACCOUNT and len(key) == 33:
            return {"account": key[1:].hex(), "balance": balance_of(value)}
        if key == TOTAL:
            return {"total": balance_of(value)}
        return super().describe_state(key, value)


def _add(state: State, key: bytes, amount: int) -> None:
    _put(state, key, balance_of(state.get(key)) + amount)


def _take(state: State, key: bytes, amount: int) -> None:
    held = balance_of(state.get(key))
    if amount > held:
        raise Fault("payment.overdraft", f"{held} held, {amount} asked for")
    _put(state, key, held - amount)


def _put(state: State, key: bytes, amount: int) -> None:
    if amount > INTEGER_MAX:
        raise Fault("payment.total", "more would be in circulation than a number holds")
    state.put(key, amount.to_bytes(8, "big") if amount else None)
