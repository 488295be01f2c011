"""One trial: a network of its own, its rates one after another, its faults, and the verdict."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from api.client import LedgerClient
from benchmarks.harness.disks import IllDisks, OrderedDisks, small_disk
from benchmarks.harness.drive import Clients, Driven, start_clients
from benchmarks.harness.injector import Injector
from benchmarks.harness.namespaces import Namespaces, open_namespaces
from benchmarks.harness.native_disks import NativeDisks, native_disks
from benchmarks.harness.samples import Measurement
from benchmarks.harness.search import Search, seek
from benchmarks.harness.suite import SMALL_DISK, Trial
from benchmarks.harness.verdict import Verdict, judge
from benchmarks.harness.watch import SAMPLE_S, Gauge, Watch, all_counters, grown
from benchmarks.harness.wires import Links, open_wires
from consensus.registry import protocol_named
from host.cluster import Cluster, open_cluster
from host.network import MEMBER_KEY_FILE, Plan, create_network, homes_of
from ledger.errors import UnreachableError
from ledger.genesis import Genesis
from storage.home import default_engine

LINKED_S = 30.0
LEVEL_S = 60.0
"""For all nodes to have everything after the last load."""
POLL_S = 0.05
INTERVAL_S = 0.01
"""How often a client posts what is due."""
RESEND_S = 4.0
"""What is unconfirmed for so long is sent to another node."""
Keep = Callable[[Measurement], dict[str, Any]]
"""Stores a measurement; its figures."""


@dataclass(slots=True)
class Arena:
    """A running network under test, and those who watch it."""

    trial: Trial
    folder: Path
    genesis: Genesis
    cluster: Cluster
    client: LedgerClient
    watch: Watch
    gauge: Gauge
    wires: Links | None
    disks: IllDisks | None

    @property
    def pids(self) -> list[int | None]:
        """The processes of the nodes that run."""
        return [
            node.process.pid if node.is_running and node.process is not None else None
            for node in self.cluster.nodes
        ]

    async def level(self) -> bool:
        """Wait until all nodes stand at one height with nothing left to do; whether they do."""
        with trio.move_on_after(LEVEL_S):
            while True:
                found = [status for status in await self.client.statuses() if status is not None]
                heights = {s[key] for s in found for key in ("decided", "executed", "certified")}
                idle = not any(status["pending"] for status in found)
                if len(found) == len(self.cluster.nodes) and len(heights) <= 1 and idle:
                    return True
                await trio.sleep(POLL_S)
        return False


@asynccontextmanager
async def open_arena(trial: Trial, workspace: Path) -> AsyncIterator[Arena]:
    """A new network, linked and watched; its processes are gone when the block is left."""
    folder = workspace / trial.name
    genesis = await trio.to_thread.run_sync(create_network, folder, plan_of(trial))
    async with AsyncExitStack() as stack:
        wires = await _links(stack, trial, folder)
        for node, mib in numbered(trial, SMALL_DISK).items():
            stack.enter_context(small_disk(homes_of(folder)[node], mib))
        disks = _ill_disks(stack, trial, folder)
        cluster = await stack.enter_async_context(open_cluster(folder))
        for node, skew_ms in enumerate(trial.scenario.clock_ms[: trial.validators]):
            cluster.nodes[node].options += ("--clock-skew-ms", str(skew_ms)) if skew_ms else ()
        for process in cluster.nodes:
            if isinstance(wires, Namespaces):
                process.prefix += wires.prefix(process.index)
            if isinstance(disks, NativeDisks):
                process.prefix += disks.prefix(process.index)
            if isinstance(disks, OrderedDisks):
                process.options += disks.options(process.index)
        if trial.scenario.byzantine:
            words = ("--byzantine", trial.scenario.byzantine, "--byzantine-seed", str(trial.seed))
            for liar in trial.scenario.liars or range(trial.faults):
                cluster.nodes[liar].options += words
        await cluster.start()
        watch, gauge = Watch(cluster.urls), Gauge.of(trial.validators)
        async with LedgerClient(cluster.urls, genesis) as client, trio.open_nursery() as nursery:
            arena = Arena(trial, folder, genesis, cluster, client, watch, gauge, wires, disks)
            with trio.move_on_after(LINKED_S) as late:
                await _linked(arena)
            if late.cancelled_caught:
                raise UnreachableError(f"{trial.name}: the nodes did not link in {LINKED_S:g} s")
            for node in range(trial.validators):
                nursery.start_soon(watch.follow, node)
            nursery.start_soon(_sample, arena)
            yield arena
            nursery.cancel_scope.cancel()


async def _links(stack: AsyncExitStack, trial: Trial, folder: Path) -> Links | None:
    """Between the nodes, where they are not just the loopback interface."""
    if trial.experiment.native:
        return await stack.enter_async_context(open_namespaces(folder, trial.link))
    if trial.link != "loopback" or trial.scenario.needs_proxies:
        return await stack.enter_async_context(open_wires(folder, trial.link, trial.seed))
    return None


def _ill_disks(stack: AsyncExitStack, trial: Trial, folder: Path) -> IllDisks | None:
    """Below the nodes, where a scenario makes them suffer."""
    if not trial.scenario.needs_ill_disks:
        return None
    if trial.experiment.native:
        events = trial.scenario.events
        return stack.enter_context(
            native_disks(
                folder,
                homes_of(folder),
                slow=any(event.kind == "slow-disk" for event in events),
                failing=numbered(trial, "failing-sync"),
            )
        )
    return OrderedDisks(folder, trial.validators)


def numbered(trial: Trial, need: str) -> dict[int, int]:
    """The amounts by node of all whom a fault with this need befalls, named by numbers."""
    return {
        int(word): int(event.amount)
        for event in trial.scenario.events
        if event.needs == need
        for word in event.nodes.split()
        if int(word) < trial.validators
    }


def plan_of(trial: Trial) -> Plan:
    """The network that a trial needs."""
    one = trial.experiment
    protocol = protocol_named(trial.protocol)
    parameters = tuple(pair for pair in one.parameters if pair[0] in protocol.PARAMETERS)
    scenario = trial.scenario
    is_ill = bool(scenario.byzantine or scenario.clock_ms) or scenario.needs_ill_disks
    return Plan(
        name="benchmark",
        validators=trial.validators,
        protocol=protocol,
        engine=one.storage or default_engine(),
        hosts=(),
        parameters=parameters,
        test_network=is_ill or one.policy == "open",
        policy=one.policy,
        scheme=one.scheme,
        topology=trial.topology,
    )


async def _linked(arena: Arena) -> None:
    while True:
        found = await arena.client.statuses()
        peers = [peer for status in found if status is not None for peer in status["peers"]]
        size = arena.trial.validators
        is_everyone_there = size == sum(status is not None for status in found)
        if is_everyone_there and all(peer["connected"] for peer in peers):
            return
        await trio.sleep(POLL_S)


async def _sample(arena: Arena) -> None:
    while True:
        arena.gauge.look(arena.pids)
        await trio.sleep(SAMPLE_S)


async def run_trial(trial: Trial, workspace: Path, keep: Keep) -> Verdict:
    """Do all of one trial, handing over each measurement; what the stores say afterwards.

    Raises UnreachableError where processes do not start, NoData where nothing was confirmed.
    """
    lost = 0
    async with open_arena(trial, workspace) as arena:
        if trial.experiment.objective_p99_ms:
            lost += await _search(arena, keep)
        else:
            for place, rate in enumerate(trial.experiment.rates_per_s):
                measured = await measure(arena, rate, place)
                keep(measured)
                await arena.level()
                lost += lost_rows(measured, arena.watch)
        await arena.cluster.stop()
        return await judge(arena.folder, trial.experiment.audits, arena.watch.forks, lost)


async def _search(arena: Arena, keep: Keep) -> int:
    """Look for saturation; what was lost on the way.  The network is judged as any."""
    one = arena.trial.experiment
    offered: list[Measurement] = []

    async def offer(rate: float, place: int) -> Measurement:
        offered.append(await measure(arena, rate, place))
        return offered[-1]

    search = Search(one.rates_per_s[0], one.steps, one.objective_p99_ms)
    await seek(search, arena.trial.name, offer, keep, arena.level)
    return sum(lost_rows(measured, arena.watch) for measured in offered)


def lost_rows(measured: Measurement, watch: Watch) -> int:
    """Transactions that a client saw confirmed at a height which some node never showed."""
    complete = {h for h, times in watch.seen.items() if all(time is not None for time in times)}
    ended = [row for row in measured.rows if row.status in ("confirmed", "failed")]
    return sum(row.height not in complete for row in ended)


async def measure(
    arena: Arena,
    rate: float,
    place: int,
    *,
    duration_s: float | None = None,
    arrival: str | None = None,
) -> Measurement:
    """Offer one rate, the one at this place, and see what becomes of it."""
    trial, one = arena.trial, arena.trial.experiment
    name = f"{trial.name}-{place}-{rate:g}"
    duration = duration_s or one.warmup_s + one.measure_s
    told = jobs(arena, rate, duration, name, arrival or one.arrival)
    clients = await start_clients(told)
    try:
        await clients.ready()
        before, pids = await _counted(arena), arena.pids
        arena.gauge.look(arena.pids)
        cpu_s = sum(arena.gauge.cpu_s)
        driven, injector = await _drive(arena, clients, told[0])
    finally:
        clients.kill()
    arena.gauge.look(arena.pids)
    after = await _counted(arena)
    scenario = trial.scenario
    return Measurement(
        name=name,
        labels=labels_of(trial, place),
        rate_per_s=rate,
        warmup_s=one.warmup_s,
        duration_s=duration,
        recovery_s=one.recovery_s,
        quorum=arena.genesis.epoch.validators.quorum,
        fault_s=scenario.fault_s,
        heal_s=injector.healed_s(scenario),
        rows=driven.rows,
        blocks=blocks_since(arena.watch, driven),
        events=tuple(injector.log),
        # A node that was started again counts from nothing.
        costs=grown(before, after) if arena.pids == pids else None,
        cpu_s=sum(arena.gauge.cpu_s) - cpu_s,
        peak_mib=max(arena.gauge.peak_mib),
        late_s=driven.late_s,
        client_cpu_s=driven.cpu_s,
    )


async def _counted(arena: Arena) -> list[dict[str, float]]:
    """The nodes' counters, and the proxy's as one more."""
    found = await all_counters(arena.cluster.urls)
    if arena.wires is not None:
        found.append({"proxied_bytes": await arena.wires.relayed_bytes()})
    return found


async def _drive(arena: Arena, clients: Clients, job: dict[str, Any]) -> tuple[Driven, Injector]:
    start = await clients.begin()
    injector = Injector(
        arena.cluster, arena.client, arena.wires, arena.trial.faults, start, job, arena.disks
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(injector.run, arena.trial.scenario)
            driven = await clients.results(start)
        await injector.heal()
    finally:
        injector.end_floods()
    return driven, injector


def jobs(
    arena: Arena, rate: float, duration_s: float, name: str, arrival: str
) -> list[dict[str, Any]]:
    """What each client is told."""
    one = arena.trial.experiment
    height = max((arena.watch.top(node) for node in range(arena.trial.validators)), default=0)
    return [
        {
            "client": number,
            "seed": f"{arena.trial.seed} {name}",
            "urls": arena.cluster.urls,
            "genesis": str(arena.folder / "genesis.json"),
            "key": str(arena.folder / MEMBER_KEY_FILE),
            "arrival": arrival,
            "rate_per_s": rate / one.clients,
            "duration_s": duration_s,
            "records": one.records,
            "payload_bytes": arena.trial.payload_bytes,
            "interval_s": INTERVAL_S,
            "resend_s": RESEND_S,
            "settle_s": one.settle_s,
            "height": height,
            "signed": one.signed,
            "spoil": False,
            "rows": str(arena.folder.parent / f"{name}.client{number}.csv"),
        }
        for number in range(one.clients)
    ]


def labels_of(trial: Trial, place: int) -> dict[str, Any]:
    """What tells this trial's rows from others'."""
    rates = trial.experiment.rates_per_s
    return {
        "experiment": trial.experiment.name,
        "protocol": trial.protocol,
        "validators": trial.validators,
        "link": trial.link_words,
        "payload_bytes": trial.payload_bytes,
        "records": trial.experiment.records,
        "scenario": trial.scenario.name,
        "objective_p99_ms": trial.experiment.objective_p99_ms,
        "repetition": trial.repetition,
        "seed": trial.seed,
        # A rate that is offered several times shows what the ledger's length changes.
        "window": place if len(set(rates)) < len(rates) else 0,
    }


def blocks_since(watch: Watch, driven: Driven) -> dict[int, tuple[float | None, ...]]:
    """The blocks of a measurement, with times counted from its start."""
    used = {row.height for row in driven.rows if row.height}
    if not used:
        return {}
    first, last = min(used), max(used)
    return {
        height: tuple(None if time is None else time - driven.start for time in times)
        for height, times in sorted(watch.seen.items())
        if first <= height <= last
    }
