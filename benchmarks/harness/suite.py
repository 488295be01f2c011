"""Suites: what is to be measured, as TOML, and the trials that follow from it.

    title = "Four validators, one crash"
    question = "How long does a crashed leader cost?"

    [[scenarios]]
    name = "leader crash"
    events = [{ kind = "kill", at_s = 8.0, until_s = 16.0, nodes = "leader" }]

    [[experiments]]
    name = "crash"
    protocols = ["tendermint", "jolteon"]
    rates_per_s = [200.0]
    scenarios = ["none", "leader crash"]

Every list of an experiment is an axis: one trial for each combination and repetition, each with a
network of its own.  The rates are offered one after another on it, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import product
from typing import Any

from consensus.registry import protocol_named, protocol_names
from ledger.keys import REAL_SCHEMES
from sim.regions import REGIONS, latency_ms

NO_FAULT = "none"
FULL = "full"
"""The topology in which everybody has a link to everybody."""
ALL, BFT = "all", "bft"
"""In place of a list of protocols: every one that is installed and survives a crash, or a liar."""
FULL_DISK = "full-disk"
KINDS = {
    "kill": "SIGKILL; started again at the end",
    "pause": "SIGSTOP, SIGCONT at the end",
    "rolling": "SIGKILL and start of one node after another, so many seconds apart",
    "partition": "nothing passes between these nodes and the rest",
    "one-way": "nothing passes from these nodes to the rest",
    "loss": "so many per cent of the segments to and from these nodes stall",
    "delay": "so many milliseconds more to and from these nodes",
    "bandwidth": "so many KiB a second on each link of these nodes",
    "reset": "every connection of these nodes is reset",
    "slow-disk": "a synced write of these nodes takes so many milliseconds more",
    "failing-sync": "the next sync of these nodes fails, which stops them; started at the end",
    FULL_DISK: "no write of these nodes finds room, which stops them; started at the end",
    "flood": "a client offers so many transactions a second more that are not valid",
}
"""What can happen at a set time."""
LINK_KINDS = frozenset({"partition", "one-way", "loss", "delay", "bandwidth", "reset"})
"""Kinds that need the proxies between the nodes, or the kernel in their place."""
DISK_KINDS = frozenset({"slow-disk", "failing-sync", FULL_DISK})
"""Kinds that need nodes on disks that can be made ill."""
SMALL_DISK = f"{FULL_DISK} of a size"
"""What a full disk with an amount needs: one of the kernel's, in place of what the node says."""
NODES = ("leader", "other", "f", "f+1", "all")
LINKS = {
    "loopback": "straight over the loopback interface",
    "lan": "0.5 ms one way",
    "25ms": "25 ms one way, 1 ms jitter",
    "world": "the regions of `sim/regions.py` in turn",
    "proxied": "through the proxies, which add nothing",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One fault at set times."""

    kind: str
    """One of `KINDS`."""
    at_s: float
    """Seconds after the load has begun."""
    until_s: float | None = None
    """When it ends; None where it is over at once or lasts."""
    nodes: str = "leader"
    """leader, other (one that does not lead), f, f+1, all, or numbers such as "0 2"."""
    amount: float = 0.0
    """How much of it; what that means is the kind's business."""

    @property
    def needs(self) -> str:
        """What the machine must be able to do: the kind, but for a disk of the kernel's."""
        return SMALL_DISK if self.kind == FULL_DISK and self.amount else self.kind


@dataclass(frozen=True, slots=True)
class Scenario:
    """What goes wrong during a measurement."""

    name: str
    events: tuple[Event, ...] = ()
    byzantine: str = ""
    """An attack by its name (`consensus.byzantine`)."""
    liars: tuple[int, ...] = ()
    """The validators that run it; empty: 0 to f-1."""
    clock_ms: tuple[int, ...] = ()
    """How far the wall clock of each node is ahead, from node 0 on; the others' are right."""
    stalls: bool = False
    """More fails than is tolerated: the ledger must stop, and go on after the end."""

    @property
    def needs_proxies(self) -> bool:
        return any(event.kind in LINK_KINDS for event in self.events)

    @property
    def needs_ill_disks(self) -> bool:
        return any(event.needs in DISK_KINDS for event in self.events)

    @property
    def fault_s(self) -> float | None:
        """When the first fault begins."""
        return min((event.at_s for event in self.events), default=None)

    @property
    def heal_s(self) -> float | None:
        """When the last fault ends; None where one never does."""
        ends = [e.at_s if e.until_s is None and _is_brief(e) else e.until_s for e in self.events]
        if not ends or any(end is None for end in ends):
            return None
        return max(end for end in ends if end is not None)


def _is_brief(event: Event) -> bool:
    return event.kind in ("reset", "rolling")


@dataclass(frozen=True, slots=True)
class Experiment:
    """Trials over the product of its lists."""

    name: str
    protocols: tuple[str, ...] = ("tendermint",)
    validators: tuple[int, ...] = (4,)
    links: tuple[str, ...] = ("loopback",)
    topologies: tuple[str, ...] = (FULL,)
    """Who has a link to whom: full, ring, random-K, or pairs such as "0-1 1-2"."""
    native: bool = False
    """The kernel makes links bad and disks slow (namespaces and tc, control groups), which takes
    root, instead of the proxies and the nodes."""
    payload_bytes: tuple[int, ...] = (256,)
    """Of each record; 0: the digest of an empty file, the smallest record there is."""
    records: int = 1
    """Records a transaction."""
    scenarios: tuple[str, ...] = (NO_FAULT,)
    rates_per_s: tuple[float, ...] = (200.0,)
    """Offered one after another; where a search is on, where it begins."""
    objective_p99_ms: float = 0.0
    """Search for the highest rate that keeps this p99, doubling and then halving; 0: no search."""
    steps: int = 6
    """Rates that a search tries at most."""
    arrival: str = "poisson"
    """poisson or constant."""
    warmup_s: float = 3.0
    """Load before the window that is measured."""
    measure_s: float = 10.0
    settle_s: float = 20.0
    """For what is still under way after the load has ended."""
    recovery_s: float = 5.0
    """How long rate and latency must hold after a fault to count as recovered."""
    clients: int = 2
    repetitions: int = 1
    policy: str = "members"
    """open: anyone may submit (the genesis then says that it is a test network)."""
    signed: bool = True
    """false: nobody signs the transactions, which takes an open policy (`ledger/senders.py`)."""
    scheme: str = REAL_SCHEMES[0]
    """Of all signatures: ed25519, ml-dsa-44 or ml-dsa-65."""
    storage: str = ""
    """leveldb or sqlite; empty: the best installed."""
    parameters: tuple[tuple[str, int], ...] = ()
    """Of the protocols; those that a protocol does not know are left out for it."""
    audits: int = 1
    """Homes that are re-executed from the genesis at the end; the others are compared with them."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What it costs to make and to check proofs of a ledger of each length."""

    name: str
    transactions: tuple[int, ...] = (1_000, 10_000)
    protocol: str = "tendermint"
    validators: int = 4
    rate_per_s: float = 500.0
    """At which the ledger is filled."""
    receipts: int = 50
    """Made and checked at each length."""
    flips: int = 200
    """Bytes changed in receipts, at each length."""
    store_flips: int = 50
    """Bytes changed in the store, at the shortest length, each followed by a full audit."""

    def estimate_s(self) -> float:
        """About how long it takes."""
        audits = sum(self.transactions) / 1_000 + self.store_flips * min(self.transactions) / 1_000
        return 20 * len(self.transactions) + max(self.transactions) / self.rate_per_s + audits


@dataclass(frozen=True, slots=True)
class Lineage:
    """What provenance costs: documents in, lineage out."""

    name: str
    documents: tuple[str, ...] = ()
    """Files that `provenance import` reads; empty: one with the shape of a large real one."""
    scale: float = 0.1
    """Of that shape: 1 is 42,000 statements."""
    protocol: str = "tendermint"
    validators: int = 4
    depths: tuple[int, ...] = (4, 16, 64)
    """Derivations between a thing and its origin."""
    widths: tuple[int, ...] = (16, 64)
    """Origins of one thing."""
    queries: int = 20
    """Asked about each."""

    def estimate_s(self) -> float:
        """About how long it takes."""
        return 30 + 60 * self.scale + self.queries * (len(self.depths) + len(self.widths))


@dataclass(frozen=True, slots=True)
class Simulated:
    """Networks of any size in the simulator: messages and delays, no processor time."""

    name: str
    protocols: tuple[str, ...] = ("tendermint",)
    validators: tuple[int, ...] = (4, 16)
    links: tuple[str, ...] = ("world",)
    """world, or lan: no distances."""
    decisions: int = 30

    def estimate_s(self, validators: int) -> float:
        """About how long one takes: messages grow with the square."""
        return 3 + self.decisions * validators**2 / 300


@dataclass(frozen=True, slots=True)
class PeerRun:
    """Another system under the same load, where its program is installed."""

    name: str
    peer: str = "cometbft"
    variants: tuple[str, ...] = ()
    """Of its configurations; empty: all that its adapter has."""
    experiment: str = ""
    """Whose plots and tables it joins; empty: one of its own name."""
    validators: int = 4
    links: tuple[str, ...] = ("loopback",)
    payload_bytes: int = 256
    rates_per_s: tuple[float, ...] = (200.0,)
    """As of an experiment."""
    objective_p99_ms: float = 0.0
    """As of an experiment: search for the highest rate that keeps this p99; 0: no search."""
    steps: int = 6
    arrival: str = "poisson"
    warmup_s: float = 3.0
    measure_s: float = 10.0
    settle_s: float = 20.0

    def estimate_s(self) -> float:
        """About how long one variant takes over links of one kind."""
        rates = self.steps if self.objective_p99_ms else len(self.rates_per_s)
        return 15 + rates * (self.warmup_s + self.measure_s + 3)


@dataclass(frozen=True, slots=True)
class Suite:
    """Everything that one command measures."""

    title: str
    question: str
    """What the reader wants to know, in a sentence."""
    seed: int = 1
    scenarios: tuple[Scenario, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    proofs: tuple[Proofs, ...] = ()
    lineages: tuple[Lineage, ...] = ()
    simulated: tuple[Simulated, ...] = ()
    peers: tuple[PeerRun, ...] = ()
    left_out: tuple[str, ...] = ()
    """What a scenario of the simulator has and this does not."""
    name: str = field(default="suite")
    """Of the file."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One network and what is done with it."""

    experiment: Experiment
    protocol: str
    validators: int
    link: str
    payload_bytes: int
    scenario: Scenario
    repetition: int
    seed: int
    topology: str = FULL

    @property
    def name(self) -> str:
        """Unique within a suite, and fit for a folder."""
        words = [self.experiment.name, self.protocol, f"n{self.validators}", self.link_words]
        words += [f"{self.payload_bytes}B", self.scenario.name, str(self.repetition)]
        return "-".join(word.replace(",", "").replace(" ", "_") for word in words)

    @property
    def title(self) -> str:
        """What the reader of a table is told."""
        network = f"{self.protocol}, {self.validators} validators"
        return f"{network}, {self.link_words}, {self.scenario.name}"

    @property
    def link_words(self) -> str:
        """The links, whether the kernel makes them, and between whom, if not between all."""
        words = f"native {self.link}" if self.experiment.native else self.link
        return words if self.topology == FULL else f"{words}, {self.topology}"

    @property
    def faults(self) -> int:
        """How many liars, or crashes of a crash-only protocol, are tolerated."""
        crash_only = protocol_named(self.protocol).fault_model == "crash"
        return (self.validators - 1) // (2 if crash_only else 3)

    def estimate_s(self) -> float:
        """About how long it takes."""
        one = self.experiment
        rates = one.steps if one.objective_p99_ms else len(one.rates_per_s)
        return 8 + rates * (one.warmup_s + one.measure_s + 2)


def trials(suite: Suite) -> Iterator[Trial]:
    """Every trial, repetition by repetition, so that a slow drift of the machine meets all."""
    known = {scenario.name: scenario for scenario in suite.scenarios}
    known[NO_FAULT] = Scenario(NO_FAULT)
    for one in suite.experiments:
        axes = (one.validators, one.links, one.topologies, one.payload_bytes, one.scenarios)
        for repetition in range(one.repetitions):
            for validators, link, topology, payload, scenario in product(*axes):
                for protocol in protocols_of(one):
                    yield Trial(
                        one, protocol, validators, link, payload, known[scenario],
                        repetition, suite.seed + repetition, topology,
                    )  # fmt: skip


def protocols_of(experiment: Experiment | Simulated) -> list[str]:
    """The protocols by name, "all" spelled out."""
    if experiment.protocols not in ((ALL,), (BFT,)):
        return list(experiment.protocols)
    found = [name for name in protocol_names() if name != "solo"]
    if experiment.protocols == (ALL,):
        return found
    return [name for name in found if protocol_named(name).fault_model == "byzantine"]


def one_way_ms(link: str, one: int, other: int) -> tuple[float, float]:
    """(delay, jitter) from one node to another over links of this name."""
    if link == "world":
        delay = latency_ms(REGIONS[one % len(REGIONS)], REGIONS[other % len(REGIONS)])
        return float(delay), delay / 50
    fixed: dict[str, tuple[float, float]] = {"lan": (0.5, 0.05), "25ms": (25.0, 1.0)}
    return fixed.get(link, (0.0, 0.0))


def plain(value: Any) -> Any:
    """A suite or trial as what JSON can say."""
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value
