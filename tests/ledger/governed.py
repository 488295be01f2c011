"""A small ledger whose members change: two of three administrators approve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ledger import layout
from ledger.applications.identity_body import Act, Body, make_act, make_rotation, proposal_id
from ledger.applications.identity_state import Register
from ledger.applications.interface import StateReader
from ledger.applications.records import make_record
from ledger.block import TransactionLeaf, parse_leaf
from ledger.execution import Execution
from ledger.genesis import Genesis, Member
from ledger.transaction import Operation, Transaction
from tests.ledger.builders import make_genesis, make_signed, signer_of
from tests.ledger.proven import Store

ADMINISTRATORS = ("ada", "ben", "cleo")


def governed(scheme: str = "ed25519") -> Genesis:
    """The genesis of such a ledger."""
    base = make_genesis(members=(*ADMINISTRATORS, "sam"), scheme=scheme)
    return replace(
        base,
        applications=(("identity", 1), *base.applications),
        members=tuple(
            Member(m.name, m.public_key, ("submitter", "administrator"))
            if m.name in ADMINISTRATORS
            else m
            for m in base.members
        ),
        approvals=2,
    )


GENESIS = governed()


def key(name: str) -> bytes:
    """The public key that follows from a name."""
    return signer_of(name, GENESIS.scheme).public_key


def add(name: str, roles: Sequence[str] = ("submitter",), of: str = "") -> Operation:
    return make_act(Body(Act.ADD, name, key(of or name), tuple(roles)))


def remove(name: str) -> Operation:
    return make_act(Body(Act.REMOVE, name))


def roles(name: str, *given: str) -> Operation:
    return make_act(Body(Act.ROLES, name, roles=given))


def give_key(name: str, of: str) -> Operation:
    return make_act(Body(Act.REPLACE, name, key(of)))


def approve(proposal: bytes) -> Operation:
    return make_act(Body(Act.APPROVE, proposal=proposal))


def withdraw(proposal: bytes) -> Operation:
    return make_act(Body(Act.WITHDRAW, proposal=proposal))


def rotate(old: str, new: str, genesis: Genesis = GENESIS) -> Operation:
    return make_rotation(genesis.network, key(old), signer_of(new, GENESIS.scheme))


REVOKE = make_act(Body(Act.REVOKE))
NOTE = make_record("note", content=b"something")


class Network(Store):
    """A store of a network with identity; nonces count up."""

    def __init__(self, genesis: Genesis = GENESIS) -> None:
        super().__init__(genesis)
        self._nonce = 0

    def sign(self, sender: str, *operations: Operation) -> Transaction:
        """A transaction by the key that follows from a name, which may be no member's."""
        self._nonce += 1
        height = self.head.height
        return make_signed(
            self.genesis, sender, self._nonce, expiry=height + 50, operations=operations
        )

    def run(self, *acts: tuple[str, Operation]) -> list[str | None]:
        """One block; why each ended as it did: "" applied, a reason, None skipped."""
        transactions = [self.sign(sender, operation) for sender, operation in acts]
        self.last = [proposal_id(each.id, 0) for each in transactions]
        """The proposals that the transactions of the last block make, where they make any."""
        return endings(self.block(*transactions), transactions)

    def send(self, sender: str, operation: Operation) -> str | None:
        """`run` of a block of one."""
        return self.run((sender, operation))[0]

    def pass_change(self, operation: Operation, *names: str) -> str | None:
        """Propose and approve, a block each; how the last approval ended."""
        first, *others = names or ("ada", "ben")
        ended = self.send(first, operation)
        proposal = self.last[0]
        for other in others:
            ended = self.send(other, approve(proposal))
        return ended

    @property
    def register(self) -> Register:
        """The members as the last block left them."""
        return Register(StateReader(self.store, layout.state_key("identity", b"")))


def endings(done: Execution, transactions: Sequence[Transaction]) -> list[str | None]:
    """Why each transaction ended as it did."""
    leaves = [parse_leaf(leaf) for leaf in done.leaves]
    found = {leaf.header: leaf.reason for leaf in leaves if isinstance(leaf, TransactionLeaf)}
    return [found.get(transaction.header) for transaction in transactions]
