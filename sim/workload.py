"""Clients in virtual time: members who insist, and a few who do everything wrong.

A member hands each transaction to a node, hands it to another one when no certificate covers it in
time, ever more seldom, and goes on until one does.  Some are handed to two nodes at once, some are
signed twice with one nonce, some come with a wrong signature under the same id, some come again
after they were confirmed, and beside some goes an unsound one, which every node must refuse.
What is confirmed, clients read from the stores of nodes that say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgpack

from consensus.io import Answer
from ledger import layout
from ledger.applications.payments import Act, make_payment
from ledger.applications.records import make_record
from ledger.genesis import Genesis
from ledger.keys import Signer, short_key
from ledger.limits import INTEGER_MAX, TRANSACTION_BYTES_MAX
from ledger.store import Reader
from ledger.transaction import Operation, make_transaction
from sim.agenda import MS, Agenda
from sim.clock import EPOCH_MS
from sim.guests import NONCES_FROM as GUESTS_NONCES
from sim.guests import Guests
from sim.node import Node
from sim.oracles import Findings
from sim.scenario import Load
from sim.watcher import Watcher
from sim.writers import Writers

_TRAVEL_US_MAX = 3_000
_PATIENCE_MS_MAX = 8_000
_ECHO_MS_MAX = 5_000
_LIFE_HEIGHTS_MAX = 5_000
"""Far more than a run decides."""


@dataclass(slots=True)
class Wish:
    """What a member wants in the ledger: one nonce, and the transactions signed with it."""

    raws: list[bytes]
    """The transaction, and perhaps others with the same nonce."""
    expiry: int
    """Height after which none of them can be executed."""
    patience_ms: int
    """How long the member waits before it insists; doubles up to `_PATIENCE_MS_MAX`."""
    wished_ms: int
    height: int | None = None
    """Of the certified block that holds one of them."""
    confirmed_ms: int | None = None


@dataclass(slots=True)
class Clients(Watcher):
    """All clients of one world."""

    genesis: Genesis
    members: list[Signer]
    load: Load
    agenda: Agenda
    draw: Random
    findings: Findings
    wishes: dict[tuple[bytes, int], Wish] = field(default_factory=dict)
    """By sender and nonce, in the order of wishing."""
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """Transaction id -> height, of all that some node confirmed."""
    confirmed_count: int = 0
    """Wishes that are confirmed."""
    submitted: int = 0
    refused: int = 0
    _nodes: list[Node] = field(default_factory=list)
    _requests: dict[int, tuple[bytes, bool]] = field(default_factory=dict)
    """Unanswered request -> (its transaction, whether a node may take it)."""
    _read_height: int = 0
    guests: Guests = field(init=False)
    """Who come and go, in a load with identity."""
    writers: Writers = field(init=False)
    """Of documents, in a load with them."""
    _more: Random = field(init=False)
    """Chance of its own for what was added later, so that each seed kept what it had before."""

    def __post_init__(self) -> None:
        self._more = Random(self.genesis.network)
        self.guests = Guests(self.genesis, self._more)
        self.writers = Writers([short_key(each.public_key) for each in self.members], self._more)

    def begin(self, nodes: list[Node]) -> None:
        """Plan every wish."""
        self._nodes = nodes
        time_ms = [0] * len(self.members)
        for number in range(self.load.transactions):
            member = number % len(self.members)
            time_ms[member] += self.draw.randint(1, 2 * self.load.interval_ms)
            self.agenda.at(time_ms[member] * MS, self._wish, member, number)

    @property
    def outstanding(self) -> list[tuple[bytes, int]]:
        """Wishes not confirmed yet, and wishes not made yet as one entry each."""
        if self.confirmed_count == self.load.transactions:
            return []
        missing = self.load.transactions - len(self.wishes)
        unmade = [(b"", number) for number in range(missing)]
        return [pair for pair, wish in self.wishes.items() if wish.height is None] + unmade

    @property
    def latencies_ms(self) -> list[int]:
        """From wish to the first certificate that covers it, ascending."""
        return sorted(
            wish.confirmed_ms - wish.wished_ms
            for wish in self.wishes.values()
            if wish.confirmed_ms is not None
        )

    # --- what members do --------------------------------------------------------------------------

    def _wish(self, member: int, number: int) -> None:
        signer, load, draw = self.members[member], self.load, self.draw
        expiry = self._expiry()
        first_raw = self._sound(signer, number, expiry)
        wish = Wish([first_raw], expiry, load.timeout_ms, self.agenda.now_ms)
        self.wishes[signer.public_key, number] = wish
        first = draw.randrange(len(self._nodes))
        self._hand(first, wish.raws[0])
        if draw.randrange(1000) < load.duplicates:
            self._hand(draw.randrange(len(self._nodes)), wish.raws[0])
        if draw.randrange(1000) < load.twice_signed:
            wish.raws.append(self._sound(signer, number, expiry))
            self._hand(draw.randrange(len(self._nodes)), wish.raws[1])
        if draw.randrange(1000) < load.unsound:
            unsound = self._unsound(signer, number)
            self._hand(draw.randrange(len(self._nodes)), unsound, is_sound=False)
        for guest in range(2 if load.identity else 0):
            raw = self.guests.something(GUESTS_NONCES + 2 * number + guest, self._expiry())
            self._hand(self._more.randrange(len(self._nodes)), raw)
        if self._more.randrange(1000) < load.split:
            self._hand(self._more.randrange(len(self._nodes)), _with_wrong_signature(first_raw))
        self.agenda.after(wish.patience_ms * MS, self._insist, signer, number, first)

    def _insist(self, signer: Signer, number: int, last: int) -> None:
        """Hand an unconfirmed transaction to the next node; sign it anew once it has expired."""
        wish = self.wishes[signer.public_key, number]
        if wish.height is not None:
            return
        if wish.expiry <= self._read_height:
            wish.expiry = self._expiry()
            wish.raws = [self._sound(signer, number, wish.expiry)]
        node = (last + 1) % len(self._nodes)
        self._hand(node, self.draw.choice(wish.raws))
        wish.patience_ms = min(2 * wish.patience_ms, _PATIENCE_MS_MAX)
        self.agenda.after(wish.patience_ms * MS, self._insist, signer, number, node)

    def _hand(self, node: int, raw: bytes, *, is_sound: bool = True) -> None:
        self.submitted += 1
        self._requests[self.submitted] = (raw, is_sound)
        delay_us = self.draw.randrange(1, _TRAVEL_US_MAX)
        self.agenda.after(delay_us, self._nodes[node].submit, self.submitted, (raw,))

    def _expiry(self) -> int:
        window = self.genesis.limits.replay_window
        return self._read_height + min(window // 2, _LIFE_HEIGHTS_MAX)

    def _sound(self, signer: Signer, number: int, expiry: int) -> bytes:
        content = self.draw.randbytes(self.draw.randrange(1, 200))
        return self._signed(signer, number, content, expiry=expiry)

    def _signed(
        self, signer: Signer, nonce: int, content: bytes, *, expiry: int, network: bytes = b""
    ) -> bytes:
        operation = (
            self._payment(signer)
            or self._change(signer)
            or self._document(signer)
            or make_record("note", content=content)
        )
        network = network or self.genesis.network
        made = make_transaction(signer, network, [operation], nonce=nonce, expiry=expiry)
        self.guests.signed(made)
        return made.raw

    def _change(self, signer: Signer) -> Operation | None:
        """What an administrator wants of the members, in a load with identity; else None."""
        if not self.load.identity or self._more.randrange(1000) >= self.load.identity:
            return None
        return self.guests.change(signer.public_key)

    def _document(self, signer: Signer) -> Operation | None:
        """What this member does with documents, in a load with them; else None."""
        if not self.load.documents or self._more.randrange(1000) >= self.load.documents:
            return None
        return self.writers.operation(short_key(signer.public_key), EPOCH_MS + self.agenda.now_ms)

    def _payment(self, signer: Signer) -> Operation | None:
        """What this member pays, or tries to, in a load with payments; else None."""
        if not self.load.payments or self._more.randrange(1000) >= self.load.payments:
            return None
        act = self._more.choice((Act.ISSUE, Act.TRANSFER, Act.TRANSFER, Act.TRANSFER, Act.REDEEM))
        other = self._more.choice(self.members)
        return make_payment(act, short_key(other.public_key), self._more.randrange(1, 100))

    def _unsound(self, signer: Signer, number: int) -> bytes:
        """Something that no node may take; its nonce is one that nobody wishes for."""
        nonce = 1_000_000 + number
        sound = self._signed(signer, nonce, b"unsound", expiry=self._expiry())
        stranger = self.genesis.suite.members.signer(self.draw.randbytes(32))
        makers: list[Callable[[], bytes]] = [
            lambda: self._signed(signer, nonce, b"expired", expiry=0),
            lambda: self._signed(signer, nonce, b"immortal", expiry=INTEGER_MAX),
            lambda: self._signed(stranger, nonce, b"stranger", expiry=self._expiry()),
            lambda: self._signed(
                signer, nonce, b"foreign", expiry=self._expiry(), network=bytes(32)
            ),
            lambda: b"",
            lambda: sound + bytes(TRANSACTION_BYTES_MAX),
            lambda: sound[: self.draw.randrange(len(sound))],
            lambda: self.draw.randbytes(self.draw.randrange(300)),
            lambda: _with_flipped_bit(sound, self.draw),
        ]
        return self.draw.choice(makers)()

    # --- what they see ----------------------------------------------------------------------------

    def answered(self, node: int, answer: Answer) -> None:
        request = self._requests.pop(answer.request, None)
        if request is None or len(answer.admissions) != 1:
            self.findings.add("P9", f"node {node} answered request {answer.request} with "
                              f"{len(answer.admissions)} answers, or twice", node)  # fmt: skip
            return
        raw, is_sound = request
        reason = answer.admissions[0].reason
        self.refused += bool(reason)
        if not reason and not is_sound:
            self.findings.add("P6", f"node {node} took an unsound transaction "
                              f"({raw[:16].hex()}...)", node)  # fmt: skip

    def booted(self, node: int, reader: Reader) -> None:
        """A node that starts tells whoever asks what it knows to be certified."""
        certified = reader.get(layout.CERTIFIED)
        if certified is not None:
            self.confirmed(node, int.from_bytes(certified, "big"), reader)

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        """Read the blocks that a certificate now covers for the first time anywhere."""
        if self.load.documents:
            self.writers.look(reader)
        for above in range(self._read_height + 1, height + 1):
            raw = reader.get(layout.height_key(layout.BLOCK, above))
            if raw is None:
                self.findings.add("P2", f"node {node} confirmed height {height} and lacks block "
                                  f"{above}", node)  # fmt: skip
                return
            self._read_height = above
            for leaf in _unpack(raw)[1][1:-1]:
                header = _unpack(leaf)[6]
                _, _, sender, nonce, _, _, _ = _unpack(header)
                self.acknowledged[hashlib.sha256(header).digest()] = above
                wish = self.wishes.get((sender, nonce))
                if wish is None and (sender, nonce) in self.guests.handed:
                    continue
                if wish is None:
                    self.findings.add("P6", f"block {above} holds a transaction that nobody sound "
                                      f"has made, nonce {nonce}", node)  # fmt: skip
                elif wish.height is None:
                    wish.height, wish.confirmed_ms = above, self.agenda.now_ms
                    self.confirmed_count += 1
                    if self._more.randrange(1000) < self.load.echoes:
                        self._echo(wish)

    def _echo(self, wish: Wish) -> None:
        """What is confirmed comes again, to whichever node."""
        node = self._more.randrange(len(self._nodes))
        delay_us = self._more.randrange(_ECHO_MS_MAX * MS)
        self.agenda.after(delay_us, self._hand, node, self._more.choice(wish.raws))


def _with_wrong_signature(raw: bytes) -> bytes:
    """The same header, and so the same id, with a signature that nobody made."""
    header, signature, *operations = _unpack(raw)
    wrong = bytes(byte ^ 1 for byte in signature)
    packed: bytes = msgpack.packb((header, wrong, *operations))
    return packed


def _with_flipped_bit(data: bytes, draw: Random) -> bytes:
    place = draw.randrange(len(data) * 8)
    flipped = bytearray(data)
    flipped[place // 8] ^= 1 << place % 8
    return bytes(flipped)


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)
