"""Recording a run of whole replicas: what their protocol says and does, not every frame.

Proposals, votes, certificates, checkpoints and handed-over decisions are recorded; batches, queries
and greetings are not.  A statement counts as heard when its frame arrives.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgpack

from consensus.interface import Consensus, Message, Timer
from consensus.io import Channel, Report
from consensus.packets import (
    CertificatePacket,
    CheckpointCertified,
    CheckpointSignature,
    DecisionPacket,
    Packet,
    SignedPacket,
    decode_packet,
)
from ledger import encoding, layout
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.store import Reader, Write
from ledger.value import Value, parse_value
from p2p.frames import FrameReader
from sim.agenda import MS
from sim.oracles import Violation
from sim.record import Fate, Line, Notebook, Recording, Span
from sim.record_words import slot_text
from sim.relay import unwrapped
from sim.run import Run, SimReport
from sim.scenario import Incident, Scenario
from sim.watcher import Watcher

_CHECKPOINT = layout.SIGNED + b"checkpoint\x00"
_FAULTS = {
    "partition": "partition: {} | others",
    "one-way": "one-way: {} not heard",
    "isolate": "isolated: {}",
    "leader": "leader cut off",
    "ring": "ring: each hears a majority",
    "view-partition": "partition until a view changes: {} | others",
    "flap": "link of {} comes and goes",
}
"""Words for faults whose kind alone says too little."""
_OWN = frozenset({"executed", "certified", "dropped batch", "voted", "proposed"})
"""Reports that say what is seen elsewhere, or that no chart needs."""


def record(
    scenario: Scenario, protocol: type[Consensus], **options: Any
) -> tuple[SimReport, Recording]:
    """Run a scenario to its end and record it; options are those of `sim.run.run`."""
    recorder = ReplicaRecorder(scenario, protocol)
    watchers = (*options.pop("watchers", ()), recorder)
    run = Run(scenario, protocol, watchers=watchers, **options)
    recorder.begin(run)
    report = run.lead()
    return report, recorder.recording(report)


class ReplicaRecorder(Watcher):
    """Watches the nodes and the links of one run."""

    def __init__(self, scenario: Scenario, protocol: type[Consensus]) -> None:
        self._scenario = scenario
        self._protocol = protocol
        self._messages = {message.KIND: message for message in protocol.MESSAGES}
        self._parsed: dict[bytes, Packet | None] = {}
        self._said: dict[tuple[int, bytes], tuple[int, int]] = {}
        """(time, saying) of what a node sent last with these bytes."""
        self._pending: dict[tuple[int, int, bytes], deque[int]] = {}
        self._undisclosed: dict[tuple[int, Slot], Value] = {}
        """(node, slot) -> a value that is decided there, and not yet told as a block."""
        self._violations = 0

    def begin(self, run: Run) -> None:
        """The world is complete; nothing has happened in it."""
        agenda = run.world.agenda
        validators = run.genesis.epoch.validators
        self._found: list[Violation] = run.findings.found
        self._book = Notebook(self._protocol, validators, lambda: agenda.now_us)
        honest = [node.index for node in run.honest]
        self._book.lines += _lines(self._scenario, honest)
        self._book.spans += [_span(incident) for incident in self._scenario.incidents]
        run.world.network.recorder = self

    # --- links ------------------------------------------------------------------------------------

    def posted(self, source: int, dest: int, data: bytes) -> None:
        """A frame leaves a node for another one."""
        packet = self._parse(data)
        if packet is None:
            return
        self._look()
        now_us = self._book.now_us()
        at_us, saying = self._said.get((source, data), (-1, -1))
        if at_us != now_us:
            saying = self._say(source, packet)
            self._said[source, data] = (now_us, saying)
        passage = self._book.post(saying, dest)
        self._pending.setdefault((source, dest, data), deque()).append(passage)

    def lost(self, source: int, dest: int, data: bytes) -> None:
        """A frame will not arrive."""
        waiting = self._pending.get((source, dest, data))
        if waiting:
            self._book.end(waiting.pop(), Fate.LOST, "lost on the way")

    def arrived(self, source: int, dest: int, data: bytes) -> None:
        """A frame comes out of a link."""
        packet = self._parse(data)
        if packet is None:
            return
        self._look()
        waiting = self._pending.get((source, dest, data))
        if waiting:
            self._book.end(waiting.popleft(), Fate.ARRIVED)
        elif (source, data) in self._said:
            passage = self._book.post(self._said[source, data][1], dest)
            self._book.end(passage, Fate.ARRIVED, "came again")
        if isinstance(packet, SignedPacket):
            self._book.heard(dest, packet.sender, self._message(packet.kind, packet.body))
        elif isinstance(packet, CertificatePacket):
            self._book.holds(dest, packet.certificate())

    def _say(self, node: int, packet: Packet) -> int:
        book = self._book
        match packet:
            case SignedPacket():
                message = self._message(packet.kind, packet.body)
                return book.say_message(node, packet.sender, message)
            case CertificatePacket():
                return book.say_certificate(node, packet.certificate())
            case CheckpointSignature():
                label = f"checkpoint {packet.height}"
                words = f"checkpoint of height {packet.height}, {packet.size} leaves, "
                words += f"root {packet.root.hex()[:8]}, signed by v{packet.signer}"
                return book.say(node, "checkpoint", label, words, (packet.height,))
            case CheckpointCertified():
                label = f"certified {packet.height}"
                words = f"checkpoint certificate of height {packet.height}"
                return book.say(node, "checkpoint", label, words, (packet.height,))
        assert isinstance(packet, DecisionPacket)
        values = [book.names.learn(parse_value(raw)) for raw in packet.values]
        label = "decision " + " ".join(f"#{value + 1}" for value in values)
        return book.say(node, "decision", label, f"{label} with its proof", (), values[-1])

    def _parse(self, data: bytes) -> Packet | None:
        """The packet in a frame, where a chart shows it."""
        if data not in self._parsed:
            frame = FrameReader().feed(data)[0]
            packet: Packet | None = None
            try:
                _, packet = decode_packet(Channel(int(frame.channel)), unwrapped(frame.payload))
                if isinstance(packet, SignedPacket):
                    self._message(packet.kind, packet.body)
            except DecodeFault:  # Gossip of other kinds, or an attacker's: receivers refuse it.
                packet = None
            shown = (
                SignedPacket | CertificatePacket | DecisionPacket
                | CheckpointSignature | CheckpointCertified
            )  # fmt: skip
            self._parsed[data] = packet if isinstance(packet, shown) else None
        return self._parsed[data]

    def _message(self, kind: int, body: bytes) -> Message:
        """The plugin's message, by its own decoder.  Raises DecodeFault."""
        message = self._messages.get(kind)
        if message is None:
            raise DecodeFault("packet.message", f"kind {kind}")
        row = encoding.decode(body, message.SHAPE, size_max=len(body), what="message")
        return message.from_row(row)

    # --- nodes ------------------------------------------------------------------------------------

    def booted(self, node: int, reader: Reader) -> None:
        self._happened(node, "booted", "booted")

    def crashed(self, node: int) -> None:
        self._happened(node, "crashed", "crashed")

    def robbed(self, node: int) -> None:
        self._happened(node, "robbed", "lost its disk, or got an earlier one back")

    def failed(self, node: int, reason: str) -> None:
        self._happened(node, "stopped", f"stopped for good: {reason}")

    def rang(self, node: int, timer: Timer) -> None:
        words = f"timeout {timer.name} {slot_text(timer.slot)} ended"
        self._book.happened(node, "timeout", words, is_routine=timer.name == "retry")

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        self._happened(node, "certified", f"confirmed height {height}")

    def reported(self, node: int, report: Report) -> None:
        self._look()
        told = dict(report.fields)
        if report.name == "decided":
            value = self._undisclosed.pop((node, told["slot"]))
            self._book.decided(node, told["height"], value, place="block")
        elif report.name == "accused":
            phase, slot, _ = told["first"]
            words = f"accused v{told['culprit']} of two in {phase} {slot_text(slot)}"
            self._book.happened(node, "accused", words)
        elif report.name not in _OWN:
            self._book.noted(node, report.name, report.fields)

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        """Own statements count for quorums, and decisions are decided, once they are durable."""
        for key, raw in writes:
            kind = key[:1]
            if raw is None:
                continue
            if kind == layout.SIGNED and not key.startswith(_CHECKPOINT):
                number, body, *_ = _unpack(raw)
                self._book.heard(node, node, self._message(number, body))
            elif kind == layout.DECIDED:
                self._decided(node, raw)
        self._look()

    def _decided(self, node: int, raw: bytes) -> None:
        """Decided values become blocks, whose heights the node tells next; empty ones make none."""
        _, packet = decode_packet(Channel.SYNC, _unpack(raw)[1])
        assert isinstance(packet, DecisionPacket)
        for value in map(parse_value, packet.values):
            if value.payload:
                self._undisclosed[node, value.slot] = value
            else:
                number = self._book.names.learn(value)
                words = f"decided the empty value #{number + 1}, which makes no block"
                self._book.happened(node, "decided", words, number)

    def _happened(self, node: int, kind: str, words: str) -> None:
        self._look()
        self._book.happened(node, kind, words)

    def _look(self) -> None:
        """Write down what the oracles have found since."""
        for violation in self._found[self._violations :]:
            words = f"{violation.property} is violated: {violation.sentence}"
            self._book.happened(None, "violated", words)
        self._violations = len(self._found)

    # --- afterwards -------------------------------------------------------------------------------

    def recording(self, report: SimReport) -> Recording:
        """The recording of the run, which is over."""
        self._look()
        about = (
            ("protocol", f"{report.protocol}, {report.nodes} whole replicas"),
            ("seed", str(report.seed)),
            ("faults", ", ".join(report.faults) or "none"),
            ("network stable", f"after {self._scenario.stable_ms} ms"),
            ("confirmed", f"{report.confirmed} of {report.wishes} transactions"),
            ("trace hash", report.trace_hash),
            ("again", report.replay),
        )
        return self._book.recording(about)


def _lines(scenario: Scenario, honest: list[int]) -> list[Line]:
    """One line a node; twins come after the validators, in the order of the scenario."""
    attacks = dict(scenario.attacks)
    lines = []
    for node, validator in enumerate((*range(scenario.nodes), *scenario.twins)):
        role = "" if node in honest else attacks.get(validator, "attacker")
        name = f"v{validator}" + "'" * (node >= scenario.nodes)
        lines.append(Line(name, validator, "twin" if validator in scenario.twins else role))
    return lines


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)


def _span(incident: Incident) -> Span:
    """A planned fault; whom the leader's befalls shows only when it begins."""
    nodes = () if incident.kind in ("leader", "ring") else incident.nodes
    who = " ".join(f"v{node}" for node in nodes)
    words = _FAULTS.get(incident.kind, incident.kind + " {}").format(who)
    return Span(incident.kind, incident.at_ms * MS, incident.until_ms * MS, nodes, words)
