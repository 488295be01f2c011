"""A guard that guards nothing: it signs whatever a Byzantine validator says."""

from __future__ import annotations

from consensus.guard import Guard
from consensus.interface import Message, Signed
from ledger.statement import Slot, Statement
from ledger.store import Write


class LooseGuard(Guard):
    """Signs any value for any phase and slot, settled or not; only for test networks.

    What was said first is recorded like an honest validator's and survives a restart; what
    contradicts it leaves no trace.  Checkpoints are guarded as ever.
    """

    def sign(self, me: int, message: Message) -> tuple[Signed, list[Write]]:
        """The signed message, and what to write with it."""
        assert self._signer is not None, "an observer signs nothing"
        phase, slot, value = message.statement()
        floor = self._floors.get(phase)
        is_settled = floor is not None and slot < floor
        said = self._said.get((phase, slot))
        if not is_settled and (said is None or said[0] == value):
            return super().sign(me, message)
        statement = Statement(self._network, self._epoch, phase, slot, value)
        return Signed(me, message, self._signer.statements.sign(statement.signed_bytes())), []

    def has_said(self, phase: str, slot: Slot, value: bytes) -> bool:
        """Nothing that it is shown surprises it."""
        return True
