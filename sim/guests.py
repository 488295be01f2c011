"""What a load with identity adds: administrators who change members, and guests who come and go.

The members of the genesis are administrators who stay, so that every one of their wishes can be
fulfilled.  Guests are added, get roles and keys, rotate, revoke and are removed.  They hand in what
they like and expect nothing: whether they are members when it is executed is chance.  Now and then
they hand in again what they once signed, whatever has become of the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random

from ledger.applications.identity_body import (
    CHANGES,
    NAME,
    Act,
    Body,
    make_act,
    make_rotation,
    parse_act,
    proposal_id,
)
from ledger.applications.records import make_record
from ledger.genesis import Genesis
from ledger.keys import Signer
from ledger.limits import INTEGER_MAX
from ledger.transaction import Operation, Transaction, make_transaction

KEYS = 60
ROLES = (
    ("submitter",),
    ("submitter", "administrator"),
    ("submitter", "administrator"),
    ("submitter", "administrator"),
    ("auditor",),
    ("submitter", "auditor"),
)


class Guests:
    """Draws the operations about members, and keeps what approvals and replays refer to."""

    def __init__(self, genesis: Genesis, draw: Random) -> None:
        self._genesis = genesis
        self._draw = draw
        scheme = genesis.suite.members
        self._signers = [
            scheme.signer(hashlib.sha256(genesis.network + b"guest %d" % number).digest())
            for number in range(KEYS)
        ]
        self._proposals: dict[bytes, list[bytes]] = {}
        """Id -> keys that have approved it, or tried; in the order of proposing."""
        self._met: list[Signer] = []
        """Guests' keys that somebody has named, in that order."""
        self._story = self._stories()
        self._due: list[tuple[Signer, list[Operation]]] = []
        """What guests of the story hand in next."""
        self._names = 0
        """How many guests have been thought of."""
        self._signed: list[Transaction] = []
        self.handed: set[tuple[bytes, int]] = set()
        """(sender, nonce) of all that guests ever signed; only asked whether something is in it."""

    def signed(self, transaction: Transaction) -> None:
        """Somebody signed this: what it proposes can be approved from now on."""
        for number, (_, name, _, body) in enumerate(transaction.operations):
            if name == NAME and parse_act(body).act in CHANGES:
                self._proposals[proposal_id(transaction.id, number)] = [transaction.sender]

    def change(self, sender: bytes) -> Operation:
        """What an administrator wants: the next step of a story, or anything."""
        if self._draw.randrange(4):
            step = next(self._story)
            while isinstance(step, tuple):
                self._due.append(step)
                step = next(self._story)
            if step is not None:
                return step
        return self._anything(sender)

    def _stories(self) -> Iterator[Operation | tuple[Signer, list[Operation]] | None]:
        """For ever: a guest becomes an administrator, proposes, changes keys, and has to go.

        Operations are an administrator's, pairs a guest's.  None lets time pass.
        """
        while True:
            self._names += 1
            name, first, second, third = f"guest{self._names}", *(self._new() for _ in range(3))
            roles = ("submitter", "administrator")
            yield make_act(Body(Act.ADD, name, first.public_key, roles))
            yield from self._approved()
            yield first, [self._anything(first.public_key)]
            yield None
            yield first, [make_rotation(self._genesis.network, first.public_key, second)]
            yield from self._approved()
            yield first, [make_record("guest", content=b"too late")]
            twice = [
                make_rotation(self._genesis.network, second.public_key, new)
                for new in (third, self._new())
            ]
            yield second, twice
            yield None
            yield second, [make_act(Body(Act.REVOKE))]
            yield make_act(Body(Act.REMOVE, name))
            yield from self._approved()
            yield second, [make_record("guest", content=b"gone")]

    def _approved(self) -> Iterator[Operation | None]:
        """Two administrators approve what was proposed last, a while after."""
        yield None
        for _ in range(2):
            if self._proposals:
                yield make_act(Body(Act.APPROVE, proposal=list(self._proposals)[-1]))

    def _anything(self, sender: bytes) -> Operation:
        """A change of a guest, or approval of an earlier one."""
        draw = self._draw
        recent = list(self._proposals)[-6:]
        # Once in a while even one's own.
        others = [each for each in recent if sender not in self._proposals[each]]
        if recent and draw.randrange(100) < 65:
            proposal = draw.choice(others if others and draw.randrange(6) else recent)
            self._proposals[proposal].append(sender)
            act = Act.WITHDRAW if draw.randrange(8) == 0 else Act.APPROVE
            return make_act(Body(act, proposal=proposal))
        act = draw.choice((Act.ADD, Act.ADD, Act.ADD, Act.REMOVE, Act.ROLES, Act.REPLACE))
        # A name never comes back; some try.
        if act is Act.ADD and draw.randrange(5):
            self._names += 1
        name = f"guest{max(0, self._names - draw.randrange(4 if act is not Act.ADD else 1))}"
        key = self._new().public_key if act in (Act.ADD, Act.REPLACE) else b""
        body = {
            Act.ADD: Body(act, name, key, draw.choice(ROLES)),
            Act.REMOVE: Body(act, name),
            Act.ROLES: Body(act, name, roles=draw.choice(ROLES)),
            Act.REPLACE: Body(act, name, key),
        }[act]
        return make_act(body)

    def something(self, nonce: int, expiry: int) -> bytes:
        """What a guest hands in: new, or signed long ago."""
        draw = self._draw
        if self._signed and draw.randrange(4) == 0:
            return draw.choice(self._signed).raw
        if self._due:
            signer, operations = self._due.pop(0)
        else:
            signer = self._known()
            operations = [self._wish(signer) for _ in range(1 + (draw.randrange(4) == 0))]
        made = make_transaction(
            signer,
            self._genesis.network,
            operations,
            nonce=nonce,
            expiry=expiry,
        )
        self._signed.append(made)
        self.handed.add((made.sender, made.nonce))
        self.signed(made)
        return made.raw

    def _wish(self, signer: Signer) -> Operation:
        draw = self._draw
        kind = draw.randrange(10)
        if kind < 3:
            # Some hold the signature of a key that is not the one in use.
            old = signer if draw.randrange(4) else self._known()
            return make_rotation(self._genesis.network, old.public_key, self._new())
        if kind == 3:
            return make_act(Body(Act.REVOKE))
        if kind < 8:
            return self._anything(signer.public_key)
        return make_record("guest", content=draw.randbytes(8))

    def _new(self) -> Signer:
        """Mostly a key that nobody has named yet."""
        fresh = [signer for signer in self._signers if signer not in self._met]
        signer = self._draw.choice(fresh if fresh and self._draw.randrange(4) else self._signers)
        self._met.append(signer)
        return signer

    def _known(self) -> Signer:
        """Mostly a key that was named lately."""
        if self._met and self._draw.randrange(8):
            return self._draw.choice(self._met[-6:])
        return self._draw.choice(self._signers)


NONCES_FROM = INTEGER_MAX // 2
"""Guests' nonces, apart from those of members' wishes."""
