"""What verifiability costs on real stores of growing length, and whether tampering is noticed.

The ledger is made by a real network, which is stopped at each length; then receipts are made from
the first node's store and checked as anybody would, from the genesis alone, the store is audited in
full, and bytes are changed: in receipts, and at the first length in every file of the database.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import trio

from benchmarks.harness.suite import Experiment, Proofs, Scenario, Trial
from benchmarks.harness.trial import Arena, measure, open_arena
from benchmarks.harness.verdict import Verdict, judge
from host.home import GENESIS_FILE, read_genesis
from host.network import homes_of
from ledger import queries
from ledger.applications import ALL
from ledger.audit import Audited, audit
from ledger.errors import Fault, LedgerError, UnreachableError
from ledger.genesis import Genesis
from ledger.light import LightClient, Verified
from ledger.store import Reader
from storage.home import open_store, verify_all

Figures = dict[str, Any]
PIECE_S = 30.0
"""For so long transactions are offered that were signed together."""
FOUND, HARMLESS, SILENT = "flips_found", "flips_harmless", "flips_silent"


async def run_proofs(
    one: Proofs, seed: int, workspace: Path, keep: Callable[[Figures], object]
) -> Verdict:
    """Measure at each length, shortest first; what the stores say at the end."""
    trial = _trial(one, seed)
    done = 0
    pieces = itertools.count()
    async with open_arena(trial, workspace) as arena:
        for place, length in enumerate(sorted(one.transactions)):
            await _grow(arena, length - done, one.rate_per_s, pieces)
            done = length
            await arena.cluster.stop()
            home = homes_of(arena.folder)[0]
            flips = one.flips if place == 0 else 0
            figures = await trio.to_thread.run_sync(measure_home, home, one, seed, flips)
            keep({"kind": "proofs", "experiment": one.name, "name": trial.name, **figures})
            if length != max(one.transactions):
                await arena.cluster.start()
        return await judge(arena.folder, 1, arena.watch.forks, 0)


def _trial(one: Proofs, seed: int) -> Trial:
    experiment = Experiment(one.name, warmup_s=0.0, settle_s=120.0)
    calm = Scenario("none")
    return Trial(experiment, one.protocol, one.validators, "loopback", 256, calm, 0, seed)


async def _grow(arena: Arena, missing: int, rate: float, pieces: Iterator[int]) -> None:
    """Put so many transactions more onto the ledger, each piece with a number of its own.

    Raises UnreachableError where none gets there any more.
    """
    while missing > 0:
        # Clients sign ahead, and what they sign expires: a few thousand blocks later.
        size = min(missing, round(rate * PIECE_S))
        found = await measure(arena, rate, next(pieces), duration_s=size / rate, arrival="constant")
        confirmed = sum(row.status == "confirmed" for row in found.rows)
        if not confirmed:
            raise UnreachableError(f"nothing is confirmed any more, and {missing} are missing")
        missing -= confirmed
    await arena.level()


def measure_home(home: Path, one: Proofs, seed: int, flips: int) -> Figures:
    """Everything about one stopped home; with this many changed bytes in copies of it."""
    genesis = read_genesis(home / GENESIS_FILE)
    draw = Random(f"proofs {seed}")
    with open_store(home, network=genesis.network) as store, store.snapshot() as reader:
        ids = drawn_ids(reader, genesis, draw, one.receipts)
        receipts, make_us = [], []
        for identity in ids:
            began = time.perf_counter()
            raw = queries.receipt(reader, genesis, identity)
            make_us.append((time.perf_counter() - began) * 1e6)
            assert raw is not None, "only confirmed transactions are drawn"
            receipts.append(raw)
        newest = queries.latest_certificate(reader, genesis)
        assert newest is not None, "something is confirmed"
        path = queries.consistency(reader, genesis, max(1, newest.size // 2), newest.size)
        began = time.process_time()
        audited = audit_all(reader, genesis)
        audit_s = time.process_time() - began
    check_us, outcomes = check(genesis, receipts, draw, one.flips)
    if flips:
        outcomes += tamper(home, genesis, draw, min(flips, one.store_flips))
    return {
        "transactions": audited.transactions,
        "leaves": newest.size,
        "receipt_bytes": median(map(len, receipts)),
        "make_us": median(make_us),
        "check_us": median(check_us),
        "consistency_bytes": sum(map(len, path)),
        "audit_per_s": audited.transactions / audit_s,
        "bytes_per_transaction": _stored(home) / audited.transactions,
        FOUND: outcomes[FOUND],
        HARMLESS: outcomes[HARMLESS],
        SILENT: outcomes[SILENT],
    }


def _stored(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def drawn_ids(reader: Reader, genesis: Genesis, draw: Random, count: int) -> list[bytes]:
    """Transactions of blocks drawn over the whole ledger."""
    top = queries.heights(reader, genesis).certified
    found: list[bytes] = []
    while len(found) < count:
        block = queries.block(reader, draw.randint(1, top))
        assert block is not None, "a certified block is stored"
        found.append(sha256(draw.choice(block.transactions).header).digest())
    return found


def audit_all(reader: Reader, genesis: Genesis) -> Audited:
    """The whole store checked again.  Raises Fault or StorageError where something is wrong."""
    steps = audit(reader, genesis.network, ALL)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Audited = end.value
            return found


def check(
    genesis: Genesis, receipts: list[bytes], draw: Random, flips: int
) -> tuple[list[float], Counter[str]]:
    """(time of each check in microseconds, what became of changed bytes)."""
    light = LightClient(genesis)
    times, proven = [], []
    for raw in receipts:
        began = time.perf_counter()
        proven.append(light.check_receipt(raw))
        times.append((time.perf_counter() - began) * 1e6)
    outcomes: Counter[str] = Counter()
    for _ in range(flips):
        place = draw.randrange(len(receipts))
        outcomes[_flip_receipt(light, receipts[place], proven[place], draw)] += 1
    return times, outcomes


def _flip_receipt(light: LightClient, raw: bytes, proven: Verified, draw: Random) -> str:
    changed = bytearray(raw)
    changed[draw.randrange(len(changed))] ^= draw.randrange(1, 256)
    try:
        found = light.check_receipt(bytes(changed))
    except Fault:
        return FOUND
    return HARMLESS if found == proven else SILENT


def tamper(home: Path, genesis: Genesis, draw: Random, count: int) -> Counter[str]:
    """Change a byte of a copy of the store, so many times; what opening and auditing it say."""
    whole = _read(home, genesis)
    outcomes: Counter[str] = Counter()
    copy = home.with_name(f"{home.name}.copy")
    for _ in range(count):
        shutil.copytree(home, copy)
        files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
        path = draw.choice(files)
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
        path.write_bytes(content)
        try:
            outcomes[HARMLESS if _read(copy, genesis) == whole else SILENT] += 1
        except LedgerError:
            outcomes[FOUND] += 1
        shutil.rmtree(copy)
    return outcomes


def _read(home: Path, genesis: Genesis) -> Audited:
    found = read_genesis(home / GENESIS_FILE)
    with open_store(home, network=found.network) as store:
        verify_all(store)
        with store.snapshot() as reader:
            return audit_all(reader, genesis)
