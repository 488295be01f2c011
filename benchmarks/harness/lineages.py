"""What provenance costs on a real network: documents in, lineage out.

The documents are those that the suite names, or one with the shape of the CollabMap data set
(`benchmarks/ingest.py`).  Beside them go chains of derivations and things with many origins, about
which `node.py trace` is asked, as a user would: over HTTP, from question to answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import trio

from api.client import LedgerClient
from benchmarks.harness.suite import Experiment, Lineage, Scenario, Trial
from benchmarks.harness.trial import Arena, open_arena
from benchmarks.harness.verdict import Verdict, judge
from benchmarks.ingest import collabmap
from benchmarks.metrics import NoData, nearest_rank
from host.commands import main
from host.commands.options import microseconds
from host.home import read_private
from host.importers.guess import Choices, read_source
from host.importers.prov_document import to_json
from host.ingest import Ingest
from host.network import MEMBER_KEY_FILE, homes_of
from ledger.applications.provenance import Statement, make_statement

Figures = dict[str, Any]
NAMESPACES = {"bench": "https://benchmark.example/"}
CONFIRM_S = 600.0


async def run_lineage(
    one: Lineage, seed: int, workspace: Path, keep: Callable[[Figures], object]
) -> Verdict:
    """Ingest, then ask; what the stores say at the end.  Raises NoData."""
    experiment, calm = Experiment(one.name), Scenario("none")
    trial = Trial(experiment, one.protocol, one.validators, "loopback", 0, calm, 0, seed)
    labels = {"kind": "lineage", "experiment": one.name, "name": trial.name}
    async with open_arena(trial, workspace) as arena:
        figures = await _ingest(arena, documents(one, seed, workspace))
        asked = []
        for depth in one.depths:
            asked.append(await _ask(arena, f"bench:chain{depth}", one.queries, depth=depth))
        for width in one.widths:
            asked.append(await _ask(arena, f"bench:wide{width}", one.queries, width=width))
        await arena.level()
        await arena.cluster.stop()
        home = homes_of(arena.folder)[0]
        stored = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
        figures["stored_bytes_per_statement"] = stored / figures["statements"]
        keep({**labels, **figures})
        for row in asked:
            keep({**labels, **row})
        return await judge(arena.folder, 1, arena.watch.forks, 0)


def documents(one: Lineage, seed: int, workspace: Path) -> list[Path]:
    """The files to ingest, those about which is asked among them."""
    found = [Path(name) for name in one.documents]
    if not found:
        found.append(workspace / "collabmap.json")
        found[0].write_text(to_json(collabmap(one.scale, seed)), encoding="utf-8")
    asked = workspace / "asked.json"
    statements = [statement for depth in one.depths for statement in chain(depth)]
    statements += [statement for width in one.widths for statement in wide(width)]
    asked.write_text(to_json(statements), encoding="utf-8")
    return [*found, asked]


def chain(depth: int) -> Iterator[Statement]:
    """A thing that was derived from another, which was derived ..., so many times."""
    names = [f"bench:chain{depth}", *(f"bench:c{depth}.{number}" for number in range(depth))]
    for effect, cause in pairwise(names):
        yield _derived(effect, cause)


def wide(width: int) -> Iterator[Statement]:
    """A thing that was derived from so many others."""
    for number in range(width):
        yield _derived(f"bench:wide{width}", f"bench:w{width}.{number}")


def _derived(effect: str, cause: str) -> Statement:
    pair = {"generatedEntity": effect, "usedEntity": cause}
    return make_statement("wasDerivedFrom", "", namespaces=NAMESPACES, arguments=pair)


async def _ingest(arena: Arena, files: list[Path]) -> Figures:
    signer = arena.genesis.suite.members.signer(read_private(arena.folder / MEMBER_KEY_FILE))
    client = LedgerClient(arena.cluster.urls, arena.genesis, signer=signer, clock=microseconds)
    began = time.monotonic()
    said = 0
    async with client:
        for file in files:
            parts = list(read_source(file, Choices()).parts)
            report = await Ingest(client, signer, deadline_s=CONFIRM_S).put(parts)
            said += report.said
        await arena.level()
    if not said:
        raise NoData("the documents hold no statement")
    seconds = time.monotonic() - began
    return {"documents": len(files), "statements": said, "ingest_per_s": said / seconds}


async def _ask(
    arena: Arena, name: str, queries: int, *, depth: int | None = None, width: int | None = None
) -> Figures:
    """Ask for one thing's lineage so often."""
    times, found = [], 0
    for _ in range(queries):
        began = time.monotonic()
        answer = await trio.to_thread.run_sync(_trace, arena.folder, name)
        times.append((time.monotonic() - began) * 1_000)
        found = len(answer["nodes"])
    expected = depth or width
    if found != expected:
        raise NoData(f"{name} has {expected} things behind it, and {found} were found")
    return {
        "depth": depth,
        "width": width,
        "found": found,
        "query_p50_ms": nearest_rank(times, 0.5),
        "query_p99_ms": nearest_rank(times, 0.99),
    }


def _trace(folder: Path, name: str) -> Any:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main.run(["trace", name, "--network", str(folder), "--json"])
    if code:
        raise NoData(f"trace {name}: {err.getvalue().strip()}")
    return json.loads(out.getvalue())
