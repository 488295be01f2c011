"""One run: lead a scenario to its end, let the oracles judge it, and report.

A run has three parts.  Until the stabilisation time faults happen, and only safety is judged.  Then
everything sound must be confirmed at every sound node, and no longer than the protocol's declared
bound may pass without progress, unless what never ends excuses it.  Then nothing is left to do, and
the network must fall silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from consensus.inspector import Inspector
from consensus.interface import Consensus, Message
from consensus.io import Channel
from consensus.recovery import Recovered, Setup, first_writes, recover
from consensus.replica import Replica
from ledger import applications, encoding
from ledger.store import Reader
from sim.adversary import Shameless, armed, byzantine_stations, validator_at
from sim.agenda import MS
from sim.chain_oracle import ChainOracle, certified_height
from sim.culprits import EvidenceOracle, ForkWatcher, check_named
from sim.documents_oracle import DocumentsOracle
from sim.faults import replay_command
from sim.founding import SCHEME, make_network
from sim.identity_oracle import IdentityOracle
from sim.inspector import SharedInspector
from sim.liveness import Patience, core, declared_bound_ms, excuse
from sim.network import IN_FLIGHT_MAX
from sim.node import Node
from sim.oracles import Findings, HealthOracle, Violation, VoteOracle
from sim.payments_oracle import PaymentsOracle
from sim.scenario import Scenario
from sim.watcher import Machine, Watcher
from sim.workload import Clients
from sim.world import World

SETTLE_MS = 45_000
"""After the last confirmation: the time in which timers that still run may end."""
WATCHED_MS = 20_000
"""How long a network is watched after its last fault in which too many lie to wait for an end."""
BACKLOG_MAX = 20_000
"""Steps that may wait for one disk."""
_SLICE_MS = 20
"""How often the run is looked at from outside."""


Wrap = Callable[[int, Machine], Machine]
"""Puts something between the machine of node `index` and its host; called at every start."""


@dataclass(frozen=True, slots=True)
class SimReport:
    """What happened, JSON-ready; nothing in it depends on the machine."""

    seed: int
    protocol: str
    nodes: int
    faults: tuple[str, ...]
    violations: tuple[Violation, ...]
    certified: tuple[int, ...]
    """Certified height of each node at the end."""
    confirmed: int
    """Wishes of clients that were confirmed."""
    wishes: int
    submitted: int
    latency_ms: tuple[int, int, int]
    """From wish to confirmation: median, 95th percentile, longest."""
    recovered_ms: int
    """From the stabilisation time to the last confirmation at the last node."""
    frames: dict[str, int]
    """Frames sent by channel, one for each receiver."""
    bytes: dict[str, int]
    dropped: int
    backlog_max: int
    events: dict[str, int]
    """How often each kind of event happened."""
    virtual_ms: int
    bound_ms: int
    """How long no progress was tolerated."""
    longest_ms: int
    """The longest that there was none, while something waited after the stabilisation time."""
    excused: str
    """Why the run was allowed to stall, as it did; else empty.  Its safety was judged all the same:
    it did not pass, and it did not fail."""
    trace_hash: str
    replay: str
    """The command that runs it again."""

    @property
    def is_sound(self) -> bool:
        return not self.violations

    @property
    def is_passed(self) -> bool:
        """Whether nothing was broken and nothing had to be excused."""
        return self.is_sound and not self.excused

    @property
    def event_count(self) -> int:
        return sum(self.events.values())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    scenario: Scenario,
    protocol: type[Consensus],
    *,
    wrap: Wrap | None = None,
    liars: frozenset[int] = frozenset(),
    watchers: tuple[Watcher, ...] = (),
) -> SimReport:
    """Run a scenario to its end.

    `wrap` may put something between a replica and its host; nodes in `liars` are not judged.
    """
    return Run(scenario, protocol, wrap=wrap, liars=liars, watchers=watchers).lead()


class Run:
    """A world with its watchers."""

    def __init__(
        self,
        scenario: Scenario,
        protocol: type[Consensus],
        *,
        wrap: Wrap | None = None,
        liars: frozenset[int] = frozenset(),
        watchers: tuple[Watcher, ...] = (),
        scheme: str = SCHEME,
    ) -> None:
        self.scenario = scenario
        self.world = World(scenario)
        self.genesis, self.signers, members = make_network(scenario, protocol, scheme)
        self.liars = liars | byzantine_stations(scenario)
        """The nodes that are not judged."""
        self.findings = Findings(lambda: self.world.agenda.now_ms)
        self.chain = ChainOracle(self.genesis, self.findings)
        self.payments = PaymentsOracle(self.genesis, self.findings)
        self.identity = IdentityOracle(self.genesis, self.findings)
        self.documents = DocumentsOracle(self.genesis, self.findings)
        if scenario.load.identity:
            self.documents.administrators = self.identity.administrators
            self.chain.submitters = self.identity.submitters
        self.clients = Clients(
            self.genesis,
            members,
            scenario.load,
            self.world.agenda,
            self.world.stream("clients"),
            self.findings,
        )
        self._protocol = protocol
        self.inspector: Inspector | None = SharedInspector(
            self.genesis, self.genesis.suite, protocol
        )
        """What all replicas decode and check with; None lets each have its own."""
        self._wrap = wrap
        self._recovered_ms = 0
        self.votes = VoteOracle(self.findings, partial(_message_of, protocol))
        self._health = HealthOracle(self.findings, self.liars)
        self.evidence = EvidenceOracle(self.genesis, self.findings, self.liars)
        self.forks = ForkWatcher()
        lying = {validator_at(scenario, node) for node in self.liars}
        self.is_beyond = len(lying) > self.genesis.epoch.validators.faults
        """Whether more lie than are tolerated: then nothing that rests on quorums need hold."""
        self._excused = ""
        self.patience = Patience(declared_bound_ms(scenario, protocol, self.genesis))
        self.world.populate(
            self._open,
            lambda node: watchers if node in self.liars else (*self._judges(), *watchers),
            leader=lambda: self.votes.proposer,
            first_writes=first_writes(self.genesis),
            transport_keys=[v.transport_key for v in self.genesis.epoch.validators.members],
        )
        self.honest = [node for node in self.world.nodes if node.index not in self.liars]
        """The nodes that are judged."""
        self.clients.begin(self.world.nodes)

    def _judges(self) -> tuple[Watcher, ...]:
        """Who looks on at an honest node."""
        if not self.is_beyond:
            paid = (self.payments,) if self.scenario.load.payments else ()
            # First, since the chain's oracle asks it who the members are.
            governed = (self.identity,) if self.scenario.load.identity else ()
            written = (self.documents,) if self.scenario.load.documents else ()
            others = (self.votes, self._health, self.evidence, self.clients, *paid, *written)
            return (*governed, self.chain, *others)
        # Each has a past of its own, and keeps its promises in that.
        own = ChainOracle(self.genesis, self.findings)
        return (own, self.votes, self.evidence, self.forks)

    def _open(self, index: int, reader: Reader) -> Machine:
        me = validator_at(self.scenario, index)
        setup = Setup(
            self.genesis,
            me,
            self.signers[me],
            self._protocol,
            applications.named(self.genesis),
            inspector=self.inspector,
        )
        setup = armed(self.scenario, setup)
        replica: Machine = Replica(setup, self.remember(reader, setup))
        if index in self.liars:
            replica = Shameless(replica)
        return self._wrap(index, replica) if self._wrap else replica

    def remember(self, reader: Reader, setup: Setup) -> Recovered:
        """What a node starts from; overridden by a test whose nodes forget."""
        return recover(reader, setup)

    # --- leading ----------------------------------------------------------------------------------

    def lead(self) -> SimReport:
        """Run until the end, or until something is broken."""
        if self.is_beyond:
            return self._lead_beyond()
        agenda = self.world.agenda
        while not self.findings.found and not self._is_done():
            if self._is_late():
                self._complain()
                break
            agenda.run_until(agenda.now_us + _SLICE_MS * MS)
        self._recovered_ms = max(0, agenda.now_ms - self.scenario.stable_ms)
        if not self.findings.found and not self._excused:
            self._watch_silence()
        self._check_bounds()
        if not self.findings.found:
            acknowledged = {} if self._excused else self.clients.acknowledged
            judged = self._judged()
            for node in judged:
                self.chain.finish(node.index, node.engine, acknowledged)
            self.evidence.finish(self.genesis, [node.engine for node in self.honest])
        return self._report()

    def _lead_beyond(self) -> SimReport:
        """Agreement may break now; whoever broke it must be named (P12), and nobody else (P13)."""
        agenda, last_ms = self.world.agenda, self.scenario.stable_ms + WATCHED_MS
        while agenda.now_ms < last_ms and not all(node.has_failed for node in self.honest):
            agenda.run_until(agenda.now_us + _SLICE_MS * MS)
        self.evidence.finish(self.genesis, [node.engine for node in self.honest])
        if self.forks.forked_height:
            faults = self.genesis.epoch.validators.faults
            check_named(self.findings, self.evidence.named, self.liars, faults)
        return self._report()

    def _judged(self) -> list[Node]:
        """The honest nodes that are up and linked as far as a quorum; now, not in the past."""
        if self.world.agenda.now_ms < self.scenario.stable_ms:
            return self.honest
        inside = core(self.world, self.genesis.epoch.validators.quorum)
        return [node for node in self.honest if node.index in inside]

    def _is_done(self) -> bool:
        """Whether faults are over and every wish is confirmed at every node."""
        if self.world.agenda.now_ms < self.scenario.stable_ms or self.clients.outstanding:
            return False
        highest = max((h for h in self.clients.acknowledged.values()), default=0)
        return all(certified_height(node.engine) >= highest for node in self._judged())

    def _is_late(self) -> bool:
        """Whether a bound has passed: the scenario's for everything, or the one for progress."""
        scenario, now_ms = self.scenario, self.world.agenda.now_ms
        if scenario.bound_ms is not None:
            return now_ms >= scenario.stable_ms + scenario.bound_ms
        if now_ms < scenario.stable_ms:
            return False
        heights = [certified_height(node.engine) for node in self.honest]
        waiting = len(self.clients.wishes) - self.clients.confirmed_count
        is_idle = not waiting and len(set(heights)) == 1
        progress = (*heights, self.clients.confirmed_count)
        return self.patience.is_out(now_ms, progress, is_idle)

    def _complain(self) -> None:
        """P10, unless it is P11: what never ends is the reason."""
        self._excused = excuse(self.world, self.genesis.epoch.validators, self._protocol)
        if self._excused:
            return
        heights = [certified_height(node.engine) for node in self.honest]
        behind = tuple(n for n, height in enumerate(heights) if height < max(heights))
        bound_ms = self.scenario.bound_ms
        after = (
            f"{bound_ms} ms after stabilisation"
            if bound_ms is not None
            else f"after {self.patience.bound_ms} ms without progress, the declared bound,"
        )
        self.findings.add(
            "P10",
            f"{after} {len(self.clients.outstanding)} of "
            f"{self.scenario.load.transactions} wishes are not confirmed; certified heights are "
            f"{heights}",
            *behind,
        )

    def _watch_silence(self) -> None:
        """P10: with nothing to order, nothing grows, nobody speaks and no timer runs."""
        agenda, network = self.world.agenda, self.world.network
        if self.liars:  # They need never fall silent, and keep the others busy.
            return
        agenda.run_until(agenda.now_us + SETTLE_MS * MS)
        blocks, frames = len(self.chain.entries), network.frames.total()
        agenda.run_until(agenda.now_us + self.scenario.quiet_ms * MS)
        if len(self.chain.entries) != blocks:
            self.findings.add("P10", f"an idle ledger grew by {len(self.chain.entries) - blocks}")
        if network.frames.total() != frames:
            self.findings.add("P10", f"an idle network sent {network.frames.total() - frames} "
                              f"frames in {self.scenario.quiet_ms} ms")  # fmt: skip
        for node in self.honest:
            if not node.is_idle:
                self.findings.add("P10", f"node {node.index} is idle and something still waits "
                                  f"there: timers {list(node.timers)}", node.index)  # fmt: skip

    def _check_bounds(self) -> None:
        """P16: no queue grew without end."""
        if self.world.network.in_flight_max >= IN_FLIGHT_MAX:
            self.findings.add("P16", f"a link carried {IN_FLIGHT_MAX} frames at once")
        for node in self.honest:
            if node.backlog_max > BACKLOG_MAX:
                self.findings.add("P16", f"{node.backlog_max} steps of node {node.index} waited "
                                  "for its disk", node.index)  # fmt: skip

    # --- reporting --------------------------------------------------------------------------------

    def _report(self) -> SimReport:
        world, scenario, clients = self.world, self.scenario, self.clients
        latencies = clients.latencies_ms or [0]
        count = len(latencies)
        return SimReport(
            seed=scenario.seed,
            protocol=scenario.protocol,
            nodes=scenario.nodes,
            faults=scenario.faults,
            violations=tuple(self.findings.found),
            certified=tuple(certified_height(node.engine) for node in world.nodes),
            confirmed=sum(wish.height is not None for wish in clients.wishes.values()),
            wishes=len(clients.wishes),
            submitted=clients.submitted,
            latency_ms=(latencies[count // 2], latencies[count * 95 // 100], latencies[-1]),
            recovered_ms=self._recovered_ms,
            frames={c.name.lower(): world.network.frames[c] for c in Channel},
            bytes={c.name.lower(): world.network.bytes[c] for c in Channel},
            dropped=world.network.dropped,
            backlog_max=max(node.backlog_max for node in world.nodes),
            events=dict(sorted(world.trace.events.items())),
            virtual_ms=world.agenda.now_ms,
            bound_ms=scenario.bound_ms or self.patience.bound_ms,
            longest_ms=self.patience.longest_ms,
            excused=self._excused,
            trace_hash=world.trace.hexdigest(),
            replay=replay_command(scenario),
        )


def _message_of(protocol: type[Consensus], kind: int, body: bytes) -> Message:
    """A message of the plugin, by the plugin's own decoder."""
    message = next(message for message in protocol.MESSAGES if kind == message.KIND)
    return message.from_row(
        encoding.decode(body, message.SHAPE, size_max=len(body), what="message")
    )
