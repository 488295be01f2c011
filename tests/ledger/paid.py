"""A small ledger with payments, certified, and what its tests ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ledger.applications.payments import Act, make_payment
from ledger.execution import Execution
from ledger.genesis import Genesis, Member
from ledger.transaction import Operation
from tests.ledger.builders import make_genesis, make_signed, signer_of
from tests.ledger.proven import Store

BASE = make_genesis(members=("alice", "bank", "bob"))
GENESIS = replace(
    BASE,
    applications=(("payments", 1), *BASE.applications),
    members=tuple(
        Member(m.name, m.public_key, ("submitter", "administrator")) if m.name == "bank" else m
        for m in BASE.members
    ),
)


def key(name: str, genesis: Genesis = GENESIS) -> bytes:
    """The account of a name."""
    return signer_of(name, genesis.scheme).public_key


def issue(to: str, amount: int) -> Operation:
    return make_payment(Act.ISSUE, key(to), amount)


def transfer(to: str, amount: int) -> Operation:
    return make_payment(Act.TRANSFER, key(to), amount)


class Bank(Store):
    """A store of a network with payments; nonces count up."""

    def __init__(self, genesis: Genesis = GENESIS) -> None:
        super().__init__(genesis)
        self._nonce = 0

    def run(self, *acts: tuple[str, Sequence[Operation]]) -> Execution:
        """One block of one transaction for each (sender, operations)."""
        made = []
        for sender, operations in acts:
            self._nonce += 1
            made.append(
                make_signed(
                    self.genesis,
                    sender,
                    self._nonce,
                    expiry=self.head.height + 5,
                    operations=operations,
                )
            )
        return self.block(*made)


def small_bank() -> Bank:
    """Alice has 70, Bob 30, and many others 1 each; certified at height 2."""
    bank = Bank()
    bank.run(("bank", [issue("alice", 100), *(issue(f"other {n}", 1) for n in range(20))]))
    bank.run(("alice", [transfer("bob", 30)]))
    bank.certify()
    return bank
