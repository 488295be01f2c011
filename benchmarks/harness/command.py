"""`python -m benchmarks run SUITE`: measures a suite and writes its report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import trio

from benchmarks import ceilings
from benchmarks.harness.janitor import workspace
from benchmarks.harness.record import run_record
from benchmarks.harness.results import Results, Row, label_of
from benchmarks.harness.samples import Measurement
from benchmarks.harness.suite import Trial, read_suite, ready_suites, suite_text, trials
from benchmarks.harness.trial import run_trial
from benchmarks.metrics import NoData
from benchmarks.report.command import draw
from host.progress import Bar
from host.signals import one_error, until_stopped
from ledger.errors import UnreachableError


@click.command("run", epilog="Example: python -m benchmarks run smoke --out smoke-results")
@click.argument("suite")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="A new folder; benchmark-results/SUITE-TIME unless given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON lines.")
@click.option("--no-ceilings", is_flag=True, help="Leave out what the machine itself can do.")
def command(suite: str, out: Path | None, as_json: bool, no_ceilings: bool) -> int:
    """Measure a suite: real clusters, open-loop load, faults, a verdict, a report.

    SUITE is the name of a ready suite (`python -m benchmarks suites`) or a TOML file.  Exit code 1:
    a ledger was found unsound, or something gave no data.
    """
    chosen = read_suite(suite)
    folder = out or Path("benchmark-results") / f"{chosen.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    say = _quiet if as_json else click.echo
    planned = list(trials(chosen))
    minutes = sum(trial.estimate_s() for trial in planned) / 60
    say(f"{chosen.title}: {len(planned)} networks, about {minutes:.0f} minutes, into {folder}")
    found = None if no_ceilings else ceilings.measure()
    words = ["python", "-m", "benchmarks", "run", suite]
    results = Results(folder, run_record(chosen, suite_text(suite), words, found))
    shown = partial(_show, as_json=as_json)
    with one_error(), workspace() as place, Bar(chosen.name, len(planned), hidden=as_json) as bar:
        trio.run(until_stopped, partial(_run_all, planned, place, results, shown, bar))
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
        minutes = sum(trial.estimate_s() for trial in trials(suite)) / 60
        rows.append({"suite": name, "minutes": round(minutes), "question": suite.question})
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['suite']:<16}{row['minutes']:>5} min  {row['question']}")


async def _run_all(
    planned: list[Trial],
    place: Path,
    results: Results,
    show: Callable[[str, Row], None],
    bar: Bar,
) -> None:
    left_s = sum(trial.estimate_s() for trial in planned)
    for number, trial in enumerate(planned):
        bar.advance(0, label=f"{label_of(trial)}, about {left_s / 60:.0f} min left")
        where = f"[{number + 1}/{len(planned)}] {label_of(trial)}"
        await run_one(trial, place, results, partial(show, where))
        left_s -= trial.estimate_s()
        bar.advance(1)


async def run_one(trial: Trial, place: Path, results: Results, show: Callable[[Row], None]) -> None:
    """One trial, whose end without data is kept and does not end the run."""

    def keep(measured: Measurement) -> Row:
        row = results.keep(measured)
        show(row)
        return row

    try:
        verdict = await run_trial(trial, place, keep)
    except (NoData, UnreachableError) as error:
        results.fail(trial.name, str(error))
        show({"kind": "error", "reason": str(error)})
        return
    results.judge(trial.name, verdict)
    show({"kind": "verdict", "sound": verdict.sound, "text": verdict.text})


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
    else:
        line = (
            f"{where}: offered {row['offered_per_s']:,.0f}/s, confirmed "
            f"{row['confirmed_per_s']:,.0f}/s, p50 {row['latency_p50_ms']:,.0f} "
            f"p99 {row['latency_p99_ms']:,.0f} ms"
        )
        troubles = [f"{name} {row[name]}" for name in TROUBLES if row[name]]
        click.echo(", ".join([line, *troubles]))


TROUBLES = ("failed", "refused", "expired", "unconfirmed")
