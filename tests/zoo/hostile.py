"""Whole replicas among power cuts, deafness and a liar: schedules drawn for the design's own rules.

A scenario of the simulator treats all frames alike.  Here some kinds of packet do not arrive for a
while at some nodes, power fails at the boundaries of writes where there is something to lose, and
one validator may be a liar: an honest replica what leaves which is changed, by tricks that are
drawn, or beside which goes what no honest one would say.  Every feature is drawn for itself, and
most scenarios have few (Groce et al., "Swarm Testing", ISSTA 2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from consensus.dissemination import CREATOR_BATCHES_MAX
from consensus.inspector import Inspector, decode_message
from consensus.interface import Consensus, Message
from consensus.io import Channel, FrameArrived
from consensus.packets import (
    BatchPacket,
    Blocks,
    CertificatePacket,
    CheckpointCertified,
    CheckpointSignature,
    DecisionPacket,
    Have,
    Packet,
    SignedPacket,
    Status,
    ValuePacket,
    WantBatches,
    WantBlocks,
    YouSaid,
)
from consensus.replica import Replica
from ledger import layout
from ledger.errors import Fault
from ledger.keys import suite_named
from ledger.store import Reader, Write
from sim.agenda import MS
from sim.run import SCHEME
from sim.scenario import Incident, Load, Pace, Scenario, Weather
from sim.watcher import Machine
from tests.sim.protocols import plugin
from tests.zoo.liar import TRICKS, Liar
from tests.zoo.model import Mutant, Verdict, judged
from tests.zoo.onlooker import Onlooker, Strict
from tests.zoo.replicas import HOMES, MutatedRun, patching

NODES = 4
KINDS: tuple[tuple[type[Packet], ...], ...] = (
    (SignedPacket,),
    (SignedPacket, CertificatePacket),
    (CertificatePacket,),
    (BatchPacket,),
    (BatchPacket, Have),
    (Have,),
    (WantBatches,),
    (CheckpointSignature,),
    (CheckpointCertified,),
    (CheckpointSignature, CheckpointCertified),
    (CheckpointCertified, Blocks, DecisionPacket),
    (DecisionPacket,),
    (DecisionPacket, Blocks),
    (Status,),
    (WantBlocks,),
    (YouSaid,),
    (ValuePacket,),
)
"""What somebody may not hear for a while."""
STABLE_MS = (800, 1_500, 3_000)
BOUND_MS = 25_000
CROWD_BOUND_MS = 60_000
"""Where a transaction lives for a few blocks, and a block takes in hardly more than one: most of a
crowd that insists at the same time expires, and tries again up to eight seconds later."""
QUIET_MS = 4_000
_ROBBERIES = {"lost-disk", "old-disk"}
AHEAD_SLACK = 4
"""Decisions of others may come while one does not vote any more."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """For a while these kinds of packet do not get from these nodes to those."""

    kinds: tuple[type[Packet], ...]
    senders: tuple[int, ...]
    receivers: tuple[int, ...]
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Power fails as soon as a write with such a key is on the disk: nothing it allows leaves."""

    prefix: bytes
    """Kind of record, a beginning of the key."""
    nodes: tuple[int, ...]
    skip: int
    """How many such writes go well before."""
    down_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario of this kind."""

    scenario: Scenario
    deaf: tuple[Deaf, ...]
    cuts: tuple[Cut, ...]
    liar: int | None
    tricks: tuple[str, ...]
    """Names in TRICKS."""


def draw_plan(number: int, home: str, mutant: Mutant) -> Plan:
    """The scenario of a number; limits are tight where the mutant says so."""
    draw = Random(f"hostile {number}")
    stable_ms = draw.choice(STABLE_MS)
    features = [draw.random() < share for share in (0.4, 0.6, 0.5, 0.5, 0.25)]
    incidents = _power_cuts(draw, stable_ms) if features[0] else []
    deaf = _deafness(draw, stable_ms) if features[1] else []
    liar = draw.randrange(NODES) if features[2] and home != "solo" else None
    cuts = _cuts(draw) if features[3] else []
    incidents += _clocks(draw, stable_ms) if features[4] else []
    limits = dict(draw.choice(_LIMITS)) | dict(mutant.limits)
    # Where windows are short, there must be more blocks than fit into them.
    transactions = draw.choice((25, 40) if "replay_window" in limits else (2, 4, 10))
    is_crowded = {"replay_window", "batch_transactions"} <= set(limits)
    scenario = Scenario(
        seed=number,
        protocol=home,
        nodes=NODES,
        limits=tuple(sorted(limits.items())),
        weather=Weather(
            delay_us=draw.choice((200, 2_000)),
            jitter_us=draw.choice((200, 3_000)),
            replay=draw.choice((0, 0, 100)),
        ),
        pace=Pace(sync_us=draw.choice((200, 2_000, 8_000)), job_us=draw.choice((100, 3_000))),
        incidents=tuple(sorted(incidents, key=lambda incident: incident.at_ms)),
        load=Load(
            transactions=transactions,
            interval_ms=max(1, 2 * stable_ms // transactions),
            timeout_ms=draw.choice((400, 1_500)),
            duplicates=300,
            twice_signed=300,
            echoes=300,
        ),
        stable_ms=stable_ms,
        bound_ms=CROWD_BOUND_MS if is_crowded else BOUND_MS,
        quiet_ms=QUIET_MS,
    )
    tricks = tuple(draw.sample(list(TRICKS), draw.choice((1, 1, 2)))) if liar is not None else ()
    return Plan(scenario, tuple(deaf), tuple(cuts), liar, tricks)


_LIMITS: tuple[tuple[tuple[str, int], ...], ...] = (
    (),
    (),
    (("batch_window", 4), ("replay_window", 8)),
    (("run_ahead", 2),),
    (("batch_transactions", 1),),
)


def _power_cuts(draw: Random, stable_ms: int) -> list[Incident]:
    """Some crash one by one, some all at once, mostly at a boundary of a write."""
    cuts = []
    for _ in range(draw.choice((1, 1, 2, 4))):
        at_ms = draw.randrange(100, stable_ms)
        whom = draw.sample(range(NODES), draw.choice((1, 1, 3, 4)))
        for node in whom:
            until_ms = at_ms + draw.choice((20, 100, 600))
            boundary = draw.choice((0, 1, 2, 3, 4))
            cuts.append(Incident("crash", at_ms, min(until_ms, stable_ms), (node,), boundary))
    if draw.random() < 0.3:
        at_ms = draw.randrange(200, stable_ms)
        kind = draw.choice(("lost-disk", "old-disk"))
        robbed = (draw.randrange(1, NODES),)
        cuts.append(Incident(kind, at_ms, min(at_ms + draw.choice((20, 200)), stable_ms), robbed))
    return cuts


_RECORDS = (
    layout.DECISION_HEAD, layout.EXECUTED, layout.CERTIFIED, layout.SIGNED, layout.PLUGIN,
    layout.SEQUENCES, layout.SIGNED + b"checkpoint",
)  # fmt: skip


def _cuts(draw: Random) -> list[Cut]:
    """One node, or most, or all lose power right behind the same kind of write."""
    prefix, skip = draw.choice(_RECORDS), draw.choice((0, 0, 1, 2, 5))
    whom = draw.sample(range(NODES), draw.choice((1, 2, 3, 4, 4)))
    return [Cut(prefix, tuple(whom), skip, draw.choice((10, 100, 1_000)))]


def _clocks(draw: Random, stable_ms: int) -> list[Incident]:
    """Wall clocks that are behind or ahead, some by hours."""
    whom = draw.sample(range(NODES), draw.choice((1, 1, 2)))
    step_ms = draw.choice((-3_600_000, -60_000, -1_500, 1_500))
    return [Incident("clock", 1, stable_ms, (node,), step_ms) for node in whom]


def _deafness(draw: Random, stable_ms: int) -> list[Deaf]:
    found = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        one = draw.randrange(NODES)
        everyone = tuple(range(NODES))
        others = tuple(node for node in everyone if node != one)
        from_ms = draw.choice((0, draw.randrange(stable_ms)))
        # Mostly it ends when everything else is over, too, and nothing new makes up for it.
        until_ms = draw.choice((stable_ms, stable_ms, min(stable_ms, from_ms + 300)))
        found.append(
            Deaf(
                draw.choice(KINDS),
                draw.choice((everyone, everyone, (one,), others)),
                draw.choice((everyone, (one,), others, tuple(draw.sample(everyone, 2)))),
                from_ms,
                until_ms,
            )
        )
    return found


# --- playing --------------------------------------------------------------------------------------


class HostileRun(MutatedRun):
    """A run of a plan."""

    def __init__(
        self,
        plan: Plan,
        protocol: type[Consensus],
        kind: type[Replica],
        nodes: tuple[int, ...] | None,
    ) -> None:
        self._plan = plan
        self._draw = Random(f"liar {plan.scenario.seed}")
        liars = frozenset() if plan.liar is None else frozenset({plan.liar})
        self._skipped: dict[tuple[Cut, int], int] = {}
        watcher = Onlooker(self)
        super().__init__(plan.scenario, protocol, kind, nodes, liars=liars, watchers=(watcher,))
        self.plain = Inspector(self.genesis, suite_named(SCHEME), plugin(protocol.name))
        """What every replica must check with."""
        if plan.deaf:
            self._send = self.world.network.send
            self.world.network.send = self._filtered  # type: ignore[method-assign]

        if "odd-transactions" in plan.tricks:
            self.chain.may_fail = ("",)
        incidents = [incident.kind for incident in plan.scenario.incidents]
        self.is_clock_right = not {"clock", "drift"} & set(incidents)
        """Whether all clocks show the right time."""
        self.drift_ms = self.genesis.limits.clock_drift_ms
        self.all_hear = bool(_ROBBERIES & set(incidents)) and not (
            plan.deaf or plan.cuts or set(incidents) - _ROBBERIES
        )
        """Whether somebody is robbed, and whatever is said before is heard by all and kept."""

    def can_read(self, event: FrameArrived) -> bool:
        """Whether a frame is what the strict decoder reads."""
        try:
            self.plain.packet(event.channel, event.payload)
        except Fault:
            return False
        return True

    def message_of(self, packet: SignedPacket) -> Message:
        """What a packet of the protocol says."""
        kinds: dict[int, type[Message]] = {kind.KIND: kind for kind in self._protocol.MESSAGES}
        return decode_message(kinds, packet.kind, packet.body)

    def _filtered(self, source: int, peer: int | None, channel: Channel, payload: bytes) -> None:
        receivers = [peer] if peer is not None else [n for n in range(NODES) if n != source]
        now_ms = self.world.agenda.now_ms
        lost = {
            receiver
            for one in self._plan.deaf
            if one.from_ms <= now_ms < one.until_ms
            and source in one.senders
            and payload[2:3] in [bytes([kind.KIND]) for kind in one.kinds]
            for receiver in one.receivers
        }
        if not lost:
            self._send(source, peer, channel, payload)
            return
        for receiver in receivers:
            if receiver not in lost:
                self._send(source, receiver, channel, payload)

    def wrote(self, node: int, writes: list[Write]) -> None:
        """Cut the power where the plan says so."""
        for cut in self._plan.cuts:
            if node in cut.nodes and any(key.startswith(cut.prefix) for key, _ in writes):
                count = self._skipped.get((cut, node), 0)
                self._skipped[cut, node] = count + 1
                if count == cut.skip and self.world.agenda.now_ms < self.scenario.stable_ms:
                    self.world.nodes[node].crash()
                    restart = self.world.nodes[node].boot
                    self.world.agenda.after(cut.down_ms * MS, restart)

    def _is_late(self) -> bool:
        for node in self.honest:
            if isinstance(node._machine, Replica):
                self._look_into(node.index, node._machine)
        return super()._is_late()

    def _look_into(self, index: int, replica: Replica) -> None:
        """P16: no creator fills a pool, and nobody runs ahead of the certificates."""
        pool, status = replica._spreading.pool, replica.status()
        creators = Counter(
            held.batch.creator for digest, held in pool.held.items() if digest not in pool.ordered
        )
        if max(creators.values(), default=0) > 2 * CREATOR_BATCHES_MAX:
            self.findings.add("P16", f"node {index} holds {max(creators.values())} batches", index)
        ahead = status.decided - status.certified
        if ahead > self.genesis.limits.run_ahead + AHEAD_SLACK:
            self.findings.add("P16", f"node {index} decided {ahead} blocks ahead", index)

    def _open(self, index: int, reader: Reader) -> Machine:
        machine = super()._open(index, reader)
        if index != self._plan.liar:
            return Strict(machine, self, index) if self._plan.liar is not None else machine
        return Liar(machine, self, index, self._plan.tricks)

    @property
    def protocol(self) -> type[Consensus]:
        """What the liar's plugin speaks."""
        return self._protocol

    @property
    def draw(self) -> Random:
        """The liar's chance."""
        return self._draw


Drawn = Callable[[int, str, Mutant], Plan]
"""The plan of (number, protocol, mutant)."""


def attempt(
    mutant: Mutant, number: int, *, draw: Drawn = draw_plan, name: str = "hostile"
) -> tuple[Verdict, int]:
    """One drawn network."""
    home = mutant.plugin.name if mutant.plugin else HOMES[number % len(HOMES)]
    plan = draw(number, home, mutant)
    protocol = plugin(home)

    def broken(kind: type[Replica], protocol: type[Consensus]) -> tuple[str, ...]:
        report = HostileRun(plan, protocol, kind, mutant.nodes).lead()
        return tuple(dict.fromkeys(violation.property for violation in report.violations))

    with patching(mutant):
        found = broken(mutant.replica or Replica, mutant.plugin or protocol)
    whole = partial(broken, Replica, mutant.base or protocol)
    return judged(mutant, found, whole, f"{name} {number}"), 1
