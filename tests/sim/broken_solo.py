"""Solo with one rule broken, each in one place: what the conformance suite must show red."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from consensus.interface import Message, Signed
from consensus.protocols.solo import SEQUENCE, Sequenced, Solo
from ledger.statement import Slot


class Forgetful(Solo):
    """After a restart it says something else."""

    def said(self, phase: str, slot: Slot) -> Message | None:
        return None


@dataclass(frozen=True, slots=True)
class Unbound(Sequenced):
    """Signs the number and not the value."""

    def statement(self) -> tuple[str, Slot, bytes]:
        return SEQUENCE, self.value.slot, b""


class SignsNothing(Solo):
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Unbound,)


class Salted(Solo):
    """Waits as long as a salted hash says."""

    def on_message(self, signed: Signed) -> None:
        super().on_message(signed)
        self.set_timer("salted", (1,), hash("salt") % 50)

    def on_timer(self, timer: object) -> None:
        pass


class Brittle(Solo):
    """Does not come back once anything is decided."""

    def on_start(self) -> None:
        assert self.root.height == 0, "it cannot begin anywhere else"
