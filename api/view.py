"""What the API needs of a node: the whole contract between `api/` and the host that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ledger.genesis import Genesis
from ledger.store import Reader

T = TypeVar("T")


class AdmissionLike(Protocol):
    """What became of one submitted transaction at the door."""

    @property
    def id(self) -> bytes: ...

    @property
    def reason(self) -> str: ...

    @property
    def detail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class PeerView:
    """One other validator as this node sees it."""

    name: str
    connected: bool
    round_trip_ms: float | None


@dataclass(frozen=True, slots=True)
class NodeView:
    """Where a node stands at one moment."""

    name: str
    network: str
    protocol: str
    decided: int
    executed: int
    certified: int
    slot: tuple[int, ...]
    """Of the last decided value."""
    leader: str
    """Name of the proposer of the last decided block; empty before the first."""
    voting: bool
    refusal: str | None
    """Why the node does not vote."""
    pending: int
    """Transactions taken here and not executed yet."""
    catching_up: bool
    peers: tuple[PeerView, ...]
    """Those that this node has links to."""
    relays: bool
    """Whether peers pass messages on to those that this node has no link to."""
    applied: int
    """Transactions applied since the node started."""
    failed: int
    skipped: int
    uptime_s: float
    counters: tuple[tuple[str, float], ...]
    """(metric name, value) pairs for the exposition, ascending."""


class Contents(Protocol):
    """A content store beside a node; its calls block."""

    def get(self, digest: bytes) -> bytes | None:
        """The content with this SHA-256, or None.  Raises StorageError where it is damaged."""

    def put(self, digest: bytes, content: bytes) -> None:
        """Keep a content.  Raises Fault: content.digest, content.full; StorageError."""


class RunningNode(Protocol):
    """A node that serves clients."""

    genesis: Genesis

    def view(self) -> NodeView:
        """Where the node stands now."""

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[AdmissionLike, ...]:
        """Hand over transactions; one admission each.  A pending one is not durable."""

    async def read(self, question: Callable[[Reader], T]) -> T:
        """Answer a question about the durable state, off the main path, on one consistent view."""

    async def wait_confirmed(self, above: int) -> int:
        """Wait until a height above this one is confirmed; the new confirmed height."""

    def is_pending(self, transaction: bytes) -> bool:
        """Whether a transaction was taken here and is not executed yet."""


def json_ready(value: Any) -> Any:
    """Bytes as hexadecimal, tuples as lists, everything else as it is."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    return value
