"""What protocols share in which one view after another extends a value: everything but the rules.

Beside the tree of undecided values this is how such a protocol falls silent and wakes up: empty
values are worth proposing only while a value with payload awaits its decision, and the timer of
the view runs exactly while there is work.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from consensus.doubling import failing_ms, growing_ms
from consensus.interface import Consensus, Context, Recovery, Signed
from consensus.tally import Tally
from consensus.tree import Tree
from ledger.statement import Slot
from ledger.validators import ValidatorSet

DOUBLINGS_MAX = 20
NO_VIEW: Slot = (0,)
"""The slot of a request for payload that is not proposed, but shows whether there is any."""


class Chained(Consensus):
    """A plugin with the parameters `timeout_ms` and `timeout_max_ms`, whose slots are (view,)."""

    VIEWS_A_DECISION: ClassVar[int]
    """At best a value is decided on entering this many views after its own."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.tree = Tree(self.root)
        self.tally = Tally()
        self.pending = False
        """Whether there may be something to order: from `on_pending` until the root moves, upon
        which the replica says so again where something is left."""
        self._woken = False
        """Whether `on_pending` came since a payload was asked for."""
        self._timer: Slot | None = None

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # Views that failed one after the other took at least their timeouts, which double: the
        # timer that runs at the end of the chaos is not longer than all of it, and one more start.
        # When it fires, timeouts and the certificate of entry go out again; two messages later
        # everybody is in the highest view, even where a tc had been lost.  From there on so many
        # views may fail before enough in a row have honest leaders as `failing_views` says.  A view
        # that does not fail takes a proposal, votes, and perhaps values to fetch before that.
        # Where the first timeout is shorter than such a view, it must double past that, too.
        view_ms = 6 * delay_ms
        longest_ms = max(parameters["timeout_max_ms"], view_ms)
        timeout_ms = min(max(parameters["timeout_ms"], view_ms) + 2 * chaos_ms, longest_ms)
        each = cls.views_a_doubling()
        views = cls.failing_views(validators)
        return (
            2 * timeout_ms
            + 2 * delay_ms
            + growing_ms(parameters["timeout_ms"], view_ms, each=each)
            + failing_ms(timeout_ms, longest_ms, views=views, between_ms=2 * delay_ms, each=each)
            + (validators.size + cls.VIEWS_A_DECISION) * view_ms
        )

    @classmethod
    def failing_views(cls, validators: ValidatorSet) -> int:
        """How many views may fail before a decision, once messages come in time and f are silent.

        Where everyone leads in turn and three honest leaders in a row decide (Jolteon), a silent
        one costs its own view and the one before, whose votes it was to collect.
        """
        return 2 * validators.faults

    @classmethod
    def views_a_doubling(cls) -> int:
        """How many views in a row have timers of one length before it doubles."""
        return 1

    @property
    @abstractmethod
    def view(self) -> int:
        """The current view."""

    @abstractmethod
    def act(self) -> None:
        """Do all that the state allows; doing it twice changes nothing."""

    @abstractmethod
    def tips(self) -> list[bytes]:
        """Digests of what we build on or may vote for: whose ancestors must be known."""

    def fetch_missing(self) -> None:
        """Ask for the first unknown value on the way to each tip."""
        for tip in self.tips():
            missing = self.tree.to_fetch(tip)
            if missing is not None:
                self.fetch(missing)

    def validate_next(self) -> None:
        """Ask about the oldest value on the way to each tip that nobody judged yet."""
        for tip in self.tips():
            value = self.tree.to_validate(tip)
            if value is not None:
                self.validate(value)

    def awaits_decision(self) -> bool:
        """Whether a value with payload, or an unknown one, is certified or proposed."""
        return any(self.tree.has_payload(tip) for tip in self.tips())

    def has_work(self) -> bool:
        """Whether this validator has a reason to want another view."""
        return self.pending or self.awaits_decision()

    def keep_time(self) -> None:
        """Let the timer of the view run exactly while there is work."""
        wanted = (self.view,) if self.has_work() else None
        if self._timer == wanted:
            return
        if self._timer is not None:
            self.cancel_timer("view", self._timer)
        if wanted is not None:
            self.set_timer("view", wanted, self.timeout_ms())
        self._timer = wanted

    def has_fired(self, slot: Slot) -> bool:
        """Whether the timer that fired is the one that runs, which it then no longer does."""
        fired = slot == self._timer
        if fired:
            self._timer = None
            self.tree.ask_again()
        return fired

    def on_pending(self, oldest_age: int) -> None:
        self.pending = self._woken = True
        self.act()

    def ask_payload(self, slot: Slot, parent: bytes) -> None:
        """Ask for a payload, or with NO_VIEW whether there still is any: batches expire, too."""
        self._woken = False
        self.request_payload(slot, parent)

    def found_nothing(self) -> None:
        """The payload was empty: there is nothing to order, unless it came just now."""
        self.pending = self._woken

    def timeout_ms(self) -> int:
        """Doubles with the views since the last decision beyond those that one takes at best."""
        late = max(0, self.view - self.root.slot[0] - self.VIEWS_A_DECISION)
        doubled = self.parameters["timeout_ms"] << min(
            late // self.views_a_doubling(), DOUBLINGS_MAX
        )
        return min(doubled, self.parameters["timeout_max_ms"])

    def count(self, signed: Signed) -> None:
        """Count a statement, and accuse its signer where it said something else before."""
        earlier = self.tally.add(signed)
        if earlier is not None:
            self.accuse(earlier, signed)
