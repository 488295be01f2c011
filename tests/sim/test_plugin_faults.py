"""Links and clocks of bare plugins: partitions of every kind, and clocks that are wrong."""

from __future__ import annotations

from dataclasses import replace

from consensus.interface import Event, Now
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from ledger.value import Value
from sim.plugin_node import REFETCH_MS, RUN_AHEAD
from sim.plugins import (
    EPOCH,
    Clock,
    Partition,
    PluginScenario,
    Script,
    draw_scenario,
    run,
)

ALONE = ((3,), (0, 1, 2))
PAYLOAD = b"p" * 32


def heard(partition: Partition, *, for_ms: int = 200) -> list[tuple[int, int, int]]:
    """(time in ms, sender, receiver) of what arrives, where everyone speaks every millisecond."""
    world = Script(PluginScenario(Tendermint, payloads=0, partitions=(partition,)))
    arrived: list[tuple[int, int, int]] = []
    for receiver in world.seats:
        receiver.deliver = (  # type: ignore[method-assign]
            lambda sender, packet, receiver=receiver: arrived.append(
                (world.agenda.now_ms, sender, receiver.index)
            )
        )
    for _ in range(for_ms):
        for seat in range(4):
            world.transmit(seat, None, b"hint")
        world.run_ms(1)
    return arrived


def test_a_one_way_partition_silences_one_direction_alone() -> None:
    arrived = heard(Partition(0, 1_000, ALONE, is_one_way=True))

    assert not any(sender == 3 for _, sender, _ in arrived)
    assert any(receiver == 3 for _, _, receiver in arrived)
    assert any(sender == 1 and receiver == 2 for _, sender, receiver in arrived)


def test_a_flapping_partition_opens_and_closes() -> None:
    arrived = heard(Partition(0, 1_000, ALONE, flap_ms=40))
    from_alone = [time_ms for time_ms, sender, _ in arrived if sender == 3]

    # What leaves in one phase may arrive up to some milliseconds later.
    assert [any(start + 1 < t < start + 39 for t in from_alone) for start in (40, 120)] == [
        True
    ] * 2
    assert not any(start + 30 < t < start + 40 for t in from_alone for start in (0, 80, 160))


def test_a_partition_heals_in_a_view_change() -> None:
    def first_decision(partition: Partition) -> int | None:
        return run(
            PluginScenario(
                Tendermint, payloads=1, partitions=(partition,), stable_ms=20_000, exchange_ms=0
            )
        ).finished_ms

    halves = ((0, 1), (2, 3))
    healed = first_decision(Partition(0, 20_000, halves, timers=4))
    late = first_decision(Partition(0, 20_000, halves))

    assert healed is not None
    assert late is not None
    assert healed < 10_000
    assert late >= 20_000


def test_a_clock_leaps_and_runs_at_its_own_rate() -> None:
    seen: dict[int, list[Now]] = {}

    class Watches(Tendermint):
        def step(self, now: Now, event: Event) -> list:  # type: ignore[type-arg]
            seen.setdefault(self.me or 0, []).append(now)
            return super().step(now, event)

    clocks = (Clock(1, 100, -86_400_000), Clock(2, 100, 0, 2_000), Clock(3, 100, 0, 500))
    world = Script(PluginScenario(Watches, payloads=0, clocks=clocks))
    for _ in range(1_100):
        world.run_ms(1)
        for seat in world.seats:
            seat.deliver((seat.index + 1) % 4, b"")
    gone = {seat: (all_[-1].monotonic_ms - all_[0].monotonic_ms) for seat, all_ in seen.items()}
    wall = {seat: (all_[-1].wall_ms - all_[0].wall_ms) for seat, all_ in seen.items()}

    assert [round(gone[seat], -2) for seat in range(4)] == [1_100, 1_100, 2_100, 600]
    assert wall[1] < -86_300_000
    assert abs(wall[2] - gone[2]) < 2


def test_timers_run_by_the_clock_of_their_seat() -> None:
    def first_ring_ms(rate: int) -> int:
        world = Script(PluginScenario(Tendermint, payloads=0, clocks=(Clock(0, 1, 0, rate),)))
        world.allow = lambda sender, receiver, packet: False
        world.run_ms(10)
        world.submit(b"\x01" * 32, 0)
        world.run_ms(10)
        started = world.agenda.now_ms
        running = world.seats[0].timers
        assert world.run_until(lambda: world.seats[0].timers != running, limit_ms=5_000)
        return world.agenda.now_ms - started

    slow, right, fast = (first_ring_ms(rate) for rate in (500, 1_000, 2_000))

    assert 1.8 * fast < right < 2.2 * fast
    assert 1.8 * right < slow < 2.2 * right


def test_wrong_clocks_break_nothing() -> None:
    for protocol in (Tendermint, Jolteon):
        for seed in range(5):
            clocks = tuple(
                Clock(seat, 50 * seat, (-1) ** seat * 86_400_000, (500, 2_000)[seat % 2])
                for seat in range(4)
            )
            report = run(replace(draw_scenario(protocol, seed), clocks=clocks))
            assert report.violations == (), (protocol, seed, report.violations)


def test_scenarios_draw_every_kind_of_partition_and_clock() -> None:
    drawn = [draw_scenario(Tendermint, seed) for seed in range(200)]
    partitions = [partition for one in drawn for partition in one.partitions]

    assert any(one.is_one_way for one in partitions)
    assert any(one.flap_ms for one in partitions)
    assert any(one.timers for one in partitions)
    assert {clock.rate for one in drawn for clock in one.clocks} == {500, 900, 1_000, 1_100, 2_000}
    assert any(clock.step_ms < 0 for one in drawn for clock in one.clocks)
    assert not any(draw_scenario(Tendermint, seed, faults=()).clocks for seed in range(20))


def test_a_seat_runs_ahead_of_its_certificates_by_blocks_alone() -> None:
    """Nobody certifies values without payload, so a seat that counted them would stop for good."""
    world = Script(PluginScenario(Tendermint, payloads=0))

    def may_go_on(count: int, payload: tuple[bytes, ...]) -> bool:
        seat = world.seats[0]
        seat.log = [Value(EPOCH, b"", (each, 0), 0, 1_000, payload) for each in range(count)]
        return seat._may_run_ahead()

    assert may_go_on(RUN_AHEAD, (PAYLOAD,))
    assert not may_go_on(RUN_AHEAD + 1, (PAYLOAD,))
    assert may_go_on(4 * RUN_AHEAD, ())


def test_a_seat_asks_for_a_value_until_it_comes() -> None:
    """Also where nothing else is to be done: whoever has it was cut off when it was asked for."""
    value, arrived = Value(EPOCH, b"", (1,), 0, 1_000, (PAYLOAD,)), []

    class Asks(Solo):
        def on_start(self) -> None:
            if self.me == 0:
                self.offer(value)
            if self.me == 3:
                self.fetch(value.digest)

        def on_value(self, value: Value) -> None:
            arrived.append(value)

    apart = Partition(0, 450, ((0,), (1, 2, 3)))
    world = Script(PluginScenario(Asks, payloads=0, partitions=(apart,)))
    world.run_ms(440)
    assert not arrived

    world.run_ms(160)
    assert arrived == [value]

    world.run_ms(REFETCH_MS)
    assert len(world.agenda) == 0
