"""A stand for single attackers: one attacked plugin, events by hand, effects in the open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from consensus.byzantine import attacked
from consensus.byzantine.attacker import TIMER
from consensus.interface import (
    Broadcast,
    Consensus,
    Context,
    Effect,
    Event,
    Forward,
    Message,
    Now,
    PayloadReady,
    Pending,
    Received,
    Recovery,
    Root,
    Send,
    SetTimer,
    Signed,
    Start,
    Tell,
    TimerFired,
    Validate,
    Verdict,
)
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import Proposal
from ledger.validators import QuorumRule, Validator, ValidatorSet

EPOCH = hashlib.sha256(b"epoch").digest()
NETWORK = hashlib.sha256(b"network").digest()
ME = 1
"""Who proposes first: instance 1, round 0."""
OTHERS = (0, 2, 3)
PAYLOAD = (b"\x11" * 32,)


class Stand:
    """An attacked validator 1 of four, which answers to itself at once."""

    def __init__(
        self, attack: str, seed: int = 0, protocol: type[Consensus] = Tendermint, me: int = ME
    ) -> None:
        keys = [bytes((number,)) * 32 for number in range(4)]
        members = tuple(Validator(f"v{n}", key, key, b"") for n, key in enumerate(keys))
        validators = ValidatorSet(members, QuorumRule.BYZANTINE)
        context = Context(NETWORK, EPOCH, me, validators, protocol.PARAMETERS, 100)
        made = attacked(protocol, attack, seed) if attack else protocol
        self.me = me
        self.plugin = made(context, Recovery(Root(b"", (0,), 0), None, ()))
        self.now = Now(0, 0)
        self.take(Start())

    def take(self, event: Event) -> list[Effect]:
        """One step, and those that its words to itself and its questions lead to."""
        effects = [
            word
            for effect in self.plugin.step(self.now, event)
            for word in (
                [Send(to, effect.what) for to in range(4)]
                if isinstance(effect, Broadcast)
                else [effect]
            )
        ]
        everything = list(effects)
        for effect in effects:
            if isinstance(effect, Send) and effect.to == self.me:
                assert isinstance(effect.what, Message)
                everything += self.take(Received(Signed(self.me, effect.what, b"own")))
            elif isinstance(effect, Validate):
                everything += self.take(Verdict(effect.value, True))
        return everything

    def propose(self) -> list[Effect]:
        """There is work, and validator 1 leads: a proposal, then its own prevote."""
        first = self.take(Pending(0))
        return first + self.take(PayloadReady((1, 0), PAYLOAD))

    def fire(self, effects: Iterable[Effect]) -> list[Effect]:
        """Let the attackers' own timers among these effects fire."""
        timers = [one.timer for one in effects if isinstance(one, SetTimer)]
        return [
            effect
            for timer in timers
            if timer.name == TIMER
            for effect in self.take(TimerFired(timer))
        ]


def words(effects: Iterable[Effect]) -> list[Send | Forward | Tell]:
    """What goes to others."""
    return [one for one in effects if isinstance(one, Send | Forward | Tell) and one.to != ME]


def said(effects: Iterable[Effect], to: int) -> list[Message]:
    """The messages for one receiver."""
    return [
        one.what
        for one in effects
        if isinstance(one, Send) and one.to == to and isinstance(one.what, Message)
    ]


def proposals(effects: Iterable[Effect], to: int) -> list[Proposal]:
    return [one for one in said(effects, to) if isinstance(one, Proposal)]
