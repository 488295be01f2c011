"""`sim --plugins`: bare plugins in virtual time, without batches, execution or checkpoints."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable
from typing import Any

import click

from host.plugins import find_protocol
from ledger.errors import UserError
from sim.plugin_drawing import FAULTS
from sim.plugins import PluginReport, PluginScenario, draw_scenario, run
from sim.record import Recording
from sim.record_plugins import PluginRecorder
from sim.search import quorum_rule


def draw(protocol: str, seed: int, nodes: int, faults: tuple[str, ...] | None) -> PluginScenario:
    """The scenario of a seed.  Raises UserError for a fault or protocol that is unknown."""
    unknown = [kind for kind in faults or () if kind not in FAULTS]
    if unknown:
        raise UserError(
            f"unknown fault {unknown[0]}; the kinds of --plugins are {', '.join(FAULTS)}"
        )
    kinds = FAULTS if faults is None else faults
    found = find_protocol(protocol)
    return draw_scenario(found, seed, nodes=nodes, faults=kinds, rule=quorum_rule(found))


def run_seed(
    protocol: str, seed: int, *, nodes: int, faults: tuple[str, ...] | None
) -> dict[str, Any]:
    """One run by plain words, as a process of its own can be told; its document."""
    again = replay(protocol, seed, nodes, faults)
    return document(run(draw(protocol, seed, nodes, faults)), protocol, again)


def run_recorded(scenario: PluginScenario) -> tuple[PluginReport, Recording]:
    """One run with its recording."""
    recorder = PluginRecorder()
    return run(scenario, recorder), recorder.recording()


def replay(protocol: str, seed: int, nodes: int, faults: Iterable[str] | None) -> str:
    """What a person types to see this run again."""
    words = ["python", "node.py", "sim", "--plugins", "--protocol", protocol]
    words += ["--nodes", str(nodes), "--seed", str(seed)]
    if faults is not None:
        words += ["--faults", ",".join(faults) or "none"]
    return shlex.join(words)


def document(report: PluginReport, protocol: str, again: str = "") -> dict[str, Any]:
    """What a run of this protocol showed, JSON-ready; nothing in it depends on the machine."""
    scenario = report.scenario
    return {
        "seed": scenario.seed,
        "protocol": protocol,
        "nodes": scenario.nodes,
        "twins": scenario.twins,
        "attacks": scenario.attacks,
        "violations": [
            {"property": one.property, "sentence": one.sentence, "time_ms": one.time_ms}
            for one in report.violations
        ],
        "decided": len(report.decided),
        "lengths": report.lengths,
        "events": report.events,
        "messages": report.messages,
        "accused": report.accused,
        "finished_ms": report.finished_ms,
        "trace_hash": report.trace_hash,
        "replay": again,
    }


def show(documents: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print what the runs showed."""
    hashes = "".join(document["trace_hash"] for document in documents)
    joint = hashlib.sha256(hashes.encode()).hexdigest()
    broken = [document["seed"] for document in documents if document["violations"]]
    events = sum(document["events"] for document in documents)
    if as_json:
        whole = {"seeds": len(documents), "broken": broken, "events": events,
                 "trace_hash": joint, "runs": documents}  # fmt: skip
        click.echo(json.dumps(documents[0] if len(documents) == 1 else whole, sort_keys=True))
        return
    if len(documents) == 1:
        for name, text in _lines_of(documents[0]).items():
            click.echo(f"{name:<11}{text}")
    for document in documents:
        for one in document["violations"]:
            click.echo(f"violated: {one['property']} after {one['time_ms']} ms: {one['sentence']}")
        if document["violations"] and document["replay"]:
            click.echo(f"see it again: {document['replay']}")
    if len(documents) > 1:
        first, last = documents[0], documents[-1]
        click.echo(f"{first['protocol']}, {first['nodes']} bare plugins, seeds {first['seed']} "
                   f"to {last['seed']}: {events} steps")  # fmt: skip
        click.echo(f"trace hash of all: {joint}")
    click.echo(f"{len(broken)} of {len(documents)} runs broken" if broken else "no violation")


def _lines_of(document: dict[str, Any]) -> dict[str, str]:
    """What a person wants to know of one run: (name, text)."""
    finished_ms = document["finished_ms"]
    liars = [f"twins of v{validator}" for validator in document["twins"]]
    liars += [f"v{validator} {attack}" for validator, attack in document["attacks"]]
    return {
        "protocol": f"{document['protocol']}, {document['nodes']} bare plugins, "
        f"seed {document['seed']}",
        "liars": ", ".join(liars) or "none",
        "decided": f"{document['decided']} values, "
        + (f"the last after {finished_ms} ms" if finished_ms is not None else "not all in time"),
        "accused": ", ".join(f"v{validator}" for validator in document["accused"]) or "nobody",
        "events": f"{document['events']} steps, {document['messages']} messages",
        "trace hash": document["trace_hash"],
    }
