"""The program as its users meet it: commands as processes, and clusters that end with the test."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psutil

from host.commands import main

ROOT = Path(__file__).resolve().parents[2]
NODE = (sys.executable, str(ROOT / "node.py"))
LIMIT_S = 60
"""Nothing here takes longer, unless it hangs."""
STATUS_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)

    def check(self) -> Done:
        assert self.code == 0, self.err
        return self

    def error_line(self) -> str:
        """What it said on standard error: exactly one line, and no traceback."""
        assert "Traceback" not in self.err + self.out
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


def run(
    *arguments: object,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        [*NODE, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=LIMIT_S,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def call(*arguments: object, cwd: Path | None = None) -> Done:
    """Run a command to its end within this process, which is quicker."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err, chdir(cwd or "."):
        code = main.run([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def without_plyvel(folder: Path) -> dict[str, str]:
    """An environment in which plyvel cannot be imported, as where it has no wheel."""
    folder.mkdir()
    (folder / "plyvel.py").write_text('raise ImportError("not on this machine")\n')
    return {"PYTHONPATH": str(folder)}


class Process:
    """A command that runs until it is told to stop; its lines, as they come."""

    def __init__(
        self, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [*NODE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.errors: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._lines.put(line.decode().rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self.errors += [line.decode().rstrip("\n") for line in stream]

    def until_line(self, is_it: Callable[[str], bool]) -> str:
        """The first line from now on that is the one; fails at the end of the output."""
        while True:
            line = self._lines.get(timeout=STATUS_LIMIT_S)
            assert line is not None, f"it ended: {self.errors}"
            if is_it(line):
                return line

    def children(self) -> list[psutil.Process]:
        """The processes that it has started and that still run."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=LIMIT_S)
        for reader in self._readers:
            reader.join(timeout=LIMIT_S)
        return code

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            children = self.children()
            self.process.kill()
            self.process.wait()
            psutil.wait_procs(children, timeout=LIMIT_S)
        for reader in self._readers:
            reader.join(timeout=LIMIT_S)


@contextmanager
def running_cluster(folder: Path, *, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """`cluster DIR`, once all its nodes are linked."""
    with Process("cluster", folder, "--json", env=env) as process:
        process.until_line(lambda line: all(map(is_linked, json.loads(line)["nodes"])))
        yield process
        if process.process.poll() is None:
            assert process.stop() == 0, process.errors


def is_linked(node: dict[str, Any]) -> bool:
    """Whether a node, by its status, answers and has all its links."""
    return node["reachable"] and all(peer["connected"] for peer in node["peers"])
