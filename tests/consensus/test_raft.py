"""Raft's rules, each with a schedule that a server without it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.interface import Signed
from consensus.protocols.raft import Raft
from consensus.protocols.raft_messages import (
    NOWHERE,
    Accept,
    Append,
    RequestVote,
    Vote,
    encode_hint,
    parse_hint,
)
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.validators import QuorumRule
from ledger.value import Value
from sim.plugin_scenario import Clock, Partition, PluginScenario
from sim.plugin_step import Packet
from sim.plugins import Script, run
from tests.consensus import mutants_raft as mutants

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

    def __init__(self, protocol: type[Raft]) -> None:
        super().__init__(replace(FAIR, protocol=protocol))
        self.away: set[int] = set()
        """Servers that are cut off."""
        self.standing: set[int] = {0, 1, 2, 3}
        """Servers whose requests for votes are carried."""
        self.silenced: set[int] = set()
        """Servers whose entries are not carried."""
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
        return not (isinstance(message, Append) and sender in self.silenced)

    def elect(self, server: int, *, away: tuple[int, ...] = ()) -> None:
        """Let nobody else stand until this server has entries of its own in its log."""
        self.away, self.standing = set(away), {server}
        assert self.run_until(lambda: self.leads(server), limit_ms=WITHIN_MS), server

    def leads(self, server: int) -> bool:
        plugin = self.seats[server].plugin
        assert isinstance(plugin, Raft)
        return plugin.leading == server and plugin.last[0] == plugin.term

    def lengths(self) -> list[int]:
        return [len(seat.log) for seat in self.seats]

    def end(self) -> list[str]:
        """Let everybody talk, and say which properties were broken."""
        self.away, self.silenced, self.standing = set(), set(), {0, 1, 2, 3}
        self.tells_decisions, self.is_lossy = True, False
        self.submit(b"\x09" * 32)
        report = self.run()
        return [one.property for one in report.violations]


def test_a_server_with_a_shorter_log_is_not_elected() -> None:
    def play(protocol: type[Raft]) -> list[str]:
        ring = Ring(protocol)
        ring.away, ring.standing = {3}, {0}
        ring.submit(b"\x01" * 32)
        # Only the leader learns that the entry is decided; then it is gone.
        ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
        ring.away, ring.standing = {0}, {3}
        ring.submit(b"\x02" * 32)
        ring.run_ms(1_500)
        return ring.end()

    assert play(Raft) == []
    assert "agreement" in play(mutants.VotesForAnyLog)


def test_logs_are_compared_by_term_before_length() -> None:
    def play(protocol: type[Raft]) -> list[str]:
        ring = Ring(protocol)
        ring.submit(b"\x01" * 32)
        ring.silenced = {3}
        for _ in range(2):  # Two terms of server 3, whose entries nobody hears.
            ring.elect(3)
            ring.away = {3}
            ring.run_ms(300)
        ring.standing = {0}
        ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
        ring.away, ring.standing, ring.silenced = {0}, {3}, set()
        ring.submit(b"\x02" * 32)
        ring.run_ms(1_500)
        return ring.end()

    assert play(Raft) == []
    assert "agreement" in play(mutants.ComparesLengths)


def test_the_log_survives_a_restart() -> None:
    def play(protocol: type[Raft]) -> list[str]:
        ring = Ring(protocol)
        ring.standing = {0}
        ring.submit(b"\x01" * 32)
        ring.run_until(lambda: ring.lengths()[0] == 1, limit_ms=WITHIN_MS)
        ring.away = {0}
        for server in (1, 2, 3):
            ring.crash(server)
        for server in (1, 2, 3):
            ring.restart(server)
        ring.standing = {1, 2, 3}
        ring.submit(b"\x02" * 32)
        ring.run_ms(1_500)
        return ring.end()

    assert play(Raft) == []
    assert "agreement" in play(mutants.ForgetsItsLog)


def test_an_old_leader_is_not_followed() -> None:
    def play(protocol: type[Raft]) -> list[str]:
        ring = Ring(protocol)
        ring.submit(b"\x01" * 32)
        ring.silenced = {0}
        ring.elect(0)
        ring.away, ring.standing = {0}, {1}
        ring.run_until(lambda: ring.lengths()[1] == 1, limit_ms=WITHIN_MS)
        ring.away, ring.standing, ring.silenced = {1}, set(), set()
        ring.run_ms(600)  # The first leader still offers the entry of its term.
        return ring.end()

    assert play(Raft) == []
    assert "agreement" in play(mutants.FollowsOldLeaders)


def test_nobody_leads_without_a_quorum_of_votes() -> None:
    def leaders(protocol: type[Raft]) -> list[int]:
        ring = Ring(protocol)
        ring.away = {0, 1, 2, 3}
        ring.submit(b"\x01" * 32)
        ring.run_ms(600)
        return [server for server in range(4) if ring.leads(server)]

    assert leaders(Raft) == []
    assert leaders(mutants.LeadsByItself)


def test_nothing_is_decided_without_a_quorum() -> None:
    def play(protocol: type[Raft]) -> list[str]:
        ring = Ring(protocol)
        ring.submit(b"\x01" * 32)
        ring.run_ms(600)
        return ring.end()

    assert play(Raft) == []
    assert "proof" in play(mutants.CountsOneTooFew)


def _plays(scenario: PluginScenario) -> Callable[[type[Raft]], list[str]]:
    def play(protocol: type[Raft]) -> list[str]:
        return [one.property for one in run(replace(scenario, protocol=protocol)).violations]

    return play


def test_a_fast_clock_with_an_old_log_does_not_stand_for_ever() -> None:
    """Found by the search: its requests put off everybody else's election for ever."""
    fast = PluginScenario(
        protocol=Raft,
        seed=1_001_395,
        rule=QuorumRule.CRASH,
        payloads=4,
        payload_max=3,
        split=500,
        stable_ms=1_500,
        parameters=HASTY,
        clocks=(Clock(seat=1, at_ms=775, step_ms=86_400_000, rate=2_000),),
        partitions=(Partition(1_317, 1_327, ((1, 2, 3), (0,))),),
    )
    play = _plays(fast)

    assert play(Raft) == []
    assert "liveness" in play(mutants.TimerOfEveryTerm)


def test_who_loses_every_first_copy_is_asked_again() -> None:
    def decided(protocol: type[Raft]) -> bool:
        ring = Ring(protocol)
        ring.is_lossy = True
        ring.submit(b"\x01" * 32)
        return ring.run_until(lambda: any(ring.lengths()), limit_ms=WITHIN_MS)

    assert decided(Raft)
    assert not decided(mutants.NeverAsksAgain)
    assert not decided(mutants.NeverStands)


def test_timers_are_drawn_from_a_range_that_doubles() -> None:
    def times(protocol: type[Raft], term: int) -> list[int]:
        ring = Ring(protocol)
        plugins = [seat.plugin for seat in ring.seats]
        for plugin in plugins:
            assert isinstance(plugin, Raft)
            plugin.term = term
        return [plugin._election_ms() for plugin in plugins if isinstance(plugin, Raft)]

    for term, least_ms in ((1, 60), (2, 120), (3, 240), (5, 800), (40, 800)):
        drawn = times(Raft, term)
        assert all(least_ms <= one < 2 * least_ms for one in drawn)
        assert len(set(drawn)) == 4
    assert len(set(times(mutants.OneTimeForAll, 1))) == 1


# --- messages -------------------------------------------------------------------------------------

VALUE = Value(b"e" * 32, b"", (3, 1), 2, 1_000, (b"p" * 32,))


@pytest.mark.parametrize(
    "message",
    [RequestVote(3, (2, 5)), RequestVote(1, NOWHERE), Vote(3, 2), Append(VALUE),
     Accept(3, 1, VALUE.digest)],
)  # fmt: skip
def test_messages_come_back_equal(message: RequestVote | Vote | Append | Accept) -> None:
    assert type(message).from_row(message.row()) == message


def test_a_statement_names_all_that_safety_rests_on() -> None:
    assert RequestVote(3, (2, 5)).statement() != RequestVote(3, (2, 6)).statement()
    assert Vote(3, 2).statement()[:2] == Vote(3, 1).statement()[:2]
    assert Append(VALUE).statement() == ("append", (3, 1), VALUE.digest)


def test_nobody_has_an_entry_of_the_term_it_asks_for() -> None:
    with pytest.raises(DecodeFault):
        RequestVote.from_row((3, 3, 1))


@pytest.mark.parametrize("slot", [(1,), (0, 1), (1, 0), (1, 1, 1)])
def test_an_entry_has_a_term_and_an_index(slot: tuple[int, ...]) -> None:
    with pytest.raises(DecodeFault):
        Append.from_row((replace(VALUE, slot=slot).raw,))


def test_hints_are_strict() -> None:
    assert parse_hint(encode_hint(7, leads=True)) == (7, True)
    with pytest.raises(DecodeFault):
        parse_hint(encode_hint(7, leads=True) + b"\x00")
