"""Counting what a protocol sends: messages, bytes, signatures, message delays for one decision.

Every message takes the same time, writes and answers take next to none, and one payload comes after
the other, so that what is counted follows from the protocol alone.  A time in which nothing is on
its way is one in which a timer is waited for: it is counted apart from the message delays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from consensus.interface import Consensus, Message, Signed
from consensus.leaders import RoundRobin
from consensus.packets import CertificatePacket, SignedPacket, TellPacket, encode_packet
from consensus.packets import Packet as Wire
from ledger.encoding import encode
from ledger.statement import Slot
from sim.costs import Cost
from sim.plugin_step import Packet
from sim.plugins import PluginScenario, Script

DELAY_MS = 50
WITHIN_MS = 3_600_000
SILENT_MS = DELAY_MS + 10
"""After so long in which no plugin took a step nothing is on its way: a timer was waited for."""
SECOND_MS = 1_000
INTO_SECOND_MS = 10
"""How far behind the begin of a second payloads come: a little more than clocks differ by."""


@dataclass(frozen=True, slots=True)
class Count:
    """What happened from the moment one payload came until all had decided it."""

    messages: dict[str, int]
    """By phase, "certificate" for bare certificates, "hint" for hints: how many crossed links."""
    octets: int
    """Bytes of these messages as frame payloads, signatures of 64 bytes among them."""
    signatures: int
    """How many statements were signed, those that crossed no link included."""
    delays: int
    """Message delays until the last validator had decided."""
    waits: int
    """Timers that had to fire meanwhile, since nothing was on its way."""
    leader: int
    """Who led: the first that proposed; where all propose at once, whose block counts first."""

    @property
    def cost(self) -> Cost:
        """What is predicted of it."""
        messages = sum(self.messages.values())
        return Cost(messages, self.octets, self.signatures, self.delays, self.waits)


TRIED = 6
"""Seats tried as the one that is down and whose turn does not come."""
DRAWN = 3
"""Epochs in a row that a lock-step protocol needs, without the one whose turn has just passed."""
LONG_MS = 600_000
SCHEDULE: Mapping[str, tuple[tuple[str, int], ...]] = {
    "tendermint": (("retry_ms", LONG_MS),),
    "pbft": (("retry_ms", LONG_MS),),
    # Of a hundred timers drawn at random from so long a time, one fires well before the others.
    "raft": (("election_ms", LONG_MS), ("election_max_ms", LONG_MS), ("heartbeat_ms", LONG_MS)),
}
"""Parameters of the runs that differ from their defaults, by name of the protocol: nothing is said
a second time while a timer is waited for."""


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
        self.agenda.keep_order()  # As links do: what is said behind a timeout comes behind it.
        self.allow = self._count
        self._messages: Counter[str] = Counter()
        self._octets = 0
        self._sizes: dict[int, tuple[Packet, int]] = {}
        """Of packets that go to several: by identity, with the packet, which keeps that its own."""
        self._signatures = 0
        self._proposed: tuple[Slot, set[int]] | None = None
        """(first slot in which a value was proposed, who did)."""
        self._has_decided = False
        self.run_ms(5)

    def sign(self, validator: int, message: Message) -> Signed:
        self._signatures += 1
        return super().sign(validator, message)

    def has_decided(self, index: int, first: int) -> None:
        self._has_decided = True
        super().has_decided(index, first)

    def _count(self, sender: int, receiver: int, packet: Packet) -> bool:
        known = self._sizes.get(id(packet))
        if known is None:
            known = self._sizes[id(packet)] = (packet, _octets(packet))
        self._octets += known[1]
        if isinstance(packet, bytes):
            self._messages["hint"] += 1
        elif isinstance(packet, Signed):
            phase, slot, _ = packet.message.statement()
            self._messages[phase] += 1
            if packet.message.values():
                if self._proposed is None:
                    self._proposed = (slot, set())
                if self._proposed[0] == slot:
                    self._proposed[1].add(packet.sender)
        else:
            self._messages["certificate"] += 1
        return True

    def decide_one(self, payload: bytes) -> Count:
        """Let everybody have a payload; what is counted until it is decided and all is silent."""
        count = self.try_to_decide(payload)
        assert count is not None, "nothing was decided"
        return count

    def _begin_second(self) -> None:
        """Let time pass until a second has begun, and with it epochs of a lock-step protocol."""
        self.run_ms(SECOND_MS - self.agenda.now_ms % SECOND_MS + INTO_SECOND_MS)

    def try_to_decide(self, payload: bytes) -> Count | None:
        """`decide_one`, or None where nothing is decided in time."""
        self._begin_second()
        self._messages.clear()
        self._sizes.clear()
        self._octets = self._signatures = 0
        self._proposed = None
        up = [seat for seat in self.seats if seat.is_up]
        before = self._blocks()
        self.submit(payload)
        spent = self._await_block(before)
        if spent is None:
            return None
        assert all(not seat.has_unordered() for seat in up)
        self.run_ms(10 * DELAY_MS)
        return Count(
            dict(sorted(self._messages.items())),
            self._octets,
            self._signatures,
            *spent,
            self._leader(),
        )

    def _await_block(self, before: int) -> tuple[int, int] | None:
        """(message delays, timers waited for) until all have one block more than before."""
        agenda, began_us = self.agenda, self.agenda.now_us
        last_us, silent_us, waits, events = began_us, 0, 0, self.events
        while not self._has_decided or self._blocks() <= before:
            self._has_decided = False
            if not len(agenda) or agenda.now_us - began_us > WITHIN_MS * 1_000:
                return None
            agenda.run_until(agenda.next_us)
            if self.events == events:
                continue  # A timer that no longer runs.
            if agenda.now_us - last_us > SILENT_MS * 1_000:
                waits += 1
                silent_us += agenda.now_us - last_us
            last_us, events = agenda.now_us, self.events
        return round((agenda.now_us - began_us - silent_us) / (DELAY_MS * 1_000)), waits

    def leads_again(self, leader: int, slots: int) -> bool:
        """Whether who led the last block also leads one of so many slots after its own."""
        assert self._proposed is not None
        (number,), _ = self._proposed
        plugin = self._any_plugin()
        return leader in [plugin.leader((number + after,)) for after in range(1, slots + 1)]

    def _any_plugin(self) -> Consensus:
        return next(seat.plugin for seat in self.seats if seat.plugin is not None)

    def _leader(self) -> int:
        assert self._proposed is not None
        slot, proposers = self._proposed
        if len(proposers) > 1:
            leader = self._any_plugin().leader(slot)
            if leader is not None:
                return leader
        return min(proposers)

    def _blocks(self) -> int:
        """How many decided values with payload every seat that is up has."""
        return min(
            sum(1 for value in seat.log[: seat.durable] if value.payload)
            for seat in self.seats
            if seat.is_up
        )


# --- the cases ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """What one block costs a network of one size, the second of its life."""

    good: Count
    """All are up."""
    one_down: Count
    """One fell silent after the first block, and its turn does not come."""
    seat: int
    """Who it was."""
    leader_down: Count | None
    """The one fell silent that would have led; None where nothing is decided without it."""
    next_leader: int | None
    """Who leads the view after, where a chain's leaders take turns and collect votes; else None."""
    next_down: Count | None
    """That one fell silent; None where there is none such, or nothing is decided without it."""


def count_all(protocol: type[Consensus], nodes: int) -> Counts:
    """What the second block of a network of this size costs in all cases."""
    after_s, good = _count_good(protocol, nodes)
    seat, one_down = _count_one_down(protocol, nodes, good, after_s)
    leader_down = _count_second(protocol, nodes, good.leader, after_s)[1]
    next_leader, next_down = None, None
    if protocol.LEADERS is RoundRobin and protocol.turn() > 1:
        next_leader = (good.leader + 1) % nodes
        next_down = _count_second(protocol, nodes, next_leader, after_s)[1]
    return Counts(good, one_down, seat, leader_down, next_leader, next_down)


def _count_good(protocol: type[Consensus], nodes: int) -> tuple[int, Count]:
    """(seconds after which the first block comes, what is counted of the second).

    Where leaders are drawn for epochs by the clock, who leads is not to be drawn again soon.
    """
    after_s = 0
    while True:
        world, count = _count_second(protocol, nodes, None, after_s)
        assert count is not None, "nothing was decided"
        if not protocol.lock_step or not world.leads_again(count.leader, DRAWN):
            return after_s, count
        after_s += 1


def _count_one_down(
    protocol: type[Consensus], nodes: int, good: Count, after_s: int
) -> tuple[int, Count]:
    """(seat, count) of the same with one down whose turn does not come.

    Turns mostly go by seats: so the one before the leader is tried first, then the one before that,
    until nobody is waited for.
    """
    for distance in range(1, min(nodes, TRIED + 1)):
        seat = (good.leader - distance) % nodes
        _, count = _count_second(protocol, nodes, seat, after_s)
        if count is not None and (count.delays, count.waits) == (good.delays, good.waits):
            return seat, count
    raise AssertionError("no validator can be spared")


def _count_second(
    protocol: type[Consensus], nodes: int, down: int | None, after_s: int
) -> tuple[Counted, Count | None]:
    world = Counted(protocol, nodes, SCHEDULE.get(protocol.name, ()))
    world.run_ms(after_s * SECOND_MS)
    world.decide_one(b"first".ljust(32, b"\0"))
    if down is not None:
        world.crash(down)
    return world, world.try_to_decide(b"second".ljust(32, b"\0"))


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
