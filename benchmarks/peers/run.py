"""Peers under the harness's load: their figures are rows like ours, with the peer as protocol."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import trio

from benchmarks.harness.drive import Clients, Driven, Row, start_clients
from benchmarks.harness.samples import Measurement
from benchmarks.harness.search import Search, seek
from benchmarks.harness.suite import PeerRun, Suite
from benchmarks.harness.watch import SAMPLE_S, Gauge
from benchmarks.harness.wires import Wires, open_relays
from benchmarks.peers.adapter import Peer, Words
from benchmarks.peers.cometbft import CometBFT, CometWords
from ledger.errors import UnreachableError, UserError

PEERS: dict[str, type[Peer]] = {CometBFT.name: CometBFT}
WORDS: dict[str, type[Words]] = {CometBFT.name: CometWords}
INTERVAL_S = 0.01
LEVEL_S = 60.0
POLL_S = 0.1
Keep = Callable[[Measurement], dict[str, Any]]
"""Stores a measurement; its figures."""


def programs(given: tuple[str, ...]) -> dict[str, Path]:
    """The program of each peer that is there: NAME=PATH as given, else from the PATH.

    Raises UserError for a peer that is not known, or a program that is not there.
    """
    found = {
        name: Path(path) for name, peer in PEERS.items() if (path := shutil.which(peer.binary))
    }
    for words in given:
        name, equals, path = words.partition("=")
        if not equals or name not in PEERS:
            raise UserError(f"--peer {words}: write NAME=PATH; peers are {', '.join(PEERS)}")
        if not shutil.which(path):
            raise UserError(f"--peer {words}: there is no program {path}")
        found[name] = Path(path).resolve()
    return found


@dataclass(frozen=True, slots=True)
class PeerTrial:
    """One network of a peer."""

    run: PeerRun
    variant: str
    link: str
    seed: int

    @property
    def name(self) -> str:
        """Unique within a suite, and fit for a folder."""
        one = self.run
        return f"{one.name}-{one.peer}-{self.variant}-{self.link}".replace(" ", "_")

    @property
    def title(self) -> str:
        """What a progress line calls it."""
        return f"{self.run.name}: {self.run.peer} {self.variant}, {self.link}"


def peer_trials(suite: Suite) -> Iterator[PeerTrial]:
    """Every variant over links of every kind."""
    for one in suite.peers:
        for link, variant in product(one.links, one.variants or PEERS[one.peer].variants):
            yield PeerTrial(one, variant, link, suite.seed)


async def run_peer(trial: PeerTrial, program: Path, workspace: Path, keep: Keep) -> str:
    """Every rate on one network, or a search for the most; what the program calls itself.

    Raises UnreachableError where it does not start, NoData where nothing was confirmed.
    """
    one, folder = trial.run, workspace / trial.name
    peer = PEERS[one.peer](program, folder, one.validators, trial.variant)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(peer.stop)
        wires = None
        if trial.link != "loopback":
            relays = open_relays(peer.listens, trial.link, trial.seed)
            wires, peer.relays = await stack.enter_async_context(relays)
        await peer.start()
        offer, level = partial(_measure, trial, peer, wires), partial(_level, peer)
        if one.objective_p99_ms:
            search = Search(one.rates_per_s[0], one.steps, one.objective_p99_ms)
            await seek(search, trial.name, offer, keep, level)
        else:
            for place, rate in enumerate(one.rates_per_s):
                keep(await offer(rate, place))
                await level()
        return await peer.version()


async def _level(peer: Peer) -> bool:
    """Wait until nothing is left of the last load; whether it is so."""
    with trio.move_on_after(LEVEL_S):
        while True:
            with suppress(UnreachableError):  # too busy to answer
                if await peer.is_idle():
                    return True
            await trio.sleep(POLL_S)
    return False


async def _measure(
    trial: PeerTrial, peer: Peer, wires: Wires | None, rate: float, place: int
) -> Measurement:
    one, name = trial.run, f"{trial.name}-{place}-{rate:g}"
    blocks = peer.folder.parent / f"{name}.json"
    duration = one.warmup_s + one.measure_s
    job = {
        "peer": one.peer,
        "seed": f"{trial.seed} {name}",
        "prefix": f"{place:03}",
        "urls": peer.urls,
        "arrival": one.arrival,
        "rate_per_s": rate,
        "duration_s": duration,
        "payload_bytes": one.payload_bytes,
        "interval_s": INTERVAL_S,
        "settle_s": one.settle_s,
        "height": await peer.height(),
        "rows": str(blocks.with_suffix(".csv")),
        "blocks": str(blocks),
    }
    clients = await start_clients([job], module="benchmarks.peers.client")
    gauge = Gauge.of(one.validators)
    pids: list[int | None] = [process.pid for process in peer.processes]
    try:
        await clients.ready()
        sent = await _sent(peer, wires)
        gauge.look(pids)
        before = sum(gauge.cpu_s)
        driven = await _watched(clients, gauge, pids)
        gauge.look(pids)
    finally:
        clients.kill()
    if any(process.poll() is not None for process in peer.processes):
        raise UnreachableError(f"{name}: a node ended under load")
    return Measurement(
        name=name,
        labels=labels_of(trial),
        rate_per_s=rate,
        warmup_s=one.warmup_s,
        duration_s=duration,
        recovery_s=1.0,
        quorum=one.validators - (one.validators - 1) // 3,
        fault_s=None,
        heal_s=None,
        rows=driven.rows,
        blocks=_seen(blocks, driven.rows),
        events=(),
        costs=_more(sent, await _sent(peer, wires)),
        cpu_s=sum(gauge.cpu_s) - before,
        peak_mib=max(gauge.peak_mib),
        late_s=driven.late_s,
        client_cpu_s=driven.cpu_s,
    )


async def _watched(clients: Clients, gauge: Gauge, pids: list[int | None]) -> Driven:
    """The load, and meanwhile how much memory it takes."""

    async def sample() -> None:
        while True:
            gauge.look(pids)
            await trio.sleep(SAMPLE_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sample)
        driven = await clients.results(await clients.begin())
        nursery.cancel_scope.cancel()
    return driven


async def _sent(peer: Peer, wires: Wires | None) -> dict[str, float]:
    """What has been counted so far."""
    found = {}
    if (sent := await peer.link_bytes()) is not None:
        found["link_bytes"] = sent
    if wires is not None:
        found["proxied_bytes"] = await wires.relayed_bytes()
    return found


def _more(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What was counted both times; less than before is of a connection that began anew."""
    grown = {name: after[name] - count for name, count in before.items() if name in after}
    return {name: count for name, count in grown.items() if count >= 0}


def _seen(file: Path, rows: Iterable[Row]) -> dict[int, tuple[float | None, ...]]:
    """The blocks that a client saw, those of before and after its load left out."""
    used = {row.height for row in rows if row.height}
    seen: dict[str, list[float | None]] = json.loads(file.read_text(encoding="utf-8"))
    return {
        int(height): tuple(times)
        for height, times in seen.items()
        if used and min(used) <= int(height) <= max(used)
    }


def labels_of(trial: PeerTrial) -> dict[str, Any]:
    """As of a trial of ours, with the peer as the protocol."""
    one = trial.run
    return {
        "experiment": one.experiment or one.name,
        "protocol": f"{one.peer} {trial.variant}" if PEERS[one.peer].variants[1:] else one.peer,
        "validators": one.validators,
        "link": trial.link,
        "payload_bytes": one.payload_bytes,
        "records": 1,
        "scenario": "none",
        "objective_p99_ms": one.objective_p99_ms,
        "repetition": 0,
        "seed": trial.seed,
        "window": 0,
    }
