"""A fair scenario, and what breaks one promise of it on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from consensus.interface import Now
from consensus.io import HostEvent, Output, Step
from ledger.store import Write
from sim.scenario import Load, Scenario
from sim.watcher import Machine

LOAD = Load(transactions=12, interval_ms=300)
FAIR = Scenario(
    seed=5, protocol="fixed-leader", nodes=4, load=LOAD, stable_ms=4_000, bound_ms=10_000
)

ChangeWrite = Callable[[Write], list[Write]]
ChangeOutput = Callable[[Output], list[Output]]


@dataclass
class Meddler:
    """A machine that lets another one work and changes what it says."""

    machine: Machine
    write: ChangeWrite = field(default=lambda write: [write])
    output: ChangeOutput = field(default=lambda output: [output])
    is_syncing: bool = True

    def step(self, now: Now, event: HostEvent) -> Step:
        step = self.machine.step(now, event)
        return replace(
            step,
            writes=[changed for write in step.writes for changed in self.write(write)],
            outputs=[changed for output in step.outputs for changed in self.output(output)],
            sync=step.sync and self.is_syncing,
        )


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)


def with_leaf(
    raw: bytes, place: int, change: Callable[[tuple[Any, ...]], tuple[Any, ...]]
) -> bytes:
    """A block entry, one leaf of which is changed."""
    first, leaves = unpack(raw)
    changed = list(leaves)
    changed[place] = msgpack.packb(change(unpack(changed[place])))
    packed: bytes = msgpack.packb((first, tuple(changed)))
    return packed


def set_field(place: int, value: object) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda leaf: (*leaf[:place], value, *leaf[place + 1 :])
