"""`python -m benchmarks lineage`: lineage by a node's index, and what the index costs.

A ledger of chains is filled, as many statements as asked for: step n of all chains before step
n + 1 of any, so that each chain is scattered over the whole ledger, a step in a batch of its own.
A few more chains are recorded in one piece each, as an import of a document does it.  Then the
database is closed and opened, and what led to the ends of chains drawn at random is asked for, 100
edges deep: the walk alone, and the page that the API answers, with the statements in it.  The first
answer finds nothing in the database's own cache.

The cost is paired: the same transactions are executed with the index, with one bare key a thing, as
it would be without edges, and without any index, in turns.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

import click

from api import lineage as lineage_page
from benchmarks.provenance_ledger import Ledger, end_of, new_ledger, step
from host.progress import Bar
from ledger.applications.interface import Application, Origin, State
from ledger.applications.provenance import Provenance, Statement, parse_statement
from ledger.applications.provenance_index import Index
from ledger.applications.records import Records
from ledger.lineage_question import UPSTREAM, Question
from ledger.lineage_walk import walk
from storage import home as storage_home
from storage.home import Store, default_engine

STEPS = 50
"""Of a chain: what led to its end is 100 edges deep."""
STATEMENTS_A_STEP = 4
TRANSACTION = 64
"""Steps of a transaction, as an import makes them: 256 statements."""
DEPTH = 100
ASKED = 20


@dataclass(frozen=True, slots=True)
class Answers:
    """How long a node takes to answer, in milliseconds of processor time but for one."""

    statements: int
    """On the ledger."""
    blocks: int
    found: int
    """Statements of an answer."""
    first_ms: float
    """The first page after the database was opened."""
    walk_ms: float
    """The walk alone; the median."""
    page_ms: float
    """With the statements; the median."""
    together_ms: float
    """The same of chains that were recorded in one piece."""
    slowest_ms: float
    wall_ms: float
    """As page_ms, by the wall clock: what else the machine does is in it."""
    execution_us: float
    """Processor time of executing, a statement."""
    writing_us: float


def measure(folder: Path, statements: int, engine: str, *, hidden: bool) -> Answers:
    """Fill a ledger, and ask it."""
    chains = max(1, statements // (STEPS * STATEMENTS_A_STEP))
    with new_ledger(folder, engine) as ledger:
        genesis = ledger.genesis
        with Bar("filling the ledger", chains * STEPS, hidden=hidden) as bar:
            for number in range(1, STEPS + 1):
                for group in _groups(chains, number):
                    ledger.add(group)
                    bar.advance(len(group) // STATEMENTS_A_STEP)
        for chain in range(chains, chains + ASKED):
            ledger.add([said for number in range(1, STEPS + 1) for said in step(chain, number)])
        ledger.end_block()
        filled = ledger
    with storage_home.open_store(folder / "node0", network=genesis.network) as store:
        return _ask(store, filled, chains)


def _groups(chains: int, number: int) -> Iterator[list[Statement]]:
    for start in range(0, chains, TRANSACTION):
        several = range(start, min(chains, start + TRANSACTION))
        yield [said for chain in several for said in step(chain, number)]


def _ask(store: Store, filled: Ledger, chains: int) -> Answers:
    draw = Random("lineage")
    scattered = _timed(store, filled, [draw.randrange(chains) for _ in range(ASKED)])
    together = _timed(store, filled, list(range(chains, chains + ASKED)))
    return Answers(
        statements=filled.statements,
        blocks=filled.height,
        found=scattered[0].found,
        first_ms=scattered[0].page_ms,
        walk_ms=statistics.median(each.walk_ms for each in scattered),
        page_ms=statistics.median(each.page_ms for each in scattered),
        together_ms=statistics.median(each.page_ms for each in together),
        slowest_ms=max(each.page_ms for each in scattered),
        wall_ms=statistics.median(each.wall_ms for each in scattered),
        execution_us=1e6 * filled.execution_s / filled.statements,
        writing_us=1e6 * filled.writing_s / filled.statements,
    )


class Timed(NamedTuple):
    """One answer."""

    found: int
    page_ms: float
    wall_ms: float
    walk_ms: float


def _timed(store: Store, filled: Ledger, chains: Sequence[int]) -> list[Timed]:
    timed = []
    for chain in chains:
        question = Question(UPSTREAM, (end_of(chain, STEPS),), DEPTH)
        with store.snapshot() as reader:
            began, cpu = time.perf_counter(), time.process_time()
            page = lineage_page.page(
                reader, filled.genesis, question, height=None, offset=0, limit=1_000
            )
            page_ms = 1_000 * (time.process_time() - cpu)
            wall_ms = 1_000 * (time.perf_counter() - began)
            cpu = time.process_time()
            walk(Index(reader), question, filled.height)
            walk_ms = 1_000 * (time.process_time() - cpu)
        timed.append(Timed(page["total"], page_ms, wall_ms, walk_ms))
    return timed


# --- what it costs --------------------------------------------------------------------------------


class WithoutIndex(Provenance):
    """Statements are judged, and nothing is written."""

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        parse_statement(body)


class BareKeys(Provenance):
    """One key for each thing, which names the kind: found are statements, and no edges."""

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        statement = parse_statement(body)
        place, kind = origin.key(), statement.kind.encode("ascii")
        for name in statement.things():
            state.put(sha256(statement.expand(name).encode()).digest()[:20] + place, kind)


KINDS: dict[str, type[Provenance]] = {
    "no index": WithoutIndex,
    "bare keys": BareKeys,
    "lineage": Provenance,
}


def cost(folder: Path, statements: int, engine: str, rounds: int) -> dict[str, dict[str, float]]:
    """Processor time a statement, the median of the rounds: executing, and writing it."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    steps = max(1, statements // STATEMENTS_A_STEP)
    for number in range(rounds):
        for kind, application in KINDS.items():
            with new_ledger(folder / f"{kind} {number}", engine, _with(application)) as ledger:
                for start in range(0, steps, TRANSACTION):
                    several = range(start, min(steps, start + TRANSACTION))
                    ledger.add([said for chain in several for said in step(chain, 1)])
                ledger.end_block()
                each = (
                    ledger.execution_s / ledger.statements,
                    ledger.writing_s / ledger.statements,
                )
                found[kind].append(each)
    return {
        kind: {
            "execution_us": 1e6 * statistics.median(executing for executing, _ in pairs),
            "writing_us": 1e6 * statistics.median(writing for _, writing in pairs),
        }
        for kind, pairs in found.items()
    }


def _with(application: type[Provenance]) -> tuple[Application, ...]:
    return (application(), Records())


@click.command("lineage", epilog="Example: python -m benchmarks lineage --statements 1000000")
@click.option("--statements", type=click.IntRange(200), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--storage", "engine", default=None, help="The best installed unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lineage(statements: int, rounds: int, engine: str | None, as_json: bool) -> None:
    """Lineage 100 edges deep in a large ledger, and what its index costs."""
    chosen = engine or default_engine()
    with tempfile.TemporaryDirectory() as folder:
        answers = measure(Path(folder) / "large", statements, chosen, hidden=as_json)
        costs = cost(Path(folder), min(statements, 20_000), chosen, rounds)
    if as_json:
        click.echo(json.dumps({"answers": asdict(answers), "costs": costs}))
        return
    click.echo(f"{answers.statements:,} statements in {answers.blocks:,} blocks on {chosen}")
    click.echo(f"{DEPTH} edges deep: {answers.found} statements")
    click.echo(f"  the walk alone         {answers.walk_ms:8.1f} ms")
    click.echo(
        f"  with the statements    {answers.page_ms:8.1f} ms, slowest {answers.slowest_ms:.1f}"
    )
    click.echo(f"  recorded in one piece  {answers.together_ms:8.1f} ms")
    click.echo(f"  by the wall clock      {answers.wall_ms:8.1f} ms")
    click.echo(f"  the first after start  {answers.first_ms:8.1f} ms")
    click.echo("index        executing a statement    writing it")
    for kind, each in costs.items():
        click.echo(f"{kind:<12}{each['execution_us']:>18.1f} us{each['writing_us']:>12.1f} us")
