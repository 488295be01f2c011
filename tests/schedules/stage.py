"""A whole small network in virtual time, every frame, write and restart of which a schedule rules.

Real replicas run on simulated nodes with memory disks; the oracles of the simulator look on.  A
schedule stops frames (`allow`), crashes nodes, and puts words into the mouth of a *puppet*: a
validator whose process is up and greets, and says nothing else by itself.

Mutants are replicas that lack one rule, see `mutants.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from consensus.dissemination import LIGHT_BYTES
from consensus.inspector import decode_message
from consensus.interface import Consensus, Message, Now
from consensus.io import Answer, Channel, FrameArrived, HostEvent, Report, SendFrame, Step
from consensus.packets import (
    BatchPacket,
    Packet,
    SignedPacket,
    decode_packet,
    encode_packet,
)
from consensus.recovery import Recovered, Setup, first_writes, recover
from consensus.replica import Replica
from ledger import encoding, layout
from ledger.applications.records import Records, make_record
from ledger.batch import Batch, make_batch
from ledger.block import BlockHeader, TransactionLeaf, parse_header, parse_leaf
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.execution import parse_block_entry
from ledger.statement import Slot, Statement
from ledger.store import Reader, Write
from ledger.transaction import Operation, Transaction, make_transaction
from sim.agenda import MS, Agenda
from sim.chain_oracle import ChainOracle, certified_height
from sim.network import Network
from sim.node import Node
from sim.oracles import Findings, HealthOracle, VoteOracle
from sim.scenario import Pace, Weather
from sim.trace import Trace
from sim.watcher import Machine, Watcher
from tests.schedules.machines import ForgetfulNode, Puppet
from tests.schedules.mutants import Kind
from tests.schedules.network import make_network
from tests.sim.protocols import plugin

Allow = Callable[[int, int, Packet], bool]
"""(sender, receiver, packet) -> whether it arrives."""
SLICE_MS = 2


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that left a node."""

    at_ms: int
    sender: int
    peer: int | None
    packet: Packet


@dataclass
class _Ear:
    """A machine that hears only what the schedule allows, and whose steps are kept."""

    stage: Stage
    me: int
    machine: Machine

    def step(self, now: Now, event: HostEvent) -> Step:
        if isinstance(event, FrameArrived):
            if not self.stage.hears(self.me, event):
                return Step()
            if self.stage.tamper is not None:
                event = replace(event, payload=self.stage.tamper(event.peer, event.payload))
        step = self.machine.step(now, event)
        self.stage.stepped(self.me, event, step)
        return step


class Stage(Watcher):
    """One network, from its first start; what happens is up to the schedule."""

    def __init__(
        self,
        protocol: str = "tendermint",
        *,
        nodes: int = 4,
        kind: Kind | Mapping[int, Kind] = Replica,
        consensus: type[Consensus] | None = None,
        limits: Mapping[str, int] | None = None,
        parameters: Mapping[str, int] | None = None,
        scheme: str = "keyed-hash",
        puppets: tuple[int, ...] = (),
        down: tuple[int, ...] = (),
        seed: int = 1,
    ) -> None:
        self.genesis, self.signers, self.members = make_network(
            nodes, protocol, limits or {}, parameters or {}, scheme
        )
        self.protocol = consensus or plugin(protocol)
        self.allow: Allow | None = None
        self.tamper: Callable[[int, bytes], bytes] | None = None
        """(sender, payload) -> the payload that arrives instead."""
        self.on_step: Callable[[int, HostEvent, Step], None] | None = None
        """Called after every step of a replica, before its writes reach the disk."""
        self.on_write: Callable[[int, list[Write]], None] | None = None
        """Called after every write."""
        self.sent_log: list[Sent] = []
        self.reports: list[tuple[int, Report]] = []
        self.answers: dict[int, Answer] = {}
        self.stopped: dict[int, str] = {}
        self.promised: dict[int, int] = {}
        """Node -> highest height that it ever called confirmed."""
        self.crashes: list[int] = []
        """Nodes, in the order of their crashes."""
        self._kinds = kind
        self._puppets = puppets
        self._machines: dict[int, Machine] = {}
        self._requests = 0
        self.agenda = Agenda(Random(f"{seed} ties"))
        self.network = Network(
            nodes, self.agenda, Random(f"{seed} network"), weather=Weather(1_000, 0)
        )
        self.findings = Findings(lambda: self.agenda.now_ms)
        self._judges = (
            ChainOracle(self.genesis, self.findings),
            VoteOracle(self.findings, self.message_of),
            HealthOracle(self.findings, frozenset(puppets)),
        )
        self.nodes = [self._make_node(index, seed) for index in range(nodes)]
        self.network.attach(list(self.nodes))
        for node in self.nodes:
            node.engine.write(first_writes(self.genesis), sync=True)
            if node.index not in down:
                node.boot()

    def _make_node(self, index: int, seed: int) -> Node:
        return ForgetfulNode(
            index,
            self.agenda,
            self.network,
            Trace(),
            Random(f"{seed} node {index}"),
            pace=Pace(),
            open_machine=self._open,
            watchers=(self,) if index in self._puppets else (*self._judges, self),
        )

    # --- machines ---------------------------------------------------------------------------------

    def _open(self, index: int, reader: Reader) -> Machine:
        if index in self._puppets:
            self._machines[index] = Puppet(index)
            return _Ear(self, index, self._machines[index])
        self._machines[index] = self.open_replica(index, reader)
        return _Ear(self, index, self._machines[index])

    def setup(self, index: int) -> Setup:
        return Setup(self.genesis, index, self.signers[index], self.protocol, (Records(),))

    def remember(self, reader: Reader, setup: Setup) -> Recovered:
        """What a replica starts from."""
        return recover(reader, setup)

    def open_replica(self, index: int, reader: Reader) -> Replica:
        """A replica of validator `index` upon this store."""
        kind = self._kinds if isinstance(self._kinds, type) else self._kinds.get(index, Replica)
        setup = self.setup(index)
        return kind(setup, self.remember(reader, setup))

    def replica(self, index: int) -> Replica:
        """The replica that runs, or ran last, on a node."""
        machine = self._machines[index]
        assert isinstance(machine, Replica)
        return machine

    def puppet(self, index: int) -> Puppet:
        machine = self._machines[index]
        assert isinstance(machine, Puppet)
        return machine

    def message_of(self, kind: int, body: bytes) -> Message:
        """A message of the protocol from its bytes."""
        return decode_message({each.KIND: each for each in self.protocol.MESSAGES}, kind, body)

    @staticmethod
    def message_in(protocol: type[Consensus], packet: SignedPacket) -> Message:
        """What a packet of this protocol says."""
        return decode_message({m.KIND: m for m in protocol.MESSAGES}, packet.kind, packet.body)

    # --- what a schedule does ---------------------------------------------------------------------

    def hears(self, receiver: int, event: FrameArrived) -> bool:
        """Whether a frame may arrive."""
        if self.allow is None:
            return True
        try:
            _, packet = decode_packet(event.channel, event.payload)
        except Fault:
            return True
        return self.allow(event.peer, receiver, packet)

    def run_ms(self, length_ms: int) -> None:
        self.agenda.run_until(self.agenda.now_us + length_ms * MS)

    def until(self, condition: Callable[[], object], *, limit_ms: int = 30_000) -> bool:
        """Go on until something holds; whether it did within the limit."""
        last_ms = self.agenda.now_ms + limit_ms
        while not condition():
            if self.agenda.now_ms >= last_ms:
                return False
            self.run_ms(SLICE_MS)
        return True

    def crash(self, *indexes: int) -> None:
        """Cut the power: whatever is not synced is lost."""
        for index in indexes:
            self.nodes[index].crash()

    def boot(self, *indexes: int) -> None:
        for index in indexes:
            self.nodes[index].boot()

    def cut_off(self, index: int) -> None:
        """Let a node and all others hear nothing of each other, until it joins them again."""
        for other in range(len(self.nodes)):
            if other != index:
                self.network.cut(index, other)
                self.network.cut(other, index)

    def join(self, index: int) -> None:
        """End that a node is cut off."""
        for other in range(len(self.nodes)):
            if other != index:
                self.network.mend(index, other)
                self.network.mend(other, index)

    def submit(self, index: int, *transactions: Transaction | bytes) -> int:
        """Hand transactions to a node; the number under which `answers` will hold its answer."""
        self._requests += 1
        raws = tuple(t if isinstance(t, bytes) else t.raw for t in transactions)
        self.nodes[index].submit(self._requests, raws)
        return self._requests

    def inject(self, sender: int, receiver: int, packet: Packet) -> None:
        """Let a packet of a validator arrive at a node."""
        payload = encode_packet(packet, self.genesis.epoch.number)
        self.nodes[receiver].receive(FrameArrived(sender, packet.CHANNEL, payload))

    # --- what validators and members can make -----------------------------------------------------

    def transaction(
        self,
        nonce: int,
        *,
        expiry: int = 100,
        member: int = 0,
        operations: Iterable[Operation] = (),
    ) -> Transaction:
        """A member's transaction; by default it records its nonce."""
        made = list(operations) or [make_record("note", b"", b"%d of %d" % (nonce, member))]
        return make_transaction(
            self.members[member], self.genesis.network, made, nonce=nonce, expiry=expiry
        )

    def heavy_transaction(self, nonce: int) -> Transaction:
        """One whose batch is named only once a quorum is known to hold it."""
        return self.transaction(nonce, operations=[make_record("note", b"", bytes(LIGHT_BYTES))])

    def sign(
        self, sender: int, message: Message, *, network: bytes = b"", epoch: bytes = b""
    ) -> SignedPacket:
        """A message as validator `sender` signs it, perhaps for another network or epoch."""
        statement = Statement(
            network or self.genesis.network, epoch or self.genesis.epoch.id, *message.statement()
        )
        signature = self.signers[sender].statements.sign(statement.signed_bytes())
        return SignedPacket(sender, message.KIND, encode(message.row()), signature)

    def batch(
        self, creator: int, *transactions: Transaction, sequence: int = 1_000_000, height: int = 0
    ) -> tuple[Batch, BatchPacket]:
        """A validator's batch of whatever it likes."""
        made = make_batch(
            network=self.genesis.network,
            epoch=self.genesis.epoch.id,
            creator=creator,
            sequence=sequence,
            height=height,
            transactions=transactions,
        )
        signature = self.signers[creator].statements.sign(made.statement().signed_bytes())
        return made, BatchPacket(made.raw, signature)

    def inject_bytes(self, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        """Let any bytes of a validator arrive at a node."""
        self.nodes[receiver].receive(FrameArrived(sender, channel, payload))

    # --- what can be seen -------------------------------------------------------------------------

    @property
    def broken(self) -> tuple[str, ...]:
        """The properties of the oracles that do not hold, ascending."""
        return tuple(sorted({violation.property for violation in self.findings.found}))

    def certified(self, index: int) -> int:
        """Certified height on the disk of a node."""
        return certified_height(self.nodes[index].engine)

    def all_certified(self, height: int, *indexes: int) -> bool:
        """Whether these nodes, or all that are no puppets, have certified a height."""
        whom = indexes or [n.index for n in self.nodes if n.index not in self._puppets]
        return all(self.certified(index) >= height for index in whom)

    def plugin(self, index: int) -> Any:
        """The plugin of a replica that has begun."""
        return self.replica(index)._ordering.plugin

    def headers(self, index: int) -> list[BlockHeader]:
        """The headers of the executed blocks of a node, in order."""
        start, stop = layout.HEADER, layout.HEADER + b"\xff" * 9
        return [parse_header(raw) for _, raw in self.nodes[index].engine.scan(start, stop)]

    def leaves(self, index: int) -> list[TransactionLeaf]:
        """The transaction leaves of a node's log, in order."""
        found = []
        start, stop = layout.BLOCK, layout.BLOCK + b"\xff" * 9
        for _, entry in self.nodes[index].engine.scan(start, stop):
            parsed = [parse_leaf(leaf) for leaf in parse_block_entry(entry)[1]]
            found += [leaf for leaf in parsed if isinstance(leaf, TransactionLeaf)]
        return found

    def ids(self, index: int) -> list[bytes]:
        """Ids of the transactions in a node's log, in order."""
        return [hashlib.sha256(leaf.header).digest() for leaf in self.leaves(index)]

    def holds(self, transaction: Transaction, *indexes: int) -> bool:
        """Whether these nodes, or all that are no puppets, have certified a transaction."""
        whom = indexes or [n.index for n in self.nodes if n.index not in self._puppets]
        for index in whom:
            place = self.nodes[index].engine.get(layout.TX + transaction.id)
            if place is None or encoding.decode(place, _place_shape, size_max=100, what="place")[
                0
            ] > self.certified(index):
                return False
        return True

    def is_durable(self, index: int, key: bytes) -> bool:
        """Whether what stands under a key would outlive a crash of the node now."""
        unsynced = (key for batch in self.nodes[index].disk._unsynced for key, _ in batch.writes)
        return self.nodes[index].engine.get(key) is not None and key not in unsynced

    def equivocations(self, index: int) -> list[tuple[str, Slot]]:
        """Where a node said two things, as far as anyone could hear."""
        said: dict[tuple[str, Slot], bytes] = {}
        twice = []
        for sent in self.said(SignedPacket, sender=index):
            assert isinstance(sent.packet, SignedPacket)
            phase, slot, value = self.message_in(self.protocol, sent.packet).statement()
            if said.setdefault((phase, slot), value) != value:
                twice.append((phase, slot))
        return twice

    def said(self, kind: type[Packet], *, sender: int | None = None, since: int = 0) -> list[Sent]:
        """Packets of a kind that left, perhaps of one node only, from `sent_log[since]` on."""
        return [
            sent
            for sent in self.sent_log[since:]
            if isinstance(sent.packet, kind) and sender in (None, sent.sender)
        ]

    def told(self, name: str, index: int | None = None) -> list[dict[str, Any]]:
        """Fields of the reports of this name, perhaps only those of one node."""
        return [
            dict(report.fields)
            for node, report in self.reports
            if report.name == name and index in (None, node)
        ]

    # --- watching ---------------------------------------------------------------------------------

    def stepped(self, node: int, event: HostEvent, step: Step) -> None:
        if self.on_step is not None:
            self.on_step(node, event, step)

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        if self.on_write is not None:
            self.on_write(node, writes)

    def sent(self, node: int, output: SendFrame) -> None:
        _, packet = decode_packet(output.channel, output.payload)
        self.sent_log.append(Sent(self.agenda.now_ms, node, output.peer, packet))

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        self.promised[node] = max(height, self.promised.get(node, 0))

    def answered(self, node: int, answer: Answer) -> None:
        self.answers[answer.request] = answer

    def reported(self, node: int, report: Report) -> None:
        self.reports.append((node, report))

    def crashed(self, node: int) -> None:
        self.crashes.append(node)

    def failed(self, node: int, reason: str) -> None:
        self.stopped[node] = reason


_place_shape = encoding.row(*[encoding.uint()] * 4)
