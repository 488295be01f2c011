"""`python -m benchmarks throughput`: how fast four validators on this machine are.

Every figure stands beside the machine's own ceiling, taken in the same run.  The load is open-loop
from separate processes; what counts is confirmed at all nodes.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil
import trio

from api.client import LedgerClient
from benchmarks.ceilings import Ceilings, measure
from benchmarks.harness.janitor import workspace
from benchmarks.runs import Figures, Workload, run_load
from consensus.registry import protocol_named
from host.cluster import Cluster, open_cluster
from host.commands.options import microseconds
from host.home import read_genesis, read_private
from host.network import Plan, api_urls, create_network
from host.signals import one_error, until_stopped
from ledger.applications.records import make_record
from ledger.errors import UnreachableError
from storage.home import default_engine

VALIDATORS = 4
IDLE_S = 6.0
SETTLED_S = 30.0


@click.command()
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all figures to this file.",
)
@click.option("--protocol", default="tendermint", show_default=True)
@click.option("--storage", "engine", default=None, help="The best installed unless given.")
@click.option("--seconds", default=15.0, show_default=True, help="Length of each loaded run.")
@click.option("--rate", default=None, type=float, help="Only one signed run at this rate.")
def throughput(
    json_file: Path | None,
    protocol: str,
    engine: str | None,
    seconds: float,
    rate: float | None,
) -> None:
    """Throughput, latency, memory and idle cost of four validators.  Takes under five minutes."""
    with workspace() as folder, one_error():
        network = folder / "network"
        plan = Plan(
            "benchmark", VALIDATORS, protocol_named(protocol), engine or default_engine(), ()
        )
        create_network(network, plan)
        found = trio.run(until_stopped, partial(_measure, network, plan, seconds, rate))
    if found is None:
        return
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


async def _measure(network: Path, plan: Plan, seconds: float, rate: float | None) -> dict[str, Any]:
    _say("measuring what this machine can do ...")
    ceilings = await trio.to_thread.run_sync(measure)
    ceiling = ceilings.signed_ceiling_per_s(VALIDATORS)
    for library, checks in ceilings.checks_per_s.items():
        _say(f"  {library:<24}{checks:>10,.0f} checks/s on {ceilings.cores} cores")
    _say(f"  {'SHA-256':<24}{ceilings.sha256_mib_per_s:>10,.0f} MiB/s")
    _say(f"  {'synced writes':<24}{ceilings.synced_writes_per_s:>10,.0f} /s")
    _say(f"  {'small message over TLS':<24}{ceilings.tls_message_us:>10,.0f} us of a core")
    _say(f"  {'over a link of ours':<24}{ceilings.link_message_us:>10,.0f} us of a core")
    _say(f"  {'a piece of Python':<24}{ceilings.python_us:>10,.0f} us of a core")
    _say(f"  {'signed ceiling':<24}{ceiling:>10,.0f} transactions/s")
    began = time.monotonic()
    async with open_cluster(network) as cluster:
        await cluster.start()
        pids = [node.process.pid for node in cluster.nodes if node.process is not None]
        await _first_block(network)
        first_block_s = time.monotonic() - began
        _say(f"first block at all nodes after {first_block_s:.2f} s")
        load = partial(_load, cluster, network, pids)
        first = await load(Workload(20, 3, clients=1, warmup_s=1.0), "first steps")
        if rate is not None:
            await load(Workload(rate, seconds), "signed records")
            return {}
        idle = await _idle_percent(pids)
        _say(f"idle: {idle:.2f} % of a core a node")
        single = await load(Workload(10, 5, clients=1, warmup_s=0.5), "single submissions")
        signed = await load(Workload(ceiling * 0.9, seconds), "signed records, saturated")
        await _settled(network)
        light = await load(Workload(max(50, signed.confirmed_per_s * 0.1), seconds), "light load")
        batched = await load(Workload(400, seconds, records=100), "100 records a transaction")
        await _settled(network)
        a_tenth = Workload(max(5, batched.confirmed_per_s * 0.1), seconds, records=100)
        light_batched = await load(a_tenth, "light load of these")
        memory = max(each.peak_memory_mib for each in (signed, light, batched, light_batched))
    figures = {
        "first": first,
        "signed": signed,
        "light": light,
        "batched": batched,
        "light_batched": light_batched,
        "single": single,
    }
    return _summary(plan, ceilings, figures, idle, first_block_s, memory)


async def _first_block(network: Path) -> None:
    """One record, from its signature until every node has confirmed it."""
    genesis = read_genesis(network / "genesis.json")
    signer = genesis.suite.members.signer(read_private(network / "member.key"))
    async with LedgerClient(
        api_urls(network), genesis, signer=signer, clock=microseconds
    ) as client:
        outcome = await client.submit([make_record("first", content=b"first")])
        await _until(client, lambda status: status["certified"] >= outcome.height)


async def _until(client: LedgerClient, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until something holds at every node."""
    while True:
        statuses = await client.statuses()
        if all(status is not None and holds(status) for status in statuses):
            return
        await trio.sleep(0.01)


async def _settled(network: Path) -> None:
    """What an earlier run left behind is confirmed, or half a minute is over."""
    async with LedgerClient(api_urls(network), read_genesis(network / "genesis.json")) as client:
        with trio.move_on_after(SETTLED_S):
            await _until(client, lambda status: not status["pending"])


async def _load(
    cluster: Cluster, network: Path, pids: list[int], workload: Workload, name: str
) -> Figures:
    try:
        figures = await run_load(cluster.urls, network, pids, workload)
    except UnreachableError:
        await cluster.check()
        raise
    _say(
        f"{name}: offered {figures.offered_per_s:,.0f}/s, confirmed at all nodes "
        f"{figures.confirmed_per_s:,.0f}/s; p50 {figures.p50_ms:.0f} p95 {figures.p95_ms:.0f} "
        f"p99 {figures.p99_ms:.0f} ms; {figures.cpu_ms_per_transaction:.3f} ms CPU and "
        f"{figures.bytes_per_transaction:,.0f} bytes a transaction; {figures.blocks} blocks; "
        f"{figures.peak_memory_mib:.0f} MiB; refused {figures.refused}, "
        f"unconfirmed {figures.unconfirmed}, failed {figures.failed}, "
        f"clients late {figures.late_ms:.0f} ms, used {figures.client_cpu_s:.1f} s CPU"
    )
    return figures


async def _idle_percent(pids: list[int]) -> float:
    """Share of one core that the busiest idle node uses."""
    await trio.sleep(2.0)  # what the load left behind settles
    before = [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]
    await trio.sleep(IDLE_S)
    after = [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]
    return max(b - a for a, b in zip(before, after, strict=True)) / IDLE_S * 100


def _summary(
    plan: Plan,
    ceilings: Ceilings,
    runs: dict[str, Figures],
    idle: float,
    first_block_s: float,
    memory: float,
) -> dict[str, Any]:
    ceiling = ceilings.signed_ceiling_per_s(VALIDATORS)
    signed, light, batched = runs["signed"], runs["light"], runs["batched"]
    records = batched.confirmed_per_s * 100
    light_batched = runs["light_batched"]
    rows = [
        (
            "signed transactions/s",
            f"{signed.confirmed_per_s:,.0f}",
            f"{signed.confirmed_per_s / ceiling:.0%} of the ceiling {ceiling:,.0f} (target 60 %)",
        ),
        ("batched records/s", f"{records:,.0f}", "target 30,000"),
        ("p50 at light load", f"{light.p50_ms:.0f} ms", "a tenth of the signed; target under 40"),
        ("p99 at light load", f"{light.p99_ms:.0f} ms", ""),
        ("the same, batched", f"{light_batched.p50_ms:.0f} ms", "a tenth of these; under 40"),
        ("idle", f"{idle:.2f} %", "of a core a node; target under 3"),
        ("memory", f"{memory:.0f} MiB", "of the largest node; target under 250"),
        ("first block", f"{first_block_s:.2f} s", "from nothing, once installed; target under 3"),
    ]
    _say("")
    for name, value, remark in rows:
        _say(f"{name:<24}{value:>14}  {remark}")
    return {
        "protocol": plan.protocol.name,
        "storage": plan.engine,
        "validators": VALIDATORS,
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cores": ceilings.cores,
        },
        "ceilings": asdict(ceilings),
        "signed_per_s": signed.confirmed_per_s,
        "signed_ceiling_per_s": ceiling,
        "batched_records_per_s": records,
        "p50_ms_light": light.p50_ms,
        "p99_ms_light": light.p99_ms,
        "p50_ms_light_batched": light_batched.p50_ms,
        "p99_ms_light_batched": light_batched.p99_ms,
        "idle_cpu_percent": idle,
        "peak_memory_mib": memory,
        "first_block_s": first_block_s,
        "runs": {name: asdict(figures) for name, figures in runs.items()},
    }


def _say(line: str) -> None:
    click.echo(line)
