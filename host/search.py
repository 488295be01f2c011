"""Leading a hunt: chunks go to an executor, reports come back, findings are made small.

What runs elsewhere are two functions of plain values, so a pool of processes here and a Dask
cluster anywhere share the work alike.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field

from host.plugins import find_protocol
from sim.scenario import Scenario
from sim.search import (
    Chunk,
    ChunkReport,
    Finding,
    Hunt,
    chunk_size,
    play_chunk,
    replay_whole,
    shrink_finding,
)

AHEAD = 2
"""Chunks that are handed out for every worker, so that none waits."""
LOOK_S = 0.2
"""How often the clock is looked at while nothing comes back."""
GRACE_S = 10
"""How long after its budget a hunt waits for what is being played."""


@dataclass(frozen=True, slots=True)
class Limit:
    """When a hunt ends at the latest."""

    seconds: float | None
    scenarios: int | None
    keep_going: bool
    """Whether it goes on after something was found."""


@dataclass(slots=True)
class Progress:
    """What has been played, and what was found."""

    reports: dict[int, ChunkReport] = field(default_factory=dict)
    """By number of the chunk."""
    seconds: float = 0.0

    @property
    def scenarios(self) -> int:
        return sum(report.runs for report in self.reports.values())

    @property
    def events(self) -> int:
        return sum(report.events for report in self.reports.values())

    @property
    def trace_hash(self) -> str:
        """Over the traces of all scenarios in their order: equal hunts have equal ones."""
        traces = "".join(report.trace_hash for report in self._ordered())
        return hashlib.sha256(traces.encode()).hexdigest()

    def by_strategy(self) -> dict[str, int]:
        """Scenarios of each strategy, in the order of their first."""
        counts: Counter[str] = Counter()
        for report in self._ordered():
            counts[report.strategy] += report.runs
        return dict(counts)

    def broken(self) -> dict[str, int]:
        """Scenarios that broke each property, in the order of their first."""
        counts: Counter[str] = Counter()
        for report in self._ordered():
            counts.update(dict(report.broken))
        return dict(counts)

    def findings(self) -> list[Finding]:
        """For each property the first scenario that broke it, whoever came back first."""
        first: dict[str, Finding] = {}
        for report in self._ordered():
            for finding in report.findings:
                first.setdefault(finding.broken, finding)
        return list(first.values())

    def first_found(self) -> int | None:
        """The lowest chunk with a finding."""
        return min((n for n, report in self.reports.items() if report.findings), default=None)

    def _ordered(self) -> list[ChunkReport]:
        return [self.reports[number] for number in sorted(self.reports)]


@dataclass(frozen=True, slots=True)
class Result:
    """A finding made small, and what whole replicas make of it."""

    found: Finding
    shrunk: Finding
    runs: int
    """Runs that it took to make it small."""
    whole: Scenario | None
    """What breaks whole replicas too."""
    whole_words: str


def run_chunk(chunk: Chunk) -> ChunkReport:
    """Play a chunk; this may be a process of its own, or another machine."""
    return play_chunk(chunk, find_protocol(chunk.hunt.protocol))


def run_shrink(hunt: Hunt, finding: Finding) -> Result:
    """Make a finding small and show it to whole replicas; like `run_chunk`, anywhere."""
    protocol = find_protocol(hunt.protocol)
    smaller, shrunk = shrink_finding(finding, protocol)
    whole, words = replay_whole(smaller, hunt.protocol, protocol)
    return Result(finding, smaller, shrunk.runs, whole, words)


def search(
    hunt: Hunt,
    limit: Limit,
    progress: Progress,
    *,
    executor: Executor,
    workers: int,
    watch: Callable[[Progress], None],
) -> None:
    """Hunt until the limit, adding to `progress`; `watch` is told whenever time has passed.

    Unless it is to go on, a hunt ends with the first chunk that found something: what later ones
    did is forgotten, so that a finding does not depend on how many workers there are.
    """
    begin = time.monotonic()
    chunks = _chunks(hunt, limit.scenarios)
    pending: dict[Future[ChunkReport], int] = {}
    is_open = True
    while True:
        while is_open and len(pending) < AHEAD * workers:
            chunk = next(chunks, None)
            if chunk is None:
                is_open = False
                break
            pending[executor.submit(run_chunk, chunk)] = chunk.number
        if not pending:
            break
        done, _ = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        for future in done:
            del pending[future]
            report = future.result()
            progress.reports[report.number] = report
        progress.seconds = time.monotonic() - begin
        watch(progress)
        found = None if limit.keep_going else progress.first_found()
        is_over = limit.seconds is not None and progress.seconds >= limit.seconds
        if found is not None or is_over:
            is_open = False
            last = found if found is not None else -1
            late = limit.seconds is not None and progress.seconds >= limit.seconds + GRACE_S
            for future in [one for one, number in pending.items() if number > last or late]:
                if future.cancel() or found is not None or late:
                    del pending[future]
    if not limit.keep_going:
        _forget_after(progress, progress.first_found())


def _forget_after(progress: Progress, last: int | None) -> None:
    for number in [n for n in progress.reports if last is not None and n > last]:
        del progress.reports[number]


def _chunks(hunt: Hunt, scenarios: int | None) -> Iterator[Chunk]:
    """The chunks of a hunt, the last one as short as the number of scenarios wants."""
    number = handed_out = 0
    while scenarios is None or handed_out < scenarios:
        strategy = hunt.strategies[number % len(hunt.strategies)]
        size = chunk_size(strategy)
        if scenarios is not None:
            size = min(size, scenarios - handed_out)
        yield Chunk(hunt, number, size)
        number, handed_out = number + 1, handed_out + size


def make_small(
    hunt: Hunt, findings: list[Finding], executor: Executor, *, watch: Callable[[int], None]
) -> list[Result]:
    """Every finding made small, in their order; `watch` is told how many more are done."""
    futures = [executor.submit(run_shrink, hunt, finding) for finding in findings]
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        watch(len(done))
    return [future.result() for future in futures]
