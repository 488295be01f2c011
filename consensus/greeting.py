"""What a validator asks before it speaks again: the highest statements the others have from it.

After a restart a validator signs nothing until a quorum, itself included, has answered.  A
signature of its own above its record (a rolled-back or lost disk, a second process under the same
key) is a reason never to vote in this epoch again; it may still follow.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.certifier import Certifier
from consensus.guard import Guard
from consensus.ordering import Ordering
from consensus.outbox import Outbox
from consensus.packets import WhatDidISay, YouSaid
from consensus.recovery import Setup
from ledger.certified import checkpoint_message, parse_certificate
from ledger.statement import Statement


class Greeting:
    """One restart's questions and answers."""

    def __init__(
        self,
        setup: Setup,
        outbox: Outbox,
        guard: Guard,
        ordering: Ordering,
        begin: Callable[[int | None], None],
    ) -> None:
        self._setup = setup
        self._outbox = outbox
        self._guard = guard
        self._ordering = ordering
        self._begin = begin
        self._salt = 0
        self._answered: dict[int, None] = {}
        self.open = False
        """Whether answers are still awaited."""
        self.refusal: str | None = None
        """Why this validator does not vote, in one line."""

    def start(self, salt: int) -> None:
        """Ask everyone, or begin at once where nobody need be asked."""
        me = self._setup.me
        if me is None:
            self._begin(None)
            return
        self._salt = salt
        self.open = True
        self._answered[me] = None
        self._outbox.send_all(WhatDidISay(salt))
        self._conclude()

    def ask(self, peer: int) -> None:
        """A link came up, or time passed: ask whoever has not answered."""
        if self.open and peer not in self._answered:
            self._outbox.send(peer, WhatDidISay(self._salt))

    def ask_again(self) -> None:
        """Time passed: ask everyone, for where links are few who has not answered is no peer."""
        if self.open:
            self._outbox.send_all(WhatDidISay(self._salt))

    def on_question(
        self, peer: int, packet: WhatDidISay, certifier: Certifier, note: bytes | None
    ) -> None:
        """Tell a peer what is known of its words."""
        statements = tuple(
            (phase, slot, value, signature)
            for phase, (slot, value, signature) in sorted(
                self._ordering.highest.get(peer, {}).items()
            )
        )[:16]
        checkpoint = self._checkpoint_of(peer, certifier, note)
        self._outbox.send(peer, YouSaid(packet.salt, statements, checkpoint))

    def _checkpoint_of(
        self, peer: int, certifier: Certifier, note: bytes | None
    ) -> tuple[int, int, bytes, bytes] | None:
        for height in sorted(certifier.signatures, reverse=True):
            for (size, root), signers in certifier.signatures[height].items():
                if peer in signers:
                    return (height, size, root, signers[peer])
        if note is None:
            return None
        validators = self._setup.genesis.epoch.validators
        certificate = parse_certificate(note, self._setup.genesis.origin, validators)
        signature = dict(certificate.signatures).get(peer)
        if signature is None:
            return None
        return (max(1, certifier.certified), certificate.size, certificate.root, signature)

    def on_answer(self, peer: int, packet: YouSaid) -> None:
        """Compare a peer's memory with the own record; only own signatures count."""
        if not self.open or packet.salt != self._salt:
            return
        me = self._setup.me
        assert me is not None
        genesis = self._setup.genesis
        validator, suite = genesis.epoch.validators.member(me), self._setup.suite
        for phase, slot, value, signature in packet.statements:
            statement = Statement(genesis.network, genesis.epoch.id, phase, slot, value)
            said = statement.signed_bytes()
            if not suite.statements.verify(validator.statement_key, said, signature):
                continue
            if not self._guard.has_said(phase, slot, value):
                self._refuse(f"validator {peer} holds its {phase} for {slot}")
        if packet.checkpoint is not None:
            _, size, root, signature = packet.checkpoint
            key, mine = validator.checkpoint_key, self._guard.checkpoint
            text = checkpoint_message(key, genesis.origin, size, root)
            is_new = mine is None or mine.size < size
            if is_new and suite.checkpoints.verify(key, text, signature):
                self._refuse(f"validator {peer} holds its checkpoint of size {size}")
        self._answered[peer] = None
        self._conclude()

    def _refuse(self, what: str) -> None:
        self.refusal = (
            f"this validator does not vote: {what}, which is not in its own record. Its disk was "
            "lost or rolled back, or another process uses its key"
        )

    def _conclude(self) -> None:
        if not self.open or len(self._answered) < self._setup.genesis.epoch.validators.quorum:
            return
        self.open = False
        if self.refusal is not None:
            self._outbox.report("refused to vote", reason=self.refusal)
        self._begin(None if self.refusal else self._setup.me)
