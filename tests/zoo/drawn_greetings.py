"""Drawn restarts for the question "what did I say?" alone: lost disks, old records, one liar.

Four validators have heard what one of them said, each up to some point, the honest ones to the end.
It starts again with all of its record, an old one or none.  Answers come in any order; of the other
three one may have forgotten everything, or hand over words with made-up signatures.  Whoever may
vote then says something else wherever its record lets it: what contradicts a word that left before
breaks P14, and whoever lost nothing must be let vote (P19).
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any, cast

from consensus.certifier import Certifier
from consensus.greeting import Greeting
from consensus.guard import Guard
from consensus.packets import WhatDidISay, YouSaid
from consensus.protocols.tendermint_messages import Prevote
from ledger.keys import one_key
from ledger.statement import Slot, Statement
from tests.ledger.builders import make_genesis, signer_of
from tests.schedules import test_restart as restart
from tests.zoo.drawn import Part

KINDS: dict[str, type[Greeting]] = {
    "X1": restart.AsksNobody,
    "X2": restart.AsksOne,
    "X3": restart.AnswersNothing,
    "X4": restart.BelievesAnyone,
}
VALIDATORS = 4
Words = list[tuple[tuple[str, Slot], tuple[bytes, bytes]]]
"""((phase, slot), (value, signature)) of what somebody said, oldest first."""
GENESIS = make_genesis(scheme="keyed-hash")
SIGNERS = tuple(signer_of(f"node{index} consensus", "keyed-hash") for index in range(VALIDATORS))


class Node:
    """One validator's greeting, with what it knows of the others' words and what it sends."""

    def __init__(self, kind: type[Greeting], me: int, said: Words) -> None:
        self.sent: list[tuple[int | None, Any]] = []
        self.highest: dict[int, dict[str, tuple[Slot, bytes, bytes]]] = {}
        self.votes: bool | None = None
        """Whether it may vote; None while it waits for answers."""
        outbox = SimpleNamespace(
            send=lambda to, packet: self.sent.append((to, packet)),
            send_all=lambda packet: self.sent.append((None, packet)),
            report=lambda *_, **__: None,
        )
        self.guard = Guard(one_key(SIGNERS[me]), network=GENESIS.network, epoch=GENESIS.epoch.id,
                           said=dict(said), floors={}, checkpoint=None)  # fmt: skip
        setup = SimpleNamespace(genesis=GENESIS, me=me, suite=GENESIS.suite)
        ordering = SimpleNamespace(highest=self.highest)
        self.greeting = kind(
            cast("Any", setup),
            cast("Any", outbox),
            self.guard,
            cast("Any", ordering),
            self._begin,
        )

    def _begin(self, me: int | None) -> None:
        self.votes = me is not None

    def answer(self, peer: int, salt: int) -> YouSaid:
        """What this one answers to a peer."""
        self.greeting.on_question(peer, WhatDidISay(salt), Certifier(3, 0), None)
        packet = self.sent[-1][1]
        assert isinstance(packet, YouSaid)
        return packet


def broken(kind: type[Greeting], number: int) -> tuple[str, ...]:
    """The properties that validators of this kind break in the restart of this number."""
    draw = Random(f"greetings {number}")
    me = draw.randrange(VALIDATORS)
    others = draw.sample([one for one in range(VALIDATORS) if one != me], VALIDATORS - 1)
    liar = draw.choice((None, *others))
    words = _words(draw, me)
    kept = draw.choice((0, 0, draw.randrange(len(words) + 1), len(words)))
    node = Node(kind, me, words[:kept])
    node.greeting.start(salt := draw.randrange(1, 1 << 30))
    for other in others:
        if node.votes is not None:
            break
        node.greeting.on_answer(other, _answer(draw, kind, me, other, words, salt,
                                               is_liar=other == liar))  # fmt: skip
    if kept == len(words):
        return () if node.votes else ("P19",)
    if node.votes and _contradicts(node, me, words):
        return ("P14",)
    return ()


def _words(draw: Random, me: int) -> Words:
    """What this validator said before it stopped, oldest first."""
    words = []
    for round_ in range(draw.randrange(1, 5)):
        message = Prevote(1, round_, draw.randbytes(32))
        words.append(((message.statement()[0], (1, round_)), (message.value, _sign(me, message))))
    return words


def _sign(signer: int, message: Prevote) -> bytes:
    statement = Statement(GENESIS.network, GENESIS.epoch.id, *message.statement())
    return SIGNERS[signer].sign(statement.signed_bytes())


def _answer(
    draw: Random, kind: type[Greeting], me: int, other: int,
    words: Words, salt: int, *, is_liar: bool,
) -> YouSaid:  # fmt: skip
    """What one of the others says: the last word that it heard, and a liar anything."""
    peer = Node(kind, other, [])
    (phase, slot), (value, signature) = words[-1]
    if is_liar and draw.random() < 0.5:
        return YouSaid(salt, (), None)
    if is_liar:
        later = Prevote(1, slot[1] + draw.randrange(1, 9), draw.randbytes(32))
        return YouSaid(salt, ((*later.statement(), _sign(other, later)),), None)
    peer.highest[me] = {phase: (slot, value, signature)}
    return peer.answer(me, salt)


def _contradicts(node: Node, me: int, words: Words) -> bool:
    """Whether it says something else where it spoke before, now that it may speak."""
    for (_, slot), _ in words:
        try:
            node.guard.sign(me, Prevote(slot[0], slot[1], bytes(32)))
        except AssertionError:
            continue  # Its record keeps it from a second value here.
        return True
    return False


PART = Part("greetings", Greeting, KINDS, broken)
