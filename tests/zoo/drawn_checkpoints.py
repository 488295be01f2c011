"""Drawn signatures for confirmations alone: who executes when, may sign when, and hears what.

Four validators execute the same blocks, each at its own pace, and some of them may sign only later.
Signatures and certificates are lost at a drawn rate, and then no more: after some ticks everybody
holds a certificate of the last block (P10).  Now and then a quorum decides what is never valid;
whoever goes on then has decided it, too (P6).
"""

from __future__ import annotations

import hashlib
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from consensus.confirmation import Confirmation
from consensus.guard import Guard
from consensus.interface import Decide, DecisionProof, Now, Root
from consensus.io import SendFrame
from consensus.outbox import Outbox
from consensus.packets import CheckpointCertified, CheckpointSignature, Packet, decode_packet
from consensus.protocols.tendermint import Tendermint
from consensus.recovery import Setup
from consensus.values import Judgement, Position
from ledger.chain import Tip
from ledger.keys import one_key
from ledger.value import Value
from tests.ledger.builders import make_genesis, signer_of
from tests.schedules import test_confirmation as confirming
from tests.schedules import test_judgement as judging
from tests.schedules import test_restart as restart
from tests.zoo.drawn import Part

KINDS: dict[str, type[Confirmation]] = {
    "D11": confirming.SignsOnce,
    "D13": confirming.KeepsCertificates,
    "D20": judging.ShrugsOff,
    "X5": restart.SignsWhatComes,
}
GENESIS = make_genesis(scheme="keyed-hash")
VALIDATORS = 4
TICKS = 6
"""After which a signature has been said twice and answered, once nothing is lost any more."""


class Node:
    """One validator's confirmation, and a replica that has executed what it is told."""

    def __init__(self, kind: type[Confirmation], me: int) -> None:
        signer = one_key(signer_of(f"node{me} consensus", "keyed-hash"))
        self.me = me
        self.outbox = Outbox(0, me)
        self.outbox.begin(Now(0, 0))
        guard = Guard(signer, network=GENESIS.network, epoch=GENESIS.epoch.id, said={}, floors={},
                      checkpoint=None)  # fmt: skip
        tip = Tip(0, bytes(32), 0)
        recovered = SimpleNamespace(
            head=SimpleNamespace(height=0, tip=tip, slot=(0,), size=0), decided_tip=tip,
            decided=Root(b"", (0,), 0), certified=0, note=None, logs=(), checkpoint=None,
            decisions=(),
        )  # fmt: skip
        spreading: Any = SimpleNamespace(
            pool=SimpleNamespace(executed=lambda *_: None), decided_height=0, executed_height=0,
            certified_height=0, pace=SimpleNamespace(decides=lambda *_: None),
        )  # fmt: skip
        executor: Any = None
        self.part = kind(Setup(GENESIS, me, signer, Tendermint, ()), cast("Any", recovered),
                         self.outbox, guard, spreading, executor, lambda root: None)  # fmt: skip

    def execute(self, height: int) -> None:
        """A block is executed here; the same one everywhere."""
        hash_ = hashlib.sha256(b"block %d" % height).digest()
        tip = Tip(height, hash_, height)
        head = SimpleNamespace(height=height, size=3 * height, tip=tip, root=lambda: hash_)
        self.part._uncertified[height] = (Root(hash_, (height,), height), tip)
        execution = SimpleNamespace(header=SimpleNamespace(payload=()), head=head, writes=(),
                                    applied=0, failed=0, skipped=0)  # fmt: skip
        self.part._executed(cast("Any", execution))

    def decide_badly(self, draw: Random) -> bool:
        """A quorum decides what is invalid here; whether it stops this node."""
        values = SimpleNamespace(
            judge_decided=lambda *_: Judgement.NEVER,
            decided=lambda value: Position(1, 0),
            position=Position(0, 0),
        )
        ordering: Any = SimpleNamespace(values=values, on_decided=lambda value: None)
        value = Value(GENESIS.epoch.id, b"", (99, 0), 0, 0, (), draw.randbytes(8))
        self.part.decide(ordering, Decide((value,), DecisionProof(())))
        return self.outbox.stopping is not None and self.part.decided.value != value.digest

    def hear(self, peer: int, packet: Packet) -> None:
        """A packet of a peer arrives."""
        if isinstance(packet, CheckpointSignature):
            self.part.on_signature(peer, packet)
        elif isinstance(packet, CheckpointCertified):
            self.part.on_certificate(packet)

    def said(self) -> list[tuple[int | None, Packet]]:
        """(to whom, what) of all that it said since it was asked last."""
        outputs = self.outbox.finish().outputs
        self.outbox.begin(Now(0, 0))
        return [(one.peer, decode_packet(one.channel, one.payload)[1])
                for one in outputs if isinstance(one, SendFrame)]  # fmt: skip


def broken(kind: type[Confirmation], number: int) -> tuple[str, ...]:
    """The properties that confirmations of this kind break in the life of this number."""
    draw = Random(f"checkpoints {number}")
    nodes = [Node(kind, me) for me in range(VALIDATORS)]
    late = [node for node in nodes if draw.random() < draw.choice((0.0, 0.3, 1.0))]
    for node in nodes:
        if node not in late:
            node.part.start_signing()
    loss = draw.choice((0.2, 0.6, 0.9))
    deaf = draw.choice((None, draw.randrange(VALIDATORS)))
    last = draw.randrange(1, 4)
    for height in range(1, last + 1):
        for node in draw.sample(nodes, VALIDATORS):
            node.execute(height)
            if draw.random() < 0.7:
                _deliver(nodes, draw, loss, deaf)
        if draw.random() < 0.5:
            _tick(nodes)
    for node in late:
        node.part.start_signing()
    _deliver(nodes, draw, loss, deaf)
    for _ in range(TICKS):
        _tick(nodes)
        _deliver(nodes, draw, 0.0, None)
    if any(node.part.certifier.certified < last for node in nodes):
        return ("P10",)
    if draw.random() < 0.2 and not draw.choice(nodes).decide_badly(draw):
        return ("P6",)
    return ()


def _tick(nodes: list[Node]) -> None:
    """Time passes: whatever waits for a certificate is said again."""
    for node in nodes:
        node.part.send_own()


def _deliver(nodes: list[Node], draw: Random, loss: float, deaf: int | None) -> None:
    """Let arrive what was said, and what is said to that."""
    for _ in range(4):
        for sender in nodes:
            for to, packet in sender.said():
                for node in nodes:
                    is_meant = node is not sender and to in (None, node.me) and node.me != deaf
                    if is_meant and draw.random() >= loss:
                        node.hear(sender.me, packet)


PART = Part("checkpoints", Confirmation, KINDS, broken)
