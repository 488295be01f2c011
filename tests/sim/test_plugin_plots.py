"""Plots: rounds as planned, stumbles where they are meant to be, an end once they are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from consensus.interface import Consensus, Signed
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PRECOMMIT, PREVOTE, Precommit, Prevote
from sim.guided import EPISODE, Episode, play_and_look
from sim.plugin_plots import altered, draw_plot
from sim.plugin_scenario import Round, Stumble
from sim.plugin_step import Packet
from sim.plugins import PluginScenario, PluginWorld, run
from sim.scenario_file import ScenarioFile, read_scenario, write_scenario
from tests.consensus import mutants_jolteon as broken_jolteon
from tests.consensus import mutants_tendermint as broken_tendermint
from tests.consensus.harness import FAST

EVERYONE = ((0, 1, 2, 3),)
CALM = PluginScenario(
    Tendermint, parameters=FAST, payloads=1, interval_ms=1, withhold=1_000, stable_ms=500
)


class Counts(PluginWorld):
    """Counts the prevotes of the first round that reach each seat."""

    def __init__(self, scenario: PluginScenario) -> None:
        self.heard: dict[int, dict[int, None]] = {}
        super().__init__(scenario)
        for seat in self.seats:
            seat.deliver = partial(self._count, seat.index, seat.deliver)  # type: ignore[method-assign]

    def _count(
        self, receiver: int, deliver: Callable[[int, Packet], None], sender: int, packet: Packet
    ) -> None:
        if isinstance(packet, Signed) and packet.message.statement()[:2] == (PREVOTE, (1, 0)):
            self.heard.setdefault(receiver, {})[sender] = None
        deliver(sender, packet)


def heard_prevotes(scenario: PluginScenario) -> list[int]:
    """How many prevotes of the first round of others each seat has heard before it was healed."""
    world = Counts(scenario)
    while world.agenda.now_ms < scenario.stable_ms:
        world.agenda.run_until(world.agenda.now_us + 10_000)
    return [len(world.heard.get(seat, ())) for seat in range(4)]


def test_seats_that_are_deaf_to_a_kind_in_a_round_do_not_hear_it() -> None:
    deaf = Round(None, EVERYONE, (), ((Prevote.KIND, (0, 2)),))

    assert heard_prevotes(CALM) == [3, 3, 3, 3]
    assert heard_prevotes(replace(CALM, rounds=(deaf,))) == [0, 3, 0, 3]


def test_a_plan_of_who_hears_whom_ends_after_its_time() -> None:
    alone = tuple((seat,) for seat in range(4))
    held = replace(CALM, rounds=(Round(None, alone),))

    assert (run(held).finished_ms or 0) >= CALM.stable_ms
    assert (run(replace(held, round_ms=50)).finished_ms or 0) < CALM.stable_ms


def test_what_a_plan_keeps_back_may_come_late() -> None:
    alone = tuple((seat,) for seat in range(4))
    held = replace(CALM, rounds=(Round(None, alone),))

    late = run(replace(held, late=1_000, late_ms=5))

    assert (run(held).finished_ms or 0) >= CALM.stable_ms
    assert (late.finished_ms or 0) < CALM.stable_ms


def test_a_network_heals_as_soon_as_its_plan_is_played_or_all_is_decided() -> None:
    plan = replace(CALM, rounds=(Round(None, EVERYONE),), heals=True)
    world = PluginWorld(plan)

    world.run()

    assert world._stable_us < CALM.stable_ms * 1_000


def test_a_seat_stumbles_once_over_its_first_word_of_a_kind_in_a_round() -> None:
    world = PluginWorld(replace(CALM, stumbles=(Stumble(2, 0, Precommit.KIND),)))

    report = world.run()

    assert report.violations == ()
    assert [seat._life for seat in world.seats] == [1, 1, 2, 1]
    assert (PRECOMMIT, (1, 0)) in world.seats[2]._sent or world.seats[2].certified


def test_liars_fall_silent_with_the_plan() -> None:
    world = PluginWorld(replace(CALM, twins=(3,), hush=True, stable_ms=100))

    report = world.run()

    assert report.violations == ()
    assert [seat.is_up for seat in world.seats] == [True, True, True, False, False]


@pytest.mark.parametrize("protocol", [Tendermint, Jolteon])
def test_no_plot_breaks_a_sound_protocol(protocol: type[Consensus]) -> None:
    for number in range(12):
        report = run(replace(draw_plot(protocol, number), bound_ms=20_000, quiet_ms=5_000))
        assert report.violations == (), number


def test_whatever_is_drawn_or_altered_can_be_written_and_read() -> None:
    plots = [draw_plot(Jolteon, number, nodes=7) for number in range(6)]
    plots += [altered(plot, number, plots[0]) for number, plot in enumerate(plots)]

    for plot in plots:
        file = ScenarioFile(plot, "jolteon")
        assert read_scenario(write_scenario(file)) == file


@pytest.mark.parametrize(
    ("protocol", "property_", "first"),
    [
        (broken_tendermint.BelievesDecisions, "agreement", 78),
        (broken_tendermint.DecidesOnPolka, "agreement", 16),
        (broken_jolteon.ForgetsTc, "liveness", 55),
    ],
)
def test_plots_find_what_a_missing_rule_allows(
    protocol: type[Consensus], property_: str, first: int
) -> None:
    """The search begins shortly before the first one that is found from 0 on, to be quick."""
    plots = (
        replace(draw_plot(protocol, number), bound_ms=5_000)
        for number in range(first - 1, first + 1)
    )

    assert any(property_ in run(plot).properties for plot in plots)


def test_an_episode_keeps_what_led_somewhere_new_and_is_the_same_again() -> None:
    def plots() -> tuple[list[PluginScenario], int]:
        episode = Episode(lambda number: draw_plot(Jolteon, number), 3 * EPISODE)
        seen = []
        for plot in episode.plots():
            seen.append(plot)
            _, cell = play_and_look(replace(plot, bound_ms=200, quiet_ms=200))
            episode.learn(plot, cell)
            if len(seen) == 12:
                break
        return seen, len(episode.cells)

    first, cells = plots()

    assert plots() == (first, cells)
    assert 1 < cells <= 12
    fresh = [draw_plot(Jolteon, 3 * EPISODE + place) for place in range(12)]
    assert any(plot not in fresh for plot in first), "some are altered"


def test_of_two_plots_that_came_to_the_same_the_shorter_one_is_kept() -> None:
    episode = Episode(lambda number: draw_plot(Jolteon, number), 0)
    long = replace(draw_plot(Jolteon, 1), rounds=(Round(None, EVERYONE),) * 3)
    short = replace(long, rounds=long.rounds[:1])

    for plot in (long, short, long):
        episode.learn(plot, ("the same",))

    assert list(episode._kept.values()) == [short]
