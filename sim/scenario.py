"""A scenario: everything that one simulated run follows from, as plain numbers and names.

Equal scenarios lead to equal runs, event by event.  `sim/faults.py` draws one from a seed; a test
writes one by hand.  As text (`sim/scenario_file.py`) it is the whole bug report.
"""

from __future__ import annotations

from dataclasses import dataclass

FOR_EVER_MS = 1 << 40
"""The end of an incident that does not end, in some thirty years."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How links treat frames.  Rates are per thousand frames."""

    delay_us: int = 2_000
    """The least time a frame takes."""
    jitter_us: int = 2_000
    """Mean of what an exponential distribution adds to it."""
    loss: int = 0
    duplicate: int = 0
    reorder: int = 0
    """Frames that neither keep their place in the stream nor wait for those before them."""
    replay: int = 0
    """Sends upon which an earlier frame of the same link, perhaps a very old one, comes again."""
    tail_us: int = 0
    """Scale of what a heavy-tailed distribution adds (Lomax, shape 3/2: the mean is twice as much,
    one frame in thirty waits ten times as long)."""
    burst: int = 0
    """Frames upon which a burst of loss begins on their link (Gilbert 1960, Elliott 1963)."""
    burst_frames: int = 20
    """Mean length of a burst, in frames."""
    burst_loss: int = 900
    """Frames that a burst takes while it lasts."""
    bandwidth: int = 0
    """Bytes a second that leave one node over all its links; 0 for no bound."""
    queue_bytes: int = 4_000_000
    """What may wait at a node for its turn to leave; what comes on top is lost."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the machine below a node takes."""

    sync_us: int = 400
    """Mean time of a write that must be on the disk."""
    write_us: int = 30
    """Mean time of one that need not."""
    job_us: int = 300
    """Mean time of a job."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault that begins and, unless it is over at once, ends."""

    kind: str
    """One of `sim.faults.INCIDENTS`."""
    at_ms: int
    until_ms: int
    """`FOR_EVER_MS` for what never ends."""
    nodes: tuple[int, ...] = ()
    """Whom it befalls; what that means is the kind's business."""
    amount: int = 0
    """How much of it; what that means is the kind's business."""


@dataclass(frozen=True, slots=True)
class Load:
    """What clients do."""

    transactions: int = 40
    """Sound transactions, each of which must be confirmed."""
    members: int = 3
    interval_ms: int = 150
    """Mean time between two submissions of one member."""
    timeout_ms: int = 3_000
    """After which an unconfirmed transaction goes to another node."""
    duplicates: int = 150
    """Per thousand: handed to a second node at once."""
    twice_signed: int = 100
    """Per thousand: a second transaction with the same nonce goes to another node."""
    unsound: int = 150
    """Per thousand: beside it goes one that is expired, malformed, oversized, of a stranger, or
    made for another network."""
    split: int = 50
    """Per thousand: another node gets it with a wrong signature under the same id."""
    echoes: int = 100
    """Per thousand: it is handed in again once it is confirmed."""
    payments: int = 0
    """Per thousand: instead of a record it is a payment between members, of which the first may
    issue; many are of more than there is.  The network runs payments where this is not 0."""
    identity: int = 0
    """Per thousand: instead of a record it is about a change of members, beside some goes one of a
    guest, who may be a member or not.  The network runs identity where this is not 0, and two of
    its members must approve a change."""
    documents: int = 0
    """Per thousand: instead of a record it is a version of one of a few documents, its handing on
    or its tombstone.  The network runs documents where this is not 0; the first member administers.
    """


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run from its first event to its last."""

    seed: int
    """Everything that is drawn while the scenario runs follows from it."""
    protocol: str
    """The plugin's name."""
    nodes: int
    faults: tuple[str, ...] = ()
    """The kinds of fault that were drawn from, for the reader and for `replay_command`."""
    crash_only: bool = False
    """Whether the epoch's quorum is a majority."""
    parameters: tuple[tuple[str, int], ...] = ()
    """The protocol's parameters that differ from their defaults, ascending."""
    limits: tuple[tuple[str, int], ...] = ()
    """The genesis limits that differ from their defaults, ascending."""
    weather: Weather = Weather()
    """Until the global stabilisation time."""
    calm: Weather = Weather()
    """From then on."""
    pace: Pace = Pace()
    topology: str = "full"
    """Who is linked to whom: full, ring, random-K, or pairs such as "0-1 1-2"; see `sim.relay`."""
    regions: tuple[str, ...] = ()
    """Where the validators are, in turn; what they are apart comes on top of the weather's delay.
    Empty: no distances."""
    incidents: tuple[Incident, ...] = ()
    load: Load = Load()
    stable_ms: int = 0
    """Global stabilisation time (Dwork, Lynch, Stockmeyer 1988): every fault has ended."""
    bound_ms: int | None = None
    """After which, from then on, every sound transaction is confirmed at every node.  None: from
    then on no longer than the protocol's declared bound passes without progress."""
    quiet_ms: int = 20_000
    """How long the idle network is watched at the end."""
    attacks: tuple[tuple[int, str], ...] = ()
    """(validator, what it does instead of the protocol, as `consensus.byzantine` names it)."""
    twins: tuple[int, ...] = ()
    """Validators that run twice under one key, see `sim.adversary`."""
    sides: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(from when in ms, for each validator which of the twins, 0 or 1, it sees), ascending."""
