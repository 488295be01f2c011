"""The load clients of one measurement: processes that sign first and then offer, open-loop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from ledger.errors import UnreachableError

ROOT = Path(__file__).resolve().parents[2]
ENDED_S = 2.0
"""For a client that has closed its output to end."""
BEGIN_S = 0.3
"""Between the word to begin and the first arrival."""


@dataclass(frozen=True, slots=True)
class Row:
    """One transaction of the raw data; times are seconds after the start of the load."""

    due_s: float
    sent_s: float | None
    node: int
    """That had it last."""
    attempts: int
    height: int
    """Of its block; 0 without one."""
    status: str
    """confirmed, failed, expired, unconfirmed, or refused and why."""


@dataclass(frozen=True, slots=True)
class Driven:
    """What the clients told."""

    start: float
    """On the monotonic clock."""
    rows: tuple[Row, ...]
    late_s: float
    """The latest first post of any client."""
    cpu_s: float
    posts: int


class Clients:
    """Load clients that are ready to begin."""

    def __init__(self, processes: list[trio.Process], files: list[Path]) -> None:
        self._processes = processes
        self._files = files
        self._lines = [Lines(process) for process in processes]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    async def ready(self) -> None:
        """Wait until everything is signed.  Raises UnreachableError where a client ends."""
        for number, lines in enumerate(self._lines):
            if await lines.next() != "ready":
                raise UnreachableError(f"a load client did not start: {await self._why(number)}")

    async def begin(self) -> float:
        """Start the load; when its time zero is, on the monotonic clock."""
        start = time.monotonic() + BEGIN_S
        for process in self._processes:
            assert process.stdin is not None
            await process.stdin.send_all(f"{start!r}\n".encode())
        return start

    async def results(self, start: float) -> Driven:
        """Wait for the end.  Raises UnreachableError where a client ends without a result."""
        told: list[dict[str, Any]] = []
        for number, lines in enumerate(self._lines):
            line = await lines.next()
            if not line:
                why = await self._why(number)
                raise UnreachableError(f"a load client ended without a result: {why}")
            told.append(json.loads(line))
        for process in self._processes:
            await process.wait()
        rows = [row for file in self._files for row in read_rows(file)]
        rows.sort(key=lambda row: row.due_s)
        return Driven(
            start=start,
            rows=tuple(rows),
            late_s=max(one["late_s"] for one in told),
            cpu_s=sum(one["cpu_s"] for one in told),
            posts=sum(one["posts"] for one in told),
        )

    async def _why(self, number: int) -> str:
        """The last words of a client that has closed its output."""
        process = self._processes[number]
        with trio.move_on_after(ENDED_S):
            await process.wait()
        said = errors_of(self._files[number]).read_text(encoding="utf-8", errors="replace")
        lines = said.strip().splitlines()
        return lines[-1].strip() if lines else f"without a word, exit code {process.poll()}"

    def kill(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()


async def start_clients(
    jobs: list[dict[str, Any]], *, module: str = "benchmarks.harness.client"
) -> Clients:
    """A process for each job; they sign at once."""
    processes = []
    for job in jobs:
        with errors_of(Path(job["rows"])).open("wb") as errors:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                start_new_session=True,
            )
        assert process.stdin is not None
        processes.append(process)
        await process.stdin.send_all(json.dumps(job).encode() + b"\n")
    return Clients(processes, [Path(job["rows"]) for job in jobs])


def errors_of(rows: Path) -> Path:
    """The file that a client complains into."""
    return rows.with_name(f"{rows.name}.err")


def read_rows(file: Path) -> list[Row]:
    """The rows that a client wrote."""
    rows = []
    for line in file.read_text(encoding="ascii").splitlines():
        due, sent, node, attempts, height, status = line.split(",", 5)
        rows.append(
            Row(
                int(due) / 1e6,
                int(sent) / 1e6 if sent else None,
                int(node),
                int(attempts),
                int(height or 0),
                status,
            )
        )
    return rows


class Lines:
    """The lines that a process prints."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self._stream = process.stdout
        self._rest = b""

    async def next(self) -> str:
        """The next line without its end; empty at the end of all."""
        while b"\n" not in self._rest:
            chunk = await self._stream.receive_some()
            if not chunk:
                return ""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()
