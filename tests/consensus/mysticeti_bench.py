"""A DAG drawn by hand: who refers to whom is written down, and followers are shown parts of it.

    dag = Drawing("1.0 1.1 1.2 1.3", "2.0: 1.0 1.1 1.2", ...)

names blocks by round and author, an equivocator's second one with a prime: 1.1'.  A follower that
sees some of these blocks decides by the rules of the protocol alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from consensus.interface import (
    Broadcast,
    CancelTimer,
    Context,
    Decide,
    Effect,
    Event,
    Now,
    PayloadReady,
    Received,
    Recovery,
    RequestPayload,
    Root,
    SetTimer,
    Signed,
    Start,
    Timer,
    TimerFired,
    Validate,
    Verdict,
)
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_messages import Block, Parent, encode_links
from ledger.validators import QuorumRule, Validator, ValidatorSet
from ledger.value import Value

EPOCH = b"e" * 32
NOW = Now(1_000, 1_700_000_000_000)
NODES = 4
EFFECTS_MAX = 10_000
"""Of one event, and of what is answered to what it leads to."""
EARLIER = Value(EPOCH, b"", (0, 0, 0, 0), 0, NOW.wall_ms, (bytes(32),))
"""Decided before anything that is drawn."""


def context(
    me: int | None = None, nodes: int = NODES, batch_window: int = 256, **parameters: int
) -> Context:
    members = tuple(Validator(f"v{index}", b"", b"", b"") for index in range(nodes))
    return Context(
        network=b"n" * 32,
        epoch=EPOCH,
        me=me,
        validators=ValidatorSet(members, QuorumRule.BYZANTINE),
        parameters={**Mysticeti.PARAMETERS, **parameters},
        slot_window=1_000,
        batch_window=batch_window,
    )


def payload_of(name: str) -> bytes:
    """What a block of this name brings to the ledger."""
    return hashlib.sha256(name.encode()).digest()


class Drawing:
    """Blocks by name, each with a payload of its own."""

    def __init__(self, *lines: str) -> None:
        self.blocks: dict[str, Signed] = {}
        for line in lines:
            names, _, parents = line.partition(":")
            for name in names.split():
                self.add(name, parents.split())

    def add(
        self, name: str, parents: Iterable[str] = (), *, base_height: int = 0, **changes: Any
    ) -> Signed:
        """Draw one more block, which says that the epoch begins at that height."""
        round_, author = (int(part) for part in name.rstrip("'").split("."))
        named = [self.blocks[parent].message for parent in parents]
        references = tuple(
            Parent(block.author, block.round, block.digest)
            for block in named
            if isinstance(block, Block)
        )
        value = Value(
            EPOCH,
            EPOCH,
            (round_,),
            author,
            NOW.wall_ms + name.count("'"),
            (payload_of(name),),
            encode_links(round_, base_height, references),
        )
        signed = Signed(author, Block(replace(value, **changes)), bytes(64))
        self.blocks[name] = signed
        return signed

    def digest(self, name: str) -> bytes:
        """The digest of a block."""
        return self.blocks[name].message.statement()[2]

    def full(self, first: int, last: int, authors: Iterable[int] = range(NODES)) -> Drawing:
        """Draw whole rounds in which everyone of these refers to everyone of them."""
        present = list(authors)
        for round_ in range(first, last + 1):
            before = [
                name for name in (f"{round_ - 1}.{a}" for a in present) if name in self.blocks
            ]
            for author in present:
                self.add(f"{round_}.{author}", before)
        return self

    def name(self, payload: bytes) -> str:
        """The block that brought this payload."""
        return next(name for name in self.blocks if payload_of(name) == payload)


class Follower:
    """A validator, or an observer, that is shown blocks; verdicts are favourable, but for some.

    The ledger has a time, unless it is said not to: so the leader of round 1 decides something.
    """

    def __init__(
        self,
        protocol: type[Mysticeti],
        drawing: Drawing,
        me: int | None = None,
        *,
        has_time: bool = True,
        unjudged: frozenset[bytes] = frozenset(),
        invalid: frozenset[bytes] = frozenset(),
        batch_window: int = 256,
    ) -> None:
        """About the blocks of the digests `unjudged` no verdict comes."""
        self.drawing = drawing
        surroundings = context(me, batch_window=batch_window)
        self.plugin = protocol(surroundings, Recovery(Root(b"", (0,), 0), None, ()))
        self.said: list[Effect] = []
        self.decided: list[Value] = []
        self.unjudged = unjudged
        self.invalid = invalid
        self.offered: tuple[bytes, ...] = ()
        """Payload for the next request."""
        self.timers: dict[Timer, None] = {}
        """Those that run; none goes off by itself."""
        if has_time:
            self.plugin.order.remember((EARLIER,), 1)
        self.give(Start())

    def give(self, event: Event) -> list[Effect]:
        """Let it take an event, and the answers to what it asks then."""
        events, said = [event], []
        while events:
            assert len(said) < EFFECTS_MAX, "it asks and is answered for ever"
            for effect in self.plugin.step(NOW, events.pop(0)):
                said.append(effect)
                if isinstance(effect, Decide):
                    self.decided += effect.values
                elif isinstance(effect, Broadcast) and isinstance(effect.what, Block):
                    assert self.plugin.me is not None, "an observer says nothing"
                    events.append(Received(Signed(self.plugin.me, effect.what, bytes(64))))
                elif isinstance(effect, Validate) and effect.value.digest not in self.unjudged:
                    valid = effect.value.digest not in self.invalid
                    events.append(Verdict(effect.value, valid))
                elif isinstance(effect, SetTimer):
                    self.timers[effect.timer] = None
                elif isinstance(effect, CancelTimer):
                    self.timers.pop(effect.timer, None)
                elif isinstance(effect, RequestPayload):
                    events.append(PayloadReady(effect.slot, self.offered))
        self.said += said
        return said

    def go_off(self) -> None:
        """Let the timers that run go off."""
        due, self.timers = self.timers, {}
        for timer in due:
            self.give(TimerFired(timer))

    def see(self, *names: str) -> Follower:
        """Show it these blocks, in this order."""
        for name in names:
            self.give(Received(self.drawing.blocks[name]))
        return self

    def see_all(self, *, but: str = "") -> Follower:
        """Show it all blocks but some."""
        hidden = but.split()
        return self.see(*(name for name in self.drawing.blocks if name not in hidden))

    @property
    def ledger(self) -> list[str]:
        """The blocks whose payload is decided, in order."""
        return [self.drawing.name(payload) for value in self.decided for payload in value.payload]


def leaders(follower: Follower) -> list[int]:
    """The rounds whose leaders were committed, as far as they decided anything."""
    return list(dict.fromkeys(value.slot[0] for value in follower.decided))


def agree(one: Follower, other: Follower) -> bool:
    """Whether what one has decided is how the other's begins, or the other way round."""
    pairs = zip(one.decided, other.decided, strict=False)
    return all(left.digest == right.digest for left, right in pairs)
