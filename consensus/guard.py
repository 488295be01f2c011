"""The guard: one value per (phase, slot), nothing below a settled floor, checkpoints that extend.

It is the last thing before the signature, paired with the plugin's own rules: a plugin that asks
for a second value is our mistake, so the guard asserts.  Its record is durable in the same batch
that lets the statement leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.interface import MESSAGE_BYTES_MAX, Message, Signed
from ledger import encoding, layout
from ledger.encoding import encode
from ledger.keys import ConsensusSigner
from ledger.statement import Slot, Statement
from ledger.store import Write

record_shape = encoding.row(
    encoding.uint(63, low=1),
    encoding.blob(MESSAGE_BYTES_MAX),
    encoding.blob(96),
    encoding.statement_signature,
)
floors_shape = encoding.array(encoding.row(encoding.text(128, low=1), encoding.slot), 64)
CHECKPOINT_PHASE = "checkpoint"
"""Under this name the last signed checkpoint is kept; no plugin may use it as a phase."""


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """The own signature over the log at the end of one block."""

    height: int
    size: int
    root: bytes
    signature: bytes


class Guard:
    """What this validator has signed in one epoch."""

    def __init__(
        self,
        signer: ConsensusSigner | None,
        *,
        network: bytes,
        epoch: bytes,
        said: dict[tuple[str, Slot], tuple[bytes, bytes]],
        floors: dict[str, Slot],
        checkpoint: SignedCheckpoint | None,
    ) -> None:
        self._signer = signer
        self._network = network
        self._epoch = epoch
        self._said = said
        """(phase, slot) -> (value, signature)."""
        self._floors = floors
        self.checkpoint = checkpoint
        """The last one signed."""

    def sign(self, me: int, message: Message) -> tuple[Signed, list[Write]]:
        """The signed message, and what must be durable before it leaves (empty for a re-send)."""
        assert self._signer is not None, "an observer signs nothing"
        phase, slot, value = message.statement()
        assert phase != CHECKPOINT_PHASE
        floor = self._floors.get(phase)
        assert floor is None or slot >= floor, f"{phase} {slot} is below the settled floor {floor}"
        said = self._said.get((phase, slot))
        if said is not None:
            assert said[0] == value, f"a second value for {phase} {slot}"
            return Signed(me, message, said[1]), []
        statement = Statement(self._network, self._epoch, phase, slot, value)
        signature = self._signer.statements.sign(statement.signed_bytes())
        self._said[phase, slot] = (value, signature)
        record = encode((message.KIND, encode(message.row()), value, signature))
        return Signed(me, message, signature), [(layout.signed_key(phase, slot), record)]

    def sign_batch(self, statement: Statement) -> bytes:
        """The creator's signature of a batch; its sequence was reserved durably before."""
        assert self._signer is not None
        return self._signer.statements.sign(statement.signed_bytes())

    def sign_checkpoint(
        self, height: int, size: int, root: bytes, text: bytes
    ) -> tuple[SignedCheckpoint, list[Write]]:
        """Sign the log at the end of a block.  The caller's log extends the one signed last."""
        assert self._signer is not None
        last = self.checkpoint
        assert last is None or (height > last.height and size > last.size), "not an extension"
        signature = self._signer.checkpoints.sign(text)
        signed = SignedCheckpoint(height, size, root, signature)
        self.checkpoint = signed
        record = encode((height, size, root, signature))
        return signed, [(layout.signed_key(CHECKPOINT_PHASE, (0,)), record)]

    def settle(self, phase: str, floor: Slot) -> list[Write]:
        """Forget what was said below floor, and never say anything there again."""
        if floor <= self._floors.get(phase, (0,)):
            return []
        self._floors[phase] = floor
        gone = [key for key in self._said if key[0] == phase and key[1] < floor]
        for key in gone:
            del self._said[key]
        writes: list[Write] = [(layout.signed_key(*key), None) for key in sorted(gone)]
        writes.append((layout.FLOORS, encode(tuple(sorted(self._floors.items())))))
        return writes

    def has_said(self, phase: str, slot: Slot, value: bytes) -> bool:
        """Whether a statement shown to us is in our record, or settled."""
        floor = self._floors.get(phase)
        if floor is not None and slot < floor:
            return True
        said = self._said.get((phase, slot))
        return said is not None and said[0] == value
