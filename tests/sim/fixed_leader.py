"""A plugin for tests of the simulator: validator 0 leads for ever, a quorum of votes decides.

It is safe, and live as long as validator 0 comes back.  What it lacks in views it makes up in
brevity: a test that breaks one of its rules says in a few lines which oracle must notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import (
    Consensus,
    Context,
    DecisionProof,
    Message,
    Recovery,
    Root,
    Signed,
    Timer,
)
from consensus.tally import Tally
from ledger import encoding
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

LEADER = 0
RETRY_MS = 400


@dataclass(frozen=True, slots=True)
class Proposal(Message):
    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[encoding.Shape] = encoding.row(encoding.blob(VALUE_BYTES_MAX))
    value: Value

    def row(self) -> tuple[Any, ...]:
        return (self.value.raw,)

    @classmethod
    def from_row(cls, row: Any) -> Proposal:
        return cls(parse_value(row[0]))

    def statement(self) -> tuple[str, Slot, bytes]:
        return "propose", self.value.slot, self.value.digest

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class Vote(Message):
    KIND: ClassVar[int] = 2
    SHAPE: ClassVar[encoding.Shape] = encoding.row(encoding.slot, encoding.digest)
    slot: Slot
    value: bytes

    def row(self) -> tuple[Any, ...]:
        return (self.slot, self.value)

    @classmethod
    def from_row(cls, row: Any) -> Vote:
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return "vote", self.slot, self.value


class FixedLeader(Consensus):
    name: ClassVar[str] = "fixed-leader"
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Proposal, Vote)
    PARAMETERS: ClassVar[Mapping[str, int]] = {}

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self._tally = Tally()
        self._proposals: dict[Slot, Value] = {}
        self._is_asking = False
        for signed in recovery.sent:
            if isinstance(signed.message, Proposal):
                self._proposals[signed.message.value.slot] = signed.message.value

    @property
    def slot(self) -> Slot:
        """The first slot that is not decided here."""
        return (self.root.slot[0] + 1,)

    def on_start(self) -> None:
        self._repeat()

    def on_message(self, signed: Signed) -> None:
        match signed.message:
            case Proposal(value) if signed.sender == LEADER:
                self._proposals.setdefault(value.slot, value)
                if value.slot == self.slot:
                    self.validate(value)
            case Vote(slot, _) if slot >= self.slot:
                self._tally.add(signed)
        self._try_decide()

    def on_verdict(self, value: Value, valid: bool) -> None:
        if valid and value.slot == self.slot and self.me is not None:
            if self.said("vote", value.slot) is None:
                self.broadcast(Vote(value.slot, value.digest))
            self.set_timer("retry", value.slot, RETRY_MS)

    def on_pending(self, oldest_age: int) -> None:
        is_open = self.said("propose", self.slot) is not None
        if self.me == LEADER and not is_open and not self._is_asking:
            self._is_asking = True
            self.request_payload(self.slot, b"")

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        self._is_asking = False
        if payload and slot == self.slot and self.said("propose", slot) is None:
            assert self.me is not None
            self.propose(Value(self.context.epoch, b"", slot, self.me, self.now.wall_ms, payload))

    def propose(self, value: Value) -> None:
        self.broadcast(Proposal(value))
        self.set_timer("retry", value.slot, RETRY_MS)

    def on_timer(self, timer: Timer) -> None:
        if timer.slot == self.slot:
            self._repeat()

    def _repeat(self) -> None:
        """Say again what this validator said in the open slot, until it is decided."""
        for phase in ("propose", "vote"):
            message = self.said(phase, self.slot)
            if message is not None:
                self.broadcast(message)
                self.set_timer("retry", self.slot, RETRY_MS)

    def quorum(self) -> int:
        return self.validators.quorum

    def _try_decide(self) -> None:
        value = self._proposals.get(self.slot)
        while value is not None:
            votes = self._tally.certificate("vote", self.slot, value.digest, self.quorum())
            if votes is None:
                return
            self._take(value, votes)
            value = self._proposals.get(self.slot)
            if value is not None:
                self.validate(value)

    def _take(self, value: Value, votes: Certificate) -> None:
        self.decide((value,), DecisionProof((votes,)))
        self._forget()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        votes = proof.certificates[0]
        is_next = len(values) == 1 and values[0].slot == self.slot
        if is_next and (votes.phase, votes.slot, votes.value) == (
            "vote", self.slot, values[0].digest,
        ):  # fmt: skip
            self._take(values[0], votes)
            self._try_decide()

    def on_certified(self, root: Root) -> None:
        if root.slot > self.root.slot:
            self.adopt(root)
            self._forget()
        for phase in ("propose", "vote"):
            self.settle(phase, (root.slot[0] + 1,))
        self._try_decide()

    def _forget(self) -> None:
        self._tally.forget_below(self.slot)
        self._is_asking = False
        for slot in [slot for slot in self._proposals if slot < self.slot]:
            del self._proposals[slot]
