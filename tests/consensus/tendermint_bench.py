"""One Tendermint plugin on a bench: events in by hand, effects out for inspection.

Four validators; signatures are blank, since plugins never look at them, and every value is valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from consensus.interface import (
    Broadcast,
    Context,
    DecisionProof,
    DecisionReceived,
    Effect,
    Event,
    Message,
    Now,
    Persist,
    Received,
    Recovery,
    Root,
    Signed,
    Start,
    Validate,
    Verdict,
)
from consensus.leaders import Policy, Reputation, Sticky
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import (
    NO_ROUND,
    PRECOMMIT,
    Proposal,
)
from ledger.certificate import Certificate
from ledger.value import Value
from tests.consensus.jolteon_bench import BLANK, EPOCH, GENESIS, VALIDATORS

Kind = TypeVar("Kind")
NETWORK = b"n" * 32


def led_by(policy: type[Policy], base: type[Tendermint] = Tendermint) -> type[Tendermint]:
    return type(base.__name__, (base,), {"LEADERS": policy})


STICKY, REPUTATION = led_by(Sticky), led_by(Reputation)


def value_of(
    instance: int, proposer: int, *, round_: int = 0, extra: bytes = b"", mark: int = 0
) -> Value:
    payload = (bytes([instance, mark]) * 16,)
    return Value(EPOCH, b"", (instance, round_), proposer, 1_000 + instance, payload, extra)


def commit_of(value: Value, *, round_: int = 0, signers: Iterable[int] = (0, 1, 2)) -> Certificate:
    signatures = tuple((index, BLANK) for index in signers)
    return Certificate(PRECOMMIT, (value.slot[0], round_), value.digest, signatures)


def root_of(value: Value, height: int | None = None) -> Root:
    return Root(value.digest, value.slot, value.slot[0] if height is None else height)


class Bench:
    """A validator of four, events in by hand; everything that it asks about is valid."""

    def __init__(
        self,
        protocol: type[Tendermint],
        me: int | None = 0,
        *,
        root: Root = GENESIS,
        record: bytes | None = None,
    ) -> None:
        context = context_of(protocol, me)
        self.plugin = protocol(context, Recovery(root, record, ()))
        self.effects: list[Effect] = []
        self.take(Start())

    def take(self, event: Event) -> list[Effect]:
        effects = self.plugin.step(Now(5_000, 9_000), event)
        self.effects += effects
        for effect in [one for one in effects if isinstance(one, Validate)]:
            effects += self.take(Verdict(effect.value, True))
        return effects

    def hear(self, sender: int, message: Message) -> list[Effect]:
        return self.take(Received(Signed(sender, message, BLANK)))

    def propose(self, value: Value, commit: Certificate | None = None) -> list[Effect]:
        return self.hear(value.proposer, Proposal(value, value.slot[1], NO_ROUND, commit))

    def decide(self, value: Value, *, round_: int = 0, signers: Iterable[int] = (0, 1, 2)) -> None:
        proof = DecisionProof((commit_of(value, round_=round_, signers=signers),))
        self.take(DecisionReceived((value,), proof))
        assert self.plugin.root.value == value.digest

    def leaders(self, rounds: int) -> list[int | None]:
        """Of the first rounds of the current instance."""
        return [self.plugin.proposer((self.plugin.instance, each)) for each in range(rounds)]

    @property
    def record(self) -> bytes:
        return [one.record for one in self.effects if isinstance(one, Persist)][-1]


def context_of(protocol: type[Tendermint], me: int | None) -> Context:
    return Context(NETWORK, EPOCH, me, VALIDATORS, dict(protocol.PARAMETERS), slot_window=100)


def said_in(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    return [
        one.what for one in effects if isinstance(one, Broadcast) and isinstance(one.what, kind)
    ]
