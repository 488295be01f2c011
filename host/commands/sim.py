"""`sim`: the same replicas in virtual time, with faults drawn from a seed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from threading import Thread
from typing import Any

import click

from host.plugins import find_protocol
from host.progress import Bar
from host.replay import plugin_document, scenario_of, show_plugins
from sim.faults import FAULTS, draw_scenario
from sim.plugins import PluginScenario
from sim.plugins import run as run_plugins
from sim.run import SimReport, run
from sim.scenario import Scenario
from sim.scenario_file import ScenarioFile

NONE = "none"


@click.command(
    "sim",
    epilog="Example: python node.py sim --protocol jolteon --nodes 4 --seed 7 --seeds 20",
)
@click.option("--protocol", default="tendermint", show_default=True, help="Consensus plugin.")
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
    jobs: int | None,
    as_json: bool,
) -> int:
    """Run whole networks in virtual time: delays, loss, partitions, crashes, all from the seed.

    Agreement, order, exactly-once and durability are checked at every step.  The same seed gives
    the same trace hash on every machine.
    """
    if scenario_text is not None:
        file = scenario_of(scenario_text)
        if isinstance(file.scenario, PluginScenario):
            return _run_plugins(file, file.scenario, as_json)
        scenarios = [file.scenario]
    else:
        kinds = None if faults is None else _kinds(faults)
        scenarios = [
            draw_scenario(number, protocol, nodes, faults=kinds)
            for number in range(seed, seed + seeds)
        ]
    find_protocol(scenarios[0].protocol)
    reports: dict[int, SimReport] = {}
    with Bar("simulating", len(scenarios), hidden=as_json) as bar:
        for report in run_all(scenarios, jobs or os.cpu_count() or 1):
            reports[report.seed] = report
            bar.advance()
    ordered = [reports[scenario.seed] for scenario in scenarios]
    if as_json:
        click.echo(json.dumps(_document(ordered), sort_keys=True))
    else:
        _show(ordered)
    return 0 if all(report.is_sound for report in ordered) else 1


def _run_plugins(file: ScenarioFile, scenario: PluginScenario, as_json: bool) -> int:
    report = run_plugins(scenario)
    if as_json:
        click.echo(json.dumps(plugin_document(file, report), sort_keys=True))
    else:
        show_plugins(file, report)
    return 1 if report.violations else 0


def run_one(scenario: Scenario) -> SimReport:
    """One run, with the plugin found anew: this may be a process of its own."""
    return run(scenario, find_protocol(scenario.protocol))


def run_all(scenarios: list[Scenario], jobs: int) -> Iterator[SimReport]:
    """Every report as it comes; in processes of their own where there is more than one."""
    if len(scenarios) == 1 or jobs == 1:
        yield from map(run_one, scenarios)
        return
    with ProcessPoolExecutor(min(jobs, len(scenarios)), initializer=begin_process) as pool:
        try:
            for done in as_completed([pool.submit(run_one, scenario) for scenario in scenarios]):
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
        "sent": f"{sum(report.frames.values())} frames, {sum(report.bytes.values())} bytes",
        "events": f"{report.event_count} in {report.virtual_ms} virtual ms",
        "trace hash": report.trace_hash,
    }
    for name, value in rows.items():
        click.echo(f"{name:<11}{value}")
