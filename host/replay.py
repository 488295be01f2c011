"""Showing a scenario file's run again, of bare plugins or of whole replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from host.plugins import find_protocol
from ledger.errors import UserError
from sim.plugins import PluginReport
from sim.scenario_file import ScenarioFile, read_scenario


def scenario_of(argument: str) -> ScenarioFile:
    """The scenario that the argument is, or that is in the file with this name.

    Raises UserError where there is none.
    """
    if "\n" in argument:
        return read_scenario(argument, find=find_protocol)
    try:
        text = Path(argument).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {argument}: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError):
        raise UserError(f"{argument} holds no scenario") from None
    try:
        return read_scenario(text, find=find_protocol)
    except UserError as error:
        raise UserError(f"{argument}: {error}") from None


def plugin_document(file: ScenarioFile, report: PluginReport) -> dict[str, Any]:
    """What a run of bare plugins came to; nothing of the machine is in it."""
    return {
        "mode": file.mode,
        "protocol": file.protocol,
        "nodes": report.scenario.nodes,
        "seed": report.scenario.seed,
        "violations": [
            {"property": one.property, "sentence": one.sentence, "time_ms": one.time_ms}
            for one in report.violations
        ],
        "decided": [value.digest.hex() for value in report.decided],
        "lengths": report.lengths,
        "accused": report.accused,
        "finished_ms": report.finished_ms,
        "messages": report.messages,
        "events": report.events,
        "trace_hash": report.trace_hash,
    }


def show_plugins(file: ScenarioFile, report: PluginReport) -> None:
    """The same for people."""
    scenario = report.scenario
    finished = "never" if report.finished_ms is None else f"after {report.finished_ms} ms"
    rows = {
        "protocol": f"{file.protocol}, {scenario.nodes} bare plugins, seed {scenario.seed}",
        "decided": " ".join(map(str, report.lengths)),
        "finished": finished,
        "accused": " ".join(map(str, report.accused)) or "nobody",
        "sent": f"{report.messages} messages",
        "events": str(report.events),
        "trace hash": report.trace_hash,
    }
    for name, value in rows.items():
        click.echo(f"{name:<11}{value}")
    for one in report.violations:
        click.echo(f"violated: {one.property} after {one.time_ms} ms: {one.sentence}")
    click.echo("1 of 1 runs broken" if report.violations else "no violation")
