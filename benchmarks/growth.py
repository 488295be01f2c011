"""`python -m benchmarks growth`: does a block cost more on a long ledger than on a new one?

Blocks of one transaction each, from height 1 on, in two parts whose processor time is told apart:

    replica   a whole replica in virtual time, the only validator of its network: protocol, mempool,
              batches, execution, checkpoints, certificates, with the keyed hash and in memory
    store     the functions of a node that touch the disk (`benchmarks/stages.py`), with Ed25519 and
              a real database, its own threads with them

Each line is the mean over one window of heights, from the first blocks to the last: a cost that
grows with the ledger shows there.  Memory grows until the windows of the genesis are full, such as
the nonces of the last `replay_window` heights; the replica's database is in it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import click
import psutil

from benchmarks.simulation import plain_python_ms
from benchmarks.stages import Walk, as_in_a_node, signed_records
from consensus.registry import protocol_named
from host.home import read_genesis, read_private
from host.network import MEMBER_KEY_FILE, Plan, create_network
from sim.agenda import MS
from sim.chain_oracle import certified_height
from sim.run import Run
from sim.scenario import Load, Scenario, Weather
from sim.watcher import Watcher
from storage import home
from storage.home import default_engine

INTERVAL_MS = 40
"""Between two transactions in virtual time: each has a block of its own."""
SLICE_MS = 1_000
CALM = Weather(jitter_us=0)
SHOWN_MAX = 11
"""Lines a part, from the first window to the last."""
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """A height, and what had been spent up to it."""

    height: int
    thread_s: float
    """Processor time of the thread that measures."""
    others_s: float
    """Of all other threads: the database has some."""
    plain_s: float
    """What a fixed piece of plain Python took here and now."""
    memory_bytes: int
    """Resident, of the process that measures."""
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Window:
    """What a block cost between two heights."""

    start: int
    stop: int
    processor_us: float
    """Of the thread that does everything but merge the database's tables."""
    plain: float
    """The same as a share of a piece of plain Python at its two ends: it does not grow where the
    machine alone grew slower."""
    threads_us: float
    """Of the database's own threads."""
    memory_mib: float
    """Resident at its end."""
    disk_bytes: float
    """The database grew by; 0 where there is none."""


class Meter:
    """Marks heights, and leaves out what is done aside."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._aside_s = 0.0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What this thread does meanwhile does not count."""
        began_s = time.thread_time()
        yield
        self._aside_s += time.thread_time() - began_s

    def mark(self, height: int, disk_bytes: int = 0) -> None:
        """So much was spent up to this height."""
        thread_s = time.thread_time()
        others_s, own_s = time.process_time() - thread_s, thread_s - self._aside_s
        with self.aside():
            plain_s = plain_python_ms() / 1_000
        memory = psutil.Process().memory_info().rss
        self.marks.append(Mark(height, own_s, others_s, plain_s, memory, disk_bytes))


class Unjudged(Run):
    """A run that no oracle watches, since their memory grows with what they have seen."""

    def _judges(self) -> tuple[Watcher, ...]:
        return (self.clients,)

    def lead_to(self, heights: Iterable[int]) -> Iterator[int]:
        """Run on to each of these heights in turn; yields where it stopped, a little behind it."""
        agenda, engine = self.world.agenda, self.world.nodes[0].engine
        for height in heights:
            while certified_height(engine) < height:
                assert self.clients.outstanding, "a wish a block was enough so far"
                agenda.run_until(agenda.now_us + SLICE_MS * MS)
            yield certified_height(engine)


def of_replica(protocol: str, heights: int, window: int) -> list[Mark]:
    """Processor time of a whole replica in virtual time, window by window."""
    load = Load(
        transactions=heights + heights // 10 + 100, members=1, interval_ms=INTERVAL_MS,
        duplicates=0, twice_signed=0, unsound=0, split=0, echoes=0,
    )  # fmt: skip
    scenario = Scenario(1, protocol, 1, weather=CALM, calm=CALM, load=load, stable_ms=1)
    run, meter = Unjudged(scenario, protocol_named(protocol)), Meter()
    meter.mark(0)
    for height in run.lead_to(range(window, heights + 1, window)):
        meter.mark(height)
    return meter.marks


def of_store(heights: int, window: int) -> list[Mark]:
    """Processor time of a node's functions with a real database, window by window."""
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network"
        create_network(network, Plan("growth", 1, protocol_named("solo"), default_engine(), ()))
        node = network / "node0"
        genesis = read_genesis(node / "genesis.json")
        signer = genesis.suite.members.signer(read_private(network / MEMBER_KEY_FILE))
        with home.open_store(node, network=genesis.network) as store, as_in_a_node():
            walk, meter = Walk(genesis, store), Meter()
            meter.mark(0, _bytes_in(node))
            for start in range(0, heights, window):
                with meter.aside():
                    nonces = range(start + 1, start + window + 1)
                    raws = signed_records(genesis, signer, nonces, height=start)
                for raw in raws:
                    walk.block_of([raw])
                meter.mark(start + window, _bytes_in(node))
        return meter.marks


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def windows(marks: list[Mark]) -> list[Window]:
    """What a block cost between each two marks."""
    found = []
    for one, two in pairwise(marks):
        blocks = two.height - one.height
        found.append(
            Window(
                one.height + 1,
                two.height,
                (thread_s := (two.thread_s - one.thread_s) / blocks) * 1e6,
                2 * thread_s / (one.plain_s + two.plain_s),
                max(0.0, two.others_s - one.others_s) / blocks * 1e6,
                two.memory_bytes / MIB,
                (two.disk_bytes - one.disk_bytes) / blocks,
            )
        )
    return found


@click.command()
@click.option("--heights", default=20_000, show_default=True, type=click.IntRange(2))
@click.option("--window", default=1_000, show_default=True, type=click.IntRange(1))
@click.option("--protocol", default="tendermint", show_default=True, help="Of the replica.")
@click.option("--part", type=click.Choice(["replica", "store"]), help="Only this one.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there."
)
def growth(
    heights: int, window: int, protocol: str, part: str | None, json_file: Path | None
) -> None:
    """What a block of one transaction costs at growing heights: processor time, memory, disk.

    Example: python -m benchmarks growth --heights 100000
    """
    parts: dict[str, Callable[[], list[Mark]]] = {
        "replica": lambda: of_replica(protocol, heights, window),
        "store": lambda: of_store(heights, window),
    }
    found: dict[str, list[Window]] = {}
    click.echo(
        f"{'':<10}{'heights':>18}{'processor time':>18}{'of plain Python':>18}"
        f"{'database threads':>18}{'memory':>12}{'disk':>12}"
    )
    for name, measure in parts.items():
        if part in (None, name):
            found[name] = windows(measure())
            for row in _shown(found[name]):
                click.echo(
                    f"{name:<10}{f'{row.start:,}-{row.stop:,}':>18}{row.processor_us:>15,.0f} us"
                    f"{row.plain:>18.4f}{row.threads_us:>15,.0f} us"
                    f"{row.memory_mib:>8,.0f} MiB{row.disk_bytes:>10,.0f} B"
                )
    if json_file is not None:
        rows = {name: [asdict(each) for each in found[name]] for name in found}
        json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _shown(found: list[Window]) -> list[Window]:
    """The first, the last, and what lies evenly between them."""
    if len(found) <= SHOWN_MAX:
        return found
    last = len(found) - 1
    return [found[round(place * last / (SHOWN_MAX - 1))] for place in range(SHOWN_MAX)]
