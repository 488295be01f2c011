"""Raft's rules, each with a schedule that a server without it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

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
from consensus.protocols.raft_state import Role
from ledger.errors import DecodeFault
from ledger.value import Value
from sim.plugins import PluginReport
from tests.consensus import mutants_raft as mutants
from tests.consensus import raft_schedules as schedules
from tests.consensus.raft_schedules import Ring

SAFETY: list[tuple[type[Raft], Callable[[type[Raft]], PluginReport], str]] = [
    (mutants.VotesForAnyLog, schedules.shorter_log, "agreement"),
    (mutants.LeadsByItself, schedules.self_appointed, "agreement"),
    (mutants.ComparesLengths, schedules.longer_log_of_earlier_terms, "agreement"),
    (mutants.ForgetsItsLog, schedules.restart_of_all_others, "agreement"),
    (mutants.FollowsOldLeaders, schedules.old_leader, "agreement"),
    (mutants.CutsItsLog, schedules.overtaken_entry, "agreement"),
    (mutants.VotesTwice, schedules.two_candidates, "breakdown"),
    (mutants.CountsOneTooFew, schedules.one_entry, "proof"),
    (mutants.TimerOfEveryTerm, schedules.fast_clock, "liveness"),
]


@pytest.mark.parametrize(
    ("mutant", "play", "broken"), SAFETY, ids=[mutant.__name__ for mutant, _, _ in SAFETY]
)
def test_a_schedule_kills_its_mutant(
    mutant: type[Raft], play: Callable[[type[Raft]], PluginReport], broken: str
) -> None:
    assert broken in play(mutant).properties


@pytest.mark.parametrize(
    "play", dict.fromkeys(play for _, play, _ in SAFETY), ids=lambda play: play.__name__
)
def test_the_protocol_survives_the_schedule(play: Callable[[type[Raft]], PluginReport]) -> None:
    assert play(Raft).properties == ()


def test_nobody_leads_without_a_quorum_of_votes() -> None:
    def leaders(protocol: type[Raft]) -> list[int]:
        ring = Ring(protocol)
        ring.away = {0, 1, 2, 3}
        ring.submit(b"\x01" * 32)
        ring.run_ms(600)
        return [server for server in range(4) if ring.leads(server)]

    assert leaders(Raft) == []
    assert leaders(mutants.LeadsByItself)


def test_who_loses_every_first_copy_is_asked_again() -> None:
    assert schedules.first_copies_lost(Raft)
    assert not schedules.first_copies_lost(mutants.NeverAsksAgain)
    assert not schedules.first_copies_lost(mutants.NeverStands)


def test_a_leader_whose_entry_is_refused_makes_way() -> None:
    broken = schedules.leap_of_the_leader(mutants.LeadsForEver).violations

    assert schedules.leap_of_the_leader(Raft).is_sound
    assert [violation.property for violation in broken] == ["P10"]


def test_an_entry_that_all_others_refuse_is_in_no_log() -> None:
    broken = schedules.leap_with_nobody_to_spare(mutants.TakesItsOwn).violations

    assert schedules.leap_with_nobody_to_spare(Raft).is_sound
    assert [violation.property for violation in broken] == ["P10"]


def test_acceptances_that_come_after_the_leader_gave_up_still_decide() -> None:
    ring = Ring(Raft)
    ring.submit(b"\x01" * 32)
    ring.standing, ring.silenced = {0}, {0}
    assert ring.run_until(lambda: ring.leads(0), limit_ms=schedules.WITHIN_MS)
    ring.run_until(lambda: plugin_of(ring, 0).role is Role.FOLLOWER, limit_ms=schedules.WITHIN_MS)
    term = plugin_of(ring, 0).term
    ring.away = {0, 1, 2, 3}
    ring.release(lambda sender, *_: sender == 0)
    ring.away, ring.standing = set(), set()
    ring.run_ms(20)

    assert plugin_of(ring, 0).root.slot == (term, 1)


def plugin_of(ring: Ring, server: int) -> Raft:
    plugin = ring.seats[server].plugin
    assert isinstance(plugin, Raft)
    return plugin


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
