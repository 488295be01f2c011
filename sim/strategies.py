"""Hypothesis strategies: schedules of faults for any plugin, transactions and blocks.

    @given(plugin_scenarios(MyProtocol, nodes=4, rounds=8))
    def test_no_schedule_breaks_it(scenario):
        sound(scenario, keep="found")

A schedule is drawn round by round and not message by message: who hears whom, who crashes, what the
liar does.  Everything shrinks towards fewer faults: a round without any is the simplest one.  This
is the one module outside of the tests that imports Hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import currently_in_test_context, target
from hypothesis import strategies as st

from consensus.byzantine import ATTACKS
from consensus.interface import Consensus
from consensus.registry import place_of
from ledger.applications.records import make_record
from ledger.block import BlockHeader
from ledger.keys import Signer, scheme_named
from ledger.transaction import Transaction, make_transaction
from ledger.validators import QuorumRule
from sim.plugin_network import EPOCH, NETWORK
from sim.plugin_scenario import Crash, Partition, PluginReport, PluginScenario
from sim.plugins import run
from sim.scenario_file import ScenarioFile, write_scenario

ROUND_MS = 120
BOUNDARIES = ("now", "before", "after", "amid")


@dataclass(frozen=True, slots=True)
class Round:
    """What happens in one round of a schedule."""

    apart: tuple[int, ...] = ()
    """Seats that are cut off from the others, together."""
    crash: int | None = None
    """A seat that stops, and comes back when the round is over."""
    boundary: str = "now"
    """Where the crash strikes: now, or at the next write."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rounds one after the other, and what the liar is."""

    rounds: tuple[Round, ...]
    twins: tuple[int, ...] = ()
    attacks: tuple[tuple[int, str], ...] = ()


def schedules(
    protocol: type[Consensus], *, nodes: int = 4, rounds: int = 12
) -> st.SearchStrategy[Schedule]:
    """Schedules of up to so many rounds; at most one liar, where the plugin withstands liars."""
    may_lie = protocol.fault_model == "byzantine" and nodes > 3
    liars = st.sampled_from(range(nodes))
    nobody = st.just(((), ()))
    twin = liars.map(lambda liar: ((liar,), ()))
    attack = st.tuples(liars, st.sampled_from(sorted(ATTACKS))).map(lambda one: ((), (one,)))
    lie = st.one_of(nobody, twin, attack) if may_lie else nobody

    def with_rounds(
        who: tuple[tuple[int, ...], tuple[tuple[int, str], ...]],
    ) -> st.SearchStrategy[Schedule]:
        twins, attacks = who
        seats = range(nodes + len(twins))
        one = st.builds(
            Round,
            apart=st.lists(st.sampled_from(seats), unique=True, max_size=nodes - 1).map(
                lambda some: tuple(sorted(some))
            ),
            crash=st.none() | st.sampled_from(seats),
            boundary=st.sampled_from(BOUNDARIES),
        )
        return st.lists(one, min_size=1, max_size=rounds).map(
            lambda each: Schedule(tuple(each), twins, attacks)
        )

    return lie.flatmap(with_rounds)


def plugin_scenarios(
    protocol: type[Consensus],
    *,
    nodes: int = 4,
    rounds: int = 12,
    parameters: tuple[tuple[str, int], ...] = (),
) -> st.SearchStrategy[PluginScenario]:
    """Scenarios of bare plugins that follow drawn schedules; see `sound`."""
    return st.builds(
        lambda schedule, seed: scenario_of(
            protocol, schedule, nodes=nodes, seed=seed, parameters=parameters
        ),
        schedules(protocol, nodes=nodes, rounds=rounds),
        st.integers(0, 255),
    )


def scenario_of(
    protocol: type[Consensus],
    schedule: Schedule,
    *,
    nodes: int,
    seed: int = 0,
    parameters: tuple[tuple[str, int], ...] = (),
) -> PluginScenario:
    """The scenario in which a schedule happens; after its last round the network is stable."""
    seats = range(nodes + len(schedule.twins))
    partitions, crashes = [], []
    for number, one in enumerate(schedule.rounds):
        at_ms, until_ms = number * ROUND_MS, (number + 1) * ROUND_MS
        if one.apart:
            others = tuple(seat for seat in seats if seat not in one.apart)
            partitions.append(Partition(at_ms, until_ms, (others, one.apart)))
        if one.crash is not None:
            crashes.append(Crash(one.crash, at_ms + ROUND_MS // 4, until_ms, one.boundary))
    crash_only = protocol.fault_model == "crash"
    return PluginScenario(
        protocol,
        seed=seed,
        nodes=nodes,
        rule=QuorumRule.CRASH if crash_only else QuorumRule.BYZANTINE,
        parameters=parameters,
        twins=schedule.twins,
        attacks=schedule.attacks,
        payloads=4,
        interval_ms=ROUND_MS // 2,
        crashes=tuple(crashes),
        partitions=tuple(partitions),
        stable_ms=len(schedule.rounds) * ROUND_MS,
    )


def sound(scenario: PluginScenario, *, keep: str | Path | None = None) -> PluginReport:
    """Play a scenario, and raise AssertionError where it breaks a promise.

    Where `keep` names a folder, the scenario that failed is written there as a file that the
    command `sim --scenario FILE` plays again; Hypothesis fails last with the smallest one.
    """
    report = run(scenario)
    if currently_in_test_context():
        target(float(max(report.lengths) - min(report.lengths)), label="height gap")
    if not report.violations:
        return report
    first = report.violations[0]
    name = place_of(scenario.protocol)
    sentence = f"{first.property} at {first.time_ms} ms: {first.sentence}"
    text = write_scenario(ScenarioFile(scenario, name, expect=first.property, note=sentence))
    if keep is not None:
        folder = Path(keep)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{scenario.protocol.name}-{first.property}.toml"
        path.write_text(text, encoding="utf-8")
    raise AssertionError(f"{sentence}\n{text}")


def member(number: int) -> Signer:
    """The key pair of a member of drawn transactions: fast keyed hashes, for tests alone."""
    return scheme_named("keyed-hash").signer(number.to_bytes(32, "big"))


@st.composite
def transactions(
    draw: st.DrawFn, *, network: bytes = NETWORK, members: int = 3, expiry_max: int = 100
) -> Transaction:
    """Well-formed, rightly signed transactions that record data."""
    contents = draw(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=4))
    operations = [make_record(f"record {n}", content=one) for n, one in enumerate(contents)]
    return make_transaction(
        member(draw(st.integers(0, members - 1))),
        network,
        operations,
        nonce=draw(st.integers(0, 1_000)),
        expiry=draw(st.integers(1, expiry_max)),
    )


@st.composite
def blocks(
    draw: st.DrawFn, *, network: bytes = NETWORK, epoch: bytes = EPOCH, length_max: int = 6
) -> Sequence[BlockHeader]:
    """Chains of block headers from height 1 on, rightly linked."""
    chain: list[BlockHeader] = []
    for height in range(1, draw(st.integers(1, length_max)) + 1):
        last = chain[-1] if chain else None
        chain.append(
            BlockHeader(
                network=network,
                epoch=epoch,
                height=height,
                previous_hash=last.hash if last else bytes(32),
                value=draw(st.binary(min_size=32, max_size=32)),
                slot=(height,),
                proposer=draw(st.integers(0, 3)),
                timestamp_ms=(last.timestamp_ms if last else 0) + draw(st.integers(1, 1_000)),
                payload=tuple(
                    draw(
                        st.lists(
                            st.binary(min_size=32, max_size=32),
                            min_size=1,
                            max_size=3,
                            unique=True,
                        )
                    )
                ),
            )
        )
    return chain
