"""What a Raft server knows, and when its timers run; the rules are in `raft.py`."""

from __future__ import annotations

import hashlib
from enum import Enum

from consensus.interface import Consensus, Context, Message, Recovery
from consensus.protocols.raft_messages import APPEND, NOWHERE
from consensus.protocols.raft_record import parse_record
from consensus.tally import Tally
from consensus.tree import Tree
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.value import Value

DOUBLINGS_MAX = 20
PATIENCE = 4
"""A leader waits for a quorum so many times as long as a follower waits at least for a leader."""


class Role(Enum):
    """What a server is in its term (figure 3.3)."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Server(Consensus):
    """The state of figure 3.1, of one validator or observer."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tree = Tree(self.root)
        self.tally = Tally()
        self.term = 0
        """The paper's currentTerm."""
        self.role = Role.FOLLOWER
        self.leading: int | None = None
        """Who leads this term, as far as we know."""
        self.tip = self.root.value
        """Digest of the last entry of the log."""
        self.commit: Certificate | None = None
        """The latest certificate of a quorum's acceptances: the paper's commitIndex, proven."""
        self.pending = False
        """Whether there may be something to order."""
        self._woken = False
        self._offered: Value | None = None
        """The leader's entry that is not accepted yet."""
        self._requested = False
        self._timers: dict[str, Slot] = {}
        self._recover(recovery)

    @property
    def last(self) -> Slot:
        """(lastLogTerm, lastLogIndex)."""
        slot = self.tree.slot_of(self.tip)
        assert slot is not None, "the log ends in an entry that is here"
        return slot if len(slot) == 2 else NOWHERE

    def _next_slot(self) -> Slot:
        return (self.term, self.last[1] + 1)

    def _is_entry(self, value: Value) -> bool:
        return value.epoch == self.context.epoch and len(value.slot) == 2

    def _tips(self) -> list[bytes]:
        """Digests of entries whose ancestors must be known."""
        offered = [self._offered.digest] if self._offered is not None else []
        is_ahead = self.commit is not None and self.commit.slot > self.root.slot
        return [*offered, *([self.commit.value] if self.commit is not None and is_ahead else [])]

    def _awaits_decision(self) -> bool:
        """Whether an entry that is not decided orders something."""
        tips = [self.tip, *self._tips()]
        return any(self.tree.has_payload(tip) for tip in tips if tip != self.root.value)

    def _has_work(self) -> bool:
        return self.pending or self._awaits_decision()

    def _under_way(self) -> Message | None:
        """The own entry of this term that is not decided, whether it is in the own log or not."""
        is_open = self.tip != self.root.value and self.last[0] == self.term
        return self.said(APPEND, self.last if is_open else self._next_slot())

    def _keep_time(self) -> None:
        """Timers run exactly while there is work."""
        if not self._has_work():
            self._stop_all()
            return
        if self.role is not Role.LEADER:
            self._run("election", self._election_ms())
        elif self._under_way() is not None:
            self._run("lead", PATIENCE * self._least_ms())
        if self.role is not Role.FOLLOWER:
            self._run("retry", self.parameters["heartbeat_ms"])

    def _run(self, name: str, delay_ms: int) -> None:
        if name not in self._timers:
            self._timers[name] = (self.term,)
            self.set_timer(name, (self.term,), delay_ms)

    def _stop(self, name: str) -> None:
        slot = self._timers.pop(name, None)
        if slot is not None:
            self.cancel_timer(name, slot)

    def _stop_all(self) -> None:
        for name in tuple(self._timers):
            self._stop(name)

    def _least_ms(self) -> int:
        """How long a follower waits at least in this term; doubles until something is decided."""
        failed = max(0, self.term - self.root.slot[0] - 1)
        doubled = self.parameters["election_ms"] << min(failed, DOUBLINGS_MAX)
        return min(doubled, self.parameters["election_max_ms"])

    def _election_ms(self) -> int:
        """Drawn for each server and term, from once to twice the least time."""
        least_ms = self._least_ms()
        drawn = hashlib.sha256(b"%b %d %d" % (self.context.epoch, self.me or 0, self.term)).digest()
        return least_ms + least_ms * int.from_bytes(drawn[:4], "big") // 2**32

    def _recover(self, recovery: Recovery) -> None:
        """Restart: the term, the vote and the log are as they were."""
        values: tuple[Value, ...] = ()
        if recovery.record is not None:
            record = parse_record(recovery.record)
            self.term, values = record.term, record.entries
        for value in values:
            self.tree.add(value)
        if values and self.tree.path(values[-1].digest) is not None:
            self.tip = values[-1].digest
        for signed in recovery.sent:
            self.term = max(self.term, signed.message.statement()[1][0])
        self.term = max(self.term, self.root.slot[0])
