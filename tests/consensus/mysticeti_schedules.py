"""Schedules that break Mysticeti with one rule missing, and do nothing to Mysticeti itself.

The decision rules have theirs, drawings, in `test_mysticeti_rules.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations

from consensus.interface import (
    Certified,
    DecisionProof,
    DecisionReceived,
    Dismiss,
    Effect,
    Forward,
    Hint,
    Now,
    Received,
    Root,
    Signed,
    Validate,
)
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_messages import Block, encode_want
from ledger.value import Value
from sim import faults as replica_faults
from sim import run as replicas
from sim.plugin_scenario import Crash, PluginScenario
from sim.plugin_step import Packet
from sim.plugins import Script, draw_scenario, run
from sim.scenario import FOR_EVER_MS, Incident
from tests.consensus.mysticeti_bench import NOW, Drawing, Follower, agree
from tests.sim.kept import kept

FIRST = "1.0 1.1 1.2 1.3"
FAIR = PluginScenario(Mysticeti)
"""Everybody names the same payloads."""
CALM = replace(FAIR, payloads=0)
RESTART = replace(FAIR, crashes=(Crash(2, 12, 20, "after"),), stable_ms=21)
"""One crashes after a block has left."""
HALF_CERTIFIED = PluginScenario(
    Mysticeti, seed=3209, payloads=8, payload_max=3, interval_ms=5,
    slow_us=20_000, loss=150, duplicate=300, stable_ms=245,
)  # fmt: skip
"""Seat by seat the root of a sub-DAG is certified before its leader's round is full there."""
YEAR_MS = 365 * 86_400_000
ENOUGH_MS = 12_000
"""Of virtual time, in which a live protocol decides many times over."""


def broken(scenario: PluginScenario, protocol: type[Mysticeti]) -> list[str]:
    """The properties that a run breaks."""
    return list(run(replace(scenario, protocol=protocol)).properties)


# --- whether views agree --------------------------------------------------------------------------


def in_any_order(protocol: type[Mysticeti]) -> bool:
    """Blocks of one round arrive in all orders."""
    drawing = Drawing(FIRST).full(2, 4)
    orders = [("1.1", *rest) for rest in permutations(("1.0", "1.2", "1.3"))]
    one, *others = [Follower(protocol, drawing).see(*first).see_all() for first in orders]
    return all(agree(one, other) for other in others)


def all_at_once(protocol: type[Mysticeti]) -> bool:
    """For one validator each block comes in its round, for another all come after the last one."""
    drawing = Drawing(FIRST)
    for round_ in range(2, 8):
        before = [f"{round_ - 1}.{author}" for author in range(4)]
        for author in range(4):
            drawing.add(f"{round_}.{author}", before, payload=())
    one = Follower(protocol, drawing).see_all()
    other = Follower(protocol, drawing).see(*reversed(drawing.blocks))
    assert one.decided
    return one.decided == other.decided


def told_a_lie(protocol: type[Mysticeti]) -> bool:
    """Blocks come with another value than the one that follows from them; whether nothing counts.

    Who believes it decides what the blocks say all the same: there is no fork.
    """
    drawing = Drawing(FIRST).full(2, 3)
    source = Follower(protocol, drawing).see_all()
    lie = (replace(source.decided[0], payload=(bytes(32),)),)
    return not decides(protocol, drawing, lie, tuple(drawing.blocks.values()))


def told_of_a_twin(protocol: type[Mysticeti]) -> bool:
    """Whether a decision convinces that orders one of an equivocator's two blocks.

    Found by the search: whoever missed the decision refused it for ever.
    """
    drawing = Drawing(FIRST, "1.3'").full(2, 5)
    source = Follower(protocol, drawing).see_all()
    assert "1.3" in source.ledger
    return decides(protocol, drawing, tuple(source.decided), tuple(drawing.blocks.values()))


def decides(
    protocol: type[Mysticeti], drawing: Drawing, values: tuple[Value, ...], said: tuple[Signed, ...]
) -> bool:
    """Whether a validator that knows nothing believes a peer's decision."""
    follower = Follower(protocol, drawing)
    follower.give(DecisionReceived(values, DecisionProof((), (), said)))
    return bool(follower.decided)


def shifted(protocol: type[Mysticeti]) -> bool:
    """A block gives a round that its references are not of; whether it is accepted nowhere.

    Found by the search: a block whose round was changed refers to rounds that are not.
    """
    drawing = Drawing(FIRST).full(2, 2)
    honest = drawing.blocks["2.0"].message
    assert isinstance(honest, Block)
    block = Signed(0, Block(replace(honest.value, slot=(3,))), bytes(64))
    follower = Follower(protocol, drawing).see_all()
    follower.give(Received(block))
    return block.message.statement()[2] not in follower.plugin.dag


def orphans(protocol: type[Mysticeti]) -> bool:
    """One block of the first round never comes; whether nothing that refers to it is ordered."""
    drawing = Drawing(FIRST).full(2, 4)
    try:
        return not Follower(protocol, drawing).see_all(but="1.0").ledger
    except AssertionError:  # A history that is not all here.
        return False


# --- runs -----------------------------------------------------------------------------------------


def invalid_payloads(protocol: type[Mysticeti]) -> list[str]:
    """Half of what waits to be ordered is invalid."""
    return [
        name
        for seed in (1, 2, 3)
        for name in broken(replace(draw_scenario(Mysticeti, seed), bad=500), protocol)
    ]


def crash_of_all(protocol: type[Mysticeti]) -> list[str]:
    """One validator is gone for good after its blocks were heard; the others start again."""
    found: list[str] = []
    for at_ms in (9, 11, 13):
        crashes = (Crash(3, at_ms, None), *(Crash(s, at_ms + 6, at_ms + 40) for s in range(3)))
        scenario = replace(FAIR, payloads=4, interval_ms=5, crashes=crashes, stable_ms=100)
        found += broken(replace(scenario, bound_ms=20_000), protocol)
    return found


def cut_off(protocol: type[Mysticeti]) -> list[str]:
    """One of four whole replicas is cut off for ten seconds, and comes back; another one dies.

    Found by whole runs: its block of that time names a batch that is gone since, so nobody accepted
    that block, nor any later one of its author.
    """
    scenario = replica_faults.draw_scenario(23, "mysticeti", 4, faults=("isolate",))
    dead = Incident("crash", scenario.incidents[0].until_ms + 700, FOR_EVER_MS, (0,))
    scenario = replace(scenario, incidents=(*scenario.incidents, dead))
    return [violation.property for violation in replicas.run(scenario, protocol).violations]


def stale_batch(protocol: type[Mysticeti]) -> list[str]:
    """The same where no round is made without who was cut off."""
    scenario = kept("scenarios/mysticeti-stale-batch.toml")
    return [violation.property for violation in replicas.run(scenario, protocol).violations]


def judged_once_it_can_be(protocol: type[Mysticeti]) -> bool:
    """A block builds on what others have decided, and this validator has not yet.

    Found by the search (swarm, scenario 713 of seed 96000): a liar's built on another block of its
    own; who had heard of that held it for valid, and who had not could neither judge nor accept
    what the others built on it.
    """
    drawing = Drawing(FIRST).full(2, 3)
    base = Follower(protocol, drawing).see_all().decided[0]
    parents = [f"2.{author}" for author in range(4)]
    early = drawing.add("3.0'", parents, parent=base.digest, base_height=2).message
    assert isinstance(early, Block)
    follower = Follower(protocol, drawing).see(*FIRST.split(), *parents, "3.0'")
    is_judged = any(
        isinstance(each, Validate) and each.value == early.value for each in follower.said
    )
    follower.see_all()
    return not is_judged and early.digest in follower.plugin.dag


def refused_and_old(protocol: type[Mysticeti]) -> bool:
    """One refused a block that all others accepted, who had decided so much that nothing of its
    payload could count any more."""
    drawing = Drawing(FIRST).full(2, 4, authors=(0, 1, 2))
    invalid = frozenset({drawing.digest("1.3")})
    follower = Follower(protocol, drawing, invalid=invalid, batch_window=4).see_all()
    assert follower.decided, "what the block builds on is two values ago"
    drawing.add("5.0", ["1.3", *(f"4.{author}" for author in range(3))])
    follower.see("5.0")
    return drawing.digest("5.0") in follower.plugin.dag


def tells_a_false_height(protocol: type[Mysticeti]) -> bool:
    """A block says that it builds on the beginning of the epoch, and gives another height for it:
    nobody judges its payload, and it brings none."""
    drawing = Drawing("1.0 1.1 1.2")
    drawing.add("1.3", base_height=1)
    unjudged = frozenset({drawing.digest("1.3")})
    follower = Follower(protocol, drawing.full(2, 5), unjudged=unjudged).see_all()
    assert "1.0" in follower.ledger
    return drawing.digest("1.3") in follower.plugin.dag and "1.3" not in follower.ledger


def found_whole(number: int, protocol: type[Mysticeti]) -> list[str]:
    """What breaks in a scenario of whole replicas that the search found."""
    scenario = replica_faults.draw_scenario(number, "mysticeti", 4)
    return [violation.property for violation in replicas.run(scenario, protocol).violations]


def lost_payload(protocol: type[Mysticeti]) -> list[str]:
    """A validator loses its disk, and with it the payload of a block that it sent."""
    return found_whole(70_000_000_073, protocol)


def passed_unjudged(protocol: type[Mysticeti]) -> list[str]:
    """An equivocator's other block waits for a payload that nobody has until no later sub-DAG may
    hold it.

    Found by the search (replicas in a ring, scenario 143 of seed 92000): the plugin had dropped
    such a block, and the replica asked for its payload for ever.
    """
    drawing = Drawing(FIRST)
    twin = drawing.add("2.3'", FIRST.split()).message
    assert isinstance(twin, Block)
    follower = Follower(protocol, drawing.full(2, 6), unjudged=frozenset({twin.digest}))
    follower.see_all()
    last = follower.decided[-1]
    said = follower.give(Certified(Root(last.digest, last.slot, len(follower.decided))))
    dismissed = [effect.value.digest for effect in said if isinstance(effect, Dismiss)]
    return [] if dismissed == [twin.digest] else ["P10"]


def follows_unjudged(protocol: type[Mysticeti]) -> list[str]:
    """Who lost its disk, and may only follow, is shown its own last block: the payload is lost."""
    scenario = kept("corpus/mysticeti-only-voters-give-up-liveness.toml")
    return [violation.property for violation in replicas.run(scenario, protocol).violations]


def leapt_clock(protocol: type[Mysticeti]) -> list[str]:
    """A clock is 26 minutes ahead for two seconds, and all later blocks stand on one that bears
    its time; another validator loses its disk."""
    return found_whole(1_056, protocol)


def times_answered(protocol: type[Mysticeti], *asked_ms: int) -> int:
    """How often a peer is sent a block that it asks for at these times.

    Found by the search: a liar that forgets at once what it is sent asked for more with every
    answer, and two of them kept the network at work for ever.
    """
    drawing = Drawing(FIRST)
    follower = Follower(protocol, drawing, me=0).see_all()
    hint = encode_want((drawing.blocks["1.2"].message.statement()[2],))
    said: list[Effect] = []
    for ms in asked_ms:
        said += follower.plugin.step(Now(NOW.monotonic_ms + ms, NOW.wall_ms), Hint(3, hint))
    return sum(isinstance(effect, Forward) for effect in said)


def clocks_ahead(protocol: type[Mysticeti], *ahead: int) -> list[int]:
    """How far ahead of an honest clock the time of each decided value is, where the last blocks of
    these validators are a year ahead."""
    drawing = Drawing(FIRST)
    for round_ in range(2, 8):
        before = [f"{round_ - 1}.{author}" for author in range(4)]
        for author in range(4):
            late_ms = YEAR_MS if author in ahead else 0
            drawing.add(f"{round_}.{author}", before, timestamp_ms=NOW.wall_ms + late_ms)
    decided = Follower(protocol, drawing, has_time=False).see_all().decided
    assert len(decided) > 4
    return [value.timestamp_ms - NOW.wall_ms for value in decided]


# --- whether it goes on, and falls silent ---------------------------------------------------------


def is_quiet(protocol: type[Mysticeti]) -> bool:
    """Whether one payload is decided soon, and no timer runs afterwards."""
    script = Script(replace(CALM, protocol=protocol))
    script.submit(b"\x01" * 32)
    script.run_until(lambda: all(seat.log for seat in script.seats), limit_ms=300)
    script.run_ms(10)
    timers = [timer for seat in script.seats for timer in seat.timers]
    return not timers and all(seat.log for seat in script.seats)


def first_copies_lost(protocol: type[Mysticeti]) -> bool:
    """The first copy of everything is lost; whether all decide."""
    script = Script(replace(CALM, protocol=protocol))
    seen: Counter[object] = Counter()

    def carried(sender: int, receiver: int, packet: Packet) -> bool:
        key = packet if isinstance(packet, bytes) else packet.message.statement()  # type: ignore[union-attr]
        seen[sender, receiver, key] += 1
        return seen[sender, receiver, key] > 1

    script.allow = carried
    script.submit(b"\x01" * 32)
    return script.run_until(lambda: all(seat.log for seat in script.seats), limit_ms=ENOUGH_MS)


def one_unheard(protocol: type[Mysticeti]) -> bool:
    """Validator 3 hears nothing of validator 1, and nobody hands decisions over."""
    script = Script(replace(CALM, protocol=protocol, exchange_ms=0))
    script.allow = lambda sender, receiver, packet: (sender, receiver) != (1, 3)
    script.submit(b"\x01" * 32)
    return script.run_until(lambda: script.seats[3].log, limit_ms=3_000)


def decided_after(protocol: type[Mysticeti], count: int, limit_ms: int = 4_000) -> list[int]:
    """How long each of some payloads took, with one of the leaders crashed."""
    script = Script(replace(CALM, protocol=protocol))
    script.run_ms(5)
    script.crash(1)
    times = []
    for number in range(1, count + 1):
        begun_ms = script.agenda.now_ms
        script.submit(bytes([number]) * 32, 0, 2, 3)
        script.run_until(
            lambda n=number: all(len(script.seats[i].log) >= n for i in (0, 2, 3)),
            limit_ms=limit_ms,
        )
        times.append(script.agenda.now_ms - begun_ms)
    return times


def dead_leader(protocol: type[Mysticeti]) -> bool:
    """Whether a payload is decided without the leader of the first round."""
    return decided_after(protocol, 1, ENOUGH_MS)[0] < ENOUGH_MS
