"""`search`: hunt for a scenario that breaks a protocol, on every core, and make it small."""

from __future__ import annotations

import json
import os
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from host.commands.leaders import leaders_option
from host.engines import Engine, dask_engine, local_engine
from host.findings import (
    draw_finding,
    judge_corpus,
    size_document,
    smaller,
    write_finding,
)
from host.plugins import find_protocol
from host.progress import Bar
from host.replay import replay_words
from host.search import Limit, Progress, Result, make_small, search
from ledger.errors import UserError
from sim.scenario_file import ScenarioFile, write_scenario
from sim.search import STRATEGIES, Hunt, check_strategies
from sim.shrink import size_of

UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}
BUDGET = "60s"


@click.command("search", epilog="Example: python node.py search --protocol tendermint --budget 60s")
@click.option(
    "--protocol", default="tendermint", show_default=True, help="Plugin, or MODULE:CLASS."
)
@leaders_option
@click.option("--budget", metavar="TIME", help=f"Such as 90, 60s, 5m, 2h.  [default: {BUDGET}]")
@click.option("--scenarios", type=click.IntRange(1), help="Play this many instead.")
@click.option("--workers", type=click.IntRange(1), help="Processes; one a core unless given.")
@click.option("--nodes", type=click.IntRange(1, 100), help="Validators; mostly 4 unless given.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME",
    help=f"May be given more than once; all in turn unless given: {', '.join(STRATEGIES)}.",
)
@click.option("--keep-going", is_flag=True, help="Use the whole budget, whatever is found.")
@click.option("--scheduler", metavar="ADDRESS", help="Search on this Dask cluster.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("findings"), show_default=True,
    metavar="DIR", help="Where scenario files go.",
)  # fmt: skip
@click.option(
    "--replay", type=click.Path(path_type=Path), metavar="DIR",
    help="Run the scenario files of this folder instead of searching.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    protocol: str,
    budget: str | None,
    scenarios: int | None,
    workers: int | None,
    nodes: int | None,
    seed: int,
    strategies: tuple[str, ...],
    keep_going: bool,
    scheduler: str | None,
    output: Path,
    replay: Path | None,
    as_json: bool,
) -> int:
    """Hunt for a scenario that breaks a promise of a protocol.

    What is found is made small, written as a scenario file, and named by the command that shows it
    again.  Exit code 0: nothing was found; 1: something was.
    """
    if replay is not None:
        return _replay(replay, as_json)
    if budget is not None and scenarios is not None:
        raise UserError("say either --budget or --scenarios")
    seconds = None if scenarios is not None else parse_budget(budget or BUDGET)
    check_strategies(strategies)
    find_protocol(protocol)
    hunt = Hunt(protocol, strategies or STRATEGIES, nodes, seed)
    limit = Limit(seconds, scenarios, keep_going)
    engine = dask_engine(scheduler) if scheduler else local_engine(workers or os.cpu_count() or 1)
    progress, results = _search(hunt, limit, engine, as_json)
    paths = [write_finding(hunt, result, output) for result in results]
    for result, path in zip(results, paths, strict=True):
        draw_finding(hunt, result, path)
    if as_json:
        document = _document(hunt, progress, results, paths)
        click.echo(json.dumps(document, sort_keys=True))
    else:
        _show(hunt, progress, results, paths)
    return 1 if results else 0


def parse_budget(text: str) -> float:
    """Seconds.  Raises UserError for what is no time."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or float(match[1]) == 0:
        raise UserError(f"{text!r} is no time; write it like 90, 60s, 5m or 2h")
    return float(match[1]) * UNITS_S[match[2]]


def _search(
    hunt: Hunt, limit: Limit, engine: AbstractContextManager[Engine], as_json: bool
) -> tuple[Progress, list[Result]]:
    """Hunt and make small; Ctrl-C says how far it came."""
    progress = Progress()
    total = limit.scenarios or int(limit.seconds or 0) or 1
    try:
        with engine as (executor, workers):
            with Bar("searching", total, hidden=as_json) as bar:
                shown = 0

                def watch(progress: Progress) -> None:
                    nonlocal shown
                    done = progress.scenarios if limit.scenarios else int(progress.seconds)
                    bar.advance(done - shown, label=_label(progress))
                    shown = done

                search(hunt, limit, progress, executor=executor, workers=workers, watch=watch)
            findings = progress.findings()
            with Bar("making findings small", len(findings), hidden=as_json) as bar:
                return progress, make_small(hunt, findings, executor, watch=bar.advance)
    except KeyboardInterrupt:
        click.echo(f"stopped after {_label(progress)}", err=True)
        raise


def _label(progress: Progress) -> str:
    found = sum(progress.broken().values())
    return f"{progress.scenarios} scenarios, {found} broken"


def _replay(folder: Path, as_json: bool) -> int:
    """Run a corpus; exit code 1 where a file does not do what it states."""
    judged = list(judge_corpus(folder))
    if as_json:
        rows = [
            {"file": str(one.path), "as_stated": one.is_as_stated, "words": one.words}
            for one in judged
        ]
        click.echo(json.dumps(rows, sort_keys=True))
    else:
        for one in judged:
            click.echo(f"{'ok   ' if one.is_as_stated else 'WRONG'}  {one.path.name}: {one.words}")
        wrong = sum(not one.is_as_stated for one in judged)
        click.echo(f"{len(judged)} scenarios, {wrong} not as stated")
    return 0 if all(one.is_as_stated for one in judged) else 1


# --- saying it ------------------------------------------------------------------------------------


def _document(
    hunt: Hunt, progress: Progress, results: list[Result], paths: list[Path]
) -> dict[str, Any]:
    """Everything but `speed` follows from the hunt, where the number of scenarios is given."""
    return {
        "protocol": hunt.protocol,
        "nodes": hunt.nodes,
        "seed": hunt.seed,
        "strategies": list(hunt.strategies),
        "scenarios": progress.scenarios,
        "events": progress.events,
        "trace_hash": progress.trace_hash,
        "by_strategy": progress.by_strategy(),
        "broken": progress.broken(),
        "upper_bound": _upper_bound(progress),
        "findings": [
            {
                "property": result.shrunk.broken,
                "sentence": result.shrunk.sentence,
                "time_ms": result.shrunk.time_ms,
                "strategy": result.shrunk.strategy,
                "number": result.shrunk.number,
                "before": size_document(size_of(result.found.scenario)),
                "after": size_document(size_of(result.shrunk.scenario)),
                "runs": result.runs,
                "whole_replicas": result.whole_words,
                "file": str(path),
                "picture": str(path.with_suffix(".html")),
                "replay": replay_words(str(path)),
                "scenario": write_scenario(
                    ScenarioFile(result.shrunk.scenario, hunt.protocol, result.shrunk.broken)
                ),
            }
            for result, path in zip(results, paths, strict=True)
        ],
        "speed": {
            "seconds": round(progress.seconds, 3),
            "scenarios_a_second": round(_rate(progress), 1),
        },
    }


def _rate(progress: Progress) -> float:
    return progress.scenarios / max(progress.seconds, 0.001)


def _upper_bound(progress: Progress) -> float | None:
    """The rule of three: with 95 % confidence no larger share of such scenarios breaks anything."""
    if progress.broken() or not progress.scenarios:
        return None
    return min(1.0, 3 / progress.scenarios)


def _show(hunt: Hunt, progress: Progress, results: list[Result], paths: list[Path]) -> None:
    counts = ", ".join(f"{name} {count}" for name, count in progress.by_strategy().items())
    events = progress.events // max(1, progress.scenarios)
    click.echo(
        f"{hunt.protocol}, seed {hunt.seed}: {progress.scenarios} scenarios in "
        f"{progress.seconds:.1f} s, {_rate(progress):.1f} a second, {events} events each"
    )
    click.echo(f"trace hash of all: {progress.trace_hash}")
    click.echo(f"strategies: {counts or 'none'}")
    for result, path in zip(results, paths, strict=True):
        found = result.shrunk
        click.echo(f"\nfound: {found.broken} after {found.time_ms} ms: {found.sentence}")
        click.echo(f"  by {found.strategy}, scenario {found.number}")
        click.echo(f"  made small in {result.runs} runs: {smaller(result)}")
        click.echo(f"  whole replicas: {result.whole_words}")
        click.echo(f"  picture: {path.with_suffix('.html')}")
        click.echo(f"  see it again: {replay_words(str(path))}")
    bound = _upper_bound(progress)
    if bound is not None:
        click.echo(
            f"nothing found; with 95 % confidence fewer than {bound:.2g} of such scenarios "
            "break anything (3/N)"
        )
    elif results:
        broken = ", ".join(f"{name} {count}" for name, count in progress.broken().items())
        click.echo(f"\nbroken: {broken} of {progress.scenarios} scenarios")
