"""Counting what a protocol sends: messages, signatures and message delays for one decision.

Every message takes the same time, writes and answers take none, and one payload comes after the
other, so that what is counted follows from the protocol alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from consensus.interface import Consensus, Signed
from consensus.packets import CertificatePacket, SignedPacket, TellPacket, encode_packet
from consensus.packets import Packet as Wire
from ledger.encoding import encode
from sim.plugin_step import Packet
from sim.plugins import PluginScenario, Script

DELAY_MS = 50
WITHIN_MS = 20_000


@dataclass(frozen=True, slots=True)
class Count:
    """What happened from the moment one payload came until all had decided it."""

    messages: dict[str, int]
    """By phase, "certificate" for bare certificates, "hint" for hints: how many crossed links."""
    octets: int
    """Bytes of these messages as frame payloads, signatures of 64 bytes among them."""
    signatures: int
    """How many statements were signed."""
    delays: int
    """Message delays from the first proposal until the last validator had decided."""


class Counted(Script):
    """A network in which nothing goes wrong but what a test breaks."""

    def __init__(
        self, protocol: type[Consensus], nodes: int, parameters: tuple[tuple[str, int], ...] = ()
    ) -> None:
        super().__init__(
            PluginScenario(
                protocol,
                nodes=nodes,
                payloads=0,
                delay_us=DELAY_MS * 1_000,
                jitter_us=0,
                sync_us=0,
                exchange_ms=0,
                parameters=parameters,
            )
        )
        self.allow = self._count
        self._messages: Counter[str] = Counter()
        self._octets = 0
        self._signed: dict[tuple[int, tuple[str, tuple[int, ...], bytes]], None] = {}
        self._proposed_ms: int | None = None
        self.run_ms(5)

    def _count(self, sender: int, receiver: int, packet: Packet) -> bool:
        self._octets += _octets(packet)
        if isinstance(packet, bytes):
            self._messages["hint"] += 1
        elif isinstance(packet, Signed):
            statement = packet.message.statement()
            self._messages[statement[0]] += 1
            self._signed[packet.sender, statement] = None
            if packet.message.values() and self._proposed_ms is None:
                self._proposed_ms = self.agenda.now_ms
        else:
            self._messages["certificate"] += 1
        return True

    def decide_one(self, payload: bytes) -> Count:
        """Let everybody have a payload; what is counted until it is decided and all is silent."""
        count = self.try_to_decide(payload)
        assert count is not None, "nothing was decided"
        return count

    def try_to_decide(self, payload: bytes) -> Count | None:
        """`decide_one`, or None where nothing is decided in time."""
        self._messages.clear()
        self._octets = 0
        self._signed.clear()
        self._proposed_ms = None
        up = [seat for seat in self.seats if seat.is_up]
        before = self._blocks()
        self.submit(payload)
        if not self.run_until(lambda: self._blocks() > before, limit_ms=WITHIN_MS):
            return None
        assert self._proposed_ms is not None
        delays = round((self.agenda.now_ms - self._proposed_ms) / DELAY_MS)
        assert all(not seat.has_unordered() for seat in up)
        self.run_ms(10 * DELAY_MS)
        messages = dict(sorted(self._messages.items()))
        return Count(messages, self._octets, len(self._signed), delays)

    def _blocks(self) -> int:
        """How many decided values with payload every seat that is up has."""
        return min(
            sum(1 for value in seat.log[: seat.durable] if value.payload)
            for seat in self.seats
            if seat.is_up
        )


def _octets(packet: Packet) -> int:
    wire: Wire
    if isinstance(packet, bytes):
        wire = TellPacket(packet)
    elif isinstance(packet, Signed):
        row = encode(packet.message.row())
        wire = SignedPacket(packet.sender, packet.message.KIND, row, packet.signature)
    else:
        wire = CertificatePacket.of(packet)
    return len(encode_packet(wire, 0))
