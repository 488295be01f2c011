"""Drawn certificates for an ordering alone whose plugin settles whatever it has decided.

It speaks in one instance after the other, decides it, and settles it at once, which is too early;
certificates come later, for drawn roots.  Until a certificate covers a decision, its words may be
asked for again, and must not be refused (P19).
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any, cast

from consensus.guard import Guard
from consensus.interface import Broadcast, Effect, Event, Now, Pending, Root, Settle
from consensus.ordering import Ordering
from consensus.outbox import Outbox
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PREVOTE, Prevote
from consensus.recovery import Setup
from ledger.keys import one_key
from tests.ledger.builders import make_genesis, signer_of
from tests.schedules import test_guard as guarding
from tests.zoo.drawn import Part

KINDS: dict[str, type[Ordering]] = {
    "D9": guarding.SettlesAtOnce,
    "D10": guarding.SettlesAtAnyCertificate,
}
GENESIS = make_genesis(scheme="keyed-hash")
SIGNER = one_key(signer_of("node0 consensus", "keyed-hash"))
STEPS = 30


class Puppet(Tendermint):
    """Says what it is told to say."""

    says: tuple[Effect, ...] = ()

    def step(self, now: Now, event: Event) -> list[Effect]:
        said, self.says = self.says, ()
        return list(said)


def broken(kind: type[Ordering], number: int) -> tuple[str, ...]:
    """The properties that an ordering of this kind breaks in the life of this number."""
    draw = Random(f"floors {number}")
    ordering = an_ordering(kind)
    ordering.start(me=0)
    certified, decided = 0, 0
    words: dict[int, Prevote] = {}
    lag = draw.choice((1, 2, 4))
    try:
        say(ordering)
        for _ in range(STEPS):
            match draw.choice(("decide", "certify", "again")):
                case "decide" if decided - certified < lag:
                    decided += 1
                    words[decided] = Prevote(decided, 0, draw.randbytes(32))
                    say(ordering, Broadcast(words[decided]), Settle(PREVOTE, (decided + 1, 0)))
                case "certify" if certified < decided:
                    certified = draw.randrange(certified + 1, decided + 1)
                    ordering.on_certified(Root(bytes([certified]) * 32, (certified, 0), certified))
                    say(ordering)
                case "again" if certified < decided:
                    say(ordering, Broadcast(words[draw.randrange(certified + 1, decided + 1)]))
    except AssertionError:
        return ("P19",)
    return ()


def an_ordering(kind: type[Ordering]) -> Ordering:
    """An ordering of this kind, with a puppet for its plugin and nothing around it."""
    setup = Setup(GENESIS, 0, SIGNER, Puppet, ())
    guard = Guard(SIGNER, network=GENESIS.network, epoch=GENESIS.epoch.id, said={}, floors={},
                  checkpoint=None)  # fmt: skip
    recovered = SimpleNamespace(decided=Root(b"", (0,), 0), decided_ordinal=0, positions=(),
                                decisions=(), sent=(), record=None)  # fmt: skip
    pool = SimpleNamespace(lag=0, ordered={}, transactions=lambda digest: None)
    spreading: Any = SimpleNamespace(pool=pool, oldest_age=lambda: None,
                                     pace=SimpleNamespace(begins=lambda value, now_ms: None),
                                     want=lambda missing, proposer: None)  # fmt: skip
    nothing: Any = None
    return kind(setup, cast("Any", recovered), Outbox(0, 0), guard, spreading,
                lambda effect: None, nothing, lambda: True)  # fmt: skip


def say(ordering: Ordering, *effects: Effect) -> None:
    """Let the plugin say this upon its next event, and carry it out."""
    assert isinstance(ordering.plugin, Puppet)
    ordering.run()  # What waits comes first, and the plugin has nothing to say to that.
    ordering.plugin.says = effects
    ordering._queue(Pending(0))
    ordering.run()


PART = Part("floors", Ordering, KINDS, broken)
