"""Scenarios a second of bare plugins, on one core: each drawing, each protocol, and ten rounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from consensus.interface import Consensus
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from sim.plugins import (
    PluginScenario,
    draw_duel,
    draw_scenario,
    draw_twins,
    hasty,
    run,
)

PROTOCOLS: tuple[type[Consensus], ...] = (Tendermint, Jolteon)
Draw = Callable[[type[Consensus], int], PluginScenario]


def ten_rounds(protocol: type[Consensus], seed: int) -> PluginScenario:
    """Ten decided blocks of four validators without faults."""
    return PluginScenario(
        protocol,
        seed=seed,
        parameters=hasty(protocol, divisor=4),
        payloads=10,
        payload_max=1,
        interval_ms=1,
        exchange_ms=0,
    )


def short_twins(protocol: type[Consensus], seed: int) -> PluginScenario:
    """Twins over ten rounds, or as many as pass in 150 ms."""
    return replace(draw_twins(protocol, seed, stable_ms=150), crashes=())


DRAWINGS: dict[str, Draw] = {
    "ten rounds": ten_rounds,
    "twins, 150 ms": short_twins,
    "twins": draw_twins,
    "duel": draw_duel,
    "mixed faults": draw_scenario,
}


def measure(draw: Draw, protocol: type[Consensus], seconds: float) -> dict[str, float]:
    """Play scenarios for about so many seconds of processor time."""
    runs = events = messages = 0
    start = time.process_time()
    while (spent := time.process_time() - start) < seconds:
        report = run(draw(protocol, runs))
        assert not report.violations, report.violations
        runs, events, messages = runs + 1, events + report.events, messages + report.messages
    return {
        "scenarios_per_second": runs / spent,
        "events_per_scenario": events / runs,
        "messages_per_scenario": messages / runs,
        "events_per_second": events / spent,
    }


@click.command()
@click.option("--seconds", default=3.0, show_default=True, help="Processor time of each row.")
@click.option(
    "--drawing",
    "drawings",
    type=click.Choice(tuple(DRAWINGS)),
    multiple=True,
    default=tuple(DRAWINGS),
    help="Which; all where none is named.",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there."
)
def plugins(seconds: float, drawings: tuple[str, ...], json_file: Path | None) -> None:
    """Scenarios of bare plugins a second on one core, by drawing and protocol."""
    rows: dict[str, dict[str, float]] = {}
    click.echo(
        f"{'drawing':<15}{'protocol':<12}{'scenarios/s':>12}{'events each':>13}{'events/s':>10}"
    )
    for name in drawings:
        for protocol in PROTOCOLS:
            row = measure(DRAWINGS[name], protocol, seconds)
            rows[f"{name} {protocol.name}"] = row
            click.echo(
                f"{name:<15}{protocol.name:<12}{row['scenarios_per_second']:>12.1f}"
                f"{row['events_per_scenario']:>13.0f}{row['events_per_second']:>10.0f}"
            )
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
