"""`python -m benchmarks simulation`: how fast the simulator is, and how far it scales.

Two figures, both processor time of one core with whole replicas and the keyed-hash signer: events a
second over drawn scenarios of four validators, and the time for so many decisions of a large
network spread over the regions of the world.  An event is what the trace counts: a frame, timer,
job, request or write at a node.  Beside them stands what a fixed piece of plain Python takes here.
"""

from __future__ import annotations

import time

import click

from consensus.interface import Consensus
from consensus.registry import protocol_named
from sim.chain_oracle import certified_height
from sim.faults import draw_scenario
from sim.regions import REGIONS
from sim.run import Run, SimReport
from sim.scenario import Load, Scenario, Weather

SEEDS = ((1, ()), (7, None), (100, None), (101, None), (103, None))
"""(seed, kinds of fault) of the scenarios with four validators."""
LINKS = Weather(delay_us=1_000, jitter_us=3_000)
"""What a message takes beside the distance."""


class UntilHeight(Run):
    """A run that ends when every node has certified this many blocks."""

    def __init__(self, scenario: Scenario, protocol: type[Consensus], height: int) -> None:
        super().__init__(scenario, protocol)
        self.height = height

    def _is_done(self) -> bool:
        return all(certified_height(node.engine) >= self.height for node in self.honest)

    def _watch_silence(self) -> None:
        """Clients have more to order: there is no silence to come, and what only some nodes have
        confirmed by now is not judged at the others."""
        everywhere = min(certified_height(node.engine) for node in self.honest)
        acknowledged = self.clients.acknowledged
        for identity in [each for each, height in acknowledged.items() if height > everywhere]:
            del acknowledged[identity]


@click.command()
@click.option("--protocol", default="jolteon", show_default=True)
@click.option("--nodes", type=click.IntRange(1, 100), default=100, show_default=True)
@click.option("--decisions", type=click.IntRange(1), default=100, show_default=True)
def simulation(protocol: str, nodes: int, decisions: int) -> None:
    """Events a second of the simulator, and decisions of a large network around the world."""
    click.echo(f"plain Python  {plain_python_ms():.0f} ms for 200,000 dictionary entries")
    plugin = protocol_named(protocol)
    events = seconds = 0.0
    for seed, kinds in SEEDS:
        report, spent_s = _timed(Run(draw_scenario(seed, protocol, 4, faults=kinds), plugin))
        _check(report)
        events += report.event_count
        seconds += spent_s
    click.echo(
        f"4 validators  {events:,.0f} events in {seconds:.1f} s: {events / seconds:,.0f} a second, "
        f"{len(SEEDS) / seconds:.1f} scenarios a second"
    )
    scenario = around_the_world(protocol, nodes, decisions)
    report, spent_s = _timed(UntilHeight(scenario, plugin, decisions))
    _check(report)
    click.echo(
        f"{nodes} validators  {min(report.certified)} decisions in {spent_s:.1f} s "
        f"({report.virtual_ms / 1000:.1f} s of virtual time, {report.event_count:,} events, "
        f"{sum(report.frames.values()):,} frames); median confirmation {report.latency_ms[0]} ms"
    )


def around_the_world(protocol: str, nodes: int, decisions: int) -> Scenario:
    """A network over ten regions in fair weather, with enough to order for so many decisions."""
    load = Load(transactions=8 * decisions, members=3, interval_ms=600, unsound=0)
    return Scenario(
        1, protocol, nodes, weather=LINKS, calm=LINKS, regions=REGIONS, load=load,
        bound_ms=3_600_000,
    )  # fmt: skip


def _timed(run: Run) -> tuple[SimReport, float]:
    start_s = time.process_time()
    report = run.lead()
    return report, time.process_time() - start_s


def _check(report: SimReport) -> None:
    if not report.is_sound:
        raise click.ClickException(f"{report.violations[0].sentence}; {report.replay}")


def plain_python_ms() -> float:
    """Processor time of this thread for a fixed piece of Python, 200,000 entries of a table."""
    start_s = time.thread_time()
    table: dict[int, tuple[int, str]] = {}
    for number in range(200_000):
        table[number & 1023] = (number, str(number))
    return (time.thread_time() - start_s) * 1_000
