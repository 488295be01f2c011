"""Streamlet step by step: what it says, what it costs, and what it makes of drawn faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.interface import (
    CertificateReceived,
    Consensus,
    Context,
    Now,
    Received,
    Recovery,
    SetTimer,
    Signed,
    Start,
    TimerFired,
    ValueReceived,
)
from consensus.interface import Root as PluginRoot
from consensus.protocols.streamlet import Streamlet
from consensus.protocols.streamlet_messages import PROPOSE, VOTE, Propose, Vote
from consensus.protocols.streamlet_record import Record, parse_record
from consensus.protocols.streamlet_state import HONEST_EPOCHS
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.validators import QuorumRule, Validator, ValidatorSet
from ledger.value import Value
from sim.conformance.subject import Subject
from sim.conformance.vectors import compare_vectors
from sim.counting import Counted
from sim.liveness import excuse
from sim.plugin_drawing import LOCK_STEP_MS_MIN
from sim.plugin_plots import draw_plot
from sim.plugins import Clock, PluginScenario, draw_duel, draw_scenario, draw_twins, hasty, run
from sim.scenario import Incident, Scenario
from sim.world import World
from tests.consensus.mutants_streamlet import AwaitsLostFuture

EPOCH = b"e" * 32
VALUE = Value(EPOCH, b"d" * 32, (7,), 3, 1_000, (b"p" * 32,))
VALIDATORS = ValidatorSet(
    tuple(Validator(f"v{i}", bytes([i]) * 32, bytes([i]) * 32, b"") for i in range(4)),
    QuorumRule.BYZANTINE,
)


def votes(epoch: int, value: bytes = b"d" * 32, phase: str = VOTE) -> Certificate:
    return Certificate(phase, (epoch,), value, tuple((index, b"\x00" * 64) for index in range(3)))


def plugin(me: int | None = 0, *, protocol: type[Streamlet] = Streamlet) -> Streamlet:
    context = Context(b"n" * 32, EPOCH, me, VALIDATORS, {"epoch_ms": 1_000}, slot_window=100)
    made = protocol(context, Recovery(PluginRoot(b"", (0,), 0), None, ()))
    made.step(Now(0, 5_000), Start())
    return made


def chain_of(*epochs: int) -> list[Value]:
    """Blocks of these epochs, each the parent of the next."""
    values: list[Value] = []
    for epoch in epochs:
        parent = values[-1].digest if values else b""
        values.append(Value(EPOCH, parent, (epoch,), 0, 1_000, (bytes([epoch]) * 32,)))
    return values


def show(player: Streamlet, *values: Value) -> None:
    """Let a player see these blocks notarized."""
    for value in values:
        player.step(Now(0, 9_000), CertificateReceived(votes(value.slot[0], value.digest)))
        player.step(Now(0, 9_000), ValueReceived(value))


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [4, 7, 16, 31])
def test_a_block_costs_a_proposal_and_a_vote_of_everybody(nodes: int) -> None:
    """A payload takes three blocks: its own, and two empty ones that finalize it."""
    world, epoch_ms = Counted(Streamlet, nodes), Streamlet.PARAMETERS["epoch_ms"]
    links, blocks = nodes - 1, 3

    for number in range(3 if nodes < 10 else 1):
        world.run_ms(4 * epoch_ms)
        count = world.decide_one(bytes([number]) * 32)

        assert count.messages == {PROPOSE: blocks * links, VOTE: blocks * nodes * links}
        assert sum(count.messages.values()) == blocks * (nodes * nodes - 1)
        assert count.signatures == blocks * (nodes + 1)
        assert (count.delays, count.waits) == (2 * blocks, blocks - 1)


# --- the rules ------------------------------------------------------------------------------------


def test_the_second_of_three_consecutive_epochs_is_final_and_no_other() -> None:
    player = plugin()
    first, second, third, fourth = chain_of(2, 4, 5, 6)

    show(player, first, second, third)
    assert player.root.slot == (0,)
    show(player, fourth)

    assert player.root == PluginRoot(third.digest, (5,), 3)


def test_the_longest_chain_is_the_one_with_most_blocks_not_the_newest() -> None:
    player = plugin()
    long, late = chain_of(1, 3, 5), chain_of(7)

    show(player, *late)
    assert player.longest() == [late[0].digest]
    show(player, *long)

    assert player.longest() == [long[-1].digest]


def test_of_chains_of_one_length_each_may_be_extended() -> None:
    player = plugin()
    one, other = chain_of(1), chain_of(3)

    show(player, *one, *other)

    assert player.longest() == [one[0].digest, other[0].digest]


def test_a_block_whose_parents_are_unknown_is_on_no_chain() -> None:
    player = plugin()
    one, other = chain_of(1, 3)

    player.step(Now(0, 9_000), CertificateReceived(votes(3, other.digest)))
    assert player.longest() == [b""]
    show(player, one, other)

    assert player.longest() == [other.digest]


def test_leaders_are_drawn_alike_everywhere() -> None:
    one, other = plugin(0), plugin(3)
    drawn = [one.leader((epoch,)) for epoch in range(200)]

    assert drawn == [other.leader((epoch,)) for epoch in range(200)]
    assert {leader: drawn.count(leader) > 25 for leader in range(4)} == dict.fromkeys(
        range(4), True
    )


def test_the_declared_bound_holds_a_run_of_honest_leaders() -> None:
    """Without faulty validators five epochs and a begun one are enough; with more it is longer."""

    def epochs(size: int) -> int:
        members = VALIDATORS.members[:1] * size
        bound_ms = Streamlet.recovery_bound_ms(
            {"epoch_ms": 1_000},
            ValidatorSet(members, QuorumRule.BYZANTINE),
            delay_ms=0,
            chaos_ms=9_999,
        )
        return bound_ms // 1_000

    assert epochs(3) == HONEST_EPOCHS + 2
    assert 100 < epochs(4) < epochs(7) < 1_000


# --- drawn faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_every_promise_holds_under_drawn_faults(seed: int) -> None:
    drawn = draw_scenario(Streamlet, seed)
    for scenario in (
        drawn if seed % 2 else replace(drawn, parameters=hasty(Streamlet), codec=True),
        draw_duel(Streamlet, seed),
        draw_twins(Streamlet, seed),
    ):
        assert not run(scenario).violations, scenario


def test_a_clock_that_was_set_back_proposes_nothing_below_its_parent() -> None:
    """Found by drawn scenarios: a leader whose chain ended in an epoch that its clock lacked."""
    drawn = draw_scenario(Streamlet, 11)

    assert not run(replace(drawn, parameters=hasty(Streamlet), codec=True)).violations


def nights_awake(protocol: type[Streamlet]) -> int:
    """How many epochs begin at one whose clock leapt ahead, heard of an epoch there, and is right
    again; of five at most."""
    ahead = next(epoch for epoch in range(700, 800) if plugin().leader((epoch,)) == 1)
    value = Value(EPOCH, b"", (ahead,), 1, ahead * 1_000, (b"p" * 32,))
    player = plugin(protocol=protocol)
    effects = player.step(
        Now(0, ahead * 1_000 - 1), Received(Signed(1, Propose(value, None), b"\x00" * 64))
    )
    for epoch in range(6, 11):
        timers = [effect.timer for effect in effects if isinstance(effect, SetTimer)]
        if not timers:
            return epoch - 6
        effects = player.step(Now(0, epoch * 1_000), TimerFired(timers[-1]))
    return 5


def test_whose_clock_was_set_back_does_not_wait_for_the_future() -> None:
    """Found by search (replicas, scenario 70 of seed 70000): a leap of 13 minutes kept a validator
    awake until time had caught up."""
    assert nights_awake(Streamlet) == 1
    assert nights_awake(AwaitsLostFuture) == 5


def test_the_wire_format_is_the_recorded_one() -> None:
    file = Path(__file__).parents[1] / "sim" / "vectors" / "streamlet.txt"

    assert compare_vectors(Streamlet, file.read_text()) == []


# --- what it takes for granted --------------------------------------------------------------------


class Eager(Streamlet):
    """Streamlet that states no bound."""

    @classmethod
    def delay_max_ms(cls, parameters: Mapping[str, int]) -> int | None:
        return None


class Patient(Streamlet):
    """Streamlet that takes nothing for granted, as its class says."""

    lock_step = False


def test_while_clocks_are_wrong_only_its_safety_is_judged() -> None:
    clocks = tuple(Clock(seat, 0, seat * 10_000) for seat in range(4))
    scenario = PluginScenario(
        Streamlet, clocks=clocks, bound_ms=8_000, quiet_ms=1_000, interval_ms=5
    )

    report = run(scenario)

    assert (report.decided, report.violations) == ((), ())
    assert run(replace(scenario, protocol=Patient)).properties == ("liveness",)


def test_whole_replicas_that_go_by_wrong_clocks_are_excused() -> None:
    def why(protocol: type[Consensus], kind: str) -> str:
        incident = Incident(kind, 10, 20, (1,), 5_000)
        world = World(Scenario(1, protocol.name, 4, incidents=(incident,)))
        return excuse(world, VALIDATORS, protocol)

    assert why(Streamlet, "clock").startswith("clocks were wrong (clock)")
    assert why(Streamlet, "drift").startswith("clocks were wrong (drift)")
    assert not why(Streamlet, "pause").startswith("clocks")
    assert not why(Patient, "clock").startswith("clocks")


def test_hasty_epochs_still_have_time_for_votes() -> None:
    assert dict(hasty(Streamlet, divisor=1_000)) == {"epoch_ms": LOCK_STEP_MS_MIN}
    assert dict(Subject(Streamlet).hasty) == {"epoch_ms": LOCK_STEP_MS_MIN}
    assert dict(hasty(Patient, divisor=1_000)) == {"epoch_ms": 1}


def test_plots_are_no_slower_than_an_epoch_bears() -> None:
    plots = [draw_plot(Streamlet, number) for number in range(60)]
    bounds_ms = [Streamlet.delay_max_ms(dict(plot.parameters)) for plot in plots]
    delays_us = [plot.delay_us for plot in plots]

    assert all(
        bound_ms is not None and delay_us <= bound_ms * 1_000
        for delay_us, bound_ms in zip(delays_us, bounds_ms, strict=True)
    )
    assert max(delays_us) > min(delays_us)
    assert max(draw_plot(Eager, number).delay_us for number in range(60)) == 60_000


# --- messages and record --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", [Propose(VALUE, None), Propose(VALUE, votes(6)), Vote(7, VALUE.digest)]
)
def test_messages_come_back_equal(message: Propose | Vote) -> None:
    assert type(message).from_row(message.row()) == message


@pytest.mark.parametrize(
    "parent", [votes(6, b"x" * 32), votes(6, b""), votes(7), votes(6, phase=PROPOSE), votes(0)]
)
def test_a_proposal_shows_the_notarization_of_its_parent_or_none(parent: Certificate) -> None:
    with pytest.raises(DecodeFault):
        Propose.from_row((VALUE.raw, parent.row()))


@pytest.mark.parametrize("slot", [(0,), (1, 1), ()])
def test_a_block_has_one_epoch(slot: tuple[int, ...]) -> None:
    with pytest.raises(DecodeFault):
        Propose.from_row((replace(VALUE, slot=slot).raw, None))


def test_the_record_comes_back_equal() -> None:
    record = Record((votes(6), votes(7)), (VALUE,))

    assert parse_record(record.encode()) == record
    with pytest.raises(DecodeFault):
        parse_record(record.encode() + b"\x00")
