"""Schedules that break Raft with one rule missing, and do nothing to Raft itself."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from consensus.interface import Signed
from consensus.protocols.raft import Raft
from consensus.protocols.raft_messages import APPEND, REQUEST, Append, RequestVote
from ledger.certificate import Certificate
from ledger.validators import QuorumRule
from sim.plugin_scenario import Clock, Partition, PluginScenario
from sim.plugin_step import Packet
from sim.plugins import PluginReport, Script, run
from sim.run import Run, SimReport
from sim.scenario import FOR_EVER_MS, Incident, Load, Scenario

HASTY = (("election_max_ms", 800), ("election_ms", 60), ("heartbeat_ms", 20))
FAIR = PluginScenario(
    protocol=Raft,
    seed=5,
    rule=QuorumRule.CRASH,
    payloads=0,
    withhold=1_000,
    parameters=HASTY,
    stable_ms=4_000,
)
WITHIN_MS = 2_500


class Ring(Script):
    """Four servers; who is cut off, who may stand and whose entries are carried is said here."""

    def __init__(self, protocol: type[Raft], *, nodes: int = 4) -> None:
        super().__init__(replace(FAIR, protocol=protocol, nodes=nodes))
        self.away: set[int] = set()
        """Servers that are cut off."""
        self.standing: set[int] = {0, 1, 2, 3}
        """Servers whose requests for votes are carried."""
        self.silenced: set[int] = set()
        """Servers whose entries are not carried."""
        self.late: set[tuple[int, int]] = set()
        """(server, index) of entries that are not carried to it."""
        self.tells_decisions = False
        """Whether the certificate of a decision is carried."""
        self.is_lossy = False
        """Whether the first copy of everything is lost."""
        self._seen: dict[tuple[int, int, object], None] = {}
        self.allow = self._is_carried
        self.run_ms(5)

    def _is_carried(self, sender: int, receiver: int, packet: Packet) -> bool:
        if {sender, receiver} & self.away:
            return False
        if isinstance(packet, Certificate) and not self.tells_decisions:
            return False
        if self.is_lossy and isinstance(packet, Signed):
            copy = (sender, receiver, packet.message.statement())
            if copy not in self._seen:
                self._seen[copy] = None
                return False
        message = packet.message if isinstance(packet, Signed) else None
        if isinstance(message, RequestVote):
            return sender in self.standing
        is_entry = isinstance(message, Append)
        is_late = is_entry and (receiver, message.statement()[1][1]) in self.late
        return not (is_late or (is_entry and sender in self.silenced))

    def elect(self, server: int, *, away: tuple[int, ...] = ()) -> None:
        """Let nobody else stand until this server leads and has made an entry."""
        self.away, self.standing = set(away), {server}
        assert self.run_until(lambda: self.leads(server), limit_ms=WITHIN_MS), server

    def leads(self, server: int) -> bool:
        plugin = self.seats[server].plugin
        assert isinstance(plugin, Raft)
        has_made_one = plugin.said(APPEND, (plugin.term, plugin.last[1] + 1)) is not None
        return plugin.leading == server and (plugin.last[0] == plugin.term or has_made_one)

    def lengths(self) -> list[int]:
        return [len(seat.log) for seat in self.seats]

    def end(self) -> PluginReport:
        """Let everybody talk, and see what was broken."""
        self.away, self.silenced, self.standing = set(), set(), {0, 1, 2, 3}
        self.late = set()
        self.tells_decisions, self.is_lossy = True, False
        self.submit(b"\x09" * 32)
        return self.run()


def shorter_log(protocol: type[Raft]) -> PluginReport:
    """Only the leader learns that an entry is decided; one who lacks the entry stands next."""
    ring = Ring(protocol)
    ring.away, ring.standing = {3}, {0}
    ring.submit(b"\x01" * 32)
    ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
    ring.away, ring.standing = {0}, {3}
    ring.submit(b"\x02" * 32)
    ring.run_ms(1_500)
    return ring.end()


def self_appointed(protocol: type[Raft]) -> PluginReport:
    """The same, and all others stand at once, and nobody hears of it; server 3 does so twice."""
    ring = Ring(_eager(protocol))
    ring.silenced = {0}
    ring.submit(b"\x01" * 32, 0)
    ring.elect(0)
    ring.away, ring.silenced = {3}, set()
    ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
    ring.away = {0, 1, 2, 3}
    ring.submit(b"\x02" * 32)
    ring.run_ms(300)
    ring.crash(3)
    ring.restart(3)
    ring.run_ms(300)
    ring.away, ring.standing, ring.silenced = {0}, set(), {1, 2}
    ring.run_ms(1_500)
    return ring.end()


def longer_log_of_earlier_terms(protocol: type[Raft]) -> PluginReport:
    """Server 3 wrote two entries that nobody heard; then another leader decides one."""
    ring = Ring(_eager(protocol))
    ring.submit(b"\x01" * 32)
    ring.silenced = {3}
    for _ in range(2):  # Two terms of server 3.
        ring.elect(3)
        ring.away = {3}
        ring.run_ms(300)
    ring.standing = {0}
    ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
    ring.away, ring.standing, ring.silenced = {0}, {3}, set()
    ring.submit(b"\x02" * 32)
    ring.run_ms(1_500)
    return ring.end()


def restart_of_all_others(protocol: type[Raft]) -> PluginReport:
    """Only the leader learns that an entry is decided; all others start again."""
    ring = Ring(protocol)
    ring.standing = {0}
    ring.submit(b"\x01" * 32)
    ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
    ring.away = {0}
    ring.run_ms(20)  # What is on its way arrives.
    for server in (1, 2, 3):
        ring.crash(server)
    for server in (1, 2, 3):
        ring.restart(server)
    ring.standing = {1, 2, 3}
    ring.submit(b"\x02" * 32)
    ring.run_ms(1_500)
    return ring.end()


def old_leader(protocol: type[Raft]) -> PluginReport:
    """The first leader still offers the entry of its term after another one decided."""
    ring = Ring(_stubborn(protocol))
    ring.submit(b"\x01" * 32)
    ring.silenced = {0}
    ring.elect(0)
    ring.away, ring.standing = {0}, {1}
    ring.run_until(lambda: ring.lengths()[1] == 1, limit_ms=WITHIN_MS)
    ring.away, ring.standing, ring.silenced = {1}, set(), set()
    ring.run_ms(600)
    return ring.end()


def _stubborn(protocol: type[Raft]) -> type[Raft]:
    """The same with leaders who never step down: safety does not rest on that."""
    return cast("type[Raft]", type(protocol.__name__, (protocol,), {"_step_down": lambda _: None}))


def _eager(protocol: type[Raft]) -> type[Raft]:
    """The same with leaders whose log has their entry at once: safety does not rest on that."""
    return cast("type[Raft]", type(protocol.__name__, (protocol,), {"is_welcome": lambda *_: True}))


def two_candidates(protocol: type[Raft]) -> PluginReport:
    """Two servers ask the others for their votes in one term."""
    ring = Ring(protocol)
    ring.standing = set()
    ring.submit(b"\x01" * 32, 0, 1)
    ring.run_ms(200)
    ring.release(
        lambda sender, receiver, packet: (
            isinstance(packet, Signed) and packet.message.statement()[:2] == (REQUEST, (1,))
        )
    )
    ring.run_ms(50)
    return ring.end()


def overtaken_entry(protocol: type[Raft]) -> PluginReport:
    """Of three, server 1 accepts the second entry, and then hears the first one.

    Server 2 has the first entry alone; only the leader learns that the second is decided.
    """
    ring = Ring(protocol, nodes=3)
    ring.standing, ring.late = {0}, {(1, 1)}
    ring.submit(b"\x01" * 32)
    assert ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
    ring.late |= {(2, 2)}
    ring.submit(b"\x02" * 32)
    assert ring.run_until(lambda: ring.lengths()[0] == 2, limit_ms=WITHIN_MS)
    ring.release(
        lambda sender, receiver, packet: (
            isinstance(packet, Signed)
            and receiver == 1
            and packet.message.statement()[:2] == (APPEND, (1, 1))
        )
    )
    ring.run_ms(50)
    ring.away, ring.standing = {0}, {2}
    ring.submit(b"\x03" * 32)
    ring.run_ms(1_500)
    return ring.end()


def one_entry(protocol: type[Raft]) -> PluginReport:
    """Nothing goes wrong."""
    ring = Ring(protocol)
    ring.submit(b"\x01" * 32)
    ring.run_ms(600)
    return ring.end()


FAST_CLOCK = PluginScenario(
    protocol=Raft,
    seed=1_000_000,
    rule=QuorumRule.CRASH,
    payloads=4,
    payload_max=3,
    split=500,
    stable_ms=1_500,
    parameters=HASTY,
    clocks=(Clock(seat=1, at_ms=775, step_ms=86_400_000, rate=2_000),),
    partitions=(Partition(1_317, 1_327, ((1, 2, 3), (0,))),),
)


def fast_clock(protocol: type[Raft]) -> PluginReport:
    """One with an old log stands again and again.

    Found by the search: its requests put off everybody else's election for ever.
    """
    return run(replace(FAST_CLOCK, protocol=protocol))


def first_copies_lost(protocol: type[Raft]) -> bool:
    """The first copy of everything is lost; whether anything is decided."""
    ring = Ring(protocol)
    ring.is_lossy = True
    ring.submit(b"\x01" * 32)
    return ring.run_until(lambda: any(ring.lengths()), limit_ms=WITHIN_MS)


LEAP = Scenario(
    5,
    Raft.name,
    nodes=4,
    crash_only=True,
    stable_ms=4_000,
    incidents=(Incident("clock", 1_000, 3_000, (2,), 2_000_000),),
    load=Load(transactions=10, members=1, interval_ms=400, unsound=0),
)


def leap_of_the_leader(protocol: type[Raft]) -> SimReport:
    """The leader's clock shows another hour for two seconds, and so does its entry.

    Found by the search (replicas, scenario 17 of seed 70000): the others must not accept it before
    its time, and followed its leader meanwhile.
    """
    return Run(LEAP, protocol).lead()


def leap_with_nobody_to_spare(protocol: type[Raft]) -> SimReport:
    """The same, and another server dies for good: with it, all that are left must agree who leads.

    Found by `whole` of the zoo: the refused entry stayed in its maker's log, which nobody else's
    was up to, and the others refused it whenever its maker led.
    """
    dead = Incident("crash", 2_500, FOR_EVER_MS, (0,))
    return Run(replace(LEAP, incidents=(*LEAP.incidents, dead)), protocol).lead()
