"""One Jolteon plugin on a bench: events in by hand, effects out for inspection.

Four validators, of which validator `me` is on the bench; the leader of view v is v mod 4.
Signatures are blank: plugins never look at them.
"""

from __future__ import annotations

from typing import TypeVar

from consensus.interface import (
    Broadcast,
    CertificateReceived,
    Consensus,
    Context,
    Decide,
    DecisionProof,
    DecisionReceived,
    Effect,
    Event,
    Message,
    Now,
    PayloadReady,
    Pending,
    Persist,
    Received,
    Recovery,
    Root,
    Send,
    Signed,
    Start,
    Timer,
    TimerFired,
    Validate,
    ValueReceived,
    Verdict,
)
from consensus.pacemaker import Paced
from consensus.pacemaker_messages import TIMEOUT, VOTE, Proposal, Timeout, Vote, qc_view
from consensus.protocols.jolteon import Jolteon
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.encoding import encode
from ledger.validators import QuorumRule, Validator, ValidatorSet
from ledger.value import Value

EPOCH = b"e" * 32
BLANK = b"\x00" * 64
GENESIS = Root(b"", (0,), 0)
VALIDATORS = ValidatorSet(
    tuple(Validator(f"v{i}", bytes([i]) * 32, bytes([i]) * 32, b"none") for i in range(4)),
    QuorumRule.BYZANTINE,
)
PAYLOAD = (b"p" * 32,)
Kind = TypeVar("Kind")


def value_at(view: int, parent: Value | None = None, payload: tuple[bytes, ...] = PAYLOAD) -> Value:
    """The value that the leader of a view proposes on a parent, or on the first root."""
    return Value(EPOCH, parent.digest if parent else b"", (view,), view % 4, 1_000 + view, payload)


def chain_of(*views: int, payload: tuple[bytes, ...] = PAYLOAD) -> list[Value]:
    """Values of these views, each the parent of the next."""
    values: list[Value] = []
    for view in views:
        values.append(value_at(view, values[-1] if values else None, payload))
    return values


def qc_of(value: Value) -> Certificate:
    return Certificate(VOTE, value.slot, value.digest, tuple((i, BLANK) for i in range(3)))


def tc_of(view: int, *known: Certificate | None) -> TimeoutCertificate:
    """A certificate that view timed out, whose three signers knew these qcs."""
    says = [encode((qc_view(qc), qc.value if qc is not None else b"")) for qc in known]
    entries = tuple((index, said, BLANK) for index, said in enumerate(says))
    return TimeoutCertificate(TIMEOUT, (view,), entries)


def proof_of(child: Value) -> DecisionProof:
    return DecisionProof((qc_of(child),), (child,))


class Bench:
    """A plugin, and every effect that it had."""

    def __init__(
        self,
        me: int | None = 0,
        *,
        root: Root = GENESIS,
        record: bytes | None = None,
        sent: tuple[Signed, ...] = (),
        protocol: type[Paced] = Jolteon,
    ) -> None:
        context = Context(
            b"n" * 32, EPOCH, me, VALIDATORS, dict(Jolteon.PARAMETERS), slot_window=100
        )
        self.plugin = protocol(context, Recovery(root, record, sent))
        self.effects: list[Effect] = []
        self.take(Start())

    @property
    def consensus(self) -> Consensus:
        return self.plugin

    def take(self, event: Event) -> list[Effect]:
        """One step; its effects."""
        effects = self.plugin.step(Now(5_000, 9_000), event)
        self.effects += effects
        return effects

    def hear(self, sender: int, message: Message) -> list[Effect]:
        return self.take(Received(Signed(sender, message, BLANK)))

    def propose(
        self, value: Value, qc: Certificate | None = None, tc: TimeoutCertificate | None = None
    ) -> list[Effect]:
        """The leader's proposal arrives, and whatever validation asks is found valid."""
        effects = self.hear(value.proposer, Proposal(value, qc, tc))
        return effects + self.approve(effects)

    def approve(self, effects: list[Effect]) -> list[Effect]:
        """Answer every question for validity with yes, and the questions that follow."""
        answers: list[Effect] = []
        asked = of(effects, Validate)
        while asked:
            new = [e for each in asked for e in self.take(Verdict(each.value, True))]
            answers += new
            asked = of(new, Validate)
        return answers

    def certify(self, certificate: Certificate | TimeoutCertificate) -> list[Effect]:
        return self.take(CertificateReceived(certificate))

    def wake(self) -> list[Effect]:
        return self.take(Pending(0))

    def ring(self, view: int) -> list[Effect]:
        return self.take(TimerFired(Timer("view", (view,))))

    def fill(self, view: int, payload: tuple[bytes, ...] = PAYLOAD) -> list[Effect]:
        return self.take(PayloadReady((view,), payload))

    def give(self, value: Value) -> list[Effect]:
        return self.take(ValueReceived(value))

    def hear_decision(self, values: list[Value], proof: DecisionProof) -> list[Effect]:
        return self.take(DecisionReceived(tuple(values), proof))

    @property
    def decided(self) -> list[Value]:
        """Everything decided so far, in order."""
        return [value for effect in of(self.effects, Decide) for value in effect.values]

    @property
    def record(self) -> bytes | None:
        """What was made durable last."""
        persisted = of(self.effects, Persist)
        return persisted[-1].record if persisted else None

    @property
    def sent(self) -> tuple[Signed, ...]:
        """What this validator said, each once, as a restart finds it."""
        assert self.plugin.me is not None
        said: dict[tuple[str, tuple[int, ...]], Signed] = {}
        for effect in of(self.effects, Broadcast) + of(self.effects, Send):
            if isinstance(effect.what, Message):
                phase, slot, _ = effect.what.statement()
                said[phase, slot] = Signed(self.plugin.me, effect.what, BLANK)
        return tuple(said.values())

    def restart(self) -> Bench:
        """The same validator after a crash, from what was durable."""
        return Bench(
            self.plugin.me,
            root=self.plugin.root,
            record=self.record,
            sent=self.sent,
            protocol=type(self.plugin),
        )


def of(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def votes_in(effects: list[Effect]) -> list[tuple[int | None, Vote]]:
    """(receiver, vote) of every vote; the receiver is None for a broadcast."""
    return [
        (effect.to if isinstance(effect, Send) else None, effect.what)
        for effect in effects
        if isinstance(effect, Send | Broadcast) and isinstance(effect.what, Vote)
    ]


def broadcasts(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    """Whatever of one kind was broadcast."""
    return [effect.what for effect in of(effects, Broadcast) if isinstance(effect.what, kind)]


def timeouts_in(effects: list[Effect]) -> list[Timeout]:
    return broadcasts(effects, Timeout)


def feed(bench: Bench, chain: list[Value]) -> None:
    """The proposals of a chain arrive, after gaps with the tc that explains them."""
    for parent, value in zip([None, *chain], chain, strict=False):
        qc = qc_of(parent) if parent is not None else None
        view = value.slot[0]
        late = view > (parent.slot[0] if parent is not None else 0) + 1
        bench.propose(value, qc, tc_of(view - 1, qc, None, None) if late else None)
