"""`python -m benchmarks run SUITE`: measures a suite and writes its report."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import click
import trio

from benchmarks import ceilings
from benchmarks.harness.janitor import workspace
from benchmarks.harness.lineages import run_lineage
from benchmarks.harness.probe import check_possible
from benchmarks.harness.proofs import run_proofs
from benchmarks.harness.reading import read_suite, ready_suites, suite_text
from benchmarks.harness.record import command_words, run_record
from benchmarks.harness.results import Results, Row, label_of
from benchmarks.harness.samples import Measurement
from benchmarks.harness.simulated import Job, run_simulated
from benchmarks.harness.suite import (
    Lineage,
    Proofs,
    Simulated,
    Suite,
    Trial,
    protocols_of,
    trials,
)
from benchmarks.harness.trial import run_trial
from benchmarks.harness.verdict import Verdict
from benchmarks.peers.run import PEERS, PeerTrial, peer_trials, programs, run_peer
from benchmarks.report.command import draw
from benchmarks.report.glossary import ALL, text_of
from host.progress import Bar
from host.signals import one_error, until_stopped
from ledger.errors import UnreachableError

STOPPED = 128 + signal.SIGTERM
"""The exit code of a run that was told to end."""


@click.command("run", epilog="Example: python -m benchmarks run smoke --out smoke-results")
@click.argument("suite")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="A new folder; benchmark-results/SUITE-TIME unless given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON lines.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=PATH",
    help="The program of another system that the suite measures; from the PATH unless given.",
)
@click.option("--no-ceilings", is_flag=True, help="Leave out what the machine itself can do.")
def command(
    suite: str, out: Path | None, as_json: bool, peers: tuple[str, ...], no_ceilings: bool
) -> int:
    """Measure a suite: real clusters, open-loop load, faults, a verdict, a report.

    SUITE is the name of a ready suite (`python -m benchmarks suites`), a TOML file, or a scenario
    file of the simulator, which is played on real processes as far as its faults allow.  Exit code
    1: a ledger was found unsound, or something gave no data.  What a network did not reach, such as
    a latency objective, is a finding, and the exit code 0.
    """
    chosen = read_suite(suite)
    check_possible(chosen)
    folder = out or Path("benchmark-results") / f"{chosen.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    say = _quiet if as_json else click.echo
    found_peers = programs(peers)
    planned = [*steps(chosen), *peer_steps(chosen, found_peers)]
    minutes = sum(step.estimate_s for step in planned) / 60
    for what in chosen.left_out:
        say(f"not done on real processes: {what}")
    for missing in sorted({one.peer for one in chosen.peers} - set(found_peers)):
        say(f"{missing} is not installed: measured without it (--peer {missing}=PATH names it)")
    say(f"{chosen.title}: {len(planned)} networks, about {minutes:.0f} minutes, into {folder}")
    words = command_words(suite, peers)
    shown = partial(_show, as_json=as_json)
    with one_error(), workspace() as place:
        found = None if no_ceilings else ceilings.measure(place)
        results = Results(folder, run_record(chosen, suite_text(suite), words, found))
        with Bar(chosen.name, len(planned), hidden=as_json) as bar:
            is_whole = trio.run(
                until_stopped, partial(_run_all, planned, place, results, shown, bar)
            )
    if not is_whole:
        click.echo(f"stopped; what was measured is in {folder}", err=True)
        return STOPPED
    results.finish(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    if results.rows:
        say(f"report: {draw([folder], folder)[0]}")
    if results.errors or results.unsound:
        click.echo(f"{results.unsound} unsound, {results.errors} without data", err=True)
    return 1 if results.errors or results.unsound else 0


@click.command("suites", epilog="Example: python -m benchmarks suites")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def suites(as_json: bool) -> None:
    """List the ready suites, what they ask, and about how long they take."""
    rows = []
    for name in ready_suites():
        suite = read_suite(name)
        minutes = sum(step.estimate_s for step in steps(suite)) / 60
        rows.append({"suite": name, "minutes": round(minutes), "question": suite.question})
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['suite']:<16}{row['minutes']:>5} min  {row['question']}")


@dataclass(frozen=True, slots=True)
class Step:
    """One network's part of a suite."""

    name: str
    title: str
    estimate_s: float
    run: Callable[[Path, Results, Callable[[Row], None]], Awaitable[Verdict | None]]
    """(workspace, where results go, who is told) -> what the stores say, if they are ours."""


def steps(suite: Suite) -> list[Step]:
    """Everything that a suite measures, in its order."""
    found = [
        Step(trial.name, label_of(trial), trial.estimate_s(), partial(_load, trial))
        for trial in trials(suite)
    ]
    for one in suite.proofs:
        found.append(Step(one.name, one.name, one.estimate_s(), partial(_proofs, one, suite.seed)))
    for each in suite.lineages:
        found.append(
            Step(each.name, each.name, each.estimate_s(), partial(_lineage, each, suite.seed))
        )
    for group in suite.simulated:
        for link, size in product(group.links, group.validators):
            for protocol in protocols_of(group):
                job = Job(protocol, size, link, group.decisions, suite.seed)
                title = f"{group.name}: {protocol}, {size} validators, {link}, simulated"
                found.append(
                    Step(title, title, group.estimate_s(size), partial(_simulated, group, job))
                )
    return found


def peer_steps(suite: Suite, found: dict[str, Path]) -> list[Step]:
    """Every network of the peers that are installed."""
    return [
        Step(
            trial.name,
            trial.title,
            trial.run.estimate_s(),
            partial(_peer, trial, found[trial.run.peer]),
        )
        for trial in peer_trials(suite)
        if trial.run.peer in found
    ]


async def _run_all(
    planned: list[Step],
    place: Path,
    results: Results,
    show: Callable[[str, Row], None],
    bar: Bar,
) -> bool:
    """Every step; true at the end."""
    left_s = sum(step.estimate_s for step in planned)
    for number, step in enumerate(planned):
        bar.advance(0, label=f"{step.title}, about {left_s / 60:.0f} min left")
        await _run_one(
            step, place, results, partial(show, f"[{number + 1}/{len(planned)}] {step.title}")
        )
        left_s -= step.estimate_s
        bar.advance(1)
    return True


async def _run_one(step: Step, place: Path, results: Results, show: Callable[[Row], None]) -> None:
    """One step, whose end without data is kept and does not end the run."""
    try:
        with one_error():
            verdict = await step.run(place, results, show)
        if verdict is None:
            return
    except UnreachableError as error:
        results.fail(step.name, str(error))
        show({"kind": "error", "reason": str(error)})
        return
    results.judge(step.name, verdict)
    show({"kind": "verdict", "sound": verdict.sound, "text": verdict.text})


async def _load(
    trial: Trial, place: Path, results: Results, show: Callable[[Row], None]
) -> Verdict:
    return await run_trial(trial, place, partial(_keep, results, show))


async def _proofs(
    one: Proofs, seed: int, place: Path, results: Results, show: Callable[[Row], None]
) -> Verdict:
    return await run_proofs(one, seed, place, partial(_keep_row, results, show))


async def _lineage(
    one: Lineage, seed: int, place: Path, results: Results, show: Callable[[Row], None]
) -> Verdict:
    return await run_lineage(one, seed, place, partial(_keep_row, results, show))


async def _simulated(
    one: Simulated, job: Job, _place: Path, results: Results, show: Callable[[Row], None]
) -> Verdict:
    return await run_simulated(one, job, partial(_keep_row, results, show))


async def _peer(
    trial: PeerTrial, program: Path, place: Path, results: Results, show: Callable[[Row], None]
) -> None:
    name = trial.run.peer
    version = await run_peer(trial, program, place, partial(_keep, results, show))
    results.know_peer(name, version, PEERS[name].differs)


def _keep(results: Results, show: Callable[[Row], None], measured: Measurement) -> Row:
    row = results.keep(measured)
    show(row)
    return row


def _keep_row(results: Results, show: Callable[[Row], None], row: Row) -> None:
    results.add(row)
    show(row)


def _quiet(_line: str) -> None:
    """Programs read the rows alone."""


def _show(where: str, row: Row, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"where": where, **row}))
        return
    if row["kind"] == "error":
        click.echo(f"{where}: no data: {row['reason']}", err=True)
    elif row["kind"] == "verdict":
        click.echo(f"{where}: {'sound' if row['sound'] else 'UNSOUND'}: {row['text']}")
    elif row["kind"] != "load":
        told = [f"{ALL[name].title} {text_of(ALL[name], row[name])}" for name in row if name in ALL]
        click.echo(f"{where}: {', '.join(told)}")
    else:
        line = (
            f"{where}: offered {row['offered_per_s']:,.0f}/s, confirmed "
            f"{row['confirmed_per_s']:,.0f}/s, p50 {row['latency_p50_ms']:,.0f} "
            f"p99 {row['latency_p99_ms']:,.0f} ms"
        )
        troubles = [f"{name} {row[name]}" for name in TROUBLES if row[name]]
        click.echo(", ".join([line, *troubles]))


TROUBLES = ("failed", "refused", "expired", "unconfirmed")
