"""Who looks on while whole replicas are under attack, and judges more than every run does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from consensus.interface import Now
from consensus.io import FrameArrived, HostEvent, Report, SendFrame, Step
from consensus.packets import CertificatePacket, DecisionPacket, SignedPacket, decode_packet
from ledger import layout
from ledger.errors import Fault
from ledger.statement import Slot
from ledger.store import Reader, Write
from sim.clock import EPOCH_MS
from sim.watcher import Machine, Watcher

if TYPE_CHECKING:
    from tests.zoo.hostile import HostileRun

HEARD_MS = 100
"""Within so long everyone has heard what was said, in calm weather."""


class Strict:
    """Looks whether an honest replica takes a frame that is not the one encoding of it (P15)."""

    def __init__(self, machine: Machine, run: HostileRun, index: int) -> None:
        self._machine = machine
        self._run = run
        self._index = index

    def step(self, now: Now, event: HostEvent) -> Step:
        step = self._machine.step(now, event)
        if isinstance(event, FrameArrived) and not self._run.can_read(event):
            refused = any(isinstance(one, Report) and one.name == "refused" for one in step.outputs)
            if not refused and step.outputs:
                self._run.findings.add("P15", "a second encoding was taken", self._index)
        return step


class Onlooker(Watcher):
    """Cuts the power, and judges more than every run does.

    P3: no block has a time that nobody's clock has shown.  P4: honest nodes pass on right
    certificates only.  P6: a block in which every transaction fails changes no application's state.
    P14: a validator without its disk contradicts nothing that all others heard.
    """

    def __init__(self, run: HostileRun) -> None:
        self._run = run
        self._said: dict[tuple[int, str, Slot], tuple[int, bytes]] = {}
        self._known: dict[tuple[int, str, Slot], bytes] = {}
        """What a robbed node had said in time for everyone to hear it."""

    def robbed(self, node: int) -> None:
        now_ms = self._run.world.agenda.now_ms
        for key, (time_ms, value) in self._said.items():
            if key[0] == node and time_ms + HEARD_MS < now_ms:
                self._known.setdefault(key, value)

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        self._run.wrote(node, writes)
        self._judge_failures(node, writes)
        if self._run.is_clock_right:
            for key, value in writes:
                if key[:1] == layout.HEADER and value is not None:
                    self._judge_time(node, msgpack.unpackb(value, raw=False)[8])

    def _judge_failures(self, node: int, writes: list[Write]) -> None:
        blocks = [value for key, value in writes if key[:1] == layout.BLOCK and value is not None]
        leaves = [msgpack.unpackb(leaf, raw=False)
                  for block in blocks for leaf in msgpack.unpackb(block)[1][1:-1]]  # fmt: skip
        has_changed = any(key[:1] == layout.STATE for key, _ in writes)
        if has_changed and leaves and all(leaf[4] for leaf in leaves):
            self._run.findings.add("P6", "what failed has left something behind", node)

    def _judge_time(self, node: int, timestamp_ms: int) -> None:
        latest_ms = EPOCH_MS + self._run.world.agenda.now_ms + self._run.drift_ms
        if timestamp_ms > latest_ms:
            late_ms = timestamp_ms - latest_ms
            self._run.findings.add("P3", f"a block is {late_ms} ms ahead of every clock", node)

    def _judge_words(self, node: int, output: SendFrame) -> None:
        _, packet = decode_packet(output.channel, output.payload)
        if not isinstance(packet, SignedPacket) or packet.sender != node:
            return
        phase, slot, value = self._run.message_of(packet).statement()
        now_ms = self._run.world.agenda.now_ms
        self._said.setdefault((node, phase, slot), (now_ms, value))
        known = self._known.get((node, phase, slot), value)
        if known != value:
            self._run.findings.add("P14", f"node {node} said two values in {phase} {slot}", node)

    def sent(self, node: int, output: SendFrame) -> None:
        if node in self._run.liars:
            return
        if self._run.all_hear and output.payload[2] == SignedPacket.KIND:
            self._judge_words(node, output)
        if output.payload[2] not in _PROVING:
            return
        _, packet = decode_packet(output.channel, output.payload)
        assert isinstance(packet, CertificatePacket | DecisionPacket)
        try:
            if isinstance(packet, CertificatePacket):
                self._run.plain.check_certificate(packet.certificate())
            else:
                for certificate in packet.parse(self._run.plain.message)[1].certificates:
                    self._run.plain.check_certificate(certificate)
        except Fault as fault:
            self._run.findings.add(
                "P4", f"node {node} passed on a wrong certificate: {fault}", node
            )


_PROVING = (CertificatePacket.KIND, DecisionPacket.KIND)
