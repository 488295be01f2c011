"""All nodes of one network as operating-system processes on this machine.

Each node is this same program's `run` command.  A child that outlives its parent stops by itself;
`stop` asks first (SIGTERM) and insists later (SIGKILL).  Nothing here waits for a fixed time: a
node is up when it says so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from host.home import read_config
from host.network import homes_of, interpreter
from ledger.errors import UnreachableError

START_DEADLINE_S = 30
STOP_DEADLINE_S = 10
LINES_KEPT = 200


@dataclass(slots=True)
class NodeProcess:
    """One node's process, and what it said last."""

    index: int
    home: Path
    url: str
    """Of its API."""
    process: trio.Process | None = None
    facts: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    """The JSON lines that it printed."""
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    ready: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    options: tuple[str, ...] = ()
    """Further words for its `run` command, from its next start on."""
    prefix: tuple[str, ...] = ()
    """Words before its command: a program that replaces itself with it, elsewhere."""

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def last_words(self) -> str:
        """Why it ended, as far as it said so."""
        return self.errors[-1].removeprefix("error: ") if self.errors else "it said nothing"


class Cluster:
    """The processes of one network, owned by one nursery."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.folder = folder
        self.nodes = [
            NodeProcess(index, home, f"http://{read_config(home).api}")
            for index, home in enumerate(homes_of(folder))
        ]
        self._nursery = nursery

    @property
    def urls(self) -> list[str]:
        """Where the nodes' APIs listen."""
        return [node.url for node in self.nodes]

    async def start(self, *indexes: int) -> None:
        """Start these nodes, or all; returns when they serve.  Raises UnreachableError."""
        chosen = [self.nodes[index] for index in indexes] if indexes else self.nodes
        for node in chosen:
            await self._spawn(node)
        with trio.move_on_after(START_DEADLINE_S) as scope:
            for node in chosen:
                await _first(node.ready, node.ended)
        for node in chosen:
            if not node.ready.is_set():
                why = "did not start in time" if scope.cancelled_caught else "did not start"
                raise UnreachableError(f"node{node.index} {why}: {node.last_words}")

    async def _spawn(self, node: NodeProcess) -> None:
        assert not node.is_running
        node.ready, node.ended = trio.Event(), trio.Event()
        node.process = await trio.lowlevel.open_process(
            [
                *node.prefix,
                *interpreter(),
                "run",
                str(node.home),
                "--json",
                "--parent",
                str(os.getpid()),
                *node.options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Its own group: Ctrl-C in the terminal reaches this program, which stops the nodes.
            start_new_session=True,
        )
        self._nursery.start_soon(self._listen, node, node.process)

    async def _listen(self, node: NodeProcess, process: trio.Process) -> None:
        async with trio.open_nursery() as nursery:
            assert process.stdout is not None
            assert process.stderr is not None
            nursery.start_soon(_read_errors, node, process.stderr)
            async for line in _lines(process.stdout):
                try:
                    fact = json.loads(line)
                except ValueError:
                    node.errors.append(line)
                    continue
                node.facts.append(fact)
                if fact.get("fact") == "ready":
                    node.ready.set()
        await process.wait()
        node.ended.set()

    def kill(self, index: int) -> None:
        """SIGKILL: no goodbye, as in a crash."""
        self._signal(index, signal.SIGKILL)

    def pause(self, index: int) -> None:
        """SIGSTOP: the process keeps its sockets and says nothing."""
        self._signal(index, signal.SIGSTOP)

    def resume(self, index: int) -> None:
        self._signal(index, signal.SIGCONT)

    def _signal(self, index: int, number: int) -> None:
        process = self.nodes[index].process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    async def check(self) -> None:
        """Raise UnreachableError, with its last words, where a node has ended by itself."""
        for node in self.nodes:
            if node.process is not None and not node.is_running:
                await node.ended.wait()
                raise UnreachableError(f"node{node.index} ended: {node.last_words}")

    async def wait_ended(self, index: int) -> None:
        """Wait until the process is gone."""
        await self.nodes[index].ended.wait()

    async def stop(self) -> None:
        """Stop every process, cleanly where possible."""
        with trio.CancelScope(shield=True):
            running = [node for node in self.nodes if node.is_running]
            for node in running:
                self.resume(node.index)
                self._signal(node.index, signal.SIGTERM)
            # The processes themselves: whoever listens to them may be cancelled already.
            processes = [node.process for node in running if node.process is not None]
            with trio.move_on_after(STOP_DEADLINE_S):
                for process in processes:
                    await process.wait()
            for process in processes:
                if process.poll() is None:
                    process.kill()
                await process.wait()


@asynccontextmanager
async def open_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """A cluster whose processes are all gone when the block is left, however it is left."""
    async with trio.open_nursery() as nursery:
        cluster = Cluster(folder, nursery)
        try:
            yield cluster
        finally:
            await cluster.stop()


async def _first(*events: trio.Event) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


async def _read_errors(node: NodeProcess, stream: trio.abc.ReceiveStream) -> None:
    async for line in _lines(stream):
        node.errors.append(line)


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")
