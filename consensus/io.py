"""What goes into a replica and what comes out: the whole contract between it and its two hosts.

A host feeds one event at a time to `Replica.step` and gets a `Step` back: writes for the disk and
outputs for the world.  The host applies the writes of a step in one atomic batch (joining what
waits), synced where the step says so, and only then releases its outputs, in step order.  Steps may
run ahead of the disk in memory; outputs never do.  A failed write releases nothing and stops the
node.

Heavy work is data: a `Job` is run by the host off the replica's path with a reader of the durable
state, and its result comes back as `JobDone`.  Executions run strictly one after another, checks
and reads in any order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

from ledger.store import Reader, Write


class Channel(IntEnum):
    """Kinds of traffic, counted apart; the numbers are those of p2p/frames."""

    PROTOCOL = 1
    DISSEMINATION = 2
    CHECKPOINT = 3
    SYNC = 4


class Job(ABC):
    """Work that the host does elsewhere: a pure function of its fields and a reader."""

    sequential: ClassVar[bool] = False
    """Whether jobs of this kind must run one after another in the order they were started."""

    @property
    def is_brief(self) -> bool:
        """Whether it costs less than handing it to somebody else."""
        return False

    @abstractmethod
    def run(self, reader: Reader) -> Any:
        """The result.  A fault in the input is part of the result, never an exception."""


# --- Events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The first event.  `salt` differs at every start of the process: it names queries to peers."""

    salt: int


@dataclass(frozen=True, slots=True)
class FrameArrived:
    """A peer's frame; `peer` is the validator index that its link authenticated."""

    peer: int
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerUp:
    peer: int


@dataclass(frozen=True, slots=True)
class PeerDown:
    peer: int


@dataclass(frozen=True, slots=True)
class TimerRang:
    """A timer that was started and not stopped."""

    timer: Hashable


@dataclass(frozen=True, slots=True)
class JobDone:
    job: int
    result: Any


@dataclass(frozen=True, slots=True)
class Submitted:
    """A client hands over transactions; an `Answer` with the same request number follows."""

    request: int
    transactions: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Looped:
    """Something that a step kept for itself until it was durable, such as an own vote."""

    content: Any


HostEvent = Started | FrameArrived | PeerUp | PeerDown | TimerRang | JobDone | Submitted | Looped


# --- Outputs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendFrame:
    """To one validator, or to all others where peer is None.  Loss is allowed."""

    peer: int | None
    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Ring once after delay_ms; starting a running timer again moves it."""

    timer: Hashable
    delay_ms: int


@dataclass(frozen=True, slots=True)
class StopTimer:
    timer: Hashable


@dataclass(frozen=True, slots=True)
class StartJob:
    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Loop:
    """Feed the content back as `Looped` once this step is durable."""

    content: Any


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one submitted transaction."""

    id: bytes
    """Empty where the bytes are no transaction."""
    reason: str = ""
    """Empty when it is pending now, or was before; else why it was refused."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One admission per submitted transaction, in order."""

    request: int
    admissions: tuple[Admission, ...]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Heights up to this one are durably certified here."""

    height: int


@dataclass(frozen=True, slots=True)
class Report:
    """A past-tense fact for traces, logs and metrics."""

    name: str
    fields: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop the node: going on would break a promise.  Nothing of its step is written or sent.

    The reason is one plain line.
    """

    reason: str


Output = SendFrame | StartTimer | StopTimer | StartJob | Loop | Answer | Confirmed | Report | Halt


@dataclass(slots=True)
class Step:
    """What one event led to: one atomic batch, then these outputs in order."""

    writes: list[Write] = field(default_factory=list)
    sync: bool = False
    """Whether the batch holds a promise and must be on the disk before the outputs leave."""
    outputs: list[Output] = field(default_factory=list)
