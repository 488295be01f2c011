"""Where a player of Streamlet stands: what it saw notarized, and which epoch its clock shows.

The rules stand in `streamlet.py`, which is to be read first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from consensus.chained import Chained
from consensus.interface import Context, Recovery
from consensus.protocols.streamlet_messages import VOTE, Propose
from consensus.protocols.streamlet_record import Record, parse_record
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value

BEHIND, AHEAD = 8, 2
"""Epochs back and ahead of which messages are kept: clocks differ a little."""
HONEST_EPOCHS = 5
"""So many epochs with honest leaders in a row decide (theorem of liveness)."""
UNLIKELY = 1e-9


class Player(Chained):
    """The state of one validator, or of an observer."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.notarized: dict[int, Certificate] = {}
        """The notarizations that were seen, by epoch, above the root."""
        self._proposals: dict[bytes, Propose] = {}
        """Proposals of this epoch and of the next ones by value digest, oldest first."""
        self._requested: tuple[int, bytes] | None = None
        """The epoch and the parent of the block whose payload was asked for."""
        self._shown = 0
        """The last epoch in which the own longest chain was shown."""
        self._recover(recovery)

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # Nothing grows, so what lasted before does not matter: the next run of honest leaders
        # decides.  They are drawn; a longer wait than this is as good as impossible.
        honest = (validators.size - validators.faults) / validators.size
        epochs = _epochs_until_run(HONEST_EPOCHS, honest)
        return (epochs + 2) * parameters["epoch_ms"] + 4 * delay_ms

    @property
    def view(self) -> int:
        """The current epoch, by the clock on the wall."""
        return self.now.wall_ms // self.parameters["epoch_ms"]

    def leader(self, slot: Slot) -> int:
        """H(e) mod n: drawn, the same for everybody."""
        drawn = hashlib.sha256(self.context.epoch + slot[0].to_bytes(8, "big")).digest()
        return int.from_bytes(drawn[:8], "big") % self.validators.size

    def last_voted(self) -> int:
        """The highest epoch that this validator has voted in, or can no longer vote in."""
        voted = [slot[0] for phase, slot in self._said if phase == VOTE]
        return max(self.root.slot[0], *voted, 0)

    def longest(self) -> list[bytes]:
        """The last blocks of the longest notarized chains that are known, the newest last."""
        tips, longest = [self.root.value], 0
        for epoch in sorted(self.notarized):
            path = self.tree.path(self.notarized[epoch].value)
            length = len(path) if path is not None else 0
            if length > longest:
                tips, longest = [], length
            if length == longest and length:
                tips.append(self.notarized[epoch].value)
        return tips

    def _candidates(self) -> list[Propose]:
        """The proposals of this epoch."""
        return [each for each in self._proposals.values() if each.epoch == self.view]

    # --- what is work, and when the next epoch begins ---------------------------------------------

    def has_work(self) -> bool:
        is_waiting = any(each.epoch > self.view for each in self._proposals.values())
        return is_waiting or super().has_work()

    def awaits_decision(self) -> bool:
        """Whether a block with payload on a longest chain, or an unknown one, is not decided."""
        unknown = [
            each.value for each in self.notarized.values() if self.tree.path(each.value) is None
        ]
        return any(self.tree.has_payload(tip) for tip in (*unknown, *self.longest()))

    def tips(self) -> list[bytes]:
        notarized = [certificate.value for certificate in self.notarized.values()]
        return [*(each.value.digest for each in self._candidates()), *notarized]

    def keep_time(self) -> None:
        """Wake up at the beginning of the next epoch exactly while there is work."""
        wanted = (self.view + 1,) if self.has_work() else None
        if self._timer == wanted:
            return
        if self._timer is not None:
            self.cancel_timer("epoch", self._timer)
        if wanted is not None:
            begin_ms = wanted[0] * self.parameters["epoch_ms"]
            self.set_timer("epoch", wanted, begin_ms - self.now.wall_ms)
        self._timer = wanted

    # --- durability -------------------------------------------------------------------------------

    def _persist(self, value: Value) -> None:
        """Make durable, with the vote for a value, what was seen notarized: peers may lose it."""
        tips = [value.digest, *(each.value for each in self.notarized.values())]
        kept = {each.digest: each for tip in tips for each in self.tree.known(tip)}
        self.persist(Record(tuple(self.notarized.values()), tuple(kept.values())).encode())

    def _learn(self, notarization: Certificate) -> None:
        """Remember that a block is notarized."""
        epoch = notarization.slot[0]
        if epoch > self.root.slot[0]:
            self.notarized.setdefault(epoch, notarization)

    def _recover(self, recovery: Recovery) -> None:
        """Go on from the last vote."""
        values: tuple[Value, ...] = ()
        if recovery.record is not None:
            record = parse_record(recovery.record)
            values = record.values
            for notarization in record.notarizations:
                self._learn(notarization)
        for signed in recovery.sent:
            values += signed.message.values()
        for value in values:
            self.tree.add(value)


def _epochs_until_run(length: int, share: float) -> int:
    """After how many draws a run of this length of this share is all but certain."""
    runs, draws = [1.0] + [0.0] * (length - 1), 0
    while sum(runs) > UNLIKELY:
        runs = [(1 - share) * sum(runs), *(share * each for each in runs[:-1])]
        draws += 1
    return draws
