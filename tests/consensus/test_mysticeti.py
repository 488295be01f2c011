"""Mysticeti beside its decision rules: blocks, order, sleep, restarts, and what it costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.interface import (
    Accuse,
    Broadcast,
    Forward,
    Hint,
    Pending,
    Received,
    Signed,
    Tell,
    Timer,
    TimerFired,
)
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_messages import (
    Block,
    Place,
    encode_links,
    encode_place,
    encode_want,
    parse_place,
    parse_want,
)
from consensus.protocols.mysticeti_order import Order
from ledger.errors import DecodeFault
from ledger.value import Value
from sim.conformance.vectors import compare_vectors
from sim.plugin_step import Packet
from sim.plugins import Script, draw_duel, draw_scenario, hasty, run
from tests.consensus import mutants_mysticeti as mutants
from tests.consensus import mysticeti_schedules as schedules
from tests.consensus.mysticeti_bench import EPOCH, NOW, Drawing, Follower, payload_of
from tests.consensus.mysticeti_schedules import FAIR, FIRST, broken, decides

VECTORS = Path(__file__).parents[1] / "sim" / "vectors" / "mysticeti.txt"

# --- order ----------------------------------------------------------------------------------------


def test_the_order_inside_a_sub_dag_is_that_of_the_blocks_not_of_their_arrival() -> None:
    assert schedules.in_any_order(Mysticeti)
    assert not schedules.in_any_order(mutants.OrdersByArrival)


def test_how_far_back_a_sub_dag_goes_is_agreed_on() -> None:
    assert schedules.all_at_once(Mysticeti)
    assert not schedules.all_at_once(mutants.ForgetsByItsClock)


def test_a_payload_that_several_blocks_name_is_decided_once() -> None:
    assert broken(FAIR, Mysticeti) == []
    assert "once" in broken(FAIR, mutants.OrdersTwice)


def test_a_payload_counts_only_for_so_many_values_after_the_one_it_builds_on() -> None:
    order = Order(EPOCH, 4, 1, 2)
    drawing = Drawing("1.0")
    first = drawing.blocks["1.0"].message
    assert isinstance(first, Block)
    assert order.fresh(first) == (payload_of("1.0"),)
    past = [_decided(b"", 1)]
    past.append(_decided(past[0].digest, 2))

    order.stand_at(tuple(past), len(past))

    assert order.fresh(first) == (), "the beginning of the epoch is two values ago"
    for height, value in enumerate(past, 1):
        block = drawing.add("1.0", parent=value.digest, base_height=height).message
        assert isinstance(block, Block)
        assert order.fresh(block) == (payload_of("1.0"),)
    again = drawing.add("1.0", parent=past[0].digest, payload=past[1].payload, base_height=1)
    assert isinstance(again.message, Block)
    assert order.fresh(again.message) == ()


def _decided(parent: bytes, round_: int) -> Value:
    place = encode_place(Place(bytes(32), (0, 0, 0, 0)))
    return Value(EPOCH, parent, (round_, 0, round_, 1), 1, 0, (bytes([round_]) * 32,), place)


# --- blocks ---------------------------------------------------------------------------------------


def test_a_block_waits_for_its_ancestors_and_asks_for_them_first_its_author_then_everybody() -> (
    None
):
    drawing = Drawing(FIRST).full(2, 3)
    follower = Follower(Mysticeti, drawing, me=0).see(*FIRST.split(), "2.0", "2.2")
    assert follower.plugin.clock() == 1

    asked = follower.give(Received(drawing.blocks["3.3"]))
    tells = [effect for effect in asked if isinstance(effect, Tell)]

    assert [effect.to for effect in tells] == [3]
    wanted = [drawing.blocks[name].message.statement()[2] for name in ("2.1", "2.3")]
    assert list(parse_want(tells[0].hint)) == wanted
    running = follower.plugin.timer
    assert running is not None
    again = follower.give(TimerFired(Timer("round", running)))
    assert {effect.to for effect in again if isinstance(effect, Tell)} == {1, 2, 3}
    follower.see("2.1", "2.3")
    assert (3, 3) in [(each.round, each.author) for each in follower.plugin.dag.at(3)]


def test_whoever_has_a_block_passes_it_on_as_it_was_signed() -> None:
    drawing = Drawing(FIRST)
    follower = Follower(Mysticeti, drawing, me=0).see("1.2")
    block = drawing.blocks["1.2"]

    answer = follower.give(Hint(3, encode_want((block.message.statement()[2], bytes(32)))))

    assert [effect for effect in answer if isinstance(effect, Forward)] == [Forward(3, block)]


def test_without_its_ancestors_a_block_is_not_accepted() -> None:
    assert schedules.orphans(Mysticeti)
    assert not schedules.orphans(mutants.AcceptsOrphans)


def test_a_reference_that_lies_about_author_or_round_is_one_to_nobodys_block() -> None:
    assert schedules.shifted(Mysticeti)
    assert not schedules.shifted(mutants.BelievesReferences)


def test_a_block_of_too_few_parents_or_of_another_author_is_no_block() -> None:
    drawing = Drawing(FIRST, "2.0: 1.0 1.1", "2.1: 1.0 1.1 1.2")
    follower = Follower(Mysticeti, drawing).see(*FIRST.split(), "2.0")
    forged = replace(drawing.blocks["2.1"], sender=2)
    follower.give(Received(forged))

    assert follower.plugin.dag.authors(2) == 0


def test_both_blocks_of_an_equivocator_are_accepted_and_it_is_accused() -> None:
    drawing = Drawing("1.3 1.3'")
    follower = Follower(Mysticeti, drawing).see("1.3", "1.3'")

    accused = [effect for effect in follower.said if isinstance(effect, Accuse)]
    assert accused == [Accuse(drawing.blocks["1.3"], drawing.blocks["1.3'"])]
    assert len(follower.plugin.dag) == 2


def test_an_invalid_payload_is_never_ordered_nor_what_refers_to_it() -> None:
    assert schedules.invalid_payloads(Mysticeti) == []
    assert schedules.invalid_payloads(mutants.NeverValidates).count("validity") == 3


def test_what_refers_to_an_invalid_block_is_accepted_by_all_or_by_nobody() -> None:
    """Found by drawn faults: for one validator the invalid block's round had passed already."""
    assert broken(draw_scenario(Mysticeti, 5_007), Mysticeti) == []


# --- sleep and waking -----------------------------------------------------------------------------


def test_an_idle_ledger_is_quiet_and_wakes_for_work() -> None:
    assert schedules.is_quiet(Mysticeti)
    assert not schedules.is_quiet(mutants.NeverSleeps)
    assert not schedules.is_quiet(mutants.NeverWakes)


def test_it_sleeps_and_wakes_again_and_again() -> None:
    script = Script(replace(FAIR, payloads=0))
    for number in range(1, 4):
        script.submit(bytes([number]) * 32)
        assert script.run_until(
            lambda n=number: all(len(s.log) == n for s in script.seats), limit_ms=900
        )
        script.run_ms(2_000)
        assert not [timer for seat in script.seats for timer in seat.timers]
        said = script.messages
        script.run_ms(60_000)
        assert script.messages == said


def test_a_false_alarm_makes_no_block() -> None:
    follower = Follower(Mysticeti, Drawing(FIRST), me=0)

    said = follower.give(Pending(0))

    assert not [effect for effect in said if isinstance(effect, Broadcast)]
    assert not follower.plugin.has_work()


def test_who_loses_every_first_copy_is_told_again() -> None:
    assert schedules.first_copies_lost(Mysticeti)
    assert not schedules.first_copies_lost(mutants.NeverSaysAgain)


def test_who_hears_nothing_of_one_validator_gets_its_blocks_from_the_others() -> None:
    assert schedules.one_unheard(Mysticeti)
    assert not schedules.one_unheard(mutants.NeverAsks)


def test_a_block_waits_for_that_of_the_leader_or_for_the_timer() -> None:
    def rounds(protocol: type[Mysticeti], *last: Received | TimerFired) -> list[int]:
        """The rounds of which validator 0 made a block, the leader's of round 1 being late."""
        follower = Follower(protocol, Drawing(FIRST), me=0)
        follower.offered = (payload_of("batch"),)
        follower.give(Pending(0))
        follower.see("1.2", "1.3")
        for event in last:
            follower.give(event)
        said = [effect.what for effect in follower.said if isinstance(effect, Broadcast)]
        return [block.round for block in dict.fromkeys(said) if isinstance(block, Block)]

    leader = Received(Drawing(FIRST).blocks["1.1"])
    assert rounds(Mysticeti) == [1]
    assert rounds(Mysticeti, leader) == [1, 2]
    assert rounds(Mysticeti, TimerFired(Timer("round", (2,)))) == [1, 2]
    assert rounds(mutants.NeverWaits) == [1, 2]


def test_a_crashed_leader_costs_one_timer_and_then_nothing() -> None:
    times = schedules.decided_after(Mysticeti, 8)
    timeout_ms = Mysticeti.PARAMETERS["timeout_ms"]
    assert max(times[4:]) < timeout_ms / 4, "a leader that was silent for a turn is not waited for"
    assert sum(times) < 4 * timeout_ms
    assert not schedules.dead_leader(mutants.WaitsForLeaders)


# --- restarts and catching up ---------------------------------------------------------------------


def test_what_a_block_refers_to_survives_the_crash_of_all() -> None:
    assert schedules.crash_of_all(Mysticeti) == []
    assert schedules.crash_of_all(mutants.ForgetsBlocks) != []


def test_who_was_cut_off_comes_back() -> None:
    assert schedules.cut_off(Mysticeti) == []
    assert "P10" in schedules.cut_off(mutants.JudgesAll)
    assert schedules.stale_batch(Mysticeti) == []
    assert "P10" in schedules.stale_batch(mutants.JudgesAll)


def test_a_block_is_judged_once_what_it_builds_on_is_decided_here() -> None:
    assert schedules.judged_once_it_can_be(Mysticeti)
    assert not schedules.judged_once_it_can_be(mutants.JudgesTheUnknown)


def test_a_refused_block_is_accepted_once_it_brings_nothing() -> None:
    assert schedules.refused_and_old(Mysticeti)
    assert not schedules.refused_and_old(mutants.KeepsRefusing)


def test_a_payload_that_nobody_judged_counts_for_nothing() -> None:
    assert schedules.tells_a_false_height(Mysticeti)
    assert not schedules.tells_a_false_height(mutants.BelievesHeights)


def test_a_block_that_nobody_can_judge_is_given_up() -> None:
    assert schedules.lost_payload(Mysticeti) == []
    assert "P10" in schedules.lost_payload(mutants.KeepsUnjudged)


def test_a_block_that_is_passed_is_judged_no_more() -> None:
    assert schedules.passed_unjudged(Mysticeti) == []
    assert "P10" in schedules.passed_unjudged(mutants.LeavesToBeJudged)


def test_who_only_follows_gives_up_too() -> None:
    assert schedules.follows_unjudged(Mysticeti) == []
    assert "P10" in schedules.follows_unjudged(mutants.OnlyVotersGiveUp)


def test_a_clock_that_leapt_and_was_set_right_costs_nobody_the_network() -> None:
    assert schedules.leapt_clock(Mysticeti) == []
    assert "P10" in schedules.leapt_clock(mutants.JudgesEveryTime)


def test_time_follows_no_clock_of_a_liar() -> None:
    assert not any(schedules.clocks_ahead(Mysticeti, 2))
    assert any(schedules.clocks_ahead(mutants.StampsByTheLatest, 2))
    assert any(schedules.clocks_ahead(Mysticeti, 1, 2)), "two of four are more than may lie"


def test_who_forgets_what_it_is_sent_is_not_sent_it_again_at_once() -> None:
    often = tuple(range(0, 200, 10))
    assert schedules.times_answered(Mysticeti, *often) == 1
    assert schedules.times_answered(Mysticeti, 0, 500) == 2
    assert schedules.times_answered(mutants.AnswersAlways, *often) == len(often)


def test_the_ledger_begins_with_a_time_that_f_liars_have_no_say_in() -> None:
    drawing = Drawing()
    for author in range(4):
        late_ms = schedules.YEAR_MS if author == 1 else 0
        drawing.add(f"1.{author}", timestamp_ms=NOW.wall_ms + late_ms)
    drawing.full(2, 4)
    follower = Follower(Mysticeti, drawing, has_time=False).see_all()

    assert follower.plugin.leader((1, 0)) == 1, "the liar leads first"
    assert follower.ledger == ["1.0", "1.1", "1.2", "1.3", "2.2"]
    assert {value.timestamp_ms for value in follower.decided} == {NOW.wall_ms}
    assert {value.slot[0] for value in follower.decided} == {2}


def test_a_restarted_validator_makes_no_second_block_of_a_round() -> None:
    assert broken(schedules.RESTART, Mysticeti) == []
    assert "breakdown" in broken(schedules.RESTART, mutants.ProposesTwice)


def test_a_decision_convinces_by_its_blocks_alone() -> None:
    drawing = Drawing(FIRST).full(2, 3)
    source = Follower(Mysticeti, drawing).see_all()
    blocks = tuple(drawing.blocks.values())

    assert decides(Mysticeti, drawing, tuple(source.decided), blocks)
    assert not decides(Mysticeti, drawing, tuple(source.decided), blocks[:-2])
    assert not decides(Mysticeti, drawing, (replace(source.decided[0], extra=b"\xff"),), blocks)
    assert not decides(Mysticeti, drawing, (replace(source.decided[0], slot=(1,)),), blocks)
    assert schedules.told_a_lie(Mysticeti)
    assert not schedules.told_a_lie(mutants.BelievesDecisions)
    assert schedules.told_of_a_twin(Mysticeti)
    assert not schedules.told_of_a_twin(mutants.KeepsOneTwin)


def test_who_was_away_learns_its_place_from_the_last_decided_value() -> None:
    apart = replace(FAIR, payloads=0)
    script = Script(apart)
    script.run_ms(5)
    script.allow = lambda sender, receiver, packet: 3 not in (sender, receiver)
    script.crash(3)
    for number in range(1, 6):
        script.submit(bytes([number]) * 32, 0, 1, 2)
        assert script.run_until(
            lambda n=number: all(len(s.log) >= n for s in script.seats[:3]), limit_ms=2_000
        )
    script.run_ms(1_000)
    script.allow = None
    script.restart(3)
    script.submit(b"\x09" * 32)

    assert not script.run().violations
    plugin, other = script.seats[3].plugin, script.seats[0].plugin
    assert isinstance(plugin, Mysticeti)
    assert isinstance(other, Mysticeti)
    assert plugin.root == other.root
    assert plugin.order.past[-1] == other.order.past[-1]


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [4, 7])
def test_a_decision_costs_what_the_paper_says(nodes: int) -> None:
    """Three rounds, in each of which everyone signs one block and sends it to all others; the first
    decision of all takes one more, in which the ledger gets a time."""
    delay_ms = 50
    script = Script(
        replace(FAIR, nodes=nodes, payloads=0, delay_us=delay_ms * 1_000, jitter_us=0, sync_us=1)
    )
    signed: dict[object, None] = {}
    sent: Counter[str] = Counter()

    def counted(sender: int, receiver: int, packet: Packet) -> bool:
        sent[type(packet).__name__] += 1
        if isinstance(packet, Signed):
            signed[packet.sender, packet.message.statement()] = None
        return True

    script.run_ms(5)
    script.submit(b"\x00" * 32)
    script.run_ms(5_000)
    for seat in script.seats:
        seat.log.clear()
    script.allow = counted
    begun_ms = script.agenda.now_ms
    script.submit(b"\x01" * 32)
    assert script.run_until(lambda: all(seat.log for seat in script.seats), limit_ms=1_000)
    delays = (script.agenda.now_ms - begun_ms) // delay_ms
    script.run_ms(5_000)

    assert delays == 3
    assert len(signed) == 3 * nodes
    assert sent == {"Signed": 3 * nodes * (nodes - 1)}


def test_in_a_stream_most_rounds_bring_something_to_the_ledger() -> None:
    report = run(replace(FAIR, payloads=40, payload_max=60, interval_ms=4, sync_us=50))

    rounds = [value.slot[0] for value in report.decided]
    assert not report.violations
    assert len(set(rounds)) > rounds[-1] // 2


# --- drawn runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_drawn_faults_and_duels_break_nothing(seed: int) -> None:
    scenario = draw_scenario(Mysticeti, 100 + seed, nodes=(7, 4)[bool(seed % 4)])
    assert broken(scenario, Mysticeti) == []
    assert broken(draw_duel(Mysticeti, 100 + seed, parameters=hasty(Mysticeti)), Mysticeti) == []


def test_a_decision_that_follows_from_a_certified_root_is_proven_all_the_same() -> None:
    assert broken(schedules.HALF_CERTIFIED, Mysticeti) == []
    assert "proof" in broken(schedules.HALF_CERTIFIED, mutants.ProvesTooSoon)


@pytest.mark.slow
def test_many_drawn_faults_and_duels_break_nothing() -> None:
    for seed in range(1_000, 1_500):
        test_drawn_faults_and_duels_break_nothing(seed)


# --- messages -------------------------------------------------------------------------------------


def test_blocks_come_back_equal_and_their_statement_names_the_round() -> None:
    block = Drawing(FIRST).full(2, 2).blocks["2.1"].message
    assert isinstance(block, Block)

    assert Block.from_row(block.row()) == block
    assert block.statement() == ("block", (2,), block.value.digest)
    assert [parent.round for parent in block.parents] == [1] * 4


def test_a_changed_wire_format_is_an_explicit_approval() -> None:
    assert compare_vectors(Mysticeti, VECTORS.read_text()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"slot": (0,)},
        {"slot": (2, 1)},
        {"slot": (1,)},
        {"parent": b""},
        {"extra": b""},
        {"extra": b"\x92\x93\x00\x01\xc4\x20" + bytes(32) + b"\x93\x00\x01\xc4\x20" + bytes(32)},
    ],
)
def test_a_block_that_contradicts_itself_is_none(change: dict[str, object]) -> None:
    block = Drawing(FIRST).full(2, 2).blocks["2.1"].message
    assert isinstance(block, Block)
    with pytest.raises(DecodeFault):
        Block.from_row((replace(block.value, **change).raw,))  # type: ignore[arg-type]


def test_places_and_hints_are_strict() -> None:
    place = Place(b"l" * 32, (3, 0, 7, 2))
    value = Value(EPOCH, b"", (1, 0, 1, 1), 1, NOW.wall_ms, (), encode_place(place))

    assert parse_place(value) == place
    assert parse_want(encode_want((bytes(32),))) == (bytes(32),)
    for hint in (b"", b"\x90", encode_want((bytes(32),)) + b"\x00"):
        with pytest.raises(DecodeFault):
            parse_want(hint)
    with pytest.raises(DecodeFault):
        parse_place(replace(value, extra=encode_links(1, 0, ())))
