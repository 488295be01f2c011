"""Plots: scenarios of bare plugins in which every round has its leader, its hearers and its liars.

A *plot* is a few *acts* long, and an act a few rounds.  For each kind of message there is a mood
that the whole act keeps: everyone hears it, only one seat does, the network is split, nobody does,
or anything of these (Groce et al., "Swarm Testing", ISSTA 2012, for the reason why moods differ so
much).  Behind the last round the network heals.  Byzantine seats run twice, say what the adversary
puts together (`sim/plugin_adversary.py`), and may fall silent in the end.

`altered` changes a plot a little, which is what a search that learns needs (`sim/guided.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

from consensus.interface import Consensus
from sim.plugin_drawing import hasty, in_time
from sim.plugin_scenario import Crash, Groups, PluginScenario, Round, Stumble

BARE = 0
"""The kind of a bare certificate."""
MOODS: tuple[tuple[str, ...], ...] = (
    ("all",),
    ("all", "all", "all", "islands", "without", "few"),
    ("all", "few", "one", "without", "web"),
    ("one", "few", "nobody", "all"),
    ("islands", "islands", "all"),
    ("web", "web", "web", "all"),
    ("all", "few", "one", "without", "islands", "web", "nobody"),
)
"""How a kind of message tends to be heard."""
BARE_MOODS: tuple[tuple[str, ...], ...] = (("nobody",), ("nobody",), ("all",), ("few", "nobody"))
CALM = 0.4
"""The share of acts in which everyone hears everything, but for a seat that is cut off."""
DIVISORS = (20, 40, 40)
RATES = (0, 300, 700)


def draw_plot(protocol: type[Consensus], seed: int, *, nodes: int = 4) -> PluginScenario:
    """The plot of this seed.  Of n validators (n - 1) // 3 are Byzantine, and run twice."""
    draw = Random(f"plot {seed}")
    twins = tuple(sorted(draw.sample(range(nodes), (nodes - 1) // 3)))
    seats = nodes + len(twins)
    kinds = [kind.KIND for kind in protocol.MESSAGES]
    count = draw.choice((2, 3, 3, 4, 5, 6, 8, 10))
    bare = draw.choice(BARE_MOODS)
    rounds: list[Round] = []
    while len(rounds) < count:
        rounds += _draw_act(draw, nodes, twins, kinds, bare)
    del rounds[count:]
    slow = draw.random() < 0.1
    parameters = _parameters(protocol, draw.choice(DIVISORS))
    round_ms = draw.choice((1, 2, 4)) * _timeout_ms(parameters)
    return PluginScenario(
        protocol,
        seed=seed,
        nodes=nodes,
        parameters=parameters,
        twins=twins,
        payloads=draw.choice((2, 2, 3)),
        payload_max=1,
        interval_ms=1,
        delay_us=in_time(protocol, parameters, draw.choice((20_000, 60_000)) if slow else 200),
        jitter_us=300,
        sync_us=50,
        duplicate=draw.choice((0, 0, 200)),
        replay=draw.choice((0, 0, 200)),
        rounds=tuple(rounds),
        round_ms=round_ms,
        heals=True,
        late=draw.choice((0, 0, 200, 700)),
        late_ms=draw.choice((10, 40, 120)),
        withhold=1_000,
        mutate=draw.choice((0, 0, 100)),
        splice=draw.choice(RATES),
        hoard=draw.choice((0, 0, 20, 100)),
        hush=draw.random() < 0.5,
        stumbles=_draw_stumbles(draw, seats, count, kinds),
        crashes=_draw_dead(draw, nodes, twins),
        stable_ms=2 * round_ms * count,
    )


def _parameters(protocol: type[Consensus], divisor: int) -> tuple[tuple[str, int], ...]:
    """Short times, but for retries: what is said again costs many events and shows little."""
    return tuple(
        (name, 4 * ms if "retry" in name else ms) for name, ms in hasty(protocol, divisor=divisor)
    )


def _timeout_ms(parameters: tuple[tuple[str, int], ...]) -> int:
    """The longest time that a protocol waits at first, but for its upper limits."""
    return max(
        (ms for name, ms in parameters if "max" not in name and "retry" not in name), default=25
    )


def _draw_act(
    draw: Random,
    nodes: int,
    twins: Sequence[int],
    kinds: Sequence[int],
    bare: tuple[str, ...],
) -> list[Round]:
    """One to four rounds with the same moods, in which perhaps the same seat is cut off."""
    seats = nodes + len(twins)
    is_calm = draw.random() < CALM
    moods = {BARE: bare} | {kind: MOODS[0] if is_calm else draw.choice(MOODS) for kind in kinds}
    exile = draw.choice((None, draw.randrange(seats)))
    rounds = []
    for _ in range(draw.choice((1, 1, 1, 2, 3, 4))):
        leader = draw.choice([*range(nodes), *(2 * list(twins))])
        heard, deaf = [], []
        for kind, mood in moods.items():
            groups, ears = _draw_shape(draw, seats, draw.choice(mood), exile)
            heard.append((kind, groups))
            if ears:
                deaf.append((kind, ears))
        rounds.append(Round(leader, (tuple(range(seats)),), tuple(heard), tuple(deaf)))
    return rounds


def _draw_shape(
    draw: Random, seats: int, shape: str, lonely: int | None
) -> tuple[Groups, tuple[int, ...]]:
    """(who hears whom, who hears nobody) of one kind of message in one round."""
    everyone = tuple(seat for seat in range(seats) if seat != lonely)
    deaf: tuple[int, ...] = ()
    groups: Groups = (everyone,)
    if shape == "nobody":
        deaf = tuple(range(seats))
    elif shape == "one":
        hearer = draw.randrange(seats)
        deaf = tuple(seat for seat in range(seats) if seat != hearer)
    elif shape == "few":
        deaf = tuple(seat for seat in range(seats) if draw.random() < 0.5)
    elif shape == "without":
        without = draw.randrange(seats)
        groups = (tuple(seat for seat in everyone if seat != without),)
    elif shape == "islands":
        sides = [draw.randrange(2) for _ in range(seats)]
        groups = tuple(tuple(s for s in everyone if sides[s] == side) for side in (0, 1))
    elif shape == "web":
        share = draw.choice((0.4, 0.6, 0.8))
        groups = tuple(pair for pair in combinations(everyone, 2) if draw.random() < share)
    return groups, deaf


def _draw_stumbles(
    draw: Random, seats: int, rounds: int, kinds: Sequence[int]
) -> tuple[Stumble, ...]:
    count = draw.choice((0, 0, 0, 1, 2, 4))
    return tuple(
        Stumble(draw.randrange(seats), draw.randrange(rounds), draw.choice(kinds))
        for _ in range(count)
    )


def _draw_dead(draw: Random, nodes: int, twins: Sequence[int]) -> tuple[Crash, ...]:
    """Now and then a Byzantine validator is merely dead, from some moment on."""
    if draw.random() < 0.85:
        return ()
    at_ms = draw.choice((0, 30, 80))
    return tuple(
        Crash(seat, at_ms, None)
        for place, twin in enumerate(twins)
        for seat in (twin, nodes + place)
    )


# --- learning -------------------------------------------------------------------------------------


def altered(plot: PluginScenario, seed: int, other: PluginScenario | None = None) -> PluginScenario:
    """The plot with one to three things changed; rounds may come from another plot."""
    draw = Random(f"altered {seed}")
    for _ in range(draw.choice((1, 1, 2, 3))):
        plot = _altered_once(plot, draw, other)
    return replace(plot, seed=draw.choice((plot.seed, seed)))


_DIALS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("late", (0, 200, 700)),
    ("late_ms", (10, 40, 120)),
    ("replay", (0, 200)),
    ("splice", RATES),
    ("hoard", (0, 20, 100)),
    ("hush", (False, True)),
)
"""What may be changed, and to what; the last three are about liars."""


def _altered_once(
    plot: PluginScenario, draw: Random, other: PluginScenario | None
) -> PluginScenario:
    rounds = list(plot.rounds)
    place = draw.randrange(len(rounds))
    match draw.choice(
        ("shape", "shape", "shape", "leader", "round", "more", "less", "rate", "fall")
    ):
        case "shape":
            rounds[place] = _other_shape(plot, rounds[place], draw)
        case "leader":
            leader = draw.choice([*range(plot.nodes), *(2 * list(plot.twins))])
            rounds[place] = replace(rounds[place], leader=leader)
        case "round":
            rounds[place] = draw.choice((other or plot).rounds or plot.rounds)
        case "more":
            source = (other or plot).rounds or plot.rounds
            rounds.insert(draw.randrange(len(rounds) + 1), draw.choice(source))
        case "less":
            if len(rounds) > 1:
                del rounds[place]
        case "rate":
            name, options = draw.choice(_DIALS if plot.twins else _DIALS[:3])
            return replace(plot, **{name: draw.choice(options)})
        case "fall":
            kinds = [kind.KIND for kind in plot.protocol.MESSAGES]
            stumbles = _draw_stumbles(draw, len(plot.seats), len(rounds), kinds)
            return replace(plot, stumbles=stumbles)
    return replace(plot, rounds=tuple(rounds), stable_ms=2 * plot.round_ms * len(rounds))


def _other_shape(plot: PluginScenario, one: Round, draw: Random) -> Round:
    """The round with one kind of message heard by others."""
    kinds, deaf = dict(one.kinds), dict(one.deaf)
    kind = draw.choice(list(kinds))
    shape = draw.choice(("all", "all", "one", "few", "without", "islands", "web", "nobody"))
    kinds[kind], ears = _draw_shape(draw, len(plot.seats), shape, None)
    deaf.pop(kind, None)
    if ears:
        deaf[kind] = ears
    return replace(one, kinds=tuple(kinds.items()), deaf=tuple(sorted(deaf.items())))
