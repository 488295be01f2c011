"""What a peer must tell the harness: how it is started, fed and watched.  Nothing else differs.

To add one: a class like `benchmarks/peers/cometbft.py`, and its name in `benchmarks/peers/run.py`.
The load comes from the same kind of client process with the same arrivals, a transaction's latency
counts from its due time until the last node shows its block, and the figures are computed by the
same functions.  `differs` says what is not the same, and stands in the report.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import trio

from host.home import Endpoint
from host.proxy import Way


class Peer(ABC):
    """A network of another system on this machine."""

    name: ClassVar[str]
    binary: ClassVar[str]
    """What is looked for on the PATH."""
    differs: ClassVar[str]
    """What a reader must know before comparing: signatures, sync policy, batch intervals."""
    variants: ClassVar[tuple[str, ...]] = ("default",)
    """Configurations to measure, such as default and tuned."""

    def __init__(self, program: Path, folder: Path, nodes: int, variant: str) -> None:
        self.program = program
        self.folder = folder
        self.nodes = nodes
        self.variant = variant
        self.processes: list[trio.Process] = []
        self.relays: Mapping[Way, Endpoint] = {}
        """Where a node finds a higher one; straight where it does not say."""

    @property
    @abstractmethod
    def urls(self) -> list[str]:
        """Where each node takes transactions and shows blocks, over HTTP."""

    @property
    @abstractmethod
    def listens(self) -> list[Endpoint]:
        """Where each node listens for the others, known before it starts."""

    @abstractmethod
    async def start(self) -> None:
        """Make the network and start its processes; returns when it can take transactions.

        The lower number dials the higher, there or at the relay.  Raises UnreachableError where it
        does not come up.
        """

    @abstractmethod
    async def height(self) -> int:
        """Of the newest block, by the first node."""

    @abstractmethod
    async def is_idle(self) -> bool:
        """Whether no node has a transaction left that is in no block."""

    async def link_bytes(self) -> float | None:
        """So far, sent by all nodes to each other, before encryption; None where none counts it."""
        return None

    async def version(self) -> str:
        """What the program calls itself."""
        done = await trio.run_process(
            [str(self.program), "version"], capture_stdout=True, check=False
        )
        return done.stdout.decode(errors="replace").strip()

    async def stop(self) -> None:
        """End every process."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        with trio.CancelScope(shield=True):
            for process in self.processes:
                await process.wait()


class Words(ABC):
    """The language of a peer's nodes, for the client process: pure functions of bytes."""

    path: ClassVar[str]
    """Where transactions are posted."""

    @abstractmethod
    def transaction(self, identity: str, payload: bytes) -> bytes:
        """A transaction of this identity that carries the payload."""

    @abstractmethod
    def post(self, transactions: list[bytes]) -> bytes:
        """The body that hands over some transactions."""

    @abstractmethod
    def refusals(self, answer: bytes, count: int) -> list[str]:
        """For each transaction of a post why it was refused; empty where it was taken.

        Raises ValueError for an answer that is none.
        """

    @abstractmethod
    def sign_path(self, height: int) -> str:
        """Where a node shows that it has the block at a height, whatever is in it."""

    @abstractmethod
    def is_there(self, answer: bytes) -> bool:
        """Whether it has."""

    @abstractmethod
    def block_path(self, height: int) -> str:
        """Where the block at a height is shown."""

    @abstractmethod
    def block(self, answer: bytes) -> list[str] | None:
        """The identities in a block; None where there is none yet."""
