"""`python -m benchmarks ingest`: how fast a large PROV document gets onto the ledger.

The document has the shape of the CollabMap data set: people draw and vote on buildings and
evacuation routes, 42,000 statements about 8,000 entities, 5,000 activities and 85 agents.
Everything that a user's import does is measured: reading, signing, sending, proofs of confirmation.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil
import trio

from api.client import LedgerClient
from benchmarks.ceilings import measure
from benchmarks.harness.janitor import workspace
from consensus.registry import protocol_named
from host.cluster import open_cluster
from host.commands.options import microseconds
from host.home import read_genesis, read_private
from host.importers.guess import Choices, read_source
from host.importers.prov_document import to_json
from host.ingest import Ingest, Report
from host.network import Plan, api_urls, create_network
from host.signals import one_error, until_stopped
from ledger.applications.interface import Origin
from ledger.applications.provenance import STRING, Provenance, Statement, make_statement
from storage.home import default_engine

VALIDATORS = 4
AGENTS = 85
NAMESPACES = {"map": "https://collabmap.example/", "task": "https://collabmap.example/task/"}
TARGET_PER_S = 5_000
SAMPLE = 5_000
"""Statements of which the judging is measured by itself."""
SHAPE = {"activities": 5_058, "entities": 7_887, "usages": 5_889, "derivations": 9_883}
"""Counts of the CollabMap document; each activity has an agent, each entity its generation."""


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="Of the document's size.")
@click.option("--protocol", default="tendermint", show_default=True)
@click.option("--storage", "engine", default=None, help="The best installed unless given.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all figures to this file.",
)
def ingest(scale: float, protocol: str, engine: str | None, json_file: Path | None) -> None:
    """Import of a CollabMap-shaped document into four validators.  Takes under a minute."""
    with workspace() as folder, one_error():
        network = folder / "network"
        plan = Plan(
            "benchmark", VALIDATORS, protocol_named(protocol), engine or default_engine(), ()
        )
        create_network(network, plan)
        document = folder / "collabmap.json"
        document.write_text(to_json(collabmap(scale)), encoding="utf-8")
        found = trio.run(until_stopped, partial(_measure, network, document))
    if found is not None and json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def collabmap(scale: float = 1.0, seed: int = 1) -> Iterator[Statement]:
    """A document of that shape; the same seed makes the same statements."""
    drawn = random.Random(seed)
    count = {name: max(1, round(number * scale)) for name, number in SHAPE.items()}
    for number in range(AGENTS):
        yield _make("agent", f"map:user{number}", {})
    entities: list[tuple[str, str]] = []
    for number in range(count["activities"]):
        task = f"task:{number}"
        label = drawn.choice(("identify building", "verify building", "draw route", "rate route"))
        yield _make("activity", task, {"startTime": _time(number)}, {"map:kind": label})
        agent = f"map:user{drawn.randrange(AGENTS)}"
        yield _make("wasAssociatedWith", "", {"activity": task, "agent": agent})
    for number in range(count["entities"]):
        task_number = number * count["activities"] // count["entities"]
        entity, task = f"map:shape{number}.0", f"task:{task_number}"
        entities.append((entity, task))
        where = f"{50 + drawn.random():.6f} {-1 - drawn.random():.6f}"
        yield _make("entity", entity, {}, {"map:position": where})
        made = {"entity": entity, "activity": task, "time": _time(task_number)}
        yield _make("wasGeneratedBy", "", made)
    for _ in range(count["usages"]):
        after, before = _pair(drawn, len(entities))
        used = {"activity": entities[after][1], "entity": entities[before][0]}
        yield _make("used", "", used)
    for _ in range(count["derivations"]):
        after, before = _pair(drawn, len(entities))
        pair = {"generatedEntity": entities[after][0], "usedEntity": entities[before][0]}
        yield _make("wasDerivedFrom", "", pair)


def _pair(drawn: random.Random, count: int) -> tuple[int, int]:
    """A later and an earlier one, near to each other as versions are."""
    after = drawn.randrange(1, count)
    return after, max(0, after - 1 - int(drawn.expovariate(0.2)))


def _time(number: int) -> str:
    minutes, hours = number % 60, number // 60 % 24
    return f"2012-03-{1 + number // 1440 % 28:02d}T{hours:02d}:{minutes:02d}:00+00:00"


def _make(
    kind: str, name: str, arguments: dict[str, str], attributes: dict[str, str] | None = None
) -> Statement:
    rows = [(key, value, STRING) for key, value in (attributes or {}).items()]
    return make_statement(kind, name, namespaces=NAMESPACES, arguments=arguments, attributes=rows)


async def _measure(network: Path, document: Path) -> dict[str, Any]:
    ceilings = await trio.to_thread.run_sync(measure)
    click.echo(f"this machine: {ceilings.cores} cores, {ceilings.python_us:.0f} us for a piece of "
               f"Python, {ceilings.synced_writes_per_s:,.0f} synced writes/s")  # fmt: skip
    genesis = read_genesis(network / "genesis.json")
    signer = genesis.suite.members.signer(read_private(network / "member.key"))
    async with open_cluster(network) as cluster:
        await cluster.start()
        pids = [node.process.pid for node in cluster.nodes if node.process is not None]
        client = LedgerClient(api_urls(network), genesis, signer=signer, clock=microseconds)
        async with client:
            began, used = time.monotonic(), time.process_time()
            source = read_source(document, Choices())
            parts = list(source.parts)
            read_s = time.process_time() - used
            first = await _put(client, signer, parts, pids)
            again = await _put(client, signer, parts, pids)
            whole_s = time.monotonic() - began - again["seconds"]
    count = first["said"]
    check_us, apply_us = _judging_us(parts)
    judging_us = check_us + VALIDATORS * apply_us
    rate = count / first["seconds"]
    rows = [
        ("statements", f"{count:,}", f"in {first['transactions']} transactions"),
        ("into the cluster", f"{rate:,.0f}/s", f"confirmed and proven; target {TARGET_PER_S:,}"),
        ("the whole import", f"{count / whole_s:,.0f}/s", f"{whole_s:.1f} s with reading it"),
        ("reading", f"{read_s:.1f} s", f"{read_s / count * 1e6:.0f} us a statement, client's CPU"),
        ("client", f"{first['client_cpu_us']:.0f} us", "of CPU a statement: signing, proofs"),
        ("nodes", f"{first['node_cpu_us']:.0f} us", "of CPU a statement, all four together"),
        (
            "of these",
            f"{judging_us:.0f} us",
            f"judging: {check_us:.0f} us at the door, {apply_us:.0f} us with its index at each",
        ),
        ("importing again", f"{again['seconds']:.2f} s", f"{again['known']:,} statements known"),
    ]
    for name, value, remark in rows:
        click.echo(f"{name:<20}{value:>14}  {remark}")
    return {
        "statements_per_s": rate,
        "whole_per_s": count / whole_s,
        "read_s": read_s,
        "check_us": check_us,
        "apply_us": apply_us,
        "first": first,
        "again": again,
        "cores": ceilings.cores,
        "python_us": ceilings.python_us,
    }


async def _put(
    client: LedgerClient, signer: Any, parts: list[Any], pids: list[int]
) -> dict[str, Any]:
    began, mine, theirs = time.monotonic(), time.process_time(), _cpu_s(pids)
    report: Report = await Ingest(client, signer, deadline_s=120).put(parts)
    seconds = time.monotonic() - began
    count = max(1, report.said + report.known)
    return {
        "said": report.said,
        "known": report.known,
        "transactions": len(report.transactions),
        "seconds": seconds,
        "client_cpu_us": (time.process_time() - mine) / count * 1e6,
        "node_cpu_us": (_cpu_s(pids) - theirs) / count * 1e6,
    }


def _judging_us(parts: list[Any]) -> tuple[float, float]:
    """Processor time of (checking, applying) a statement, in this process."""
    bodies = [operation.body for part in parts for operation in part][:SAMPLE]
    application = Provenance()
    began = time.process_time()
    for body in bodies:
        application.check(body)
    checked = time.process_time()
    state = _State()
    for number, body in enumerate(bodies):
        application.apply(state, Origin(1, 0, number % 1024, b"", b"", 0), body)
    ended = time.process_time()
    return (checked - began) / len(bodies) * 1e6, (ended - checked) / len(bodies) * 1e6


class _State(dict[bytes, bytes | None]):
    """A state that keeps everything."""

    def put(self, key: bytes, value: bytes | None) -> None:
        self[key] = value


def _cpu_s(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
