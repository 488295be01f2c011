"""What a node runs, when a crash may strike it, and who may look on.

`Machine` and `Watcher` are the two faces of a simulated node: the one it drives, and the one it
shows to oracles and clients.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from consensus.interface import Now, Timer
from consensus.io import Answer, HostEvent, Report, SendFrame, Step
from ledger.store import Reader, Write


class Machine(Protocol):
    """What a node runs: `consensus.replica.Replica`, or a test's own."""

    def step(self, now: Now, event: HostEvent) -> Step: ...


Open = Callable[[int, Reader], Machine]
"""Starts the machine of node `index` from what its disk holds."""


class Boundary(IntEnum):
    """Where in the life of a write a crash strikes."""

    NOWHERE = 0
    """At once, wherever the node stands."""
    BEFORE = 1
    """The write is lost, although it was under way."""
    AFTER = 2
    """The write is on the disk, and nothing that it allowed has left."""
    AMID = 3
    """The write is on the disk, and some of what it allowed has left."""
    FAILING = 4
    """The disk reports an error, and nobody knows whether it kept the write."""


class Watcher:
    """Sees what happens at the nodes; the oracles and the clients are watchers."""

    def booted(self, node: int, reader: Reader) -> None:
        """A node's process starts, with this on its disk."""

    def crashed(self, node: int) -> None:
        """A node's process ended; what is on its disk now is all that it has."""

    def robbed(self, node: int) -> None:
        """A node's disk was lost, or an earlier one put in its place."""

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        """These writes are on a node's disk."""

    def rang(self, node: int, timer: Timer) -> None:
        """A timer of a node's plugin rings."""

    def sent(self, node: int, output: SendFrame) -> None:
        """A frame left a node."""

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        """A node says that everything up to a height is certified."""

    def answered(self, node: int, answer: Answer) -> None:
        """A node answers a client."""

    def reported(self, node: int, report: Report) -> None:
        """A node tells a fact."""

    def failed(self, node: int, reason: str) -> None:
        """A node stopped for good, on purpose or by a mistake."""


class Hooks:
    """The methods of watchers that are called all the time, of those alone that have them."""

    def __init__(self, watchers: tuple[Watcher, ...]) -> None:
        self.rang = _overriding(watchers, "rang")
        self.sent = _overriding(watchers, "sent")
        self.written = _overriding(watchers, "written")
        self.confirmed = _overriding(watchers, "confirmed")
        self.answered = _overriding(watchers, "answered")
        self.reported = _overriding(watchers, "reported")


def _overriding(watchers: tuple[Watcher, ...], name: str) -> list[Callable[..., None]]:
    mute = getattr(Watcher, name)
    return [getattr(each, name) for each in watchers if getattr(type(each), name, None) != mute]
