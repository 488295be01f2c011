"""Drawing scenarios of bare plugins: what goes wrong, how often and when, from one seed.

`draw_scenario` mixes every fault, `draw_duel` goes for safety with phases split at random, and
`draw_twins` is the systematic Twins strategy.  Rates and lengths are drawn too: fixed ones find
less.  Never more validators are Byzantine than the quorum rule bears.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from consensus.byzantine import ATTACKS
from consensus.interface import Consensus
from ledger.validators import QuorumRule
from sim.plugin_scenario import Clock, Crash, Groups, Partition, Pause, PluginScenario, Round

FAULTS = (
    "crash",
    "partition",
    "loss",
    "duplicate",
    "replay",
    "slow",
    "split",
    "pause",
    "byzantine",
    "clock",
)

LOCK_STEP_MS_MIN = 50
"""Where nothing grows until messages come in time, they must from the beginning."""


def draw_scenario(
    protocol: type[Consensus],
    seed: int,
    *,
    nodes: int = 4,
    faults: tuple[str, ...] = FAULTS,
    rule: QuorumRule = QuorumRule.BYZANTINE,
) -> PluginScenario:
    """A scenario of this seed: rates and lengths are drawn too, since fixed ones find less."""
    draw = Random(f"plugins {seed}")
    chosen = {fault for fault in faults if fault != "clock" and draw.random() < 0.6}
    clocks = Random(f"clocks {seed}")
    tolerated = (nodes - 1) // 3
    byzantine = "byzantine" in chosen and rule is QuorumRule.BYZANTINE and tolerated
    liars = sorted(draw.sample(range(nodes), draw.randint(1, tolerated))) if byzantine else []
    twins, attacks = _draw_liars(Random(f"attacks {seed}"), liars)
    stable_ms = draw.choice((400, 1_500, 6_000))
    seats = nodes + len(twins)

    def rate(fault: str, *rates: int) -> int:
        drawn = draw.choice(rates)
        return drawn if fault in chosen else 0

    return PluginScenario(
        protocol,
        seed=seed,
        nodes=nodes,
        rule=rule,
        twins=twins,
        attacks=attacks,
        payloads=draw.choice((1, 3, 8)),
        payload_max=draw.choice((1, 3)),
        interval_ms=draw.choice((5, 60, 400)),
        slow_us=rate("slow", 20_000, 200_000) if draw.random() < 0.5 else 0,
        sync_us=draw.choice((50, 400, 4_000)),
        loss=rate("loss", 20, 150, 500),
        duplicate=rate("duplicate", 50, 300),
        replay=rate("replay", 50, 300),
        split=rate("split", 200, 500, 900),
        withhold=rate("withhold", 500, 1_000),
        mutate=draw.choice((0, 50, 400)) if liars else 0,
        bad=draw.choice((0, 300)) if liars else 0,
        crashes=_crashes(draw, seats, stable_ms) if "crash" in chosen else (),
        pauses=_pauses(draw, seats, stable_ms) if "pause" in chosen else (),
        partitions=_partitions(draw, seats, stable_ms) if "partition" in chosen else (),
        clocks=_clocks(clocks, seats, stable_ms) if "clock" in faults else (),
        stable_ms=stable_ms,
    )


def draw_duel(
    protocol: type[Consensus],
    seed: int,
    *,
    parameters: tuple[tuple[str, int], ...] | None = None,
    nodes: int = 4,
    stable_ms: int = 1_500,
) -> PluginScenario:
    """A scenario against safety: twins, split phases, and decisions that stay where they fell.

    Timeouts should be so short that many slots pass before `stable_ms`; `hasty` ones are.
    """
    draw = Random(f"duel {seed}")
    twins = tuple(sorted(draw.sample(range(nodes), (nodes - 1) // 3)))
    seats = nodes + len(twins)
    crashes = _crashes(draw, seats, stable_ms, short=True) if draw.random() < 0.5 else ()
    return PluginScenario(
        protocol,
        seed=seed,
        nodes=nodes,
        parameters=hasty(protocol) if parameters is None else parameters,
        twins=twins,
        attacks=_draw_more(Random(f"attacks {seed}"), twins),
        payloads=2,
        payload_max=1,
        interval_ms=1,
        delay_us=200,
        jitter_us=300,
        sync_us=50,
        duplicate=draw.choice((0, 50)),
        replay=draw.choice((0, 50)),
        split=draw.choice((500, 800, 1_000)),
        withhold=1_000,
        mutate=draw.choice((0, 50, 300)),
        crashes=crashes,
        stable_ms=stable_ms,
    )


def draw_twins(
    protocol: type[Consensus],
    seed: int,
    *,
    parameters: tuple[tuple[str, int], ...] | None = None,
    nodes: int = 4,
    rounds: int = 10,
    stable_ms: int = 600,
) -> PluginScenario:
    """A scenario of the Twins strategy: in every round a leader, and a partition of the seats.

    The partitions of a scenario are few, and some kinds of message have one of their own.  Faults
    beside twins are those without which known mutants survive: repeats, mutation, crashes.
    Leaders are drawn for protocols that say who leads (`Consensus.leader`).
    """
    draw = Random(f"twins {seed}")
    twins = tuple(sorted(draw.sample(range(nodes), (nodes - 1) // 3)))
    seats = nodes + len(twins)
    everyone: Groups = (tuple(range(seats)),)
    partitions = [_draw_partition(draw, seats) for _ in range(draw.choice((1, 2, 4)))]
    leaders = [*range(nodes), *twins, *twins]
    calm, by_kind = draw.choice((0.1, 0.3, 0.6)), draw.choice((0.0, 0.2, 0.5))

    def groups() -> Groups:
        return everyone if draw.random() < calm else draw.choice(partitions)

    def one_round() -> Round:
        kinds = [kind.KIND for kind in protocol.MESSAGES if draw.random() < by_kind]
        return Round(draw.choice(leaders), groups(), tuple((kind, groups()) for kind in kinds))

    crashes = _crashes(draw, seats, stable_ms, short=True) if draw.random() < 0.3 else ()
    base = draw_duel(protocol, seed, parameters=parameters, nodes=nodes, stable_ms=stable_ms)
    return replace(
        base,
        twins=twins,
        attacks=_draw_more(draw, twins),
        split=0,
        rounds=tuple(one_round() for _ in range(rounds)),
        crashes=crashes,
    )


def hasty(protocol: type[Consensus], *, divisor: int = 40) -> tuple[tuple[str, int], ...]:
    """The protocol's times divided, so that many rounds pass in a second."""
    least_ms = LOCK_STEP_MS_MIN if protocol.lock_step else 1
    return tuple(
        (name, max(least_ms, default // divisor))
        for name, default in sorted(protocol.PARAMETERS.items())
        if name.endswith("_ms")
    )


def in_time(
    protocol: type[Consensus], parameters: tuple[tuple[str, int], ...], delay_us: int
) -> int:
    """This least delay, or the longest one that a lock-step protocol states it bears."""
    longest_ms = protocol.delay_max_ms({**protocol.PARAMETERS, **dict(parameters)})
    return delay_us if longest_ms is None else min(delay_us, longest_ms * 1_000)


def draw_attack(draw: Random) -> str:
    """An attack, or a combination of two or three."""
    count = draw.choices((1, 2, 3), (6, 3, 1))[0]
    alone = list(ATTACKS)
    return draw.choice(alone) if count == 1 else "+".join(draw.sample(alone[1:], count))


def _draw_liars(
    draw: Random, liars: list[int]
) -> tuple[tuple[int, ...], tuple[tuple[int, str], ...]]:
    """(twins, attacks): each liar runs twice, or changes what it says, or both."""
    twins: list[int] = []
    attacks: list[tuple[int, str]] = []
    for liar in liars:
        way = draw.random()
        if way < 0.6:
            twins.append(liar)
        if way > 0.4:
            attacks.append((liar, draw_attack(draw)))
    return tuple(twins), tuple(attacks)


def _draw_more(draw: Random, twins: tuple[int, ...]) -> tuple[tuple[int, str], ...]:
    """Attacks of validators that are twins already, in every third scenario."""
    if draw.random() > 0.3:
        return ()
    return tuple((twin, draw_attack(draw)) for twin in twins)


def _draw_partition(draw: Random, seats: int) -> Groups:
    """Seats in two or three groups of a drawn size each, or each alone."""
    mixed = draw.sample(range(seats), seats)
    if draw.random() < 0.1:
        return tuple((seat,) for seat in range(seats))
    cuts = sorted(draw.sample(range(1, seats), min(seats - 1, draw.choice((1, 1, 2)))))
    ends = zip((0, *cuts), (*cuts, seats), strict=True)
    return tuple(tuple(sorted(mixed[start:end])) for start, end in ends)


def _crashes(draw: Random, seats: int, stable_ms: int, *, short: bool = False) -> tuple[Crash, ...]:
    crashes = []
    for _ in range(draw.choice((1, 2, 6, 12))):
        at_ms = draw.randrange(stable_ms)
        until_ms = min(stable_ms, at_ms + draw.choice((1, 20) if short else (1, 20, 500, 3_000)))
        boundary = draw.choice(("now", "before", "after", "amid"))
        crashes.append(Crash(draw.randrange(seats), at_ms, until_ms, boundary))
    return tuple(crashes)


def _pauses(draw: Random, seats: int, stable_ms: int) -> tuple[Pause, ...]:
    at_ms = draw.randrange(stable_ms)
    return (Pause(draw.randrange(seats), at_ms, draw.randint(at_ms + 1, stable_ms)),)


def _partitions(draw: Random, seats: int, stable_ms: int) -> tuple[Partition, ...]:
    partitions = []
    for _ in range(draw.choice((1, 2, 5))):
        at_ms = draw.randrange(stable_ms)
        until_ms = min(stable_ms, at_ms + draw.choice((50, 800, 5_000)))
        partitions.append(Partition(at_ms, until_ms, draw_groups(draw, seats)))
    return tuple(
        replace(
            partition,
            is_one_way=draw.random() < 0.25,
            flap_ms=draw.choice((0, 0, 5, 40, 300)),
            timers=draw.choice((0, 0, 1, 4)),
        )
        for partition in partitions
    )


def _clocks(draw: Random, seats: int, stable_ms: int) -> tuple[Clock, ...]:
    """In every other scenario some clocks step, run fast or run slow."""
    return tuple(
        Clock(
            draw.randrange(seats),
            draw.randrange(stable_ms),
            draw.choice((-1, 1)) * draw.choice((0, 600, 10_000, 86_400_000)),
            draw.choice((500, 900, 1_000, 1_100, 2_000)),
        )
        for _ in range(draw.choice((0, 0, 1, 3)))
    )


def draw_groups(draw: Random, seats: int) -> tuple[tuple[int, ...], ...]:
    """The seats in two groups, both ascending; one of them may be empty."""
    sides: tuple[list[int], list[int]] = ([], [])
    for seat in range(seats):
        sides[draw.random() < 0.4].append(seat)
    return tuple(tuple(side) for side in sides)
