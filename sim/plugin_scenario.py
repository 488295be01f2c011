"""What a run of bare plugins follows from, and what it found.

A *seat* is one running plugin.  Seat i < n belongs to validator i; every twin adds one further
seat, in the order of `twins`, which runs the same honest protocol under the same key and sees
another part of the network (Bano et al., "Twins: BFT Systems Made Robust", 2021).  An attack
changes what all seats of a validator let leave (consensus/byzantine).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from consensus.interface import Consensus
from ledger.validators import QuorumRule, Validator, ValidatorSet
from ledger.value import Value

MS = 1_000
"""Microseconds in a millisecond."""
_MEANS = 8
"""An exponentially distributed time exceeds so many times its mean once in three thousand."""
_EXCHANGES = 40
"""Within so many exchanges with one peer each, a seat has met the one that has what it lacks."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A seat loses what is not durable, and comes back from what is."""

    seat: int
    at_ms: int
    until_ms: int | None
    """None: it never comes back."""
    boundary: str = "now"
    """Where it strikes: "now", or at the next write: "before", "after" or "amid" its release."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A seat stops, and later sees at once all that happened meanwhile."""

    seat: int
    at_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Partition:
    """Only seats of one group reach one another; seats in no group reach nobody."""

    at_ms: int
    until_ms: int
    groups: tuple[tuple[int, ...], ...]
    is_one_way: bool = False
    """Whether the first group still hears the others, which do not hear it."""
    flap_ms: int = 0
    """How long it lasts and how long it then pauses, again and again; 0: it lasts throughout."""
    timers: int = 0
    """It heals once so many timers of plugins have fired in it, amid a change of view; 0: never."""


@dataclass(frozen=True, slots=True)
class Clock:
    """From a time on a seat's clock is wrong; it stays so, since clocks are never trusted."""

    seat: int
    at_ms: int
    step_ms: int
    """By how much the clock on the wall leaps, perhaps backwards."""
    rate: int = 1_000
    """How fast both clocks run from then on, per thousand."""


Groups = tuple[tuple[int, ...], ...]
"""Seats that hear one another; a seat in no group hears nobody."""


@dataclass(frozen=True, slots=True)
class Round:
    """Who leads one round, and who hears whom in it (Bano et al., "Twins", 2021).

    Slots whose numbers have the sum k belong to round k - 1: rounds of one instance, or views.
    """

    leader: int | None
    """Validator; None: whom the protocol says."""
    groups: Groups
    kinds: tuple[tuple[int, Groups], ...] = ()
    """(kind of message, groups that hold for it instead); 0 stands for bare certificates."""
    deaf: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(kind of message, seats that do not hear it)."""


@dataclass(frozen=True, slots=True)
class Stumble:
    """A seat starts again right behind its first message of a kind in a round."""

    seat: int
    round: int
    """Number of the round, as in `rounds`."""
    kind: int


@dataclass(frozen=True, slots=True)
class PluginScenario:
    """One run of bare plugins: equal scenarios lead to equal runs, event by event.

    Rates are per thousand.  Loss, duplicates, replays, slow links, mutations and split phases end
    at `stable_ms`; incidents must end by then too, or last for ever.
    """

    protocol: type[Consensus]
    seed: int = 0
    nodes: int = 4
    rule: QuorumRule = QuorumRule.BYZANTINE
    parameters: tuple[tuple[str, int], ...] = ()
    """The protocol's parameters that differ from their defaults."""
    twins: tuple[int, ...] = ()
    """Byzantine validators that run twice."""
    attacks: tuple[tuple[int, str], ...] = ()
    """(Byzantine validator, attack), such as (3, "equivocating+delaying")."""
    payloads: int = 6
    """How many the clients submit, each of which must be decided."""
    payload_max: int = 2
    """How many a value takes at most."""
    interval_ms: int = 60
    """Mean time between two submissions."""
    delay_us: int = 1_000
    """The least time that a message takes."""
    jitter_us: int = 2_000
    """Mean of what an exponential distribution adds."""
    slow_us: int = 0
    """Mean of what is added beyond that until the network is stable."""
    sync_us: int = 400
    """Mean time of a durable write."""
    loss: int = 0
    duplicate: int = 0
    replay: int = 0
    """Sends upon which an earlier message of anyone comes again as well."""
    split: int = 0
    """Phases of a slot in which the seats are split into two groups, drawn for each anew."""
    rounds: tuple[Round, ...] = ()
    """Of the first slots: who leads, and until the network is stable, who hears whom."""
    round_ms: int = 0
    """How long who hears whom is planned in a round, from its first message on; 0: to the end."""
    heals: bool = False
    """Whether the network is stable already once all honest seats speak of rounds behind those, or
    everything is decided."""
    late: int = 0
    """Messages which a round keeps from a seat that reach it all the same, some time later."""
    late_ms: int = 50
    """Mean of how much later."""
    withhold: int = 0
    """Exchanges of decisions and checkpoints that fail."""
    mutate: int = 0
    """Messages of Byzantine seats that are changed in one field and signed again."""
    bad: int = 0
    """Payloads of Byzantine seats that are invalid."""
    splice: int = 0
    """Messages of Byzantine seats that are put together anew of what was said before."""
    hoard: int = 0
    """Messages of anybody upon which the adversary shows somebody a certificate that it can make,
    or hands over a value as decided."""
    hush: bool = False
    """Whether Byzantine seats fall silent once the network is stable."""
    crashes: tuple[Crash, ...] = ()
    stumbles: tuple[Stumble, ...] = ()
    pauses: tuple[Pause, ...] = ()
    partitions: tuple[Partition, ...] = ()
    clocks: tuple[Clock, ...] = ()
    stable_ms: int = 0
    """Global stabilisation time."""
    bound_ms: int | None = None
    """After which, from then on, every payload is decided at every honest seat that is up; None:
    what the protocol declares, for each decision that may be needed."""
    quiet_ms: int = 30_000
    """Within which, after that, nothing is planned any more."""
    exchange_ms: int = 250
    """How often a seat with outstanding work asks a peer; 0: no exchange and no certificates."""
    codec: bool = False
    """Whether every message must also survive its own encoding."""

    @property
    def seats(self) -> tuple[int, ...]:
        """The validator of each seat."""
        return (*range(self.nodes), *self.twins)

    @property
    def byzantine(self) -> tuple[int, ...]:
        """The validators that are not judged."""
        return tuple(sorted({*self.twins, *(validator for validator, _ in self.attacks)}))

    @property
    def due_ms(self) -> int:
        """When everything must be decided."""
        if self.bound_ms is not None:
            return self.stable_ms + self.bound_ms
        bound = partial(
            self.protocol.recovery_bound_ms,
            {**self.protocol.PARAMETERS, **dict(self.parameters)},
            ValidatorSet((Validator("", b"", b"", b""),) * self.nodes, self.rule),
            delay_ms=(self.delay_us + _MEANS * (self.jitter_us + self.sync_us)) // MS + 1,
        )
        submitted_ms = 2 * self.payloads * self.interval_ms
        more = -(-self.payloads // self.payload_max)
        healed_ms = max(self.stable_ms, submitted_ms) + _EXCHANGES * self.exchange_ms
        return healed_ms + bound(chaos_ms=self.stable_ms) + more * bound(chaos_ms=0)

    @property
    def end_ms(self) -> int:
        return self.due_ms + self.quiet_ms


@dataclass(frozen=True, slots=True)
class PluginViolation:
    """One broken promise."""

    property: str
    """A short name: agreement, prefix, once, validity, proof, certificates, equivocation,
    accusation, memory, breakdown, codec, liveness or silence (sim/plugin_oracles.py)."""
    sentence: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What a run showed."""

    scenario: PluginScenario
    decided: tuple[Value, ...]
    """The longest log of an honest seat."""
    lengths: tuple[int, ...]
    """The number of decided values at every seat."""
    violations: tuple[PluginViolation, ...]
    events: int
    """Steps of plugins."""
    messages: int
    """Messages and certificates put on links."""
    forked: bool
    """Whether honest seats decided differently; no violation where liars are too many."""
    accused: tuple[int, ...]
    """Validators that an honest seat accused."""
    finished_ms: int | None
    """When the last honest seat had decided the last payload."""
    trace_hash: str
    """Over every event in order: equal for equal scenarios."""

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the broken properties, each once."""
        return tuple(dict.fromkeys(violation.property for violation in self.violations))
