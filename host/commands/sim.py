"""`sim`: the same replicas in virtual time, with faults drawn from a seed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import click

from host.commands import sim_plugins
from host.commands.leaders import leaders_option
from host.picture import show_chart, write_page
from host.plugins import find_protocol
from host.progress import Bar
from host.replay import scenario_of
from host.topology import written_out
from ledger.errors import UserError
from sim.faults import FAULTS, draw_scenario
from sim.plugins import PluginScenario
from sim.plugins import run as run_plugins
from sim.record import Recording
from sim.record_replicas import record
from sim.regions import REGIONS, latency_ms
from sim.run import SimReport, run
from sim.scenario import Scenario
from sim.scenario_file import ScenarioFile

NONE = "none"
Task = TypeVar("Task")
Result = TypeVar("Result")


@click.command(
    "sim",
    epilog="Example: python node.py sim --protocol jolteon --nodes 4 --seed 7 --seeds 20",
)
@click.option("--protocol", default="tendermint", show_default=True, help="Consensus plugin.")
@leaders_option
@click.option("--nodes", type=click.IntRange(1, 100), default=4, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="Run this many in a row."
)
@click.option(
    "--faults",
    metavar="KIND,KIND,...",
    help=f"Draw from these kinds only, or {NONE}: {', '.join(FAULTS)}.",
)
@click.option(
    "--scenario",
    "scenario_text",
    metavar="FILE|TEXT",
    help="Run exactly this scenario, of a file or as a violation prints it.",
)
@click.option(
    "--topology",
    metavar="NAME",
    help="full, ring, random-K, pairs ('0-1 1-2 2-3'), or a file with a pair in each line.",
)
@click.option(
    "--regions", metavar="world|NAME,NAME,...", help=f"Where validators are: {', '.join(REGIONS)}."
)
@click.option(
    "--plugins", is_flag=True, help="Bare plugins instead of whole replicas: the protocol alone."
)
@click.option("--chart", "as_chart", is_flag=True, help="Draw the run, one line an event.")
@click.option(
    "--html", "page_file", metavar="FILE", help="Write a page with the run's space-time diagram."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes; one a core unless given.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; nothing of the machine is in it."
)
def command(
    protocol: str,
    nodes: int,
    seed: int,
    seeds: int,
    faults: str | None,
    scenario_text: str | None,
    topology: str | None,
    regions: str | None,
    plugins: bool,
    as_chart: bool,
    page_file: str | None,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Run whole networks in virtual time: delays, loss, partitions, crashes, all from the seed.

    Agreement, order, exactly-once and durability are checked at every step.  The same seed gives
    the same trace hash on every machine.
    """
    is_drawn = as_chart or page_file is not None
    if is_drawn and seeds > 1:
        raise UserError("--chart and --html show one run: leave out --seeds")
    if as_chart and as_json:
        raise UserError("--chart is for people and --json for programs: leave out one")
    if plugins and scenario_text is not None:
        raise UserError("a scenario says itself what it runs: leave out --plugins")
    kinds = None if faults is None else _kinds(faults)
    workers = jobs or os.cpu_count() or 1
    file = None if scenario_text is None else scenario_of(scenario_text)
    if file is not None and isinstance(file.scenario, PluginScenario):
        is_sound, recording = _run_file(file, file.scenario, is_drawn=is_drawn, as_json=as_json)
    elif plugins:
        numbers = range(seed, seed + seeds)
        is_sound, recording = _run_plugins(
            protocol, nodes, kinds, numbers, workers, is_drawn=is_drawn, as_json=as_json
        )
    else:
        crash_only = find_protocol(protocol).fault_model == "crash"
        scenarios = [
            draw_scenario(number, protocol, nodes, faults=kinds, crash_only=crash_only)
            for number in range(seed, seed + seeds)
        ]
        if file is not None:
            assert isinstance(file.scenario, Scenario)
            scenarios = [file.scenario]
        scenarios = [_elsewhere(scenario, topology, regions) for scenario in scenarios]
        is_sound, recording = _run_replicas(scenarios, workers, is_drawn=is_drawn, as_json=as_json)
    if recording is not None:
        if as_chart:
            show_chart(recording)
        if page_file is not None:
            write_page(recording, page_file)
    return 0 if is_sound else 1


def _run_replicas(
    scenarios: list[Scenario], workers: int, *, is_drawn: bool, as_json: bool
) -> tuple[bool, Recording | None]:
    """Whether all runs of whole replicas are sound; the recording of the one that is drawn."""
    plugin = find_protocol(scenarios[0].protocol)
    reports: dict[int, SimReport] = {}
    recording = None
    if is_drawn:
        report, recording = record(scenarios[0], plugin)
        reports[report.seed] = report
    else:
        with Bar("simulating", len(scenarios), hidden=as_json) as bar:
            for report in run_all(scenarios, workers):
                reports[report.seed] = report
                bar.advance()
    ordered = [reports[scenario.seed] for scenario in scenarios]
    if as_json:
        click.echo(json.dumps(_document(ordered), sort_keys=True))
    else:
        _show(ordered)
    return all(report.is_sound for report in ordered), recording


def _run_plugins(
    protocol: str,
    nodes: int,
    kinds: tuple[str, ...] | None,
    seeds: range,
    workers: int,
    *,
    is_drawn: bool,
    as_json: bool,
) -> tuple[bool, Recording | None]:
    """Whether all runs of bare plugins are sound; the recording of the one that is drawn."""
    scenario = sim_plugins.draw(protocol, seeds[0], nodes, kinds)
    found: dict[int, dict[str, Any]] = {}
    recording = None
    if is_drawn:
        report, recording = sim_plugins.run_recorded(scenario)
        again = sim_plugins.replay(protocol, seeds[0], nodes, kinds)
        found[seeds[0]] = sim_plugins.document(report, protocol, again)
    else:
        work = partial(sim_plugins.run_seed, protocol, nodes=nodes, faults=kinds)
        with Bar("simulating", len(seeds), hidden=as_json) as bar:
            for document in run_each(work, list(seeds), workers):
                found[document["seed"]] = document
                bar.advance()
    sim_plugins.show([found[seed] for seed in seeds], as_json=as_json)
    return all(not document["violations"] for document in found.values()), recording


def _run_file(
    file: ScenarioFile, scenario: PluginScenario, *, is_drawn: bool, as_json: bool
) -> tuple[bool, Recording | None]:
    """The same for the run of bare plugins that a scenario file tells of."""
    report, recording = (
        sim_plugins.run_recorded(scenario) if is_drawn else (run_plugins(scenario), None)
    )
    sim_plugins.show([sim_plugins.document(report, file.protocol)], as_json=as_json)
    return not report.violations, recording


def run_one(scenario: Scenario) -> SimReport:
    """One run, with the plugin found anew: this may be a process of its own."""
    return run(scenario, find_protocol(scenario.protocol))


def run_all(scenarios: list[Scenario], jobs: int) -> Iterator[SimReport]:
    """Every report as it comes; in processes of their own where there is more than one."""
    return run_each(run_one, scenarios, jobs)


def run_each(work: Callable[[Task], Result], tasks: list[Task], jobs: int) -> Iterator[Result]:
    """Every result as it comes; in processes of their own where there is more than one task."""
    if len(tasks) == 1 or jobs == 1:
        yield from map(work, tasks)
        return
    with ProcessPoolExecutor(min(jobs, len(tasks)), initializer=begin_process) as pool:
        try:
            for done in as_completed([pool.submit(work, task) for task in tasks]):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def begin_process() -> None:
    """Ctrl-C is the parent's to handle; a process whose parent is gone ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _elsewhere(scenario: Scenario, topology: str | None, regions: str | None) -> Scenario:
    """A scenario with other links, or in other places.  Raises UserError."""
    if topology is not None:
        text = written_out(topology, scenario.nodes, scenario.seed)
        scenario = replace(scenario, topology=text)
    if regions is not None:
        places = REGIONS if regions == "world" else tuple(regions.split(","))
        for place in places:
            latency_ms(place, place)
        scenario = replace(scenario, regions=places)
    return scenario


def _kinds(text: str) -> tuple[str, ...]:
    return () if text == NONE else tuple(kind for kind in text.split(",") if kind)


def _document(reports: list[SimReport]) -> dict[str, Any]:
    """One report as it is; several with what they come to."""
    if len(reports) == 1:
        return reports[0].to_json()
    return {
        "seeds": len(reports),
        "broken": [report.seed for report in reports if not report.is_sound],
        "events": sum(report.event_count for report in reports),
        "trace_hash": _joint_hash(reports),
        "runs": [report.to_json() for report in reports],
    }


def _joint_hash(reports: list[SimReport]) -> str:
    return hashlib.sha256("".join(report.trace_hash for report in reports).encode()).hexdigest()


def _show(reports: list[SimReport]) -> None:
    for report in reports:
        if len(reports) == 1:
            _show_one(report)
        for violation in report.violations:
            where = f" at nodes {', '.join(map(str, violation.nodes))}" if violation.nodes else ""
            click.echo(
                f"violated: {violation.property} after {violation.time_ms} ms{where}: "
                f"{violation.sentence}"
            )
        if report.violations:
            click.echo(f"see it again: {report.replay}")
    broken = sum(not report.is_sound for report in reports)
    if len(reports) > 1:
        first, last = reports[0].seed, reports[-1].seed
        click.echo(
            f"{reports[0].protocol}, {reports[0].nodes} nodes, seeds {first} to {last}: "
            f"{sum(report.event_count for report in reports)} events"
        )
        click.echo(f"trace hash of all: {_joint_hash(reports)}")
    click.echo(f"{broken} of {len(reports)} runs broken" if broken else "no violation")


def _show_one(report: SimReport) -> None:
    median, high, longest = report.latency_ms
    rows = {
        "protocol": f"{report.protocol}, {report.nodes} nodes, seed {report.seed}",
        "faults": ", ".join(report.faults) or NONE,
        "heights": " ".join(map(str, report.certified)),
        "confirmed": f"{report.confirmed} of {report.wishes}",
        "latency": f"median {median} ms, 95th percentile {high} ms, longest {longest} ms",
        "recovered": f"{report.recovered_ms} ms after the last fault",
        **({"excused": report.excused} if report.excused else {}),
        "sent": f"{sum(report.frames.values())} frames, {sum(report.bytes.values())} bytes",
        "events": f"{report.event_count} in {report.virtual_ms} virtual ms",
        "trace hash": report.trace_hash,
    }
    for name, value in rows.items():
        click.echo(f"{name:<11}{value}")
