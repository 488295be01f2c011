"""Catching up: who is ahead, whom to ask, and what to do with a checked range.

A node behind asks one peer for a range of certified blocks, recomputes the log's root, compares it
with the certificate at the range's end, and only then executes.  It asks again elsewhere when no
answer comes.  Claims of a height are only hints about whom to ask: they never stop anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RANGE_BYTES_MAX = 4 * 1024 * 1024
RANGE_BLOCKS_MAX = 256
PATIENCE_MS = 2_000
"""How long an asked peer has before another one is asked."""


@dataclass(slots=True)
class CatchUp:
    """What is known of the others, and the one range that is on its way."""

    claims: dict[int, int] = field(default_factory=dict)
    """Connected peer -> certified height that it claims."""
    asked: int | None = None
    """The peer that was asked for a range."""
    asked_ms: int = 0
    checking: bool = False
    """A range is being checked."""
    failures: dict[int, int] = field(default_factory=dict)
    """Peer -> how often it sent nothing, or nothing right, since it last sent what was right: who
    claims most is not asked first for ever."""

    def claim(self, peer: int, certified: int) -> None:
        """A peer says how far it is; its latest word counts, also a lower one."""
        self.claims[peer] = certified

    def gone(self, peer: int) -> None:
        """A peer's link is down.  One that was asked has sent nothing: else a liar that hangs up,
        and claims the most when it comes back, would be the first to be asked each time."""
        if self.asked == peer:
            self._failed(peer)
        self._forget(peer)

    def best(self) -> int:
        """The highest certified height that a connected peer claims."""
        return max(self.claims.values(), default=0)

    def whom_to_ask(self, height: int, now_ms: int) -> int | None:
        """The peer to ask for blocks above height now, or None."""
        if self.checking:
            return None
        if self.asked is not None:
            if now_ms - self.asked_ms < PATIENCE_MS:
                return None
            # It did not answer in time: believe it again only when it says so again.
            self._failed(self.asked)
            self._forget(self.asked)
        if self.best() <= height:
            return None
        ahead = sorted(
            (peer for peer, claimed in self.claims.items() if claimed > height),
            key=lambda peer: (self.failures.get(peer, 0), -self.claims[peer], peer),
        )
        if not ahead:
            return None
        self.asked, self.asked_ms = ahead[0], now_ms
        return ahead[0]

    def refused(self, peer: int) -> None:
        """A range from this peer was wrong or empty."""
        self._failed(peer)
        self._forget(peer)
        self.checking = False

    def accepted(self) -> None:
        """A range is right and goes to its execution."""
        if self.asked is not None:
            self.failures.pop(self.asked, None)
        self.asked = None
        self.checking = False

    def _forget(self, peer: int) -> None:
        self.claims.pop(peer, None)
        if self.asked == peer:
            self.asked = None

    def _failed(self, peer: int) -> None:
        self.failures[peer] = self.failures.get(peer, 0) + 1
